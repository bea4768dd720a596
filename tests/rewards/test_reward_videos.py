from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.calls import answer, answer_with_span, clip, frames, locate_span
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.registry import REWARDS
from o3gym.rewards import exploration, recipes, videos
from o3gym.rewards.settle import settle, upto
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import FULL, Parsed, Reply, Source, Target, Task, Trajectory, Turn, View

VIDEO = Source("file", "a.mp4", duration=60.0)
DIMENSIONS = {"temporal alignment": "A", "video quality": "B", "motion quality": "A"}


def grounding(*spans, **fields):
    return Task("t", (VIDEO,), "When?", targets=tuple(Target(FULL, time=s) for s in spans), kind="span", **fields)


def question(*spans, truth="B", **fields):
    targets = tuple(Target(FULL, time=span) for span in spans)
    return Task("q", (VIDEO,), "Which?", truth, ("red", "blue"), targets, "choice", **fields)


def look(call, error=""):
    return Turn(Reply("look"), Parsed(call, True), error)


def episode(task, *turns, said=None, span=None, well_formed=True, extras=None, stop=""):
    """An episode that ends with an answer, an interval, or both; unfinished if neither is given."""
    text, ending = said or "", []
    if said is not None or span is not None:
        call = answer(said or "") if span is None else locate_span(*span)
        if said is not None and span is not None:
            call = answer_with_span(said, *span)
        text = said if said is not None else str(list(span))
        ending = [Turn(Reply("final"), Parsed(call, well_formed, "thought", extras or {}))]
        stop = stop or ("answered" if said is not None else "located")
    views = (View(0, 0, FULL, (40, 30), (40, 30), time=(0.0, 0.5), video=0, frame=0),)
    turns = tuple(turns) + tuple(ending)
    return Trajectory(task, task.sources, views, turns, stop=stop or "over_turn", answer=text, span=span)


def reward(name, *group):
    return [each.reward for each in settle([group], name)[0]]


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spans", "given", "value"),
    [
        ([(10.0, 20.0)], (10.0, 20.0), 1.0),
        ([(10.0, 20.0)], (15.0, 25.0), 1 / 3),
        ([(10.0, 20.0)], (30.0, 40.0), 0.0),
        ([(10.0, 20.0)], None, 0.0),
        ([(0.0, 4.0), (6.0, 10.0)], (0.0, 10.0), 0.8),  # the union of two targets
        ([(0.0, 6.0), (4.0, 10.0)], (0.0, 10.0), 1.0),  # they overlap
        ([(0.0, 4.0), (6.0, 10.0)], (0.0, 4.0), 0.5),
        ([], (0.0, 4.0), 0.0),
    ],
)
def test_the_iou_of_the_answered_interval(spans, given, value):
    assert videos.answered_iou(episode(grounding(*spans), span=given)) == pytest.approx(value)


def test_only_intervals_of_the_first_video_count():
    task = replace(grounding((10.0, 20.0)), sources=(VIDEO, Source("file", "b.mp4", duration=60.0)))
    other = replace(task, targets=(Target(FULL, 1, time=(10.0, 20.0)),))
    assert videos.answered_iou(episode(task, span=(10.0, 20.0))) == 1.0
    assert videos.answered_iou(episode(other, span=(10.0, 20.0))) == 0.0


TRUTH = (10.0, 20.0)


@pytest.mark.parametrize(
    ("looks", "iou", "recall"),
    [
        ([], 0.0, 0.0),
        ([look(clip(15.0, 25.0))], 1 / 3, 0.5),  # LongVT's own example
        ([look(clip(5.0, 25.0))], 0.5, 1.0),
        ([look(clip(30.0, 40.0))], 0.0, 0.0),
        ([look(clip(10.0, 20.0)), look(clip(30.0, 40.0))], 0.0, 0.0),  # the last one counts
        ([look(clip(30.0, 40.0)), look(clip(10.0, 20.0))], 1.0, 1.0),
        ([look(clip(10.0, 20.0)), look(clip(70.0, 80.0), "bad_time")], 1.0, 1.0),  # nothing was looked at
        ([look(clip(10.0, 20.0)), look(frames([3]))], 1.0, 1.0),
        ([look(clip(-10.0, 20.0))], 0.5, 1.0),  # moved into the video
        ([look(clip(10.0, 20.0, video=1))], 0.0, 0.0),  # another video
    ],
)
def test_the_last_clip_that_was_looked_at(looks, iou, recall):
    played = episode(replace(question(TRUTH), sources=(VIDEO, VIDEO)), *looks, said="B")
    assert videos.last_clip_iou(played) == pytest.approx(iou)
    assert videos.last_clip_recall(played) == pytest.approx(recall)


def test_a_clip_of_the_second_video_is_compared_with_its_own_targets():
    task = replace(question(), sources=(VIDEO, VIDEO), targets=(Target(FULL, 1, time=TRUTH), Target(FULL)))
    assert videos.last_clip_iou(episode(task, look(clip(*TRUTH, video=1)), said="B")) == 1.0
    assert videos.last_clip_recall(episode(question(), look(clip(*TRUTH)), said="B")) == 0.0


# ── VITAL ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_vital_adds_up_what_the_kind_of_the_task_asks_for():
    assert reward("vital", episode(grounding(TRUTH), span=(15.0, 25.0))) == pytest.approx([1 + 1 / 3])
    assert reward("vital", episode(question(), said="B"), episode(question(), said="A")) == [2.0, 1.0]
    grounded = episode(question(TRUTH), said="B", span=(15.0, 25.0))
    assert reward("vital", grounded) == pytest.approx([2 + 1 / 3])
    assert reward("vital", episode(question(TRUTH), said="A", span=TRUTH)) == [2.0]
    # an interval that is right by half is a correct verdict, and yet it counts by its IoU alone
    assert reward("vital", episode(grounding(TRUTH), span=(10.0, 16.0))) == pytest.approx([1.6])
    assert reward("vital", episode(grounding(TRUTH), span=TRUTH, well_formed=False)) == [1.0]
    assert reward("vital", episode(grounding(TRUTH), look(clip(*TRUTH)))) == [0.0]


@pytest.mark.parametrize(("iou", "code", "long"), [(0.1, 0.0, 0.2), (0.5, 0.5, 1.0), (0.8, 1.0, 1.0), (0.0, 0.0, 0.0)])
def test_the_code_of_vital_stretches_the_iou(iou, code, long):
    played = episode(grounding((0.0, 10.0)), span=(0.0, 10.0 * iou) if iou else None, said=None if iou else "?")
    assert videos.stretched_iou(played) == pytest.approx(code)
    assert videos.stretched_iou_long(played) == pytest.approx(long)


def test_the_code_of_vital_pays_half_for_each_of_two_calls():
    assert reward("vital_code", episode(question(), said="B")) == [2.0]
    assert reward("vital_code", episode(question(), look(clip(*TRUTH)), said="B")) == [2.5]
    assert reward("vital_code", episode(question(), *[look(clip(*TRUTH))] * 3, said="A")) == [2.0]
    assert reward("vital_code", episode(question(), look(clip(*TRUTH), "bad_time"), said="A")) == [1.0]
    grounded = episode(question((0.0, 10.0)), said="B", span=(0.0, 5.0))
    assert reward("vital_code", grounded) == pytest.approx([2.5])
    assert reward("vital_code_long", grounded) == pytest.approx([3.0])


# ── LongVT ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_longvt_adds_accuracy_format_and_the_last_clip():
    played = episode(question(TRUTH), look(clip(15.0, 25.0)), said="B")
    assert reward("longvt", played) == pytest.approx([2 + 1 / 3])
    assert reward("longvt_recall", played) == pytest.approx([2.5])
    assert reward("longvt", episode(question(TRUTH), said="A")) == [1.0]
    assert reward("longvt", episode(grounding(TRUTH), span=(15.0, 25.0))) == pytest.approx([1 + 1 / 3])


def test_longvt_takes_half_a_point_from_a_judge_that_gives_it():
    from o3gym.judges.base import Judgement

    half = settle([[episode(question(), said="B")]], "longvt", judge=lambda *_: Judgement("wrong", 0.5))
    assert half[0][0].reward == pytest.approx(1.5)


# ── VR-Thinker ──────────────────────────────────────────────────────────────────────────────────────────────────────


def pair(**dimensions):
    task = Task("p", (VIDEO, VIDEO), "Which?", "A", ("first", "second"), kind="choice")
    return replace(task, origin={"dimensions": dimensions or DIMENSIONS})


@pytest.mark.parametrize(
    ("extras", "value"),
    [
        ({"dimensions": DIMENSIONS}, 1.0),
        ({"dimensions": {**DIMENSIONS, "motion quality": "B"}}, 2 / 3),
        ({"dimensions": {"Temporal_Alignment": " a ", "VIDEO QUALITY": "b"}}, 2 / 3),  # the third is missing
        ({"dimensions": {"beauty": "A"}}, 0.0),
        ({"dimensions": "A"}, 0.0),
        ({"dimensions": {"video quality": None}}, 0.0),
        ({}, 0.0),
    ],
)
def test_dimensions_agree(extras, value):
    assert videos.dimensions_agree(episode(pair(), said="A", extras=extras)) == pytest.approx(value)


def test_tasks_without_dimensions_have_none_to_agree_in():
    assert videos.dimensions_agree(episode(question(), said="B", extras={"dimensions": DIMENSIONS})) == 0.0
    assert videos.dimensions_agree(episode(pair())) == 0.0
    odd = replace(pair(), origin={"dimensions": "A"})
    assert videos.dimensions_agree(episode(odd, said="A", extras={"dimensions": DIMENSIONS})) == 0.0
    tie = pair(**{"video quality": "tie"})
    assert videos.dimensions_agree(episode(tie, said="A", extras={"dimensions": {"video quality": "Tie"}})) == 1.0


def test_vr_thinker_adds_both_agreements_to_the_format():
    both = {"dimensions": DIMENSIONS}
    assert reward("vr_thinker", episode(pair(), said="A", extras=both)) == [3.0]
    assert reward("vr_thinker", episode(pair(), said="B", extras=both)) == [2.0]
    assert reward("vr_thinker", episode(pair(), said="A", well_formed=False)) == [1.0]
    one = {"dimensions": {**DIMENSIONS, "video quality": "A"}}
    assert reward("vr_thinker", episode(pair(), said="A", extras=one)) == pytest.approx([2 + 2 / 3])


def test_the_code_of_vr_thinker_pays_for_looking_again():
    """Of eight with 0, 1, 2, 3, 5 calls …, four look twice, so that each with a call loses 0.6 − 4/8."""

    def looked(n, said, **fields):
        return episode(pair(), *[look(frames([3]))] * n, said=said, **fields)

    group = [
        *(looked(0, "A"), looked(1, "A"), looked(2, "A"), looked(3, "B"), looked(5, "B")),
        *(looked(2, "A", well_formed=False), looked(0, "B"), looked(1, "")),
    ]
    expected = [1.0, 1 - 0.1 - 1 + 1, 1 - 0.1 + 0.5 + 1, -0.1 + 1 + 1, -0.1 + 1.5 + 1, 1 - 0.1 + 0.5, 0.0]
    assert reward("vr_thinker_code", *group) == pytest.approx([*expected, -1 - 0.1 - 1 + 1])
    unresolved = episode(pair(), look(frames([3])), look(frames([99]), "bad_time"), said="A")
    assert reward("vr_thinker_code", unresolved, unresolved) == pytest.approx([0.5 + 1] * 2)  # right, but for nothing
    assert videos.look_bonus([]) == []


# ── Pixel Reasoner ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_pixel_reasoner_divides_by_its_constant_for_videos():
    """One of eight that looks at frames gets +0.233, two +0.033, three nothing; and each further call costs 0.05."""

    def group(*calls):
        return [episode(question(), *[look(frames([3]))] * n, said="A") for n in calls]

    assert exploration.curiosity(group(1, *[0] * 7)) == pytest.approx([0.7 / 3] + [0.0] * 7)
    assert exploration.curiosity(group(1, *[0] * 7))[0] == pytest.approx(0.233, abs=5e-4)
    assert exploration.curiosity(group(1, 1, *[0] * 6))[:2] == pytest.approx([0.1 / 3] * 2)
    assert exploration.curiosity(group(1, 1, 1, *[0] * 5)) == pytest.approx([0.0] * 8)
    assert exploration.curiosity(group(3, *[0] * 7))[0] == pytest.approx(0.7 / 3 - 0.1)
    right = [episode(question(), look(clip(1.0, 9.0)), said="B"), *group(*[0] * 7)]
    assert reward("pixel_reasoner", *right) == pytest.approx([1 + 0.7 / 3] + [0.0] * 7)


# ── all of them ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["vital", "vital_code", "vital_code_long", "longvt", "longvt_recall", "vr_thinker"])
def test_unusual_episodes_have_a_reward_of_zero(name):
    empty = Trajectory(Task("empty", (), "?"), (), (), ())
    assert name in REWARDS
    recipe = recipes.make_recipe(name)
    assert recipe.pending
    assert {term.name: term.value(empty) for term in recipe.terms} == {term.name: 0.0 for term in recipe.terms}


def test_before_the_end_there_is_no_interval_yet():
    played = episode(question(TRUTH), look(clip(*TRUTH)), said="B", span=TRUTH)
    assert videos.answered_iou(played) == 1.0
    assert upto(played, 1).span is None


def test_an_oracle_that_looks_and_answers_gets_what_can_be_had():
    """From the environment itself: a grounding, and a question that is answered with its evidence, too."""
    suite = {"family": "event+glimpse", "difficulty": "easy", "seconds": 8, "grounded": True}
    env = {"suite": "synthetic_video", "suite_args": suite, "overview_frames": 2, "time_rule": "vital", "max_turns": 2}
    jobs = [Job(index, f"g{index}", 0, seed=0) for index in range(2)]
    played = collect(rollout(jobs, make_policy("oracle"), make_dialect("vital"), Arm("a", env)))

    def rewards(name):
        return [each.reward for (each,) in settle(played, name)]

    assert [group[0].task.kind for group in played] == ["span", "choice"]
    assert rewards("vital") == [2.0, 3.0]
    assert rewards("vital_code") == [2.5, 3.5]
    assert rewards("longvt_recall") == [3.0, 3.0]
    assert rewards("longvt") == pytest.approx([2 + 2 / 3, 2 + 1 / 3])  # 1.5 s for a second, and for half a second


@pytest.mark.parametrize("name", ["mini_o3_code", "thyme", "deepeyes"])
def test_an_interval_is_never_read_from_the_text_of_the_replies(name):
    played = episode(grounding(TRUTH), span=TRUTH)
    last = replace(played.turns[-1], reply=Reply("<think>t</think> <answer>10 to 20</answer>"))
    (settled,) = settle([[replace(played, turns=(last,))]], name)[0]
    assert (settled.verdict, settled.score) == ("correct", 1.0)
