from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from o3gym.train.planning.candidates import sample_candidates
from o3gym.train.planning.data import PlannerExample, StateTokens, training_examples, training_layouts
from o3gym.train.planning.reinforcement import CandidateLearner, CandidateReader
from o3gym.worlds.base import BLOCKED
from tests.train.planning.lake import lake_planner, lake_recipe
from tests.train.planning.test_candidates import sharpened


@pytest.mark.parametrize("strict", [True, False])
def test_equal_tokens_mean_what_the_interpreter_reads(strict: bool) -> None:
    planner, rng = lake_planner(), Random(1)
    tokens, end = StateTokens(planner.tokenizer), planner.layout.end
    reader = CandidateReader(planner, tokens, strict)
    recipe = lake_recipe(method="rewards", states="all", levels=[3, 4], layouts=20)
    examples = training_examples(recipe, training_layouts(recipe))
    moves = []
    for number in range(500):
        world, state = examples[number % len(examples)][:2]
        written = [*tokens(world, rng.choice([to for to in world.graph[state] if to != BLOCKED] or [state])), end]
        if number % 4 == 0:  # a wrong code, an id that is no code, an early end, or another state
            written[rng.randrange(len(written))] = rng.randrange(planner.tokenizer.codes + 3)
        if number % 7 == 0:
            written = [*tokens(world, rng.choice(list(world.graph))), end]
        moves.append(reader.move(world, state, written))
        assert moves[-1] == reader.interpreted(world, state, written)
    assert set(moves) == {BLOCKED, 0, 1, 2, 3}


def test_what_is_no_picture_is_an_invalid_move() -> None:
    planner = lake_planner()
    recipe = lake_recipe()
    (world, state, *_), *_ = training_examples(recipe, training_layouts(recipe))
    reader = CandidateReader(planner, StateTokens(planner.tokenizer))
    end = planner.layout.end
    for written in ([], [end], [0, end], [planner.layout.begin, end], list(reader._tokens(world, state))):
        assert reader.move(world, state, written) == BLOCKED


def gradients(planner) -> dict[str, torch.Tensor]:
    return {name: p.grad.clone() for name, p in planner.model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("kl", [0.0, 0.05])
def test_the_gradient_is_that_of_one_candidate_after_another(kl: float) -> None:
    """Distinct candidates with counts, shared prefixes and left-out groups give GRPO's plain formula."""
    planner, reference = sharpened(lake_planner(), 30.0), sharpened(lake_planner(seed=1), 10.0)
    recipe = lake_recipe(method="rewards", states="all", samples=6, kl=kl, temperature=1.1, levels=[3, 4], layouts=2)
    examples = training_examples(recipe, training_layouts(recipe))[::4]
    tokens = StateTokens(planner.tokenizer)
    learner = CandidateLearner(planner, recipe, tokens, reference if kl else None)
    learner._rewards = lambda some, found: found.tokens[:, 1:4].sum(1).numpy() % 3 - 1.0  # type: ignore[method-assign]
    logs = learner.step(examples, torch.Generator().manual_seed(3))
    got = gradients(planner)
    planner.model.zero_grad()
    generator, loss = torch.Generator().manual_seed(3), torch.zeros(())
    for length in (10, 17):
        group = [example for example in examples if len(tokens(example.world, example.state)) == length]
        states = torch.tensor([tokens(example.world, example.state) for example in group])
        found = sample_candidates(planner, states, 6, 1.1, generator)
        rewards = found.tokens[:, 1:4].sum(1).double() % 3 - 1.0
        for place in range(len(states)):
            rows = torch.repeat_interleave(
                *[x[found.owner == place] for x in (torch.arange(len(rewards)), found.counts)]
            )
            advantage = (rewards[rows] - rewards[rows].mean()) / (rewards[rows].std() + recipe.epsilon)
            for row, pull in zip(rows.tolist(), advantage.tolist(), strict=True):
                own = planner.log_probabilities(states[[place]], found.tokens[[row]], 1.1)[0][found.mask[row]]
                with torch.no_grad():
                    other = reference.log_probabilities(states[[place]], found.tokens[[row]], 1.1)[0][found.mask[row]]
                k3 = torch.exp(other - own) - (other - own) - 1
                loss = loss + (kl * k3 - torch.exp(own - own.detach()) * pull).mean() / (6 * len(examples))
    loss.backward()
    assert logs["loss"] == pytest.approx(float(loss.detach()), abs=1e-4)
    for name, parameter in planner.model.named_parameters():
        torch.testing.assert_close(got[name], parameter.grad, rtol=1e-3, atol=1e-4)


def test_rewards_are_the_released_ones_of_the_moves_that_are_shown() -> None:
    planner = lake_planner()
    recipe = lake_recipe(method="rewards", states="all")
    tokens = StateTokens(planner.tokenizer)
    learner = CandidateLearner(planner, recipe, tokens)
    example = max(training_examples(recipe, training_layouts(recipe)), key=lambda e: e.world.remaining[e.state])
    world, state = example[:2]
    states = torch.tensor([tokens(world, state)])
    found = sample_candidates(planner, states, 5, 1.0)
    following = [to for to in world.graph[state] if to != BLOCKED]
    written = torch.tensor([[*tokens(world, to), planner.layout.end] for to in [*following, state]])
    shown = found._replace(
        tokens=written,
        owner=torch.zeros(len(written), dtype=torch.long),
        mask=torch.ones_like(written, dtype=torch.bool),
    )
    rewards = learner._rewards([example], shown)
    expected = [float(world.remaining[to] < world.remaining[state]) for to in following]
    assert rewards.tolist() == [*expected, -5.0]


def test_a_step_logs_shares_of_all_candidates() -> None:
    planner = lake_planner()
    recipe = lake_recipe(method="rewards", samples=5)
    examples = training_examples(recipe, training_layouts(recipe))[:3]
    logs = CandidateLearner(planner, recipe, StateTokens(planner.tokenizer)).step(examples)
    assert logs["reward"] == pytest.approx(-5 * logs["invalid"] + logs["closer"])
    assert 0 <= logs["uniform_groups"] <= 1
    assert all(np.isfinite(value) for value in logs.values())


def test_uniform_groups_teach_nothing() -> None:
    planner = lake_planner()
    recipe = lake_recipe(method="rewards")
    learner = CandidateLearner(planner, recipe, StateTokens(planner.tokenizer))
    learner._rewards = lambda some, found: np.full(len(found.owner), -5.0)  # type: ignore[method-assign]
    examples: list[PlannerExample] = training_examples(recipe, training_layouts(recipe))[:2]
    logs = learner.step(examples)
    assert (logs["uniform_groups"], logs["loss"], gradients(planner)) == (1.0, 0.0, {})
