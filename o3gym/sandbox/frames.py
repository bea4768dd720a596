"""Messages between the host and a worker: a length, a JSON object, and raw bytes whose lengths the object declares.

Both sides use this module, so it imports the standard library only. A reader states what it accepts, and every length
is checked before anything of that length is read or allocated: the other side may be hostile.

    uint32 (big endian): length of the object
    the object, UTF-8 JSON; "blobs" lists the lengths of what follows
    the blobs
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_LENGTH = struct.Struct(">I")
Blob = bytes | bytearray | memoryview


class BrokenFrame(ValueError):  # noqa: N818 - the name says it
    """The other side broke the protocol; the message says how."""


@dataclass(frozen=True)
class FrameBounds:
    """What a reader accepts: the bytes of the object, of one blob and of all blobs, and the number of blobs."""

    header: int
    blob: int
    blobs: int
    total: int


def pack_frame(header: dict[str, Any], blobs: Sequence[Blob] = ()) -> list[Blob]:
    """Returns the pieces of a message, which are to be written one after the other."""
    sizes = [memoryview(blob).nbytes for blob in blobs]
    text = json.dumps({**header, "blobs": sizes}).encode()
    return [_LENGTH.pack(len(text)) + text, *blobs]


def read_frame(
    read: Callable[[int], bytes | bytearray], bounds: FrameBounds
) -> tuple[dict[str, Any], list[bytes | bytearray]]:
    """Reads a message.

    Args:
        read: returns exactly that many bytes, or raises.
        bounds: what is accepted.

    Returns:
        The object without "blobs", and the blobs.

    Raises:
        BrokenFrame: a length is out of bounds, or the object is no JSON object with a list of lengths.
    """
    (length,) = _LENGTH.unpack(read(_LENGTH.size))
    if length > bounds.header:
        raise BrokenFrame(f"a message of {length} bytes, at most {bounds.header} are accepted")
    try:
        header = json.loads(bytes(read(length)).decode())
    except (ValueError, RecursionError):
        raise BrokenFrame("a message that is not JSON") from None
    if not isinstance(header, dict):
        raise BrokenFrame("a message that is not a JSON object")
    sizes = header.pop("blobs", None)
    _check_sizes(sizes, bounds)
    return header, [read(size) for size in sizes]


def _check_sizes(sizes: Any, bounds: FrameBounds) -> None:
    """Raises `BrokenFrame` unless `sizes` is a list of lengths within the bounds."""
    if not isinstance(sizes, list) or len(sizes) > bounds.blobs:
        raise BrokenFrame(f"a message without a list of at most {bounds.blobs} lengths")
    if not all(type(size) is int and 0 <= size <= bounds.blob for size in sizes):
        raise BrokenFrame(f"an attachment that is not of 0 to {bounds.blob} bytes")
    if sum(sizes) > bounds.total:
        raise BrokenFrame(f"attachments of {sum(sizes)} bytes, at most {bounds.total} are accepted")
