"""Thumbnails of views as small JPEGs, each rendered once."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from o3gym.media.images import ImageStore
from o3gym.types import FULL, Box, Size, Source

OVERVIEW_SIDE = 640
CROP_SIDE = 320
QUALITY = 80


class Thumbnails:
    """Renders thumbnails of regions, one per distinct source, box and size.

    Args:
        store: the source of pixels.
        folder: the folder for the files; None keeps their bytes in `embedded` instead.
    """

    def __init__(self, store: ImageStore, folder: Path | None) -> None:
        self.embedded: dict[str, bytes] = {}
        self._store = store
        self._folder = folder
        self._rendered: set[str] = set()
        self._unreadable: dict[str, str] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def overview(self, source: Source, shown: Size | None) -> dict[str, Any]:
        """The entry of a whole picture; `shown` is the size at which the agent saw it, None if it did not."""
        try:
            return self._entry(source, FULL, limit(shown or self._store.size(source), OVERVIEW_SIDE))
        except Exception as error:  # a plug-in's generator may raise anything, and the page must still be written
            return self._note(source, error)

    def crop(self, source: Source, box: Box, shown: Size) -> dict[str, Any]:
        """The entry of a region, which was displayed to the agent at the size `shown`."""
        return self._entry(source, box, limit(shown, CROP_SIDE))

    def _entry(self, source: Source, box: Box, size: Size) -> dict[str, Any]:
        """The entry that the page needs: {"file", "size"}, or {"note"} if the source cannot be read."""
        name = f"{source.key}-{hashlib.sha256(repr((box, size)).encode()).hexdigest()[:16]}.jpg"
        if name not in self._rendered:
            if source.key in self._unreadable:
                return {"note": self._unreadable[source.key]}
            try:
                self._render(name, source, box, size)
            except Exception as error:  # as above
                return self._note(source, error)
            self._rendered.add(name)
        return {"file": name, "size": size}

    def _note(self, source: Source, error: Exception) -> dict[str, Any]:
        self._unreadable[source.key] = f"no picture: {error}" if str(error) else f"no picture: {type(error).__name__}"
        return {"note": self._unreadable[source.key]}

    def _render(self, name: str, source: Source, box: Box, size: Size) -> None:
        path = None if self._folder is None else self._folder / name
        if path is not None and path.exists():
            return
        file = io.BytesIO()
        Image.fromarray(self._store.region(source, box, size)).save(file, "JPEG", quality=QUALITY)
        if path is None:
            self.embedded[name] = file.getvalue()
        else:
            # Existing files are kept, so a killed process must not leave a truncated one: the rename is atomic.
            partial = path.with_suffix(f".{os.getpid()}.partial")
            partial.write_bytes(file.getvalue())
            partial.replace(path)


def limit(size: Size, side: int) -> Size:
    """Scales `size` down so that its longer side is at most `side`."""
    scale = min(1.0, side / max(size))
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
