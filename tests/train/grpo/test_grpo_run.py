"""Whole trainings by reinforcement: reward rises, they can be stopped, and nothing that breaks ends them."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench import run as bench
from o3gym.registry import JUDGES, REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.runs.store import open_run
from o3gym.train.grpo.recipe import GrpoRecipe, read_grpo
from o3gym.train.grpo.run import CURSOR, grpo_arithmetic, train_grpo
from o3gym.train.models import part_of
from o3gym.train.recipe import LINEARS
from o3gym.train.record import newest_checkpoint
from o3gym.types import Trajectory
from tests.train.grpo.spelled import ENV
from tests.train.tiny_folder import Stop, kill_at, same, weights, write_folder

E_SHARE = "share of the letter e"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("start"))


def register_share_of_e() -> None:
    """A reward that a model of noise can raise: how many of its letters are an e."""

    def share(trajectory: Trajectory) -> float:
        text = "".join(turn.reply.text for turn in trajectory.turns)
        return text.count("e") / max(1, len(text))

    term = Term("e", "trajectory", share, "this test")
    REWARDS.register(E_SHARE, RewardRecipe(E_SHARE, (term,), lambda terms: terms["e"], "this test"))


@pytest.fixture(autouse=True)
def share_of_e() -> Iterator[None]:
    register_share_of_e()
    yield
    for table in (REWARDS._loaded, REWARDS._paths):
        table.pop(E_SHARE, None)


def recipe(start: Path, **more: Any) -> GrpoRecipe:
    env = {**ENV, "max_turns": 2, "on_void": "continue"}
    base: dict[str, Any] = {
        **{"model": str(start), "dialect": "grid", "reward": E_SHARE, "env": env, "save_dtype": "float32", "seed": 5},
        **{"prompts": 2, "samples": 4, "micro_batch": 4, "max_tokens": 6, "learning_rate": 3e-3, "log_steps": 1},
        **{"steps": 4, "save_steps": 2},
    }
    return read_grpo({**base, **more})


def curves(folder: Path) -> Mapping[str, list[float]]:
    return json.loads((folder / "training.json").read_text())["curves"]


def test_reward_rises(start: Path, tmp_path: Path) -> None:
    train_grpo(recipe(start, steps=24, samples=16, learning_rate=1e-2, save_steps=100), tmp_path)
    rewards = curves(tmp_path)["reward"]
    assert sum(rewards[-4:]) > 3 * sum(rewards[:4])
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["finished"]
    assert record["steps"] == 24
    assert {"turns", "over_turn", "valid_calls", "entropy", "tokens_per_second", "seconds/rollout"} <= set(
        curves(tmp_path)
    )


@pytest.mark.parametrize("more", [{}, {"updates": 2, "kl": 0.05, "refills": 1}])
def test_a_training_that_was_killed_ends_with_the_same_weights(start: Path, tmp_path: Path, more: Any) -> None:
    made = recipe(start, **more)
    train_grpo(made, tmp_path / "whole")

    with pytest.raises(Stop):
        train_grpo(made, tmp_path / "killed", kill_at(3))
    last = newest_checkpoint(tmp_path / "killed" / "checkpoints")
    assert last is not None
    assert json.loads((last / CURSOR).read_text())["cursor"] >= 2
    train_grpo(made, tmp_path / "killed")
    assert same(tmp_path / "whole", tmp_path / "killed")
    assert not same(tmp_path / "whole", start)


def test_an_interrupt_saves_and_the_training_goes_on(start: Path, tmp_path: Path) -> None:
    made = recipe(start, updates=2, save_steps=100)
    train_grpo(made, tmp_path / "whole")

    def interrupt(step: int, steps: int, logs: Mapping[str, float]) -> None:
        if step == 1 and not logs:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_grpo(made, tmp_path / "stopped", interrupt)
    assert newest_checkpoint(tmp_path / "stopped" / "checkpoints").name == "checkpoint-2"  # type: ignore[union-attr]
    assert curves(tmp_path / "stopped")["step"] == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train_grpo(made, tmp_path / "stopped")
    assert same(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # asked by peft
def test_what_learns_is_what_the_recipe_says(start: Path, tmp_path: Path) -> None:
    train_grpo(recipe(start, freeze=["vision"], steps=2), tmp_path / "frozen")
    train_grpo(recipe(start, lora={"r": 4, "alpha": 8}, kl=0.1, steps=2), tmp_path / "lora")
    train_grpo(recipe(start, precision="bfloat16", steps=2), tmp_path / "bfloat16")
    assert all(math.isfinite(loss) for loss in curves(tmp_path / "bfloat16")["loss"])
    before = weights(start)
    assert changed(before, tmp_path / "bfloat16")
    frozen, lora = changed(before, tmp_path / "frozen"), changed(before, tmp_path / "lora")
    assert {part_of(name) for name in frozen} == {"language", "projector"}
    assert lora
    assert all(name.split(".")[-2] in LINEARS for name in lora)
    assert {part_of(name) for name in lora} == {"language"}


def changed(before: Mapping[str, Any], folder: Path) -> list[str]:
    return [name for name, tensor in weights(folder).items() if not tensor.equal(before[name])]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"gradient_checkpointing": True}),
        ({"updates": 2, "temperature": 1.3}, {"updates": 2, "temperature": 1.3, "old_logprobs": "rollout"}),
    ],
)
def test_ways_to_the_same_end(start: Path, tmp_path: Path, one: Any, other: Any) -> None:
    """One rollout: the later ones would be sampled from weights that differ by rounding."""
    steps = one.get("updates", 1)
    for name, more in (("one", one), ("other", other)):
        train_grpo(recipe(start, samples=16, steps=steps, save_steps=steps, **more), tmp_path / name)
    ours, theirs = weights(tmp_path / "one"), weights(tmp_path / "other")
    assert not same(tmp_path / "one", start)
    moved = sum((ours[name] - tensor).abs().sum() for name, tensor in weights(start).items())
    assert sum((ours[name] - theirs[name]).abs().sum() for name in ours) < 0.01 * moved


def test_the_log_goes_to_tensorboard(start: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_grpo(recipe(start, report_to=["tensorboard"], steps=2), tmp_path)
    (events,) = tmp_path.rglob("events.out.tfevents*")
    log = EventAccumulator(str(events)).Reload()
    assert {"train/reward", "train/over_turn", "train/seconds/rollout"} <= set(log.Tags()["scalars"])
    assert [event.value for event in log.Scalars("train/reward")] == pytest.approx(curves(tmp_path)["reward"])


def test_rollouts_are_stored_for_the_viewer(start: Path, tmp_path: Path) -> None:
    train_grpo(recipe(start, watch=2), tmp_path)
    assert sorted(path.name for path in (tmp_path / "rollouts").iterdir()) == ["000000-0", "000002-0"]
    stored = open_run(tmp_path / "rollouts" / "000002-0")
    assert len(stored.trajectories()) == 8
    assert all(t.reward is not None for t in stored)
    assert bench.page(stored.path).stat().st_size > 10_000


def test_a_judge_that_fails_stops_nothing_and_teaches_nothing(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any) -> Any:
        raise ConnectionError("no route to the judge")

    monkeypatch.setitem(JUDGES._loaded, "broken", broken)
    train_grpo(recipe(start, judge="broken", reward="outcome", steps=2), tmp_path)
    assert curves(tmp_path)["failed"] == [1.0, 1.0]
    assert same(tmp_path, start)


def test_an_environment_that_crashes_costs_its_group(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from o3gym.envs.visual_search import VisualSearchEnv

    resets, reset = iter(range(10**6)), VisualSearchEnv.reset

    def crash(self: VisualSearchEnv, **options: Any) -> Any:
        if next(resets) == 3:
            raise ZeroDivisionError("a bug of someone's own")
        return reset(self, **options)

    monkeypatch.setattr(VisualSearchEnv, "reset", crash)
    train_grpo(recipe(start, watch=1), tmp_path)
    stops = [t.stop for t in open_run(tmp_path / "rollouts" / "000000-0")]
    assert stops.count("error") == 1
    assert curves(tmp_path)["failed"][0] == pytest.approx(1 / 8)
    assert not same(tmp_path, start)


def test_a_dry_run_says_what_a_training_takes(start: Path) -> None:
    said = grpo_arithmetic(recipe(start, updates=2, refills=3))
    assert said["episodes_per_rollout"] == 8
    assert said["episodes_per_update"] == 4
    assert said["rollouts"] == 2
    assert said["memory_gib"]["weights"] > 0
    assert "unknown" in grpo_arithmetic(recipe(start, model="nobody/nothing"))["memory_gib"]
