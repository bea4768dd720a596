"""`draw_state`: the move that a drawn picture shows, and pictures of strangers."""

from __future__ import annotations

import base64
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from o3gym.media import images
from o3gym.media.images import shared_store
from o3gym.tools.base import Invalid, ViewRequest
from o3gym.tools.draw_state import MAX_DRAWN, DrawState
from o3gym.types import FULL, Source
from o3gym.worlds import WORLDS, World, draw_world
from o3gym.worlds.base import BLOCKED
from o3gym.worlds.records import newest_standing, state_source
from tests.tools.planning_scenes import apply, data_url, encoded, planning_scene
from tests.worlds.planning_episodes import DOWN, LAKE, RIGHT

DRAW = DrawState()


def drawn(world: World, plan: list[int], form: str = "PNG", **options: object) -> bytes:
    return encoded(world.render(world.after(plan)), form, **options)


def after(text: str) -> tuple[str, tuple[int, ...], int]:
    """The reason, the recorded plan and the number of new views of a drawing in the start state of the lake."""
    result = apply(DRAW, planning_scene(LAKE), text)
    assert (result.error, result.stop) == ("bad_move", "")
    standing = newest_standing(result.sources)
    assert standing is not None
    return result.text, standing.plan, len(result.views)


@pytest.mark.parametrize("name", WORLDS)
def test_drawn_states_lead_to_the_goal(name: str) -> None:
    world = draw_world(name, 5)
    sources: list[Source] = []
    plan: list[int] = []
    for move in world.optimal_plan():
        plan.append(move)
        result = apply(DRAW, planning_scene(world, *sources), data_url(drawn(world, plan)))
        first = len(sources) + 1
        picture, state = result.sources
        assert state == state_source(world, plan)
        assert (picture.kind, picture.args, picture.parent) == ("bytes", {"made_by": "model"}, state_source(world))
        assert np.array_equal(shared_store().region(picture), world.render(world.after(plan)))
        assert result.views == (ViewRequest(first, FULL, first - 1), ViewRequest(first + 1, FULL, first))
        assert result.error == ""
        sources += result.sources
    assert result.stop == "answered"
    assert result.answer == " ".join(world.moves[move] for move in plan)


@pytest.mark.parametrize(
    "text",
    [
        data_url(drawn(LAKE, [DOWN])),
        data_url(drawn(LAKE, [DOWN]), "jpeg"),  # the bytes decide
        data_url(drawn(LAKE, [DOWN], "JPEG", quality=90), "jpeg"),
        data_url(drawn(LAKE, [DOWN], "JPEG", quality=90), "jpg"),
        data_url(drawn(LAKE, [DOWN], "WEBP", quality=90), "webp"),
        base64.b64encode(drawn(LAKE, [DOWN])).decode(),
        base64.encodebytes(drawn(LAKE, [DOWN])).decode(),
        f"\n {data_url(drawn(LAKE, [DOWN]))} \n",
        data_url(encoded(Image.fromarray(LAKE.render(LAKE.after([DOWN]))).convert("RGBA"))),
        data_url(encoded(Image.fromarray(LAKE.render(LAKE.after([DOWN]))).quantize(64))),
    ],
)
def test_every_form_of_a_picture_is_read(text: str) -> None:
    result = apply(DRAW, planning_scene(LAKE), text)
    assert (result.text, result.error) == ("", "")
    assert result.sources[-1] == state_source(LAKE, [DOWN])


def test_a_picture_that_shows_no_move_is_shown_and_counts_as_an_invalid_move() -> None:
    again, blank, hole = drawn(LAKE, []), np.zeros((256, 256, 3), np.uint8), drawn(LAKE, [DOWN, RIGHT])
    for data in (again, encoded(blank), hole):
        reason, plan, views = after(data_url(data))
        assert reason
        assert (plan, views) == ((BLOCKED,), 2)


EXPECTED = "expected a PNG, JPEG or WebP picture of 256×256 pixels as a data URL, got "


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "''"),
        ("right", "'right'"),
        ("data:image/png;base64,", "'data:image/png;base64,'"),
        ("data:image/png;base64,!!!", "'data:image/png;base64,!!!'"),
        ("data:image/png;base64,AAA", "'data:image/png;base64,AAA'"),
        ("data:image/svg+xml;base64,AAAA", "'data:image/s"),
        ("data:image/png;base64,AAAA", "another format"),
        ("data:text/html;base64,AAAA", "'data:text/html;base64,AAAA'"),
        ("https://example.org/picture.png", "'https://"),
        ("/etc/passwd", "'/etc/passwd'"),
        ("漢\ud800", "'漢"),
        ("\x00" * 100, "'"),
        (data_url(b"\x89PNG\r\n\x1a\n"), "picture "),
        (data_url(drawn(LAKE, [DOWN])[:500]), "picture "),
        (data_url(drawn(LAKE, [DOWN])[:-300]), "picture "),
        (data_url(encoded(np.zeros((100, 256, 3), np.uint8))), "256×100 pixels"),
        (data_url(encoded(np.zeros((512, 512, 3), np.uint8), "JPEG"), "jpeg"), "512×512 pixels"),
        (data_url(encoded(np.zeros((256, 256, 3), np.uint8), "GIF")), "another format"),
        (data_url(encoded(np.zeros((256, 256, 3), np.uint8), "BMP")), "another format"),
        (data_url(encoded(np.zeros((256, 256, 3), np.uint8), "TIFF")), "another format"),
        (data_url(b"%!PS-Adobe-3.0 EPSF-3.0\n"), "another format"),
    ],
)
def test_text_that_is_no_picture_is_an_invalid_move_with_the_reason(text: str, reason: str) -> None:
    said, plan, views = after(text)
    assert said.startswith(EXPECTED + reason)
    assert len(said) < 400
    assert (plan, views) == ((BLOCKED,), 1)


def bomb(side: int) -> bytes:
    """A PNG whose header promises a huge picture, in a few bytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [257, 4000, 10_000, 60_000])
def test_a_large_picture_is_refused_before_it_is_decoded(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "to_rgb", None)
    said, plan, views = after(data_url(bomb(side)))
    assert f"{side}×{side} pixels" in said or "too many pixels" in said
    assert (plan, views) == ((BLOCKED,), 1)


def test_the_longest_text_is_read_in_bounded_time_and_longer_ones_are_refused() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    text = data_url(encoded(noise))
    assert 260_000 < len(text) <= MAX_DRAWN
    start = time.perf_counter()
    assert after(text)[1:] == ((BLOCKED,), 2)
    assert time.perf_counter() - start < 0.5
    assert DRAW.accepts({"picture": "A" * (MAX_DRAWN + 1)}).startswith(
        f'"picture" of draw_state must be text of at most {MAX_DRAWN} characters, got'
    )


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encoded(Image.new("L", (256, 256), 127), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    start = time.perf_counter()
    said, *recorded = after(data_url(data[:-2] + last * (200_000 // len(last)) + data[-2:], "jpeg"))
    assert said.startswith(EXPECTED + "a JPEG of ")
    assert recorded == [(BLOCKED,), 1]
    assert time.perf_counter() - start < 0.5
    assert after(data_url(data, "jpeg"))[2] == 2


def test_other_tasks_have_no_world() -> None:
    scene = planning_scene(LAKE)
    photo = Source.file("photo.jpg")
    other = type(scene)(scene.task, (photo,), scene.views, scene.size_of, scene.size_rule, scene.time_rule)
    with pytest.raises(Invalid, match="this task has no world in which draw_state can make a move"):
        DRAW.apply(other, picture=data_url(drawn(LAKE, [DOWN])))
