"""Slow steps run beside the loop: they hold up nobody, end in order, and are over when the rollout is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from o3gym.calls import answer, code, noop
from o3gym.dialects.base import Dialect
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Picture, Request
from o3gym.rollout import loop
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.rollout.slow_steps import SlowSteps
from o3gym.sandbox import Outcome
from o3gym.types import Call, Parsed, Reply, Task, Trajectory, View
from tests.scripted_sandbox import ScriptedSandbox, png

SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {
    **{"suite": "synthetic", "suite_args": SMALL, "min_pixels": 1000, "max_pixels": 40_000, "max_turns": 4},
    **{"tools": ["code", "answer"], "sandbox": "trust"},
}


class Plain(Dialect):
    """A reply is a call: "run: SOURCE", or else an answer."""

    name = "plain"
    tools = ("code", "answer")

    def prompt(self, tools: Mapping[str, Any], task: Task) -> str:
        return ""

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        return [*views, text]

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        kind, _, source = text.partition(": ")
        return Parsed(noop("void", "") if not text else code(source) if kind == "run" else answer(text))

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        return ""


class Coder(Policy):
    """Runs one piece of code, which knows the name of its task, and answers with what it printed."""

    def __init__(self, source: str = "print({group!r})") -> None:
        super().__init__()
        self.source, self.batches = source, list[list[str]]()

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        self.batches.append([request.key[1] for request in requests])
        return [Reply(self.reply(request)) for request in requests]

    def reply(self, request: Request) -> str:
        messages = request.dialogue.messages
        if len(messages) == 2:
            return "run: " + self.source.format(group=request.key[1])
        return next(part for part in messages[-1].parts if isinstance(part, str)) or "pictures"


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedSandbox:
    sandbox = ScriptedSandbox()
    monkeypatch.setattr("o3gym.envs.checks.open_sandbox", lambda spec: sandbox)
    monkeypatch.setattr(loop, "SlowSteps", partial(SlowSteps, patience=0.01))
    return sandbox


def run(policy: Policy, count: int, **options: Any) -> Iterator[Trajectory]:
    jobs = [Job(index, f"g{index}", seed=index) for index in range(count)]
    return rollout(jobs, policy, Plain(), Arm("arm", ENV), **options)


def step_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("o3gym-step")]


def test_a_step_that_hangs_holds_up_no_other_episode(scripted: ScriptedSandbox) -> None:
    others_ended = threading.Event()

    def hang(source: str) -> Outcome:
        return Outcome(text="free" if others_ended.wait(10) else "held up")

    outcomes: list[Outcome | Callable[[str], Outcome]] = [hang, *(Outcome(text="quick") for _ in range(5))]
    scripted.outcomes = outcomes
    answers = []
    for trajectory in run(Coder(), 6, in_flight=2):
        answers.append(trajectory.answer)
        if len(answers) == 5:
            others_ended.set()
    assert answers == ["quick"] * 5 + ["free"]
    assert not step_threads()


def test_quick_steps_keep_the_batches_full_and_in_order(scripted: ScriptedSandbox, monkeypatch) -> None:
    """What a local policy computes depends a little on the composition of its batches."""
    monkeypatch.setattr(loop, "SlowSteps", SlowSteps)
    delays = [0.03, 0.0, 0.02, 0.01]

    def wait(source: str) -> Outcome:
        time.sleep(delays[int(source[-3])])
        return Outcome(text="done")

    scripted.outcomes = [wait] * 4
    policy = Coder()
    assert len(list(run(policy, 4))) == 4
    assert policy.batches == [["g0", "g1", "g2", "g3"]] * 2


def test_a_step_that_raises_ends_its_own_episode_only(scripted: ScriptedSandbox) -> None:
    def raising(source: str) -> Outcome:
        if "g1" in source:
            raise OSError("no more processes")
        return Outcome(text="fine")

    scripted.outcomes = [raising] * 3
    ended = {t.group: t for t in run(Coder(), 3)}
    assert [ended[group].stop for group in ("g0", "g1", "g2")] == ["answered", "error", "answered"]
    assert ended["g1"].turns[-1].reply.error == "OSError: no more processes"
    assert all(worker.closed for worker in scripted.workers)


def test_an_episode_that_is_stopped_by_its_policy_ends_its_sandbox(scripted: ScriptedSandbox) -> None:
    """Its environment has not ended the episode, and lies idle until another job needs it."""

    class Failing(Coder):
        def act(self, requests: Sequence[Request]) -> list[Reply]:
            first = len(requests[0].dialogue.messages) == 2
            return [Reply("run: 1") if first else Reply("", finish="error", error="out of luck") for _ in requests]

    episodes = run(Failing(), 2, in_flight=1)
    assert next(episodes).stop == "error"
    assert [worker.closed for worker in scripted.workers] == [1]


def test_a_finished_step_goes_on_while_the_policy_waits_for_a_server(scripted: ScriptedSandbox) -> None:
    class Server(Coder):
        """Answers the first request, and then waits until all code has run."""

        def waits(self) -> bool:
            return len(self.batches) == 1 and len(scripted.outcomes) > 0

        def poll(self) -> list[Any]:
            assert not self.waits(), "polled while it would only wait"
            return super().poll()

    def slow(source: str) -> Outcome:
        time.sleep(0.03)
        return Outcome(text="slow")

    scripted.outcomes = [slow, Outcome(text="quick")]
    assert sorted(t.answer for t in run(Server(), 2)) == ["quick", "slow"]


def test_abandoning_a_rollout_ends_the_code_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "SlowSteps", partial(SlowSteps, patience=0.01))

    class Endless(Coder):
        def reply(self, request: Request) -> str:
            return "run: while True: pass" if request.key[1] == "g0" else "done"

    started = time.monotonic()
    episodes = run(Endless(), 3, in_flight=2)
    assert [next(episodes).answer, next(episodes).answer] == ["done", "done"]
    episodes.close()
    assert time.monotonic() - started < 5  # the limit of a call is ten seconds
    assert not step_threads()


def test_the_record_has_the_code_its_output_and_its_pictures() -> None:
    (trajectory,) = run(Coder("print(view_0.size)\nview_0.crop((0, 0, 40, 30)).show()"), 1)
    first, second = trajectory.turns
    width, height = trajectory.views[0].native
    assert (first.parsed.call.tool, first.views, first.feedback) == ("code", (1,), f"({width}, {height})")
    assert (trajectory.views[1].native, trajectory.stop) == ((40, 30), "answered")
    assert trajectory.sources[1].data is not None
    assert second.error == ""


def test_the_policy_sees_the_pictures_of_the_code(scripted: ScriptedSandbox) -> None:
    sizes: list[list[tuple[int, ...]]] = []

    class Looker(Coder):
        def reply(self, request: Request) -> str:
            parts = [part for message in request.dialogue.messages for part in message.parts]
            sizes.append([part.load().shape for part in parts if isinstance(part, Picture)][1:])
            return super().reply(request)

    scripted.outcomes = [Outcome(shown=(png(60, 40),))]
    list(run(Looker(), 1))
    assert sizes == [[], [(40, 60, 3)]]


def test_the_same_jobs_give_the_same_trajectories() -> None:
    source = "import numpy as np\nprint(np.asarray(view_0).mean())\nview_0.rotate(30).show()\nprint({group!r})"
    first, second = (
        {t.group: t.to_json() for t in run(Coder(source), 3)},
        {t.group: t.to_json() for t in run(Coder(source), 3)},
    )
    assert first == second


# ── The steps themselves ────────────────────────────────────────────────────────────────────────────────────────────


def test_steps_come_back_in_the_order_in_which_they_were_started() -> None:
    steps: SlowSteps[str] = SlowSteps(4)
    assert steps.finished(block=True) == []
    for name, delay in (("a", 0.02), ("b", 0.0), ("c", 0.01)):
        steps.start(name, partial(time.sleep, delay))
    assert [key for key, _ in steps.finished(block=False)] == ["a", "b", "c"]
    assert len(steps) == 0
    steps.close()


def test_a_step_is_waited_for_only_as_long_as_the_patience() -> None:
    steps: SlowSteps[str] = SlowSteps(2, patience=0.0)
    release = threading.Event()
    steps.start("late", lambda: release.wait(5) and "result")
    assert steps.finished(block=False) == []
    assert (len(steps), steps.any_finished()) == (1, False)
    release.set()
    ((key, step),) = steps.finished(block=True)
    assert (key, step()) == ("late", "result")
    steps.close()


def test_what_a_step_raises_is_raised_where_it_is_taken() -> None:
    steps: SlowSteps[str] = SlowSteps(1)
    steps.start("broken", lambda: 1 / 0)
    ((_, step),) = steps.finished(block=True)
    with pytest.raises(ZeroDivisionError):
        step()
    steps.close()
