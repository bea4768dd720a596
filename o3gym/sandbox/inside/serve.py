"""What a worker does: it enters the jail and serves the host's requests until the channel closes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.linalg
import numpy.random
from PIL import Image, ImageChops, ImageColor, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps, ImageStat

from o3gym.sandbox.frames import Blob, FrameBounds, pack_frame, read_frame
from o3gym.sandbox.inside.jail import Jail
from o3gym.sandbox.inside.notebook import Notebook

Image.init()  # all file formats
LOADED = (
    numpy.linalg,
    numpy.random,
    ImageChops,
    ImageColor,
    ImageDraw,
    ImageEnhance,
    ImageFilter,
    ImageFont,
    ImageOps,
    ImageStat,
)
"""Modules that are ready in every worker."""

_BOUNDS = FrameBounds(header=2**28, blob=2**32, blobs=1, total=2**32)
"""Requests come from the host, which is trusted."""


def serve(channel: int, jail: dict[str, Any], folder: Path, parent: int) -> None:
    """Serves requests: "start", "put" and "run". Returns when the host has closed its end."""
    try:
        Jail(**{**jail, "readable": tuple(jail["readable"])}).enter(channel, folder, parent)
    except Exception as error:
        _write(channel, pack_frame({"failed": f"{type(error).__name__}: {error}"}))
        return
    for name in [name for name in sys.modules if name.split(".")[0] == "o3gym"]:
        del sys.modules[name]

    def read(size: int) -> bytearray:
        return _read(channel, size)

    request, _ = read_frame(read, _BOUNDS)
    notebook = Notebook(folder, request)
    _write(channel, pack_frame({"folder": str(folder)}))
    while True:
        try:
            request, blobs = read_frame(read, _BOUNDS)
        except EOFError:
            return
        if request["op"] == "put":
            notebook.put(request["name"], request["width"], request["height"], blobs[0])
            _write(channel, pack_frame({"taken": True}))
        else:
            _write(channel, pack_frame(*notebook.run(request["source"], request["seconds"])))


def _read(channel: int, size: int) -> bytearray:
    """Reads exactly `size` bytes. `read` is used because system calls for sockets are refused by now."""
    data = bytearray(size)
    view, done = memoryview(data), 0
    while done < size:
        if not (count := os.readv(channel, [view[done:]])):
            raise EOFError
        done += count
    return data


def _write(channel: int, pieces: Sequence[Blob]) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(channel, view) :]
