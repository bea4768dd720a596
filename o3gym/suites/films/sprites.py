"""Drawn things that are cut out once and then pasted into many frames, which makes a frame cheap."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from o3gym.suites.scenes.icons import paint_icon
from o3gym.suites.scenes.painter import Painter
from o3gym.types import Size


class Sprite(NamedTuple):
    """A picture and its opacity, as RGB and 8-bit grey images of one size."""

    colours: Image.Image
    opacity: Image.Image


def cut_out(size: Size, draw: Callable[[Painter], None]) -> Sprite:
    """What `draw` draws on a board of height 1, without a background.

    It is drawn on black and on white: where both agree it is opaque, and where they differ most it is transparent.
    """
    drawn = []
    for ground in (0, 255):
        painter = Painter(size, size[0] / size[1])
        painter.image.paste((ground,) * 3, (0, 0, *size))
        draw(painter)
        drawn.append(np.asarray(painter.image, np.int32))
    opacity = 255 - np.clip(drawn[1] - drawn[0], 0, 255).max(2)
    colours = np.clip(drawn[0] * 255 // np.maximum(opacity, 1)[..., None], 0, 255)
    return Sprite(Image.fromarray(colours.astype(np.uint8)), Image.fromarray(opacity.astype(np.uint8)))


def put(painter: Painter, sprite: Sprite, x: float, y: float) -> None:
    """Pastes a sprite with its upper left corner at the board's (x, y), rounded to whole pixels."""
    scale = painter.image.height
    painter.image.paste(sprite.colours, (round(x * scale), round(y * scale)), sprite.opacity)


@lru_cache(maxsize=256)
def icon_sprite(name: str, colour: str, pixels: int) -> Sprite:
    """The icon of a thing in a square with a side of `pixels` pixels."""
    return cut_out((pixels, pixels), lambda painter: paint_icon(painter, name, (0.02, 0.02, 0.95, 0.95), colour))
