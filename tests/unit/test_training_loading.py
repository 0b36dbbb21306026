import threading
import time

import pytest

from captioner.training.loading import load_batches


@pytest.mark.parametrize("ahead", [0, 1, 2, 9])
def test_all_in_order_with_their_place(ahead):
    plan = ["a", "b", "c", "d"]
    found = list(load_batches(plan, lambda index, planned: (index, planned), ahead))
    assert found == list(enumerate(plan))
    assert list(load_batches([], lambda *_: pytest.fail("made one"), ahead)) == []


def test_made_ahead_in_one_other_thread_and_no_further():
    made, threads = [], set()

    def make(index, planned):
        threads.add(threading.get_ident())
        made.append(index)
        return index

    batches = load_batches(range(9), make, 2)
    for index in range(9):
        assert next(batches) == index
        deadline = time.monotonic() + 10
        expected = min(index + 3, 9)
        while len(made) < expected and time.monotonic() < deadline:
            time.sleep(0.001)
        assert made == list(range(expected))
    assert len(threads) == 1 and threading.get_ident() not in threads


@pytest.mark.parametrize("ahead", [0, 3])
def test_an_exception_comes_in_its_turn(ahead):
    def make(index, planned):
        if index == 2:
            raise OSError("the disk")
        return index

    found = []
    with pytest.raises(OSError, match="the disk"):
        for batch in load_batches(range(5), make, ahead):
            found.append(batch)
    assert found == [0, 1]


def test_closed_before_the_end_no_thread_is_left():
    made = []

    def make(index, planned):
        made.append(index)
        time.sleep(0.02)
        return index

    before = threading.active_count()
    batches = load_batches(range(100), make, 3)
    assert next(batches) == 0
    batches.close()
    n_made = len(made)
    assert n_made < 6 and threading.active_count() == before
    time.sleep(0.05)
    assert len(made) == n_made
