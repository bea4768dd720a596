"""The in-loop half of a training: what searches are rewarded and compared by, and whole trainings of both halves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForImageTextToText

from o3gym.dialects.base import make_dialect
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.registry import POLICIES, REWARDS, UnknownName
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.rollout.records import Job
from o3gym.runs.store import open_run
from o3gym.train.grpo.experience import EpisodeStats, compute_advantages, usable_searches
from o3gym.train.grpo.reasoner_in_loop import ReasonerInLoop
from o3gym.train.grpo.recipe import GrpoRecipe, InLoop, load_grpo, read_grpo
from o3gym.train.grpo.run import grpo_arithmetic, train_grpo
from o3gym.train.recipe import RecipeError
from o3gym.types import Reply, Trajectory
from tests.train.grpo.spelled import prompts
from tests.train.grpo.test_grpo_trainer import logprobs
from tests.train.tiny_folder import Stop, kill_at, same, write_folder

E_SHARE = "share of the letter e, for a search"
SUITE: Mapping[str, Any] = {"suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 60_000}}
REGIONS: Mapping[str, Any] = {"suite_args": {"family": "region", "difficulty": "easy", "pixels": 60_000}}
PIXELS = {"min_pixels": 1024, "max_pixels": 4096}


def registered() -> None:
    """A reward of searches that a model of noise can raise; like the real one it needs who asked."""
    REWARDS.register(
        E_SHARE,
        RewardRecipe(
            E_SHARE,
            (Term("e", "parent", lambda search, parent: share(search), "this test"),),
            lambda values: values["e"],
            "this test",
        ),
    )


@pytest.fixture(autouse=True)
def share_of_e() -> Iterator[None]:
    registered()
    yield
    for table in (REWARDS._loaded, REWARDS._paths):
        table.pop(E_SHARE, None)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that spells the learner's prompts, of regions and of searches, in few tokens."""
    return write_folder(tmp_path_factory.mktemp("start"), prompts(make_dialect("qwen3_vl"), {**REGIONS, **PIXELS}))


def recipe(start: Path, **more: Any) -> GrpoRecipe:
    """Both halves; outside of the loop what is sought is a region of the synthetic suite."""
    inside = {
        "reasoner": "random?stop=0.4",
        "env": {**SUITE, **PIXELS, "max_calls": 2},
        "reward": E_SHARE,
        "prompts": 2,
        "samples": 3,
    }
    base: dict[str, Any] = {
        **{"model": str(start), "dialect": "qwen3_vl", "reward": "iou", "save_dtype": "float32", "seed": 5},
        **{"env": {**REGIONS, **PIXELS, "max_turns": 2, "on_void": "continue"}},
        "in_loop": {**inside, "prompts": 2, "samples": 3},
        **{"prompts": 2, "samples": 3, "micro_batch": 8, "max_tokens": 6, "learning_rate": 3e-3, "log_steps": 1},
        **{"steps": 4, "save_steps": 2, "watch": 1},
    }
    return read_grpo({**base, **more})


def test_searches_are_weighed_by_all_of_a_rollout_and_others_by_their_group() -> None:
    outside = [
        EpisodeStats("a", 1.0, "located", 5, 0),
        EpisodeStats("a", 0.0, "located", 5, 0),
        EpisodeStats("b", 3.0, "located", 5, 0),
    ]
    inside = [
        EpisodeStats(group, reward, "located", 5, 0, True) for group, reward in (("c", 0.0), ("c", 1.0), ("d", 2.0))
    ]
    made = GrpoRecipe(model="", steps=1, epsilon=0.0)
    pushes, counted, totals = compute_advantages([*outside, *inside], made)
    half, more = np.sqrt(0.5), np.sqrt(1.5)
    # of 0, 1 and 2: mean 1, deviation √(2/3)
    assert pushes == pytest.approx([half, -half, 0.0, -more, 0.0, more])
    assert counted.all()
    assert totals == (30.0,)
    ablated = replace(made, in_loop=InLoop(norm="group"))
    assert compute_advantages([*outside, *inside], ablated)[0] == pytest.approx([half, -half, 0.0, -half, half, 0.0])


def reasoning(**more: Any) -> ReasonerInLoop:
    inside = {"reasoner": "oracle", "env": SUITE, "prompts": 2, **more}
    base = {"model": "m", "steps": 1, "save_steps": 1, "dialect": "insight_o3", "in_loop": inside}
    return ReasonerInLoop(read_grpo({**base, "env": {"max_turns": 7, "max_calls": 6}}))


JOBS = [Job(index, f"g{index}", sample, seed=sample) for index in range(2) for sample in range(2)]


def test_a_search_earns_what_the_reasoner_makes_of_it() -> None:
    tasks, searches = reasoning().play(JOBS, make_policy("oracle"))
    assert [t.verdict for t in tasks] == ["correct"] * 4
    assert [[t.group for t in group] for group in searches] == [["g0"] * 2, ["g1"] * 2]
    assert [t.reward for group in searches for t in group] == [pytest.approx(1.0)] * 4
    assert {t.agent for group in searches for t in group} == {"searcher-1"}
    _, blind = reasoning().play(JOBS, make_policy("always"))
    assert [t.reward for group in blind for t in group] == [0.0] * 4  # it looked nowhere


class Silent(Policy):
    def act(self, requests: Any) -> list[Reply]:
        return [Reply("", finish="error", error="out of order") for _ in requests]


def test_searches_for_a_reasoner_that_fails_teach_nothing() -> None:
    POLICIES.register("silent", Silent)
    try:
        tasks, searches = reasoning(reasoner="silent").play(JOBS, make_policy("oracle"))
        assert [t.stop for t in tasks] == ["error"] * 4
        assert searches == []
        tasks, (first, _) = reasoning().play(JOBS, make_policy("silent"))
        assert [t.verdict for t in tasks] == ["correct"] * 4
        assert [t.stop for t in first] == ["error"] * 2
        assert usable_searches(first) == []
    finally:
        for table in (POLICIES._loaded, POLICIES._paths):
            table.pop("silent", None)


def test_a_dialect_without_boxes_cannot_search() -> None:
    with pytest.raises(RecipeError, match="mini_o3 has no search"):
        reasoning(dialect="mini_o3")


def share(trajectory: Trajectory) -> float:
    text = "".join(turn.reply.text for turn in trajectory.turns)
    return text.count("e") / max(1, len(text))


def test_searches_alone_are_learnt_from(start: Path, tmp_path: Path) -> None:
    """After one step, the searches with more than the mean reward are likelier than before, the others less likely."""
    made = recipe(start, steps=1, save_steps=1, prompts=0, learning_rate=1e-3)
    train_grpo(replace(made, in_loop=replace(made.in_loop, samples=4)), tmp_path)
    curves = json.loads((tmp_path / "training.json").read_text())["curves"]
    tasks = open_run(tmp_path / "rollouts" / "000000-0").trajectories()
    searches = [child for task in tasks for child in task.children]
    assert curves["in_loop/searches"] == [len(searches) / 8]
    rewards = np.array([share(search) for search in searches])
    assert curves["in_loop/reward"] == pytest.approx([rewards.mean()])
    encoder, before, after = (
        Encoder(load_processor(str(start))),
        *(AutoModelForImageTextToText.from_pretrained(path) for path in (start, tmp_path)),
    )
    with torch.no_grad():
        gains = [float((logprobs(after, encoder, t, 1) - logprobs(before, encoder, t, 1)).sum()) for t in searches]
    assert np.corrcoef(rewards, gains)[0, 1] > 0.5


def test_a_training_of_both_halves_goes_on_where_it_was(start: Path, tmp_path: Path) -> None:
    made = recipe(start, updates=2, prompts=1, watch=2)
    made = replace(made, in_loop=replace(made.in_loop, prompts=1))
    train_grpo(made, tmp_path / "whole")

    with pytest.raises(Stop):
        train_grpo(made, tmp_path / "killed", kill_at(3))
    train_grpo(made, tmp_path / "killed")
    assert same(tmp_path / "whole", tmp_path / "killed")
    assert not same(tmp_path / "whole", start)
    stored = list(open_run(tmp_path / "whole" / "rollouts" / "000000-0"))
    assert [t.arm for t in stored].count("train") == [t.arm for t in stored].count("in_loop") == 3
    assert all(child.turns[0].reply.token_ids for t in stored for child in t.children)


def test_a_recipe_counts_the_searches_that_may_come() -> None:
    settings = ["in_loop.reasoner=openai:m", "in_loop.prompts=12", "in_loop.env.max_calls=3", "micro_batch=8"]
    made = load_grpo("insight_o3", settings)
    assert made.in_loop.env["max_calls"] == 3
    assert made.accumulation(1) == (24 * 8 + 12 * 8 * 3) / 8
    assert made.accumulation(4) == (24 * 8 + 12 * 8 * 3) / 32
    said = grpo_arithmetic(made)
    assert (said["reasoner_episodes_per_rollout"], said["most_searches_per_rollout"]) == (96, 288)
    with pytest.raises(RecipeError, match=r"in_loop.prompts: expected a multiple of 5"):
        replace(made, prompts=5).accumulation(5)


@pytest.mark.parametrize(
    ("setting", "kind", "words"),
    [
        ("in_loop.prompts=2", RecipeError, "in_loop.reasoner: expected the spec of a policy"),
        ("in_loop.promts=2", UnknownName, 'did you mean "prompts"'),
        ("in_loop.norm=globl", RecipeError, "norm"),
        ("in_loop.suite.family=x", UnknownName, "in_loop.env.KEY"),
        ("prompts=0", RecipeError, "prompts: expected"),
    ],
)
def test_what_is_wrong_is_named(setting: str, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        load_grpo("insight_o3", [setting])
