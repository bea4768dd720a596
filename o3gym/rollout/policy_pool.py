"""Polling several policies concurrently."""

from __future__ import annotations

import time

from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Request
from o3gym.types import EpisodeKey, Reply

PAUSE = 0.002
"""Seconds between two checks while every policy waits for a server."""


class PolicyPool:
    """Submits requests to several policies and collects their replies; every policy with work to do gets its turn.

    A policy that waits for a server (`Policy.waits`) is skipped while another has work, so that neither a remote
    reasoner nor a local searcher stalls the other.
    """

    def __init__(self) -> None:
        self._open: dict[EpisodeKey, Policy] = {}

    def submit(self, policy: Policy, request: Request) -> None:
        """Submits a request to `policy`; the request's key must not be open already."""
        self._open[request.key] = policy
        policy.submit(request)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies that are ready; blocks until there is one while any request is open."""
        replies = [answered for policy in self._ready() for answered in policy.poll()]
        for key, _ in replies:
            self._open.pop(key, None)
        return replies

    def _ready(self) -> list[Policy]:
        """Returns the policies to poll: those with open requests that would not block, as soon as there are any.

        A single policy is returned even if it waits: it may block in `poll`, as it holds up nobody.
        """
        policies = list({id(policy): policy for policy in self._open.values()}.values())
        while len(policies) > 1:
            if ready := [policy for policy in policies if not policy.waits()]:
                return ready
            time.sleep(PAUSE)
        return policies
