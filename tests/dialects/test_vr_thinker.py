"""VR-Thinker's snapshots, recommended answers and judgements, and its frames of two videos."""

from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.calls import answer
from o3gym.dialects.base import make_dialect
from o3gym.envs import VisualSearchEnv
from o3gym.envs.text_turns import TextTurns
from o3gym.registry import TOOLS
from o3gym.types import Call, Source
from tests.dialects.dialect_samples import FILM_VIEWS, PAIR, PAIR_VIEWS, said

LOOK = (
    "<snapshot>Two lamps.</snapshot>\n<think>Which one?</think>\n"
    "<recommend answer>TA = 2, MQ = 1, VQ = 0, OA = 0, CF = 2</recommend answer>\n"
    '<tool_call>{"name": "select_frames", "arguments": {"target_frames": [12, 16, 76, 80]}}</tool_call>'
)
JUDGED = "<snapshot>s</snapshot><think>t</think><answer>TA = 2, MQ = 0, VQ = 2, OA = 2, CF = 1</answer>"


def test_vr_thinker_asks_for_frames_of_both_videos_and_says_what_it_thinks_so_far() -> None:
    parsed = make_dialect("vr_thinker").parse(LOOK, PAIR_VIEWS)
    assert parsed.call == Call("sampled_frames", {"numbers": [11, 15, 75, 79]})
    assert (parsed.well_formed, parsed.thought) == (True, "Which one?")
    assert parsed.extras == {
        "snapshot": "Two lamps.",
        "confidence": 2,
        "recommended": {
            "temporal alignment": "B",
            "motion quality": "A",
            "video quality": "same",
            "overall": "same",
        },
    }


def test_vr_thinker_judges_in_each_dimension() -> None:
    dialect = make_dialect("vr_thinker")
    parsed = dialect.parse(JUDGED, PAIR_VIEWS)
    assert (parsed.call, parsed.well_formed) == (answer("B"), True)
    assert parsed.extras["dimensions"] == {
        "temporal alignment": "B",
        "motion quality": "same",
        "video quality": "B",
    }
    assert parsed.extras["confidence"] == 1
    capitals = JUDGED.replace("<snapshot>", "<Snapshot>").replace("</answer>", "</ Answer>")
    assert dialect.parse(capitals, PAIR_VIEWS) == parsed
    for judged, text in (("OA=1", "A"), ("OA = 0, CF = 3", "same"), ("the first", "the first")):
        assert dialect.parse(f"<answer>{judged}</answer>", PAIR_VIEWS).call == answer(text)
    wrong = dialect.parse("<answer>OA = 7</answer>", PAIR_VIEWS)
    assert (wrong.call.tool, wrong.call.args["kind"]) == ("noop", "parse")


@pytest.mark.parametrize(
    "text",
    [
        LOOK.replace("<snapshot>Two lamps.</snapshot>", ""),
        LOOK.replace("recommend answer", "recommended"),
        LOOK + " and",
        JUDGED.replace("CF = 1", "CF = 0"),
        JUDGED.replace("<answer>", "<recommend answer>x</recommend answer><answer>"),
        JUDGED + JUDGED,
    ],
)
def test_other_shapes_are_not_well_formed(text: str) -> None:
    parsed = make_dialect("vr_thinker").parse(text, PAIR_VIEWS)
    assert not parsed.well_formed
    assert parsed.call.tool != "noop"


def test_judgements_are_written() -> None:
    dialect = make_dialect("vr_thinker")
    reply = dialect.format(answer("B"), PAIR_VIEWS, "seen")
    assert "<answer>OA = 2, CF = 1</answer>" in reply
    assert "<snapshot>I have seen video 1 at 0.00 s, 3.00 s" in reply
    full = dialect.compared(reply, {"temporal_alignment": "A", "video quality": "same", "taste": "B"})
    assert "<answer>TA = 1, VQ = 0, OA = 2, CF = 1</answer>" in full
    parsed = dialect.parse(full, PAIR_VIEWS)
    assert parsed.well_formed
    assert parsed.extras["dimensions"] == {"temporal alignment": "A", "video quality": "same"}
    assert "<answer>A</answer>" in dialect.format(answer("A"), FILM_VIEWS)  # a question about one video
    assert make_dialect("vital").compared(reply, {"taste": "B"}) == reply


def test_vr_thinker_numbers_frames_through_both_videos() -> None:
    lines = said("vr_thinker", PAIR_VIEWS, "Which?", turn=0).split("\n")
    assert lines[1] == "Frame 13 (video 1, 3.00 s):<image>"
    assert lines[4] == "Frame 49 (video 2, 0.00 s):<image>"
    new = [replace(PAIR_VIEWS[1], index=8, parent=0), replace(PAIR_VIEWS[5], index=9, parent=4)]
    shown = said("vr_thinker", new, "sampled frames 12, 60", views=(*PAIR_VIEWS, *new), tool="sampled_frames")
    assert shown.split("\n") == [
        "After selecting frames: Here are the selected frames",
        "Frame 13 (video 1, 3.00 s):<image>",
        "Frame 61 (video 2, 3.00 s):<image>",
    ]
    prompt = make_dialect("vr_thinker").prompt({"sampled_frames": TOOLS["sampled_frames"]()}, PAIR)
    assert "1 to 48 are of video 1, 49 to 96 are of video 2" in prompt
    assert "`TA = …, MQ = …, VQ = …, OA = …, CF = …`" in prompt
    assert "letter" not in prompt


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([97], "Execution error: there is no frame 97; frames are numbered 1 to 96"),
        ([0], "Execution error: there is no frame 0; frames are numbered 1 to 96"),
        (list(range(1, 10)), "Execution error: 9 frames are too many; at most 8 are shown at once"),
    ],
)
def test_vr_thinker_reads_why_frames_are_refused(video: Source, numbers: list[int], expected: str) -> None:
    assert compared(video, numbers)[1] == expected


def compared(video: Source, numbers: list[int]) -> tuple[VisualSearchEnv, str]:
    """The message after a call for frames of two videos."""
    inner = VisualSearchEnv(tools=["sampled_frames", "answer"], time_rule="vr_thinker", min_pixels=1, max_pixels=5000)
    env = TextTurns(inner, "vr_thinker")
    other = replace(video, args={"fps": 2.0}, duration=12.0)
    observation, _ = env.reset(options={"task": replace(PAIR, sources=(video, other))})
    assert "Frame 85 (video 2, 9.00 s):<image>" in observation["text"]
    observation, *_ = env.step(LOOK.replace("[12, 16, 76, 80]", str(numbers)))
    return inner, observation["text"]


def test_frames_of_both_videos_in_one_call(video: Source) -> None:
    inner, text = compared(video, [80, 2, 49, 2])
    assert "Frame 2 (video 1, 0.75 s):<image>\nFrame 49 (video 2, 0.00 s):<image>\nFrame 80 (video 2, 7.50 s)" in text
    new = inner.views[8:]
    assert [(view.video, view.frame, view.parent) for view in new] == [(0, 3, 0), (1, 0, 4), (1, 15, 4)]
    assert [inner.trajectory.sources[view.source].args["number"] for view in new] == [3, 0, 15]
    assert new[1].source == inner.views[4].source  # the frame was shown before
