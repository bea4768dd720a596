"""Several policies asked at once: each gets its turn, and none waits for another."""

from __future__ import annotations

from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Dialogue, Request
from o3gym.rollout.policy_pool import PolicyPool
from o3gym.types import Reply, Sampling


def request(name: str) -> Request:
    return Request(("arm", name, 0, "main"), Dialogue(), Sampling())


class Echo(Policy):
    def act(self, requests):
        return [Reply(request.key[1]) for request in requests]


class Remote(Echo):
    """Has its replies after `late` looks at it; polled before, it would wait for ever."""

    def __init__(self, late: int) -> None:
        super().__init__()
        self.late = late

    def waits(self) -> bool:
        self.late -= 1
        return self.late >= 0

    def act(self, requests):
        assert self.late < 0, "polled while it would only wait"
        return super().act(requests)


def test_all_that_are_ready_are_polled_once_each() -> None:
    polling, one, other = PolicyPool(), Echo(), Echo()
    for policy, name in ((one, "a"), (other, "b"), (one, "c")):
        polling.submit(policy, request(name))
    assert [reply.text for _, reply in polling.poll()] == ["a", "c", "b"]
    assert polling.poll() == []


def test_one_that_waits_is_passed_over_while_another_has_work() -> None:
    polling, slow, quick = PolicyPool(), Remote(late=3), Echo()
    polling.submit(slow, request("slow"))
    for name in ("a", "b"):
        polling.submit(quick, request(name))
        assert [reply.text for _, reply in polling.poll()] == [name]


def test_where_all_wait_the_first_that_has_something_is_polled() -> None:
    polling, slow, slower = PolicyPool(), Remote(late=2), Remote(late=50)
    polling.submit(slower, request("slower"))
    polling.submit(slow, request("slow"))
    assert [reply.text for _, reply in polling.poll()] == ["slow"]


def test_a_single_policy_is_left_to_wait_as_it_likes() -> None:
    class Sleeper(Echo):
        def waits(self) -> bool:
            raise AssertionError("nobody else wants a turn")

    polling, alone = PolicyPool(), Sleeper()
    polling.submit(alone, request("a"))
    assert [reply.text for _, reply in polling.poll()] == ["a"]
