"""Judges of a server that answers by a script."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from o3gym.judges.asking import AskingJudge
from tests.policies.openai.openai_stub import Stub


@pytest.fixture
def make(stub: Stub, judge_class: type[AskingJudge]) -> Iterator[Callable[..., AskingJudge]]:
    """Makes judges of the module's `judge_class`, which are closed after the test."""
    made: list[AskingJudge] = []

    def judge(**options: Any) -> AskingJudge:
        made.append(judge_class("m", **{"base_url": stub.url, "retries": 1, **options}))
        return made[-1]

    yield judge
    for each in made:
        each.close()
    gc.collect()  # a connection left open would warn here, and fail
