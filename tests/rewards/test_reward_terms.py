from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.calls import answer, noop
from o3gym.judges.base import decided
from o3gym.rewards import exploration, insight, terms, thyme
from o3gym.rewards.base import Term
from o3gym.types import Parsed, Reply, Target, Task, Turn, View
from tests.rewards.reward_episodes import EMPTY, FULL, PICTURE, episode, look, mistake, replying, search, task

LEFT, TOP_LEFT = (0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.5, 0.5)
RIGHT = (0.5, 0.0, 1.0, 1.0)


def values(term, *episodes):
    return [term.compute(each) for each in episodes]


def test_outcome_is_the_score_and_accuracy_the_verdict():
    right, wrong = episode(task(), said="B"), episode(task(), said="A")
    assert values(terms.OUTCOME_TERM, right, wrong) == [1.0, 0.0]
    half = search(TOP_LEFT, targets=[LEFT])
    assert values(terms.OUTCOME_TERM, half) == [0.5]
    assert values(terms.ACCURACY_TERM, right, wrong, half) == [1.0, 0.0, 1.0]


def test_outcome_believes_a_verdict_that_is_there():
    assert values(terms.OUTCOME_TERM, episode(task(), said="B", verdict="wrong", score=0.3)) == [0.3]
    assert values(terms.OUTCOME_TERM, episode(task(), said="A", verdict="correct")) == [1.0]
    assert values(terms.OUTCOME_TERM, episode(task(), said="B", verdict="failed")) == [0.0]


@pytest.mark.parametrize(
    ("box", "targets", "value"),
    [
        (LEFT, [LEFT], 1.0),
        (TOP_LEFT, [LEFT], 0.5),
        (RIGHT, [LEFT], 0.0),
        (None, [LEFT], 0.0),
        (None, [], 1.0),
        (LEFT, [], 0.0),
        (FULL, [LEFT, RIGHT], 1.0),
    ],
)
def test_iou_and_absence(box, targets, value):
    assert terms.box_iou(search(box, targets=targets)) == pytest.approx(value)


def test_no_answer_is_not_absence():
    assert terms.box_iou(episode(task("box"))) == 0.0


def test_iou_outside_of_region_search():
    assert terms.box_iou(episode(task(), said="null")) == 0.0
    elsewhere = Task("t", (PICTURE, PICTURE), "?", kind="box", targets=(Target(LEFT, source=1),))
    assert terms.box_iou(episode(elsewhere, said="[]", located=LEFT)) == 0.0


def test_format_needs_every_reply_and_an_answer():
    kept = episode(task(), look(LEFT), said="B")
    assert terms.format_kept(kept) == 1.0
    assert terms.format_kept(episode(task(), look(LEFT, well_formed=False), said="B")) == 0.0
    assert terms.format_kept(episode(task(), look(LEFT))) == 0.0
    assert terms.format_kept(EMPTY) == 0.0


def test_tool_use_counts_valid_calls_only():
    assert terms.used_tool(episode(task(), look(LEFT), said="B")) == 1.0
    assert terms.used_tool(episode(task(), mistake(), mistake("parse"), said="B")) == 0.0
    assert terms.used_tool(episode(task(), said="B")) == 0.0
    assert terms.used_tool(episode(task(), mistake("budget"))) == 0.0


def test_tried_calls_are_neither_answers_nor_silence():
    wrong_answer = Turn(Reply("?"), Parsed(answer("B")), "bad_args")
    episode_ = episode(task(), look(LEFT), mistake(), mistake("parse"), mistake("void"), wrong_answer, said="B")
    assert len(terms.tried(episode_)) == 3
    assert len(terms.carried_out(episode_)) == 1


# ── DeepEyes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_deepeyes_terms():
    right = episode(task(), look(LEFT), said="B")
    assert values(terms.DEEPEYES_FORMAT_TERM, right) == [0.0]
    # However ill-formed, replies cost nothing as long as tags come in pairs.
    assert values(terms.DEEPEYES_FORMAT_TERM, episode(task(), mistake("parse"), said="B")) == [0.0]
    assert values(terms.DEEPEYES_TOOL_TERM, right, episode(task(), said="B")) == [1.0, 0.0]
    assert values(terms.DEEPEYES_TOOL_TERM, episode(task(), look(LEFT), said="A")) == [0.0]
    assert values(terms.DEEPEYES_TOOL_TERM, episode(task(), mistake(), said="B")) == [0.0]


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (["<think>a</think><tool_call>oops</tool_call>", "so <answer>B</answer> bye"], 0.0),
        (["<think>a", "</think><answer>B</answer>"], 0.0),  # counted over all replies
        (["look", "<think>a<answer>B</answer>"], -1.0),
        (["look", "<answer>B"], -1.0),
        (
            ["<think>is it <answer>A?</think> look", "<think>b</think><answer>B</answer>"],
            0.0,
        ),  # thoughts may say <answer>
        (["<think>a</think> <answer>A", "<answer>B</answer>"], -1.0),  # counted from the last </think> on
        (["<|vision_start|>", "<answer>B</answer>"], -1.0),
        (["x" * 500, "x" * 500], -1.0),  # without <answer>, all text is one answer
        (["x" * 500, "x" * 400], 0.0),
    ],
)
def test_deepeyes_format_counts_tags_and_characters(texts, value):
    answered = "<answer>" in texts[1]
    silent = episode(task(), mistake("parse"), mistake("void"), stop="void")
    trajectory = episode(task(), mistake("parse"), said="B") if answered else silent
    assert terms.deepeyes_format(replying(trajectory, *texts)) == value


def test_deepeyes_rejects_answers_of_a_thousand_characters():
    long = episode(task(), look(LEFT), said="B." + " " * 998)
    assert terms.accuracy_term(long) == 1.0
    assert values(terms.DEEPEYES_ACCURACY_TERM, long) == [0.0]
    assert values(terms.DEEPEYES_FORMAT_TERM, long) == [-1.0]
    assert values(terms.DEEPEYES_TOOL_TERM, long) == [0.0]


# ── odd episodes ────────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = (0.4, 0.4, 0.6, 0.6)
LOST_VIEWS = replace(episode(task(targets=[SMALL]), look(LEFT), look(RIGHT), said="B"), views=(), sources=())
WILD = Turn(Reply("", finish="error"), Parsed(noop("void", "")), views=(5, 9), children=(3,))
ODD = [
    EMPTY,
    LOST_VIEWS,
    replace(LOST_VIEWS, views=(View(0, 4, FULL, (1, 1), (1, 1)),) * 3),
    replace(EMPTY, turns=(WILD, WILD), stop="answered"),
    replace(EMPTY, task=Task("t", (), "?", targets=(Target(LEFT, source=3),)), turns=(WILD,), located=LEFT),
    replace(EMPTY, task=Task("t", (), "?", kind="box"), located=(1.0, 1.0, 0.0, 0.0), answer="null"),
    replace(search(LEFT, targets=[(0.5, 0.5, 0.5, 0.5)]), turns=()),
]
MODULES = (terms, insight, exploration, thyme)
TERMS = {t.name: t for module in MODULES for t in vars(module).values() if isinstance(t, terms.Term)}


class Agreeing:
    """A judge that finds every thought good."""

    def reasoning(self, aspect, task, thought, answer):
        return decided(True)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_no_term_raises_on_odd_episodes(name):
    term = TERMS[name]
    for odd in ODD:
        if term.scope == "group":
            assert len(term.compute([odd, odd])) == 2
        elif term.scope == "parent":
            assert term.compute(odd, odd) == 0.0
        elif term.scope == "judge":
            assert term.compute(odd, Agreeing()) in (0.0, 1.0)
        else:
            assert isinstance(term.compute(odd), float)


@pytest.mark.parametrize("name", sorted(TERMS))
def test_every_term_names_its_source(name):
    assert TERMS[name].source
    assert TERMS[name].compute.__doc__


def test_a_term_whose_scope_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match=r'term "share": expected a scope of .*parent.*, got "late"'):
        Term("share", "late", lambda trajectory: 1.0, "this test")
