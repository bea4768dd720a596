"""The trainer: its loss and gradients are those of the formula, and faults in its batches are loud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.train.batches import batch_of
from o3gym.train.grpo.experience import experience
from o3gym.train.grpo.recipe import GrpoRecipe, read_grpo
from o3gym.train.grpo.trainer import GrpoTrainer
from o3gym.train.loss_mask import sample_row
from o3gym.types import Trajectory
from tests.train.grpo.spelled import played, rewarded
from tests.train.tiny_folder import write_folder

REWARDS = [[1, 0, 0.5], [0, 1, 1]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def encoder(start: Path) -> Encoder:
    return Encoder(load_processor(str(start)))


@pytest.fixture(scope="module")
def groups(encoder: Encoder) -> list[list[Trajectory]]:
    made = rewarded(played(encoder), REWARDS)
    return [[replace(t, stop="over_turn") if t.sample == 2 and t.group == "g0" else t for t in g] for g in made]


def recipe(start: Path, **more: Any) -> GrpoRecipe:
    base = {"model": str(start), "prompts": 2, "samples": 3, "micro_batch": 2, "learning_rate": 3e-3, "clip": 0}
    return read_grpo({**base, "steps": 1, "save_steps": 100, "dialect": "grid", "log_steps": 1, **more})


class Spy(transformers.TrainerCallback):
    """Keeps weights and gradients of every optimiser step."""

    def __init__(self) -> None:
        self.steps: list[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        named = list(model.named_parameters())
        grads = {n: whole(torch.zeros_like(p) if p.grad is None else p.grad) for n, p in named}
        self.steps.append(({n: whole(p.detach()) for n, p in named}, grads))


def whole(tensor: Any) -> torch.Tensor:
    """A copy; of a tensor that several processes share out, all of it."""
    full: torch.Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.clone()


def trained(made: GrpoRecipe, groups: list[list[Trajectory]], folder: Path) -> tuple[Spy, Any]:
    processor = load_processor(made.model)
    model = transformers.AutoModelForImageTextToText.from_pretrained(made.model, dtype=torch.float32)
    encoder, spy = Encoder(processor), Spy()
    learnt = experience(groups, made, 0)
    worker: Any = lambda number, policy: (learnt, {})  # noqa: E731
    worker.cursor = 0
    trainer = GrpoTrainer(model, processor, made, encoder, worker, folder)
    trainer.add_callback(spy)
    trainer.train()
    return spy, trainer


def logprobs(model: Any, encoder: Encoder, trajectory: Trajectory, temperature: float) -> torch.Tensor:
    """Of the tokens that the policy wrote, one episode alone, without padding."""
    batch = batch_of([sample_row(trajectory, encoder)], encoder)
    written = batch.pop("labels")[0, 1:] != -100
    del batch["passed"]
    logits = model(**batch).logits[0, :-1] / temperature
    picked = torch.log_softmax(logits, -1).gather(-1, batch["input_ids"][0, 1:, None])[:, 0]
    return picked[written]


def oracle(made: GrpoRecipe, groups: list[list[Trajectory]], weights: Any, first: Any, update: int) -> Any:
    """Gradients by the formula, written out: one episode at a time, plain torch."""
    encoder = Encoder(load_processor(made.model))
    load: Callable[[Any], Any] = lambda values: _loaded(made.model, values)  # noqa: E731
    model, old, start = load(weights), load(first), load({})
    dealt = {sample.trajectory.key: sample.update for sample in experience(groups, replace(made, kl=1.0), 0).samples}
    flat = [t for group in groups for t in group]
    masked = {t.key for t in flat if made.over_turn_masking and t.stop == "over_turn"}
    mine = [t for t in flat if dealt.get(t.key, 0) == update]  # with one update also the masked ones
    kept = [t for t in mine if t.key not in masked]
    base = kept if made.denominator == "kept" else mine
    tokens = sum(len(turn.reply.token_ids or ()) for t in base for turn in t.turns)
    loss = torch.zeros(())
    for t in kept:
        siblings = [s for s in flat if s.group == t.group and not (made.stats == "exclude" and s.key in masked)]
        rewards = torch.tensor([s.reward for s in siblings])
        advantage = (t.reward - rewards.mean()) / (rewards.std() + 1e-6 if made.std else 1)
        now = logprobs(model, encoder, t, made.temperature)
        with torch.no_grad():
            then, reference = (logprobs(m, encoder, t, made.temperature) for m in (old, start))
        if made.old_logprobs == "rollout":
            then = torch.tensor([value for turn in t.turns for value in turn.reply.logprobs or ()])
        ratio = torch.exp(now - then)
        terms = -torch.minimum(ratio * advantage, ratio.clamp(1 - made.clip_low, 1 + made.clip_high) * advantage)
        gap = reference - now
        terms = terms + made.kl * ratio * (torch.exp(gap) - gap - 1)  # TRL corrects the estimate by the ratio
        loss = loss + (terms.sum() / tokens if made.mean == "token" else terms.mean() / len(base))
    loss.backward()
    return float(loss.detach()), {n: p.grad for n, p in model.named_parameters()}


def _loaded(path: str, values: Mapping[str, torch.Tensor]) -> Any:
    model = transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)
    model.load_state_dict(dict(values), strict=False)
    return model


CASES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "masked": {"over_turn_masking": True},
    "masked, out of the statistics": {"over_turn_masking": True, "stats": "exclude"},
    "masked, divided by all": {"over_turn_masking": True, "denominator": "all"},
    "by sequence": {"over_turn_masking": True, "mean": "sequence"},
    "by sequence, divided by all": {"over_turn_masking": True, "mean": "sequence", "denominator": "all"},
    "without deviation, warm": {"std": False, "temperature": 0.7},
    "one pass": {"micro_batch": 0},
    "two updates": {"updates": 2, "steps": 2, "clip_low": 0.05, "clip_high": 0.1},
    "two updates by sequence, with KL": {"updates": 2, "steps": 2, "mean": "sequence", "kl": 0.2},
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_formula(
    start: Path, groups: list[list[Trajectory]], tmp_path: Path, case: str
) -> None:
    made = recipe(start, **CASES[case])
    spy, trainer = trained(made, groups, tmp_path)
    assert len(spy.steps) == made.updates
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    for update, (weights, grads) in enumerate(spy.steps):
        loss, wanted = oracle(made, groups, weights, spy.steps[0][0], update)
        assert losses[update] == pytest.approx(loss, rel=1e-4, abs=1e-6)
        for name, grad in wanted.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")


def sampled(groups: list[list[Trajectory]], made: GrpoRecipe, encoder: Encoder) -> list[list[Trajectory]]:
    """The episodes as a policy that is a little off would have sampled them: no two tokens are off by the same."""
    model, off = _loaded(made.model, {}), torch.Generator().manual_seed(0)

    def recorded(t: Trajectory) -> Trajectory:
        with torch.no_grad():
            now = logprobs(model, encoder, t, made.temperature)
        values = iter((now + 0.1 * torch.randn(len(now), generator=off)).tolist())
        replies = [
            replace(turn.reply, logprobs=tuple(next(values) for _ in turn.reply.logprobs or ())) for turn in t.turns
        ]
        turns = [replace(turn, reply=reply) for turn, reply in zip(t.turns, replies, strict=True)]
        return replace(t, turns=tuple(turns))

    return [[recorded(t) for t in group] for group in groups]


@pytest.mark.parametrize("mean", ["token", "sequence"])
def test_ratios_are_to_the_log_probabilities_of_sampling_token_by_token(
    start: Path, encoder: Encoder, groups: list[list[Trajectory]], tmp_path: Path, mean: str
) -> None:
    made = recipe(start, updates=2, steps=2, old_logprobs="rollout", mean=mean)
    episodes = sampled(groups, made, encoder)
    spy, _ = trained(made, episodes, tmp_path)
    for update, (weights, grads) in enumerate(spy.steps):
        _, wanted = oracle(made, episodes, weights, spy.steps[0][0], update)
        for name, grad in wanted.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")
