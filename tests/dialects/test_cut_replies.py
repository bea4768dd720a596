"""Replies that a token limit cut: only what is complete counts, because nobody knows what was to follow."""

from __future__ import annotations

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.dialects.lenient_json import is_whole
from o3gym.dialects.openai import call_text
from o3gym.policies.base import Policy
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Reply
from tests.dialects.dialect_samples import SPECS, VIEWS

ZOOM = '{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [100, 20, 600, 75'
CUT = [
    ("mini_o3", '<think>a</think><grounding>{"bbox_2d": [0.1, 0.2, 0.6, 0.7'),
    ("mini_o3", "<think>a</think><answer>19"),
    ("deepeyes", f"<think>a</think><tool_call>{ZOOM}"),
    ("deepeyes", f"<think>a</think><tool_call>{ZOOM}]}}}}"),
    ("deepeyes", "<think>a</think><answer>19"),
    ("insight_o3", f"<think>a</think><tool_call>{ZOOM}"),
    ("insight_o3", "<think>a</think><answer>[100, 20, 600, 75"),
    ("insight_o3", "[100, 20, 600, 75"),
    ("insight_o3_reasoner", "<think>a</think><tool_call>region_description={the sign at"),
    ("insight_o3_reasoner", r"<think>a</think>Answer: \boxed{19"),
    ("simple_o3", '<function>{"name": "focus_area", "arguments": {"bbox_2d": [100, 20, 600, 75'),
    ("pixel_reasoner", r"It says \boxed{19"),
    ("qwen3_vl", f"<tool_call>{ZOOM}"),
    ("qwen3_vl", '<tool_call>{"name": "locate", "arguments": {"bbox_2d": [100, 20, 600, 75'),
    ("qwen3_vl", "<tool_call><function=image_zoom_in_tool><parameter=bbox_2d>[100, 20, 600, 75"),
    ("qwen3_vl", "It says <answer>19"),
    ("openai", '<tool_call>{"name": "crop", "arguments": {"box": [0.1, 0.2, 0.6, 0.7'),
    ("openai", call_text("crop", '{"box": [0.1, 0.2, 0.6, 0.7')),
    ("openai", call_text("answer", '{"text": "19')),
    ("openai", "<answer>19"),
    (
        "vital",
        '<think>a</think><tool_call>{"name": "get_video_clip_frame", "arguments": {"start_time": 9.5, "end_time": 1',
    ),
    ("longvt", '<think>a</think><tool_call>{"name": "crop_video", "arguments": {"video_path": "video_1.mp4"'),
    ("vr_thinker", "<snapshot>a</snapshot><think>b</think><answer>TA = 1, OA = 1"),
    ("vr_thinker", '<snapshot>a</snapshot><tool_call>{"name": "select_frames", "arguments": {"target_frames": [1, 1'),
    ("frame_thinker", "<think>a</think><action>choose frames between 10 and 9"),
    ("frame_thinker", "<think>a</think><action>output answer: 19"),
    ("frame_thinker", "<think>Either <action>output answer: 19</action> or"),
    ("thyme", "<think>a <code>\n```python\nx = 1\n```"),
    ("thyme", "a</think> <answer>19"),
    ("pyvision", r"a <answer>\boxed{'19'}"),
    ("pyvision", "a\n```python\nx = 1"),
    ("deepeyes_v2", '<think>a</think><tool_call>{"name": "image_search"}'),
    ("grid", "answer 19"),
    ("grid", "answer @b3"),
    ("grid", "look 4x4 b3"),  # perhaps "look 4x4 b3 in 2"
    ("grid", "look 4x4 b"),
    ("plan", "I go. <answer>right right"),
    ("mgsd", "I go. <answer>LLR"),
    ("vagen", "<think>a</think><answer>Right,Down"),
    ("vagen", "<think>Either <answer>Right</answer> or"),
    ("next_state", "I go. <state>data:image/png;base64,iVBORw0KGgo"),
    ("next_state", "I go. ![the lake](data:image/png;base64,iVBORw0KGgo"),
    # a call that was complete, then thoughts that hold an answer
    ("deepeyes", "<think>Either <answer>B</answer> or"),
    ("mini_o3", "<think>Either <answer>B</answer> or"),
    ("insight_o3_reasoner", r"<think>Either \boxed{19} or"),
    ("pixel_reasoner", r"<think>Either \boxed{19} or"),
]


@pytest.mark.parametrize(("spec", "text"), CUT)
def test_an_unfinished_call_or_answer_does_not_count(spec: str, text: str) -> None:
    parsed = make_dialect(spec).read(Reply(text, finish="length"), VIEWS)
    assert parsed.call.tool == "noop"
    assert parsed.call.args["kind"] in ("parse", "void")
    assert parsed.call.args["reason"]
    assert not parsed.well_formed


COMPLETE = [
    ("mini_o3", '<think>a</think><grounding>{"bbox_2d": [0, 0, 1, 1], "source": "original_image"}</grounding>', "crop"),
    ("deepeyes", f"<think>a</think><tool_call>{ZOOM}0]}}}}</tool_call> and then", "crop"),
    ("deepeyes", f"<think>a</think><tool_call>{ZOOM}0]}}}}</tool_call><answer>1", "crop"),
    ("insight_o3", "<think>a</think><answer>[100, 20, 600, 75]</answer>", "locate"),
    ("insight_o3_reasoner", r"<think>a</think>Answer: \boxed{19} be", "answer"),
    ("pixel_reasoner", r"It says \boxed{19}, which", "answer"),
    ("qwen3_vl", f"<tool_call>{ZOOM}0]}}}}</tool_call>", "crop"),
    ("openai", call_text("crop", '{"box": [0.1, 0.2, 0.6, 0.7]}'), "crop"),
    ("openai", call_text("crop", "{'box': [0.1, 0.2, 0.6, 0.7]}"), "crop"),  # no JSON, but whole
    ("grid", "look 4x4 b3\nand", "crop"),
    ("vital", '<think>a</think><answer>{"span": [1, 2.5]}</answer> a', "locate_span"),
    ("longvt", "<think>a</think><answer>19</answer>", "answer"),
    ("vr_thinker", "<Snapshot>a</Snapshot><think>b</think><Answer>OA = 1</ answer> and", "answer"),
    ("frame_thinker", "<think>a</think><action>get frame number at time 01:15</action> and", "frame_at"),
    ("thyme", "<think>a <code>\n```python\nx = 1\n```\n</code> and", "code"),
    ("pyvision", r"a <answer>\boxed{'19'}</answer> and", "answer"),
    ("pyvision", "a\n```python\nx = 1\n```\nand", "code"),
    ("deepeyes_v2", '<think>a</think><tool_call>{"name": "image_search"}</tool_call> and', "image_search"),
    ("plan", "<answer>right</answer> and", "answer"),
    ("mgsd", "<answer>R</answer><answer>L", "answer"),
    ("vagen", "<think>a</think><answer>Right</answer> and", "move"),
    ("next_state", "<state>data:image/png;base64,iVBORw0KGgo=</state> and", "draw_state"),
    ("next_state", "![it](data:image/png;base64,iVBORw0KGgo=) and", "draw_state"),
]


@pytest.mark.parametrize(("spec", "text", "tool"), COMPLETE)
def test_a_complete_call_or_answer_counts(spec: str, text: str, tool: str) -> None:
    assert make_dialect(spec).read(Reply(text, finish="length"), VIEWS).call.tool == tool


@pytest.mark.parametrize("spec", SPECS)
def test_every_reply_can_be_cut_anywhere(spec: str) -> None:
    for text in [text for name, text, _ in COMPLETE if name == spec.partition("?")[0]] + ["", "x", "<think>"]:
        for end in range(len(text)):
            make_dialect(spec).read(Reply(text[:end], finish="length"), VIEWS)


@pytest.mark.parametrize(
    ("text", "whole"),
    [('{"a": [1]}', True), ("see {a: (1)} there", True), ('{"a": [1', False), ('{"a": [1]', False), ("75", False)],
)
def test_whole_json_has_all_its_closing_brackets(text: str, whole: bool) -> None:
    assert is_whole(text) == whole


class Cut(Policy):
    """Writes half a box."""

    def act(self, requests):
        return [Reply("<think>a</think><answer>[100, 20, 600, 75", finish="length") for _ in requests]


def test_a_cut_box_is_no_answer_and_the_episode_stops_with_length() -> None:
    env = {"suite": "synthetic", "suite_args": {"pixels": 60_000, "family": "region"}, "max_pixels": 60_000}
    env |= {"min_pixels": 1000, "max_turns": 3}
    arm = Arm("arm", env, "policy", "insight_o3")
    (trajectory,) = rollout([Job(0, "g", seed=0)], Cut(), make_dialect("insight_o3"), arm)
    assert trajectory.stop == "length"
    assert trajectory.located is None
