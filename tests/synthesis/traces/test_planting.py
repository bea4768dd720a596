"""Planted errors: every kind really is one, in every chain, and nothing else changes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from o3gym.geometry import area, coverage, iou
from o3gym.synthesis.traces.planting import PLANTED, WRONG, altered, astray
from o3gym.synthesis.traces.seeing import look_of, looks_of
from o3gym.synthesis.traces.words import announces, places, sentences
from o3gym.types import Call, Trajectory
from tests.synthesis.traces.detour_chains import planted, right

DIALECTS = ("simple_o3", "mini_o3")
EACH = [(kind, dialect) for kind in PLANTED for dialect in DIALECTS]


def course(chain: Trajectory) -> list[tuple[str, Call]]:
    return [(turn.parsed.thought, turn.parsed.call) for turn in chain.turns]


def changed(before: Trajectory, after: Trajectory) -> list[int]:
    """The turns whose calls differ."""
    pairs = zip(before.turns, after.turns, strict=True)
    return [at for at, (one, other) in enumerate(pairs) if one.parsed.call != other.parsed.call]


@pytest.mark.parametrize(("kind", "dialect"), EACH)
def test_errors_come_about_as_planned(kind: str, dialect: str) -> None:
    made = planted(kind, dialect)
    assert len(made) >= 3, "too few chains have a place for it"
    for before, script, after in made:
        assert astray(kind, script, after) == ""
        assert after.right is (kind != WRONG)
        assert after.task == before.task
        assert course(after) != course(before)


@pytest.mark.parametrize(("kind", "dialect"), EACH)
def test_words_stay_unless_the_kind_changes_them(kind: str, dialect: str) -> None:
    for before, _, after in planted(kind, dialect):
        old, new = ([turn.parsed.thought for turn in chain.turns] for chain in (before, after))
        if kind in ("box moved off", "box enlarged to everything", "swapped axes", "wrong answer"):
            assert new == old
        if kind == "wrong tool for the words":
            assert new == old[: len(new)]
        if kind == "step left out":
            assert len(new) == len(old) - 1
            assert set(new) <= set(old)


@pytest.mark.parametrize("kind", ["box moved off", "swapped axes"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_moved_box_misses_every_target(kind: str, dialect: str) -> None:
    for before, _, after in planted(kind, dialect):
        (turn,) = changed(before, after)
        old, new = look_of(before, turn), look_of(after, turn)
        assert old is not None
        assert new is not None
        assert any(old.covers(target, 0.5) for target in after.task.targets)
        assert all(coverage(new.box, target.box) < 0.2 for target in after.task.targets)  # 0.1, and whole pixels
        assert area(new.box) == pytest.approx(area(old.box), rel=0.1)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_enlarged_box_is_the_whole_picture(dialect: str) -> None:
    for before, _, after in planted("box enlarged to everything", dialect):
        (turn,) = changed(before, after)
        new, old = look_of(after, turn), look_of(before, turn)
        assert new is not None
        assert old is not None
        assert new.whole
        assert area(old.box) <= 0.5


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_tool_contradicts_the_words(dialect: str) -> None:
    for before, _, after in planted("wrong tool for the words", dialect):
        last = len(after.turns) - 1
        turn = next(at for at in range(last + 1) if course(after)[at] != course(before)[at])
        assert any(map(announces, sentences(after.turns[turn].parsed.thought)))
        before_tool, tool = (chain.turns[turn].parsed.call.tool for chain in (before, after))
        assert (before_tool, tool) in {
            "simple_o3": {("crop", "reuse"), ("reuse", "crop")},
            "mini_o3": {("crop", "answer"), ("crop", "locate")},
        }[dialect]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_made_up_reading_is_wrong(dialect: str) -> None:
    for before, _, after in planted("reading made up", dialect):
        task, (*olds, old), (*news, new) = after.task, before.turns, after.turns
        assert olds == news
        assert new.parsed.call == old.parsed.call
        if task.kind == "choice":
            wrong = [choice for letter, choice in zip(task.letters, task.choices, strict=True) if letter != task.answer]
            added = [one for one in sentences(new.parsed.thought) if one not in sentences(old.parsed.thought)]
            assert len(added) == 1
            assert any(choice in added[0] for choice in wrong)
        else:
            seen = [target.label for target in task.targets if target.label in old.parsed.thought]
            assert seen
            assert not any(label in new.parsed.thought for label in seen)
            assert re.search("[0-9]", seen[0])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_wrong_evidence_never_shows_one_of_the_targets(dialect: str) -> None:
    for _, _, after in planted("right answer from wrong evidence", dialect):
        looks = [look for look in looks_of(after).values() if not look.whole]
        seen = [max(coverage(look.box, target.box) for look in looks) for target in after.task.targets]
        assert min(seen) < 0.2
        for turn, look in looks_of(after).items():
            words = after.turns[turn].parsed.thought
            plans = [one for one in sentences(words) if announces(one)]
            assert all(place.fits(look.box) for one in plans for place in places(one)), (words, look)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_wrong_answer_is_wrong(dialect: str) -> None:
    for before, _, after in planted(WRONG, dialect):
        assert after.verdict == "wrong"
        assert changed(before, after) == [len(before.turns) - 1]
        if after.task.kind == "box":
            assert after.located is not None
            assert all(iou(after.located, target.box) <= 0.2 for target in after.task.targets)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_a_step_a_target_is_never_looked_at(dialect: str) -> None:
    for before, _, after in planted("step left out", dialect):
        assert len(after.turns) == len(before.turns) - 1
        looks = [look for look in looks_of(after).values() if not look.whole]
        seen = [max((coverage(look.box, one.box) for look in looks), default=0.0) for one in after.task.targets]
        assert min(seen) < 0.2


@pytest.mark.parametrize("kind", PLANTED)
def test_another_seed_plants_another_error(kind: str) -> None:
    if kind in ("box moved off", "wrong answer", "reading made up"):
        first, second = ([course(after) for _, _, after in planted(kind, "simple_o3", seed)] for seed in (0, 1))
        assert first != second


@pytest.mark.parametrize("kind", PLANTED)
def test_chains_without_a_place_for_an_error_give_none(kind: str) -> None:
    chain = right("simple_o3")[0]
    task = chain.task
    blind = [turn for turn in chain.turns if turn.parsed.call.tool in ("answer", "locate")]
    bare = replace(chain, turns=tuple(blind), views=chain.views[:1], task=replace(task, targets=()))
    script = PLANTED[kind](bare, np.random.default_rng(0))
    assert (script is None) == (kind not in ("wrong answer", "reading made up"))


@pytest.mark.parametrize("text", ["PC-7T3", "76", "red", "Refunds 1995", "…", "", "ß"])
def test_an_altered_text_differs(text: str) -> None:
    for seed in range(20):
        assert altered(text, np.random.default_rng(seed)) != text
