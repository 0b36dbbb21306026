"""Batches read ahead, so that the model does not wait for features."""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Planned = TypeVar("Planned")
Made = TypeVar("Made")


def load_batches(
    plan: Sequence[Planned], make: Callable[[int, Planned], Made], ahead: int
) -> Generator[Made, None, None]:
    """Give `make(index, plan[index])` for all of `plan`, in order.

    While one batch is worked on, up to `ahead` are made in a thread of their own; 0: each is made
    when it is asked for. What `make` raises is raised here, in its turn. Closing the iterator, or
    an exception, waits for the batch that is being made and makes no other.
    """
    coming = enumerate(plan)
    if not ahead:
        for index, planned in coming:
            yield make(index, planned)
        return
    thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        waiting: deque[Future[Made]] = deque(
            thread.submit(make, index, planned) for index, planned in islice(coming, ahead)
        )
        while waiting:
            made = waiting.popleft().result()
            waiting.extend(
                thread.submit(make, index, planned) for index, planned in islice(coming, 1)
            )
            yield made
            del made  # the memory of one batch less
    finally:
        thread.shutdown(wait=True, cancel_futures=True)
