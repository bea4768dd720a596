"""The tool `code`: what becomes of the text, the pictures and the errors that come back, without a sandbox."""

from __future__ import annotations

import io
import json
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from o3gym.calls import code
from o3gym.codec import encode
from o3gym.geometry import to_root
from o3gym.media.images import shared_store
from o3gym.registry import CODE_RULES
from o3gym.sandbox.limits import Outcome
from o3gym.testing.episodes import sample_context
from o3gym.tools.base import Invalid, ToolResult
from o3gym.tools.code import MAX_ERROR, MAX_MADE, MAX_PRINTED, NO_OUTPUT, Code
from o3gym.types import FULL, Source
from tests.scripted_sandbox import png


def ran(outcome: Outcome, source: str = "1", rule: str = "o3gym") -> ToolResult:
    context = replace(sample_context(), run_code=lambda text: outcome, code_rule=CODE_RULES[rule])
    return Code().apply(context, source=source)


def test_printed_text_and_pictures_come_back() -> None:
    shown, stored = png(50, 30), png(30, 50, "blue", "JPEG")
    result = ran(Outcome(text="hello\n", shown=(shown,), stored=(("/w/a.jpg", stored),)))
    assert (result.text, result.error, result.stop) == ("hello", "", "")
    assert [source.data for source in result.sources] == [shown, stored]
    assert [(view.source, view.box, view.parent) for view in result.views] == [(1, FULL, 0), (2, FULL, 0)]


def test_a_made_picture_keeps_its_bytes_and_maps_to_no_place_in_the_task() -> None:
    (source,) = ran(Outcome(shown=(png(50, 30),))).sources
    scene = sample_context().task.sources[0]
    assert (source.kind, source.parent, source.affine, source.args) == ("bytes", scene, None, {"made_by": "code"})
    assert source == Source.made(png(50, 30), scene)
    assert to_root(source, FULL, [scene]) is None
    assert shared_store().region(source).shape == (30, 50, 3)
    assert json.dumps(encode(source))


def test_the_same_pixels_are_shown_once() -> None:
    """Code stores a picture and shows it, too: the files differ, the pixels do not."""
    pixels = np.arange(7500, dtype=np.uint8).reshape(50, 50, 3)
    files = []
    for kind in ("PNG", "BMP"):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        files.append(file.getvalue())
    result = ran(Outcome(shown=(files[0],), stored=(("/w/a.bmp", files[1]),)))
    assert [source.data for source in result.sources] == files[:1]


def test_an_error_is_an_observation_with_what_came_before_it() -> None:
    outcome = Outcome(text="before", shown=(png(),), error='File "<code>", line 2\nNameError: x', ended="error")
    result = ran(outcome)
    assert (result.error, len(result.views)) == ("code", 1)
    assert result.text == 'before\nFile "<code>", line 2\nNameError: x'
    assert ran(Outcome(ended="timeout", error="Too slow.")).error == "code"


def test_code_that_returns_nothing_says_so() -> None:
    assert ran(Outcome()).text == NO_OUTPUT
    assert ran(Outcome(shown=(png(),))).text == ""
    assert ran(Outcome(stored=(("/w/a.png", png()),)), rule="pyvision").text == NO_OUTPUT


@pytest.mark.parametrize("source", ["", " \n\t"])
def test_empty_code_is_refused_and_not_run(source: str) -> None:
    with pytest.raises(Invalid, match="empty") as refused:
        ran(Outcome(), source)
    assert refused.value.kind == "bad_args"


def test_without_a_sandbox_the_call_is_refused() -> None:
    with pytest.raises(Invalid, match="no sandbox"):
        Code().apply(sample_context(), source="1")


def test_the_repaired_code_is_run() -> None:
    run: list[str] = []
    context = replace(
        sample_context(), run_code=lambda text: run.append(text) or Outcome(), code_rule=CODE_RULES["thyme_repaired"]
    )
    width, height = context.views[0].native
    Code().apply(context, source="box = (0, 0, 99999, 99999)\ncv.imread(image_path)")
    assert run == [f"box = (0, 0, {width}, {height})\ncv2.imread(image_path)"]


# ── Pictures from a stranger ────────────────────────────────────────────────────────────────────────────────────────


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff_bomb() -> bytes:
    file = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    Image.new("L", (8, 8)).save(file, "TIFF", tiffinfo=tags)
    data = file.getvalue()
    return data.replace(struct.pack("<HHIHH", 256, 4, 1, 8, 0), struct.pack("<HHII", 256, 4, 1, 50_000)).replace(
        struct.pack("<HHIHH", 257, 4, 1, 8, 0), struct.pack("<HHII", 257, 4, 1, 50_000)
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a picture in one of the formats"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"%PDF-1.7", "not a picture"),
        (png()[:-30], "broken picture"),
        (bomb(60, 40), "broken picture"),
        (bomb(8000, 8000), f"more than {MAX_MADE}"),
        (bomb(400_000, 400_000), "too many pixels"),
        (tiff_bomb(), "too many pixels"),
        (png(400, 2), "not below 200"),
        (png(2, 400), "not below 200"),
    ],
    ids=["empty", "svg", "eps", "pdf", "cut", "lie", "large", "bomb", "tiff", "wide", "tall"],
)
def test_a_picture_that_cannot_be_shown_is_refused_in_words(data: bytes, reason: str) -> None:
    result = ran(Outcome(text="hi", shown=(data, png())))
    assert [source.data for source in result.sources] == [png()]
    assert result.text.startswith("hi\nPicture 1 cannot be shown: ")
    assert reason in result.text
    assert result.error == ""


def test_a_large_picture_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_store(), "_decode", None)
    assert not ran(Outcome(shown=(bomb(8000, 8000),))).views


def test_too_many_pictures_are_the_first_ones_and_it_is_said() -> None:
    made = tuple(png(10 + i, 10) for i in range(11))
    result = ran(Outcome(shown=made))
    assert [source.data for source in result.sources] == list(made[:8])
    assert result.text == "Only the first 8 of 11 pictures are shown."
    assert len(ran(Outcome(shown=made), rule="deepeyes_v2").views) == 10


def test_text_is_bounded_and_can_be_encoded() -> None:
    result = ran(Outcome(text="x" * 10**6, error="start" + "y" * 10**6 + "end", ended="error"))
    assert len(result.text) < MAX_PRINTED + MAX_ERROR + 100
    assert result.text.endswith("yend")
    assert "start" not in result.text
    assert "output cut" in result.text
    assert ran(Outcome(text="a\ud800b")).text == "a?b"


def test_the_name_of_the_working_folder_is_left_out() -> None:
    """It differs between two runs of the same episode."""
    outcome = Outcome(text="/tmp/x1/7/a.png", error="no /tmp/x1/7/b.png", ended="error", folder="/tmp/x1/7")
    assert ran(outcome).text == "a.png\nno b.png"


def test_the_builder() -> None:
    assert code("print(1)") == ("code", {"source": "print(1)"})
