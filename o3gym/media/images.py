"""Pixels on demand: one decode cache for all environments of a process.

A 33-megapixel JPEG takes a quarter of a second to decode and 0.2 s to reduce to an overview, while copying a crop out
of the decoded array takes microseconds. The store therefore decodes each picture once and keeps it as a plain `H×W×3`
uint8 array (3 bytes per pixel; copying a NumPy slice is several times faster than turning a Pillow crop into an array).
It also keeps overviews, and evicts the least recently used arrays beyond a byte budget. Every returned array is a fresh
copy.

By design there is no cache on disk or across processes. After a fork, the child shares the parent's pictures
copy-on-write; a spawned process starts with an empty cache.
"""

from __future__ import annotations

import io
import itertools
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from o3gym.geometry import snap
from o3gym.media.decoder_messages import watch_decoders
from o3gym.media.embedded import unpack
from o3gym.media.errors import PictureError
from o3gym.media.pixels import Pixels, pixels_of, resample, shrink, to_rgb
from o3gym.media.videos import frame_source, is_frame, read_frames, timeline_of
from o3gym.registry import GENERATED_SIZES, GENERATORS, OPERATIONS
from o3gym.types import FULL, Box, Resampling, Size, Source

DEFAULT_BUDGET = 1 << 30
"""Bytes of decoded pictures and overviews that `shared_store` keeps: ten 33-megapixel pictures."""
DECODING = 7
"""Bytes per pixel while decoding: Pillow's four and the array's three exist at the same time."""
ORIENTATION = 0x0112
"""EXIF tag for the orientation of a picture."""


FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""The formats that are read, by Pillow's names. JPEG includes MPO, the JPEGs with several pictures of phones.

Pillow knows more, but some of them start another program (EPS starts Ghostscript), are stubs without a decoder (HDF5,
GRIB, BUFR), or are recognised by so few bytes that a broken file of another kind passes for one of them.
"""


class RegionRequest(NamedTuple):
    """The arguments of `ImageStore.region`."""

    source: Source
    box: Box = FULL
    size: Size | None = None
    resampling: Resampling = "bicubic"


class ImageStore:
    """Thread-safe cache of decoded pictures within a byte budget.

    Args:
        budget: maximum number of bytes kept. While a picture is being decoded, seven bytes per pixel count too; decodes
            that would exceed the budget together wait for one another. A single picture that exceeds the budget alone
            is still served.
    """

    def __init__(self, budget: int = DEFAULT_BUDGET) -> None:
        self.budget = budget
        self._init_state()
        _STORES.add(self)

    def _init_state(self) -> None:
        self._kept: OrderedDict[tuple[str, Size | None], Pixels] = OrderedDict()
        self._sizes: dict[str, Size] = {}
        self._bytes = 0
        self._reset_locks()

    def _reset_locks(self) -> None:
        """Create new locks: a forked child may inherit locks that a thread of its parent held."""
        self._room = threading.Condition()
        self._decoding: dict[str, int] = {}

    @property
    def used(self) -> int:
        """Bytes in use, including decodes in progress."""
        with self._room:
            return self._bytes + sum(self._decoding.values())

    def size(self, source: Source) -> Size:
        """Native (width, height) of a picture, after its EXIF rotation."""
        known = self._sizes.get(source.key)
        if known is None:
            known = self._size_without_decoding(source)
            if known is None:
                pixels = self._picture(source)
                known = (pixels.shape[1], pixels.shape[0])
            self._sizes[source.key] = known
        return known

    def region(
        self, source: Source, box: Box = FULL, size: Size | None = None, resampling: Resampling = "bicubic"
    ) -> Pixels:
        """Pixels of `box` (unit xyxy of the source, snapped outwards to whole pixels) at `size` (width, height).

        Without `size`, or if the region already has that size, native pixels are copied; otherwise they are resampled
        once. An overview (the full box at another size) is kept for later calls.

        Returns:
            A fresh uint8 array of shape (height, width, 3).

        Raises:
            PictureError: if the picture is missing, unreadable or too large.
        """
        native = self._sizes.get(source.key) or self.size(source)
        x0, y0, x1, y1 = snap(box, native)
        if size is None or size == (x1 - x0, y1 - y0):
            return self._picture(source)[y0:y1, x0:x1].copy()
        if (x1 - x0, y1 - y0) == native:
            return self._overview(source, size, resampling).copy()
        return resample(self._picture(source)[y0:y1, x0:x1], size, resampling)

    def regions(self, wanted: Sequence[RegionRequest]) -> list[Pixels]:
        """The same as `region` for each of `wanted`, but frames of one video in a row are decoded together."""
        pixels: list[Pixels] = []
        for video, group in itertools.groupby(wanted, lambda one: one.source.parent if is_frame(one.source) else None):
            same = list(group)
            pixels += [self.region(*one) for one in same] if video is None else self._of_video(video, same)
        return pixels

    def _of_video(self, video: Source, wanted: Sequence[RegionRequest]) -> list[Pixels]:
        """Regions of frames of one video, which are decoded in batches that fit into a quarter of the budget.

        If all the frames would not fit, only their overviews are kept, so that the next rollout needs no decoding.
        """
        width, height = self.size(video)
        count, pixels = max(1, self.budget // 4 // (3 * width * height)), list[Pixels]()
        for start in range(0, len(wanted), count):
            batch = wanted[start : start + count]
            self.frames(video, [one.source.args["number"] for one in batch if not self._has_overview(one)])
            pixels += [self.region(*one) for one in batch]
            if len(wanted) > 2 * count:
                self._drop([one.source for one in batch if self._has_overview(one)])
        return pixels

    def _has_overview(self, wanted: RegionRequest) -> bool:
        source, box, size, resampling = wanted
        return size is not None and box == FULL and self._get(_overview_key(source, size, resampling)) is not None

    def _drop(self, sources: Iterable[Source]) -> None:
        """Forgets the native pixels of pictures, and keeps their overviews."""
        with self._room:
            for source in sources:
                dropped = self._kept.pop((source.key, None), None)
                self._bytes -= 0 if dropped is None else dropped.nbytes

    def frames(self, video: Source, numbers: Sequence[int]) -> list[Source]:
        """Decode frames of a video, in one pass and by one thread, unless they are kept already.

        Returns:
            The frames as pictures, in ascending order of their numbers.

        Raises:
            PictureError: the video or one of the frames cannot be read.
        """
        frames = {number: frame_source(video, number) for number in sorted(set(numbers))}
        with self._in_progress(video.key):
            missing = [number for number, frame in frames.items() if self._get((frame.key, None)) is None]
            for number, pixels in read_frames(video, missing):
                with self._room:
                    self._check_size(frames[number], (pixels.shape[1], pixels.shape[0]))
                    self._keep((frames[number].key, None), pixels)
        return list(frames.values())

    def forget(self) -> None:
        """Empty the cache."""
        with self._room:
            self._kept.clear()
            self._sizes.clear()
            self._bytes = 0

    def _overview(self, source: Source, size: Size, resampling: Resampling) -> Pixels:
        key = _overview_key(source, size, resampling)
        kept = self._get(key)
        if kept is None:
            # If this decodes the picture, it keeps the bicubic overview as well.
            picture = self._picture(source, size if resampling == "bicubic" else None)
            kept = self._get(key)
            if kept is None:
                kept = resample(picture, size, resampling)
                self._keep(key, kept)
        return kept

    def _picture(self, source: Source, overview: Size | None = None) -> Pixels:
        """The whole picture, from the cache or decoded by exactly one of the threads that request it."""
        key = (source.key, None)
        kept = self._get(key)
        if kept is not None:
            return kept
        with self._room:
            while source.key in self._decoding:
                self._room.wait()
            if key in self._kept:
                return self._kept[key]
            self._decoding[source.key] = 0
        pixels = None
        try:
            pixels = self._decode(source, overview)
        finally:
            # One critical section, so that a waiting thread never finds the picture neither in progress nor cached.
            with self._room:
                self._decoding.pop(source.key, None)
                self._room.notify_all()
                if pixels is not None:
                    self._check_size(source, (pixels.shape[1], pixels.shape[0]))
                    self._keep(key, pixels)
        return pixels

    def _check_size(self, source: Source, size: Size) -> None:
        known = self._sizes.setdefault(source.key, size)
        if known != size:  # a broken header or a replaced file: boxes computed with the old size would be wrong
            raise PictureError(f"{source.ref}: expected {known[0]}×{known[1]} pixels, got {size[0]}×{size[1]}")

    def _get(self, key: tuple[str, Size | None]) -> Pixels | None:
        with self._room:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
            return kept

    def _keep(self, key: tuple[str, Size | None], pixels: Pixels) -> None:
        with self._room:
            if key not in self._kept and sum(self._decoding.values()) + pixels.nbytes <= self.budget:
                self._evict(pixels.nbytes)
                self._kept[key] = pixels
                self._bytes += pixels.nbytes

    def _evict(self, need: int) -> None:
        while self._kept and self.used + need > self.budget:
            _, pixels = self._kept.popitem(last=False)
            self._bytes -= pixels.nbytes

    def _reserve(self, source: Source, size: Size) -> None:
        """Make room for decoding a picture of `size`. Waits for other decodes if the budget would be exceeded."""
        need = DECODING * size[0] * size[1]
        with self._room:
            self._evict(need)
            while any(self._decoding.values()) and self.used + need > self.budget:
                self._room.wait()
                self._evict(need)
            self._decoding[source.key] = need

    def _decode(self, source: Source, overview: Size | None) -> Pixels:
        if source.duration is not None:
            raise PictureError(f"{source.ref}: expected a picture, got a video; its frames are pictures")
        if source.kind == "generated":
            return pixels_of(to_rgb(GENERATORS[source.ref](**source.args)))
        if source.kind == "derived":
            return self._derive(source)
        with _opened(source) as image:
            self._reserve(source, image.size)
            upright = to_rgb(image)
            if overview is not None:  # from the Pillow image, because converting the array back to one takes 0.1 s
                self._keep((source.key, overview), np.array(shrink(upright, overview)))
            return pixels_of(upright)

    def _size_without_decoding(self, source: Source) -> Size | None:
        """Size from the header or generator arguments, if possible. EXIF orientations 5 to 8 swap the sides."""
        if source.kind == "generated" and source.ref in GENERATED_SIZES:
            w, h = GENERATED_SIZES[source.ref](**source.args)
            return (w, h)
        if source.duration is not None:
            return timeline_of(source).size
        if source.parent is not None and is_frame(source):
            return timeline_of(source.parent).size
        if source.kind not in ("file", "bytes"):
            return None
        with _opened(source) as image:
            if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
                return None  # Pillow rotates TIFFs itself, and must decode a PNG to find EXIF data after its pixels
            w, h = image.size
            return (h, w) if image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8) else (w, h)

    @contextmanager
    def _in_progress(self, key: str) -> Iterator[None]:
        """Waits until no other thread decodes what has this key."""
        with self._room:
            while key in self._decoding:
                self._room.wait()
            self._decoding[key] = 0
        try:
            yield
        finally:
            with self._room:
                self._decoding.pop(key, None)
                self._room.notify_all()

    def _derive(self, source: Source) -> Pixels:
        """Apply the operation of a derived source to the region of the parent that its arguments give."""
        if source.parent is None:
            raise PictureError(f'derived picture "{source.ref}" has no parent')
        if is_frame(source):
            ((_, pixels),) = read_frames(source.parent, [source.args["number"]])
            return pixels
        args = dict(source.args)
        region = args.pop("region", FULL)
        image = Image.fromarray(self.region(source.parent, region))
        return pixels_of(to_rgb(OPERATIONS[source.ref](image, **args)))


def header_size(source: Source) -> Size:
    """(width, height) in the header of an encoded picture, before any EXIF rotation; nothing is decoded.

    Raises:
        PictureError: the picture is missing, of no known format, or its header is broken.
    """
    with _opened(source) as image:
        return image.size


def _overview_key(source: Source, size: Size, resampling: Resampling) -> tuple[str, Size]:
    return (source.key if resampling == "bicubic" else f"{source.key} {resampling}", size)


@contextmanager
def _opened(source: Source) -> Iterator[Image.Image]:
    """Open an encoded picture. Any exception of its decoder becomes a `PictureError` that names the picture."""
    if source.kind == "bytes" and source.data is None:
        raise PictureError(
            f"the bytes of picture {source.ref[:12]}… are not loaded: open the run folder that contains them"
        )
    where = _describe(source)
    try:
        with Image.open(_encoded_file(source), formats=_formats()) as image:
            if 0 in image.size:
                raise ValueError(f"{image.width}×{image.height} pixels")
            yield image
    except FileNotFoundError as error:
        raise PictureError(f"no picture at {where}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = Image.MAX_IMAGE_PIXELS
        raise PictureError(f"{where}: too many pixels for PIL.Image.MAX_IMAGE_PIXELS = {limit} ({error})") from error
    except UnidentifiedImageError as error:
        raise PictureError(f"{where}: not a picture in one of the formats {', '.join(_formats())}") from error
    except Exception as error:  # decoders raise exceptions of many types for broken files
        raise PictureError(f"{where}: broken picture ({error or type(error).__name__})") from error


@cache
def _formats() -> tuple[str, ...]:
    """The `FORMATS` that the installed Pillow can read."""
    watch_decoders()
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _encoded_file(source: Source) -> Path | io.BytesIO:
    """The path or buffer from which Pillow reads an encoded picture."""
    if source.data is not None:
        return io.BytesIO(source.data)
    return io.BytesIO(unpack(source)) if source.args else Path(source.ref)


def _describe(source: Source) -> str:
    """The name of an encoded picture in error messages: its file and, if embedded, its place in the file."""
    if source.kind == "bytes":
        return f"picture {source.ref[:12]}…"
    return source.ref + "".join(f", {key} {value}" for key, value in source.args.items())


_STORES: weakref.WeakSet[ImageStore] = weakref.WeakSet()
_shared = ImageStore(int(os.environ.get("O3GYM_IMAGE_BUDGET", DEFAULT_BUDGET)))


def _after_fork() -> None:
    for store in _STORES:
        store._reset_locks()
        store._bytes = sum(pixels.nbytes for pixels in store._kept.values())


os.register_at_fork(after_in_child=_after_fork)


def shared_store() -> ImageStore:
    """The store of this process. Its size is set by `O3GYM_IMAGE_BUDGET` (bytes, read at import) or by `.budget`."""
    return _shared
