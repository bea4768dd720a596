"""A reader of single words that compares a picture with the words as Pillow writes them upright."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from o3gym.suites.scenes.dim import SEEN_FROM
from o3gym.suites.scenes.painter import font

TILTS = (-10, 0, 10)
"""Angles from upright at which the reader can still read, in degrees."""
SURE = 0.6
"""Smallest correlation at which the reader takes a word for read."""


def read_word(picture: Image.Image, em: float, words: Sequence[str]) -> str:
    """The one of `words` that stands in the picture at a font size of `em` pixels; "" if none can be read.

    Pixels that differ by less than `SEEN_FROM` levels from the middle grey of the picture look like it.
    """
    grey = np.asarray(picture.convert("L"), float)
    paper = np.median(grey)
    seen = _Seen(np.where(abs(grey - paper) < SEEN_FROM, paper, grey))
    likeness = {word: max(map(seen.likeness, _templates(word, em))) for word in words}
    best = max(likeness, key=likeness.__getitem__)
    return best if likeness[best] >= SURE else ""


@lru_cache(maxsize=16)
def _templates(word: str, em: float) -> list[Any]:
    """The word at each tilt, as written at the font size, and as reduced from four times the size in two phases."""
    found = []
    for finer, shift in ((1, 0), (4, 0), (4, 2)):
        face = font(round(em * finer))
        width, height = int(face.getlength(word) * 1.1) // 2 * 2, int(face.size * 1.5) // 2 * 2
        tile = Image.new("L", (width, height))
        ImageDraw.Draw(tile).text((width / 2 + shift, height / 2), word, 255, face, "mm")
        for tilt in TILTS:
            turned = tile.rotate(tilt, Image.Resampling.BICUBIC, expand=True).reduce(finer)
            found.append(np.asarray(turned.crop(turned.getbbox()), float))
    return found


class _Seen:
    """What the reader sees of a picture, prepared for comparisons with many templates."""

    def __init__(self, picture: Any) -> None:
        self.shape = picture.shape
        self.spectrum = np.fft.rfft2(picture)
        sums = [np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1) for values in (picture, picture**2)]
        self.sum, self.squares = sums

    def likeness(self, template: Any) -> float:
        """The largest normalised correlation of a template with any part of the picture, whichever is darker."""
        (height, width), (rows, columns) = template.shape, self.shape
        if height > rows or width > columns:
            return 0.0
        mean, square = (
            (s[height:, width:] - s[:-height, width:] - s[height:, :-width] + s[:-height, :-width]) / template.size
            for s in (self.sum, self.squares)
        )
        spread = np.sqrt(np.maximum(square - mean**2, 0))
        part = np.conj(np.fft.rfft2(template - template.mean(), self.shape))
        product = np.fft.irfft2(self.spectrum * part, self.shape)[: rows - height + 1, : columns - width + 1]
        plain = spread < 1
        scale = np.where(plain, 1, spread * template.std() * template.size)
        return float(np.where(plain, 0, abs(product) / scale).max())
