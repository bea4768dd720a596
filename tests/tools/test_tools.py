from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import o3gym
from o3gym.codec import encode
from o3gym.envs import VisualSearchEnv
from o3gym.geometry import apply_affine, to_root
from o3gym.media.images import shared_store
from o3gym.media.pixels import Pixels
from o3gym.tools import rotate as rotation
from o3gym.tools.rotate import rotated_size
from o3gym.types import FULL, Call, Source, View

Make = Callable[..., VisualSearchEnv]
CHOICE, FREE, BOX, PAIR = range(4)
ALL = ("crop", "zoom", "reuse", "rotate", "draw", "answer", "locate")


@pytest.fixture
def env(make_env: Make) -> VisualSearchEnv:
    """Every tool, and a budget in which nothing is resampled; its first picture is 240×160."""
    made = make_env(tools=ALL, min_pixels=1, max_pixels=1_000_000, max_turns=50)
    made.reset(options={"task": CHOICE})
    return made


def shown(env: VisualSearchEnv, call: Call) -> tuple[Pixels, View]:
    observation, _, _, _, info = env.step(call)
    assert info["error"] == "", observation["text"]
    assert len(observation["images"]) == 1
    return observation["images"][0], env.views[-1]


def whole(env: VisualSearchEnv) -> Pixels:
    return shared_store().region(env.episode.sources[0])


# ── Looks ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_crop_of_a_crop_of_a_crop_shows_native_pixels(env: VisualSearchEnv) -> None:
    pixels = whole(env)
    image, view = shown(env, o3gym.crop((30 / 240, 20 / 160, 150 / 240, 140 / 160)))
    assert np.array_equal(image, pixels[20:140, 30:150])
    assert (view.native, view.shown, view.parent) == ((120, 120), (120, 120), 0)
    image, view = shown(env, o3gym.crop((0.25, 0.5, 0.75, 1.0), view=1))
    assert np.array_equal(image, pixels[80:140, 60:120])
    image, view = shown(env, o3gym.crop((7 / 60, 11 / 60, 8 / 60, 13 / 60), view=2))
    assert np.array_equal(image, pixels[91:93, 67:68])
    assert view.box == pytest.approx((67 / 240, 91 / 160, 68 / 240, 93 / 160))
    assert [v.parent for v in env.views] == [-1, 0, 1, 2]


def test_the_full_crop_of_a_crop_is_the_crop_itself_however_often(env: VisualSearchEnv) -> None:
    image, view = shown(env, o3gym.crop((0.13, 0.29, 0.57, 0.71)))
    for index in range(1, 21):
        again, same = shown(env, o3gym.crop(FULL, view=index))
        assert np.array_equal(again, image)
        assert same.native == view.native
    assert same.box == pytest.approx(view.box, abs=1e-12)


def test_a_box_beyond_the_view_is_clamped_to_it(env: VisualSearchEnv) -> None:
    image, _ = shown(env, o3gym.crop((-0.5, 0.5, 0.5, 7.0)))
    assert np.array_equal(image, whole(env)[80:, :120])


def test_small_crops_are_enlarged_to_the_budget_and_large_ones_shrunk(make_env: Make) -> None:
    env = make_env(min_pixels=900, max_pixels=3600, max_turns=9)
    observation, _ = env.reset(options={"task": CHOICE})
    assert observation["images"][0].shape == (48, 73, 3)  # 240×160 at 3,600 pixels, rounded down
    image, view = shown(env, o3gym.crop((0, 0, 10 / 240, 10 / 160)))
    assert (image.shape, view.native, view.shown) == ((30, 30, 3), (10, 10), (30, 30))
    image, view = shown(env, o3gym.crop((0, 0, 50 / 240, 60 / 160)))
    assert np.array_equal(image, whole(env)[:60, :50])


@pytest.mark.parametrize("max_pixels", [1_000_000, 10_000])
@pytest.mark.parametrize("factor", [1.0, 2.0, 3.0, 7.5, 16.0])
def test_zoom_shows_its_region_as_large_as_the_view(make_env: Make, max_pixels: int, factor: float) -> None:
    env = make_env(min_pixels=1, max_pixels=max_pixels)
    observation, _ = env.reset(options={"task": CHOICE})
    height, width, _ = observation["images"][0].shape
    image, view = shown(env, o3gym.zoom((0.4, 0.6), factor))
    assert image.shape[0] * image.shape[1] == pytest.approx(width * height, rel=0.02)
    assert view.native[0] == pytest.approx(240 / factor, abs=2)
    assert view.native[1] == pytest.approx(160 / factor, abs=2)
    x = (view.box[0] + view.box[2]) / 2
    assert x == pytest.approx(max(0.4, 0.5 / factor), abs=1 / 240)


def test_zoom_at_a_corner_is_shifted_inside(env: VisualSearchEnv) -> None:
    _, view = shown(env, o3gym.zoom((1.0, -3.0), 4.0))
    assert view.box == (0.75, 0.0, 1.0, 0.25)
    _, view = shown(env, Call("zoom", {"center": [0.5, 0.5], "view": 1}))  # twice by default, of the view
    assert view.box == pytest.approx((0.8125, 0.0625, 0.9375, 0.1875))


def test_reuse_shows_the_same_pixels_again(make_env: Make) -> None:
    env = make_env()
    first = env.reset(options={"task": CHOICE})[0]["images"][0]
    zoomed, _ = shown(env, o3gym.zoom((0.5, 0.5), 8.0))
    assert np.array_equal(shown(env, o3gym.reuse())[0], first)
    again, view = shown(env, o3gym.reuse(1))
    assert np.array_equal(again, zoomed)
    assert (view.index, view.parent, len(env.episode.sources)) == (3, 1, 1)


# ── Derived pictures ────────────────────────────────────────────────────────────────────────────────────────────────


def test_draw_marks_the_box_and_leaves_the_rest(env: VisualSearchEnv) -> None:
    shown(env, o3gym.crop((0.5, 0.0, 1.0, 1.0)))  # 120×160
    image, view = shown(env, Call("draw", {"view": 1, "boxes": [[0.25, 0.25, 0.75, 0.5]]}))
    plain = whole(env)[:, 120:]
    changed = (image != plain).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert (columns.min(), columns.max() + 1) == (30, 90)
    assert (rows.min(), rows.max() + 1) == (40, 80)
    assert (image[changed] == (255, 0, 0)).all()
    assert not changed[42:78, 32:88].any()
    source = env.episode.sources[view.source]
    assert (source.kind, source.ref, view.box, view.shown) == ("derived", "draw", FULL, (120, 160))
    assert to_root(source, (0.0, 0.0, 0.5, 1.0)) == (env.episode.sources[0], (0.5, 0.0, 0.75, 1.0))
    part, _ = shown(env, o3gym.crop((0.0, 0.0, 0.5, 0.5), view=2))  # a crop of a marked view shows the marks
    assert np.array_equal(part, image[:80, :60])


ANGLES = [0, 90, -90, 180, 270, 360, 37.5, -120, 45, 1]


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("box", [FULL, (0.25, 0.1, 0.9, 0.6)])
def test_what_is_turned_lands_where_the_affine_map_says(make_env: Make, angle: float, box: Any) -> None:
    canvas = np.zeros((160, 240, 3), np.uint8)
    canvas[50:54, 90:94] = 255
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "PNG")
    env = make_env(tools=("crop", "rotate", "answer"), min_pixels=1, max_pixels=1_000_000)
    task = replace(env.suite[FREE], sources=(Source.of_bytes(file.getvalue()),), targets=())
    env.reset(options={"task": task})
    shown(env, o3gym.crop(box))
    width, height = env.views[1].native
    image, view = shown(env, Call("rotate", {"view": 1, "angle": angle}))
    assert image.shape[1::-1] == rotated_size((width, height), angle) == view.native
    bright = image[..., 0].astype(float)
    rows, columns = (axis.mean() for axis in np.nonzero(bright > 160))  # the marker, not the grey ground
    y, x = np.indices(bright.shape)
    weight = bright * (np.hypot(y - rows, x - columns) < 8)
    unit = (((x + 0.5) * weight).sum() / bright.shape[1], ((y + 0.5) * weight).sum() / bright.shape[0]) / weight.sum()
    affine = env.episode.sources[view.source].affine
    assert affine is not None
    x, y, _, _ = apply_affine(affine, (*unit, *unit))
    assert (x * 240, y * 160) == pytest.approx((92, 52), abs=0.1)


@pytest.mark.parametrize(("angle", "turns"), [(0, 0), (90, 1), (-270, 1), (180, 2), (270, 3), (-90, 3), (360, 0)])
def test_quarter_turns_are_exact_and_counter_clockwise(env: VisualSearchEnv, angle: float, turns: int) -> None:
    shown(env, o3gym.crop((0.1, 0.2, 0.5, 0.9)))
    plain = shared_store().region(env.episode.sources[0], env.views[1].box)
    assert np.array_equal(shown(env, Call("rotate", {"view": 1, "angle": angle}))[0], np.rot90(plain, turns))


def test_mini_o3_resizes_the_picture_with_lanczos_and_observations_to_the_nearest_pixel(make_env: Make) -> None:
    env = make_env(size_rule="mini_o3", min_pixels=40_000, max_pixels=2_000_000)
    observation, _ = env.reset(options={"task": CHOICE})
    source = env.episode.sources[0]
    picture = Image.fromarray(shared_store().region(source))
    (given,) = env.views
    expected = [np.array(picture.resize(given.shown, Image.Resampling.LANCZOS))]
    assert np.array_equal(observation["images"][0], expected[0])
    pixels, view = shown(env, o3gym.crop((0.1, 0.25, 0.5, 0.75)))
    # 96×80 pixels, enlarged by sqrt(40000 / 7680) and truncated
    assert (view.native, view.shown) == ((96, 80), (219, 182))
    crop = picture.crop((24, 40, 120, 120))
    expected.append(np.array(crop.resize(view.shown, Image.Resampling.NEAREST)))
    assert np.array_equal(pixels, expected[1])
    assert env.observation_space["images"].feature_space.contains(pixels)
    for index, known in enumerate(env.views):  # what is stored of a view is enough to show it again
        again = View(**decoded(encode(known)))
        assert again == known
        assert np.array_equal(shared_store().region(source, again.box, again.shown, again.resampling), expected[index])


def decoded(data: dict[str, Any]) -> dict[str, Any]:
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(json.dumps(data)).items()
    }


def test_other_views_are_stored_without_their_resampling(env: VisualSearchEnv) -> None:
    assert "resampling" not in encode(env.views[0])


@pytest.mark.parametrize("angle", [0, 45, 90, 180, -30])
def test_deepeyes_keeps_the_canvas_as_pillow_does(make_env: Make, angle: float) -> None:
    env = make_env(tools=ALL, size_rule="deepeyes", min_pixels=1, max_pixels=1_000_000)
    env.reset(options={"task": CHOICE})
    turned, view = shown(env, Call("rotate", {"angle": angle}))
    picture = Image.fromarray(shared_store().region(env.episode.sources[0]))
    assert np.array_equal(turned, np.array(picture.rotate(angle)))
    assert view.native == picture.size
    # A box around a pixel of the rotated picture is traced back to the pixel that it shows.
    affine = env.episode.sources[1].affine
    assert affine is not None
    centre = apply_affine(affine, (0.5, 0.5, 0.5, 0.5))
    assert centre == pytest.approx((0.5, 0.5, 0.5, 0.5))


def test_turning_again_and_again_is_refused_before_it_fills_the_memory(
    env: VisualSearchEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "MAX_TURNED", 100_000)
    shown(env, Call("rotate", {"angle": 45}))
    observation, _, _, _, info = env.step(Call("rotate", {"view": 1, "angle": 45}))
    assert info["error"] == "bad_args"
    assert observation["text"] == "turned, view 1 would have 401×401 pixels; turn a smaller part"


@pytest.mark.parametrize(("focus", "n_sources"), [("crop", 1), ("draw", 2), ("reuse", 1)])
def test_focus_decides_what_crop_shows(make_env: Make, focus: str, n_sources: int) -> None:
    env = make_env(focus=focus, min_pixels=1, max_pixels=1_000_000)
    first = env.reset(options={"task": CHOICE})[0]["images"][0]
    image, view = shown(env, o3gym.crop((0.25, 0.25, 0.5, 0.5)))
    assert len(env.episode.sources) == n_sources
    if focus == "crop":
        assert np.array_equal(image, first[40:80, 60:120])
    elif focus == "reuse":
        assert np.array_equal(image, first)
    else:
        columns = np.nonzero((image != first).any(axis=(0, 2)))[0]
        assert (columns.min(), columns.max() + 1) == (60, 120)
        assert env.episode.sources[view.source].args["boxes"] == [[0.25, 0.25, 0.5, 0.5]]
    assert env.step(o3gym.crop((0.5, 0.5, 0.5, 0.9)))[4]["error"] == "bad_box"


def test_drawn_boxes_follow_the_size_rule(make_env: Make) -> None:
    env = make_env(focus="draw", size_rule="thyme", min_pixels=1, max_pixels=1_000_000)
    env.reset(options={"task": CHOICE})
    _, view = shown(env, o3gym.crop((100 / 240, 70 / 160, 110 / 240, 90 / 160)))
    wanted = [73 / 240, 48 / 160, 137 / 240, 112 / 160]
    assert env.episode.sources[view.source].args["boxes"][0] == pytest.approx(wanted)


# ── Ends ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def located(env: VisualSearchEnv, *calls: Call) -> Any:
    env.reset(options={"task": BOX})  # 200×200
    for call in calls:
        _, _, terminated, _, info = env.step(call)
    assert (info["stop"], terminated) == ("located", True)
    assert json.loads(env.trajectory.answer) == (None if env.trajectory.located is None else [*env.trajectory.located])
    return env.trajectory.located


def test_a_box_is_located_in_the_first_picture_from_whatever_view(env: VisualSearchEnv) -> None:
    crop, half = o3gym.crop((0.25, 0.25, 0.75, 0.75)), (0.0, 0.5, 0.5, 1.0)
    assert located(env, o3gym.locate(half)) == half
    assert located(env, crop, o3gym.locate(half, 1)) == pytest.approx((0.25, 0.5, 0.5, 0.75))
    turned = Call("rotate", {"view": 1, "angle": 90})
    assert located(env, crop, turned, o3gym.locate(half, 2)) == pytest.approx((0.25, 0.25, 0.5, 0.5))
    cut = o3gym.crop((0.5, 0.0, 1.0, 0.5), view=2)
    assert located(env, crop, turned, cut, o3gym.locate(half, 3)) == pytest.approx((0.5, 0.5, 0.625, 0.625))
    drawn = Call("draw", {"view": 3, "boxes": [[0, 0, 1, 1]]})
    assert located(env, crop, turned, cut, drawn, o3gym.locate(half, 4)) == pytest.approx((0.5, 0.5, 0.625, 0.625))
    assert located(env, o3gym.zoom((0.5, 0.5), 4), o3gym.locate((-1, -1, 0.5, 2), 1)) == pytest.approx(
        (0.375, 0.375, 0.5, 0.625)
    )
    assert located(env, o3gym.locate(None)) is None


def test_a_task_picture_may_itself_be_derived(env: VisualSearchEnv) -> None:
    task = env.suite[BOX]
    half = Source.derived(task.sources[0], "draw", (0.5, 0.0, 0.5, 0.0, 1.0, 0.0), region=[0.5, 0, 1, 1], boxes=[])
    env.reset(options={"task": replace(task, sources=(half,))})
    env.step(o3gym.crop((0.0, 0.0, 0.5, 0.5)))
    env.step(o3gym.locate((0.5, 0.5, 1.0, 1.0), view=1))
    assert env.trajectory.located == (0.25, 0.25, 0.5, 0.5)


def test_a_box_in_another_picture_is_refused(env: VisualSearchEnv) -> None:
    env.reset(options={"task": replace(env.suite[PAIR], kind="box")})
    observation, _, _, _, info = env.step(o3gym.locate((0, 0, 0.5, 0.5), view=1))
    assert (info["error"], observation["text"]) == (
        "bad_view",
        "view 1 is not a part of the first picture; locate there",
    )


def test_answers_are_stripped_and_recorded(env: VisualSearchEnv) -> None:
    env.step(o3gym.answer("  B\n"))
    assert (env.trajectory.answer, env.trajectory.stop) == ("B", "answered")
