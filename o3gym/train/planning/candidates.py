"""Candidates for the next state: several continuations of each state, sampled and scored.

The candidates of a state share the state as their prefix, and after some training most of them are equal. So a prefix
is read once, and so is everything that candidates have in common: a row of the model stands for all samples that have
been equal so far. The probabilities, and the gradients, are those of computing each sample by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from o3gym.policies.planner.model import Planner
from o3gym.policies.planner.sequence_reader import SequenceReader
from o3gym.registry import require

torch = require("torch", "train")


class Candidates(NamedTuple):
    """The distinct candidates of some states.

    Attributes:
        tokens: what was written, int64 (candidates, length), padded with the id that ends it.
        owner: the number of each candidate's state, int64 (candidates,), ascending.
        counts: how often each was sampled, int64 (candidates,).
        mask: whether a token was sampled and is not padding, bool (candidates, length).
    """

    tokens: Any
    owner: Any
    counts: Any
    mask: Any


class CandidateScores(NamedTuple):
    """Log-probabilities of the tokens of candidates, float32 (candidates, length), and entropies of their places."""

    logprobs: Any
    entropies: Any


@torch.no_grad()  # type: ignore[untyped-decorator]
def sample_candidates(
    planner: Planner, states: Any, samples: int, temperature: float, generator: Any = None
) -> Candidates:
    """Samples candidates for the next states.

    Args:
        planner: a planner that writes pictures.
        states: tokens of the states, int64 (states, T).
        samples: number of candidates per state.
        temperature: divisor of the logits, above 0.
        generator: source of random numbers.
    """
    end = planner.layout.end
    state = torch.arange(len(states), device=states.device).repeat_interleave(samples)
    reader, rows = SequenceReader(planner, states), state
    written: list[Any] = []
    ended = torch.zeros_like(state, dtype=torch.bool)
    for place in range(states.shape[1] + (end is not None)):
        if place:
            # Samples of one row that drew the same token stay together.
            size = reader.logits.shape[-1]
            rows_and_tokens, rows = torch.unique(rows * size + written[-1], return_inverse=True)
            reader.branch(rows_and_tokens // size)
            reader.read((rows_and_tokens % size)[:, None])
        drawn = _draw(reader.logits[:, -1] / temperature, rows, generator)
        if end is not None:
            drawn[ended] = end
            ended = ended | (drawn == end)
        written.append(drawn)
        if end is not None and bool(ended.all()):
            break
    return _distinct(state, torch.stack(written, 1), end)


def _draw(logits: Any, rows: Any, generator: Any) -> Any:
    """Draws a token for each sample from the distribution of its row, by inverting the cumulative distribution.

    `torch.multinomial` would draw a random number for each token of the vocabulary.
    """
    sums = torch.softmax(logits.double(), -1).cumsum(-1)
    numbers = torch.rand((len(rows), 1), dtype=torch.float64, device=rows.device, generator=generator)
    # Scaling by the total makes up for rounding, and right=True skips tokens of probability 0.
    found = torch.searchsorted(sums[rows], numbers * sums[rows, -1:], right=True)[:, 0]
    return found.clamp(max=logits.shape[1] - 1)


def _distinct(state: Any, written: Any, end: int | None) -> Candidates:
    rows, counts = torch.unique(torch.cat([state[:, None], written], 1), dim=0, return_counts=True)
    tokens = rows[:, 1:]
    if end is None:
        return Candidates(tokens, rows[:, 0], counts, torch.ones_like(tokens, dtype=torch.bool))
    ended = (tokens == end).cumsum(1)
    return Candidates(tokens, rows[:, 0], counts, (ended - (tokens == end).long()) == 0)


def score_candidates(
    planner: Planner, states: Any, candidates: Candidates, temperature: float, shared: bool = True
) -> CandidateScores:
    """Returns the log-probabilities of candidates with gradients, and entropies without.

    Args:
        planner: a planner that writes pictures.
        states: tokens of the states, int64 (states, T).
        candidates: the candidates.
        temperature: divisor of the logits.
        shared: whether a state is read once for all its candidates. It cannot be with gradient checkpointing, which
            computes activations again and would cache them twice.
    """
    logits = _shared_logits(planner, states, candidates) if shared else _own_logits(planner, states, candidates)
    every = torch.log_softmax(logits / temperature, -1)
    with torch.no_grad():
        entropies = -(every.exp() * every).sum(-1)
    return CandidateScores(every.gather(-1, candidates.tokens[..., None])[..., 0], entropies)


def _shared_logits(planner: Planner, states: Any, candidates: Candidates) -> Any:
    reader = SequenceReader(planner, states)
    first = reader.logits.index_select(0, candidates.owner)
    if candidates.tokens.shape[1] == 1:
        return first
    reader.branch(candidates.owner)
    return torch.cat([first, reader.read(candidates.tokens[:, :-1])], 1)


def _own_logits(planner: Planner, states: Any, candidates: Candidates) -> Any:
    return planner.read_whole(planner.prompts(states)[candidates.owner], candidates.tokens, states.shape[1])
