"""A sandbox without processes: each call of code returns the next of the outcomes that a test wrote down."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

from o3gym.sandbox.limits import Outcome


def png(width: int = 60, height: int = 40, colour: str = "red", kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, kind)
    return file.getvalue()


class ScriptedSandbox:
    """Hands out `ScriptedWorker`s; an outcome may be a function of the source, which may also raise."""

    rung = "scripted"

    def __init__(self, outcomes: Iterable[Outcome | Callable[[str], Outcome]] = ()) -> None:
        self.outcomes = list(outcomes)
        self.workers: list[ScriptedWorker] = []

    def worker(self, workplace: Any) -> ScriptedWorker:
        self.workers.append(ScriptedWorker(self, workplace))
        return self.workers[-1]

    def describe(self) -> dict[str, Any]:
        return {"rung": self.rung}


class ScriptedWorker:
    def __init__(self, sandbox: ScriptedSandbox, workplace: Any) -> None:
        self.sandbox, self.workplace = sandbox, workplace
        self.pictures: dict[str, np.ndarray] = {}
        self.sources: list[str] = []
        self.closed = 0

    def put(self, name: str, pixels: np.ndarray, again: object = None) -> None:
        self.pictures[name] = pixels

    def run(self, source: str) -> Outcome:
        self.sources.append(source)
        outcome = self.sandbox.outcomes.pop(0) if self.sandbox.outcomes else Outcome()
        return outcome if isinstance(outcome, Outcome) else outcome(source)

    def close(self) -> None:
        self.closed += 1
