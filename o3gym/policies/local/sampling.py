"""Sampling a reply token by token: which tokens are allowed, which one is taken, and when the reply is over."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from o3gym.policies.local.encoding import Encoder
from o3gym.types import Finish, Reply, Sampling, Usage

Trie: TypeAlias = dict[int, Any]
"""Next token to the trie below it; below an end token stands the text that is then complete."""
STOP_WINDOW = 4
"""Tokens beyond a stop string's bytes in the window that is searched for it: one may begin within a character."""


def trie_of(choices: Sequence[str], encoder: Encoder) -> Trie:
    """The token sequences that spell one of the texts and then end."""
    root: Trie = {}
    for text in choices:
        node = root
        for token in encoder.tokens(text):
            node = node.setdefault(token, {})
        node[encoder.end] = text
    return root


class Draft:
    """A reply in the making.

    Args:
        sampling: how it is sampled.
        encoder: what ids mean.
        room: tokens that the context has left; at least 1.
        eos: ids that end a reply.
        trie: of `sampling.choices`; empty for free text.

    Attributes:
        ids, logprobs: sampled so far.
        limit: how many ids it may have.
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
        """The ids that may come next; None for all but the forbidden ones."""
        return None if self._node is None else list(self._node)

    def uniform(self) -> float:
        """The random number in [0, 1) that decides the next token."""
        return self._rng.random()

    def accept(self, token: int, logprob: float) -> bool:
        """Append a token; whether the reply is over."""
        if not math.isfinite(logprob):  # broken weights: there is no distribution to sample from
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
        """Whether a stop string is complete; the text then ends with it, the ids with the token that completed it."""
        stops = self.sampling.stop
        if not stops or not any(stop in self._encoder.text(self.ids[-self._window :]) for stop in stops):
            return False
        text = self._encoder.text(self.ids)
        ends = [text.index(stop) + len(stop) for stop in stops if stop in text]
        self._text = text[: min(ends)] if ends else None
        return bool(ends)

    def reply(self, prompt: Sequence[int], context: int) -> Reply:
        """The finished reply: `prompt` are the ids that came before it and are new, `context` counts all of them."""
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
    """The next token of each draft, and its log-probability.

    The distribution is the softmax of the logits without forbidden (and, for choices, all but the allowed) ids, over
    the temperature; at temperature 0 the likeliest id is taken, and its log-probability is that of temperature 1.
    `top_p` cuts what is sampled from but not the log-probability.

    Args:
        logits: (drafts, vocabulary), any floating dtype; changed in place if it is float32.
        drafts: one per row.
        forbidden: int64 ids on the same device.
    """
    scores = logits.float()
    scores[:, forbidden] = -math.inf
    for row, draft in enumerate(drafts):
        if draft.allowed is not None:
            kept = torch.tensor(draft.allowed, device=scores.device)
            scores[row] = torch.full_like(scores[row], -math.inf).scatter(0, kept, logits.float()[row, kept])
    heat = torch.tensor([[draft.sampling.temperature or 1.0] for draft in drafts], device=scores.device)
    logprobs = torch.log_softmax(scores / heat, dim=-1)
    tokens = logprobs.argmax(dim=-1)
    if any(draft.sampling.temperature for draft in drafts):
        tokens = torch.where(_hot(drafts, scores.device), _sampled(logprobs, drafts), tokens)
    taken = logprobs.gather(1, tokens[:, None])[:, 0]
    return list(zip(tokens.tolist(), taken.tolist(), strict=True))


def _hot(drafts: Sequence[Draft], device: torch.device) -> torch.Tensor:
    return torch.tensor([draft.sampling.temperature > 0 for draft in drafts], device=device)


def _sampled(logprobs: torch.Tensor, drafts: Sequence[Draft]) -> torch.Tensor:
    """One id per row by inverting the distribution function at one random number per row.

    So a row's draw depends on its own seed alone, whatever else is in the batch and whatever device it is on.
    """
    chances = logprobs.double().exp()
    if any(draft.sampling.top_p < 1.0 for draft in drafts):
        chances = _nucleus(chances, drafts)
    total = chances.cumsum(dim=-1)
    numbers = torch.tensor([[draft.uniform()] for draft in drafts], dtype=torch.float64, device=logprobs.device)
    found = torch.searchsorted(total, numbers * total[:, -1:], right=True)[:, 0]
    return torch.where(found < total.shape[1], found, chances.argmax(dim=-1))


def _nucleus(chances: torch.Tensor, drafts: Sequence[Draft]) -> torch.Tensor:
    """Only the likeliest ids that together reach `top_p`."""
    limits = torch.tensor([[d.sampling.top_p] for d in drafts], dtype=torch.float64, device=chances.device)
    ranked, order = chances.sort(dim=-1, descending=True)
    before = ranked.cumsum(dim=-1) - ranked
    ranked = torch.where((before < limits) | (limits >= 1.0), ranked, 0.0)
    ranked[:, 0] = chances.amax(dim=-1)
    return torch.zeros_like(chances).scatter(1, order, ranked)
