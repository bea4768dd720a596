"""`rotate`: rotate a view; the result is a derived source."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from PIL import Image

from o3gym.geometry import snap
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.crop import VIEW
from o3gym.types import FULL, Affine, Size, Source

MAX_TURNED = 120_000_000
"""Maximum number of pixels of a rotated picture, because each rotation of a rotated picture can double its pixels."""


class Rotate(Tool):
    """Derives a source: the whole view, rotated counter-clockwise by `angle` degrees, on a grey background.

    The canvas grows so that nothing is lost. With the size rule "deepeyes" it keeps the view's size, the corners are
    lost, and the background is black, as in the released code. Later crops of it use its own coordinates;
    `Source.affine` maps them back to the picture. Source of the idea: DeepEyes' `image_rotate_tool`.
    """

    name: ClassVar[str] = "rotate"
    doc: ClassVar[str] = "Turn a view counter-clockwise."
    args: ClassVar[Mapping[str, Arg]] = {
        "view": VIEW,
        "angle": Arg("number", "degrees, counter-clockwise", -360.0, 360.0),
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Derives the rotated picture and shows it."""
        view = context.view(args["view"])
        parent = context.sources[view.source]
        x0, y0, x1, y1 = snap(view.box, context.size_of(parent))
        size, angle = (x1 - x0, y1 - y0), float(args["angle"])
        canvas = size if context.keeps_canvas else rotated_size(size, angle)
        if canvas[0] * canvas[1] > MAX_TURNED:
            raise Invalid(
                "bad_args", f"turned, view {view.index} would have {canvas[0]}×{canvas[1]} pixels; turn a smaller part"
            )
        affine = _affine(size, canvas, angle, context.size_of(parent), (x0, y0))
        kept = {"keeps_canvas": True} if context.keeps_canvas else {}
        source = Source.derived(parent, "rotate", affine, region=list(view.box), angle=angle, **kept)
        return ToolResult((ViewRequest(len(context.sources), FULL, view.index),), (source,))


def rotated_size(size: Size, angle: float) -> Size:
    """The size of the smallest whole-pixel canvas that holds a picture of `size` rotated by `angle` degrees."""
    c, s = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    return (math.ceil(size[0] * c + size[1] * s - 1e-6), math.ceil(size[0] * s + size[1] * c - 1e-6))


def _inverse(size: Size, canvas: Size, angle: float) -> Affine:
    """The map from pixels of the rotated canvas to pixels of the picture.

    The y axis points down, so a counter-clockwise rotation has a negative angle.
    """
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    (w, h), (w2, h2) = size, canvas
    return (c, -s, w / 2 - c * w2 / 2 + s * h2 / 2, s, c, h / 2 - s * w2 / 2 - c * h2 / 2)


def _affine(size: Size, canvas: Size, angle: float, parent: Size, origin: tuple[int, int]) -> Affine:
    """`_inverse` in unit coordinates, from the rotated canvas to the whole parent with the region at `origin`."""
    a, b, c, d, e, f = _inverse(size, canvas, angle)
    (w2, h2), (pw, ph) = canvas, parent
    return (a * w2 / pw, b * h2 / pw, (c + origin[0]) / pw, d * w2 / ph, e * h2 / ph, (f + origin[1]) / ph)


def rotate_pixels(image: Image.Image, angle: float, keeps_canvas: bool = False) -> Image.Image:
    """The image operation: rotates `image` counter-clockwise by `angle` degrees on a canvas of `rotated_size`.

    With `keeps_canvas`, it does what Pillow's `rotate` does by default: nearest pixels, black corners, the same size.
    """
    if keeps_canvas:
        return image.rotate(angle)
    canvas = rotated_size(image.size, angle)
    # Multiples of 90° are transpositions, which move pixels without resampling them.
    exact = {90.0: Image.Transpose.ROTATE_90, 180.0: Image.Transpose.ROTATE_180, 270.0: Image.Transpose.ROTATE_270}
    if angle % 360 == 0:
        return image
    if angle % 360 in exact:
        return image.transpose(exact[angle % 360])
    return image.transform(
        canvas,
        Image.Transform.AFFINE,
        _inverse(image.size, canvas, angle),
        resample=Image.Resampling.BICUBIC,
        fillcolor=(128, 128, 128),
    )
