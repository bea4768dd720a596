from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

import o3gym
from o3gym.envs import VisualSearchEnv
from o3gym.geometry import coverage, surround
from o3gym.media.images import shared_store
from o3gym.registry import TOOLS
from o3gym.tools.base import Arg, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.types import Call, Target

Make = Callable[..., VisualSearchEnv]
CHOICE, FREE, BOX, PAIR = range(4)
ALL = ("crop", "zoom", "reuse", "rotate", "draw", "answer", "locate")
CALLS = [
    o3gym.crop((0.1, 0.1, 0.6, 0.7)),
    o3gym.zoom((0.3, 0.3), 4.0),
    o3gym.reuse(0),
    o3gym.crop((0.2, 0.2, 0.9, 0.9), view=1),
    Call("rotate", {"view": 1, "angle": 30}),
    Call("draw", {"view": 0, "boxes": [[0.1, 0.1, 0.4, 0.4]]}),
]


def test_no_tool_keeps_what_ends_the_episode(make_env: Make) -> None:
    env = make_env(tools=ALL, control="no_tool")
    assert list(env.tools) == ["answer", "locate"]
    env.reset(options={"task": FREE})
    observation, _, _, _, info = env.step(CALLS[0])
    assert (info["error"], observation["images"]) == ("unknown_tool", ())
    assert env.step(o3gym.answer("flour"))[1] == 1.0


@pytest.mark.parametrize("focus", ["crop", "draw", "reuse"])
def test_blank_crop_shows_grey_of_the_same_size_and_records_it(make_env: Make, focus: str) -> None:
    env, twin = (make_env(tools=ALL, control=c, focus=focus, max_turns=20) for c in ("blank_crop", None))
    first = env.reset(options={"task": CHOICE})[0]["images"][0]
    assert np.array_equal(first, twin.reset(options={"task": CHOICE})[0]["images"][0])
    for call in CALLS:
        observation, _, _, _, info = env.step(call)
        seen, _, _, _, told = twin.step(call)
        assert (info["error"], len(observation["images"])) == ("", 1)
        assert (observation["images"][0] == 127).all()
        assert observation["images"][0].shape == seen["images"][0].shape
        assert info.keys() == told.keys()
    record = env.trajectory
    for view in record.views:
        pixels = shared_store().region(record.sources[view.source], view.box, view.shown)
        assert np.array_equal(pixels, first) if view.parent < 0 else (pixels == 127).all()


class Halves(Tool):
    """A third party's tool that shows two views at once."""

    name: ClassVar[str] = "halves"
    doc: ClassVar[str] = "Show the left and the right half."
    args: ClassVar[Mapping[str, Arg]] = {}

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        return ToolResult(
            (ViewRequest(0, (0.0, 0.0, 0.5, 1.0), 0), ViewRequest(0, (0.75, 0.0, 1.0, 1.0), 0)), text="two parts"
        )


@pytest.mark.parametrize("control", [None, "blank_crop"])
def test_a_tool_of_a_third_party_may_show_several_views(
    make_env: Make, register: Callable[..., str], control: str | None
) -> None:
    env = make_env(tools=(register(TOOLS, "halves", Halves), "answer"), control=control, min_pixels=1, max_views=3)
    first = env.reset(options={"task": BOX})[0]["images"][0]
    observation, _, _, _, info = env.step(Call("halves", {}))
    left, right = observation["images"]
    assert (info["n_new"], info["view"], info["error"], observation["text"]) == (2, 2, "", "two parts")
    assert (left.shape[:2], right.shape[:2]) == ((141, 70), (200, 50))
    native = shared_store().region(env.episode.sources[0])
    assert np.array_equal(right, np.full_like(right, 127) if control else native[:, 150:])
    assert first.shape == (100, 100, 3)
    assert env.trajectory.turns[0].views == (1, 2)
    assert env.step(Call("halves", {}))[4]["stop"] == "over_views"


def test_blank_crop_changes_neither_answers_nor_what_is_refused(make_env: Make) -> None:
    env = make_env(control="blank_crop")
    env.reset(options={"task": BOX})
    assert env.step(o3gym.crop((0.5, 0.5, 0.5, 0.5)))[4]["error"] == "bad_box"
    env.step(o3gym.crop((0.25, 0.5, 0.75, 1.0)))
    _, reward, _, _, info = env.step(o3gym.locate((0.0, 0.0, 0.5, 0.5), view=1))  # in a grey view, of the picture
    assert (reward, info["stop"]) == (pytest.approx(1.0), "located")


def test_random_crop_keeps_size_and_view_and_follows_the_seed(make_env: Make) -> None:
    env = make_env(control="random_crop", min_pixels=1, max_pixels=1_000_000, max_turns=4)

    def boxes(seed: int) -> list[tuple[float, ...]]:
        env.reset(seed=seed, options={"task": CHOICE})
        for call in (o3gym.crop((0.1, 0.1, 0.6, 0.35)), o3gym.zoom((0.0, 0.0), 4.0, view=1), o3gym.reuse(1)):
            assert env.step(call)[4]["error"] == ""
        return [view.box for view in env.views[1:]]

    found = [boxes(seed) for seed in range(60)]
    assert found == [boxes(seed) for seed in range(60)]
    for crop, zoom, reuse in found:
        assert crop[2] - crop[0] == pytest.approx(0.5, abs=1.01 / 240)
        assert crop[3] - crop[1] == pytest.approx(0.25, abs=1.01 / 160)
        assert coverage(crop, zoom) == pytest.approx(1.0)  # type: ignore[arg-type]
        assert reuse == crop
    for axis, low, high in ((0, 0.0, 0.5), (1, 0.0, 0.75)):
        starts = sorted(crop[axis] for crop, _, _ in found)
        assert starts[0] < low + 0.05
        assert starts[-1] > high - 0.05
        assert np.mean(starts) == pytest.approx((low + high) / 2, abs=0.1)
    corners = [zoom[0] == crop[0] for crop, zoom, _ in found]
    assert np.mean(corners) < 0.2  # uniform, not pushed against the edge


def test_random_crop_shows_no_more_than_was_asked_for(make_env: Make) -> None:
    env = make_env(control="random_crop", min_pixels=1, max_pixels=1_000_000)
    env.reset(seed=0, options={"task": CHOICE})
    env.step(o3gym.crop((-0.5, -3.0, 0.25, 0.5)))
    assert env.views[1].native == pytest.approx((60, 80), abs=1)
    assert env.step(o3gym.crop((1.5, 0.0, 2.0, 0.5)))[4]["error"] == "bad_box"


@pytest.mark.parametrize("size_rule", ["o3gym", "mini_o3", "insight_o3", "pixel_reasoner", "thyme"])
@pytest.mark.parametrize("focus", ["crop", "draw"])
@pytest.mark.parametrize("look", [o3gym.crop((0.9, 0.9, 1.0, 1.0)), o3gym.zoom((0.9, 0.9), 3.0)])
def test_oracle_crop_covers_one_target_after_the_other(make_env: Make, size_rule: str, focus: str, look: Call) -> None:
    env = make_env(control="oracle_crop", size_rule=size_rule, focus=focus, max_turns=9)
    env.reset(options={"task": CHOICE})
    targets = [target.box for target in env.episode.task.targets]
    looked = []
    for call in (look, o3gym.reuse(0), look, look):
        assert env.step(call)[4]["error"] == ""
        view = env.views[-1]
        drawn = env.episode.sources[view.source].args.get("boxes")
        looked.append(tuple(drawn[0]) if drawn else view.box)
    first, _, second, third = looked
    assert coverage(first, targets[0]) > 0.99
    assert coverage(second, targets[1]) > 0.99
    assert second != first
    assert third == second


def test_oracle_crop_looks_into_the_right_picture_and_leaves_other_calls_alone(make_env: Make) -> None:
    env = make_env(tools=ALL, control="oracle_crop")
    env.reset(options={"task": PAIR})
    env.step(o3gym.crop((0.9, 0.9, 1.0, 1.0), view=0))
    assert env.views[2].source == 1
    assert coverage(env.views[2].box, surround(env.episode.task.targets[0].box)) == pytest.approx(1.0)
    env.step(o3gym.reuse(0))
    assert env.views[3].box == env.views[0].box
    env.reset(options={"task": env.suite[FREE]})
    assert env.step(Call("draw", {"boxes": [[0, 0, 1, 1]]}))[4]["error"] == ""
    assert env.step(o3gym.crop((2.0, 2.0, 1.0, 1.0)))[4]["error"] == ""  # whatever the box, the oracle looks well


def test_oracle_crop_tells_targets_apart_that_lie_close(make_env: Make) -> None:
    env = make_env(control="oracle_crop")
    boxes = [(0.3, 0.3, 0.4, 0.4), (0.33, 0.33, 0.43, 0.43), (0.3, 0.3, 0.4, 0.4)]
    env.reset(options={"task": replace(env.suite[FREE], targets=tuple(map(Target, boxes)))})
    for _ in range(3):
        env.step(o3gym.crop((0.0, 0.0, 0.1, 0.1)))
    views = [view.box for view in env.views[1:]]
    assert [coverage(view, surround(box)) for view, box in zip(views, boxes, strict=True)] == pytest.approx([1, 1, 1])
    assert (views[0] == views[1], views[0] == views[2]) == (False, True)
