"""Replies as the released systems write them, well and badly, and what each dialect makes of them."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from o3gym.calls import answer, crop, locate, reuse, zoom
from o3gym.dialects.base import make_dialect
from o3gym.dialects.openai import call_text
from o3gym.types import Call
from tests.dialects.dialect_samples import TOOLSET, VIEWS

T = "<think>The sign is far away.</think>"
ZOOM = '{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [100, 150, 300, 300], "label": "sign"}}'
PIXELS = crop([0.1, 0.2, 0.3, 0.4])


def call(body: str) -> str:
    return f"<tool_call>{body}</tool_call>"


GOOD: list[tuple[str, str, Call]] = [
    (
        "mini_o3",
        T + '<grounding>{"bbox_2d": [0.10, 0.20, 0.45, 0.60], "source": "original_image"}</grounding>',
        crop([0.1, 0.2, 0.45, 0.6]),
    ),
    (
        "mini_o3",
        T + '\n<grounding>\n{"bbox_2d": [0, 0, 1, 1], "source": "observation_1"}\n</grounding>\n',
        crop([0, 0, 1, 1], 1),
    ),
    ("mini_o3", T + "<answer> B </answer>", answer("B")),
    ("mini_o3", T + '<answer>{"bbox_2d": [0, 0, 0.5, 0.5]}</answer>', locate([0, 0, 0.5, 0.5])),
    ("deepeyes", T + call(ZOOM), PIXELS),
    ("deepeyes?frame=native", T + call(ZOOM), crop([0.025, 0.05, 0.075, 0.1])),
    (
        "deepeyes",
        T + call('{"name": "image_rotate_tool", "arguments": {"angle": 90}}'),
        Call("rotate", {"view": 0, "angle": 90}),
    ),
    ("deepeyes", T + " <answer>A</answer>", answer("A")),
    ("insight_o3", T + call(ZOOM), PIXELS),
    ("insight_o3?frame=grid1000", T + call(ZOOM), crop([0.1, 0.15, 0.3, 0.3])),
    ("insight_o3", T + "<answer>[100, 150, 300, 300]</answer>", locate([0.1, 0.2, 0.3, 0.4])),
    ("insight_o3", T + "<answer>[0, 0, 0, 0]</answer>", locate(None)),
    (
        "simple_o3",
        'See.<function>{"name": "focus_area", "arguments": {"bbox_2d": [50, 100, 200, 300]}}</function>',
        crop([0.1, 0.05, 0.3, 0.2]),
    ),
    (
        "simple_o3",
        '<function>{"name": "zoom_in", "arguments": {"point_2d": [250, 500], "factor": 4}}</function>',
        zoom((0.5, 0.25), 4),
    ),
    ("simple_o3", '<function>{"name": "reuse", "arguments": {}}</function>', reuse()),
    (
        "pixel_reasoner",
        "Look."
        + call('{"name": "crop_image_normalized", "arguments": {"bbox_2d": [0.1,0.2,0.5,0.6], "target_image": 1}}'),
        crop([0.1, 0.2, 0.5, 0.6]),
    ),
    (
        "pixel_reasoner",
        call('{"name": "crop_image_normalized", "arguments": {"bbox_2d": [40, 45, 80, 90], "target_image": 2}}'),
        crop([0.1, 0.1, 0.2, 0.2], 1),
    ),
    (
        "pixel_reasoner",
        call('{"name": "crop_image_normalized", "arguments": {"bbox_2d": [0, 0, 1, 1], "target_image": 1}}'),
        crop([0, 0, 1, 1]),
    ),
    (
        "pixel_reasoner?frame=released",
        call('{"name": "crop_image_normalized", "arguments": {"bbox_2d": [0, 0, 1, 1], "target_image": 1}}'),
        crop([0, 0, 1 / 1000, 1 / 750]),
    ),
    ("pixel_reasoner", r"So it is \boxed{\frac{1}{2}}.", answer(r"\frac{1}{2}")),
    (
        "qwen3_vl",
        call('{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 500, 999], "label": "", "img_idx": 1}}'),
        crop([0.001, 0.002, 0.5, 0.999], 1),
    ),
    ("qwen3_vl", "I may use <answer> later.</think>" + call(ZOOM), crop([0.1, 0.15, 0.3, 0.3])),
    ("openai", call_text("crop", '{"view": 1, "box": [0, 0, 0.5, 0.5]}'), crop([0, 0, 0.5, 0.5], 1)),
    ("openai", "It says:" + call_text("answer", '{"text": "</tool_call><b>"}'), answer("</tool_call><b>")),
]


@pytest.mark.parametrize(("spec", "text", "expected"), GOOD)
def test_well_formed_replies(spec: str, text: str, expected: Call) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert parsed.call.tool == expected.tool
    assert parsed.call.args == {
        key: pytest.approx(value) if isinstance(value, list) else value for key, value in expected.args.items()
    }
    if "I may use" not in text:
        assert parsed.well_formed
        assert (
            parsed.thought
            == text[: max(text.find(mark) for mark in ("<tool", "<ans", "<gro", "<fun", "\\box"))]
            .replace("<think>", "")
            .replace("</think>", "")
            .strip()
        )


ODD: list[tuple[str, str, Call]] = [
    # several actions: each dialect's own rule
    (
        "mini_o3",
        '<grounding>{"bbox_2d":[0,0,1,1],"source":"original_image"}</grounding>'
        '<grounding>{"bbox_2d":[0,0,0.5,1],"source":"original_image"}</grounding><answer>A</answer>',
        crop([0, 0, 0.5, 1]),
    ),
    ("deepeyes", T + call(ZOOM) + "<answer>A</answer>", answer("A")),
    ("deepeyes", "<answer>A</answer>" + call(ZOOM), answer("A")),
    ("deepeyes", call(ZOOM.replace("300", "200")) + call(ZOOM), PIXELS),
    ("insight_o3", call(ZOOM) + call(ZOOM.replace("300", "200")) + "<answer>[0,0,0,0]</answer>", PIXELS),
    ("insight_o3", call("not json") + call(ZOOM), PIXELS),
    ("insight_o3", call("not json") + "<answer>[0,0,0,0]</answer>", locate(None)),
    ("insight_o3", "[100, 150, 300, 300]", locate([0.1, 0.2, 0.3, 0.4])),
    ("insight_o3", "[0, 0, 0, 0]", locate(None)),
    ("qwen3_vl", call(ZOOM) + "<answer>A</answer>", answer("A")),
    ("simple_o3", '<answer>A</answer><function>{"name":"reuse","arguments":{}}</function>', reuse()),
    ("pixel_reasoner", r"\boxed{A} \boxed{B}", answer("B")),
    (
        "pixel_reasoner",
        r"\boxed{A}" + call('{"name":"crop_image_normalized","arguments":{"bbox_2d":[0,0,1,1]}}'),
        crop([0, 0, 1, 1]),
    ),
    (
        "pixel_reasoner",
        call('{"name":"crop_image_normalized","arguments":{"bbox_2d":[0,0,1,1]}}') + r"\boxed{A}",
        answer("A"),
    ),
    # JSON that is not quite JSON
    ("mini_o3", "<grounding>{'source': 'Observation 1', 'bbox_2d': (0, 0, 1, 1,)}</grounding>", crop([0, 0, 1, 1], 1)),
    ("mini_o3", '<grounding>{"bbox_2d": [0, 0, 1, 1]', crop([0, 0, 1, 1])),
    ("mini_o3", "<grounding>{bbox_2d: [0 0 1 1], source: observation_1", crop([0, 0, 1, 1], 1)),
    ("deepeyes", call('{"name": "image_zoom_in_tool", "bbox_2d": [100, 150, 300, 300], "label": "a"}'), PIXELS),
    ("deepeyes", call('{"name": "image_zoom_in_tool", "arguments": {"bbox": [100, 150, 300, 300]}}'), PIXELS),
    ("deepeyes", call(f"```json\n{ZOOM}\n```"), PIXELS),
    ("deepeyes", call(f"[{ZOOM}]"), PIXELS),
    ("deepeyes", call(ZOOM.replace("[100, 150, 300, 300]", '"100, 150, 300, 300"')), PIXELS),
    ("deepeyes", call(ZOOM.replace("[100, 150, 300, 300]", "[[100, 150], [300, 300]]")), PIXELS),
    ("deepeyes", call(ZOOM.replace('"sign"', "'the man's \"red\" sign'")), PIXELS),
    ("deepeyes", "<tool_call>" + ZOOM, PIXELS),
    ("deepeyes", "<tool_call>" + ZOOM[:-2], PIXELS),
    ("insight_o3", "<answer>The sign is at [100, 150.0, 300, 300].</answer>", locate([0.1, 0.2, 0.3, 0.4])),
    ("insight_o3", "<answer>100, 150, 300, 300</answer>", locate([0.1, 0.2, 0.3, 0.4])),
    ("openai", "<answer>B</answer>", answer("B")),
    (
        "openai",
        call('{"type": "function", "function": {"name": "reuse", "arguments": "{\\"view\\": 1}"}}'),
        reuse(1),
    ),
    ("openai", call('{"name": "zoom", "arguments": {"center": [0, 1], "factor": null, "view": null}}'), zoom((0, 1))),
    # boxes beyond the picture and pictures that are not there are for the environment to judge
    ("mini_o3", '<grounding>{"bbox_2d": [-1, 0, 2, 1], "source": "observation_9"}</grounding>', crop([-1, 0, 2, 1], 9)),
    ("qwen3_vl", call(ZOOM.replace('"label"', '"img_idx": 7, "label"')), crop([0.1, 0.15, 0.3, 0.3], 7)),
    ("deepeyes", call('{"name": "image_flip", "arguments": {}}'), Call("image_flip", {})),
]


@pytest.mark.parametrize(("spec", "text", "expected"), ODD)
def test_odd_replies_are_understood(spec: str, text: str, expected: Call) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert parsed.call.tool == expected.tool
    assert parsed.call.args == {
        key: pytest.approx(value) if isinstance(value, list) else value for key, value in expected.args.items()
    }


UNUSABLE = [
    ("mini_o3", "", "void"),
    ("mini_o3", T + "I cannot see it.", "void"),
    ("mini_o3", '<grounding>{"bbox_2d": [0, 0, 1], "source": "original_image"}</grounding>', "parse"),
    ("mini_o3", '<grounding>{"bbox_2d": [0, 0, 1, 1], "source": "observation"}</grounding>', "parse"),
    ("mini_o3", '<grounding>{"bbox_2d": [0, 0, NaN, 1], "source": "original_image"}</grounding>', "parse"),
    ("mini_o3", '<grounding>{"bbox_2d": [0, 0, Infinity, 1], "source": "original_image"}</grounding>', "parse"),
    ("mini_o3", '<grounding>{"bbox_2d": [0, 0, true, 1], "source": "original_image"}</grounding>', "parse"),
    ("mini_o3", "<grounding>__import__('os').getcwd()</grounding>", "parse"),
    ("deepeyes", call('{"name": "image_zoom_in_tool", "arguments": {"label": "sign"}}'), "parse"),
    ("deepeyes", call("not json"), "parse"),
    ("deepeyes", call('{"name": "noop", "arguments": {"kind": "void", "reason": ""}}'), "parse"),
    ("deepeyes", call('{"name": "draw", "arguments": {}}'), "parse"),
    ("deepeyes", call(ZOOM.replace("100", "1" + "0" * 5000)), "parse"),
    ("deepeyes", call(ZOOM.replace("100", "1e999")), "parse"),
    ("insight_o3", "<answer>B</answer>", "void"),
    ("insight_o3", "<answer></answer>", "void"),
    ("insight_o3", T + "<answer>[100, 150, 100, 300]</answer>", "void"),
    ("insight_o3", T + "<answer>[1000, 750, 1100, 800]</answer>", "void"),  # outside of the picture
    ("insight_o3", T + call("not json"), "void"),
    ("insight_o3", T + call('{"name": "image_zoom_in_tool"}'), "void"),
    ("insight_o3", "[300, 150, 100, 300]", "void"),
    ("insight_o3", T + call(ZOOM.replace("[100, 150, 300, 300]", "[100, 150]")), "parse"),
    ("pixel_reasoner", call('{"name":"crop_image_normalized","arguments":{"bbox_2d":[0,0,1,1]}}') + "\n", "void"),
    ("pixel_reasoner", r"\boxed{A} so </tool_call>", "parse"),
    ("pixel_reasoner", call('{"name":"crop_image_normalized","arguments":{"bbox_2d":[0,0,1,1]}}') + " Done.", "void"),
    ("qwen3_vl", call(ZOOM.replace('"label"', '"img_idx": "last", "label"')), "parse"),
    ("openai", call_text("crop", '{"view": 0, "box": [0, 0, '), "parse"),
    ("openai", call_text("crop", "[]"), "parse"),
]


@pytest.mark.parametrize(("spec", "text", "kind"), UNUSABLE)
def test_unusable_replies(spec: str, text: str, kind: str) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert parsed.call.tool == "noop"
    assert parsed.call.args["kind"] == kind
    assert parsed.call.args["reason"]
    assert not parsed.well_formed


LOOSE_FORM = [
    ("mini_o3", "<answer>A</answer>"),  # no think block
    ("mini_o3", "<think>a</think><think>b</think><answer>A</answer>"),
    ("mini_o3", T + "so <answer>A</answer>"),
    ("mini_o3", T + "<answer>A</answer> bye"),
    ("mini_o3", T + "<answer>A"),
    ("mini_o3", T + "<grounding>{'bbox_2d': [0, 0, 1, 1], 'source': 'original_image'}</grounding>"),
    ("mini_o3", T + '<grounding>{"bbox_2d": [0, 0, 1, 1]}</grounding>'),
    ("deepeyes", T + call(ZOOM) + "<answer>A</answer>"),
    ("insight_o3", T + "<answer>[100.5, 150, 300, 300]</answer>"),
    ("insight_o3", "[100, 150, 300, 300]"),
    ("insight_o3", T + "<answer>[-1, 150, 100, 300]</answer>"),
    ("insight_o3", T + "<answer>[0.0, 0, 0, 0]</answer>"),
    ("insight_o3", T + call(ZOOM.replace("100", "100.0"))),
    ("qwen3_vl", call(ZOOM) + "<answer>A</answer>"),
    ("qwen3_vl", call(ZOOM.replace('"label"', '"zoom": 2, "label"'))),
    ("pixel_reasoner", r"\boxed{A} or \boxed{B}"),
    ("pixel_reasoner", r"\boxed{A"),
]


@pytest.mark.parametrize(("spec", "text"), LOOSE_FORM)
def test_replies_that_are_read_but_not_well_formed(spec: str, text: str) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert parsed.call.tool != "noop"
    assert not parsed.well_formed


SLOW: list[str] = [
    "<tool_call>" * 30_000,
    "</tool_call>" * 30_000,
    "<tool_call></tool_call>" * 15_000,
    "<tool_call>" + "[" * 200_000 + "</tool_call>",
    "<tool_call>" + '{"a":' * 100_000 + "</tool_call>",
    "<tool_call>[" + '"\\"' * 60_000,
    "<tool_call>[" + "'" * 200_000,
    "<tool_call>[" + "' " * 100_000,
    "<tool_call>[" + '"' * 150_000 + '"x' * 20_000,
    "<tool_call>{" + "a:" * 100_000,
    "<tool_call>[" + "9" * 200_000,
    "\\boxed{" * 40_000,
    "\\boxed{" + "{" * 200_000,
    "\\boxed{" + "\\" * 200_001,
    "<answer>{bbox_2d" + "[" * 200_000,
    "<answer>[" * 30_000 + "</answer>",
    "<think>" * 50_000 + "<answer>A</answer>",
    "x" * 10_000_000,
]


@pytest.mark.parametrize("text", SLOW, ids=lambda text: text[:24] + str(len(text)))
@pytest.mark.parametrize(
    "spec", ["mini_o3", "deepeyes", "insight_o3", "simple_o3", "pixel_reasoner", "qwen3_vl", "openai"]
)
def test_hostile_replies_take_bounded_time(spec: str, text: str) -> None:
    dialect = make_dialect(spec)
    text = text.replace("tool_call", getattr(dialect, "call_tag", "tool_call"))
    start = time.perf_counter()
    dialect.parse(text, ())
    assert time.perf_counter() - start < 2.0  # measured: 0.05 s; the rest is for a busy machine


@pytest.mark.parametrize("views", [(), VIEWS[:1], VIEWS])
def test_any_views_do(views: tuple[Any, ...]) -> None:
    for spec, text, _ in [*GOOD, *ODD]:
        json.dumps(make_dialect(spec).parse(text, views).call.args, allow_nan=False)


def test_the_openai_schema_is_what_the_api_takes() -> None:
    dialect: Any = make_dialect("openai")
    schema = json.loads(json.dumps(dialect.schema(TOOLSET)))
    assert [tool["function"]["name"] for tool in schema] == list(TOOLSET)
    for tool in schema:
        parameters = tool["function"]["parameters"]
        assert tool["type"] == "function"
        assert set(parameters["required"]) <= set(parameters["properties"])
        assert all("type" in value and value["description"] for value in parameters["properties"].values())


@pytest.mark.parametrize("spec", ["deepeyes?frame=grid1000", "insight_o3?frame=native", "pixel_reasoner?frame=shown"])
def test_an_unknown_frame_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="unknown frame"):
        make_dialect(spec)


CROP = '{"bbox_2d": [0, 0, 1, 1], "source": "original_image"}'


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        ("deepeyes", "<think>Is it <answer>B</answer>?</think><answer>A</answer>", answer("A")),
        ("deepeyes", f"<think>Is it <answer>B</answer>?</think>{call(ZOOM)}", PIXELS),
        ("deepeyes", f"Is it <answer>B</answer>?</think>{call(ZOOM)}", PIXELS),  # the template opened the block
        ("mini_o3", f"<think>Is it <answer>B</answer>?</think><grounding>{CROP}</grounding>", crop([0, 0, 1, 1])),
        ("qwen3_vl", f"Is it <answer>B</answer>?</think>{call(ZOOM)}", crop([0.1, 0.15, 0.3, 0.3])),
        ("insight_o3", "<think><answer>[0, 0, 9, 9]</answer></think><answer>[0, 0, 0, 0]</answer>", locate(None)),
        # two thoughts, and an answer between them
        ("deepeyes", "<think>a</think><answer>A</answer><think>or <answer>B</answer></think>", answer("A")),
        # a thought that was never closed before the answer is no thought
        ("deepeyes", "<think>It is A. <answer>A</answer>", answer("A")),
        ("mini_o3", "<think>a</think></think><answer>A</answer>", answer("A")),
    ],
)
def test_an_answer_inside_a_thought_is_none(spec: str, text: str, expected: Call) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert parsed.call.tool == expected.tool
    assert parsed.call.args == {
        key: pytest.approx(value) if isinstance(value, list) else value for key, value in expected.args.items()
    }


@pytest.mark.parametrize("spec", ["deepeyes", "mini_o3", "qwen3_vl"])
def test_only_a_thought_with_an_answer_is_void_unless_thoughts_are_read(spec: str) -> None:
    text = "<think>maybe <answer>B</answer></think>"
    assert make_dialect(spec).parse(text, VIEWS).call.args["kind"] == "void"
    parsed = make_dialect(spec, thought_answers=True).parse(text, VIEWS)
    assert parsed.call == answer("B")
    assert not parsed.well_formed or spec == "qwen3_vl"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("deepeyes", f"It is far.</think>\n{call(ZOOM)}"),
        ("mini_o3", f"It is far.</think><grounding>{CROP}</grounding>"),
        ("mini_o3", "It is far.</think><answer>A</answer>"),
        ("insight_o3", f"It is far.</think>\n{call(ZOOM)}"),
        ("insight_o3", "</think><answer>[100, 150, 300, 300]</answer>"),
    ],
)
def test_a_reply_that_begins_in_a_thought_opened_by_the_template_is_well_formed(spec: str, text: str) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert parsed.call.tool != "noop"
    assert parsed.well_formed
    assert parsed.thought == text.partition("</think>")[0]
    assert not make_dialect(spec).parse(f"</think>{text}", VIEWS).well_formed
    assert not make_dialect(spec).parse(f"a<think>{text}", VIEWS).well_formed


def test_deepeyes_takes_empty_blocks_for_absent_and_whole_turns_off_angles() -> None:
    dialect = make_dialect("deepeyes")
    assert dialect.parse("<think>a</think><answer></answer>", VIEWS).call.args["kind"] == "void"
    assert dialect.parse("<tool_call></tool_call>", VIEWS).call.args["kind"] == "void"
    assert dialect.parse("<answer></answer>" + call(ZOOM), VIEWS).call.tool == "crop"
    for angle, expected in ((720, 0), (-450, -90), (360, 360), (90, 90)):
        text = call(f'{{"name": "image_rotate_tool", "arguments": {{"angle": {angle}}}}}')
        assert dialect.parse(text, VIEWS).call == Call("rotate", {"view": 0, "angle": expected})
