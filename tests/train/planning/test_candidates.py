from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from o3gym.policies.planner.model import Planner
from o3gym.train.planning.candidates import Candidates, sample_candidates, score_candidates
from o3gym.train.planning.data import StateTokens, training_examples, training_layouts
from tests.train.planning.lake import lake_planner, lake_recipe


def some_states(planner: Planner, count: int = 3) -> torch.Tensor:
    recipe, tokens = lake_recipe(), StateTokens(planner.tokenizer)
    examples = training_examples(recipe, training_layouts(recipe))[:count]
    return torch.tensor([tokens(example.world, example.state) for example in examples])


def sharpened(planner: Planner, factor: float) -> Planner:
    """Random weights are nearly uniform; this makes candidates that share beginnings."""
    with torch.no_grad():
        planner.model.lm_head.weight.mul_(factor)
    return planner


@pytest.fixture
def planner() -> Planner:
    return sharpened(lake_planner(), 40.0)


def sampled(planner: Planner, states: torch.Tensor, samples: int = 12) -> Candidates:
    return sample_candidates(planner, states, samples, 1.1, torch.Generator().manual_seed(0))


def test_candidates_are_distinct_and_counted(planner: Planner) -> None:
    states = some_states(planner)
    found = sampled(planner, states)
    assert found.owner.tolist() == sorted(found.owner.tolist())
    assert [int(found.counts[found.owner == state].sum()) for state in range(len(states))] == [12] * len(states)
    rows = torch.cat([found.owner[:, None], found.tokens], 1).tolist()
    assert len({tuple(row) for row in rows}) == len(rows)
    assert len(rows) < 12 * len(states)  # some were sampled several times, or the test shows nothing


def test_candidates_follow_from_the_generator(planner: Planner) -> None:
    states = some_states(planner)
    one, two = sampled(planner, states), sampled(planner, states)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_candidates_are_as_frequent_as_they_are_likely(planner: Planner) -> None:
    states = some_states(planner, 1)
    found = sampled(planner, states, 2000)
    chances = planner.log_probabilities(states[found.owner], found.tokens, 1.1)
    chances = (chances * found.mask).sum(1).exp()
    frequent = found.counts > 50
    assert int(frequent.sum()) >= 3
    deviation = (chances * (1 - chances) / 2000).sqrt()
    assert bool(((found.counts / 2000 - chances).abs() < 4 * deviation)[frequent].all())


def test_padding_follows_the_end(planner: Planner) -> None:
    end = planner.layout.end
    with torch.no_grad():
        planner.model.lm_head.weight *= 0.01  # then all tokens are about as likely, also the one that ends
    found = sampled(planner, some_states(planner), 30)
    lengths = found.mask.sum(1)
    assert int(lengths.min()) < found.tokens.shape[1] == 11
    for tokens, length in zip(found.tokens.tolist(), lengths.tolist(), strict=True):
        assert end not in tokens[: length - 1]
        assert set(tokens[length:]) <= {end}


@pytest.mark.parametrize("shared", [True, False])
def test_shared_prefixes_change_neither_probabilities_nor_gradients(planner: Planner, shared: bool) -> None:
    states = some_states(planner)
    found = sampled(planner, states)
    weights = torch.rand(found.tokens.shape, generator=torch.Generator().manual_seed(1))
    scores = score_candidates(planner, states, found, 1.1, shared)
    (scores.logprobs * weights).sum().backward()
    got = {name: p.grad.clone() for name, p in planner.model.named_parameters()}
    planner.model.zero_grad()
    alone = planner.log_probabilities(states[found.owner], found.tokens, 1.1)
    (alone * weights).sum().backward()
    torch.testing.assert_close(scores.logprobs, alone, rtol=1e-4, atol=1e-4)
    for name, parameter in planner.model.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad, rtol=1e-3, atol=1e-2)
    assert not scores.entropies.requires_grad
    assert bool((scores.entropies >= 0).all())


def test_without_an_end_a_candidate_has_as_many_tokens_as_its_state(planner: Planner) -> None:
    planner.layout = replace(planner.layout, begin=None, separator=None, end=None)
    states = some_states(planner)
    found = sampled(planner, states)
    assert found.tokens.shape[1] == states.shape[1]
    assert bool(found.mask.all())
    assert score_candidates(planner, states, found, 1.0).logprobs.shape == found.tokens.shape
