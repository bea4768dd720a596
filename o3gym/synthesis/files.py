"""What the commands leave behind: pictures and files of rows, each written whole or not at all."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from o3gym.media.embedded import unpack
from o3gym.media.images import shared_store
from o3gym.types import Source


def save(source: Source, folder: Path) -> str:
    """Put a picture into a folder, as its own bytes where it has any and else as PNG. Written whole or not at all.

    Returns:
        The file's name; one that is there already is not written again.

    Raises:
        PictureError: the picture cannot be read.
    """
    path = folder / f"{source.key}.{_ending(source)}"
    if not path.exists():
        if (data := _encoded(source)) is None:
            save_png(source, path)
        else:
            write_whole(path, data)
    return path.name


def save_png(source: Source, path: Path) -> None:
    """Draw a picture into a PNG file; one that is there already is not drawn again."""
    if not path.exists():
        file = io.BytesIO()
        Image.fromarray(shared_store().region(source)).save(file, "PNG")
        write_whole(path, file.getvalue())


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line."""
    write_whole(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or as it was; its folder is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(data)
    partial.replace(path)


def _ending(source: Source) -> str:
    if source.kind == "file" and not source.args:
        return Path(source.ref).suffix.lower().removeprefix(".") or "img"
    data = _encoded(source)
    return "png" if data is None else _format(data)


def _encoded(source: Source) -> bytes | None:
    """The bytes of a file, in memory or in a table; None for a picture that is made."""
    if source.kind == "file":
        return unpack(source) if source.args else Path(source.ref).read_bytes()
    return source.data


def _format(data: bytes) -> str:
    with Image.open(io.BytesIO(data)) as image:
        return (image.format or "img").lower()
