"""A source of tiny demonstrations: which colour is the picture? Two turns, a picture in each."""

from __future__ import annotations

from functools import partial

import numpy as np

from o3gym.policies.dialogue import Message, Picture
from o3gym.train.data.sources import BadDemonstration
from o3gym.types import FULL, View

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220), "white": (250, 250, 250)}


def picture(index: int, colour: str, side: int) -> Picture:
    size = (side, side)
    return Picture(View(index, 0, FULL, size, size), partial(np.full, (side, side, 3), COLOURS[colour], dtype=np.uint8))


def dialogue(colour: str, thought: str = "") -> list[Message]:
    return [
        Message("system", ("Say the colour.",)),
        Message("user", (picture(0, colour, 64), "Which colour?")),
        Message("assistant", ("look",)),
        Message("user", ("closer: ", picture(1, colour, 32))),
        Message("assistant", (f"{thought}it is {colour}",)),
    ]


class Colours:
    """Endless, or `size` of them; those with an odd index are `longer` by so many letters, and one is `bad`."""

    def __init__(self, size: int = 0, longer: int = 0, bad: int = -1) -> None:
        self.size, self.longer, self.bad = size, longer, bad

    def example(self, index: int, seed: int) -> list[Message]:
        if index == self.bad:
            raise BadDemonstration(f"demonstration {index} is bad")
        return dialogue(list(COLOURS)[(index + seed) % 4], "x" * self.longer if index % 2 else "")


class Broken:
    """No source at all."""
