"""Sampling a reply token by token: which tokens are allowed, which one is drawn, and when the reply is complete."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from o3gym.policies.local.encoding import Encoder
from o3gym.types import Finish, Reply, Sampling, Usage

Trie: TypeAlias = dict[int, Any]
"""Maps the next token to the trie below it, and an end token to the text that is then complete."""
STOP_WINDOW = 4
"""Additional tokens in the window that is searched for a stop string.

A text token holds at least one byte, so a stop string of n bytes lies within the last n tokens. But a byte-level
token may begin or end inside a multi-byte character, which decodes correctly only together with its other bytes: at
most three more in UTF-8.
"""


def trie_of(choices: Sequence[str], encoder: Encoder) -> Trie:
    """Builds the trie of the token sequences that spell one of the texts and then end the reply."""
    root: Trie = {}
    for text in choices:
        node = root
        for token in encoder.tokens(text):
            node = node.setdefault(token, {})
        node[encoder.end] = text
    return root


class Draft:
    """A reply that is being sampled.

    Args:
        sampling: sampling parameters.
        encoder: decodes the ids.
        room: number of tokens that still fit into the context, at least 1.
        eos: ids that end a reply.
        trie: trie of `sampling.choices`; empty for free text.

    Attributes:
        ids: ids sampled so far.
        logprobs: log-probability of each id.
        limit: maximum number of ids.
    """

    def __init__(self, sampling: Sampling, encoder: Encoder, room: int, eos: frozenset[int], trie: Trie) -> None:
        self.sampling, self._encoder, self._eos = sampling, encoder, eos
        self.limit = max(1, min(sampling.max_tokens, room))
        self._rng = random.Random(sampling.seed)
        self._window = max((len(stop.encode()) for stop in sampling.stop), default=0) + STOP_WINDOW
        self._node: Any = trie or None
        self._text: str | None = None
        self._finish: Finish = "stop"
        self._error = ""
        self.ids: list[int] = []
        self.logprobs: list[float] = []

    @property
    def allowed(self) -> list[int] | None:
        """The ids allowed next; None if all but the forbidden ids are."""
        return None if self._node is None else list(self._node)

    def uniform(self) -> float:
        """Draws the random number in [0, 1) that decides the next token."""
        return self._rng.random()

    def accept(self, token: int, logprob: float) -> bool:
        """Appends a token; returns whether the reply is complete."""
        if not math.isfinite(logprob):  # broken weights leave no distribution to sample from
            self._finish, self._error = "error", "the model's logits are not finite"
            return True
        self.ids.append(token)
        self.logprobs.append(logprob)
        if self._node is not None:
            self._node = self._node[token]
            over = isinstance(self._node, str)
            self._text = self._node if over else None
        else:
            over = token in self._eos or self._stopped()
        if not over and len(self.ids) >= self.limit:
            self._finish, over = "length", True
        return over

    def _stopped(self) -> bool:
        """Whether a stop string is complete.

        The text then ends with the stop string, and the ids with the token that completed it. That token may hold
        further characters; they are in the ids, which must be exactly what was sampled, but not in the text.
        """
        # Decoding the whole reply after every token would cost O(n²), so the last few tokens are tried first. They may
        # begin inside a character, hence the additional ones.
        stops = self.sampling.stop
        if not stops or not any(stop in self._encoder.text(self.ids[-self._window :]) for stop in stops):
            return False
        # The window may decode differently from the whole (a leading space, say), so only the whole text decides.
        text = self._encoder.text(self.ids)
        ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
        self._text = text[: min(ends)] if ends else None
        return bool(ends)

    def reply(self, prompt: Sequence[int], context: int) -> Reply:
        """Builds the finished reply.

        Args:
            prompt: ids added to the context since the previous reply.
            context: number of ids in the context before this reply.
        """
        return Reply(
            self._encoder.text(self.ids) if self._text is None else self._text,
            token_ids=tuple(self.ids),
            logprobs=tuple(self.logprobs),
            new_prompt_ids=tuple(prompt),
            finish=self._finish,
            error=self._error,
            usage=Usage(context, len(self.ids)),
        )


def draw(logits: torch.Tensor, drafts: Sequence[Draft], forbidden: torch.Tensor) -> list[tuple[int, float]]:
    """Draws the next token of each draft; returns tokens and their log-probabilities.

    The distribution is the softmax of logits / temperature over the ids that may be sampled: all but the forbidden
    ones, or the allowed ones if the draft has choices. At temperature 0 the most likely id is taken, and its
    log-probability is that of temperature 1. `top_p` restricts what is sampled but leaves the log-probabilities as they
    are, so that a trainer can recompute them from the logits without knowing the cut.

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
    temperatures = torch.tensor([[draft.sampling.temperature or 1.0] for draft in drafts], device=scores.device)
    logprobs = torch.log_softmax(scores / temperatures, dim=-1)
    tokens = logprobs.argmax(dim=-1)
    if any(draft.sampling.temperature for draft in drafts):
        random_rows = torch.tensor([draft.sampling.temperature > 0 for draft in drafts], device=scores.device)
        tokens = torch.where(random_rows, _sample(logprobs, drafts), tokens)
    chosen = logprobs.gather(1, tokens[:, None])[:, 0]
    return list(zip(tokens.tolist(), chosen.tolist(), strict=True))


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
    numbers = torch.tensor([[draft.uniform()] for draft in drafts], dtype=torch.float64, device=logprobs.device)
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
