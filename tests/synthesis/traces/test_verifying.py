"""The verifiers by rule, on chains that are written by hand and performed for real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from o3gym.calls import answer, crop, reuse, zoom
from o3gym.dialects.base import make_dialect
from o3gym.geometry import surround
from o3gym.rewards.settle import settle
from o3gym.rollout.performing import Act, Script, perform
from o3gym.rollout.records import Arm
from o3gym.suites.base import make_suite
from o3gym.synthesis.traces.seeing import all_told, first_look, look_of, looks_of
from o3gym.synthesis.traces.verifying import (
    RULES,
    AnswerAgainstEvidence,
    AnswerAgainstTruth,
    Finding,
    ReadingAgainstTruth,
    Rule,
    SightAgainstView,
    ToolAgainstWords,
    untold,
)
from o3gym.synthesis.traces.words import place_of
from o3gym.types import Call, Target, Task, Trajectory, View
from tests.synthesis.traces.detour_chains import right

SUITE = "synthetic?family=attribute&difficulty=easy&pixels=40000"
ENV = {"suite": SUITE, "max_pixels": 9216, "min_pixels": 1024, "max_turns": 6}
TASK = make_suite(SUITE)[0]
TARGET = TASK.targets[0]
CLOSE = surround(TARGET.box)
PLACE, THING = place_of(CLOSE), TARGET.label
FAR = (0.0, 0.0, 0.2, 0.2) if TARGET.box[0] > 0.5 or TARGET.box[1] > 0.5 else (0.8, 0.8, 1.0, 1.0)
RIGHT = answer(TASK.answer)
WRONG = answer(next(letter for letter in TASK.letters if letter != TASK.answer))


def played(*acts: tuple[str, Call], task: Task = TASK, **env: Any) -> Trajectory:
    """The chain of thoughts and calls in the dialect of Simple-o3."""
    tools = ["crop", "zoom", "reuse", "answer"]
    arm = Arm(env={**ENV, "tools": tools, **env}, dialect="simple_o3")
    script = Script(task, tuple(Act(call, thought) for thought, call in acts), "g")
    (made,) = perform([script], arm, make_dialect("simple_o3"))
    assert made.stop == "answered"
    return settle([[made]], "outcome")[0][0]


def flaw(rule: Rule, *acts: tuple[str, Call], **env: Any) -> str:
    return rule.flaw(played(*acts, **env))


DONE = ("Now I can answer.", RIGHT)


@pytest.mark.parametrize(
    ("words", "call", "why"),
    [
        (f"Let me zoom in on the {PLACE}.", crop(CLOSE), ""),
        (f"Let me zoom in on the {PLACE}.", crop(FAR), "looks elsewhere"),
        (f"Let me zoom in on the {PLACE}.", reuse(0), "shows all of the view"),
        (f"I will try the {PLACE}.", crop((0.0, 0.0, 1.0, 1.0)), "shows the whole picture"),
        (f"I need a closer look at the {THING}.", crop(CLOSE), ""),
        (f"I need a closer look at the {THING}.", crop(FAR), "does not contain it"),
        (f"Maybe the {THING} is there; let me check.", crop(FAR), ""),
        ("Let me look at the whole picture again.", reuse(0), ""),
        ("Let me look at the whole picture again.", crop(CLOSE), "announce the whole picture"),
        ("Let me magnify it.", zoom((0.5, 0.5), 2.0), ""),
        ("Let me magnify it.", zoom((0.5, 0.5), 1.0), "shows all of the view"),
        ("Now I can answer.", crop(CLOSE), "announce the answer"),
        ("Hm.", crop(FAR), ""),
    ],
)
def test_the_tool_must_do_what_the_words_announce(words: str, call: Call, why: str) -> None:
    found = flaw(ToolAgainstWords(), (words, call), DONE)
    assert (why in found) if why else found == ""


def test_an_announced_look_must_happen() -> None:
    assert "the call answers" in flaw(ToolAgainstWords(), ("Let me zoom in on the left.", RIGHT))
    assert flaw(ToolAgainstWords(), ("I will answer now.", RIGHT)) == ""


def test_a_look_within_the_last_view_must_lie_in_it() -> None:
    inside = ("I will go closer within this view.", crop(CLOSE))
    around = tuple(max(0.0, edge - 0.1) for edge in CLOSE[:2]) + tuple(min(1.0, edge + 0.1) for edge in CLOSE[2:])
    assert flaw(ToolAgainstWords(), ("Hm.", crop(list(around))), inside, DONE) == ""
    assert "the last view" in flaw(ToolAgainstWords(), ("Hm.", crop(FAR)), inside, DONE)


@pytest.mark.parametrize(
    ("call", "words", "why"),
    [
        (crop(CLOSE), f"This shows the {THING} clearly.", ""),
        (crop(FAR), f"This shows the {THING} clearly.", f"claims to see {THING}"),
        (reuse(0), f"Now I can make out the {THING}.", f"claims to see {THING}"),
        (reuse(0), f"I think I see the {THING} here, though I cannot be sure of it.", ""),
        (crop(FAR), f"The {THING} is not here.", ""),
        (crop(CLOSE), f"The {THING} is not here.", f"denies {THING}"),
        (crop(FAR), "Nothing that helps in this part.", ""),
        (crop(CLOSE), "Nothing that helps in this part.", f"denies {THING}"),
        (reuse(0), "Back at the whole picture.", ""),
        (crop(FAR), "Back at the whole picture.", "the last view is a part"),
        (crop(FAR), "That call was refused.", "was not refused"),
        (crop((0.5, 0.5, 0.5, 0.5)), "That call was refused.", ""),
        (crop((0.5, 0.5, 0.5, 0.5)), f"This shows the {THING} clearly.", "the last call was refused"),
        (crop(FAR), f"Could the {THING} be here?", ""),
    ],
)
def test_sights_must_be_true(call: Call, words: str, why: str) -> None:
    found = flaw(SightAgainstView(), ("Hm.", call), (words, RIGHT))
    assert (why in found) if why else found == ""


def test_a_look_that_never_happened() -> None:
    assert "never happened" in flaw(SightAgainstView(), (f"Now I can make out the {THING}.", RIGHT))
    assert flaw(SightAgainstView(), ("I cannot make this out at this size.", RIGHT)) == ""


def test_readings_must_not_be_a_wrong_option() -> None:
    options = dict(zip(TASK.letters, TASK.choices, strict=True))
    right_one, wrong_one = options[TASK.answer], options[WRONG.args["text"]]
    rule = ReadingAgainstTruth()
    assert wrong_one in flaw(rule, (f"The {THING} is {wrong_one}.", RIGHT))
    for words in (
        f"The {THING} is {right_one}.",
        f"It is {right_one}, not {wrong_one}.",
        f"It is not {wrong_one}.",
        f"Is it {wrong_one}?",
        f"It may be {wrong_one}.",
        f"Let me see whether it is {wrong_one}.",
    ):
        assert flaw(rule, (words, RIGHT)) == "", words


@pytest.mark.parametrize(
    ("answer_text", "words", "flawed"),
    [
        ("PC-7T3", "It says PC-7T8.", True),
        ("PC-7T3", "It says PC-7T3.", False),
        ("PC-7T3", "It says 7T8.", False),
        ("76", "The sum is 81.", True),
        ("76", "This bar is 34.", False),
        ("red", "It is blue.", False),
    ],
)
def test_readings_of_free_answers(answer_text: str, words: str, flawed: bool) -> None:
    task = replace(TASK, kind="free", choices=(), answer=answer_text)
    chain = played((words, answer(answer_text)), task=task)
    assert bool(ReadingAgainstTruth().flaw(chain)) is flawed


def test_evidence_is_covered_and_sharp() -> None:
    rule = AnswerAgainstEvidence()
    assert flaw(rule, ("Hm.", crop(CLOSE)), DONE) == ""
    for call in (crop(FAR), crop((0.0, 0.0, 1.0, 1.0)), reuse(0)):
        assert flaw(rule, ("Hm.", call), DONE) == f"no view shows {THING}"
    assert flaw(rule, DONE) == f"no view shows {THING}"
    assert flaw(rule, DONE, max_pixels=40_000) == ""  # the first view is the picture itself


def test_a_region_that_is_only_marked_counts_by_its_place() -> None:
    assert flaw(AnswerAgainstEvidence(), ("Hm.", crop(CLOSE)), DONE, focus="draw") == ""
    assert flaw(AnswerAgainstEvidence(), ("Hm.", crop(FAR)), DONE, focus="draw") == f"no view shows {THING}"
    words = f"I need a closer look at the {THING}."
    assert flaw(ToolAgainstWords(), (words, crop(CLOSE)), DONE, focus="draw") == ""
    assert "does not contain" in flaw(ToolAgainstWords(), (words, crop(FAR)), DONE, focus="draw")


def test_the_answer_against_truth_fails_without_a_verdict() -> None:
    rule = AnswerAgainstTruth()
    chains = [played(DONE), played(("Hm.", WRONG)), replace(played(DONE), verdict="failed")]
    assert rule.verify(chains) == [Finding(), Finding("the answer is wrong"), Finding("", "no verdict")]
    assert [finding.passed for finding in rule.verify(chains)] == [True, False, False]


@pytest.mark.parametrize("dialect", ["simple_o3", "mini_o3"])
def test_right_chains_pass_but_for_blurred_charts(dialect: str) -> None:
    chains = [chain for chain in right(dialect) if chain.task.tags["family"] != "chart"]
    assert len(chains) >= 8
    for make in RULES.values():
        assert make().verify(chains) == [Finding()] * len(chains)


def test_words_without_a_region_are_untold() -> None:
    chain = played(("Hm.", crop(CLOSE)), (f"Let me look at the {THING}.", crop(CLOSE)), DONE)
    assert untold(chain) == [0]


def test_looks_are_in_the_coordinates_of_the_picture() -> None:
    chain = played(("Hm.", zoom((0.25, 0.25), 2.0)), ("Hm.", crop(CLOSE)), ("Hm.", reuse(0)), DONE)
    looks = looks_of(chain)
    assert looks[0].box == pytest.approx((0.0, 0.0, 0.5, 0.5))
    assert looks[1].box == pytest.approx(CLOSE, abs=1e-3)  # thousandths
    assert looks[2].whole
    assert not looks[2].narrows
    assert all_told(chain)


def test_damaged_records_pass_instead_of_stopping_everything() -> None:
    chain = played(("Let me zoom in on the left.", crop(CLOSE)), DONE)
    view = chain.views[1]
    damaged: Sequence[Trajectory] = [
        replace(chain, views=()),
        replace(chain, views=chain.views[:1]),
        replace(chain, views=(chain.views[0], replace(view, native=(0, 0)))),
        replace(chain, views=(chain.views[0], replace(view, parent=7))),
        replace(chain, turns=()),
    ]
    for trajectory in damaged:
        assert [make().verify([trajectory])[0].flaw for make in RULES.values()][:3] == ["", "", ""]
        assert untold(trajectory) == []
    assert first_look(damaged[0]) is None
    assert look_of(damaged[1], 0) is None


def test_views_of_unknown_regions_are_nobodys_fault() -> None:
    chain = played(("Hm.", crop(FAR)), (f"This shows the {THING} clearly.", RIGHT))
    several = replace(chain, turns=(replace(chain.turns[0], views=(0, 1)), chain.turns[1]))
    for rule in (SightAgainstView(), AnswerAgainstEvidence()):
        assert rule.flaw(chain)
        assert rule.flaw(several) == ""


def test_labels_of_targets_may_be_missing() -> None:
    task = replace(TASK, targets=(Target(TARGET.box),))
    chain = played(("Let me look.", crop(FAR)), DONE, task=task)
    assert AnswerAgainstEvidence().flaw(chain) == "no view shows a target"
    assert isinstance(chain.views[0], View)
