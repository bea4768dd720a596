"""Asking several policies at once."""

from __future__ import annotations

import time

from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Request
from o3gym.types import EpisodeKey, Reply

PAUSE = 0.002
"""Seconds between two looks at policies that all wait for a server."""


class PolicyPool:
    """Hands requests to policies and brings replies: every policy that has something to do gets its turn.

    One that waits for a server (`Policy.waits`) is passed over while another has work, so that neither a remote
    reasoner nor a local searcher stands still for the other.
    """

    def __init__(self) -> None:
        self._open: dict[EpisodeKey, Policy] = {}

    def submit(self, policy: Policy, request: Request) -> None:
        """Ask `policy`; the key must not be open already."""
        self._open[request.key] = policy
        policy.submit(request)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Replies of every policy that has some; waits for one while any request is open."""
        replies = [answered for policy in self._ready() for answered in policy.poll()]
        for key, _ in replies:
            self._open.pop(key, None)
        return replies

    def _ready(self) -> list[Policy]:
        """Policies with open requests: the only one, or those that need not wait, once there are any."""
        asked = list({id(policy): policy for policy in self._open.values()}.values())
        while len(asked) > 1:
            if ready := [policy for policy in asked if not policy.waits()]:
                return ready
            time.sleep(PAUSE)
        return asked
