"""The policy interface: a policy generates an agent's replies.

The simplest policy implements `act(requests) -> replies` and inherits the rest. A backend that serves requests
concurrently implements `submit` and `poll` instead, so that the slowest of 64 dialogues never holds up the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.policies.dialogue import Request
from o3gym.registry import POLICIES, build_plugin, parse_spec
from o3gym.types import EpisodeKey, Reply, Size


class Policy:
    """Base class of all policies.

    Attributes:
        privileged: whether requests carry the ground truth (`Request.privileged`); true for scripted policies only.
        dialect: the only dialect that the policy speaks, or "" if it speaks any.
        env: environment arguments that the policy needs; they apply where the user sets none.
        packages: distributions whose versions affect the replies; the run's protocol records them.
    """

    privileged: ClassVar[bool] = False
    dialect: ClassVar[str] = ""
    env: ClassVar[Mapping[str, Any]] = {}
    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._queue: list[Request] = []

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Returns one reply per request, in order."""
        raise NotImplementedError

    def submit(self, request: Request) -> None:
        """Accepts a request; a later `poll` returns its reply."""
        self._queue.append(request)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that are ready; blocks until there is at least one while any request is open.

        An exception becomes a reply with `finish="error"`. If a whole batch fails, each of its requests is retried
        alone, so that one bad dialogue does not take the others down with it.
        """
        batch, self._queue = self._queue, []
        try:
            replies = self.act(batch)
        except Exception as error:
            replies = [self._retry(request) if len(batch) > 1 else error_reply(error) for request in batch]
        return [(request.key, reply) for request, reply in zip(batch, replies, strict=True)]

    def _retry(self, request: Request) -> Reply:
        try:
            return self.act([request])[0]
        except Exception as error:
            return error_reply(error)

    def waits(self) -> bool:
        """Whether `poll` would only block now, because the replies are generated elsewhere and none has arrived."""
        return False

    def release(self, key: EpisodeKey) -> None:
        """Discards everything kept for the episode `key`, which has ended."""

    def vision_size(self, width: int, height: int) -> Size:
        """The size to which the model's processor will resize a picture of this size; the identity by default."""
        return (width, height)

    def close(self) -> None:
        """Frees the policy's resources."""


def error_reply(error: Exception) -> Reply:
    """The reply that stands for a failure: no text, `finish="error"`, and the exception in at most 500 characters."""
    return Reply("", finish="error", error=f"{type(error).__name__}: {error}"[:500])


def split_control(spec: str) -> tuple[str, str | None]:
    """Splits a policy spec from its control: "oracle+blank_crop" is "oracle" under the control "blank_crop".

    A "+" inside parentheses belongs to the policy.
    """
    end = spec.rfind(")") + 1
    policy, plus, control = spec[end:].rpartition("+")
    return (spec[:end] + policy, control) if plus else (spec, None)


def make_policy(spec: str, **options: Any) -> Policy:
    """Builds a policy from a spec string such as "oracle", "sweep?cells=9" or "name:argument".

    Options in the spec win over `options`.

    Raises:
        UnknownName: no policy has this name; the message suggests the closest one.
    """
    name, argument, inline = parse_spec(spec)
    policy: Policy = build_plugin("policy", name, POLICIES[name], argument, **{**options, **inline})
    return policy
