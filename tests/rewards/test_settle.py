from __future__ import annotations

import logging
import threading
from dataclasses import replace

import pytest

from o3gym.calls import answer
from o3gym.judges.base import Judgement
from o3gym.judges.rules import anls
from o3gym.rewards import recipes
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.rewards.settle import AsyncJudge, parents_of, settle, upto
from o3gym.types import Parsed, Reply, Turn
from tests.rewards.reward_episodes import FULL, episode, look, mistake, search, task

LEFT = (0.0, 0.0, 0.5, 1.0)
RIGHT, WRONG = episode(task(), said="B"), episode(task(), said="A")


def say(verdict, score):
    return lambda task, answer, located: Judgement(verdict, score)


def test_verdict_score_terms_and_reward():
    [[right, wrong]] = settle([[RIGHT, WRONG]], recipes.OUTCOME)
    assert (right.verdict, right.score, right.terms, right.reward) == ("correct", 1.0, {"outcome": 1.0}, 1.0)
    assert (wrong.verdict, wrong.score, wrong.terms, wrong.reward) == ("wrong", 0.0, {"outcome": 0.0}, 0.0)
    assert RIGHT.verdict == ""


def test_a_recipe_may_be_named():
    assert settle([[RIGHT, WRONG]], "outcome") == settle([[RIGHT, WRONG]], recipes.OUTCOME)
    with pytest.raises(ValueError, match='unknown reward "outcomes"; did you mean "outcome"'):
        settle([[RIGHT]], "outcomes")
    kept = []
    with AsyncJudge("outcome", None, kept.append) as judging:
        judging.put(RIGHT)
    assert kept == settle([[RIGHT]], "outcome")[0]


def test_order_is_kept():
    groups = [[replace(RIGHT, group=str(g), sample=s) for s in range(g)] for g in (3, 0, 1, 2)]
    settled = settle(groups, recipes.DEEPEYES, say("wrong", 0.0), workers=3)
    assert [[t.key for t in group] for group in settled] == [[t.key for t in group] for group in groups]


@pytest.mark.parametrize("judge", [None, say("wrong", 0.25), say("failed", None)])
@pytest.mark.parametrize(
    "name", ["outcome", "deepeyes", "pixel_reasoner", "thyme", "vprl", "vprl_search", "insight_o3_in_loop"]
)
def test_settling_twice_changes_nothing(name, judge):
    recipe = recipes.make_recipe(name)
    group = [RIGHT, WRONG, episode(task(), look(LEFT), mistake(), said="B"), replace(RIGHT, stop="error")]
    once = settle([group], recipe, judge)
    assert settle(once, recipe, judge) == once
    assert settle(once, recipe) == once


def test_a_judge_replaces_the_offline_one():
    [[graded]] = settle([[WRONG]], recipes.OUTCOME, say("correct", 0.7))
    assert (graded.verdict, graded.score, graded.reward) == ("correct", 0.7, 0.7)
    [[again]] = settle([[graded]], recipes.OUTCOME, say("wrong", 0.1))
    assert (again.verdict, again.reward) == ("wrong", 0.1)
    [[kept]] = settle([[graded]], recipes.MINI_O3)
    assert (kept.verdict, kept.score, kept.reward) == ("correct", 0.7, 1.0)


def test_a_graded_judge():
    read = episode(task("free", "invoice"), said="invoce")
    [[settled]] = settle([[read]], recipes.OUTCOME, anls)
    assert settled.reward == pytest.approx(6 / 7)
    assert settled.verdict == "correct"


def test_an_error_is_no_wrong_answer():
    asked = []

    def judge(task, answer, located):
        asked.append(answer)
        return Judgement("wrong", 0.0)

    broken = replace(RIGHT, stop="error")
    for verdict in ("", "correct"):
        [[settled]] = settle([[replace(broken, verdict=verdict)]], recipes.OUTCOME, judge)
        assert (settled.verdict, settled.score, settled.terms, settled.reward) == ("failed", None, {}, None)
    assert asked == []


def test_a_judge_that_raises_stops_nobody(caplog):
    def judge(task, answer, located):
        if answer == "A":
            raise TimeoutError("no reply")
        return Judgement("correct", 1.0)

    with caplog.at_level(logging.WARNING):
        [[right, failed]] = settle([[RIGHT, WRONG]], recipes.OUTCOME, judge)
    assert right.reward == 1.0
    assert (failed.verdict, failed.score, failed.terms, failed.reward) == ("failed", None, {}, None)
    assert "1 of 2 episodes have no verdict, the first because: the judge raised TimeoutError: no reply" in caplog.text


def test_a_judge_that_talks_nonsense_failed():
    [[settled]] = settle([[RIGHT]], recipes.OUTCOME, lambda *_: "correct")
    assert (settled.verdict, settled.reward) == ("failed", None)


def test_a_stop_by_hand_goes_through():
    def judge(task, answer, located):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        settle([[RIGHT]], recipes.OUTCOME, judge)


def test_without_ground_truth_nobody_is_asked():
    unknown = episode(task(origin={"ground_truth": False}), said="B")
    [[settled]] = settle([[unknown]], recipes.OUTCOME, say("correct", 1.0))
    assert (settled.verdict, settled.reward) == ("failed", None)


def test_judges_run_at_once_but_not_too_many():
    workers = 4
    lock, together = threading.Lock(), threading.Barrier(workers, timeout=20)
    running, most = 0, 0

    def judge(task, answer, located):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1
        return Judgement("correct", 1.0)

    settled = settle([[RIGHT] * 6, [WRONG] * 6], recipes.OUTCOME, judge, workers=workers)
    assert most == workers
    assert all(t.reward == 1.0 for group in settled for t in group)


def test_step_terms_come_from_the_turns_where_they_are():
    walk = episode(task(targets=[(0.0, 0.0, 0.5, 0.5)]), look(LEFT), mistake(), said="B")
    assert settle([[walk]], recipes.VPRL_SEARCH)[0][0].terms["progress"] == -4.0
    written = tuple(replace(turn, terms={"progress": 0.5}) for turn in walk.turns)
    assert settle([[replace(walk, turns=written)]], recipes.VPRL_SEARCH)[0][0].terms["progress"] == 1.5
    mixed = (written[0], *walk.turns[1:])
    assert settle([[replace(walk, turns=mixed)]], recipes.VPRL_SEARCH)[0][0].terms["progress"] == -4.5


def test_end_terms_are_computed_on_the_whole_episode():
    """The environment writes 0 into turns after which it did not see the end, as with a full context."""
    cut = replace(episode(task("box", targets=[LEFT]), look(LEFT)), stop="over_context")
    cut = replace(cut, turns=(replace(cut.turns[0], terms={"used_tool": 0.0}),))
    assert settle([[cut]], recipes.INSIGHT_O3)[0][0].terms["used_tool"] == 1.0


def test_the_episode_as_it_was():
    walk = episode(task(), look(LEFT), look(FULL), said="B")
    early = upto(walk, 1)
    assert (len(early.turns), len(early.views), early.stop, early.answer) == (1, 2, "", "")
    assert upto(walk, 3) is walk


def test_failed_episodes_do_not_count_in_groups():
    users = [episode(task(), look(LEFT), said="B"), episode(task(), look(LEFT), said="A")]
    others = [RIGHT] * 7

    def judge(task, answer, located):
        if answer == "A":
            raise TimeoutError
        return Judgement("correct", 1.0)

    [settled] = settle([[*users, *others]], recipes.PIXEL_REASONER, judge)
    assert settled[0].terms["curiosity"] == pytest.approx(0.175)  # one user of the eight that count
    assert (settled[1].terms, settled[1].reward) == ({}, None)
    [alone] = settle([[replace(RIGHT, stop="error")]], recipes.PIXEL_REASONER)
    assert alone[0].reward is None


def household(*, feedback="helpful", verdict=""):
    child = search(LEFT, look(LEFT), group="q", agent="searcher-0")
    child = replace(child, task=replace(child.task, origin={"ground_truth": False}))
    rating = Turn(Reply("…"), Parsed(answer("B"), True, extras={"feedback": feedback}))
    parent = episode(task(), replace(look(LEFT), children=(0,)), rating, said="B", group="q", children=(child,))
    return child, replace(parent, verdict=verdict)


def test_a_child_is_rewarded_by_its_parent():
    child, parent = household()
    parents = settle([[parent]], recipes.OUTCOME)[0]
    [[settled]] = settle([[child]], recipes.INSIGHT_O3_IN_LOOP, parents=parents_of(parents))
    assert settled.terms == {"used_tool": 1.0, "format": 1.0, "pseudo_iou": 1.0}
    assert settled.reward == pytest.approx(1.0)
    assert settled.verdict == "failed"  # its own task has no ground truth


def test_a_child_of_an_unhelpful_search():
    child, parent = household(feedback="unhelpful", verdict="correct")
    [[settled]] = settle([[child]], recipes.INSIGHT_O3_IN_LOOP, parents=parents_of([parent]))
    assert settled.reward == pytest.approx(0.2)


@pytest.mark.parametrize("verdict", ["", "failed"])
def test_a_child_whose_parent_has_no_verdict_has_no_reward(verdict):
    child, parent = household(verdict=verdict)
    [[settled]] = settle([[child]], recipes.INSIGHT_O3_IN_LOOP, parents=parents_of([parent]))
    assert (settled.reward, settled.terms) == (None, {"used_tool": 1.0, "format": 1.0})


def test_a_child_without_its_parent_has_no_reward():
    child, parent = household(verdict="correct")
    assert settle([[child]], recipes.INSIGHT_O3_IN_LOOP)[0][0].reward is None
    stranger = {child.key: replace(parent, children=())}
    assert settle([[child]], recipes.INSIGHT_O3_IN_LOOP, parents=stranger)[0][0].reward is None


def test_a_child_that_broke_down_has_no_reward():
    child, parent = household(verdict="correct")
    broken = replace(child, stop="error")
    [[settled]] = settle([[broken]], recipes.INSIGHT_O3_IN_LOOP, parents=parents_of([parent]))
    assert (settled.reward, settled.terms) == (None, {})


def test_a_recipe_of_ones_own():
    turns = Term("turns", "end", lambda trajectory: float(len(trajectory.turns)), "test")
    recipe = RewardRecipe("brevity", (turns,), lambda values: -values["turns"], "test")
    assert settle([[RIGHT]], recipe)[0][0].reward == -1.0


def test_nothing_to_settle():
    assert settle([], recipes.OUTCOME) == []
    assert settle([[]], recipes.OUTCOME, say("correct", 1.0)) == [[]]


class Slow:
    """A judge that waits until `workers` calls of it are there at once."""

    blocks = True

    def __init__(self, workers):
        self.together = threading.Barrier(workers, timeout=20)
        self.closed = 0

    def __call__(self, task, answer, located):
        self.together.wait()
        return Judgement("correct", 1.0)

    def close(self):
        self.closed += 1


def test_a_judge_that_blocks_is_asked_beside_what_goes_on():
    judge, kept = Slow(3), []
    with AsyncJudge(recipes.OUTCOME, judge, kept.append, workers=3) as settling:
        for sample in range(9):
            settling.put(replace(RIGHT, sample=sample))
    assert sorted(t.sample for t in kept) == list(range(9))
    assert {(t.verdict, t.reward) for t in kept} == {("correct", 1.0)}
    assert judge.closed == 1


@pytest.mark.parametrize("judge", [None, say("wrong", 0.0)])
def test_any_other_judge_decides_at_once(judge):
    kept = []
    with AsyncJudge(recipes.OUTCOME, judge, kept.append) as settling:
        for sample in range(3):
            settling.put(replace(WRONG, sample=sample))
            assert [t.sample for t in kept] == list(range(sample + 1))
    assert {t.verdict for t in kept} == {"wrong"}


def test_what_cannot_be_kept_is_an_error_and_nothing_is_kept_after_it():
    kept, judge = [], Slow(1)

    def keep(trajectory):
        if len(kept) == 2:
            raise OSError("disk full")
        kept.append(trajectory)

    def all_of_them():
        with AsyncJudge(recipes.OUTCOME, judge, keep, workers=2) as settling:
            for sample in range(40):
                settling.put(replace(RIGHT, sample=sample))

    with pytest.raises(OSError, match="disk full"):
        all_of_them()
    assert (len(kept), judge.closed) == (2, 1)
