"""Replies that are being sampled: which tokens are allowed next, at what temperature, and when a reply is complete."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from o3gym.policies.code_tags import ends_inside, in_parts
from o3gym.policies.local.encoding import Encoder
from o3gym.sampling import Sampling
from o3gym.types import Finish, Reply, Usage

Trie: TypeAlias = dict[int, Any]
"""Maps the next token to the trie below it, and an end token to the text that is then complete."""
STOP_WINDOW = 4
"""Additional tokens in the window that is searched for a stop string.

A text token holds at least one byte, so a stop string of n bytes lies within the last n tokens. But a byte-level
token may begin or end inside a multi-byte character, which decodes correctly only together with its other bytes: at
most three more in UTF-8.
"""


def window_of(strings: Sequence[str]) -> int:
    """Returns the number of tokens at the end of a text that hold any of the strings if the last token completes it."""
    return max((len(string.encode()) for string in strings), default=0) + STOP_WINDOW


def trie_of(choices: Sequence[str], encoder: Encoder) -> Trie:
    """Builds the trie of the token sequences that spell one of the texts and then end the reply."""
    root: Trie = {}
    for text in choices:
        node = root
        for token in encoder.tokens(text):
            node = node.setdefault(token, {})
        node[encoder.end] = text
    return root


class CodeSpans:
    """Which tokens of a growing reply are code.

    A token is code if the text of all tokens before it ends inside of code (`ends_inside`). So the token that completes
    the opening tag is the last token of the text, and the one that completes the closing tag is the last token of the
    code, whatever further characters they hold.

    Args:
        tags: the opening and the closing tag.
        encoder: decodes the ids.

    Attributes:
        inside: whether the next token is code.
    """

    def __init__(self, tags: Sequence[str], encoder: Encoder) -> None:
        self._tags, self._encoder = tags, encoder
        self._window = window_of(tags)
        self._closed: list[tuple[int, int]] = []
        self._start = 0
        self.inside = False

    def accept(self, ids: Sequence[int]) -> bool:
        """Takes note of the last of the reply's ids; returns whether it begins or ends code."""
        # As with stop strings, the whole reply is decoded only if the last few tokens contain the tag.
        if self._tags[self.inside] not in self._encoder.text(ids[-self._window :]):
            return False
        inside = ends_inside(self._encoder.text(ids), self._tags)
        if inside == self.inside:
            return False
        self.inside = inside
        if inside:
            self._start = len(ids)
        else:
            self._closed.append((self._start, len(ids)))
        return True

    def spans(self, count: int) -> tuple[tuple[int, int], ...]:
        """Returns the [start, end) spans of code in a reply of `count` tokens."""
        unfinished = [(self._start, count)] if self.inside and count > self._start else []
        return (*self._closed, *unfinished)


class Draft:
    """A reply that is being sampled.

    Args:
        sampling: sampling parameters.
        encoder: decodes the ids.
        room: number of tokens that still fit into the context, at least 1.
        eos: ids that end a reply.
        trie: trie of `sampling.choices`; empty for free text.
        context: ids that the model has read, which a repetition penalty applies to.

    Attributes:
        ids: ids sampled so far.
        logprobs: log-probability of each id.
        finish: how the reply ended; "stop" until it ends otherwise.
        limit: maximum number of ids.
        turned: whether the last token began or ended code.
        seen: int64 (n,): the ids that occur in the context or in the reply, each once; empty without a repetition
            penalty.
    """

    def __init__(
        self,
        sampling: Sampling,
        encoder: Encoder,
        room: int,
        eos: frozenset[int],
        trie: Trie,
        context: Iterable[int] = (),
    ) -> None:
        self.sampling, self._encoder, self._eos = sampling, encoder, eos
        self.limit = max(1, min(sampling.max_tokens, room))
        self._rng = random.Random(sampling.seed)
        self._window = window_of(sampling.stop)
        self._code = CodeSpans(sampling.code_tags, encoder) if in_parts(sampling) else None
        self._known = set(context) if sampling.repetition_penalty != 1.0 else set[int]()
        self.seen: NDArray[np.int64] = np.fromiter(self._known, np.int64)
        self._node: Any = trie or None
        self._text: str | None = None
        self.finish: Finish = "stop"
        self._error = ""
        self.turned = False
        self.ids: list[int] = []
        self.logprobs: list[float] = []

    @property
    def allowed(self) -> list[int] | None:
        """The ids allowed next; None if all but the forbidden ids are."""
        return None if self._node is None else list(self._node)

    @property
    def temperature(self) -> float:
        """The temperature at which the next token is sampled."""
        inside = self._code is not None and self._code.inside
        code = self.sampling.code_temperature
        return code if inside and code is not None else self.sampling.temperature

    def uniform(self) -> float:
        """Draws the random number in [0, 1) that decides the next token."""
        return self._rng.random()

    def accept(self, token: int, logprob: float) -> bool:
        """Appends a token; returns whether the reply is complete."""
        if not math.isfinite(logprob):  # broken weights leave no distribution to sample from
            self.finish, self._error = "error", "the model's logits are not finite"
            return True
        self.ids.append(token)
        self.logprobs.append(logprob)
        self.turned = self._code is not None and self._code.accept(self.ids)
        if self.sampling.repetition_penalty != 1.0 and token not in self._known:
            self._known.add(token)
            self.seen = np.append(self.seen, token)
        if self._node is not None:
            self._node = self._node[token]
            over = isinstance(self._node, str)
            self._text = self._node if over else None
        else:
            over = token in self._eos or self._stopped()
        if not over and len(self.ids) >= self.limit:
            self.finish, over = "length", True
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
            finish=self.finish,
            error=self._error,
            usage=Usage(context, len(self.ids)),
            code=self._code.spans(len(self.ids)) if self._code is not None else (),
        )
