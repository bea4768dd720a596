"""Drawing a collage from the pictures of its tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image, ImageDraw

from o3gym.codec import decode
from o3gym.media.images import shared_store
from o3gym.suites.scenes.painter import font
from o3gym.types import Box, Size, Source

LABEL = 20
"""Font size of a tile's label in pixels, as in the released generator."""
LABEL_AT = 6
"""Distance of a label from the tile's corner in pixels, as in the released generator."""
HALO = 2
"""Width in pixels of the white outline of a label's letters, as in the released generator."""
EDGE_WIDTH = 3
"""Width in pixels of the black line inside a tile's edge, as in the released run."""
LABEL_CORNERS = ("left top", "right top", "left bottom", "right bottom")
"""Corners of a tile that may hold its label, in order of preference; the released generator always uses the first."""


def label_of(number: int) -> str:
    """The label of the tile with this number, used in pictures and questions."""
    return f"Image {number}"


def label_box(box: Sequence[int], number: int, corner: str) -> Box:
    """The box on the canvas, in pixels, that a tile's label may cover, including halo and edge."""
    width = font(LABEL).getlength(label_of(number)) + LABEL_AT + 2 * HALO
    height = LABEL_AT + LABEL * 1.3 + 2 * HALO
    x0 = box[0] if "left" in corner else box[2] - width
    y0 = box[1] if "top" in corner else box[3] - height
    return (x0, y0, x0 + width, y0 + height)


def collage_size(*, size: Sequence[int], tiles: object = None) -> Size:
    """Width and height of the picture that `render_collage` draws with the same arguments."""
    return (int(size[0]), int(size[1]))


def render_collage(*, size: Sequence[int], tiles: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw a collage on a white ground, tile by tile, so that only one whole picture is needed at a time.

    Args:
        size: width and height in pixels.
        tiles: tiles with keys `source` (a `Source` as JSON), `crop` (the part that is shown, unit xyxy), `box` (the
            position in pixels of the canvas) and `corner` (of the label). Tile k, counted from 1, is "Image k".

    Raises:
        PictureError: if a picture cannot be read.
    """
    canvas = Image.new("RGB", (size[0], size[1]), "white")
    draw = ImageDraw.Draw(canvas)
    for number, tile in enumerate(tiles, 1):
        x0, y0, x1, y1 = tile["box"]
        source, crop = decode(Source, tile["source"]), tile["crop"]
        pixels = shared_store().region(source, (crop[0], crop[1], crop[2], crop[3]), (x1 - x0, y1 - y0))
        canvas.paste(Image.fromarray(pixels), (x0, y0))
        draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline="black", width=EDGE_WIDTH)
        _label(draw, tile["box"], number, tile["corner"])
    return canvas


def _label(draw: ImageDraw.ImageDraw, box: Sequence[int], number: int, corner: str) -> None:
    x = box[0] + LABEL_AT if "left" in corner else box[2] - LABEL_AT
    y = box[1] + LABEL_AT if "top" in corner else box[3] - LABEL_AT
    anchor = ("l" if "left" in corner else "r") + ("a" if "top" in corner else "d")
    draw.text((x, y), label_of(number), "black", font(LABEL), anchor, stroke_width=HALO, stroke_fill="white")
