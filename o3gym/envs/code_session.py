"""The sandbox worker of an episode: opened on the first call of code, and closed with the episode."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from o3gym.media.images import RegionRequest, shared_store
from o3gym.media.pixels import Pixels
from o3gym.sandbox import Outcome, Sandbox, SandboxWorker
from o3gym.tools.code_rules import CodeRule
from o3gym.types import Source, View

MAX_HANDED = 1 << 27
"""Pixels that are handed to the code of an episode at native resolution; views beyond have the size that was shown."""
STATE_LOST = "The sandbox was started again: variables and files of earlier calls are gone."
"""The first line of the observation after the worker was lost because the environment was pickled or copied."""


class CodeSession:
    """Runs the code of one episode, in one worker that keeps its variables.

    Nothing is started before the first call. Each call first hands in the views that are new, under the names of the
    code rule. A pickled or copied session leaves the worker behind: the copy starts a new one with all views, and the
    next observation says that the variables are gone.

    Args:
        sandbox: where the code runs.
        rule: the names of the views, and what the code finds besides.
    """

    def __init__(self, sandbox: Sandbox, rule: CodeRule) -> None:
        self._sandbox, self._rule = sandbox, rule
        self._lost = False
        self._reset()

    def _reset(self) -> None:
        self._worker: SandboxWorker | None = None
        self._handed = self._pixels = 0
        self._closed = False
        self._lock = threading.Lock()

    def run(self, source: str, sources: Sequence[Source], views: Sequence[View]) -> Outcome:
        """Runs `source`, after handing in those of the episode's `views` that the worker does not have yet.

        Raises:
            RuntimeError: the session is closed.
        """
        worker = self._open()
        try:
            self._hand_in(worker, sources, views[self._handed :])
            outcome = worker.run(source)
        finally:
            if self._closed:  # by another thread: the worker may just have started another process
                worker.close()
        if self._lost:
            outcome, self._lost = replace(outcome, text=f"{STATE_LOST}\n{outcome.text}"), False
        return outcome

    def close(self) -> None:
        """Ends the worker, even while a call runs in it on another thread. A second call does nothing."""
        with self._lock:
            self._closed = True
            worker, self._worker = self._worker, None
        if worker is not None:
            self._finalizer()

    def _open(self) -> SandboxWorker:
        with self._lock:
            if self._closed:
                raise RuntimeError("the sandbox of this episode is closed")
            if self._worker is None:
                self._worker = self._sandbox.worker(self._rule.workplace)
                self._finalizer = weakref.finalize(self, _close, self._worker, os.getpid())
            return self._worker

    def _hand_in(self, worker: SandboxWorker, sources: Sequence[Source], views: Sequence[View]) -> None:
        wanted = [RegionRequest(sources[view.source], view.box, self._size(view)) for view in views]
        for view, request, pixels in zip(views, wanted, shared_store().regions(wanted), strict=True):
            worker.put(self._rule.name(view.index), pixels, partial(_once_more, request))
            self._handed = view.index + 1

    def _size(self, view: View) -> tuple[int, int]:
        """The size at which a view is handed in: native, unless too many pixels have been handed in already."""
        size = (
            min(view.native, view.shown, key=_area) if self._pixels + _area(view.native) > MAX_HANDED else view.native
        )
        self._pixels += _area(size)
        return size

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the worker, and notes that it is lost."""
        return {"sandbox": self._sandbox, "rule": self._rule, "lost": self._lost or self._worker is not None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores a session without a worker."""
        self._sandbox, self._rule, self._lost = state["sandbox"], state["rule"], state["lost"]
        self._reset()


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _once_more(request: RegionRequest) -> Pixels:
    """Returns pixels that were handed in before, for a worker that has lost them."""
    return shared_store().regions([request])[0]


def _close(worker: SandboxWorker, owner: int) -> None:
    """Ends a worker, unless this is a forked child, whose parent still uses it."""
    if os.getpid() == owner:
        worker.close()
