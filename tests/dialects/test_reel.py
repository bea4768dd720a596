"""`reel` names frames instead of seconds: which intervals these mean, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from o3gym.calls import answer, clip, crop, frames, locate_span
from o3gym.dialects.reel import Reel, open_span
from o3gym.geometry import span_iou
from o3gym.registry import TOOLS
from o3gym.tools.time_rules import O3GYM_TIMES
from o3gym.types import Reply
from tests.dialects.dialect_samples import CALLS, CHOICE, FILM_VIEWS, FREE, GROUNDING, PAIR_VIEWS, VIEWS

REEL = Reel()
VIDEO_TOOLS = {name: TOOLS[name]() for name in ("clip", "crop", "answer", "locate_span")}
LATER = tuple(
    replace(FILM_VIEWS[0], index=16 + i, parent=0, frame=21 + i, time=(5.25 + i / 4, 5.5 + i / 4)) for i in range(4)
)
"""A look at four neighbouring frames after the overview, which shows a frame every 2.5 seconds."""


def test_a_clip_lies_between_the_neighbours_of_its_frames() -> None:
    assert open_span(FILM_VIEWS, 3, 4) == (5.25, 12.5)
    assert open_span(FILM_VIEWS, 0, 0) == (0.0, 2.5)
    assert open_span(FILM_VIEWS, 15, 15) == (35.25, 40.0)
    assert REEL.parse("a\nwatch 3 4", FILM_VIEWS).call == clip(5.25, 12.5)


def test_neighbours_are_frames_of_the_same_look_and_video() -> None:
    shown = (*FILM_VIEWS, *LATER)
    assert open_span(shown, 17, 18) == (5.5, 6.0)
    assert open_span(shown, 16, 19) == (5.25, 6.25)
    assert open_span(shown, 15, 15) == (35.25, 40.0)
    assert REEL.parse("watch 4 4", PAIR_VIEWS).call == clip(0.0, 3.0, 1)


def test_an_answer_runs_from_the_start_of_a_frame_to_the_end_of_another() -> None:
    parsed = REEL.parse("17 on 18 on\nwhen 17 18", (*FILM_VIEWS, *LATER))
    assert (parsed.call, parsed.well_formed, parsed.thought) == (locate_span(5.5, 6.0), True, "17 on 18 on")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("watch 3", "expected a line"),
        ("watch 3 40", "there is no picture 40; pictures are numbered 0 to 15"),
        ("when 4 3", "picture 3 is earlier than picture 4"),
        ("I see nothing", "the reply has no line"),
    ],
)
def test_what_names_no_interval_is_unreadable(text: str, reason: str) -> None:
    parsed = REEL.parse(text, FILM_VIEWS)
    assert parsed.call.tool == "noop"
    assert reason in parsed.call.args["reason"]


def test_pictures_have_no_time_and_two_videos_no_common_one() -> None:
    assert "not a frame" in REEL.parse("watch 0 1", VIEWS).call.args["reason"]
    assert "different videos" in REEL.parse("watch 0 5", PAIR_VIEWS).call.args["reason"]
    with pytest.raises(ValueError, match="no frame of video 0"):
        REEL.format(locate_span(1.0, 2.0), VIEWS)
    with pytest.raises(ValueError, match="cannot express"):
        REEL.format(frames([1]), FILM_VIEWS)


@pytest.mark.parametrize("tool", ["clip", "locate_span"])
@settings(max_examples=60, deadline=None)
@given(call=CALLS["clip"])
def test_a_call_is_written_with_the_frames_that_fit_it_best(tool: str, call: object) -> None:
    span = call.args["span"]  # type: ignore[attr-defined]
    call = clip(*span) if tool == "clip" else locate_span(*span)
    text = REEL.format(call, FILM_VIEWS, "seen")
    read = REEL.parse(text, FILM_VIEWS)
    assert (read.call.tool, read.well_formed, read.thought) == (tool, True, "seen")
    assert REEL.format(read.call, FILM_VIEWS, "seen") == text
    if span[1] - span[0] > 10:
        assert span_iou([read.call.args["span"]], [span]) > 0.6
    if tool == "clip":
        assert O3GYM_TIMES.span(read.call.args["span"], 40.0)


def test_a_part_of_a_frame_is_a_cell() -> None:
    parsed = REEL.parse("16 no 17 a2\nlook 2x2 a2 in 17", (*FILM_VIEWS, *LATER))
    assert parsed.call == crop((0.375, 0.0, 1.0, 0.625), 17)
    assert (parsed.well_formed, parsed.thought) == (True, "16 no 17 a2")
    assert REEL.format(parsed.call, FILM_VIEWS, "16 no 17 a2") == "16 no 17 a2\nlook 2x2 a2 in 17"
    assert "has no cell b3" in REEL.parse("look 2x2 b3 in 1", FILM_VIEWS).call.args["reason"]
    assert "expected a line" in REEL.parse("look up", FILM_VIEWS).call.args["reason"]
    assert not REEL.parse("look 2x2 b2 in 1 now", FILM_VIEWS).well_formed


def test_answers_are_written_and_read() -> None:
    for text in ("the lamp", "when 3 4", "K4-7Z"):
        read = REEL.parse(REEL.format(answer(text), FILM_VIEWS, "seen"), FILM_VIEWS)
        assert read.well_formed
        assert read.call.args["text"].removeprefix("- ") == text
    assert REEL.options(CHOICE) == CHOICE.choices


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ("when 3 4\nand", "locate_span"),
        ("look 2x2 a1 in 3\nand", "crop"),
        ("watch 3 4", "noop"),
        ("when 3", "noop"),
        ("answer a", "noop"),
    ],
)
def test_of_a_cut_reply_only_a_finished_line_counts(text: str, tool: str) -> None:
    assert REEL.read(Reply(text, finish="length"), FILM_VIEWS).call.tool == tool


def test_pictures_come_before_their_numbers_and_then_the_question() -> None:
    shown = REEL.show(FILM_VIEWS[:2], "When?", {"turn": 0})
    assert shown == [FILM_VIEWS[0], "0", FILM_VIEWS[1], "1\nevery 10", "\nWhen?"]
    assert REEL.show(LATER[:1], "shown", {"turn": 1, "error": ""}) == [LATER[0], "16"]
    assert REEL.show(LATER[:3], "shown", {"turn": 1, "error": ""})[-1] == "18\nevery 1"
    gap = (LATER[0], LATER[1], replace(LATER[2], frame=26))
    assert REEL.show(gap, "shown", {"turn": 1, "error": ""})[-1] == "18\nevery 4"
    assert REEL.show(VIEWS[:2], "Which?", {"turn": 0})[-2] == "1"


def test_prompts_tell_of_the_enabled_tools_and_the_kind_of_answer() -> None:
    assert "watch 3 5" in REEL.prompt(VIDEO_TOOLS, GROUNDING)
    assert "when 18 19" in REEL.prompt(VIDEO_TOOLS, GROUNDING)
    assert "look 2x2 a1 in 18" in REEL.prompt(VIDEO_TOOLS, GROUNDING)
    assert not {"watch", "look"} & set(REEL.prompt({"locate_span": VIDEO_TOOLS["locate_span"]}, GROUNDING).split())
    assert "the right option" in REEL.prompt(VIDEO_TOOLS, CHOICE)
    assert "short phrase" in REEL.prompt(VIDEO_TOOLS, FREE)
