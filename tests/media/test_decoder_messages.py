"""Messages of decoders: one line per kind."""

from __future__ import annotations

import io
import logging
import struct
import warnings

import pytest
from PIL import Image, features

from o3gym.media import decoder_messages
from o3gym.media.decoder_messages import MessageKinds, watch_decoders
from o3gym.media.errors import PictureError
from o3gym.media.images import ImageStore
from o3gym.types import Source


def tiff(side: int, doubled: int = 0, compression: str | None = None) -> bytes:
    """A TIFF in which the tag `doubled` claims to have two values."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(file, "TIFF", compression=compression)
    data = bytearray(file.getvalue())
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, entry) == (doubled,):
            struct.pack_into("<I", data, entry + 4, 2)
    return bytes(data)


@pytest.fixture(autouse=True)
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been said yet. The filter of warnings is the test's own, because pytest restores them."""
    monkeypatch.setattr(decoder_messages, "_libtiff_kinds", MessageKinds())
    watch_decoders.cache_clear()
    watch_decoders()


def test_a_kind_is_a_text_without_its_numbers() -> None:
    kinds = MessageKinds()
    found = [kinds.match(text) for text in ("tag 1 of 2", "tag 33 of 4", "tags 1 of 2", "tag 1 of 2")]
    assert found == [False, True, False, True]


def test_pillow_warns_once_of_each_kind() -> None:
    store = ImageStore(0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        watch_decoders.cache_clear()
        watch_decoders()
        for side in (8, 9, 10):
            for tag in (284, 278):
                store.region(Source.of_bytes(tiff(side, tag)))
        assert [str(one.message) for one in caught] == ["Metadata Warning, tag 284 had too many entries: 2, expected 1"]
        warnings.warn("tag 1", stacklevel=1)
        warnings.warn("tag 2", stacklevel=1)
    assert len(caught) == 3  # warnings of others are not touched


@pytest.mark.skipif(decoder_messages._libtiff() is None, reason="Pillow brings no libtiff of its own")
def test_libtiff_reports_once_of_each_kind(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    assert features.check_codec("libtiff")
    store = ImageStore(0)
    with caplog.at_level(logging.WARNING):
        for side in (64, 65, 66):
            whole = tiff(side, compression="tiff_lzw")
            broken = whole.replace(whole[8:20], b"\xff" * 12)
            with pytest.raises(PictureError, match="broken picture"):
                store.region(Source.of_bytes(broken))
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("libtiff: ")
    assert capfd.readouterr().err == ""
