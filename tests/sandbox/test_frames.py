"""Messages: what is sent comes back, and nothing that a stranger sends does harm."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o3gym.sandbox.frames import BrokenFrame, FrameBounds, pack_frame, read_frame

BOUNDS = FrameBounds(header=500, blob=50, blobs=3, total=100)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def reader(data: bytes, longest: int = 500) -> Callable[[int], bytes]:
    """Reads from bytes, and refuses to be asked for more at a time than the bounds allow."""
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        assert 0 <= size <= longest
        if at + size > len(data):
            raise EOFError
        at += size
        return data[at - size : at]

    return read


def frame(header: Any, blobs: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + blobs


@settings(max_examples=50)
@given(
    st.dictionaries(st.text(max_size=5).filter(lambda key: key != "blobs"), JSON, max_size=3),
    st.lists(st.binary(max_size=30), max_size=3),
)
def test_what_is_packed_is_read(header: dict[str, Any], blobs: list[bytes]) -> None:
    data = b"".join(bytes(piece) for piece in pack_frame(header, blobs))
    bounds = FrameBounds(header=10_000, blob=50, blobs=3, total=100)
    assert read_frame(reader(data, 10_000), bounds) == (header, blobs)


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_random_bytes_are_broken_frames(data: bytes) -> None:
    with pytest.raises((BrokenFrame, EOFError)):
        read_frame(reader(data), BOUNDS)


@settings(max_examples=50)
@given(JSON, st.binary(max_size=100))
def test_random_lengths_are_checked_before_anything_is_read(sizes: Any, rest: bytes) -> None:
    try:
        _, blobs = read_frame(reader(frame({"blobs": sizes}, rest)), BOUNDS)
    except (BrokenFrame, EOFError):
        return
    assert [len(blob) for blob in blobs] == sizes


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", 501) + b" " * 501,
        struct.pack(">I", 2**32 - 1),
        frame(b"nonsense"),
        frame(b"\xff\xfe{}"),
        frame([]),
        frame({}),
        frame({"blobs": None}),
        frame({"blobs": [True]}),
        frame({"blobs": [1.0]}),
        frame({"blobs": [-1]}),
        frame({"blobs": [51]}, bytes(51)),
        frame({"blobs": [1] * 4}, bytes(4)),
        frame({"blobs": [50, 50, 1]}, bytes(101)),
        frame(b'{"blobs": ' + b"[" * 480),
        frame(b'{"blobs": [' + b"9" * 480 + b"]}"),
    ],
)
def test_broken_frames(data: bytes) -> None:
    with pytest.raises(BrokenFrame):
        read_frame(reader(data), BOUNDS)


def test_numbers_too_long_to_be_printed_are_broken_frames() -> None:
    header = b'{"blobs": [' + b"9" * 4300 + b", " + b"9" * 4300 + b"]}"
    with pytest.raises(BrokenFrame):
        read_frame(reader(frame(header), 10_000), FrameBounds(10_000, 50, 3, 100))


def test_an_end_in_the_middle_is_an_end() -> None:
    with pytest.raises(EOFError):
        read_frame(reader(frame({"blobs": [10]}, b"123")), BOUNDS)
