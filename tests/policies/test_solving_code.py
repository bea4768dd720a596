"""The oracle writes code for the tasks that need it, in each dialect, and the sandbox shows what it should."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from PIL import Image

from o3gym.dialects.base import make_dialect
from o3gym.judges.rules import auto
from o3gym.media.images import shared_store
from o3gym.policies.base import make_policy
from o3gym.policies.solving_code import program_under
from o3gym.registry import CODE_RULES
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.suites.scenes.labels import LABEL_EM
from o3gym.suites.synthetic import CODE_FAMILIES
from o3gym.types import Task, Trajectory
from tests.suites.template_reader import read_word

DIALECTS = ("thyme", "pyvision", "deepeyes_v2", "openai", "qwen3_vl")
COMPUTED = {"tally": 95_000, "measure": 232_000}
"""Families whose programs print the answer, with a number of pixels that suffices."""


@cache
def played(
    policy: str, family: str, dialect: str = "openai", tools: str = "code answer", count: int = 2
) -> list[Trajectory]:
    spoken, pixels = make_dialect(dialect), COMPUTED.get(family, 0) if "code" in tools else 12_000
    arguments = {
        **{"suite": "synthetic", "max_turns": 4, "tools": tools.split(), "sandbox": "trust"},
        **{"suite_args": {"family": family, "difficulty": "easy", "pixels": pixels}},
        **spoken.rules(videos=False),
    }
    jobs = [Job(index, f"{index}", seed=index) for index in range(count)]
    return list(rollout(jobs, make_policy(policy), spoken, Arm("arm", arguments)))


def right(trajectory: Trajectory) -> bool:
    return auto(trajectory.task, trajectory.answer, trajectory.located).verdict == "correct"


def truth(task: Task) -> str:
    return task.choices[task.letters.index(task.answer)]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("family", CODE_FAMILIES)
def test_the_oracle_runs_the_program_and_answers(family: str, dialect: str) -> None:
    for trajectory in played("oracle", family, dialect):
        assert [turn.parsed.call.tool for turn in trajectory.turns] == ["code", "answer"]
        assert [turn.error for turn in trajectory.turns] == ["", ""]
        assert all(turn.parsed.well_formed for turn in trajectory.turns)
        assert right(trajectory)
        seen = trajectory.turns[0]
        assert seen.feedback == truth(trajectory.task) if family in COMPUTED else len(seen.views) == 1


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("family", ["turned", "dim"])
def test_the_picture_of_the_program_can_be_read(family: str, dialect: str) -> None:
    trajectory = played("oracle", family, dialect)[0]
    words, em = trajectory.task.choices, LABEL_EM["easy"] * 108
    pictures = [Image.fromarray(np.asarray(shared_store().region(source))) for source in trajectory.sources]
    assert [read_word(picture, em, words) for picture in pictures] == ["", truth(trajectory.task)]


def test_without_code_nobody_knows_but_who_is_told() -> None:
    assert [turn.parsed.call.tool for turn in played("oracle", "turned", tools="answer")[0].turns] == ["answer"]
    for policy in ("always", "random"):
        answered = [t for family in CODE_FAMILIES for t in played(policy, family, tools="answer", count=30)]
        assert sum(map(right, answered)) / len(answered) == pytest.approx(0.2, abs=0.09)


def test_the_oracle_looks_at_its_targets_if_code_is_not_enabled_or_not_needed() -> None:
    tools = [turn.parsed.call.tool for turn in played("oracle", "dim", tools="crop answer")[0].turns]
    assert tools == ["crop", "answer"]
    tools = [turn.parsed.call.tool for turn in played("oracle", "hidden", tools="crop code answer")[0].turns]
    assert tools == ["crop", "answer"]


@pytest.mark.parametrize("rule", CODE_RULES)
def test_programs_find_and_hand_back_pictures_as_the_rule_says(rule: str) -> None:
    shown = program_under("picture = image.rotate(-30)", CODE_RULES[rule]).splitlines()
    files = rule.startswith("thyme")
    assert shown[0] == {
        "o3gym": "image = view_0",
        "pyvision": "image = image_clue_0",
        "deepeyes_v2": "image = image_1",
    }.get(rule, "image = Image.open(image_path)")
    assert shown[1] == "picture = image.rotate(-30)"
    assert shown[2:] == (["picture.save('made.png')", "print('made.png')"] if files else ["picture.show()"])
    assert program_under("print(1)", CODE_RULES[rule]).splitlines()[1:] == ["print(1)"]


@pytest.mark.parametrize("dialect", ["thyme", "pyvision"])
@pytest.mark.parametrize("family", ["turned", "tally"])
def test_slips_are_errors_that_the_next_code_mends(family: str, dialect: str) -> None:
    for slips in (1, 2):
        (trajectory,) = played(f"oracle?slips={slips}", family, dialect, count=1)
        assert [turn.error for turn in trajectory.turns] == [*["code"] * slips, "", ""]
        assert all(turn.parsed.well_formed for turn in trajectory.turns)
        assert "name 'image' is not defined" in trajectory.turns[0].feedback
        assert right(trajectory)


def test_as_many_slips_as_the_turns_allow() -> None:
    (trajectory,) = played("oracle?slips=9", "tally", count=1)
    assert [turn.error for turn in trajectory.turns] == ["code", "code", "", ""]
    assert right(trajectory)
    with pytest.raises(ValueError, match="slips: expected a whole number of at least 0, got -1"):
        make_policy("oracle?slips=-1")
