"""Gymnasium spaces for pictures of varying size, arbitrary text, and calls.

Gymnasium's `Text` rejects most Unicode, and `AsyncVectorEnv(shared_memory=True)` silently repeats its first value.
Custom spaces fail there with a clear message instead; use `shared_memory=False`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.random import Generator

from o3gym.media.pixels import Pixels
from o3gym.tools.base import Tool
from o3gym.types import Call


class ImageSpace(spaces.Space[Pixels]):
    """RGB pictures: uint8 arrays of shape (height, width, 3) with `min_pixels ≤ height · width ≤ max_pixels`."""

    def __init__(self, min_pixels: int, max_pixels: int, seed: int | Generator | None = None) -> None:
        if not 1 <= min_pixels <= max_pixels:
            raise ValueError(f"min_pixels, max_pixels: expected 1 <= min <= max, got {min_pixels} and {max_pixels}")
        self.min_pixels = min_pixels
        self.max_pixels = max_pixels
        super().__init__(None, np.uint8, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False, because sizes vary."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> Pixels:
        """Samples noise of a random size, with an aspect ratio of at most about 2 unless the bounds are very narrow."""
        pixels = self.np_random.uniform(self.min_pixels, self.max_pixels)
        width = max(1, int(np.sqrt(pixels * self.np_random.uniform(0.5, 2.0))))
        if -(-self.min_pixels // width) > self.max_pixels // width:  # no whole height lies within the bounds
            width = 1
        height = min(max(int(pixels // width), -(-self.min_pixels // width)), self.max_pixels // width)
        return self.np_random.integers(0, 256, (height, width, 3), dtype=np.uint8)

    def contains(self, x: Any) -> bool:
        """Whether `x` is a picture within the bounds."""
        return (
            isinstance(x, np.ndarray)
            and x.dtype == np.uint8
            and x.ndim == 3
            and x.shape[2] == 3
            and self.min_pixels <= x.shape[0] * x.shape[1] <= self.max_pixels
        )

    def to_jsonable(self, sample_n: Iterable[Pixels]) -> list[Any]:
        """Converts pictures to nested lists."""
        return [x.tolist() for x in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Pixels]:
        """Converts nested lists to pictures."""
        return [np.array(x, dtype=np.uint8) for x in sample_n]

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, ImageSpace)
        return same and (self.min_pixels, self.max_pixels) == (other.min_pixels, other.max_pixels)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"ImageSpace({self.min_pixels}, {self.max_pixels})"


class TextSpace(spaces.Space[str]):
    """Any Unicode text of at most `max_length` characters, including the empty text."""

    def __init__(self, max_length: int = 1_000_000, seed: int | Generator | None = None) -> None:
        self.max_length = max_length
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False, because lengths vary."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """Samples up to 32 characters: letters, digits and symbols, some of them outside ASCII."""
        alphabet = "abcXYZ 019.,{}[]<>äß漢\n"
        length = int(self.np_random.integers(0, min(32, self.max_length) + 1))
        return "".join(alphabet[int(i)] for i in self.np_random.integers(0, len(alphabet), length))

    def contains(self, x: Any) -> bool:
        """Whether `x` is a string of at most `max_length` characters."""
        return isinstance(x, str) and len(x) <= self.max_length

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextSpace) and self.max_length == other.max_length

    def __repr__(self) -> str:
        return f"TextSpace({self.max_length})"


class CallSpace(spaces.Space[Call]):
    """The calls of the enabled tools whose arguments pass the shape check, and `noop` for replies without a call.

    The space does not decide whether a call is possible (the view exists, the box has an area); `step` does, and
    answers with an observation. `sample()` returns only possible calls: never `noop`, views that exist from the start,
    boxes with an area, spans within `duration` seconds, and delegated tools with their results.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        n_sources: int = 1,
        seed: int | Generator | None = None,
        duration: float = 1.0,
    ) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.n_sources = n_sources
        self.duration = duration
        super().__init__(None, None, seed)

    @property
    def is_np_flattenable(self) -> bool:
        """False, because calls are not arrays."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> Call:
        """Samples a possible call; every tool has equal probability."""
        names = [name for name in self.tools if name != "noop"]
        tool = self.tools[names[int(self.np_random.integers(len(names)))]]
        args = {**tool.args, **tool.results}
        rng = self.np_random
        return Call(tool.name, {k: arg.sample(rng, self.n_sources, self.duration) for k, arg in args.items()})

    def contains(self, x: Any) -> bool:
        """Whether `x` is a `Call` of an enabled tool whose arguments have the declared keys and shapes."""
        return (
            isinstance(x, Call)
            and isinstance(x.tool, str)
            and x.tool in self.tools
            and not self.tools[x.tool].accepts(x.args)
        )

    def to_jsonable(self, sample_n: Iterable[Call]) -> list[Any]:
        """Converts calls to `[tool, args]` pairs."""
        return [[call.tool, call.args] for call in sample_n]

    def from_jsonable(self, sample_n: list[Any]) -> list[Call]:
        """Converts `[tool, args]` pairs to calls."""
        return [Call(tool, args) for tool, args in sample_n]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallSpace) and list(self.tools) == list(other.tools)

    def __repr__(self) -> str:
        return f"CallSpace({', '.join(self.tools)})"
