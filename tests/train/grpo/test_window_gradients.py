"""GRPO on windowed episodes: every segment is a row, and the gradients are those of plain torch, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from o3gym.calls import crop
from o3gym.dialects.grid import Grid
from o3gym.policies.dialogue import Message
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.transformers import InMemory
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.train.data.demonstrations import picture_of
from o3gym.train.grpo.experience import experience, sampling_logprobs
from o3gym.train.grpo.recipe import read_grpo
from o3gym.train.grpo.trainer import GrpoTrainer
from o3gym.train.loss_mask import BatchError, sample_row, segments_of
from o3gym.train.recipe import RecipeError
from o3gym.types import Parsed, Segment, Trajectory, View
from tests.train.grpo.spelled import ENV, played, prompts, rewarded
from tests.train.grpo.test_grpo_trainer import _loaded, recipe, trained
from tests.train.tiny_folder import write_folder

REWARDS = [[1, 0, 0.5, 0], [0, 1, 1, 0.25]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("start"), prompts(Grid()))


@pytest.fixture(scope="module")
def encoder(start: Path) -> Encoder:
    return Encoder(load_processor(str(start)))


@pytest.fixture(scope="module")
def groups(encoder: Encoder) -> list[list[Trajectory]]:
    """Sample 3 of each group has three looks, so with a window of one round it has three segments."""
    return rewarded(played(encoder, samples=4, window=1), REWARDS)


def logprobs(model: Any, encoder: Encoder, t: Trajectory, segment: Segment) -> torch.Tensor:
    """Of the tokens that were written in one segment, alone and without padding, from what was recorded."""
    ids, own = list[int](), list[int]()
    for number in segment.turns:
        reply = t.turns[number].reply
        ids += reply.new_prompt_ids or ()
        own += range(len(ids), len(ids) + len(reply.token_ids or ()))
        ids += reply.token_ids or ()
    row = torch.tensor([ids])
    images = encoder.images([Message("user", tuple(picture_of(t, t.views[index]) for index in segment.views))])
    given = encoder.inputs([images])
    types = (row == encoder.image_id).long()
    logits = model(input_ids=row, attention_mask=torch.ones_like(row), mm_token_type_ids=types, **given).logits[0]
    return torch.log_softmax(logits, -1)[[at - 1 for at in own], [ids[at] for at in own]]


def oracle(made: Any, groups: list[list[Trajectory]], weights: Any, first: Any, update: int) -> Any:
    """Loss and gradients by the formula: one segment at a time, an episode's segments as one sequence."""
    encoder = Encoder(load_processor(made.model))
    model, old, start = _loaded(made.model, weights), _loaded(made.model, first), _loaded(made.model, {})
    dealt = {sample.trajectory.key: sample.update for sample in experience(groups, made, 0).samples}
    flat = [t for group in groups for t in group]
    mine = [t for t in flat if dealt.get(t.key, 0) == update]
    tokens = {t.key: sum(len(turn.reply.token_ids or ()) for turn in t.turns) for t in mine}
    loss = torch.zeros(())
    for t in mine:
        rewards = torch.tensor([s.reward for s in flat if s.group == t.group])
        advantage = (t.reward - rewards.mean()) / (rewards.std() + 1e-6)
        share = sum(tokens.values()) if made.mean == "token" else tokens[t.key] * len(mine)
        for segment in segments_of(t):
            now = logprobs(model, encoder, t, segment)
            with torch.no_grad():
                then, reference = (logprobs(m, encoder, t, segment) for m in (old, start))
            ratio = torch.exp(now - then)
            terms = -torch.minimum(ratio * advantage, ratio.clamp(1 - made.clip_low, 1 + made.clip_high) * advantage)
            gap = reference - now
            loss = loss + (terms + made.kl * ratio * (torch.exp(gap) - gap - 1)).sum() / share
    loss.backward()
    return float(loss.detach()), {n: p.grad for n, p in model.named_parameters()}


CASES: Mapping[str, Mapping[str, Any]] = {
    "by token": {},
    "two updates by sequence": {"updates": 2, "steps": 2, "mean": "sequence", "kl": 0.2, "clip_low": 0.05},
}


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_one_segment_at_a_time(
    start: Path, groups: list[list[Trajectory]], tmp_path: Path, case: str
) -> None:
    made = recipe(start, samples=4, window=1, env={"max_turns": 4}, **CASES[case])
    spy, trainer = trained(made, groups, tmp_path)
    assert len(spy.steps) == made.updates
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    for update, (weights, grads) in enumerate(spy.steps):
        loss, wanted = oracle(made, groups, weights, spy.steps[0][0], update)
        assert losses[update] == pytest.approx(loss, rel=1e-4, abs=1e-6)
        for name, grad in wanted.items():
            torch.testing.assert_close(grads[name], grad, rtol=1e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}")


def test_every_written_token_is_trained_once_in_the_ids_that_it_was_sampled_on(
    encoder: Encoder, groups: list[list[Trajectory]]
) -> None:
    (longest,) = [t for t in groups[0] if t.sample == 3]
    assert [segment.turns for segment in longest.segments] == [(0, 1), (2,), (3,)]
    assert [turn.segment for turn in longest.turns] == [0, 0, 1, 2]
    assert [segment.dropped for segment in longest.segments] == [(), (1,), (2,)]
    learnt = []
    for segment in longest.segments:
        row = sample_row(longest, encoder, segment)
        learnt += row.ids[row.mask == 1].tolist()
        replies = [longest.turns[number].reply for number in segment.turns]
        read = [i for reply in replies for i in (*(reply.new_prompt_ids or ()), *(reply.token_ids or ()))]
        assert row.ids.tolist() == read
        assert len(row.images) == len(segment.views) == 2  # the opening's and the last round's
        assert len(sampling_logprobs(longest, segment)) == len(row.ids)
        # earlier replies are in the row as context, with the ids that were sampled, and without a loss
        before = [i for turn in longest.turns[: segment.turns[0]] for i in turn.reply.token_ids or ()]
        assert sum(row.mask) + len(before) == sum(
            len(turn.reply.token_ids or ()) for turn in longest.turns[: segment.turns[-1] + 1]
        )
    assert learnt == [i for turn in longest.turns for i in turn.reply.token_ids or ()]


class Looks(Grid):
    """Takes every reply for a look, so that a random model plays rounds."""

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        return Parsed(crop((0.0, 0.0, 0.5, 0.5)), True)

    def parse_cut(self, text: str, views: Sequence[View]) -> Parsed:
        return self.parse(text, views)


def test_what_the_model_records_when_it_samples_is_what_the_trainer_computes(
    start: Path, encoder: Encoder, tmp_path: Path
) -> None:
    """Rollout and training see the same bytes: the log-probabilities of sampling are those of the rows."""
    made = recipe(start, window=1, samples=2, prompts=1, updates=2, steps=2, old_logprobs="rollout", kl=1.0)
    model = _loaded(made.model, {}).eval()
    arm = Arm("train", {**ENV, "max_turns": 4}, "", "", Sampling(1.0, max_tokens=6), window=1)
    jobs = [Job(0, "g", n, seed=n) for n in range(2)]
    (group,) = collect(rollout(jobs, InMemory(model, encoder), Looks(), arm))
    assert [len(t.segments) for t in group] == [3, 3]
    found = experience([[replace(t, reward=float(t.sample)) for t in group]], made, 0)
    trainer = GrpoTrainer(model, load_processor(made.model), made, encoder, lambda *_: None, tmp_path)  # type: ignore
    written = 0
    for batch in trainer._batches(found):
        own = batch["tool_mask"].bool()
        written += int(own.sum())
        if own.any():
            computed = trainer._logprobs(model, batch)
            # sampling leaves out the tokens of pictures, so the two differ by their probability
            torch.testing.assert_close(batch["old_per_token_logps"][own], computed[own], rtol=0, atol=0.02)
            assert float((batch["old_per_token_logps"] - computed.roll(1, 1))[own].abs().max()) > 0.1
    assert written == sum(len(turn.reply.token_ids or ()) for t in group for turn in t.turns)


def test_a_windowed_episode_is_no_single_row(encoder: Encoder, groups: list[list[Trajectory]]) -> None:
    with pytest.raises(BatchError, match="it has 3 segments, each of them a row of its own"):
        sample_row(groups[0][3], encoder)


def test_segments_share_advantage_and_update_and_count_as_one_episode(
    start: Path, groups: list[list[Trajectory]]
) -> None:
    made = recipe(start, samples=4, window=1, kl=0.1, mean="sequence", updates=2, steps=2)
    found = experience(groups, made, 0)
    assert sum(found.totals) == 8
    assert len(found.samples) == 2 * (1 + 1 + 2 + 3)
    for t in (t for group in groups for t in group):
        mine = [sample for sample in found.samples if sample.trajectory.key == t.key]
        assert len({(sample.advantage, sample.update) for sample in mine}) == 1
        assert [sample.segment for sample in mine] == list(segments_of(t))


def test_passes_are_planned_for_all_segments(start: Path) -> None:
    more = {"samples": 4, "env": {"max_turns": 4}}
    assert recipe(start, **more).accumulation(1) == 4
    assert recipe(start, window=1, **more).accumulation(1) == 12
    assert recipe(start, window=4, **more).accumulation(1) == 4


@pytest.mark.parametrize(("env", "turns"), [({}, 6), ({"suite": "planning-maze"}, 32), ({"max_turns": 9}, 9)])
def test_an_episode_has_as_many_turns_as_its_suite_recommends(start: Path, env: dict[str, Any], turns: int) -> None:
    made = replace(recipe(start), env=env)
    assert made.max_turns == turns
    assert replace(made, window=1).accumulation(1) == made.accumulation(1) * (turns - 1)


def test_a_window_keeps_at_least_one_round(start: Path) -> None:
    with pytest.raises(RecipeError, match="window: expected at least 1, got 0"):
        read_grpo({"model": str(start), "steps": 1, "window": 0})
