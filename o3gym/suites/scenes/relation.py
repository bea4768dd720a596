"""Relation family: the relative position of two tiny things, or which thing is next to another on a given side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from o3gym import geometry
from o3gym.suites.scenes.base import Family, Scene, levels, others, square
from o3gym.suites.scenes.grounds import Ground, choose_ground, paint_ground
from o3gym.suites.scenes.icons import ICONS
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.suites.scenes.scatter import SCATTER_ASPECT, TINY, Strewn, Thing, paint_things, random_things, strew
from o3gym.types import Box

SIDES: Mapping[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
DIAGONALS: Mapping[str, tuple[int, int]] = {
    "upper left": (-1, -1),
    "upper right": (1, -1),
    "lower left": (-1, 1),
    "lower right": (1, 1),
}
_BESIDE = ("to the left of", "to the right of", "above", "below")
_REACH: Mapping[str, tuple[float, float]] = {"easy": (0.1, 0.5), "medium": (0.08, 0.6), "hard": (0.06, 0.7)}
"""Smallest and largest distance between the two things, in board units."""


def build_relation(rng: Random, difficulty: str) -> Scene:
    """Scatter things and ask for the relative position of tiny, unique ones."""
    ground, strewn = choose_ground(rng), strew(rng, difficulty)
    if rng.random() < 0.35:
        return _neighbour_scene(rng, difficulty, ground, strewn)
    return _direction_scene(rng, difficulty, ground, strewn)


def _direction_scene(rng: Random, difficulty: str, ground: Ground, strewn: Strewn) -> Scene:
    directions = rng.choice((SIDES, DIAGONALS))
    answer = rng.choice(list(directions))
    first, second = rng.sample(list(ICONS), 2)
    place, other = _pair(rng, difficulty, strewn.tiny, directions[answer])
    rest = [box for box in strewn.large + strewn.tiny if box not in (place, other)]
    a = Thing(first, rng.choice(list(COLOURS)), place)
    b = Thing(second, rng.choice(list(COLOURS)), other)
    question = _where(rng, first, second, directions is DIAGONALS)
    wrong = others(rng, list(directions), answer, 3)
    things = [*random_things(rng, rest, without=(first, second)), a, b]
    return Scene(question, answer, wrong, ((first, place), (second, other)), _paint(ground, things))


def _where(rng: Random, first: str, second: str, corner: bool) -> str:
    ways = "upper left, upper right, lower left or lower right" if corner else "left, right, above or below"
    return rng.choice(
        (
            f"Seen from the {second}, where does the {first} lie: {ways}?",
            f"There is one {first} and one {second}. Where is the {first} relative to the {second}: {ways}?",
            f"Compare the only {first} with the only {second}. Which way from the {second} is the {first}: {ways}?",
        )
    )


def _pair(rng: Random, difficulty: str, boxes: list[Box], way: tuple[int, int]) -> tuple[Box, Box]:
    """Two boxes, the first clearly in direction `way` from the second."""
    low, high = _REACH[difficulty]
    for _ in range(20_000):
        a, b = rng.sample(boxes, 2)
        if low <= _distance(a, b) <= high and _lies(a, b, way):
            return a, b
    raise AssertionError("a board always has two tiny things in a given direction")  # pragma: no cover


def _distance(a: Box, b: Box) -> float:
    (ax, ay), (bx, by) = geometry.center(a), geometry.center(b)
    return max(abs(ax - bx), abs(ay - by))


def _lies(a: Box, b: Box, way: tuple[int, int]) -> bool:
    """Whether `a` lies in direction `way` from `b`: within 22 degrees of an axis, or within 18 of a diagonal."""
    (ax, ay), (bx, by) = geometry.center(a), geometry.center(b)
    dx, dy = ax - bx, ay - by
    if 0 in way:
        along, across = (dx * way[0], dy) if way[0] else (dy * way[1], dx)
        return along > 2.5 * abs(across)
    x, y = dx * way[0], dy * way[1]
    return x > 0 and y > 0 and 0.5 < x / y < 2


def _neighbour_scene(rng: Random, difficulty: str, ground: Ground, strewn: Strewn) -> Scene:
    """A scene with a tight group: one thing in the middle and one on each side of it."""
    middle, *around = rng.sample(list(ICONS), 5)
    x, y = geometry.center(strewn.free)
    side = min(TINY[difficulty], (strewn.free[3] - strewn.free[1]) * 0.27)
    step = side * 1.3
    group = [Thing(middle, rng.choice(list(COLOURS)), square(x, y, side))]
    for kind, (dx, dy) in zip(around, SIDES.values(), strict=True):
        group.append(Thing(kind, rng.choice(list(COLOURS)), square(x + dx * step, y + dy * step, side)))
    which = rng.randrange(4)
    way, wanted = _BESIDE[which], group[which + 1]
    question = rng.choice(
        (
            f"Which thing is directly {way} the {middle}?",
            f"Find the only {middle}. What is right next to it, directly {way} it?",
        )
    )
    absent = others(rng, [kind for kind in ICONS if kind not in (middle, *around)], "", rng.choice((0, 1, 2)))
    wrong = [kind for kind in (*around, *absent) if kind != wanted.kind]
    things = [*random_things(rng, strewn.large + strewn.tiny, without=(middle,)), *group]
    return Scene(
        question,
        wanted.kind,
        tuple(wrong),
        ((middle, group[0].box), (wanted.kind, wanted.box)),
        _paint(ground, things),
    )


def _paint(ground: Ground, things: list[Thing]) -> Callable[[Painter], None]:
    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        paint_things(painter, things)

    return paint


RELATION_FAMILY = Family(
    aspect=SCATTER_ASPECT,
    levels=levels(1_200_000, {d: tiny / 2 for d, tiny in TINY.items()}),
    build=build_relation,
)
