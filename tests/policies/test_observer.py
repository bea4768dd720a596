"""The observer: it sees, says what it needs, acts with three tools, and judges drawn views as well as crops."""

from __future__ import annotations

from typing import Any

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.detour import ninth_of
from o3gym.rewards.recipes import OUTCOME
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory

ENV = {"suite": "synthetic", "suite_args": {"pixels": 60_000}, "min_pixels": 500, "max_pixels": 30_000, "max_turns": 6}


def play(
    family: str = "all", count: int = 4, pixels: int = 60_000, dialect: str = "simple_o3", **env: Any
) -> list[Trajectory]:
    arm = Arm("arm", {**ENV, "suite_args": {"pixels": pixels, "family": family}, **env}, "observer", dialect)
    jobs = [Job(index, f"g{index}", seed=index) for index in range(count)]
    done = rollout(jobs, make_policy("observer"), make_dialect(dialect), arm)
    return sorted(settle([list(done)], OUTCOME)[0], key=lambda t: int(t.group[1:]))


def calls(trajectory: Trajectory) -> str:
    return " ".join(turn.parsed.call.tool for turn in trajectory.turns)


@pytest.mark.parametrize("focus", ["draw", "crop", "reuse"])
@pytest.mark.parametrize("dialect", ["simple_o3", "qwen3_vl"])
def test_the_answer_is_right_and_no_call_is_refused(focus: str, dialect: str) -> None:
    episodes = play("relation+text+chart+map", dialect=dialect, focus=focus)
    assert {episode.verdict for episode in episodes} == {"correct"}
    assert not any(turn.error for episode in episodes for turn in episode.turns)
    assert not any("{" in turn.parsed.thought for episode in episodes for turn in episode.turns)


def test_a_drawn_box_needs_a_zoom_and_a_crop_that_shows_enough_does_not() -> None:
    easy = {"family": "attribute", "difficulty": "easy", "pixels": 600_000}
    assert {calls(each) for each in play(count=2, suite_args=easy, focus="draw")} == {"crop zoom answer"}
    assert {calls(each) for each in play(count=2, suite_args=easy, focus="crop")} == {"crop answer"}


def test_several_targets_are_compared_in_the_original_picture() -> None:
    assert {calls(each) for each in play("relation", 2, focus="draw")} == {"crop zoom crop zoom reuse answer"}


@pytest.mark.parametrize(
    ("tools", "course"),
    [
        ("answer", "answer"),
        ("reuse answer", "reuse answer"),
        ("reuse zoom answer", "zoom answer"),
        ("crop answer", "crop answer"),
    ],
)
def test_tools_that_are_missing_are_left_out(tools: str, course: str) -> None:
    assert {calls(each) for each in play("attribute", 2, tools=tools.split(), focus="draw")} == {course}


def test_it_answers_in_the_last_turn_and_does_not_claim_to_need_nothing_then() -> None:
    for episode in play("relation", 2, focus="draw", max_turns=2):
        assert calls(episode).count(" ") == 1
        assert episode.verdict == "correct"
        assert "nothing more" not in episode.turns[-1].parsed.thought
    short = play("relation", 2, focus="draw", max_turns=4)
    assert {calls(episode) for episode in short} == {"crop zoom zoom answer"}, "where turns are short, it zooms in"


def test_it_names_a_target_only_if_the_question_does() -> None:
    for episode in play("text", 2, focus="draw"):
        before = " ".join(turn.parsed.thought for turn in episode.turns[:-1])
        assert episode.task.choices[episode.task.letters.index(episode.task.answer)] not in before
        assert "the spot in question" in before
    assert all("the spot" not in turn.parsed.thought for each in play("attribute", 2) for turn in each.turns)


def test_each_thought_says_what_is_seen_what_is_needed_and_what_is_done() -> None:
    for episode in play("relation", 2, focus="draw"):
        for turn in episode.turns:
            assert len(turn.parsed.thought.split(". ")) >= 3
        words = [turn.parsed.thought for turn in episode.turns]
        assert "box around" in words[1] or "red box" in words[1]
        assert "need" in words[1]
        assert any(word in words[2] for word in ("clear", "details", "detail"))


def test_the_same_seed_makes_the_same_chains() -> None:
    first, second = ([[turn.reply.text for turn in each.turns] for each in play(count=2)] for _ in range(2))
    assert first == second


def test_a_blanked_look_shows_nothing() -> None:
    (episode, *_) = play("attribute", 2, focus="crop", control="blank_crop")
    assert calls(episode) == "crop zoom answer"
    assert "not" in episode.turns[1].parsed.thought


def test_a_region_search_ends_with_the_box() -> None:
    assert {each.verdict for each in play("region", 2, focus="draw")} == {"correct"}


def test_places_have_names() -> None:
    assert ninth_of(None) == ninth_of((0.4, 0.4, 0.6, 0.6)) == "middle"
    assert ninth_of((0.9, 0.0, 1.0, 0.1)) == "top right"
