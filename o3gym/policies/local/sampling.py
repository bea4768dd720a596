"""Drawing the next token of each reply of a batch from the model's logits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from o3gym.policies.local.drafts import Draft


def draw(logits: torch.Tensor, drafts: Sequence[Draft], forbidden: torch.Tensor) -> list[tuple[int, float]]:
    """Draws the next token of each draft; returns tokens and their log-probabilities.

    The reported distribution is the softmax of logits / temperature over the ids that may be sampled: all but the
    forbidden ones, or the allowed ones if the draft has choices. At temperature 0 the most likely id is taken, and its
    log-probability is that of temperature 1.

    What is sampled may be more restricted: by `top_p`, by a repetition penalty, and by the temperature of code. None of
    these changes the log-probabilities, those of code included, so a trainer that divides all logits by one temperature
    recomputes them without knowing what was penalised, cut off or inside code.

    Args:
        logits: (drafts, vocabulary), any floating dtype; modified in place if it is float32.
        drafts: one per row.
        forbidden: int64 ids on the same device.
    """
    scores = logits.float()
    scores[:, forbidden] = -math.inf
    for row, draft in enumerate(drafts):
        if draft.allowed is not None:
            allowed = torch.tensor(draft.allowed, device=scores.device)
            scores[row] = torch.full_like(scores[row], -math.inf).scatter(0, allowed, logits.float()[row, allowed])
    logprobs = _log_softmax(scores, [draft.sampling.temperature for draft in drafts])
    chances = logprobs
    if any(draft.temperature != draft.sampling.temperature or draft.seen.size for draft in drafts):
        chances = _log_softmax(_penalised(scores, drafts), [draft.temperature for draft in drafts])
    tokens = chances.argmax(dim=-1)
    if any(draft.temperature for draft in drafts):
        random_rows = torch.tensor([draft.temperature > 0 for draft in drafts], device=scores.device)
        tokens = torch.where(random_rows, _sample(chances, drafts), tokens)
    chosen = logprobs.gather(1, tokens[:, None])[:, 0]
    return list(zip(tokens.tolist(), chosen.tolist(), strict=True))


def _log_softmax(scores: torch.Tensor, temperatures: Sequence[float]) -> torch.Tensor:
    divisors = torch.tensor([[temperature or 1.0] for temperature in temperatures], device=scores.device)
    return torch.log_softmax(scores / divisors, dim=-1)


def _penalised(scores: torch.Tensor, drafts: Sequence[Draft]) -> torch.Tensor:
    """Applies repetition penalties, which make the ids that occur already less likely.

    The logits change before the temperature and `top_p`, as in transformers (`RepetitionPenaltyLogitsProcessor`) and in
    vLLM. Only the ids that occur are touched, those of all rows at once.
    """
    rows = [row for row, draft in enumerate(drafts) if draft.seen.size]
    if not rows:
        return scores
    seen = [drafts[row].seen for row in rows]
    # A processor may know ids for which the model has no logits; such an id may be in a context, but is never sampled.
    seen = [ids[ids < scores.shape[1]] for ids in seen]
    places = torch.from_numpy(
        np.concatenate([row * scores.shape[1] + ids for row, ids in zip(rows, seen, strict=True)])
    )
    factors = np.repeat([drafts[row].sampling.repetition_penalty for row in rows], list(map(len, seen)))
    penalties = torch.from_numpy(factors.astype(np.float32)).to(scores.device)
    flat, places = scores.flatten(), places.to(scores.device)
    values = flat[places]
    changed = torch.where(values < 0, values * penalties, values / penalties)
    return flat.index_put((places,), changed).view_as(scores)  # a new tensor: the reported scores stay as they are


def _sample(logprobs: torch.Tensor, drafts: Sequence[Draft]) -> torch.Tensor:
    """Samples one id per row by inverting the cumulative distribution at one random number per row.

    `torch.multinomial` would share one generator among the rows. Here the draw of a row depends on its own seed alone,
    whatever else is in the batch and whatever device it is on.
    """
    # float64: in float32 the running sum over 150,000 ids would lose the unlikely ones
    probabilities = logprobs.double().exp()
    if any(draft.sampling.top_p < 1.0 for draft in drafts):
        probabilities = _nucleus(probabilities, drafts)
    cumulative = probabilities.cumsum(dim=-1)
    # A row at temperature 0 uses up no number: otherwise the text after greedy code would depend on whether another row
    # of the batch is sampled.
    uniform = [[draft.uniform() if draft.temperature else 0.0] for draft in drafts]
    numbers = torch.tensor(uniform, dtype=torch.float64, device=logprobs.device)
    # Scaling by the total normalises a nucleus, and right=True skips ids of probability 0. Rounding can still put the
    # number at the total itself, beyond the last id; the most likely id stands in for that.
    found = torch.searchsorted(cumulative, numbers * cumulative[:, -1:], right=True)[:, 0]
    return torch.where(found < cumulative.shape[1], found, probabilities.argmax(dim=-1))


def _nucleus(probabilities: torch.Tensor, drafts: Sequence[Draft]) -> torch.Tensor:
    """Sets all probabilities to 0 but those of the smallest set of most likely ids that together reach `top_p`."""
    limits = torch.tensor([[d.sampling.top_p] for d in drafts], dtype=torch.float64, device=probabilities.device)
    ranked, order = probabilities.sort(dim=-1, descending=True)
    # An id stays if the more likely ones do not reach the limit without it: so the id that crosses the limit is in.
    before = ranked.cumsum(dim=-1) - ranked
    # With top_p = 1 rounding could otherwise cut the tail.
    ranked = torch.where((before < limits) | (limits >= 1.0), ranked, 0.0)
    ranked[:, 0] = probabilities.amax(dim=-1)  # never cut everything, however small top_p is
    return torch.zeros_like(probabilities).scatter(1, order, ranked)
