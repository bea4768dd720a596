"""Sandboxes for the tests of a module, one on each rung that works on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from o3gym.sandbox import Sandbox, SandboxUnavailable, SandboxWorker, Workplace, open_sandbox

SMALL = "memory=256&file=8&folder=16&output=500&pictures=2&picture=1&picture_pixels=250000"


@pytest.fixture(scope="module", params=["bwrap", "seccomp"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox with small limits. A rung that does not work here is left out, with the reason."""
    if sys.platform != "linux":
        pytest.skip("the sandbox is for Linux")
    try:
        opened = open_sandbox(f"{request.param}?{SMALL}")
    except SandboxUnavailable as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


@pytest.fixture
def open_worker(sandbox: Sandbox) -> Iterator[Callable[..., SandboxWorker]]:
    """Opens workers, which are closed after the test."""
    workers = []

    def make(**arguments: object) -> SandboxWorker:
        workers.append(sandbox.worker(Workplace(**arguments)))  # type: ignore[arg-type]
        return workers[-1]

    yield make
    for worker in workers:
        worker.close()


@pytest.fixture
def worker(open_worker: Callable[..., SandboxWorker]) -> SandboxWorker:
    """A worker with the default workplace."""
    return open_worker()
