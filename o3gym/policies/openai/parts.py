"""Replies that a chat server samples in parts, because their temperature changes where code begins and ends."""

from __future__ import annotations

from dataclasses import replace

from o3gym.arguments import LARGEST_SEED
from o3gym.policies.code_tags import ends_inside
from o3gym.sampling import Sampling
from o3gym.types import Reply, Usage


class TextParts:
    """A reply that is sampled by several requests, each at one temperature.

    A part ends with a tag of code, and the next request continues the message so far. The server is given text, not
    ids, so it tokenises every part anew.

    Args:
        sampling: sampling parameters of the whole reply.

    Attributes:
        text: the reply so far.
    """

    def __init__(self, sampling: Sampling) -> None:
        self.text = ""
        self._sampling, self._inside, self._part = sampling, False, 0
        self._usage: Usage | None = None

    def next_part(self) -> Sampling:
        """Returns the sampling parameters of the next part."""
        sampling = self._sampling
        code = sampling.code_temperature if self._inside else None
        return replace(
            sampling,
            temperature=sampling.temperature if code is None else code,
            max_tokens=self._left(),
            stop=(*sampling.stop, sampling.code_tags[self._inside]),
            seed=(sampling.seed + self._part) % LARGEST_SEED,
            code_temperature=None,
        )

    def accept(self, part: Reply) -> Reply | None:
        """Appends a part; returns the reply if it is complete.

        Raises:
            ValueError: there are further parts, and the server states no numbers of tokens, so that nothing would limit
                their length.
        """
        self.text += part.text
        self._usage = _added(self._usage, part.usage)
        inside = ends_inside(self.text, self._sampling.code_tags)
        stopped = self.text.endswith(self._sampling.stop) if self._sampling.stop else False
        if part.finish != "stop" or stopped or inside == self._inside:
            # A context that was full before the next part is the end of this reply, and not one without a reply.
            error = part.error if part.finish == "error" or not self.text else ""
            return Reply(self.text, finish=part.finish, error=error, usage=self._usage)
        if self._usage is None or not self._usage.completion_tokens:
            raise ValueError("code_temperature: the server states no usage, so a further part would have no limit")
        if self._left() < 1:
            return Reply(self.text, finish="length", usage=self._usage)
        self._inside, self._part = inside, self._part + 1
        return None

    def _left(self) -> int:
        return self._sampling.max_tokens - (self._usage.completion_tokens if self._usage else 0)


def _added(one: Usage | None, other: Usage | None) -> Usage | None:
    """Returns the usage of two parts: the prompt of the first, all tokens that were written, and the cost of both."""
    if one is None or other is None:
        return one or other
    costs = [usage.cost for usage in (one, other) if usage.cost is not None]
    tokens = one.completion_tokens + other.completion_tokens
    return Usage(one.prompt_tokens, tokens, sum(costs) if costs else None)
