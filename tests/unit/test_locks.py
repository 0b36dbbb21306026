import logging
import threading
import time

import pytest

from captioner.corpus.download import locks
from captioner.corpus.download.locks import connection, exclusive


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(locks, "POLL_S", 0.01)


def most_at_once(hold, n_threads):
    """Run a context manager in threads; return how many held it at once."""
    active, most, guard = 0, 0, threading.Lock()

    def work():
        nonlocal active, most
        with hold():
            with guard:
                active += 1
                most = max(most, active)
            time.sleep(0.03)
            with guard:
                active -= 1

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return most


def test_one_at_a_time(tmp_path):
    assert most_at_once(lambda: exclusive(tmp_path / "a" / "x.lock", "x"), 4) == 1


@pytest.mark.parametrize("limit", [1, 3])
def test_a_limit_per_host(tmp_path, limit):
    assert most_at_once(lambda: connection(tmp_path, "host:80", limit), 7) == limit


def test_the_limit_is_the_modules_by_default(tmp_path):
    assert most_at_once(lambda: connection(tmp_path, "host"), locks.PER_HOST + 3) == locks.PER_HOST


def test_hosts_do_not_wait_for_each_other(tmp_path):
    with connection(tmp_path, "one.org", 1), connection(tmp_path, "two.org", 1):
        pass


def test_whoever_waits_says_so(tmp_path, caplog):
    path = tmp_path / "x.lock"
    with caplog.at_level(logging.INFO):
        most_at_once(lambda: exclusive(path, "clotho.7z"), 2)
    assert caplog.text.count("clotho.7z: another process is at it; waiting") == 1


def test_an_error_gives_the_lock_back(tmp_path):
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path / "x.lock", "x"):
        1 / 0
    with exclusive(tmp_path / "x.lock", "x"):
        pass
