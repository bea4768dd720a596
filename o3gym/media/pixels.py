"""Conversion between Pillow's images and arrays of RGB pixels."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from o3gym.types import Resampling, Size

Pixels: TypeAlias = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]

STRIP = 256
"""Number of rows that `pixels_of` copies at once."""


def resample(pixels: Pixels, size: Size, resampling: Resampling = "bicubic") -> Pixels:
    """Resample to `size` (width, height).

    A bicubic resize is preceded by a box reduction if both sides shrink more than fourfold, which is faster.
    """
    image = Image.fromarray(pixels)
    if resampling == "bicubic":
        return np.array(shrink(image, size))
    return np.array(image.resize(size, Image.Resampling[resampling.upper()]))


def shrink(image: Image.Image, size: Size) -> Image.Image:
    """Resize an image: bicubic, after a box reduction if both sides shrink more than fourfold."""
    gap = 2.0 if image.width > 4 * size[0] and image.height > 4 * size[1] else None
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=gap)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert to RGB, in place if possible: first frame, EXIF rotation, transparency over white, 16 bits to 8."""
    _apply_transparent_colour(image)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image.load()
    return image if image.mode == "RGB" else image.convert("RGB")


def _apply_transparent_colour(image: Image.Image) -> None:
    """Make a PNG's transparent colour that of the decoded picture, in place; Pillow leaves it as in the file.

    Of 16-bit RGB, Pillow keeps the high bytes only, by which colours that differ in the low bytes would be the same, so
    the transparent pixels get an alpha channel instead.
    """
    colour, tile = image.info.get("transparency"), getattr(image, "tile", None)
    if image.format != "PNG" or not tile:
        return
    rawmode = str(tile[0][3])
    if image.mode == "RGB" and rawmode == "RGB;16B" and isinstance(colour, tuple):
        opaque = ~_has_colour(image, colour)
        image.putalpha(Image.fromarray(opaque.view(np.uint8) * np.uint8(255)))
        del image.info["transparency"]
    elif image.mode == "L" and rawmode in ("L;2", "L;4") and isinstance(colour, int):
        image.info["transparency"] = min(255, colour * (85 if rawmode == "L;2" else 17))


def _has_colour(image: Image.Image, colour: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether each pixel of a 16-bit RGB PNG has a colour of 16-bit samples. The image must not be loaded; it is then.

    Pillow has no mode for such pixels. Its decoder for the other byte order, of which it keeps the high bytes as well,
    reads the low bytes of this one.
    """
    file: Any = image.fp  # type: ignore[attr-defined]
    place = file.tell()
    file.seek(0)
    with Image.open(file, formats=["PNG"]) as low:
        low.tile = [tile._replace(args="RGB;16L") for tile in low.tile]
        matches: NDArray[np.bool_] = (np.asarray(low) == [value & 255 for value in colour]).all(axis=2)
    file.seek(place)
    image.load()
    matches &= (np.asarray(image) == [value >> 8 for value in colour]).all(axis=2)
    return matches


def pixels_of(image: Image.Image) -> Pixels:
    """Copy an RGB image to a new array, strip by strip: `np.array(image)` would hold three copies at its peak."""
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, STRIP):
        bottom = min(top + STRIP, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit integers, 32-bit integers above 255 and floats in 0..1 to 0..255, where Pillow itself would clip."""
    values, transparent = np.nan_to_num(np.asarray(image, dtype=np.float64)), image.info.get("transparency")
    if image.mode == "F":
        scale = 255.0 if values.max(initial=0.0) <= 1.0 else 1.0
    else:
        scale = 255.0 / 65535.0 if image.mode != "I" or values.max(initial=0.0) > 255 else 1.0
    grey = np.clip(values * scale + 0.5, 0, 255).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)
