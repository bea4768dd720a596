"""Whole trainings by reinforcement: reward rises, they can be stopped, and nothing that breaks ends them."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench import run as bench
from o3gym.dialects.grid import Grid
from o3gym.registry import JUDGES, REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.runs.store import open_run
from o3gym.train.grpo.recipe import GrpoRecipe, read_grpo
from o3gym.train.grpo.run import CURSOR, grpo_arithmetic, train_grpo
from o3gym.train.models import part_of
from o3gym.train.recipe import LINEARS
from o3gym.train.record import newest_checkpoint
from o3gym.types import Trajectory
from tests.train.grpo.spelled import ENV, prompts
from tests.train.tiny_folder import Stop, kill_at, same, weights, write_folder

E_SHARE = "share of the letter e"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("start"), prompts(Grid()))


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
    made = recipe(start, steps=8, prompts=1, samples=16, learning_rate=2e-2, save_steps=100, micro_batch=16)
    train_grpo(made, tmp_path)
    rewards = curves(tmp_path)["reward"]
    assert sum(rewards[-2:]) > 4 * sum(rewards[:2]), rewards
    record = json.loads((tmp_path / "training.json").read_text())
    assert record["finished"]
    assert record["steps"] == 8
    assert {"turns", "over_turn", "valid_calls", "entropy", "tokens_per_second", "seconds/rollout"} <= set(
        curves(tmp_path)
    )


def test_a_training_that_was_killed_passes_over_a_damaged_checkpoint_and_ends_with_the_same_weights(
    start: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = recipe(start, steps=3, save_steps=1)
    train_grpo(made, tmp_path / "whole")
    with pytest.raises(Stop):
        train_grpo(made, tmp_path / "killed", kill_at(3))
    folder = tmp_path / "killed" / "checkpoints"
    last = newest_checkpoint(folder)
    assert last == folder / "checkpoint-2"
    (last / CURSOR).write_text('{"cursor": ')  # torn
    train_grpo(made, tmp_path / "killed")
    assert f"checkpoint {last} is left out: {CURSOR} has 11 bytes instead of" in caplog.text
    assert same(tmp_path / "whole", tmp_path / "killed")
    assert not same(tmp_path / "whole", start)
    assert curves(tmp_path / "killed")["reward"] == curves(tmp_path / "whole")["reward"]


def test_an_interrupt_saves_and_the_training_goes_on(start: Path, tmp_path: Path) -> None:
    """The whole one also fills in its log and its rollouts, which make no difference to the weights."""
    made = recipe(start, steps=4, updates=2, kl=0.05, refills=1, save_steps=100)
    train_grpo(replace(made, report_to=("tensorboard",), watch=2), tmp_path / "whole")
    assert_log_is_in_tensorboard(tmp_path / "whole")
    assert_rollouts_are_stored_for_the_viewer(tmp_path / "whole")

    def interrupt(step: int, steps: int, logs: Mapping[str, float]) -> None:
        if step == 1 and not logs:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_grpo(made, tmp_path / "stopped", interrupt)
    last = newest_checkpoint(tmp_path / "stopped" / "checkpoints")
    assert last is not None
    assert last.name == "checkpoint-2"
    assert json.loads((last / CURSOR).read_text())["cursor"] >= 2
    assert curves(tmp_path / "stopped")["step"] == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train_grpo(made, tmp_path / "stopped")
    assert same(tmp_path / "whole", tmp_path / "stopped")


def assert_log_is_in_tensorboard(folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = folder.rglob("events.out.tfevents*")
    log = EventAccumulator(str(events)).Reload()
    assert {"train/reward", "train/over_turn", "train/seconds/rollout"} <= set(log.Tags()["scalars"])
    assert [event.value for event in log.Scalars("train/learning_rate")] == pytest.approx(
        curves(folder)["learning_rate"]
    )


def assert_rollouts_are_stored_for_the_viewer(folder: Path) -> None:
    assert sorted(path.name for path in (folder / "rollouts").iterdir()) == ["000000-0"]
    stored = open_run(folder / "rollouts" / "000000-0")
    assert len(stored.trajectories()) >= 8
    assert all(t.reward is not None for t in stored)
    assert bench.page(stored.path).stat().st_size > 10_000


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # asked by peft
def test_what_learns_is_what_the_recipe_says(start: Path, tmp_path: Path) -> None:
    train_grpo(recipe(start, freeze=["vision"], precision="bfloat16", steps=1, save_steps=1), tmp_path / "frozen")
    train_grpo(recipe(start, lora={"r": 4, "alpha": 8}, kl=0.1, steps=2), tmp_path / "lora")
    assert all(math.isfinite(loss) for loss in curves(tmp_path / "frozen")["loss"])
    before = weights(start)
    frozen, lora = changed(before, tmp_path / "frozen"), changed(before, tmp_path / "lora")
    assert {part_of(name) for name in frozen} == {"language", "projector"}
    assert lora
    assert all(name.split(".")[-2] in LINEARS for name in lora)
    assert {part_of(name) for name in lora} == {"language"}


def changed(before: Mapping[str, Any], folder: Path) -> list[str]:
    return [name for name, tensor in weights(folder).items() if not tensor.equal(before[name])]


def test_a_judge_that_fails_stops_nothing_and_teaches_nothing(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even what AdamW would still do without gradients: with momentum of earlier steps and by weight decay."""

    def broken(*args: Any) -> Any:
        raise ConnectionError("no route to the judge")

    monkeypatch.setitem(JUDGES._loaded, "broken", broken)
    made = recipe(start, judge="broken", reward="outcome", steps=2, samples=2, weight_decay=0.5, denominator="all")
    train_grpo(made, tmp_path)
    assert curves(tmp_path)["failed"] == [1.0, 1.0]
    assert curves(tmp_path)["unusable_groups"] == [1.0, 1.0]
    assert curves(tmp_path)["skipped_updates"] == [1.0, 1.0]
    assert same(tmp_path, start)


def test_a_reward_that_fails_costs_its_group_and_says_so(
    start: Path, tmp_path: Path, register: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two groups, one has a reward that is not a number, and an episode of the next rollout's first one raises."""

    def share(trajectory: Trajectory) -> float:
        if trajectory.group.startswith("000000") and trajectory.sample == 1 and trajectory.group.endswith("1"):
            return math.nan
        if trajectory.group.startswith("000001") and trajectory.sample == 0 and trajectory.group.endswith("2"):
            raise ZeroDivisionError("a bug")
        return trajectory.turns[0].reply.text.count("e") / (1 + trajectory.sample) + 0.1 * trajectory.sample

    register(REWARDS, "mad", RewardRecipe("mad", (Term("e", "trajectory", share, "t"),), lambda t: t["e"], "t"))
    train_grpo(recipe(start, steps=2, samples=2, reward="mad"), tmp_path)
    assert curves(tmp_path)["unusable_groups"] == [0.5, 0.5]
    assert curves(tmp_path)["failed"] == [0.25, 0.25]
    assert curves(tmp_path)["skipped_updates"] == [0.0, 0.0]
    assert all(math.isfinite(value) for value in curves(tmp_path)["reward"])
    assert not same(tmp_path, start)
    first, second = "('train', '000000.0.00000001', 1, 'main')", "('train', '000001.0.00000002', 0, 'main')"
    assert f'episode {first}: reward term "e" is nan' in caplog.text
    assert f'episode {second}: reward term "e" raised ZeroDivisionError: a bug' in caplog.text
    assert f"rollout 0: 1 of 2 groups are left out, the first because episode {first}" in caplog.text


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
    train_grpo(recipe(start, watch=1, steps=1, save_steps=1), tmp_path)
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
