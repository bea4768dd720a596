"""The openai policy against a real server process with a real model, and the same model without a server between."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from o3gym.calls import answer, crop
from o3gym.dialects.qwen3_vl import Qwen3VL
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Request
from o3gym.policies.openai import policy as module
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.types import Parsed, Trajectory, View
from tests.policies.openai.chat_server import Served

SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"suite": "synthetic", "suite_args": SMALL, "min_pixels": 1000, "max_pixels": 20_000, "max_turns": 5}


class Whatever(Qwen3VL):
    """Takes whatever is said for a call, so that a random model looks around: three crops, then an answer."""

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        x, y = (byte / 512 for byte in hashlib.sha256(text.encode()).digest()[:2])
        return Parsed(answer("A") if len(views) > 3 else crop((x, y, x + 0.5, y + 0.5)), well_formed=True)

    parse_cut = parse


@pytest.fixture(scope="module")
def folder(vlm: Callable[[str], str]) -> str:
    return vlm("qwen3_vl")


@pytest.fixture(scope="module")
def server(folder: str) -> Iterator[Served]:
    """A process that imports torch and transformers, which takes longer than all tests here: the last one kills it."""
    with Served(folder) as served:
        yield served


@pytest.fixture(scope="module")
def direct(folder: str) -> Any:
    return make_policy(f"transformers:{folder}")


@pytest.fixture
def behind(server: Served) -> Iterator[Policy]:
    policy = make_policy(f"openai:m?base_url={server.url}")
    yield policy
    policy.close()


def episodes(policy: Policy, count: int = 4, **sampling: Any) -> Iterator[Trajectory]:
    jobs = [Job(index, f"g{index}", seed=index) for index in range(count)]
    arm = Arm("arm", ENV, "policy", "whatever", Sampling(**{"max_tokens": 12, **sampling}))
    return rollout(jobs, policy, Whatever(), arm, in_flight=4)


def told(trajectories: Iterator[Trajectory]) -> list[Any]:
    """What each episode was: its views, its replies, what they cost."""
    ordered = sorted(trajectories, key=lambda t: t.group)
    said = [[(turn.reply.text, turn.reply.finish, turn.reply.usage) for turn in t.turns] for t in ordered]
    return [(t.stop, t.views, replies) for t, replies in zip(ordered, said, strict=True)]


@pytest.mark.parametrize("stop", [(), ("e", "a", "o")], ids=["to the limit", "to a stop string"])
def test_episodes_through_the_server_are_those_without_it(behind: Policy, direct: Any, stop: tuple[str, ...]) -> None:
    behind.vision_size = direct.vision_size  # type: ignore[method-assign] - the model's sizes, so that nothing is resized
    through, without = (told(episodes(policy, stop=stop)) for policy in (behind, direct))
    assert through == without
    assert {(end, len(views), len(replies)) for end, views, replies in through} == {("answered", 4, 4)}
    if stop:
        assert any(text.endswith(stop) for _, _, replies in through for text, _, _ in replies)


def test_pictures_of_any_size_are_taken(behind: Policy) -> None:
    assert {t.stop for t in episodes(behind, 2)} == {"answered"}


def test_a_dialogue_that_is_too_long_is_told_as_such(behind: Policy) -> None:
    dialogue = Dialogue()
    dialogue.add("user", ["word " * 9000])
    behind.submit(Request(("arm", "long", 0, "main"), dialogue, Sampling()))
    assert behind.poll()[0][1].error == CONTEXT_FULL


def test_a_server_that_is_killed_leaves_error_episodes_and_the_run_goes_on(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT", 0.002)
    policy = make_policy(f"openai:m?base_url={server.url}&retries=1")
    ended = []
    for trajectory in episodes(policy, 12):
        ended.append(trajectory)
        server.kill()  # no test of this file may follow
    policy.close()
    assert len({t.group for t in ended}) == 12
    assert ended[0].stop == "answered"
    lost = [t for t in ended if t.stop == "error"]
    assert len(lost) >= 8
    assert all("onnect" in t.turns[-1].reply.error for t in lost)
