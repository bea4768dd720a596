"""Replies that vLLM samples in parts, because their temperature changes where code begins and ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from o3gym.arguments import LARGEST_SEED
from o3gym.policies.code_tags import in_parts
from o3gym.policies.local.drafts import Draft
from o3gym.policies.local.encoding import Encoder
from o3gym.sampling import Sampling
from o3gym.types import Finish, Reply


class PartedReply:
    """A reply that is sampled by several requests, each at one temperature.

    A part ends with the token that completes a tag of code. The next request then continues with the ids so far, at the
    other temperature and with what is left of the token limit.

    vLLM looks for tags and stop strings in the text of one part alone, so it misses one that spans two parts. Therefore
    `accept` replays the ids of a part token by token, by the same rules as our own decoding loop, and drops what vLLM
    sampled beyond the token at which the reply or the part should have ended.

    Args:
        sampling: sampling parameters of the whole reply.
        encoder: decodes the ids.
        room: number of tokens that still fit into the context, at least 1.

    Attributes:
        draft: the reply so far.
        exact: whether the log-probabilities of all ids so far are known.
    """

    def __init__(self, sampling: Sampling, encoder: Encoder, room: int) -> None:
        self.draft = Draft(sampling, encoder, room, encoder.eos, {})
        self.exact = True
        self._sampling, self._tags, self._part = sampling, sampling.code_tags, 0

    def next_part(self) -> Sampling:
        """Returns the sampling parameters of the next part."""
        return replace(
            self._sampling,
            temperature=self.draft.temperature,
            max_tokens=self.draft.limit - len(self.draft.ids),
            stop=(*self._sampling.stop, self._tags[self._part % 2]),
            # The parts of a reply must not share their random numbers.
            seed=(self._sampling.seed + self._part) % LARGEST_SEED,
            code_temperature=None,
        )

    def accept(self, ids: Sequence[int], logprobs: Sequence[float] | None, finish: Finish) -> bool:
        """Appends a part; returns whether the reply is complete."""
        self.exact = self.exact and logprobs is not None
        for token, logprob in zip(ids, logprobs or (0.0,) * len(ids), strict=True):
            if self.draft.accept(token, logprob):
                return True
            if self.draft.turned:
                self._part += 1
                return False
        self.draft.finish = finish
        return True

    def reply(self, prompt: Sequence[int], context: int) -> Reply:
        """Builds the finished reply; the arguments are those of `Draft.reply`."""
        made = self.draft.reply(prompt, context)
        return made if self.exact else replace(made, logprobs=None)


def parted_reply(sampling: Sampling, encoder: Encoder, room: int) -> PartedReply | None:
    """Returns a reply to be sampled in parts, or None if one request samples it whole.

    Raises:
        ValueError: the reply is one of `Sampling.choices` and may have code in it. vLLM follows choices from their
            beginning only.
    """
    if not in_parts(sampling):
        return None
    if not sampling.choices:
        return PartedReply(sampling, encoder, room)
    if any(sampling.code_tags[0] in choice for choice in sampling.choices):
        raise ValueError("code_temperature, choices: vLLM cannot change the temperature inside a constrained reply")
    return None


def exact_logprobs(part: Sampling, temperature: float, raw: bool) -> bool:
    """Whether vLLM reports log-probabilities as `Reply.logprobs` defines them.

    Its processed ones are normalised after the repetition penalty and the nucleus cut, at the temperature of the
    request; greedy ones are those of temperature 1. Its raw ones are those of temperature 1, over all ids and without
    any restriction.

    Args:
        part: sampling parameters of the request.
        temperature: temperature of the reply's text.
        raw: whether the engine reports raw log-probabilities.
    """
    reported = temperature or 1.0
    if raw:
        return reported == 1.0 and not part.choices
    cut = part.top_p < 1.0 and part.temperature > 0.0
    return not cut and part.repetition_penalty == 1.0 and (part.temperature or 1.0) == reported


def sampled_logprobs(completion: Any) -> tuple[float, ...]:
    """Returns the log-probabilities of the sampled ids.

    Raises:
        ValueError: vLLM reported none for some id, or one that is not a finite number.
    """
    ids, steps = completion.token_ids, completion.logprobs or ()
    if len(steps) != len(ids):
        raise ValueError(f"vLLM reported {len(steps)} log-probabilities for {len(ids)} tokens")
    values: list[float] = []
    for token, step in zip(ids, steps, strict=True):
        value = step[token].logprob if token in step else None
        if value is None or not math.isfinite(value):
            raise ValueError(f"vLLM reported {value} as the log-probability of token {len(values)} of a reply")
        values.append(value)
    return tuple(values)
