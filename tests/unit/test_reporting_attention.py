"""The data of the attention maps: exact to half a level, small, in files of some clips each."""

import base64
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from captioner.decoding.attended import Attended, write_attention
from captioner.reporting.attention import LETTERS, page_row, peaks, write_attention_data
from captioner.reporting.listening import Listening
from listening_pages import many_clips


def unpacked(cells: str, n_words: int, n_bins: int) -> np.ndarray:
    """What the page makes of the cells: times an even look."""
    packed = np.frombuffer(base64.b64decode(cells), np.uint8)
    levels = np.stack([packed >> 4, packed & 15], axis=1).ravel()
    assert not levels[n_words * n_bins :].any() and levels.size - n_words * n_bins in (0, 1)
    return 16 * (levels[: n_words * n_bins].reshape(n_words, n_bins) / 15) ** 2


def made_up(words: list[str], n_bins: int, seed: int, bin_s: float = 0.19) -> Attended:
    weights = np.random.default_rng(seed).dirichlet(np.full(n_bins, 0.3), len(words))
    return Attended(tuple(words), -bin_s / 2, bin_s, weights.astype(np.float32))


@pytest.mark.parametrize(("n_words", "n_bins"), [(1, 1), (3, 27), (12, 60)])
def test_levels_are_the_nearest_to_the_weights(n_words: int, n_bins: int) -> None:
    attended = made_up(["w"] * n_words, n_bins, seed=n_bins)
    start_s, bin_s, n, letters, cells = page_row(attended)
    assert (start_s, bin_s, n, len(letters)) == (-0.095, 0.19, n_bins, n_words)
    found, times_even = unpacked(cells, n_words, n_bins), attended.weights * n_bins
    steps = np.abs(np.sqrt(found) - np.sqrt(np.minimum(times_even, 16)))
    assert steps.max() <= 4 / 15 / 2 + 1e-6  # half a level


def test_many_bins_are_added_up() -> None:
    attended = made_up(["a", "dog"], 162, seed=1)
    row = page_row(attended)
    assert row[1:3] == [pytest.approx(3 * 0.19), 54]
    assert row[0] == pytest.approx(-0.095)
    together = attended.weights.reshape(2, 54, 3).sum(axis=2)
    found = unpacked(row[4], 2, 54)
    steps = np.abs(np.sqrt(found) - np.sqrt(np.minimum(together * 54, 16)))
    assert steps.max() <= 4 / 15 / 2 + 1e-6
    assert page_row(made_up(["a"], 61, seed=1))[2] == 31  # the last bin of one position


def test_peaks_are_beside_the_other_words() -> None:
    """All words rest on the first bin; what is a word's own is elsewhere."""
    weights = np.array([[0.7, 0.2, 0.05, 0.05], [0.7, 0.05, 0.05, 0.2], [0.9, 0.05, 0.03, 0.02]])
    assert peaks(4 * weights).tolist() == [1, 3, 0]
    assert peaks(4 * weights[:1]).tolist() == [0], "a single word looks where it looks"
    row = page_row(Attended(("a", "dog", "barks"), 0.0, 1.0, weights.astype(np.float32)))
    assert row[3] == "BDA"


def test_letters_are_base64_digits() -> None:
    digits = base64.b64encode(bytes([0, 16, 131, 16, 81, 135])).decode()
    assert digits == LETTERS[:8] == "ABCDEFGH" and LETTERS.endswith("789+/") and len(LETTERS) == 64


def test_nothing_said_nothing_shown() -> None:
    assert page_row(None) is None
    assert page_row(Attended((), 0.0, 0.1, np.zeros((0, 0), np.float32))) is None


def read_file(path: Path) -> tuple[int, int, list]:
    text = path.read_text(encoding="ascii")
    match = re.fullmatch(r"receiveAttention\((\d+),(\d+),(.*)\);\n", text, re.S)
    assert match is not None
    return int(match[1]), int(match[2]), json.loads(match[3])


def write_runs(
    listening: Listening, numbers: list[int], folder: Path, n_bins: int
) -> dict[str, Path]:
    """Write made-up attention for some runs' captions."""
    files = {}
    for number in numbers:
        run = listening.runs[number]
        files[run.identifier] = folder / f"{number}.parquet"
        attended = {
            clip.file_name: made_up(
                caption.split(), n_bins, seed=i, bin_s=clip.duration_s / (n_bins - 1)
            )
            for i, (clip, caption) in enumerate(zip(listening.clips, run.captions, strict=True))
        }
        write_attention(files[run.identifier], attended)
    return files


def test_files_hold_the_clips_in_their_order(tmp_path: Path) -> None:
    listening = many_clips(120, 3, random.Random(1))
    first = replace(listening.runs[0], captions=["", *listening.runs[0].captions[1:]])
    listening = replace(listening, runs=[first, *listening.runs[1:]])
    files = write_runs(listening, [0, 2], tmp_path, 20)
    told = write_attention_data(files, listening, tmp_path / "report")
    assert told == {"runs": [0, 2], "size": 50}
    names = sorted(path.name for path in (tmp_path / "report/data").iterdir())
    assert names == [f"attention-{run}-{part}.js" for run in (0, 2) for part in range(3)]
    for run in (0, 2):
        rows = []
        for part in range(3):
            number, numbered, clips = read_file(tmp_path / f"report/data/attention-{run}-{part}.js")
            assert (number, numbered) == (run, part)
            rows += clips
        assert len(rows) == 120
        for i, (caption, row) in enumerate(zip(listening.runs[run].captions, rows, strict=True)):
            expected = page_row(made_up(caption.split(), 20, seed=i)) if caption else None
            assert (row is None) == (expected is None)
            if row is not None:
                assert len(row[3]) == len(caption.split())


def test_five_systems_on_clotho_are_small(tmp_path: Path) -> None:
    """1,045 clips of 15 to 30 s, captions of 8 to 15 words, 54 bins: those of a clip of 30 s."""
    listening = many_clips(1045, 5, random.Random(2))
    files = write_runs(listening, [0], tmp_path, 54)
    write_attention_data(files, listening, tmp_path / "report")
    n_bytes = sum(path.stat().st_size for path in (tmp_path / "report/data").iterdir())
    assert n_bytes > 0.3e6 and 5 * n_bytes < 2.5e6
