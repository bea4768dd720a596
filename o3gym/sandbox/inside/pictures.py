"""The pictures that code shows, and those that it writes into its folder."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from o3gym.sandbox.folders import DEEPEST, MOST_FILES

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
"""Names of files that are handed back as pictures."""
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
_SMALLEST = 8
"""Sides, in pixels, from which on a grey array that ends a cell is a picture rather than a table of numbers."""


class Gallery:
    """Collects the pictures that one call hands back.

    Args:
        most: number of pictures that are shown, and of those that are stored; more are counted only.
        pixels: number of pixels of all of them.
        size: number of bytes of one, encoded.
        room: number of bytes of all of them.
    """

    def __init__(self, most: int, pixels: int, size: int, room: int) -> None:
        self.most, self.pixels, self.size, self.room = most, pixels, size, room
        self.clear()

    def clear(self) -> None:
        """Begins a new call."""
        self.shown: list[bytes] = []
        self.refused: list[str] = []
        self.surplus = 0
        self._pixels, self._room = self.pixels, self.room

    def show(self, value: Any, *_: Any, **__: Any) -> None:
        """Shows a picture: a PIL image, a NumPy array of height × width (× 1, 3 or 4), or a matplotlib figure.

        Raises:
            TypeError: it is something else.
            ValueError: it is too large.
        """
        if len(self.shown) < self.most:
            self.shown.append(self._encode(_as_image(value)))
        else:
            self.surplus += 1

    def show_figures(self) -> None:
        """Shows all open figures of pyplot, and closes them."""
        pyplot = sys.modules["matplotlib.pyplot"]
        for number in pyplot.get_fignums():
            self.show(pyplot.figure(number))
        pyplot.close("all")

    def store(self, paths: Sequence[str]) -> list[tuple[str, bytes]]:
        """Returns the files that are pictures with their contents, encoded anew, and counts those that are left out."""
        stored: list[tuple[str, bytes]] = []
        for path in paths:
            if len(stored) >= self.most:
                self.surplus += 1
                continue
            try:
                with Image.open(path) as image:
                    stored.append((path, self._encode(image)))
            except Exception:
                self.refused.append(Path(path).name[:60])
        return stored

    def _encode(self, image: Image.Image) -> bytes:
        """Returns a picture as a PNG file without metadata. Raises ValueError if it is larger than what is left."""
        if image.width * image.height > self._pixels:
            raise ValueError(
                f"the picture has {image.width}×{image.height} pixels, "
                f"{self._pixels} of the {self.pixels} that a call can hand back are left"
            )
        data = plain_png(image)
        if len(data) > min(self.size, self._room):
            raise ValueError(f"the picture has {len(data)} bytes as a PNG file, which is more than can be handed back")
        self._pixels -= image.width * image.height
        self._room -= len(data)
        return data


def plain_png(image: Image.Image) -> bytes:
    """Returns a picture as a PNG file without metadata."""
    if image.mode not in _MODES:
        image = image.convert("RGB")
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1, icc_profile=None)
    return file.getvalue()


def _as_image(value: Any) -> Image.Image:
    if _is_figure(value):
        file = io.BytesIO()
        value.savefig(file, format="png")
        return Image.open(file)
    if isinstance(value, np.ndarray):
        return Image.fromarray(_as_bytes(value))
    if not isinstance(value, Image.Image):
        raise TypeError(f"show: expected a picture, an array or a figure, got {type(value).__name__}")
    return value


def is_picture(value: Any) -> bool:
    """Whether the value of a last expression is shown rather than printed."""
    if isinstance(value, np.ndarray):
        colour = value.ndim == 3 and value.shape[2] in (3, 4)
        return value.dtype == np.uint8 and (colour or value.ndim == 2) and min(value.shape[:2]) >= _SMALLEST
    return isinstance(value, Image.Image) or _is_figure(value)


def _is_figure(value: Any) -> bool:
    module = sys.modules.get("matplotlib.figure")
    return module is not None and isinstance(value, module.Figure)


def _as_bytes(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Returns an array of 8 bits; fractions from 0 to 1, and truth values, are scaled to 255."""
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_ or (array.dtype.kind == "f" and array.size and float(np.nanmax(array)) <= 1):
        array = array * 255.0
    scaled: np.ndarray[Any, Any] = np.clip(np.nan_to_num(array), 0, 255).astype(np.uint8)
    return scaled


Stamps = dict[str, tuple[int, int, int]]
"""Of the picture files in a folder: time of the last change, size and inode, by path."""


def picture_files(folder: Path) -> Stamps:
    """Returns the regular files below `folder` that are named like pictures."""
    stamps: Stamps = {}
    for path in _walk(folder):
        if path.suffix.lower() in SUFFIXES:
            status = path.lstat()
            stamps[str(path)] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return stamps


def _walk(folder: Path) -> Iterator[Path]:
    """Yields files, without following links, down to a limited depth. What cannot be read is passed over."""
    folders, left = [(folder, 0)], MOST_FILES
    while folders:
        current, depth = folders.pop()
        with contextlib.suppress(OSError):
            with os.scandir(current) as entries:
                inner = sorted(entries, key=lambda entry: entry.name)
            for entry in inner:
                left -= 1
                if left < 0:
                    return
                if entry.is_dir(follow_symlinks=False) and depth < DEEPEST:
                    folders.append((Path(entry.path), depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    yield Path(entry.path)


def new_files(before: Stamps, after: Stamps) -> list[str]:
    """Returns the paths of the files that have been written between two listings, oldest first."""
    return [path for _, path in sorted((stamp, path) for path, stamp in after.items() if before.get(path) != stamp)]
