"""An asyncio event loop in a thread of its own, which ends with its owner."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

FAREWELL = 0.25
"""Seconds in which TLS connections whose requests were cancelled take leave of their server, as aiohttp recommends."""


class BackgroundLoop:
    """Runs coroutines of one owner side by side, in a daemon thread.

    The loop ends when `close` is called, when its owner is garbage collected, or with the process, whichever comes
    first. In each case what runs is cancelled and `cleanup` closes the connections on the loop that they belong to.

    Args:
        owner: the object whose coroutines run here. No reference to it is kept.
        name: what the thread and errors are called.
        cleanup: called on the loop after everything else was cancelled; must not refer to the owner.
    """

    def __init__(self, owner: object, name: str, cleanup: Callable[[], Awaitable[None]]) -> None:
        self._name, self._cleanup = name, cleanup
        self._gate, self._closed = threading.Lock(), False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        weakref.finalize(owner, self.close)

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Runs a coroutine and returns its future result. Raises RuntimeError if the loop is closed."""
        return self._scheduled(coroutine, lambda: asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def launch(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine without a result, at half the cost of `start`. Raises RuntimeError if the loop is closed."""
        self._scheduled(coroutine, lambda: self._loop.call_soon_threadsafe(self._loop.create_task, coroutine))

    def close(self) -> None:
        """Cancels what runs, cleans up and ends the thread."""
        with self._gate:
            if not self._closed:
                self._closed = True
                asyncio.run_coroutine_threadsafe(self._stop(), self._loop)
        # The garbage collector may run on any thread, also on this one, which cannot wait for its own end.
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _scheduled(self, coroutine: Coroutine[Any, Any, Any], schedule: Callable[[], T]) -> T:
        with self._gate:  # `close` cancels whatever is scheduled before it; nothing would end what is scheduled later
            if not self._closed:
                return schedule()
        coroutine.close()
        raise RuntimeError(f"{self._name} is closed")

    def _run(self) -> None:
        self._loop.run_forever()
        self._loop.close()  # does not wait for worker threads: no thread can be started to wait at the end of a process

    async def _stop(self) -> None:
        try:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._cleanup()
            await asyncio.sleep(FAREWELL if tasks else 0.0)
            await self._loop.shutdown_asyncgens()
        finally:
            self._loop.stop()
