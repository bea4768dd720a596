"""One step of VPRL: GRPO on candidate next states, each with the released reward of the move that it shows.

A state's candidates form a group. Every candidate was sampled by the current weights and is used for one update, so the
probability ratio is 1 and nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from o3gym.policies.planner.model import Planner
from o3gym.registry import require
from o3gym.train.grpo.advantages import advantages
from o3gym.train.planning.candidates import (
    Candidates,
    CandidateScores,
    sample_candidates,
    score_candidates,
)
from o3gym.train.planning.data import PlannerExample, StateTokens
from o3gym.train.planning.recipe import PlanningRecipe
from o3gym.train.planning.supervised import by_length
from o3gym.worlds.base import BLOCKED, CLOSER_REWARD, INVALID_REWARD, World
from o3gym.worlds.interpreter import read_move

torch = require("torch", "train")

FloatArray: TypeAlias = NDArray[np.float64]


class CandidateReader:
    """Reads the move that a candidate shows.

    A candidate with exactly the tokens of a possible next state shows that move. Only other candidates are decoded and
    read by the interpreter, which takes about a millisecond.

    Args:
        planner: the planner.
        tokens: the tokens of states.
        strict: whether a picture must show the next state and nothing else, see `o3gym.worlds.interpreter.read_move`.
    """

    def __init__(self, planner: Planner, tokens: StateTokens, strict: bool = True) -> None:
        self._planner, self._tokens, self._strict = planner, tokens, strict
        self._possible: dict[tuple[World, int], dict[tuple[int, ...], int]] = {}

    def move(self, world: World, state: int, written: Sequence[int]) -> int:
        """Returns the move, or `BLOCKED` if the candidate shows none."""
        exact = self._moves(world, state).get(tuple(written))
        return self.interpreted(world, state, written) if exact is None else exact

    def interpreted(self, world: World, state: int, written: Sequence[int]) -> int:
        """Returns the same by decoding the candidate and reading its picture."""
        picture = self._planner.picture_of(written)
        return BLOCKED if picture is None else read_move(world, state, picture, strict=self._strict).move

    def _moves(self, world: World, state: int) -> dict[tuple[int, ...], int]:
        key = (world, state)
        if key not in self._possible:
            self._possible[key] = self._compare(world, state)
        return self._possible[key]

    def _compare(self, world: World, state: int) -> dict[tuple[int, ...], int]:
        end = () if self._planner.layout.end is None else (self._planner.layout.end,)
        found: dict[tuple[int, ...], int] = {}
        for following in world.graph[state]:
            if following != BLOCKED:
                written = (*self._tokens(world, following), *end)
                # A codebook may give two states the same tokens, or lose what the interpreter looks for. So each
                # possible next state is read once.
                found[written] = self.interpreted(world, state, written)
        return found


class _Group(NamedTuple):
    """States of one length, int64 (states, T), with their candidates and the reward of each candidate."""

    states: Any
    candidates: Candidates
    rewards: FloatArray


class CandidateLearner:
    """Learns from the rewards of candidates.

    Args:
        planner: the planner that learns.
        recipe: the settings.
        tokens: the tokens of states.
        reference: the planner with the starting weights, which a KL term compares with. None without such a term, or
            with adapters, without which a model has its starting weights.
    """

    def __init__(
        self, planner: Planner, recipe: PlanningRecipe, tokens: StateTokens, reference: Planner | None = None
    ) -> None:
        self._planner, self._recipe, self._tokens, self._reference = planner, recipe, tokens, reference
        self._reader = CandidateReader(planner, tokens, recipe.strict)

    def step(self, examples: Sequence[PlannerExample], generator: Any = None) -> dict[str, float]:
        """Samples candidates for the states of a batch and adds the gradient of their loss.

        Args:
            examples: the states.
            generator: source of random numbers for sampling.

        Returns:
            "loss", "reward", "invalid" and "closer" (shares of the candidates), "uniform_groups" (share of the states
            whose candidates have equal rewards), and "kl" and "entropy" (means over tokens; without a KL term, tokens
            of uniform groups are not computed and count as 0).
        """
        groups = self._sampled(examples, generator)
        parts = [self._learn(group, len(examples)) for group in groups]
        rewards = np.concatenate([np.repeat(group.rewards, group.candidates.counts.cpu()) for group in groups])
        return {
            "reward": float(rewards.mean()),
            "invalid": float((rewards == INVALID_REWARD).mean()),
            "closer": float((rewards == CLOSER_REWARD).mean()),
            **{name: sum(part[name] for part in parts) for name in parts[0]},
        }

    def _sampled(self, examples: Sequence[PlannerExample], generator: Any) -> list[_Group]:
        self._planner.model.eval()
        recipe, tokens = self._recipe, [self._tokens(example.world, example.state) for example in examples]
        groups = []
        for places in by_length([len(state) for state in tokens], recipe.micro_batch):
            states = torch.tensor([tokens[place] for place in places], device=self._planner.model.device)
            found = sample_candidates(self._planner, states, recipe.samples, recipe.temperature, generator)
            groups.append(_Group(states, found, self._rewards([examples[place] for place in places], found)))
        self._planner.model.train()
        return groups

    def _rewards(self, examples: Sequence[PlannerExample], candidates: Candidates) -> FloatArray:
        owners, written = candidates.owner.tolist(), candidates.tokens.tolist()
        lengths = candidates.mask.sum(1).tolist()
        rewards = []
        for owner, ids, length in zip(owners, written, lengths, strict=True):
            world, state = examples[owner].world, examples[owner].state
            rewards.append(world.reward(state, self._reader.move(world, state, ids[:length])))
        return np.array(rewards)

    def _learn(self, group: _Group, states: int) -> dict[str, float]:
        recipe, samples = self._recipe, states * self._recipe.samples
        pulls = torch.tensor(_advantages(group, recipe.epsilon), dtype=torch.float32, device=group.states.device)
        uniform = _uniform_groups(group) / states
        candidates = group.candidates
        if not recipe.kl:  # the others have no gradient
            candidates = Candidates(*(column[pulls != 0] for column in candidates))
            pulls = pulls[pulls != 0]
        if not len(pulls):
            return {"loss": 0.0, "uniform_groups": uniform, "kl": 0.0, "entropy": 0.0}
        scores = self._scores(self._planner, group.states, candidates)
        # Candidates that were sampled twice weigh twice, and the tokens of a candidate share its weight.
        weights = candidates.mask * (candidates.counts / (samples * candidates.mask.sum(1)))[:, None]
        ratio = torch.exp(scores.logprobs - scores.logprobs.detach())
        divergence = self._divergence(group.states, candidates, scores.logprobs)
        loss = (weights * (recipe.kl * divergence - ratio * pulls[:, None])).sum()
        loss.backward()
        kl, entropy = (float((weights * part.detach()).sum()) for part in (divergence, scores.entropies))
        return {"loss": float(loss.detach()), "uniform_groups": uniform, "kl": kl, "entropy": entropy}

    def _scores(self, planner: Planner, states: Any, candidates: Candidates) -> CandidateScores:
        recipe = self._recipe
        return score_candidates(planner, states, candidates, recipe.temperature, not recipe.gradient_checkpointing)

    def _divergence(self, states: Any, candidates: Candidates, logprobs: Any) -> Any:
        """The k3 estimate of the divergence from the starting weights at each token."""
        if not self._recipe.kl:
            return torch.zeros_like(logprobs)
        with torch.no_grad(), nullcontext() if self._reference else self._planner.model.disable_adapter():
            starting = self._scores(self._reference or self._planner, states, candidates).logprobs
        difference = starting - logprobs
        return torch.exp(difference) - difference - 1


def _advantages(group: _Group, epsilon: float) -> FloatArray:
    """The advantage of each candidate. Mean and deviation are taken over all samples of its state."""
    counts = group.candidates.counts.tolist()
    owners = np.repeat(group.candidates.owner.cpu().numpy(), counts).astype(str)
    found: FloatArray = advantages(np.repeat(group.rewards, counts), owners.tolist(), epsilon=epsilon)
    firsts: FloatArray = found[np.cumsum(counts) - counts]
    return firsts


def _uniform_groups(group: _Group) -> int:
    """The number of states whose candidates all have the same reward, from which nothing is learnt."""
    owners = group.candidates.owner.cpu().numpy()
    return sum(len(set(group.rewards[owners == owner])) == 1 for owner in range(len(group.states)))
