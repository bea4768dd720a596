"""The trainer: its loss and gradients are those of the formula, and faults in its batches are loud."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from o3gym.dialects.grid import Grid
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.transformers import InMemory
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.train.batches import batch_of
from o3gym.train.grpo import trainer as grpo_trainer
from o3gym.train.grpo.experience import experience
from o3gym.train.grpo.recipe import GrpoRecipe, read_grpo
from o3gym.train.grpo.samplers import ItsOwn
from o3gym.train.grpo.trainer import GrpoTrainer
from o3gym.train.loss_mask import BatchError, sample_row
from o3gym.types import Trajectory
from tests.train.grpo.spelled import ENV, played, prompts, rewarded
from tests.train.tiny_folder import write_folder

REWARDS = [[1, 0, 0.5], [0, 1, 1]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("start"), prompts(Grid()))


@pytest.fixture(scope="module")
def encoder(start: Path) -> Encoder:
    return Encoder(load_processor(str(start)))


@pytest.fixture(scope="module")
def groups(encoder: Encoder) -> list[list[Trajectory]]:
    made = [[coded(t) for t in group] for group in rewarded(played(encoder), REWARDS)]
    return [[replace(t, stop="over_turn") if t.sample == 2 and t.group == "g0" else t for t in g] for g in made]


def coded(t: Trajectory) -> Trajectory:
    """The episode with the second token of every reply as code, which changes nothing unless code has no loss."""
    return replace(t, turns=tuple(replace(u, reply=replace(u.reply, code=((1, 2),))) for u in t.turns))


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
    """A copy on the CPU; of a tensor that several processes share out, all of it."""
    full: torch.Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full.detach().to("cpu", copy=True)


def trained(made: GrpoRecipe, groups: list[list[Trajectory]], folder: Path, play: Any = None) -> tuple[Spy, Any]:
    processor = load_processor(made.model)
    model = transformers.AutoModelForImageTextToText.from_pretrained(made.model, dtype=torch.float32)
    encoder, spy = Encoder(processor), Spy()
    learnt = experience(groups, made, 0)
    worker: Any = play or (lambda number, policy: (learnt, {}))
    worker.cursor = 0
    trainer = GrpoTrainer(model, processor, made, encoder, worker, folder)
    trainer.add_callback(spy)
    trainer.train()
    return spy, trainer


def logprobs(
    model: Any, encoder: Encoder, trajectory: Trajectory, temperature: float, code_loss: bool = True
) -> torch.Tensor:
    """Of the tokens that the policy wrote, one episode alone, without padding."""
    batch = batch_of([sample_row(trajectory, encoder, code_loss=code_loss)], encoder)
    written = batch.pop("labels")[0, 1:] != -100
    del batch["passed"]
    logits = model(**batch).logits[0, :-1] / temperature
    picked = torch.log_softmax(logits, -1).gather(-1, batch["input_ids"][0, 1:, None])[:, 0]
    return picked[written]


def oracle(made: GrpoRecipe, groups: list[list[Trajectory]], weights: Any, first: Any, update: int) -> Any:
    """Gradients by the formula, written out: one episode at a time, plain torch."""
    encoder = _encoder(made.model)
    load: Callable[[Any], Any] = lambda values: _loaded(made.model, values)  # noqa: E731
    model, old, start = load(weights), load(first), load({})
    dealt = {sample.trajectory.key: sample.update for sample in experience(groups, replace(made, kl=1.0), 0).samples}
    flat = [t for group in groups for t in group]
    masked = {t.key for t in flat if made.over_turn_masking and t.stop == "over_turn"}
    mine = [t for t in flat if dealt.get(t.key, 0) == update]  # with one update also the masked ones
    kept = [t for t in mine if t.key not in masked]
    base = kept if made.denominator == "kept" else mine
    written = [len(turn.reply.token_ids or ()) - (not made.code_loss) for t in base for turn in t.turns]
    tokens = sum(written)
    loss = torch.zeros(())
    for t in kept:
        siblings = [s for s in flat if s.group == t.group and not (made.stats == "exclude" and s.key in masked)]
        rewards = torch.tensor([s.reward for s in siblings])
        advantage = (t.reward - rewards.mean()) / (rewards.std() + 1e-6 if made.std else 1)
        now = logprobs(model, encoder, t, made.temperature, made.code_loss)
        with torch.no_grad():
            then, reference = (logprobs(m, encoder, t, made.temperature, made.code_loss) for m in (old, start))
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
    model = copy.deepcopy(_unchanged(path))
    model.load_state_dict(dict(values), strict=False)
    return model


@lru_cache
def _unchanged(path: str) -> Any:
    """The model as it is stored. Reading it takes longer than most of what is computed with it."""
    return transformers.AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)


@lru_cache
def _encoder(path: str) -> Encoder:
    return Encoder(load_processor(path))


CASES: Mapping[str, Mapping[str, Any]] = {
    "plain": {},
    "masked": {"over_turn_masking": True},
    "masked, out of the statistics": {"over_turn_masking": True, "stats": "exclude"},
    "masked, divided by all": {"over_turn_masking": True, "denominator": "all"},
    "by sequence": {"over_turn_masking": True, "mean": "sequence"},
    "by sequence, divided by all": {"over_turn_masking": True, "mean": "sequence", "denominator": "all"},
    "without deviation, warm": {"std": False, "temperature": 0.7},
    "one pass, activations computed twice": {"micro_batch": 0, "gradient_checkpointing": True},
    "two updates": {"updates": 2, "steps": 2, "clip_low": 0.05, "clip_high": 0.1},
    "without code": {"code_loss": False, "over_turn_masking": True},
    "without code, by sequence, two updates": {"code_loss": False, "mean": "sequence", "updates": 2, "steps": 2},
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


RECORDED: Mapping[str, Mapping[str, Any]] = {
    "two updates": {"updates": 2, "steps": 2},
    "two updates by sequence": {"updates": 2, "steps": 2, "mean": "sequence"},
    "one update, another sampler": {"sampler": "vllm"},
}


@pytest.mark.parametrize("case", RECORDED)
def test_ratios_are_to_the_log_probabilities_of_sampling_token_by_token(
    start: Path,
    encoder: Encoder,
    groups: list[list[Trajectory]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    monkeypatch.setattr(grpo_trainer, "make_sampler", lambda *arguments: ItsOwn())
    made = recipe(start, old_logprobs="rollout", **RECORDED[case])
    episodes = sampled(groups, made, encoder)
    spy, _ = trained(made, episodes, tmp_path)
    for update, (weights, grads) in enumerate(spy.steps):
        _, wanted = oracle(made, episodes, weights, spy.steps[0][0], update)
        for name, grad in wanted.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_gradients_tell_log_probabilities_that_are_shifted_by_one_token(
    start: Path, encoder: Encoder, groups: list[list[Trajectory]], tmp_path: Path
) -> None:
    """So the tests above would notice a shift in the sampler, in the row or in the trainer."""
    made = recipe(start, updates=2, steps=2, old_logprobs="rollout")
    episodes = sampled(groups, made, encoder)
    right = trained(made, episodes, tmp_path / "right")[0].steps[0][1]
    for by in (1, -1):
        wrong = trained(made, [[shifted(t, by) for t in g] for g in episodes], tmp_path / f"{by}")[0].steps[0][1]
        gap = sum(float((right[name] - wrong[name]).norm()) for name in right)
        assert gap > 0.1 * sum(float(grad.norm()) for grad in right.values())


def shifted(t: Trajectory, by: int) -> Trajectory:
    """The episode with the log-probabilities of each reply rotated by so many tokens."""
    replies = [turn.reply for turn in t.turns]
    rolled = [replace(r, logprobs=(*(r.logprobs or ())[by:], *(r.logprobs or ())[:by])) for r in replies]
    return replace(t, turns=tuple(replace(turn, reply=r) for turn, r in zip(t.turns, rolled, strict=True)))


class Tagged(Grid):
    """Marks code by letters that a random model writes often."""

    code_tags = ("e", "o")


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"top_p": 0.9},
        {"repetition_penalty": 1.2},
        {"code_temperature": 0.0},
        {"code_temperature": 0.5, "top_p": 0.9, "repetition_penalty": 1.05},
    ],
    ids=str,
)
def test_what_the_model_records_when_it_samples_is_what_the_trainer_computes(
    start: Path, encoder: Encoder, tmp_path: Path, settings: Any
) -> None:
    """Whatever restricts what is sampled: both are over all tokens (but for those of pictures), at one temperature."""
    made = recipe(start, temperature=1.3, updates=2, steps=2, old_logprobs="rollout", max_tokens=16, **settings)
    sampling = made.sampling
    model = _loaded(made.model, {}).eval()
    policy = InMemory(model, encoder, 4, 0, nullcontext, None)
    arm = Arm("train", {**ENV, "max_turns": 2, "on_void": "continue"}, "", "", sampling)
    group = [
        replace(t, reward=float(t.sample))
        for t in rollout([Job(0, "g", n, seed=n) for n in range(3)], policy, Tagged(), arm)
    ]
    spans = [span for t in group for turn in t.turns for span in turn.reply.code]
    assert bool(spans) == ("code_temperature" in settings)
    worker: Any = lambda number, policy: (experience([group], made, 0), {})  # noqa: E731
    trainer = GrpoTrainer(model, load_processor(made.model), made, encoder, worker, tmp_path)
    (batch, *_) = trainer._batches(experience([group], replace(made, kl=1.0), 0))
    written = batch["tool_mask"].bool()
    assert written.sum() >= 3
    computed = trainer._logprobs(model, batch)
    torch.testing.assert_close(batch["old_per_token_logps"][written], computed[written], rtol=0, atol=0.02)
    assert float((batch["old_per_token_logps"] - computed.roll(1, 1))[written].abs().max()) > 0.1


def test_a_step_without_anything_to_learn_from_changes_nothing(
    start: Path, groups: list[list[Trajectory]], tmp_path: Path
) -> None:
    """Not even by the momentum of the step before it."""
    made = recipe(start, steps=2, weight_decay=0.1)
    rollouts = iter([experience(groups, made, 0), experience([], made, 0)])
    spy, trainer = trained(made, groups, tmp_path, lambda number, policy: (next(rollouts), {}))
    after_one, after_two = spy.steps[1][0], dict(trainer.model.named_parameters())
    assert not all(torch.equal(after_one[name], spy.steps[0][0][name]) for name in after_one)
    assert all(torch.equal(after_one[name], after_two[name]) for name in after_one)
    assert [entry["skipped_updates"] for entry in trainer.state.log_history if "loss" in entry] == [0, 1]


def test_a_missing_log_probability_ends_the_training_and_names_the_episode(
    start: Path, groups: list[list[Trajectory]], tmp_path: Path
) -> None:
    made = recipe(start, updates=2, steps=2, old_logprobs="rollout")
    first = groups[1][0]
    turn = replace(first.turns[0], reply=replace(first.turns[0].reply, logprobs=None))
    broken = [groups[0], [replace(first, turns=(turn,)), *groups[1][1:]]]
    with pytest.raises(
        BatchError, match=r"episode \('train', 'g1', 0, 'main'\): reply 0 has \d+ tokens and no log-prob"
    ):
        trained(made, broken, tmp_path)
