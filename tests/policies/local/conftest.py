"""Models and encoders that are loaded once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.loading import load_model
from o3gym.policies.local.processors import load_processor


@pytest.fixture(scope="module")
def parts(vlm: Callable[[str], str]) -> Callable[[str], tuple[Any, Encoder]]:
    """A model and its encoder by family, loaded once per module."""
    loaded: dict[str, tuple[Any, Encoder]] = {}

    def load(family: str) -> tuple[Any, Encoder]:
        if family not in loaded:
            loaded[family] = load_model(vlm(family)), Encoder(load_processor(vlm(family)))
        return loaded[family]

    return load
