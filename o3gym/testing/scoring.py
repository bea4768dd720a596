"""Checks of what judges, rewards, measures and exports finished episodes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from o3gym.judges.base import Judge, Judgement, ReasoningAspect, decided
from o3gym.judges.rules import auto
from o3gym.policies.base import make_policy
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardRecipe, TermScope
from o3gym.rewards.settle import parents_of, settle
from o3gym.runs.exports.arms import ArmRun, read_arms
from o3gym.runs.store import RunStore, open_run
from o3gym.runs.suite_metrics import Measure
from o3gym.testing.episodes import FILM, HOSTILE, SCENE, expect, expect_type, play
from o3gym.types import Box, Target, Task, Trajectory
from o3gym.worlds.frozen_lake import FrozenLake
from o3gym.worlds.records import state_source

_BOX: Box = (0.1, 0.1, 0.4, 0.3)
_LAKE = FrozenLake(3, [1], 0, 2)
JUDGED = (
    (Task("choice", (SCENE,), "Which colour?", "B", ("red", "blue"), kind="choice"), "B", "A"),
    (Task("word", (SCENE,), "Where is it?", "harbour"), "harbour", "a mountain railway"),
    (Task("number", (SCENE,), "How many?", "42"), "42", "1000"),
    (Task("yes_no", (SCENE,), "Is there a flag?", "yes"), "yes", "no"),
    (Task("box", (SCENE,), "Find the flag.", targets=(Target(_BOX),), kind="box"), json.dumps(_BOX), "null"),
    (
        Task("span", (FILM,), "When is it?", targets=(Target(_BOX, time=(2.0, 4.0)),), kind="span"),
        "[2.0, 4.0]",
        "[5, 6]",
    ),
    (Task("plan", (state_source(_LAKE),), "Which moves?", "down right right up"), "D R R U", "down right up right"),
)
"""A task of every kind, a right answer and a wrong one."""


def check_judge(judge: Judge, name: str = "judge") -> None:
    """A judge tells right from wrong for some kind of task, and returns a `Judgement` whatever the answer is."""
    expect(any(_tells_apart(judge, *sample) for sample in JUDGED), f"{name} tells right from wrong for no kind of task")
    for task, *_ in JUDGED:
        for answer in HOSTILE:
            expect_type(judge(task, answer, None), Judgement, f"{name}, answer {answer[:40]!r}")


def _tells_apart(judge: Judge, task: Task, right: str, wrong: str) -> bool:
    located = _BOX if task.kind == "box" else None
    verdicts = judge(task, right, located).verdict, judge(task, wrong, None).verdict
    return verdicts == ("correct", "wrong")


@cache
def _episodes() -> tuple[Trajectory, ...]:
    """Two episodes of one task, the first of which is right."""
    first, second = (play(make_policy(name), 1)[0] for name in ("oracle", "random"))
    return first, replace(second, sample=1)


@cache
def _plans() -> tuple[Trajectory, ...]:
    """Two episodes of visual planning, the first of which is optimal."""
    suite = {"suite": "planning-frozenlake", "suite_args": {"level": 3}}
    return tuple(play(make_policy(name), 1, **suite)[0] for name in ("optimal", "random_walk"))


class _ReadsReasoning:
    """Judges answers by rules and finds every thought good, for rewards that ask a judge about reasoning."""

    def __call__(self, task: Task, answer: str, located: Box | None) -> Judgement:
        return auto(task, answer, located)

    def reasoning(self, aspect: ReasoningAspect, task: Task, thought: str, answer: str) -> Judgement:
        return decided(True)


def check_reward(recipe: RewardRecipe) -> None:
    """Terms have distinct names, known scopes and sources; every judged episode gets the same finite total again."""
    expect_type(recipe, RewardRecipe, "reward")
    names = [term.name for term in recipe.terms]
    expect(len(set(names)) == len(names), f"{recipe.name}: its terms share a name: {', '.join(names)}")
    for term in recipe.terms:
        expect(term.scope in get_args(TermScope), f"{recipe.name}.{term.name}: unknown scope {term.scope!r}")
        expect(bool(term.source), f"{recipe.name}.{term.name}: source must not be empty")
    delegating = _settled(_episodes())[0]
    children = [replace(episode, agent="child") for episode in (*_episodes(), *_plans(), _without_turns())]
    children = [replace(episode, sample=number) for number, episode in enumerate(children)]
    parents = parents_of([replace(delegating, children=tuple(children))])
    judge = _ReadsReasoning() if recipe.needs_reasoning_judge else None
    first, second = (settle([children], recipe, judge, parents)[0] for _ in range(2))
    expect(first == second, f"{recipe.name}: settling the same episodes twice gives different rewards")
    for episode in first:  # `settle` leaves out terms that it cannot compute, and the total; here they are errors
        for term in recipe.terms:
            expect(term.name in episode.terms, f"{recipe.name}: {term.name} cannot be computed for every episode")
        recipe.total(episode.terms)


def _without_turns() -> Trajectory:
    """An episode that ended before its first reply, which no term may fail on."""
    episode = _episodes()[0]
    first = tuple(view for view in episode.views if view.parent < 0)
    unanswered = replace(episode, answer="", located=None, terminated=False, truncated=True, stop="over_context")
    return replace(unanswered, turns=(), views=first)


def _settled(episodes: Sequence[Trajectory]) -> list[Trajectory]:
    return settle([list(episodes)], REWARDS["outcome"])[0]


def check_measure(measure: Measure) -> None:
    """A measure returns named finite numbers or None, for episodes of any outcome and for no episodes at all."""
    expect_type(measure, Measure, "measure")
    right, wrong = _settled(_episodes())
    failed = replace(wrong, verdict="failed", score=None, reward=None)
    for episodes in ([right, wrong, failed], [failed], _settled(_plans()), []):
        for name, value in measure.total([measure.read(episode) for episode in episodes]).items():
            expect(isinstance(name, str) and bool(name), f"measure: expected a name, got {name!r}")
            expect(value is None or math.isfinite(value), f"measure: {name} is {value}, expected a number or None")


def check_export(write: Callable[[Path, ArmRun], Sequence[Path]]) -> None:
    """An export writes files into its folder, JSON where their names say so, and the same bytes a second time."""
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with RunStore(folder / "run", {"suite": "synthetic", "split": "test", "items": 1, "k": 2}) as store:
            for episode in _settled(_episodes()):
                store.append(episode)
        (arm,) = read_arms(open_run(folder / "run"))
        first, second = (_written(write, folder / name, arm) for name in ("first", "second"))
    expect(bool(first), "export: no file was written")
    expect(first == second, "export: the same run gives different files")
    for name, data in first.items():
        rows = data.splitlines() if name.endswith(".jsonl") else [data] if name.endswith(".json") else []
        for row in rows:
            json.loads(row)


def _written(write: Callable[[Path, ArmRun], Sequence[Path]], folder: Path, arm: ArmRun) -> dict[str, bytes]:
    """Returns the files that an export writes, by their paths below `folder`."""
    folder.mkdir()
    paths = [Path(path) for path in write(folder, arm)]
    outside = [path for path in paths if not path.is_file() or not path.is_relative_to(folder)]
    expect(not outside, f"export: expected files below its folder, got {outside}")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
