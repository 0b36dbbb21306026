"""One piece of work at a time, in a thread of its own; the others wait in the order they came."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from captioner.serving.uploads import RefusedError

Result = TypeVar("Result")


class StoppedError(Exception):
    """Nobody waits for this work any more."""


class Turns:
    """A bounded number of requests, of which one is worked on."""

    def __init__(self, n_requests: int):
        """Take at most `n_requests` at one time."""
        self._free = n_requests
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="captioning")

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place while a request is uploaded and worked on.

        Raises `RefusedError` (503) if none is free. Of the event loop's thread alone.
        """
        if self._free == 0:
            raise RefusedError(
                503, "Found too many sounds being captioned already, expected some patience. "
                "Send it again in a few seconds."
            )  # fmt: skip
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1

    async def take(
        self, work: Callable[[threading.Event], Result], left: Coroutine[Any, Any, object]
    ) -> Result:
        """Run `work(stop)` when its turn comes.

        When `left` is done (the client is gone), work that waits is dropped and work that runs is
        told by `stop`; then, once it has ended and let go of its files, raises `StoppedError`.
        """
        stop = threading.Event()
        leaving = asyncio.ensure_future(left)
        future = self._worker.submit(work, stop)
        working = asyncio.wrap_future(future)
        both: list[asyncio.Future[Any]] = [leaving, working]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                stop.set()
                if not future.cancel():
                    await asyncio.wait({working})
                raise StoppedError
            return working.result()
        finally:
            stop.set()
            future.cancel()
            leaving.cancel()
            if working.done() and not working.cancelled():
                working.exception()  # seen: asyncio complains of those that nobody asks for
