"""Several policies asked at once: each gets its turn, and none waits for another."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest

from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Dialogue, Request
from o3gym.rollout.policy_pool import PolicyPool
from o3gym.sampling import Sampling
from o3gym.types import Reply


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


class Nonsense(Policy):
    """Returns what it is told to."""

    def __init__(self, *, act: Any = None, poll: Any = None) -> None:
        super().__init__()
        self.returned, self.polled = act, poll

    def act(self, requests: Any) -> Any:
        return self.returned(requests)

    def poll(self) -> Any:
        return super().poll() if self.polled is None else self.polled()


def broken(key: Any) -> Any:
    raise ZeroDivisionError("a bug")


EACH: dict[str, tuple[Any, str]] = {
    "None": (None, "replied None, expected an o3gym.types.Reply"),
    "a string": ("B", "replied str 'B', expected an o3gym.types.Reply; wrap the text"),
    "text None": (Reply(None), "text: expected a string, got None"),  # type: ignore[arg-type]
    "text bytes": (Reply(b"B"), "text: expected a string, got bytes b'B'"),  # type: ignore[arg-type]
    "finish": (Reply("B", finish="done"), "finish: expected one of stop, length, error, got str 'done'"),  # type: ignore[arg-type]
    "ids": (Reply("B", token_ids="12"), "token_ids: expected a tuple or None"),  # type: ignore[arg-type]
    "one log-probability too few": (
        Reply("B", (1, 2), (-0.5,)),
        "logprobs: expected one for each of 2 token ids, got 1",
    ),
    "log-probabilities without ids": (Reply("B", None, (-0.5,)), "logprobs: expected one for each of 0 token ids"),
    "code beyond the ids": (Reply("B", (1, 2), code=((0, 3),)), r"code: expected spans within 2 token ids"),
    "code out of order": (Reply("B", (1, 2), code=((1, 2), (0, 1))), r"code: .* got \(\(1, 2\), \(0, 1\)\)"),
    "nan": (Reply("B", (1, 2), (-0.5, math.nan)), r"logprobs\[1\]: expected a finite number, got float nan"),
    "None among them": (Reply("B", (1,), (None,)), r"logprobs\[0\]: expected a finite number, got None"),  # type: ignore[arg-type]
}
ALL: dict[str, tuple[Policy, str]] = {
    "act: nothing": (Nonsense(act=lambda requests: None), "act returned None, expected a list of replies"),
    "act: too few": (Nonsense(act=lambda requests: [Reply("B")]), "act returned 1 replies to 3 requests"),
    "act: too many": (Nonsense(act=lambda requests: [Reply("B")] * 4), "act returned 4 replies to 3 requests"),
    "poll: nothing": (Nonsense(poll=lambda: None), "poll returned a NoneType, expected a list"),
    "poll: no keys": (Nonsense(poll=lambda: [Reply("B")]), r"expected pairs \(key, reply\)"),
    "poll: a stranger's": (Nonsense(poll=lambda: [("x", Reply("B"))]), "replied to 'x', which is no open request"),
    "poll: twice": (Nonsense(poll=lambda: [(request("a").key, Reply("B"))] * 2), "which is no open request"),
    "poll: raises": (Nonsense(poll=lambda: broken(0)), "poll raised ZeroDivisionError: a bug"),
}


@pytest.mark.parametrize("case", EACH)
def test_a_reply_that_is_none_is_an_error_that_names_the_policy(case: str) -> None:
    returned, said = EACH[case]
    polling = PolicyPool()
    policy = Nonsense(act=lambda requests: [Reply("fine") if r.key[1] == "a" else returned for r in requests])
    for name in ("a", "b"):
        polling.submit(policy, request(name))
    (_, fine), (_, bad) = polling.poll()
    assert fine.text == "fine"
    assert bad.finish == "error"
    assert f"{__name__}.Nonsense" in bad.error
    assert re.search(said, bad.error), bad.error


@pytest.mark.parametrize("case", ALL)
def test_where_replies_cannot_be_told_apart_all_requests_fail_once(case: str) -> None:
    policy, said = ALL[case]
    polling = PolicyPool()
    for name in ("a", "b", "c"):
        polling.submit(policy, request(name))
    replies = dict(polling.poll())
    assert {key[1] for key in replies} == {"a", "b", "c"}
    assert {reply.finish for reply in replies.values()} == {"error"}
    for reply in replies.values():
        assert f"{__name__}.Nonsense" in reply.error
        assert re.search(said, reply.error), reply.error
    assert polling.poll() == []


def test_a_request_that_cannot_be_submitted_fails_alone() -> None:
    class Full(Echo):
        def submit(self, request: Request) -> None:
            if request.key[1] == "b":
                raise OSError("no room")
            super().submit(request)

    polling, policy = PolicyPool(), Full()
    for name in ("a", "b"):
        polling.submit(policy, request(name))
    replies = {key[1]: reply for _ in range(2) for key, reply in polling.poll()}
    assert replies["a"].text == "a"
    assert "Full.submit raised OSError: no room" in replies["b"].error


def test_two_episodes_with_one_key_are_told_apart_by_nobody() -> None:
    polling = PolicyPool()
    polling.submit(Echo(), request("a"))
    with pytest.raises(ValueError, match="two episodes have the key"):
        polling.submit(Echo(), request("a"))


def test_all_that_wait_can_be_interrupted() -> None:
    polling, slow = PolicyPool(), Remote(late=10**6)
    polling.submit(slow, request("slow"))
    looks = iter([False, False, True])
    assert polling.busy
    assert polling.poll(lambda: next(looks)) == []
    slow.late = 0
    assert [reply.text for _, reply in polling.poll(lambda: False)] == ["slow"]
    assert not polling.busy
