"""Refused boxes are explained in the numbers, the axis order and the names of the dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import pytest

import o3gym
from o3gym.calls import crop, locate
from o3gym.dialects.base import make_dialect
from o3gym.dialects.tagged import Tagged
from o3gym.envs.text_turns import TextTurns
from o3gym.registry import DIALECTS
from o3gym.tools.base import Invalid, Tool, ToolContext
from o3gym.tools.crop import Crop
from o3gym.tools.locate import Locate
from o3gym.tools.size_rules import deepeyes_size, insight_o3_size, mini_o3_size
from o3gym.tools.time_rules import O3GYM_TIMES
from o3gym.types import FULL, Call, View
from tests.dialects.dialect_samples import BOX, PLANNING, VIEWS

EMPTY = [0.1, 0.2, 0.1, 0.4]
SMALL = [0.1, 0.2, 0.105, 0.204]
"""20×12 native pixels of view 0, of which the size rule of DeepEyes requires more than 30×30."""


def feedback(call: Call, rule: Any = deepeyes_size) -> tuple[str, str]:
    """The kind of error of a call that is refused, and the feedback of the environment."""
    context = ToolContext(BOX, BOX.sources, VIEWS, lambda _: (4000, 3000), rule, O3GYM_TIMES)
    tool: Tool = Crop() if call.tool == "crop" else Locate()
    with pytest.raises(Invalid) as caught:
        tool.apply(context, **call.args)
    return caught.value.kind, caught.value.reason


def told(spec: str, call: Call, rule: Any = deepeyes_size, views: Sequence[View] = VIEWS) -> str:
    """The next user message after that refusal."""
    error, text = feedback(call, rule)
    parts = make_dialect(spec).show((), text, {"turn": 1, "error": error, "views": views})
    assert all(isinstance(part, str) for part in parts)
    return "".join(map(str, parts))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mini_o3", "box [0.1, 0.2, 0.1, 0.4] has no area inside original_image"),
        ("deepeyes", "box [100, 150, 100, 300] has no area inside the first picture"),
        ("deepeyes?frame=native", "box [400, 600, 400, 1200] has no area inside the first picture"),
        ("insight_o3", "box [100, 150, 100, 300] has no area inside the first picture"),
        ("insight_o3?frame=grid1000", "box [100, 200, 100, 400] has no area inside the first picture"),
        ("simple_o3", "box [200, 100, 400, 100] has no area inside the original picture"),
        ("pixel_reasoner", "box [0.1, 0.2, 0.1, 0.4] has no area inside image 1"),
        ("qwen3_vl", "box [100, 200, 100, 400] has no area inside picture 0"),
        ("openai", "box [0.1, 0.2, 0.1, 0.4] has no area inside view 0"),
    ],
)
def test_an_empty_box(spec: str, expected: str) -> None:
    assert expected in told(spec, crop(EMPTY))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("mini_o3", "would be 0.005 wide and 0.004 high; it must exceed 0.0075 wide and 0.01 high"),
        ("deepeyes", "would be 5 pixels wide and 3 pixels high; it must exceed 7.5 pixels wide and 7.5 pixels high"),
        ("deepeyes?frame=native", "would be 20 pixels wide and 12 pixels high; it must exceed 30 pixels wide and 30"),
        (
            "simple_o3",
            "box [200, 100, 204, 105] of the original picture is refused: the crop would be 5 wide and 4 high",
        ),
        ("qwen3_vl", "box [100, 200, 105, 204] of picture 0 is refused: the crop would be 5 wide and 4 high; it must "),
        ("pixel_reasoner", "box [0.1, 0.2, 0.105, 0.204] of image 1 is refused: the crop would be 0.005 wide and"),
    ],
)
def test_a_box_that_is_too_small(spec: str, expected: str) -> None:
    assert expected in told(spec, crop(SMALL))


def test_a_box_outside_of_a_crop_is_in_pixels_of_that_crop_where_the_dialect_counts_so() -> None:
    assert "box [480, 0, 600, 45] has no area inside image 2" in told("pixel_reasoner", crop([1.2, 0, 1.5, 0.1], 1))
    assert "box [1200, 0, 1500, 100] has no area inside picture 1" in told("qwen3_vl", crop([1.2, 0, 1.5, 0.1], 1))


@pytest.mark.parametrize(
    ("spec", "hinted"), [("mini_o3", True), ("openai", True), ("deepeyes", False), ("qwen3_vl", False)]
)
def test_pixels_are_suspected_only_where_fractions_are_expected(spec: str, hinted: bool) -> None:
    assert ("these look like pixels" in told(spec, crop([10, 20, 100, 200]))) == hinted


def test_a_located_box() -> None:
    assert "box [100, 200, 100, 400] has no area inside picture 0" in told("qwen3_vl", locate(EMPTY))


def test_other_size_rules() -> None:
    said = told("qwen3_vl", crop([0, 0, 1, 0.005]), deepeyes_size)
    assert "the box is 1000 wide and 5 high; in pixels, its sides may differ at most by a factor of 100" in said
    assert "needs at least 1000 wide and 13.3 high" in said
    said = told("qwen3_vl", crop([0, 0, 1, 0.005]), mini_o3_size)
    assert "needs at least 999.8 wide and 6.7 high" in said  # 3999 pixels: at least 20 in the other direction
    said = told("qwen3_vl", crop([0, 0, 0.9, 0.012], 1), insight_o3_size)
    assert said.endswith(
        "the box is 900 wide and 12 high; enlarged to at least 35 wide and 31.1 high, it would be 2333.3 wide and 31.1 "
        "high, which is more than the view's 1000 wide and 1000 high"
    )


def test_sizes_that_are_not_of_a_box_stay() -> None:
    text = "turned, view 1 would have 401×401 pixels; turn a smaller part"
    parts = make_dialect("qwen3_vl").show((), text, {"turn": 1, "error": "bad_args", "views": VIEWS})
    assert parts == ["Error: turned, picture 1 would have 401×401 pixels; turn a smaller part"]


@pytest.mark.parametrize(
    "name", ["box [1.., 1, 1, 1] of view 0", "box [1e999, 1, 1, 1] of view 0", "box [0, 0, 1, 1] of view 999999"]
)
def test_a_name_that_looks_like_a_refusal_does_no_harm(name: str) -> None:
    text = f'unknown tool "{name} 1.2.3×4 pixels" (tools: crop)'
    for spec in DIALECTS:
        assert make_dialect(spec).show((), text, {"turn": 1, "error": "unknown_tool", "views": VIEWS})


def test_the_model_on_board_reads_of_a_cell() -> None:
    assert told("grid", crop(SMALL, 1)) == "that cell of picture 1 is too small; look at a larger one"


def test_a_reasoner_reads_nothing_of_the_searchers_numbers() -> None:
    text = f"The region could not be located: {feedback(crop(SMALL))[1]}."
    parts = make_dialect("insight_o3_reasoner").show((), text, {"turn": 1, "error": "", "views": VIEWS})
    assert str(parts[0]).startswith("The region could not be located: the box that was found cannot be shown.\n")


@pytest.mark.parametrize("spec", sorted(spec for spec in DIALECTS if "crop" in make_dialect(spec).tools))
def test_a_played_refusal_reaches_the_model_in_its_own_numbers(spec: str) -> None:
    tools = ("crop", "locate") if spec == "insight_o3" else ("crop", "answer", "locate")
    env = gym.make("o3gym/Synthetic-hidden-easy-v0", tools=tools, size_rule="deepeyes", max_turns=4)
    wrapped = TextTurns(env, spec)
    task = o3gym.types.Task("t", env.unwrapped.suite[0].sources, "the star", kind="box")  # type: ignore[attr-defined]
    wrapped.reset(options={"task": task})
    (view,) = env.unwrapped.views  # type: ignore[attr-defined]
    side = 8 / view.native[0], 8 / view.native[1]
    dialect = make_dialect(spec)
    call = crop([0.5, 0.5, 0.5 + side[0], 0.5 + side[1]])
    if spec in ("grid", "reel"):  # they name cells, which are never that small
        assert dialect.format(call, (view,)).startswith("look")
        return
    reply = dialect.format(call, (view,))
    observation, _, _, _, info = wrapped.step(reply)
    assert info["error"] == "too_small"
    numbers = str(dialect.from_unit(dialect.parse(reply, (view,)).call.args["box"], (view,), 0))  # type: ignore[attr-defined]
    assert f"box {numbers} of" in observation["text"]


# ── views that do not exist ─────────────────────────────────────────────────────────────────────────────────────────

MANY = (*VIEWS, View(2, 0, (0.5, 0.5, 0.6, 0.6), (400, 300), (400, 300), 0))
PAIR = (View(0, 0, FULL, (40, 30), (40, 30)), View(1, 1, FULL, (40, 30), (40, 30)), replace(MANY[2], parent=1))
NO_VIEWS: dict[str, tuple[str, str, str, str]] = {
    # for each dialect: one view so far, three views, three views of which two were given, and a view below 0
    "mini_o3": (
        "there is no observation_7; only original_image exists",
        "there is no observation_7; original_image and observation_1 to observation_2 exist",
        "there is no observation_7; original_image, original_image_2 and observation_2 exist",
        "there is no original_image_0; only original_image exists",
    ),
    "deepeyes": ("every function works on the first picture",) * 4,
    "insight_o3": ("the function works on the first picture",) * 4,
    "insight_o3_reasoner": (
        "there is no image 7; the only image is number 0",
        "there is no image 7; the only image is number 0",
        "there is no image 7; images are numbered 0 to 1",
        "there is no image -1; the only image is number 0",
    ),
    "simple_o3": ("every function works on the original picture",) * 4,
    "pixel_reasoner": (
        "there is no image 8; the only image is number 1",
        "there is no image 8; images are numbered 1 to 3",
        "there is no image 8; images are numbered 1 to 3",
        "there is no image 0; the only image is number 1",
    ),
    "qwen3_vl": (
        "there is no picture 7; the only picture is number 0",
        "there is no picture 7; pictures are numbered 0 to 2",
        "there is no picture 7; pictures are numbered 0 to 2",
        "there is no picture -1; the only picture is number 0",
    ),
    "openai": (
        "there is no view 7; the only view is number 0",
        "there is no view 7; views are numbered 0 to 2",
        "there is no view 7; views are numbered 0 to 2",
        "there is no view -1; the only view is number 0",
    ),
    "grid": (
        "there is no picture 7; the only picture is number 0",
        "there is no picture 7; pictures are numbered 0 to 2",
        "there is no picture 7; pictures are numbered 0 to 2",
        "there is no picture -1; the only picture is number 0",
    ),
}
NO_VIEWS["reel"] = NO_VIEWS["grid"]
NO_VIEWS |= {
    name: (
        "there is no picture 8; only picture 1 exists",
        *("there is no picture 8; picture 1 to picture 3 exist",) * 2,
        "there is no picture 0; only picture 1 exists",
    )
    for name in ("vital", "longvt", "vr_thinker", "frame_thinker", *PLANNING)
}
ENDS = ("</tool_response>", "</interpreter>", "</observation>", "</sandbox_output>")
"""What stands after the refusal of a call."""
LATER = "view 2 is not a part of the first picture; locate there"


def by_name(spec: str) -> tuple[str, str, str, str]:
    """The refusals of a dialect that only names its views, in the order of `NO_VIEWS`."""
    called = make_dialect(spec).called  # type: ignore[attr-defined]
    one, three = f"only {called(0)} exists", f"{called(0)} to {called(2)} exist"
    no = f"there is no {called(7)}"
    return f"{no}; {one}", f"{no}; {three}", f"{no}; {three}", f"there is no {called(-1)}; {one}"


def refused_view(spec: str, view: int, views: Sequence[View]) -> str:
    """The next user message after a call on a view that does not exist."""
    context: Any = SimpleNamespace(views=tuple(views))
    with pytest.raises(Invalid) as caught:
        ToolContext.view(context, view)
    info = {"turn": 1, "error": caught.value.kind, "views": views}
    return "".join(map(str, make_dialect(spec).show((), caught.value.reason, info)))


@pytest.mark.parametrize("spec", sorted(DIALECTS))
def test_views_that_do_not_exist_are_refused_with_the_names_of_those_that_do(spec: str) -> None:
    cases = ((7, VIEWS[:1]), (7, MANY), (7, PAIR), (-1, VIEWS[:1]))
    for (view, views), expected in zip(cases, NO_VIEWS.get(spec) or by_name(spec), strict=True):
        refused = refused_view(spec, view, views)
        for end in ENDS:
            refused = refused.removesuffix(end).rstrip()
        assert refused.endswith(expected)


@pytest.mark.parametrize("spec", sorted(set(DIALECTS) - {"openai"}))
def test_no_refusal_speaks_of_views(spec: str) -> None:
    for text in ("there is no view 7; views are numbered 0 to 2", LATER, "search …, and view 2 is a later one"):
        parts = make_dialect(spec).show((), text, {"turn": 1, "error": "bad_view", "views": MANY})
        assert "view" not in "".join(map(str, parts)).replace("image_view", "")


def test_a_given_picture_is_never_called_an_observation() -> None:
    said = make_dialect("mini_o3").show((), "view 1 is small", {"turn": 1, "error": "bad_view", "views": PAIR})
    assert said == ["Error: original_image_2 is small"]


def test_a_dialect_that_only_names_views_lists_them_by_these_names() -> None:
    dialect = Tagged()
    for views, exist in ((VIEWS[:1], "only view 0 exists"), (MANY, "view 0 to view 2 exist")):
        reason = f"there is no view 7; views are numbered 0 to {len(views) - 1}"
        assert dialect.show((), reason, {"turn": 1, "error": "bad_view", "views": views}) == [
            f"Error: there is no view 7; {exist}"
        ]
