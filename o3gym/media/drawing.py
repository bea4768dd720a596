"""What all drawings of episodes share: colours, the font, badges, and the pixels of a view as it was shown."""

from __future__ import annotations

from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from o3gym.media.images import shared_store
from o3gym.types import Size, Trajectory, View

GROUND, CANVAS_INK, FAINT = (24, 26, 31), (232, 234, 238), (148, 153, 163)
PALETTE = ((86, 180, 233), (230, 159, 0), (0, 200, 150), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""Okabe and Ito's colours, distinguishable with colour blindness and visible on dark and light pictures."""


def colour(index: int) -> tuple[int, int, int]:
    """The colour of a view or turn with that number, which is the same wherever it is drawn."""
    return PALETTE[index % len(PALETTE)]


@cache
def label_font(size: int) -> Any:
    """The font that ships with Pillow."""
    return ImageFont.load_default(size=size)


def badge(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, fill: tuple[int, int, int]) -> None:
    """Draws a short text on a filled rectangle with its top left corner `at`."""
    draw.rectangle((at[0], at[1], at[0] + 8 + 9 * len(text), at[1] + 17), fill=fill)
    draw.text((at[0] + 4, at[1] + 1), text, font=label_font(14), fill=(0, 0, 0))


def view_image(trajectory: Trajectory, view: View) -> Image.Image:
    """A view of an episode as the agent saw it."""
    source = trajectory.sources[view.source]
    return Image.fromarray(shared_store().region(source, view.box, view.shown, view.resampling))


def scaled(image: Image.Image, limit: Size) -> Image.Image:
    """The picture at the largest size with its aspect ratio that fits into `limit`."""
    scale = min(limit[0] / image.width, limit[1] / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BICUBIC)
