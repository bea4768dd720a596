"""Output files of the synthesis commands: pictures and JSON lines, each file written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from o3gym.append_log import write_whole
from o3gym.media.embedded import unpack
from o3gym.media.images import shared_store
from o3gym.types import Source


def save(source: Source, folder: Path) -> str:
    """Saves a picture into a folder: its own encoded bytes if it has any, otherwise a PNG.

    Returns:
        The file's name. An existing file is not written again.

    Raises:
        PictureError: the picture cannot be read.
    """
    path = folder / f"{source.key}.{_suffix(source)}"
    if not path.exists():
        if (data := encoded_bytes(source)) is None:
            save_png(source, path)
        else:
            write_whole(path, data)
    return path.name


def save_png(source: Source, path: Path) -> None:
    """Saves a picture as a PNG. An existing file is not written again."""
    if not path.exists():
        file = io.BytesIO()
        Image.fromarray(shared_store().region(source)).save(file, "PNG")
        write_whole(path, file.getvalue())


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a file with one JSON object per line."""
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def _suffix(source: Source) -> str:
    if source.kind == "file" and not source.args:
        return Path(source.ref).suffix.lower().removeprefix(".") or "img"
    data = encoded_bytes(source)
    return "png" if data is None else _format(data)


def encoded_bytes(source: Source) -> bytes | None:
    """Returns the encoded bytes of a picture in a file, in memory or in a table; None for any other picture."""
    if source.kind == "file":
        return unpack(source) if source.args else Path(source.ref).read_bytes()
    return source.data


def _format(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        return (image.format or "img").lower()
