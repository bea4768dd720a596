"""Thyme: format and consistency of one reply or of a message in parts, and the terms of its ablation."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest

from o3gym.calls import code, noop
from o3gym.judges.base import Judgement, decided, failed
from o3gym.judges.rules import auto
from o3gym.rewards import recipes, terms, thyme
from o3gym.rewards.settle import AsyncJudge, settle
from o3gym.types import Parsed, Reply, Trajectory, Turn
from tests.rewards.reward_episodes import EMPTY, episode, look, mistake, replying, task

CODE = "<code>\n```python\nprint(1)\n```\n</code>"


def ran(error: str = "") -> Turn:
    """A turn with a call of code, which fails with "code", or is refused."""
    return Turn(Reply("code"), Parsed(code("print(1)"), True, "let me compute"), error)  # type: ignore[arg-type]


def message(*texts: str, said: str = "B", **fields: Any) -> Trajectory:
    """An episode in the inline dialect: one message, whose parts are the replies."""
    calls = [ran() for _ in texts[1:]]
    made: Trajectory = replying(episode(task(), *calls, said=said, thought="", **fields), *texts)
    return replace(made, dialect="thyme")


# ── single replies ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "thought", "value"),
    [
        ("B", "The plate is blue.", 1.0),
        ("B", "Clearly option B", 1.0),
        ("(B) blue", "it is Blue!", 1.0),
        ("B", "The plate is red.", 0.0),
        ("B", "the bluebird", 0.0),
        ("B", "blue " + "x" * 500, 0.0),
        ("B", "x" * 500 + " blue", 1.0),
        ("neither", "neither", 0.0),
    ],
)
def test_consistency_of_a_choice(said: str, thought: str, value: float) -> None:
    assert thyme.consistency(episode(task(), said=said, thought=thought)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("<think>a</think>\n<answer>B</answer>", 1.0),
        ("<think>a</think><answer>B</answer>", 0.0),
        ("<think>a</think>\n\n<answer>B</answer>", 0.0),
        ("<think>a</think> <answer>B</answer>\n", 0.0),
        ("no tags: B", 1.0),
    ],
)
def test_thyme_demands_one_white_space_before_the_answer(text: str, value: float) -> None:
    assert thyme.thyme_format(replying(episode(task(), said="B"), text)) == value
    assert thyme.thyme_format(replying(episode(task(), said="B", well_formed=False), text)) == 0.0


@pytest.mark.parametrize(("thought", "value"), [("it says 'Main Street 5'.", 1.0), ("Main Street 55", 0.0), ("", 0.0)])
def test_consistency_of_a_free_answer(thought: str, value: float) -> None:
    asked = task("free", "Main Street 5")
    assert thyme.consistency(episode(asked, said="Main street 5.", thought=thought)) == value


def test_signed_accuracy() -> None:
    episodes = episode(task(), said="B"), episode(task(), said="A"), episode(task())
    assert [thyme.signed_accuracy(each) for each in episodes] == [1.0, -1.0, 0.0]


# ── a message in parts ──────────────────────────────────────────────────────────────────────────────────────────────

PARTS = {
    "two parts": ((f"<think>Look. {CODE}", "It is blue.</think>\n<answer>B</answer>"), 1.0),
    "three parts": ((f"<think>Look. {CODE}", f"Again. {CODE}", "It is blue.</think> <answer>B</answer>"), 1.0),
    "one part": (("<think>It is blue.</think>\n<answer>B</answer>",), 1.0),
    "no think block": ((f"Look. {CODE}", "It is blue.\n<answer>B</answer>"), 0.0),
    "an open think block": ((f"<think>Look. {CODE}", "It is blue.\n<answer>B</answer>"), 0.0),
    "two think blocks": ((f"<think>Look.</think> {CODE}", "<think>It is blue.</think>\n<answer>B</answer>"), 0.0),
    "no white space": ((f"<think>Look. {CODE}", "It is blue.</think><answer>B</answer>"), 0.0),
    "a closed block before the code": ((f"<think>It is blue.</think> {CODE}", "\n<answer>B</answer>"), 0.0),
    "an answer in the thought": ((f"<think><answer>B</answer> {CODE}", "Blue.</think>\n<answer>B</answer>"), 0.0),
    "text before it": ((f"Well, <think>look. {CODE}", "It is blue.</think>\n<answer>B</answer>"), 0.0),
}


@pytest.mark.parametrize("kind", PARTS)
def test_a_message_in_parts_has_one_think_block_and_one_answer(kind: str) -> None:
    texts, value = PARTS[kind]
    assert thyme.thyme_format(message(*texts)) == value


def test_in_other_dialects_each_reply_is_a_message() -> None:
    texts = ("<think>Look.</think> <grounding>", "<think>It is blue.</think>\n<answer>B</answer>")
    parts = message(*texts)
    assert thyme.thyme_format(parts) == 0.0
    for dialect in ("", "mini_o3", "of another package"):
        assert thyme.thyme_format(replace(parts, dialect=dialect)) == 1.0


def test_consistency_reads_the_thought_over_all_parts() -> None:
    agreeing = message(f"<think>Look. {CODE}", "It is blue.</think>\n<answer>B</answer>")
    assert thyme.last_thought(agreeing) == f"Look. {CODE}It is blue."
    assert thyme.consistency(agreeing) == 1.0
    assert thyme.consistency(message(f"<think>It is blue. {CODE}", "Red!</think>\n<answer>B</answer>")) == 1.0
    far = "x" * thyme.THYME_TAIL
    assert thyme.consistency(message(f"<think>It is blue. {CODE}", f"{far}</think>\n<answer>B</answer>")) == 0.0
    assert thyme.consistency(message(f"<think>Look. {CODE}", "It is blue.\n<answer>B</answer>")) == 1.0  # left open
    assert thyme.last_thought(message("no tags: B")) == ""
    assert thyme.last_thought(replace(EMPTY, dialect="thyme")) == ""


def test_the_reward_of_a_message_in_parts() -> None:
    parts = message(f"<think>Look. {CODE}", "It is blue.</think>\n<answer>B</answer>")
    [[settled]] = settle([[parts]], recipes.THYME)
    assert (settled.terms, settled.reward) == ({"accuracy": 1.0, "format": 1.0, "consistency": 1.0}, 2.0)


# ── consistency by a judge ──────────────────────────────────────────────────────────────────────────────────────────


class Reader:
    """A judge of answers by rules that says of every thought the same, and notes what it was asked."""

    def __init__(self, *verdicts: Judgement) -> None:
        self.verdicts, self.asked = list(verdicts), list[tuple[str, str, str]]()

    def __call__(self, task: Any, answer: str, located: Any) -> Judgement:
        return auto(task, answer, located)

    def reasoning(self, aspect: str, task: Any, thought: str, answer: str) -> Judgement:
        self.asked.append((aspect, thought, answer))
        return self.verdicts[min(len(self.asked), len(self.verdicts)) - 1]


RIGHT = replying(episode(task(), said="B", thought="so B"), "<think>so B</think>\n<answer>B</answer>")
WRONG = replying(episode(task(), said="A", thought="so A"), "<think>so A</think>\n<answer>A</answer>")


@pytest.mark.parametrize(("agrees", "value", "signed"), [(True, 2.0, 2.0), (False, 1.5, 1.5)])
def test_a_judge_replaces_the_offline_rule(agrees: bool, value: float, signed: float) -> None:
    judge = Reader(decided(agrees))
    [[right, wrong]] = settle([[RIGHT, WRONG]], "thyme_judged", judge)
    assert right.terms == {"accuracy": 1.0, "format": 1.0, "judged_consistency": float(agrees)}
    assert (right.reward, wrong.reward) == (value, 0.5)
    assert judge.asked == [("consistency", "so B", "B")]  # never about a wrong answer, which earns nothing by it
    [[right, wrong]] = settle([[RIGHT, WRONG]], "thyme_code_judged", judge)
    assert (right.reward, wrong.reward) == (signed, -0.5)


def test_the_judge_sees_the_thought_of_all_parts_of_a_message() -> None:
    judge = Reader(decided(True))
    settle([[message(f"<think>Look. {CODE}", "It is blue.</think>\n<answer>B</answer>")]], "thyme_judged", judge)
    assert judge.asked == [("consistency", f"Look. {CODE}It is blue.", "B")]


def test_no_thought_and_no_answer_are_not_asked_about() -> None:
    judge = Reader(decided(True))
    silent = replying(episode(task(), said="B", thought=""), "<answer>B</answer>")
    [[settled, unfinished]] = settle([[silent, episode(task())]], "thyme_judged", judge)
    assert (settled.terms["judged_consistency"], unfinished.terms["judged_consistency"]) == (0.0, 0.0)
    assert judge.asked == []


def test_a_judge_that_fails_costs_the_reward_and_is_no_bad_thought(caplog: pytest.LogCaptureFixture) -> None:
    judge = Reader(failed("m gave no verdict: gone"), decided(True))
    others = [replace(RIGHT, sample=number) for number in range(2)]
    with caplog.at_level(logging.WARNING):
        [[first, second]] = settle([others], "thyme_judged", judge, workers=1)
    assert (first.verdict, first.score, first.reward) == ("correct", 1.0, None)
    assert "judged_consistency" not in first.terms
    assert second.reward == 2.0
    expected = 'reward term "judged_consistency" has no verdict: m gave no verdict: gone'
    assert '1 reward value could not be computed (reward term "judged_consistency" 1)' in caplog.text
    assert expected in caplog.text


def test_settling_again_without_the_judge_keeps_what_it_said(caplog: pytest.LogCaptureFixture) -> None:
    once = settle([[RIGHT, WRONG]], "thyme_judged", Reader(decided(True)))
    assert settle(once, "thyme_judged") == once
    assert settle(once, "thyme_judged", auto) == once  # a judge of answers alone
    [[settled]] = settle([[RIGHT]], "thyme_judged")
    assert settled.reward is None
    assert 'reward term "judged_consistency" needs a judge that reads reasoning, such as "reasoning:M' in caplog.text


def test_verdicts_of_a_run_are_asked_for_beside_the_rollout() -> None:
    judge, kept = Reader(decided(True)), list[Trajectory]()
    with AsyncJudge("thyme_judged", judge, kept.append) as judging:
        judging.put(RIGHT)
    assert [episode.reward for episode in kept] == [2.0]


# ── the ablation ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("calls", "value"),
    [
        ([], 0.0),
        ([ran()], 1.0),
        ([ran("code")], 0.0),
        ([ran("code"), ran()], 0.5),
        ([ran(), ran("bad_args"), ran(), ran()], 0.75),
        ([ran(), ran("budget")], 1.0),
        ([ran("budget")], 0.0),
        ([look((0.0, 0.0, 0.5, 0.5)), mistake()], 0.0),  # no code
        ([ran(), Turn(Reply("?"), Parsed(noop("void", "")), "void")], 1.0),
    ],
)
def test_the_code_term_is_the_share_of_code_that_ran(calls: list[Turn], value: float) -> None:
    assert thyme.code_ran(episode(task(), *calls, said="B")) == value


def test_the_rows_of_the_ablation() -> None:
    done = replying(
        episode(task(), ran("code"), ran(), said="B", thought="so B"),
        *("code", "code", "<think>so B</think>\n<answer>B</answer>"),
    )
    values = {}
    for name in ("thyme_no_consistency", "thyme", "thyme_with_code"):
        [[settled]] = settle([[done]], name)
        values[name] = settled.reward
    assert values == {"thyme_no_consistency": 1.5, "thyme": 2.0, "thyme_with_code": 2.25}
    judge = Reader(decided(True))
    [[settled, wrong]] = settle([[done, WRONG]], "thyme_with_process", judge, workers=1)
    assert (settled.reward, wrong.reward) == (2.5, 1.0)
    process = [thought for aspect, thought, _ in judge.asked if aspect == "process"]
    assert process[0] == "code\n\ncode\n\n<think>so B</think>\n<answer>B</answer>"  # all replies


def test_rewards_without_a_judge_stay_offline() -> None:
    offline = [name for name in vars(recipes) if name.startswith("THYME")]
    asking = {name for name in offline if getattr(recipes, name).needs_reasoning_judge}
    assert asking == {"THYME_JUDGED", "THYME_CODE_JUDGED", "THYME_WITH_PROCESS"}
    assert terms.first_answer in {getattr(recipes, name).answer for name in offline}
