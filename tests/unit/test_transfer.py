import logging
from types import SimpleNamespace

import pytest
import requests

from captioner.corpus.download import transfer
from captioner.corpus.download.part import Part
from captioner.corpus.download.transfer import (
    TransientError,
    UnavailableError,
    _Bar,
    download,
    persist,
)


@pytest.fixture
def waits(monkeypatch):
    waited = []
    monkeypatch.setattr(transfer, "time", SimpleNamespace(sleep=waited.append))
    return waited


def test_the_rate_of_a_resumed_bar_is_that_of_what_came():
    bar = _Bar("clotho.7z")
    bar.begin(900_000_000, 1_000_000_000)
    bar._bar.start_t -= 10  # ten seconds ago
    bar.advance(50_000_000)
    shown = bar._bar.format_dict
    assert (shown["n"], shown["total"], shown["initial"]) == (950_000_000, 10**9, 900_000_000)
    line = str(bar._bar)
    assert "95%" in line and "950M/1.00G" in line
    rate = (shown["n"] - shown["initial"]) / shown["elapsed"]
    assert rate == pytest.approx(5e6, rel=0.05)
    bar.begin(940_000_000, 1_000_000_000)  # went on after a drop, from a little before
    bar.advance(10_000_000)
    shown = bar._bar.format_dict
    assert shown["n"] - shown["initial"] == 60_000_000  # all that came
    bar.begin(0, 1_000_000_000)  # started over
    assert bar._bar.n - bar._bar.initial == 60_000_000


def test_a_line_a_minute_in_the_log(caplog):
    now_s = [0.0]
    bar = _Bar("clotho.7z", clock=lambda: now_s[0])
    bar.begin(0, 1000)
    with caplog.at_level(logging.INFO):
        for _ in range(6):
            now_s[0] += 25
            bar.advance(100)
    lines = [record.message for record in caplog.records]
    assert ["30%" in line for line in lines] == [True, False]  # after 75 s and 150 s
    assert all("clotho.7z" in line and "B/s" in line for line in lines)


def test_a_series_without_progress_ends(waits):
    attempts = []

    def attempt():
        attempts.append(1)
        raise TransientError("busy")

    with pytest.raises(UnavailableError, match="busy; given up, attempt 8"):
        persist(attempt, "x")
    assert len(attempts) == 8 and len(waits) == 7


def test_a_new_byte_starts_the_count_over(waits):
    progress = iter([0] + [n // 5 for n in range(40)])

    def attempt():
        if len(waits) < 30:
            raise TransientError("dropped")
        return "done"

    assert persist(attempt, "x", lambda: next(progress)) == "done"


def test_an_untrusted_certificate_is_no_reason_to_wait(waits, monkeypatch):
    def refuse(*_, **__):
        raise requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed")

    monkeypatch.setattr(requests.Session, "get", refuse)
    with pytest.raises(UnavailableError, match="no trusted connection"):
        transfer.get(requests.Session(), "https://host", {})


def test_a_whole_part_needs_no_request(tmp_path, monkeypatch):
    monkeypatch.setattr(requests.Session, "get", lambda *_: pytest.fail("a request"))
    (tmp_path / "x.part").write_bytes(b"whole")
    with Part(tmp_path / "x.part") as part:
        download("https://host/x", part, "x", 5, lambda *_: None)
        assert part.size == 5
