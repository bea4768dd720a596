from __future__ import annotations

import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector.utils import batch_space

import o3gym
from o3gym.calls import noop
from o3gym.envs import VisualSearchEnv
from o3gym.envs.spaces import CallSpace, ImageSpace, TextSpace
from o3gym.registry import TOOLS
from o3gym.tools.base import MAX_BOXES, MAX_TEXT
from o3gym.types import Call

BOX = [0.1, 0.1, 0.5, 0.5]
ALL = ("crop", "zoom", "reuse", "rotate", "draw", "answer", "locate", "noop")


def call_space(*names: str, seed: int | None = 0) -> CallSpace:
    return CallSpace([TOOLS[name]() for name in names or ALL], seed=seed)


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


GOOD = [
    o3gym.crop(BOX),
    Call("crop", {"box": BOX}),
    Call("crop", {"box": (0, 0, 1, 1), "view": 99}),  # whether the view exists is decided in step
    Call("crop", {"box": [0.5, 0.5, 0.1, 0.1]}),  # so is whether the box has an area
    Call("crop", {"box": [-3, 0, 1e300, 1]}),
    o3gym.zoom((0.5, 0.5)),
    Call("zoom", {"center": [0, 1], "factor": 1}),
    Call("zoom", {"center": [0, 1], "factor": 16.0}),
    o3gym.reuse(-1),
    Call("rotate", {"angle": -360}),
    Call("draw", {"boxes": [BOX] * MAX_BOXES}),
    o3gym.answer(""),
    o3gym.answer("ä漢" * (MAX_TEXT // 2)),
    o3gym.locate(None),
    o3gym.locate(BOX, 3),
    noop("void", "nothing"),
]
BAD = [
    ("crop", {"box": BOX}),  # a tuple that is no Call
    ["crop", {"box": BOX}],
    "crop",
    None,
    np.zeros(4),
    Call("corp", {"box": BOX}),
    Call(["crop"], {"box": BOX}),  # type: ignore[arg-type]
    Call(None, {}),  # type: ignore[arg-type]
    Call("crop", None),  # type: ignore[arg-type]
    Call("crop", [("box", BOX)]),  # type: ignore[arg-type]
    Call("crop", {}),
    Call("crop", {"box": BOX, "color": 1}),
    Call("crop", {"box": BOX, 3: 1}),  # type: ignore[dict-item]
    Call("crop", {"box": BOX[:3]}),
    Call("crop", {"box": [*BOX, 1]}),
    Call("crop", {"box": [0, 0, 1, math.nan]}),
    Call("crop", {"box": [0, 0, 1, math.inf]}),
    Call("crop", {"box": [0, 0, 1, 10**400]}),
    Call("crop", {"box": [0, 0, 1, True]}),
    Call("crop", {"box": [0, 0, 1, "1"]}),
    Call("crop", {"box": "0011"}),
    Call("crop", {"box": None}),
    Call("crop", {"box": nested(100_000)}),
    Call("crop", {"box": np.array(BOX)}),
    Call("crop", {"box": [np.float32(v) for v in BOX]}),
    Call("crop", {"box": BOX, "view": 0.0}),
    Call("crop", {"box": BOX, "view": True}),
    Call("crop", {"box": BOX, "view": "0"}),
    Call("crop", {"box": BOX, "view": None}),
    Call("crop", {"box": BOX, "view": 10**5000}),
    Call("reuse", {}),
    Call("zoom", {"center": [0.5]}),
    Call("zoom", {"center": [0.5, math.nan]}),
    Call("zoom", {"center": [0.5, 0.5], "factor": 0.99}),
    Call("zoom", {"center": [0.5, 0.5], "factor": 17}),
    Call("zoom", {"center": [0.5, 0.5], "factor": True}),
    Call("zoom", {"center": [0.5, 0.5], "factor": math.nan}),
    Call("rotate", {"angle": 361}),
    Call("draw", {"boxes": []}),
    Call("draw", {"boxes": BOX}),
    Call("draw", {"boxes": [BOX] * (MAX_BOXES + 1)}),
    Call("answer", {"text": 3}),
    Call("answer", {"text": b"A"}),
    Call("answer", {"text": "a" * (MAX_TEXT + 1)}),
    Call("locate", {}),
    Call("locate", {"box": False}),
    Call("noop", {}),
]


@pytest.mark.parametrize("call", GOOD, ids=lambda call: f"{call.tool}")
def test_calls_of_valid_shape_are_contained(call: Call) -> None:
    assert call_space().contains(call)


@pytest.mark.parametrize("number", range(len(BAD)))
def test_everything_else_is_not(number: int) -> None:
    assert call_space().contains(BAD[number]) is False


def test_tools_that_are_not_enabled_are_not_contained() -> None:
    assert not call_space("crop", "answer").contains(o3gym.reuse())


def test_what_is_wrong_is_said_in_words() -> None:
    crop = TOOLS["crop"]()
    assert crop.accepts({"box": BOX}) == ""
    assert crop.accepts({"bbox": BOX}) == '"bbox" is not an argument of crop (it takes view, box)'
    assert crop.accepts({"view": 0}).startswith('crop needs "box": the part to look at')
    assert (
        crop.accepts({"box": [1, 2]})
        == '"box" of crop must be a box [x0, y0, x1, y1] of four finite numbers, got [1, 2]'
    )
    assert crop.accepts([]) == "arguments must be an object, got list"
    assert TOOLS["zoom"]().accepts({"center": [0, 0], "factor": 99}).endswith("must be a number from 1 to 16, got 99")
    assert len(crop.accepts({"box": list(range(10**6))})) < 200


@pytest.mark.parametrize(("row", "end"), [(0, "answer"), (1, "answer"), (2, "locate"), (3, "answer")])
def test_samples_are_contained_and_can_be_carried_out(local: str, row: int, end: str) -> None:
    env = VisualSearchEnv(local, tools=("crop", "zoom", "reuse", "rotate", "draw", end), min_pixels=1, max_pixels=400)
    env.action_space.seed(row)
    tools = set()
    for _ in range(130):
        env.reset(options={"task": row})
        call = env.action_space.sample()
        assert env.action_space.contains(call)
        _, _, _, _, info = env.step(call)
        assert info["error"] == "", (call, env.episode.feedback)
        tools.add(call.tool)
    assert tools == {"crop", "zoom", "reuse", "rotate", "draw", end}


SPACES: list[Any] = [ImageSpace(100, 2000, 3), TextSpace(40, 3), call_space(seed=3)]


@pytest.mark.parametrize("space", SPACES, ids=lambda s: type(s).__name__)
def test_samples_repeat_by_seed_and_survive_json_and_pickling(space: Any) -> None:
    space.seed(11)
    first = [space.sample() for _ in range(20)]
    assert all(map(space.contains, first))
    space.seed(11)
    copy = pickle.loads(pickle.dumps(space))
    for again in ([space.sample() for _ in range(20)], [copy.sample() for _ in range(20)]):
        assert all(
            np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(first, again, strict=True)
        )
    back = space.from_jsonable(json.loads(json.dumps(space.to_jsonable(first[:3]))))
    assert all(map(space.contains, back))
    assert all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b for a, b in zip(first, back, strict=False))
    assert copy == space
    space.seed(12)
    other = [space.sample() for _ in range(20)]
    assert any(
        not np.array_equal(a, b) if isinstance(a, np.ndarray) else a != b for a, b in zip(first, other, strict=True)
    )


def test_spaces_differ_by_what_they_hold() -> None:
    assert ImageSpace(1, 10) != ImageSpace(1, 11)
    assert TextSpace(10) != TextSpace(11)
    assert call_space("crop") != call_space("zoom")
    assert ImageSpace(1, 10) != TextSpace(10)


@pytest.mark.parametrize(
    ("low", "high"), [(1, 1), (7, 7), (97, 97), (3, 11), (40_000, 40_000), (9_973, 10_007), (1, 5_000)]
)
def test_sampled_pictures_keep_to_the_pixel_budget(low: int, high: int) -> None:
    space = ImageSpace(low, high, seed=1)
    for _ in range(50):
        pixels = space.sample()
        assert low <= pixels.shape[0] * pixels.shape[1] <= high
        assert space.contains(pixels)


def test_pictures_of_another_size_type_or_form_are_not_contained() -> None:
    space = ImageSpace(100, 200)
    good = np.zeros((10, 15, 3), np.uint8)
    assert space.contains(good)
    for bad in (
        good[:6],
        np.zeros((10, 21, 3), np.uint8),
        good.astype(np.float32),
        good[..., :2],
        good[..., 0],
        good.tolist(),
    ):
        assert not space.contains(bad)
    with pytest.raises(ValueError, match="expected 1 <= min <= max, got 5 and 4"):
        ImageSpace(5, 4)


def test_any_text_up_to_its_length_is_contained() -> None:
    space = TextSpace(5)
    assert all(map(space.contains, ["", "ä漢\n\0\u2028", "12345"]))
    assert not any(map(space.contains, ["123456", b"a", None, 3]))


def test_spaces_go_into_containers_and_batches() -> None:
    space = spaces.Dict({"images": spaces.Sequence(ImageSpace(4, 9)), "call": call_space()}, seed=5)
    assert space.contains(space.sample())
    batch = batch_space(call_space(), 3)
    assert len(batch.sample()) == 3
    assert len({repr(call) for call in batch.sample()}) > 1
    assert not any(s.is_np_flattenable for s in SPACES)
