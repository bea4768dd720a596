"""Polling several policies concurrently."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from o3gym.policies.base import Policy, PolicyError, checked_reply, error_reply, policy_name
from o3gym.policies.dialogue import Request
from o3gym.types import EpisodeKey, Reply

PAUSE = 0.002
"""Seconds between two checks while every policy waits for a server."""


class PolicyPool:
    """Submits requests to several policies and collects their replies; every policy with work to do gets its turn.

    A policy that waits for a server (`Policy.waits`) is skipped while another has work, so that neither a remote
    reasoner nor a local searcher stalls the other.

    Every reply that enters a rollout passes through here and is checked. A policy that raises, or returns something
    that is not a reply, never raises out of the pool: the requests concerned get replies with `finish="error"` whose
    reason names the policy.
    """

    def __init__(self) -> None:
        self._open: dict[EpisodeKey, Policy] = {}
        self._failed: list[tuple[EpisodeKey, Reply]] = []

    def submit(self, policy: Policy, request: Request) -> None:
        """Submits a request to `policy`. Raises ValueError if a request with the same key is open already."""
        if request.key in self._open:
            raise ValueError(f"two episodes have the key {request.key}; the jobs of a rollout need different groups")
        self._open[request.key] = policy
        try:
            policy.submit(request)
        except Exception as error:
            self._failed.append((request.key, _failure(policy, "submit", error)))

    @property
    def busy(self) -> bool:
        """Whether any request is open."""
        return bool(self._open)

    def poll(self, interrupted: Callable[[], bool] | None = None) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that are ready; blocks until there is one while any request is open.

        Args:
            interrupted: checked while all policies wait for servers; the call returns without a reply once it is true.
        """
        replies, self._failed = self._failed, []
        if not replies:
            replies = [answered for policy in self._ready(interrupted) for answered in self._poll(policy)]
        for key, _ in replies:
            self._open.pop(key, None)
        return replies

    def _poll(self, policy: Policy) -> list[tuple[EpisodeKey, Reply]]:
        """Polls one policy. If it raises or breaks the protocol, all its open requests fail: none can be told apart."""
        asked = [key for key, owner in self._open.items() if owner is policy]
        try:
            answered = _pairs(policy, policy.poll(), asked)
        except Exception as error:
            return [(key, _failure(policy, "poll", error)) for key in asked]
        return [(key, checked_reply(reply, policy)) for key, reply in answered]

    def _ready(self, interrupted: Callable[[], bool] | None) -> list[Policy]:
        """Returns the policies to poll: those with open requests that would not block, as soon as there are any.

        A single policy is returned even if it waits, unless there is something else to wait for: it may block in
        `poll`, as it holds up nobody.
        """
        policies = list({id(policy): policy for policy in self._open.values()}.values())
        while len(policies) > 1 or (policies and interrupted is not None):
            if ready := [policy for policy in policies if not policy.waits()]:
                return ready
            if interrupted is not None and interrupted():
                return []
            time.sleep(PAUSE)
        return policies


def _pairs(policy: Policy, answered: object, asked: Collection[EpisodeKey]) -> list[tuple[EpisodeKey, object]]:
    """Returns what `Policy.poll` returned. Raises `PolicyError` unless it answers requests that are open, each once."""
    if not isinstance(answered, list | tuple):
        raise PolicyError(f"{policy_name(policy)}.poll returned a {type(answered).__name__}, expected a list")
    left = set(asked)
    for pair in answered:
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise PolicyError(f"{policy_name(policy)}.poll returned {pair!r:.80}, expected pairs (key, reply)")
        if pair[0] not in left:
            raise PolicyError(f"{policy_name(policy)}.poll replied to {pair[0]!r:.80}, which is no open request")
        left.remove(pair[0])
    return list(answered)


def _failure(policy: Policy, method: str, error: Exception) -> Reply:
    if isinstance(error, PolicyError):
        return error_reply(error)
    return error_reply(PolicyError(f"{policy_name(policy)}.{method} raised {type(error).__name__}: {error}"))
