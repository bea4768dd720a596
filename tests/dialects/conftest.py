"""A film that the dialect tests play."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from o3gym.registry import GENERATED_SIZES, GENERATORS, Registry
from o3gym.types import Source


@pytest.fixture
def video(register: Callable[[Registry, str, Any], str]) -> Source:
    """Forty seconds with four frames a second."""
    register(GENERATED_SIZES, "plain", lambda fps: (40, 30))
    plain = register(GENERATORS, "plain", lambda time, fps: Image.new("RGB", (40, 30)))
    return Source("generated", plain, {"fps": 4.0}, duration=40.0)
