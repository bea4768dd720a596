"""Turned family: a code that is written at an angle, so that the picture must be rotated before it can be read."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from o3gym.suites.scenes.base import Family, Scene
from o3gym.suites.scenes.grounds import choose_ground, paint_ground
from o3gym.suites.scenes.labels import LABEL_LEVELS, ask_label, lay_labels, paint_label
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import CARD, INK
from o3gym.suites.scenes.text import near
from o3gym.types import Size

STEEP = 30
"""Smallest angle between a code and upright text, in degrees. The reader of the tests allows for 10."""
_STEPS: Mapping[str, int] = {"easy": 30, "medium": 15, "hard": 1}
TURNS: Mapping[str, tuple[int, ...]] = {
    difficulty: tuple(angle for angle in range(-180 + step, 181, step) if abs(angle) >= STEEP)
    for difficulty, step in _STEPS.items()
}
"""Angles of the codes by difficulty, in degrees counter-clockwise."""


def build_turned(rng: Random, difficulty: str) -> Scene:
    """Lay out labels at random angles and ask for the code on one."""
    labels, target = lay_labels(rng, difficulty, TURNS[difficulty])
    ground = choose_ground(rng)

    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        for label in labels:
            paint_label(painter, label, CARD, INK)

    def program(size: Size) -> str:
        turn = f"rotate({-target.angle})" if difficulty == "easy" else f"rotate({-target.angle}, resample=3)"
        return f"picture = image.{turn if difficulty == 'easy' else f'crop({target.around(size)}).{turn}'}"

    return Scene(
        ask_label(rng, target, len(labels) == 1),
        target.code,
        near(rng, target.code),
        ((f"{target.colour} label", target.box),),
        paint,
        tuple((label.code, label.box) for label in labels),
        program=program,
    )


TURNED_FAMILY = Family(aspect=1.0, levels=LABEL_LEVELS, build=build_turned)
