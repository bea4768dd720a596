"""Dim family: a code in almost the colour of its paper, so that it can be read only after the contrast is stretched."""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image

from o3gym.suites.scenes.base import Family, Scene
from o3gym.suites.scenes.grounds import choose_ground, paint_ground
from o3gym.suites.scenes.labels import LABEL_LEVELS, Label, ask_label, lay_labels, paint_label
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import RGB
from o3gym.suites.scenes.text import near
from o3gym.types import Size

FAINTNESS = 2
"""Difference between the codes and their paper in each channel, in levels of 255."""
GRAIN = 1
"""Range of the noise of the paper, in levels of 255."""
SEEN_FROM = 8
"""Smallest difference that counts as visible, in levels of 255: one step of a scale of 32 greys."""


def build_dim(rng: Random, difficulty: str) -> Scene:
    """Lay out upright labels with faint codes and ask for one. On easy, the whole picture is the paper of one label."""
    labels, target = lay_labels(rng, difficulty)
    seed = rng.getrandbits(32)
    papers = [_paper(rng) for _ in labels]
    inks = [_moved(paper, rng.choice((-FAINTNESS, FAINTNESS))) for paper in papers]
    ground, alone = choose_ground(rng), len(labels) == 1

    def paint(painter: Painter) -> None:
        if alone:
            painter.box((0, 0, 1, 1), papers[0])
            painter.text(target.middle, target.code, target.em, inks[0])
            _grain(painter, (0, 0, *painter.image.size), seed)
            return
        paint_ground(painter, ground)
        for i, label in enumerate(labels):
            paint_label(painter, label, papers[i], inks[i])
            _grain(painter, label.paper(painter.image.size), seed + i)

    return Scene(
        ask_label(rng, target, alone),
        target.code,
        near(rng, target.code),
        ((f"{target.colour} label", target.box),),
        paint,
        tuple((label.code, label.box) for label in labels),
        program=lambda size: stretching(target, alone, size),
    )


def stretching(label: Label, alone: bool, size: Size) -> str:
    """The program that makes the code of a label legible: a linear stretch of its paper, or of the whole picture."""
    paper = "image" if alone else f"image.crop({label.paper(size)})"
    return f"from PIL import ImageOps\npicture = ImageOps.autocontrast({paper})"


def _paper(rng: Random) -> RGB:
    tone = rng.randrange(70, 200)
    r, g, b = (tone + rng.randrange(-12, 13) for _ in range(3))
    return (r, g, b)


def _moved(colour: RGB, by: int) -> RGB:
    r, g, b = colour
    return (r + by, g + by, b + by)


def _grain(painter: Painter, frame: tuple[int, int, int, int], seed: int) -> None:
    """Add noise of up to `GRAIN` levels, the same in all channels, to a part of the picture."""
    part = np.asarray(painter.image.crop(frame))
    noise = np.random.Generator(np.random.PCG64(seed)).integers(0, GRAIN + 1, (*part.shape[:2], 1), np.uint8)
    painter.image.paste(Image.fromarray(part + noise), frame)


DIM_FAMILY = Family(aspect=1.0, levels=LABEL_LEVELS, build=build_dim)
