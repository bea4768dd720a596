"""Small JPEGs of what was looked at, each made once."""

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
    """Thumbnails of regions, without repeats: by source, box and size.

    Args:
        store: where pixels come from.
        folder: where the files go; None keeps their bytes in `embedded` instead.
    """

    def __init__(self, store: ImageStore, folder: Path | None) -> None:
        self.embedded: dict[str, bytes] = {}
        self._store = store
        self._folder = folder
        self._made: set[str] = set()
        self._lost: dict[str, str] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)

    def overview(self, source: Source, shown: Size | None) -> dict[str, Any]:
        """The whole picture; `shown` is the size at which an agent saw it, None if it never did."""
        try:
            return self._entry(source, FULL, limit(shown or self._store.size(source), OVERVIEW_SIDE))
        except Exception as error:  # a plug-in's generator may raise anything, and the page must still be written
            return self._note(source, error)

    def crop(self, source: Source, box: Box, shown: Size) -> dict[str, Any]:
        """A region as an agent saw it, but smaller."""
        return self._entry(source, box, limit(shown, CROP_SIDE))

    def _entry(self, source: Source, box: Box, size: Size) -> dict[str, Any]:
        """What the page needs: {"file", "size"}, or {"note"} where there are no pixels."""
        name = f"{source.key}-{hashlib.sha256(repr((box, size)).encode()).hexdigest()[:16]}.jpg"
        if name not in self._made:
            if source.key in self._lost:
                return {"note": self._lost[source.key]}
            try:
                self._make(name, source, box, size)
            except Exception as error:  # as above
                return self._note(source, error)
            self._made.add(name)
        return {"file": name, "size": size}

    def _note(self, source: Source, error: Exception) -> dict[str, Any]:
        self._lost[source.key] = f"no picture: {error}" if str(error) else f"no picture: {type(error).__name__}"
        return {"note": self._lost[source.key]}

    def _make(self, name: str, source: Source, box: Box, size: Size) -> None:
        path = None if self._folder is None else self._folder / name
        if path is not None and path.exists():
            return
        file = io.BytesIO()
        Image.fromarray(self._store.region(source, box, size)).save(file, "JPEG", quality=QUALITY)
        if path is None:
            self.embedded[name] = file.getvalue()
        else:
            partial = path.with_suffix(f".{os.getpid()}.partial")  # a killed run must not leave half a file to be kept
            partial.write_bytes(file.getvalue())
            partial.replace(path)


def limit(size: Size, side: int) -> Size:
    """`size`, made smaller where its longer side exceeds `side`."""
    scale = min(1.0, side / max(size))
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
