"""Attribute family: the colour of a tiny thing that occurs once, or the shape printed on the only sign."""

from __future__ import annotations

from random import Random

from o3gym import geometry
from o3gym.suites.scenes.base import Family, Scene, levels, others, square
from o3gym.suites.scenes.grounds import Ground, choose_ground, paint_ground
from o3gym.suites.scenes.icons import ICONS
from o3gym.suites.scenes.outlines import SHAPES, move
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS, INK, WHITE
from o3gym.suites.scenes.scatter import SCATTER_ASPECT, TINY, Thing, paint_things, random_things, strew
from o3gym.types import Box


def build_attribute(rng: Random, difficulty: str) -> Scene:
    """Scatter things and ask about one that is tiny and unique."""
    ground, strewn = choose_ground(rng), strew(rng, difficulty)
    box = strewn.tiny.pop(rng.randrange(len(strewn.tiny)))
    rest = [*strewn.large, *strewn.tiny, square(*geometry.center(strewn.free), TINY[difficulty] * 1.8)]
    if rng.random() < 0.3:
        return _sign_scene(rng, ground, random_things(rng, rest, without=()), box)
    wanted = Thing(rng.choice(list(ICONS)), rng.choice(list(COLOURS)), box)
    return _colour_scene(rng, ground, [*random_things(rng, rest, without=(wanted.kind,)), wanted], wanted)


def _colour_scene(rng: Random, ground: Ground, things: list[Thing], wanted: Thing) -> Scene:
    question = ask_colour(rng, wanted.kind)

    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        paint_things(painter, things)

    wrong = others(rng, list(COLOURS), wanted.colour, rng.choice((3, 4, 5)))
    return Scene(question, wanted.colour, wrong, ((wanted.kind, wanted.box),), paint, _items(things))


def ask_colour(rng: Random, wanted: str) -> str:
    """A question about the colour of the only thing of kind `wanted`, or about the shape on a "sign"."""
    if wanted == "sign":
        return rng.choice(
            (
                "What shape is printed on the small white sign on a post?",
                "Somewhere there is one little white sign on a post. Which shape does it show?",
            )
        )
    return rng.choice(
        (
            f"What colour is the {wanted}?",
            f"There is exactly one {wanted} in the picture. Which colour is it?",
            f"Look for the only {wanted}. What is its colour?",
        )
    )


def _items(things: list[Thing]) -> tuple[tuple[str, Box], ...]:
    return tuple((f"{thing.colour} {thing.kind}", thing.box) for thing in things)


def _sign_scene(rng: Random, ground: Ground, things: list[Thing], box: Box) -> Scene:
    shape, colour = rng.choice(list(SHAPES)), rng.choice(list(COLOURS))
    question = ask_colour(rng, "sign")

    def paint(painter: Painter) -> None:
        paint_ground(painter, ground)
        paint_things(painter, things)
        paint_sign(painter, box, shape, colour)

    wrong = others(rng, list(SHAPES), shape, rng.choice((3, 4, 5)))
    items = (*_items(things), (f"{shape} sign", box))
    return Scene(question, shape, wrong, (("sign", box),), paint, items)


def paint_sign(painter: Painter, box: Box, shape: str, colour: str) -> None:
    """Draw a white board with a dark rim on a post, with one coloured shape in its middle."""
    x0, y0, x1, y1 = box
    side = x1 - x0
    painter.box((x0 + side * 0.45, y0 + side * 0.6, x1 - side * 0.45, y1), (96, 84, 70))
    painter.box((x0 + side * 0.08, y0, x1 - side * 0.08, y0 + side * 0.8), INK, side * 0.08)
    painter.box((x0 + side * 0.13, y0 + side * 0.05, x1 - side * 0.13, y0 + side * 0.75), WHITE, side * 0.05)
    painter.fill([move(SHAPES[shape], (x0 + x1) / 2, y0 + side * 0.4, side * 0.42)], COLOURS[colour])


ATTRIBUTE_FAMILY = Family(
    aspect=SCATTER_ASPECT,
    levels=levels(1_200_000, {d: tiny / 2 for d, tiny in TINY.items()}),
    build=build_attribute,
)
