"""Steps of environments that may take long, such as running code, on threads of their own.

The sandbox runs the code in another process, so a thread only waits. One endless loop therefore holds up no other
episode until it reaches its time limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any, Generic, TypeAlias, TypeVar

PATIENCE = 0.5
"""Seconds for which all episodes wait for a step after its start.

Code usually takes milliseconds. Waiting for it keeps the batches of a local policy full, and makes their composition,
on which floating-point results depend a little, the same in every run.
"""

Step: TypeAlias = Callable[[], Any]
K = TypeVar("K")


class SlowSteps(Generic[K]):
    """Runs steps on threads and returns them, with their keys, in the order in which they were started.

    Args:
        most: the maximum number of steps that run at the same time.
        patience: see `PATIENCE`.
    """

    def __init__(self, most: int, patience: float = PATIENCE) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._most, self._patience = most, patience
        self._running: list[tuple[K, Future[Any], float]] = []

    def __len__(self) -> int:
        return len(self._running)

    def start(self, key: K, step: Step) -> None:
        """Starts a step."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._most, "o3gym-step")
        self._running.append((key, self._threads.submit(step), time.monotonic() + self._patience))

    def any_finished(self) -> bool:
        """Whether `finished` would return a step at once."""
        return any(future.done() for _, future, _ in self._running)

    def finished(self, block: bool) -> list[tuple[K, Step]]:
        """Takes the steps that have finished; calling one returns or raises what the step did.

        Args:
            block: whether to wait until there is one, if any is running. Otherwise, the call waits only for steps that
                were started less than the patience ago.
        """
        for _, future, deadline in self._running:
            wait([future], max(0.0, deadline - time.monotonic()))
        if block and self._running and not self.any_finished():
            wait([future for _, future, _ in self._running], return_when=FIRST_COMPLETED)
        done = [one for one in self._running if one[1].done()]
        self._running = [one for one in self._running if one not in done]
        return [(key, future.result) for key, future, _ in done]

    def close(self) -> None:
        """Waits for the steps that run, and drops those that have not begun."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
