"""Videos in dialects: what frames are called, how times and frames are written, what refusals say, and bad input."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from o3gym.calls import answer, answer_with_span, clip, crop, frames, locate_span
from o3gym.dialects.base import make_dialect
from o3gym.dialects.functions import Functions
from o3gym.dialects.times import read_clock, write_clock, write_seconds
from o3gym.registry import DIALECTS, TOOLS
from o3gym.types import FULL, Call, Source, Task, View
from tests.dialects.dialect_samples import (
    BOX,
    CHOICE,
    FILM_VIEWS,
    FREE,
    GROUNDING,
    PAIR,
    PAIR_VIEWS,
    PLANNING,
    TOOLSET,
    VIDEO_TOOLS,
    VIEWS,
    WATCH,
    said,
    told,
)

VIDEO_TOOLSET = {name: TOOLS[name]() for name in ("crop", "frames", "clip", "answer", "locate", "locate_span")}
CALL = "<think>a</think>\n<tool_call>{}</tool_call>"


# ── what frames are called ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spec", "first", "third"),
    [
        ("qwen3_vl", "Picture 0 (img_idx 0), frame 0 at 0.00 s:", "Picture 2 (img_idx 2), frame 20 at 5.00 s:"),
        ("openai", "View 0, frame 0 at 0.00 s:", "View 2, frame 20 at 5.00 s:"),
        ("pixel_reasoner", "Image 1 (320x240), frame 1 at 0.00 s:", "Image 3 (320x240), frame 3 at 5.00 s:"),
        ("mini_o3", "original_image, frame 0 at 0.00 s:", "original_image_3, frame 20 at 5.00 s:"),
        ("vital", "Frame 0 at 0.00 s:", "Frame 20 at 5.00 s:"),
        ("longvt", "Frame 0 at 0.00 s:", "Frame 20 at 5.00 s:"),
    ],
)
def test_frames_are_labelled_with_their_numbers_and_times(spec: str, first: str, third: str) -> None:
    lines = said(spec, FILM_VIEWS[:3], "When?", turn=0).split("\n")
    assert (lines[0], lines[2], lines[-1]) == (f"{first}<image>", f"{third}<image>", "When?")


@pytest.mark.parametrize(
    ("spec", "label"),
    [
        ("qwen3_vl", "Picture 5 (img_idx 5), video 1, frame 12 at 3.00 s:"),
        ("openai", "View 5, video 1, frame 12 at 3.00 s:"),
        ("longvt", "video_2.mp4, frame 12 at 3.00 s:"),
    ],
)
def test_frames_of_several_videos_are_labelled_with_their_video(spec: str, label: str) -> None:
    assert label in said(spec, PAIR_VIEWS, "Which?", turn=0)
    assert label in said(spec, PAIR_VIEWS[5:6], "", views=PAIR_VIEWS)


def test_a_part_of_a_frame_keeps_its_time() -> None:
    part = replace(FILM_VIEWS[2], index=16, parent=2, box=(0.0, 0.0, 0.5, 0.5))
    assert "Picture 16 (img_idx 16), frame 20 at 5.00 s:" in said("qwen3_vl", [part], "", views=(*FILM_VIEWS, part))


# ── prompts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spec", [spec for spec in DIALECTS if spec not in ("insight_o3", "grid", "reel", *PLANNING)])
def test_prompts_give_the_length_of_videos_and_the_form_of_the_answer(spec: str) -> None:
    dialect = make_dialect(spec)
    prompt = dialect.prompt(VIDEO_TOOLSET, WATCH)
    assert "Answer a question about a video of 40.00 seconds." in prompt
    assert "a short text" in prompt
    grounding = dialect.prompt(VIDEO_TOOLSET, GROUNDING)
    assert "Find an interval of a video of 40.00 seconds." in grounding
    assert "[start, end]" in grounding
    assert "short text" not in grounding
    both = dialect.prompt({"answer_with_span": TOOLS["answer_with_span"]()}, WATCH)
    assert "short text" in both
    assert "[start, end]" in both


def test_two_videos_are_named_with_their_lengths() -> None:
    for spec, names in (("qwen3_vl", ("video 0", "video 1")), ("longvt", ("video_1.mp4", "video_2.mp4"))):
        prompt = make_dialect(spec).prompt(VIDEO_TOOLSET, PAIR)
        assert f"2 videos: {names[0]} of 12.00 seconds and {names[1]} of 12.00 seconds." in prompt
    mixed = replace(PAIR, sources=(Source.file("a.png"), *PAIR.sources))
    assert "about a picture and 2 videos: video 1 of 12.00" in make_dialect("openai").prompt(VIDEO_TOOLSET, mixed)


@pytest.mark.parametrize("spec", ["qwen3_vl", "openai", "pixel_reasoner", "mini_o3", "deepeyes", "simple_o3"])
@pytest.mark.parametrize("task", [CHOICE, FREE, BOX])
def test_video_tools_leave_the_prompts_of_pictures_as_they_were(spec: str, task: Task) -> None:
    dialect = make_dialect(spec)
    more = {**TOOLSET, **{name: TOOLS[name]() for name in ("frames", "clip", "locate_span")}}
    assert dialect.prompt(more, task) == dialect.prompt(TOOLSET, task)


def test_schemas_of_video_tools() -> None:
    schema = make_dialect("openai").schema({name: TOOLS[name]() for name in ("clip", "frames")})
    parameters = [entry["function"]["parameters"] for entry in schema]
    assert [list(one["properties"]) for one in parameters] == [["span", "video"], ["numbers", "video"]]
    assert [one["required"] for one in parameters] == [["span"], ["numbers"]]
    vital, longvt = make_dialect("vital"), make_dialect("longvt")
    assert isinstance(vital, Functions)
    assert isinstance(longvt, Functions)
    asked = vital.function_schema(TOOLS["ask_clip"]())["function"]
    assert asked["name"] == "ask_video_clip_question"
    assert list(asked["parameters"]["properties"]) == ["start_time", "end_time", "question"]
    assert asked["parameters"]["required"] == ["start_time", "end_time", "question"]
    cropped = longvt.function_schema(TOOLS["clip"]())["function"]
    assert cropped["parameters"]["required"] == ["video_path", "start_time", "end_time"]


# ── what is written and read ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spec", "call", "written"),
    [
        ("qwen3_vl", frames([3, 8]), '{"name": "frames", "arguments": {"numbers": [3, 8], "video": 0}}'),
        ("openai", clip(1.0, 2.5), '{"name": "clip", "arguments": {"span": [1.0, 2.5], "video": 0}}'),
        ("pixel_reasoner", frames([0, 40]), '{"name": "select_frames", "arguments": {"target_frames": [1, 5]}}'),
        (
            "vital",
            clip(9.5, 12.0),
            '{"name": "get_video_clip_frame", "arguments": {"start_time": 9.50, "end_time": 12.00}}',
        ),
        (
            "longvt",
            clip(9.5, 12.0, 1),
            '{"name": "crop_video", "arguments": {"video_path": "video_2.mp4", "start_time": 9.5, "end_time": 12.0}}',
        ),
        (
            "vital",
            Call("ask_clip", {"span": [1.0, 2.5], "video": 0, "question": 'Is "start_time": 5 shown?'}),
            '{"name": "ask_video_clip_question", "arguments": {"start_time": 1.00, "end_time": 2.50, "question": '
            '"Is \\"start_time\\": 5 shown?"}}',
        ),
    ],
)
def test_the_keys_of_calls_are_those_of_the_systems_in_their_order(spec: str, call: Call, written: str) -> None:
    dialect = make_dialect(spec)
    text = dialect.format(call, FILM_VIEWS, "a")
    assert written in text
    assert dialect.parse(text, FILM_VIEWS).call == call


@pytest.mark.parametrize("spec", [spec for spec in DIALECTS if "answer_with_span" in make_dialect(spec).tools])
def test_intervals_are_answered(spec: str) -> None:
    dialect = make_dialect(spec)
    for call in (locate_span(3.25, 7.5), answer_with_span("the <lamp>", 3.25, 7.5)):
        parsed = dialect.parse(dialect.format(call, FILM_VIEWS, "seen"), FILM_VIEWS)
        assert (parsed.call, parsed.well_formed, parsed.thought) == (call, True, "seen")


@pytest.mark.parametrize("spec", [spec for spec in DIALECTS if "answer_with_span" in make_dialect(spec).tools])
@pytest.mark.parametrize("text", ["", "</answer>", r"\boxed{A}", "a{", "}", "\\", '"', "OA = 1", "</action>", "\n"])
def test_tags_and_braces_in_grounded_answers_do_no_harm(spec: str, text: str) -> None:
    dialect, call = make_dialect(spec), answer_with_span(text, 1.0, 2.5)
    parsed = dialect.parse(dialect.format(call, PAIR_VIEWS, "seen"), PAIR_VIEWS)
    assert (parsed.call, parsed.well_formed) == (call, True)


def test_the_form_of_answered_intervals() -> None:
    assert '<answer>{"span": [3.25, 7.5]}</answer>' in make_dialect("vital").format(locate_span(3.25, 7.5), ())
    both = make_dialect("deepeyes").format(answer_with_span("B", 3.25, 7.5), ())
    assert '<answer>{"answer": "B", "span": [3.25, 7.5]}</answer>' in both
    assert r'\boxed{{"span": [3.25, 7.5]}}' in make_dialect("pixel_reasoner").format(locate_span(3.25, 7.5), ())


def test_two_decimals_keep_an_interval_inside_the_video_and_its_length() -> None:
    assert write_seconds((0.004, 12.339)) == [0.0, 12.33]
    assert write_seconds((5.1, 12.34)) == [5.1, 12.34]
    assert write_seconds((1.001, 1.002)) == [1.0, 1.01]
    assert write_seconds((1.001, 1.001)) == [1.0, 1.0]


def test_frames_that_were_not_shown_are_the_nearest_ones_in_pixel_reasoner() -> None:
    dialect = make_dialect("pixel_reasoner")
    text = dialect.format(frames([13, 14, 159]), FILM_VIEWS)
    assert '"target_frames": [2, 16]' in text
    assert dialect.parse(text, FILM_VIEWS).call == frames([10, 150])
    later = replace(FILM_VIEWS[0], index=16, parent=0, frame=77)
    assert dialect.parse(text, (*FILM_VIEWS, later)).call == frames([10, 150])
    assert dialect.parse(dialect.format(crop((0, 0, 0.5, 0.5), 16), FILM_VIEWS), FILM_VIEWS).call.args["view"] == 16


def test_the_first_video_is_meant_where_calls_name_none() -> None:
    picture = View(0, 0, FULL, (40, 30), (40, 30))
    shown = (picture, *(replace(view, index=view.index + 1, video=1) for view in FILM_VIEWS))
    for spec in ("vital", "pixel_reasoner"):
        dialect = make_dialect(spec)
        call = clip(1.0, 3.0, 1) if spec == "vital" else frames([10], 1)
        assert dialect.parse(dialect.format(call, shown), shown).call == call
        with pytest.raises(ValueError, match="work on the first video only, got video 0"):
            dialect.format(Call(call.tool, {**call.args, "video": 0}), shown)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "00:00"), (75.9, "01:15"), (3750.0, "62:30"), (360000.0, "6000:00")]
)
def test_clock_times(seconds: float, text: str) -> None:
    assert write_clock(seconds) == text
    assert read_clock(text) == int(seconds)


def test_clock_times_with_hours() -> None:
    assert read_clock("1:02:03") == 3723.0
    for nonsense in ("99:99", "-1:00", "1:", ":30", "1:2:3:4", "1:60:00", "12.5", "", "٣:00", "9" * 400 + ":00"):
        assert read_clock(nonsense) is None, nonsense


# ── system lines ────────────────────────────────────────────────────────────────────────────────────────────────────


def later(count: int) -> tuple[View, ...]:
    return tuple(replace(view, index=16 + i, parent=0) for i, view in enumerate(FILM_VIEWS[:count]))


def test_pixel_reasoner_says_which_frames_were_selected() -> None:
    shown = said("pixel_reasoner", later(2), "", tool="frames", views=(*FILM_VIEWS, *later(2)))
    assert shown.startswith(
        "Here are the selected frames (Frame Size: 320x240, Numbered 17 to 18):\nImage 17 (320x240)"
    )
    assert "Here are" not in said("pixel_reasoner", later(1), "", tool="crop", views=(*FILM_VIEWS, *later(1)))


def test_longvt_says_that_the_tool_was_executed() -> None:
    shown = said("longvt", later(1), "", tool="clip", views=(*FILM_VIEWS, *later(1)))
    assert shown == "The tool executed successfully. Here are the processed result\nFrame 0 at 0.00 s:<image>"


def test_vital_names_the_function_that_failed() -> None:
    told = said("vital", (), "the interval has no length", error="bad_time", tool="clip", views=FILM_VIEWS)
    assert told == "Error: get_video_clip_frame tool execution failed: the interval has no length"
    assert said("vital", (), "unreadable", error="parse", tool="noop") == "Error: unreadable"
    assert said("vital", (), "A lamp.", tool="ask_clip") == "<tool_response>\nA lamp.\n</tool_response>"


# ── refusals, played ────────────────────────────────────────────────────────────────────────────────────────────────


def called(name: str, **arguments: Any) -> str:
    return CALL.format(json.dumps({"name": name, "arguments": arguments}))


@pytest.mark.parametrize(
    ("spec", "tool", "reply", "error", "expected"),
    [
        (
            *("pixel_reasoner", "frames", called("select_frames", target_frames=[3, 17]), "bad_time"),
            "Execution error: there is no frame 17; frames are numbered 1 to 16",
        ),
        (
            *("pixel_reasoner", "frames", called("select_frames", target_frames=list(range(1, 10))), "bad_time"),
            "Execution error: 9 frames are too many; at most 8 are shown at once",
        ),
        (
            *("pixel_reasoner", "frames", called("select_frames", target_frames=[0]), "parse"),
            'Execution error: "target_frames" are numbered from 1, got 0',
        ),
        (
            *("vital", "clip", called("get_video_clip_frame", start_time=1, end_time=1.5), "bad_time"),
            "Error: get_video_clip_frame tool execution failed: the interval [1.00, 1.50] s must be longer than 1 s",
        ),
        (
            *("vital", "clip", called("get_video_clip_frame", start_time="5", end_time="50.0"), "bad_time"),
            "Error: get_video_clip_frame tool execution failed: the interval [5.00, 50.00] s ends after the video "
            "does, at 40.00 s",
        ),
        (
            *("vital", "caption_clip", called("get_video_clip_caption", start_time=1, end_time=9), "bad_args"),
            "Error: get_video_clip_caption tool execution failed: caption_clip is carried out by another agent, and "
            "there is none in this episode",
        ),
        (
            *("longvt", "clip"),
            *(called("crop_video", video_path="/data/video_3.mp4", start_time=0, end_time=2), "bad_view"),
            "Error: there is no video_3.mp4; the task has video_1.mp4",
        ),
        (
            *("longvt", "clip", called("crop_video", video_path="film.mp4", start_time=0, end_time=2), "parse"),
            'Error: "video_path" must be the path of a video, such as video_1.mp4',
        ),
        (
            "longvt",
            "clip",
            called("crop_video", start_time=0, end_time=2),
            "parse",
            'Error: crop_video needs "video_path"',
        ),
        (
            *("qwen3_vl", "frames", called("frames", numbers=[160]), "bad_time"),
            "Error: there is no frame 160; frames are 0 to 159",
        ),
        (
            *("qwen3_vl", "clip", called("clip", span=[41, 45]), "bad_time"),
            "Error: the interval [41.00, 45.00] s starts after the end of the video, at 40.00 s",
        ),
    ],
)
def test_refusals_speak_the_language_of_the_dialect(
    video: Source, spec: str, tool: str, reply: str, error: str, expected: str
) -> None:
    assert told(video, spec, reply, [tool]) == (error, expected)


def test_played_clips_are_shown_with_their_times(video: Source) -> None:
    error, text = told(
        video, "longvt", called("crop_video", video_path="video_1.mp4", start_time=3, end_time=5), ["clip"]
    )
    assert error == ""
    assert text.endswith("result\nFrame 12 at 3.00 s:<image>\nFrame 16 at 4.00 s:<image>")


# ── bad input ───────────────────────────────────────────────────────────────────────────────────────────────────────

HOSTILE_CALLS = [
    ("qwen3_vl", called("frames", numbers=list(range(10**4)))),
    ("qwen3_vl", '<tool_call>{"name": "frames", "arguments": {"numbers": "' + "1 " * 90_000 + '"}}</tool_call>'),
    ("qwen3_vl", called("frames", numbers=["one", "2"])),
    ("qwen3_vl", called("frames", numbers=[1.5])),
    ("qwen3_vl", called("frames", numbers=[])),
    ("qwen3_vl", called("frames", numbers=[True])),
    ("qwen3_vl", called("clip", span=["1e999", 2])),
    ("qwen3_vl", called("clip", span=[1])),
    ("qwen3_vl", called("clip", span={"start": 1})),
    ("qwen3_vl", '<tool_call>{"name": "clip", "arguments": {"span": [NaN, 2]}}</tool_call>'),
    ("openai", '<tool_call>{"name": "locate_span", "arguments": {"span": [1e999, 2]}}</tool_call>'),
    ("vital", called("get_video_clip_frame", start_time="99:99", end_time="-1:00")),
    ("vital", called("get_video_clip_frame", start_time=1)),
    ("vital", called("ask_video_clip_question", start_time=1, end_time=2)),
    ("longvt", called("crop_video", video_path=7, start_time=1, end_time=2)),
    ("pixel_reasoner", called("select_frames", target_frames=[-3])),
    ("pixel_reasoner", called("select_frames", target_frames="first")),
    ("deepeyes", '<answer>{"span": [1, "x"]}</answer>'),
    ("deepeyes", '<answer>{"answer": [1], "span": [1, 2]}</answer>'),
]


@pytest.mark.parametrize(("spec", "text"), HOSTILE_CALLS)
def test_impossible_times_and_numbers_are_refused(spec: str, text: str) -> None:
    for views in ((), VIEWS, FILM_VIEWS):
        parsed = make_dialect(spec).parse(text, views)
        assert (parsed.call.tool, parsed.call.args["kind"], parsed.well_formed) == ("noop", "parse", False)
        assert len(parsed.call.args["reason"]) <= 500


def test_texts_that_are_numbers_are_read() -> None:
    dialect = make_dialect("qwen3_vl")
    assert dialect.parse(called("frames", numbers="3"), FILM_VIEWS).call == frames([3])
    assert dialect.parse(called("frames", numbers=["3", 4.0]), FILM_VIEWS).call == frames([3, 4])
    xml = "<tool_call><function=clip><parameter=span>[1, 2.5]</parameter></function></tool_call>"
    assert dialect.parse(xml, FILM_VIEWS).call == clip(1.0, 2.5)
    spoken = make_dialect("deepeyes").parse('<answer>{"answer": 4, "span": ["1", 2]}</answer>', ())
    assert spoken.call == answer_with_span("4", 1.0, 2.0)


def test_answers_in_words_stay_answers() -> None:
    for text in ("span", '{"spans": 1}', '{"span": 1, "more": 2}', "from 3 to 7"):
        assert make_dialect("deepeyes").parse(f"<answer>{text}</answer>", ()).call == answer(text)


def test_every_video_tool_is_spoken_by_some_dialect() -> None:
    assert set(VIDEO_TOOLS) <= {tool for spec in DIALECTS for tool in make_dialect(spec).tools}
