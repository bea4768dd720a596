"""Thumbnails of views as small JPEGs, each made once.

A run makes them while its episodes are played, from the pixels that the agent is shown (`thumbnail_maker`). Making them
afterwards costs about as much time as the run itself, because every picture has to be decoded or drawn again; the page
does so (`Thumbnails`) only for what is missing. Both ways give the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

from PIL import Image

from o3gym.media.images import ImageStore
from o3gym.media.pixels import Pixels
from o3gym.types import FULL, Box, Size, Source, View

_logger = logging.getLogger(__name__)

THUMBS = "thumbs"
"""Folder of the thumbnails in a run folder and beside a page."""
OVERVIEW_SIDE = 640
"""Maximum longer side in pixels of the thumbnails of pictures that are shown at reset."""
CELL_SIDE = 240
"""The same for the frames of a video that are shown at reset, of which there are many."""
CROP_SIDE = 480
"""Maximum longer side in pixels of all other thumbnails."""
QUALITY = 80
"""JPEG quality of the thumbnails."""


class ThumbnailStore(Protocol):
    """A place for thumbnails by file name: a `ThumbnailFolder`, or a dictionary in memory."""

    def __contains__(self, name: object, /) -> bool:
        """Whether there is a thumbnail with this name."""
        ...

    def __setitem__(self, name: str, data: bytes, /) -> None:
        """Keeps a thumbnail."""
        ...


class ThumbnailFolder:
    """The thumbnails in a folder, which is created for the first of them.

    Args:
        folder: the folder.
        required: whether a thumbnail that cannot be written is an `OSError`. Otherwise the first one is logged and none
            is written any more: a run must not end because of thumbnails, which its page can make later.
    """

    def __init__(self, folder: Path, *, required: bool = True) -> None:
        self._folder = folder
        self._required = required
        self._failed = False

    def __contains__(self, name: object) -> bool:
        return self._failed or (self._folder / str(name)).exists()

    def __setitem__(self, name: str, data: bytes) -> None:
        try:
            self._write(name, data)
        except OSError as error:
            if self._required:
                raise
            self._failed = True
            _logger.warning("thumbnails cannot be written, the page will make them: %s", error)

    def _write(self, name: str, data: bytes) -> None:
        # Existing files are kept, so a killed process must not leave a truncated one: the rename is atomic.
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{name}.{os.getpid()}.partial"
        partial.write_bytes(data)
        partial.replace(self._folder / name)


def thumbnail_maker(kept: ThumbnailStore) -> Callable[[Source, View, Pixels], None]:
    """Returns a function that puts the thumbnail of a view into `kept`, given its source and the pixels shown."""

    def make(source: Source, view: View, pixels: Pixels) -> None:
        size = thumbnail_size(view)
        name = thumbnail_name(source, view.box, size)
        if name not in kept:
            kept[name] = encode_thumbnail(pixels, size)

    return make


def copy_thumbnails(folder: Path, to: Path) -> None:
    """Copies the thumbnails of one run folder to another one, which keeps those that it has."""
    target = ThumbnailFolder(to / THUMBS)
    for path in sorted((folder / THUMBS).glob("*.jpg")):
        if path.name not in target:
            target[path.name] = path.read_bytes()


class Thumbnails:
    """The thumbnails of a page: found in folders or made from the pictures.

    Args:
        store: the source of pixels.
        found: the folder of the thumbnails that the run has made.
        folder: the folder for the page's thumbnails, often `found` itself; None if they are embedded in the page.
        opened: returns a source with the bytes of its picture, which stored episodes lack.
    """

    def __init__(
        self, store: ImageStore, found: Path, folder: Path | None, opened: Callable[[Source], Source] = lambda s: s
    ) -> None:
        self._store = store
        self._found = found
        self._target = None if folder is None else ThumbnailFolder(folder)
        self._opened = opened
        self._embedded: set[bytes] = set()
        # The thumbnails of a long run do not fit into memory.
        self._lines = TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._unreadable: dict[str, str] = {}

    def picture(self, source: Source) -> dict[str, Any]:
        """The entry of a whole picture that the agent was never shown."""
        try:
            size = limit(self._store.size(self._opened(source)))
        except Exception as error:  # a plug-in's generator may raise anything, and the page must still be written
            return self._note(source, error)
        return self._entry(View(0, 0, FULL, size, size), source, size)

    def view(self, source: Source, view: View) -> dict[str, Any]:
        """The entry of a view."""
        return self._entry(view, source, thumbnail_size(view))

    def embedded(self) -> Iterator[str]:
        """Yields the lines "NAME BASE64" of the embedded thumbnails, without a newline after the last one."""
        self._lines.seek(0)
        for number, line in enumerate(self._lines):
            yield ("\n" if number else "") + line.decode().rstrip("\n")

    def close(self) -> None:
        """Removes the temporary file."""
        self._lines.close()

    def _entry(self, view: View, source: Source, size: Size) -> dict[str, Any]:
        """The entry that the page needs: {"file", "size"}, or {"note"} if the source cannot be read."""
        name = thumbnail_name(source, view.box, size)
        if not self._has(name):
            try:
                data = self._read(name) or self._render(view, source, size)
            except Exception as error:  # as above
                return self._note(source, error)
            self._put(name, data)
        return {"file": name, "size": size}

    def _has(self, name: str) -> bool:
        return name.encode() in self._embedded if self._target is None else name in self._target

    def _put(self, name: str, data: bytes) -> None:
        if self._target is not None:
            self._target[name] = data
            return
        self._embedded.add(name.encode())
        self._lines.write(b"%s %s\n" % (name.encode(), base64.b64encode(data)))

    def _read(self, name: str) -> bytes | None:
        path = self._found / name
        return path.read_bytes() if path.exists() else None

    def _render(self, view: View, source: Source, size: Size) -> bytes:
        if source.key in self._unreadable:
            raise ValueError(self._unreadable[source.key])
        pixels = self._store.region(self._opened(source), view.box, view.shown, view.resampling)
        return encode_thumbnail(pixels, size)

    def _note(self, source: Source, error: Exception) -> dict[str, Any]:
        self._unreadable.setdefault(source.key, str(error) or type(error).__name__)
        return {"note": f"no picture: {self._unreadable[source.key]}"}


def thumbnail_name(source: Source, box: Box, size: Size) -> str:
    """The file name of the thumbnail of a region at `size`."""
    place = (tuple(map(float, box)), tuple(map(int, size)))
    return f"{source.key}-{hashlib.sha256(repr(place).encode()).hexdigest()[:16]}.jpg"


def encode_thumbnail(pixels: Pixels, size: Size) -> bytes:
    """Scales pixels to `size` and encodes them as a JPEG."""
    image = Image.fromarray(pixels)
    factor = max(1, round(image.width / size[0]))
    if _divided(image.size, factor) == size:
        image = image.reduce(factor)
    else:
        image = image.resize(size, Image.Resampling.HAMMING, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def thumbnail_size(view: View) -> Size:
    """The size of the thumbnail of a view."""
    if view.parent >= 0:
        return reduced(view.shown)
    return limit(view.shown, OVERVIEW_SIDE if view.video is None else CELL_SIDE)


def limit(size: Size, side: int = OVERVIEW_SIDE) -> Size:
    """The size of an overview: scaled down so that its longer side is at most `side`."""
    scale = min(1.0, side / max(size))
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


def reduced(size: Size) -> Size:
    """The size of a crop: divided by the smallest whole number for which its longer side is at most `CROP_SIDE`.

    Averaging whole blocks of pixels takes a tenth of the time of resampling, and a run makes a thumbnail per call.
    """
    return _divided(size, -(-max(size) // CROP_SIDE))


def _divided(size: Size, factor: int) -> Size:
    return (-(-size[0] // factor), -(-size[1] // factor))
