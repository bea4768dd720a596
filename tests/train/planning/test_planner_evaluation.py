from __future__ import annotations

from pathlib import Path

import pytest
import torch

from o3gym.bench.definition import Bench
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.planner.layout import PlannerForm
from o3gym.policies.planner.model import Planner, load_planner
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Job
from o3gym.suites.planning import PlanningFrozenLake
from o3gym.train.planning.data import StateTokens, training_examples, training_layouts
from o3gym.train.planning.evaluation import evaluate_planner, planner_measures
from o3gym.train.planning.supervised import learn_examples
from o3gym.worlds.base import BLOCKED, PlanScore, World
from o3gym.worlds.records import planned, task_world
from tests.train.planning.lake import lake_planner, lake_recipe

TASKS, LEARNT, TURNS = 20, 3, 4


def tasks() -> list[World]:
    suite = PlanningFrozenLake(level=3, n=TASKS)
    found = [task_world(suite.task(number)) for number in range(TASKS)]
    return [world for world in found if world is not None]


def taught(form: PlannerForm) -> Planner:
    """A planner that has learnt a few of the tasks, and draws valid moves now and then in others."""
    planner = lake_planner(form=form)
    recipe = lake_recipe(method="words" if form == "words" else "paths")
    examples = training_examples(recipe, tasks()[:LEARNT])
    optimiser, tokens = torch.optim.AdamW(planner.model.parameters(), 1e-2), StateTokens(planner.tokenizer)
    for _ in range(150):
        learn_examples(planner, tokens, examples)
        optimiser.step()
        optimiser.zero_grad()
    return planner


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("planners")
    forms: tuple[PlannerForm, ...] = ("picture", "words")
    for form in forms:
        taught(form).save(base / form)
    return {form: base / form for form in forms}


def played(spec: str) -> dict[bytes, PlanScore]:
    """The scores of episodes in the environment, by layout."""
    suite = "planning-frozenlake"
    (arm,) = Bench(suite, policies=(spec,), suite_args={"level": 3}, episodes=TASKS, turns=(TURNS,)).arms()
    jobs = [Job(number, str(number), seed=1) for number in range(TASKS)]
    found = {}
    for trajectory in rollout(jobs, make_policy(spec), make_dialect(arm.dialect), arm):
        world, plan = task_world(trajectory.task), planned(trajectory)
        assert world is not None
        assert plan is not None
        # A plan in words that cannot be read is one invalid move to the measure, too.
        found[world.map_key() + bytes([world.start])] = world.score_plan([BLOCKED] if plan.error else plan.moves)
    return found


@pytest.mark.parametrize(("form", "spec"), [("picture", "planner"), ("words", "planner_words")])
def test_scores_are_those_of_episodes_in_the_environment(form: str, spec: str, folders: dict[str, Path]) -> None:
    worlds = tasks()
    scores = evaluate_planner(load_planner(folders[form]), worlds, moves=TURNS)
    episodes = played(f"{spec}:{folders[form]}")
    assert len(worlds) == TASKS
    for world, score in zip(worlds, scores, strict=True):
        assert episodes[world.map_key() + bytes([world.start])] == score
    if form == "picture":
        assert 0 < sum(score.invalid for score in scores) < TASKS * TURNS


@pytest.mark.parametrize("form", ["picture", "words"])
def test_a_planner_solves_what_it_has_learnt(form: str, folders: dict[str, Path]) -> None:
    worlds = tasks()[:LEARNT]
    scores = evaluate_planner(load_planner(folders[form]), worlds)
    assert scores == [PlanScore(True, 1.0, 0, True)] * LEARNT
    assert planner_measures(scores, worlds) == {"exact": 1.0, "progress": 1.0, "reached": 1.0, "invalid": 0.0}


class Mute(Planner):
    """A planner that writes nothing at all."""

    def sample(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def, override]
        drawn = super().sample(*args, **kwargs)  # type: ignore[arg-type]
        return drawn._replace(tokens=drawn.tokens * 0 + self.layout.end)


@pytest.mark.parametrize("form", ["picture", "words"])
def test_an_unreadable_plan_has_invalid_moves(form: str) -> None:
    planner = lake_planner(form=form)  # type: ignore[arg-type]
    worlds = training_layouts(lake_recipe())
    scores = evaluate_planner(Mute(planner.model, planner.tokenizer, planner.layout), worlds)
    for world, score in zip(worlds, scores, strict=True):
        assert score == PlanScore(False, 0.0, world.optimal_length if form == "picture" else 1, False)
