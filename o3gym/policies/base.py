"""What a policy is: something that replies to dialogues.

The simplest policy implements `act(requests) -> replies` and inherits the rest. Backends that run requests side by side
implement `submit` and `poll` instead, so that the slowest of 64 dialogues never holds up the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from o3gym.policies.dialogue import Request
from o3gym.registry import POLICIES, build_plugin, parse_spec
from o3gym.types import EpisodeKey, Reply, Size


class Policy:
    """Base of all policies.

    Attributes:
        privileged: whether requests carry the truth (`Request.privileged`); only for scripted policies.
        dialect: the dialect that it speaks, where it speaks only one; "" for any.
        env: arguments of the environment that it needs, where the user names none.
        packages: distributions besides the package's own on whose versions its replies depend, for the protocol.
    """

    privileged: ClassVar[bool] = False
    dialect: ClassVar[str] = ""
    env: ClassVar[Mapping[str, Any]] = {}
    packages: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        self._queue: list[Request] = []

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """One reply per request, in order."""
        raise NotImplementedError

    def submit(self, request: Request) -> None:
        """Accept a request; its reply comes out of a later `poll`."""
        self._queue.append(request)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Replies that are ready; waits for at least one while any request is open.

        An exception becomes replies with `finish="error"`: where a whole batch fails, its requests are tried alone, so
        that one bad dialogue does not take the others with it.
        """
        batch, self._queue = self._queue, []
        try:
            replies = self.act(batch)
        except Exception as error:
            replies = [self._alone(request, error, alone=len(batch) == 1) for request in batch]
        return [(request.key, reply) for request, reply in zip(batch, replies, strict=True)]

    def _alone(self, request: Request, error: Exception, *, alone: bool) -> Reply:
        try:
            if not alone:
                return self.act([request])[0]
        except Exception as again:
            error = again
        return Reply("", finish="error", error=f"{type(error).__name__}: {error}"[:500])

    def waits(self) -> bool:
        """Whether `poll` would do nothing but wait now: replies are made elsewhere, and none has come yet."""
        return False

    def release(self, key: EpisodeKey) -> None:
        """The episode `key` is over: forget what was kept for it."""

    def vision_size(self, width: int, height: int) -> Size:
        """The size to which the model's processor will bring a picture of this size; the identity by default."""
        return (width, height)

    def close(self) -> None:
        """Free what the policy holds."""


def split_control(spec: str) -> tuple[str, str | None]:
    """Split a policy from its control: "oracle+blank_crop" is "oracle" under "blank_crop".

    What stands in parentheses belongs to the policy.
    """
    end = spec.rfind(")") + 1
    policy, plus, control = spec[end:].rpartition("+")
    return (spec[:end] + policy, control) if plus else (spec, None)


def make_policy(spec: str, **options: Any) -> Policy:
    """A policy by name: "oracle", "sweep?cells=9", "name:argument". Raises `UnknownName` with the closest name.

    Options in the spec win over `options`.
    """
    name, argument, inline = parse_spec(spec)
    policy: Policy = build_plugin("policy", name, POLICIES[name], argument, **{**options, **inline})
    return policy


def replies_to(policy: Policy, requests: Iterable[Request], in_flight: int) -> Iterator[tuple[EpisodeKey, Reply]]:
    """The key and the reply of each request, as they come, with at most `in_flight` open at once.

    Requests have different keys. They are taken when there is room for them, and released when they are answered.
    """
    waiting, going = iter(requests), 0
    while True:
        while going < in_flight and (request := next(waiting, None)) is not None:
            policy.submit(request)
            going += 1
        if not going:
            return
        for key, reply in policy.poll():
            going -= 1
            policy.release(key)
            yield key, reply
