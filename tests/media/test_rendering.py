from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import o3gym
from o3gym.envs import VisualSearchEnv
from o3gym.media.drawing import GROUND, colour
from o3gym.media.images import shared_store
from o3gym.media.pixels import Pixels
from o3gym.media.rendering import CANVAS, CANVAS_MARGIN, PICTURE, frame, overview, strip
from o3gym.types import Call, Task, Trajectory

Make = Callable[..., Any]
CHOICE, FREE, BOX, PAIR = range(4)


def search(env: VisualSearchEnv, task: int | Task, *calls: Call) -> Trajectory:
    env.reset(options={"task": task})
    for call in calls:
        assert env.step(call)[4]["error"] == ""
    return env.trajectory


def has(pixels: Pixels, rgb: tuple[int, int, int]) -> bool:
    return bool((pixels == rgb).all(axis=-1).any())


def test_a_frame_shows_the_picture_the_newest_view_and_the_words(make_env: Make) -> None:
    env = make_env(min_pixels=1, max_pixels=1_000_000)
    record = search(env, CHOICE)
    first = frame(record, record.task.text)
    assert (first.shape, first.dtype) == ((CANVAS[1], CANVAS[0], 3), np.uint8)
    record = search(env, CHOICE, o3gym.crop((0.5, 0.5, 1.0, 1.0)))
    second = frame(record, "")
    left = np.s_[CANVAS_MARGIN : PICTURE[1], : CANVAS[0] // 2]
    assert has(second[left], colour(1))
    assert not has(first[left], colour(1))
    middle = second[CANVAS_MARGIN + PICTURE[1] // 2, CANVAS[0] - CANVAS_MARGIN - PICTURE[0] // 2].astype(int)
    native = shared_store().region(record.sources[0])[119:122, 179:182].reshape(-1, 3).astype(int)
    assert (native.min(axis=0) <= middle + 40).all()
    assert (middle <= native.max(axis=0) + 40).all()
    words = np.s_[PICTURE[1] + 30 :]
    assert not (second[words] == GROUND).all()
    assert not np.array_equal(frame(record, "no such view")[words], second[words])


@pytest.mark.parametrize("native", [(240, 160), (30, 20), (3000, 10), (8, 2000)])
def test_the_overview_fits_and_outlines_what_was_looked_at(make_env: Make, make_source: Make, native: Any) -> None:
    env = make_env(tools=("crop", "rotate", "answer"), min_pixels=1)
    calls = (
        o3gym.crop((0.5, 0.5, 1.0, 1.0)),
        Call("rotate", {"view": 0, "angle": 180}),
        o3gym.crop((0.5, 0.5, 1.0, 1.0), 2),
    )
    image = overview(search(env, Task("t", (make_source(*native),), "?", "x"), *calls), (400, 300))
    assert max(image.width / 400, image.height / 300) == pytest.approx(1, abs=0.01)
    assert image.width <= 400
    assert image.height <= 300
    pixels = np.array(image)
    x, y = image.width // 2, image.height // 2
    if min(image.size) > 100:
        assert has(pixels[y + y // 2, x - 3 : x + 4], colour(1))  # left edge of the first crop
        assert not has(pixels[y // 2, x - 3 : x + 4], colour(1))
        assert has(
            pixels[y // 2, x - 3 : x + 4], colour(3)
        )  # right edge of the upper left quarter, from the turned view
        assert has(pixels[-1, x:], colour(2))  # the turned view is all of the picture


def test_boxes_of_other_pictures_are_not_drawn_on_the_first(make_env: Make) -> None:
    env = make_env()
    record = search(env, PAIR, o3gym.crop((0.25, 0.25, 0.5, 0.5), view=1))
    assert not has(np.array(overview(record, (300, 300))), colour(2))
    record = search(env, PAIR, o3gym.crop((0.25, 0.25, 0.5, 0.5), view=0))
    assert has(np.array(overview(record, (300, 300))), colour(2))


def test_a_strip_holds_every_look_and_the_answer(make_env: Make) -> None:
    env = make_env()
    looks = (o3gym.crop((0.0, 0.0, 0.5, 0.5)), o3gym.zoom((0.5, 0.5), 3.0), o3gym.reuse(1))
    record = search(env, CHOICE, *looks, o3gym.answer("B"))
    images = [np.array(strip(replace(record, verdict=verdict), 200)) for verdict in ("", "correct")]
    assert images[0].shape == images[1].shape
    assert not np.array_equal(*images)
    assert all(has(images[0][:208], colour(index)) for index in (1, 2, 3))
    assert strip(search(env, CHOICE)).width > 0


@pytest.mark.parametrize("answer", ["x" * 100_000, "line\n" * 20_000, "漢\u202e\0\t"])
def test_hostile_words_neither_break_nor_stall_a_strip(make_env: Make, answer: str) -> None:
    record = search(make_env(), FREE, o3gym.crop((0.0, 0.0, 0.5, 0.5)), o3gym.answer(answer))
    record = replace(record, task=replace(record.task, question=answer))
    start = time.process_time()
    image = strip(record)
    assert image.width < 2000
    assert image.height < 400
    assert frame(record, answer).shape == (CANVAS[1], CANVAS[0], 3)
    assert time.process_time() - start < 5
