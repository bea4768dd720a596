"""The only episode loop: where environments and policies meet.

Many episodes are alive at once. Each waits for its own reply only, and as soon as one ends the next job takes its place
and its environment, so a batch is always full. Nothing that a policy or a picture does raises out of the loop: it
becomes a trajectory with `stop="error"` and the reason, and the others go on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import gymnasium as gym

from o3gym.dialects.base import Dialect
from o3gym.dialogue import CONTEXT_FULL, Dialogue, Key, Part, Peek, Picture, Request
from o3gym.images import Pixels, shared_store
from o3gym.policies.base import Policy
from o3gym.types import Parsed, Reply, Sampling, Stop, Task, Trajectory, Turn, View, answer, noop


@dataclass(frozen=True)
class Job:
    """One episode to run.

    Attributes:
        task: index into the environment's suite, or a task.
        group: names the siblings (rollouts of the same task); `sample`: number among them.
        seed: everything random in the episode follows from it.
    """

    task: int | Task
    group: str
    sample: int = 0
    seed: int = 0


@dataclass(frozen=True)
class Arm:
    """One compared condition: who acts, in which environment, in which words.

    Attributes:
        label: how reports call it.
        env: arguments of `o3gym/VisualSearch-v0`.
        policy: spec, for the record; `dialect`: spec, for the record.
        sampling: how replies are sampled; its seed is replaced by one per episode and turn.
        force_answer: in the last allowed turn of a choice task only the replies that answer with an option are allowed
            (`Sampling.choices`), for policies that can be held to it.
    """

    label: str = ""
    env: Mapping[str, Any] = field(default_factory=dict)
    policy: str = ""
    dialect: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    force_answer: bool = False


def rollout(
    jobs: Iterable[Job],
    policy: Policy,
    dialect: Dialect,
    arm: Arm,
    *,
    in_flight: int = 16,
    make_env: Callable[..., gym.Env[Any, Any]] | None = None,
) -> Iterator[Trajectory]:
    """Run every job and yield each trajectory as it ends, in no particular order.

    Args:
        jobs: consumed lazily, so that a suite of any size can be run.
        policy: replies; its `vision_size` decides the exact size of views.
        dialect: turns observations into messages and replies into calls.
        arm: the environment's arguments and the labels that are recorded.
        in_flight: episodes alive at once.
        make_env: builds an environment from `arm.env`; by default `gym.make("o3gym/VisualSearch-v0", …)`.

    Yields:
        Trajectories that are not settled yet: see `o3gym.rewards.settle`.
    """
    make_env = make_env or partial(gym.make, "o3gym/VisualSearch-v0")
    waiting = iter(jobs)
    idle: list[gym.Env[Any, Any]] = []
    live: dict[Key, _Live] = {}
    try:
        while True:
            while len(live) < in_flight and (job := next(waiting, None)) is not None:
                env = idle.pop() if idle else make_env(**arm.env)
                episode = _Live(job, env, policy, dialect, arm)
                if episode.start():
                    live[episode.key] = episode
                    policy.submit(episode.request())
                else:
                    _put_back(episode, idle)
                    yield episode.trajectory()
            if not live:
                return
            for key, reply in policy.poll():
                if live[key].take(reply):
                    policy.submit(live[key].request())
                else:
                    episode = live.pop(key)
                    _put_back(episode, idle)
                    policy.release(key)
                    yield episode.trajectory()
    finally:
        for env in [*idle, *(episode.env for episode in live.values())]:
            env.close()


def _put_back(episode: _Live, idle: list[gym.Env[Any, Any]]) -> None:
    """Keep an episode's environment for the next one, unless it raised."""
    if episode.broken:
        episode.env.close()
    else:
        idle.append(episode.env)


def collect(trajectories: Iterable[Trajectory]) -> list[list[Trajectory]]:
    """Groups of sibling trajectories, both sorted: the same lists whatever order the episodes ended in."""
    groups: dict[tuple[str, str], list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault((trajectory.arm, trajectory.group), []).append(trajectory)
    return [sorted(groups[key], key=lambda t: (t.sample, t.agent)) for key in sorted(groups)]


class _Live:
    """An episode that is running: its environment, its dialogue and its turns so far."""

    def __init__(self, job: Job, env: gym.Env[Any, Any], policy: Policy, dialect: Dialect, arm: Arm) -> None:
        self.job, self.env, self.policy, self.dialect, self.arm = job, env, policy, dialect, arm
        self.key: Key = (arm.label, job.group, job.sample, "main")
        self.dialogue = Dialogue()
        self.replies: list[tuple[Reply, Parsed]] = []
        self.fresh: dict[int, Pixels] = {}
        self.schema: tuple[Mapping[str, Any], ...] = ()
        self.stop: Stop = ""
        self.failure = ""
        self.broken = False

    @property
    def base(self) -> Any:
        """The environment without wrappers."""
        return self.env.unwrapped

    def start(self) -> bool:
        """Reset the environment and open the dialogue; False if the task's pictures cannot be had."""
        options = {"task": self.job.task, "vision_size": self.policy.vision_size}
        try:
            observation, info = self.env.reset(seed=self.job.seed, options=options)
        except Exception as error:
            return self._crashed(error)
        self.schema = tuple(self.dialect.schema(self.base.tools))
        self.dialogue.add("system", [self.dialect.system(self.base.tools, self.base.episode.task)])
        self._show(observation, info)
        return True

    def request(self) -> Request:
        """What the policy is asked next."""
        seed = derive_seed(self.job.seed, self.job.group, self.job.sample, len(self.replies))
        stop = self.arm.sampling.stop or self.dialect.stop
        sampling = replace(self.arm.sampling, seed=seed, stop=stop, choices=self._answers())
        peek = self._peek() if self.policy.peeks else None
        return Request(self.key, self.dialogue, sampling, peek, self.schema)

    def _answers(self) -> tuple[str, ...]:
        """The replies that are allowed, where an answer is forced; else none, which allows all."""
        task, base = self.base.episode.task, self.base
        if not self.arm.force_answer or task.kind != "choice" or len(self.replies) + 1 < base.rules.max_turns:
            return ()
        return tuple(self.dialect.format(answer(option), base.views) for option in self.dialect.options(task))

    def take(self, reply: Reply) -> bool:
        """Carry out a reply; whether the episode goes on."""
        self.fresh.clear()
        if reply.finish == "error":
            return self._fail(reply.error or "the policy gave no reply")
        if reply.finish == "length" and reply.error == CONTEXT_FULL:
            self.stop = "over_context" if not self.replies or not self.base.episode.error else "malformed"
            return False
        parsed = self.dialect.parse(reply.text, self.base.views)
        self.replies.append((reply, parsed))
        if reply.finish == "length" and parsed.call.tool == "noop":
            self.stop = "length"
            return False
        self.dialogue.add("assistant", [reply.text])
        try:
            observation, _, terminated, truncated, info = self.env.step(parsed.call)
        except Exception as error:
            return self._crashed(error)
        if terminated or truncated:
            return False
        self._show(observation, info)
        return True

    def trajectory(self) -> Trajectory:
        """The record of the episode."""
        record: Trajectory = self.base.trajectory if self.dialogue.messages else self._unstarted()
        turns = [
            replace(turn, reply=reply, parsed=parsed)
            for turn, (reply, parsed) in zip(record.turns, self.replies, strict=False)
        ]
        turns += [Turn(reply, parsed) for reply, parsed in self.replies[len(turns) :]]
        if self.failure:
            turns.append(Turn(Reply("", finish="error", error=self.failure), Parsed(noop("void", "no reply"))))
        return replace(
            record,
            turns=tuple(turns),
            arm=self.arm.label,
            group=self.job.group,
            sample=self.job.sample,
            env=self.arm.env,
            policy=self.arm.policy,
            dialect=self.arm.dialect,
            sampling=self.arm.sampling,
            seed=self.job.seed,
            stop=self.stop or record.stop,
            truncated=record.truncated or bool(self.stop),
        )

    def _crashed(self, error: Exception) -> bool:
        """An environment, a picture or a tool raised: the episode ends, and its environment with it."""
        self.broken = True
        return self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, reason: str) -> bool:
        self.stop, self.failure = "error", reason
        return False

    def _unstarted(self) -> Trajectory:
        task = self.job.task if isinstance(self.job.task, Task) else self.base.suite[self.job.task]
        return Trajectory(task, task.sources, (), ())

    def _show(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Append the next user message. Its pictures' pixels are at hand until the reply comes, then made again."""
        views = self.base.views[len(self.base.views) - info["n_new"] :]
        self.fresh.update(zip((view.index for view in views), observation["images"], strict=True))
        parts = self.dialect.show(views, observation["text"], info)
        self.dialogue.add("user", [part if isinstance(part, str) else self._picture(part) for part in parts])

    def _picture(self, view: View) -> Part:
        source, fresh = self.base.episode.sources[view.source], self.fresh

        def load() -> Pixels:
            pixels = fresh.get(view.index)
            return shared_store().region(source, view.box, view.shown) if pixels is None else pixels.copy()

        return Picture(view, load)

    def _peek(self) -> Peek:
        episode, base = self.base.episode, self.base
        done = len(episode.turns)
        left = base.rules.max_turns - done
        return Peek(episode.task, tuple(episode.sources), base.views, base.tools, self.dialect, done, left)


def derive_seed(*parts: object) -> int:
    """A seed that follows from `parts`, the same in every process (unlike `hash`)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")
