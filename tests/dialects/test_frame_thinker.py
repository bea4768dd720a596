"""FrameThinker's actions in plain text, and what its model reads of frames and times."""

from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.calls import answer, frames, locate_span
from o3gym.dialects.base import make_dialect
from o3gym.registry import TOOLS
from o3gym.types import Call, Source
from tests.dialects.dialect_samples import FILM_VIEWS, WATCH, told


def acted(action: str) -> str:
    return f"<think>a</think><action>{action}</action>"


@pytest.mark.parametrize(
    ("action", "call"),
    [
        ("choose frames between 10 and 90", frames([11, 16, 21, 26, 31, 37, 42, 47, 52, 57, 63, 68, 73, 78, 83, 89])),
        ("get frame number at time 01:15", Call("frame_at", {"time": 75.0, "video": 0})),
        ("get frame number at time 1:02:03", Call("frame_at", {"time": 3723.0, "video": 0})),
        ("output answer: B", answer("B")),
        ("output answer:the lamp\n", answer("the lamp")),
        ('output answer: {"span": [3.25, 7.5]}', locate_span(3.25, 7.5)),
    ],
)
def test_frame_thinker_acts_in_words(action: str, call: Call) -> None:
    parsed = make_dialect("frame_thinker").parse(acted(action), FILM_VIEWS)
    assert (parsed.call, parsed.thought) == (call, "a")
    assert parsed.well_formed


def test_frame_thinker_spreads_as_many_frames_as_were_shown_at_the_start() -> None:
    dialect = make_dialect("frame_thinker")
    assert dialect.parse(acted("choose frames between 0 and 17"), FILM_VIEWS).call == frames(range(1, 17))
    assert dialect.parse(acted("choose frames between 0 and 10"), FILM_VIEWS[:8]).call == frames(
        [1, 2, 3, 4, 5, 6, 7, 9]
    )
    assert dialect.parse(acted("choose frames between 0 and 9"), ()).call == frames(range(1, 9))


@pytest.mark.parametrize(
    "action",
    [
        "",
        "zoom in",
        "choose frames between 10 and 26",  # no more frames than are shown
        "choose frames between 90 and 10",
        "choose frames between -5 and 90",
        "choose frames between ten and 90",
        f"choose frames between 1 and {'9' * 400}",
        *(f"get frame number at time {time}" for time in ("99:99", "-1:00", "12", "1e999:00", "NaN", "x" * 1000)),
    ],
)
def test_invalid_actions_are_void(action: str) -> None:
    parsed = make_dialect("frame_thinker").parse(acted(action), FILM_VIEWS)
    assert (parsed.call.tool, parsed.call.args["kind"], parsed.well_formed) == ("noop", "void", False)


def test_an_action_in_a_thought_is_none_and_the_last_one_counts() -> None:
    dialect = make_dialect("frame_thinker")
    weighed = "<think>Perhaps <action>output answer: A</action></think>"
    assert dialect.parse(weighed, ()).call.tool == "noop"
    assert dialect.parse(weighed + "<action>output answer: B</action>", ()).call == answer("B")
    assert make_dialect("frame_thinker?thought_answers=true").parse(weighed, ()).call == answer("A")
    two = dialect.parse(acted("output answer: A") + acted("output answer: B"), ())
    assert (two.call, two.well_formed) == (answer("B"), False)


def test_frame_thinker_reads_and_is_told_minutes_and_seconds(video: Source) -> None:
    assert told(video, "frame_thinker", acted("get frame number at time 00:05"), ["frame_at"]) == (
        "",
        "Frame number at time 00:05 is: 20.",
    )
    assert told(video, "frame_thinker", acted("get frame number at time 62:30"), ["frame_at"]) == (
        "bad_time",
        "Error: 62:30 is after the end of the video, at 00:40",
    )
    error, text = told(video, "frame_thinker", acted("choose frames between 10 and 90"), ["frames"])
    assert (error, text.split("\n")[:2]) == ("", ["frame 11:<image>", "frame 22:<image>"])
    assert told(video, "frame_thinker", acted("choose frames between 10 and 900"), ["frames"]) == (
        "bad_time",
        "Error: there is no frame 264; frames are 0 to 159",
    )
    assert told(video, "frame_thinker", acted("look"), ["frames"])[0] == "void"


def test_frame_thinker_names_its_enabled_actions_only() -> None:
    dialect = make_dialect("frame_thinker")
    prompt = dialect.prompt({"frames": TOOLS["frames"](), "answer": TOOLS["answer"]()}, WATCH)
    assert "`choose frames between A and B` shows 8 evenly" in prompt
    assert "MM:SS" not in prompt
    assert "<action>output answer: …</action>" in prompt
    longer = replace(WATCH, sources=(replace(WATCH.sources[0], duration=301.0),))
    assert "shows 12 evenly" in dialect.prompt({"frames": TOOLS["frames"]()}, longer)
    assert "choose" not in dialect.prompt({"answer": TOOLS["answer"]()}, WATCH)
