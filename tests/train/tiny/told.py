"""A policy that replies what it was told to, to play lessons in the real environment."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message, Picture, Request
from o3gym.types import Reply


class Told(Policy):
    """Replies what it was told to, and keeps the messages of the last request.

    Args:
        replies: the replies, in order.
        sight: the size at which it sees a region.
    """

    def __init__(self, replies: Sequence[str], sight: Callable[[int, int], tuple[int, int]]) -> None:
        super().__init__()
        self.replies, self.seen = list(replies), list[Message]()
        self.vision_size = sight  # type: ignore[method-assign]

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        self.seen = list(requests[0].dialogue.messages)
        return [Reply(self.replies.pop(0))]


def pictures(messages: Sequence[Message]) -> list[Picture]:
    return [part for message in messages for part in message.parts if isinstance(part, Picture)]
