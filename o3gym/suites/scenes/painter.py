"""Drawing in board units on a picture of any size.

A board is `aspect` units wide and 1 unit high, whatever the picture's size in pixels. A layout can therefore be drawn
at any resolution, and circles stay round. Shapes are supersampled within their own bounding boxes only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

from o3gym.suites.scenes.outlines import Point, Ring, ellipse, rectangle, stroke
from o3gym.suites.scenes.palette import RGB
from o3gym.types import Box, Size

Anchor: TypeAlias = Literal["lm", "mm", "rm"]

_REFERENCE = 200
_GRAIN = 256
_PIECE = 5
"""Segments of a line that are drawn at once. Short pieces have small bounding boxes, which are supersampled finely."""


@lru_cache(maxsize=64)
def font(pixels: int) -> ImageFont.FreeTypeFont:
    """Pillow's bundled font at an em of `pixels`, without Raqm, so that text is set identically on every machine."""
    face = ImageFont.load_default(pixels)
    if not isinstance(face, ImageFont.FreeTypeFont):
        raise RuntimeError("synthetic pictures need a Pillow with FreeType support")
    return face.font_variant(layout_engine=ImageFont.Layout.BASIC)


@lru_cache(maxsize=4096)
def text_width(text: str, em: float) -> float:
    """Width of `text` at font size `em`, in the units of `em` (before rounding to pixels)."""
    return font(_REFERENCE).getlength(text) / _REFERENCE * em


class Painter:
    """A picture being drawn.

    Attributes:
        image: the RGB picture so far.
        aspect: width of the board in board units.
    """

    def __init__(self, size: Size, aspect: float) -> None:
        self.image = Image.new("RGB", size)
        self.aspect = aspect
        self._scale = (size[0] / aspect, float(size[1]))
        self._draw = ImageDraw.Draw(self.image)

    def backdrop(self, corners: Sequence[RGB], seed: int, mottle: float = 5.0, grain: int = 4) -> None:
        """Fill the picture with a gradient between four corner colours (top row, bottom row), plus noise.

        `mottle` is the amplitude (±) of large soft spots and `grain` the range of the per-pixel noise, both on a scale
        of 0..255.
        """
        rng = np.random.Generator(np.random.PCG64(seed))
        across, down = np.linspace(0, 1, 12)[None, :, None], np.linspace(0, 1, 9)[:, None, None]
        a, b, c, d = (np.array(corner, float) for corner in corners)
        soft = (a * (1 - across) + b * across) * (1 - down) + (c * (1 - across) + d * across) * down
        soft += (rng.random((9, 12, 1)) - 0.5) * 2 * mottle
        small = Image.fromarray(np.clip(soft, 0, 255).round().astype(np.uint8))
        smooth = small.resize(self.image.size, Image.Resampling.BICUBIC)
        tile = (rng.random((_GRAIN, _GRAIN, 1)) * (grain + 1)).astype(np.uint8).repeat(3, 2)
        self.image.paste(ImageChops.subtract(smooth, self._tiled(Image.fromarray(tile))))

    def _tiled(self, tile: Image.Image) -> Image.Image:
        sheet = Image.new("RGB", self.image.size)
        for y in range(0, sheet.height, tile.height):
            for x in range(0, sheet.width, tile.width):
                sheet.paste(tile, (x, y))
        return sheet

    def fill(self, rings: Sequence[Ring], colour: RGB, alpha: float = 1.0) -> None:
        """Fill the union of closed rings with one colour, with smooth edges, clipped to the picture."""
        sx, sy = self._scale
        pixels = [[(x * sx, y * sy) for x, y in ring] for ring in rings]
        xs, ys = [x for ring in pixels for x, _ in ring], [y for ring in pixels for _, y in ring]
        x0, y0 = max(math.floor(min(xs)), 0), max(math.floor(min(ys)), 0)
        x1 = min(math.ceil(max(xs)), self.image.width)
        y1 = min(math.ceil(max(ys)), self.image.height)
        if x0 < x1 and y0 < y1:
            mask = _coverage(pixels, (x0, y0, x1, y1))
            if alpha < 1:
                mask = mask.point([round(v * alpha) for v in range(256)])
            self.image.paste(colour, (x0, y0, x1, y1), mask)

    def box(self, box: Box, colour: RGB, radius: float = 0.0, alpha: float = 1.0) -> None:
        """Fill a box with rounded corners."""
        self.fill([rectangle(box, radius)], colour, alpha)

    def disc(self, middle: Point, radius: float, colour: RGB, alpha: float = 1.0) -> None:
        """Fill a circle."""
        self.fill([ellipse(*middle, radius, radius)], colour, alpha)

    def line(self, points: Sequence[Point], width: float, colour: RGB) -> None:
        """Draw a polyline with round joints, at least one pixel wide."""
        width = max(width, 1 / self._scale[1])
        for i in range(0, len(points) - 1, _PIECE):
            self.fill(stroke(points[i : i + _PIECE + 1], width), colour)

    def rule(self, a: Point, b: Point, width: float, colour: RGB) -> None:
        """Draw a straight line without smoothing: cheap at any length, for horizontal and vertical lines."""
        (sx, sy), pixels = self._scale, max(1, round(width * self._scale[1]))
        self._draw.line([(a[0] * sx, a[1] * sy), (b[0] * sx, b[1] * sy)], colour, pixels)

    def text(
        self,
        at: Point,
        text: str,
        em: float,
        colour: RGB,
        anchor: Anchor = "mm",
        room: float = 0.0,
        weight: float = 0.0,
    ) -> None:
        """Write one line of text.

        Args:
            at: the point that `anchor` (left, middle or right, at mid-height) refers to.
            text: what to write.
            em: font size.
            colour: text colour.
            anchor: position of the text relative to `at`.
            room: maximum width, to which the font size is reduced if necessary; 0 for no limit.
            weight: extra stroke width as a share of the em, for headings.
        """
        sx, sy = self._scale
        size = max(1, round(em * sy))
        while room and size > 1 and font(size).getlength(text) > room * sx:
            size -= 1
        # Whole pixels keep hinted letters crisp.
        place = (round(at[0] * sx), round(at[1] * sy))
        self._draw.text(place, text, colour, font(size), anchor, stroke_width=round(weight * size))


def _coverage(rings: Sequence[Ring], frame: tuple[int, int, int, int]) -> Image.Image:
    """Coverage of each pixel of `frame` by the rings, 0..255. Very large frames are sampled more coarsely."""
    x0, y0, x1, y1 = frame
    area = (x1 - x0) * (y1 - y0)
    factor = 4 if area < 200_000 else 2 if area < 2_000_000 else 1
    mask = Image.new("L", ((x1 - x0) * factor, (y1 - y0) * factor))
    draw = ImageDraw.Draw(mask)
    for ring in rings:
        # Pillow's coordinates refer to pixel centres, ours to pixel edges.
        draw.polygon([((x - x0) * factor - 0.5, (y - y0) * factor - 0.5) for x, y in ring], fill=255)
    return mask.reduce(factor) if factor > 1 else mask
