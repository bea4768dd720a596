"""An episode that is running: its environment, its dialogue, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from o3gym.media.images import Pixels, shared_store
from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Part, Picture, Privileged, Request
from o3gym.types import Call, EpisodeKey, Parsed, Reply, Stop, Task, Trajectory, Turn, View, answer, noop

if TYPE_CHECKING:
    from o3gym.rollout.records import Agent, Job


class RunningEpisode:
    """One episode of one agent.

    Args:
        job: what to run; `env`: where; `agent`: who.
        delegated: tools whose calls other agents carry out.
        parent: the episode that delegated this one.

    Attributes:
        subtask: what another agent is to do before this episode goes on; None where it waits for a reply.
        children: episodes that this one delegated and that have ended.
        broken: its environment raised and cannot be used again.
    """

    def __init__(
        self,
        job: Job,
        env: gym.Env[Any, Any],
        agent: Agent,
        delegated: frozenset[str] = frozenset(),
        parent: RunningEpisode | None = None,
    ) -> None:
        self.job, self.env, self.agent, self.delegated, self.parent = job, env, agent, delegated, parent
        name = f"{agent.name}-{len(parent.children) + 1}" if parent else agent.name
        self.key: EpisodeKey = (agent.arm.label, job.group, job.sample, name)
        self.subtask: Task | None = None
        self.children: list[Trajectory] = []
        self.broken = False
        self._dialogue = Dialogue()
        self._replies: list[tuple[Reply, Parsed]] = []
        self._asked: dict[int, int] = {}
        self._fresh: dict[int, Pixels] = {}
        self._schema: tuple[Mapping[str, Any], ...] = ()
        self._stop: Stop = ""
        self._failure = ""

    @property
    def tool(self) -> str:
        """The tool that was called last."""
        return self._replies[-1][1].call.tool

    @property
    def base(self) -> Any:
        """The environment without wrappers."""
        return self.env.unwrapped

    def start(self) -> bool:
        """Reset the environment and open the dialogue; False if the task's pictures cannot be had."""
        options = {"task": self.job.task, "vision_size": self.agent.policy.vision_size}
        dialect = self.agent.dialect
        try:
            observation, info = self.env.reset(seed=self.job.seed, options=options)
        except Exception as error:
            return self._crashed(error)
        self._schema = tuple(dialect.schema(self.base.tools))
        self._dialogue.add("system", [dialect.system(self.base.tools, self.base.episode.task)])
        self._show(observation, info)
        return True

    def request(self) -> Request:
        """What the policy is asked next."""
        sampling = self.agent.arm.sampling
        stop = sampling.stop or self.agent.dialect.stop
        seed = self.job.derived(len(self._replies))
        sampling = replace(sampling, seed=seed, stop=stop, choices=self._answers())
        privileged = self._privileged() if self.agent.policy.privileged else None
        return Request(self.key, self._dialogue, sampling, privileged, self._schema)

    def _answers(self) -> tuple[str, ...]:
        """The replies that are allowed, where an answer is forced; else none, which allows all."""
        task, base, dialect = self.base.episode.task, self.base, self.agent.dialect
        last = len(self._replies) + 1 >= base.rules.max_turns
        if not self.agent.arm.force_answer or task.kind != "choice" or not last:
            return ()
        return tuple(dialect.format(answer(option), base.views) for option in dialect.options(task))

    def take(self, reply: Reply) -> bool:
        """Carry out a reply, or have it carried out (`subtask`); whether the episode goes on."""
        self._fresh.clear()
        if reply.finish == "error":
            return self._fail(reply.error or "the policy gave no reply")
        if reply.finish == "length" and reply.error == CONTEXT_FULL:
            self._stop = "over_context" if not self._replies or not self.base.episode.error else "malformed"
            return False
        parsed = self.agent.dialect.parse(reply.text, self.base.views)
        self._replies.append((reply, parsed))
        if reply.finish == "length" and parsed.call.tool == "noop":
            self._stop = "length"
            return False
        self._dialogue.add("assistant", [reply.text])
        if parsed.call.tool in self.delegated:
            self.subtask = self.base.episode.subtask(parsed.call)
        return self.subtask is not None or self._step(parsed.call)

    def resume(self, child: Trajectory) -> bool:
        """Carry out the delegated call with what the child found; whether the episode goes on."""
        call = self._replies[-1][1].call
        self.subtask = None
        self._asked[len(self._replies) - 1] = len(self.children)
        self.children.append(child)
        found = None if child.located is None else list(child.located)
        return self._step(Call(call.tool, {**call.args, "box": found, "reason": _why_nothing(child)}))

    def _step(self, call: Call) -> bool:
        try:
            observation, _, terminated, truncated, info = self.env.step(call)
        except Exception as error:
            return self._crashed(error)
        if terminated or truncated:
            return False
        self._show(observation, info)
        return True

    def trajectory(self) -> Trajectory:
        """The record of the episode."""
        record: Trajectory = self.base.trajectory if self._dialogue.messages else self._unstarted()
        turns = [
            replace(turn, reply=reply, parsed=parsed)
            for turn, (reply, parsed) in zip(record.turns, self._replies, strict=False)
        ]
        turns += [Turn(reply, parsed) for reply, parsed in self._replies[len(turns) :]]
        for turn, child in self._asked.items():
            turns[turn] = replace(turns[turn], children=(child,))
        if self._failure:
            turns.append(Turn(Reply("", finish="error", error=self._failure), Parsed(noop("void", "no reply"))))
        arm = self.agent.arm
        return replace(
            record,
            turns=tuple(turns),
            arm=arm.label,
            group=self.job.group,
            sample=self.job.sample,
            agent=self.key[3],
            env=arm.env,
            policy=arm.policy,
            dialect=arm.dialect,
            sampling=arm.sampling,
            seed=self.job.seed,
            stop=self._stop or record.stop,
            truncated=record.truncated or bool(self._stop),
            children=tuple(self.children),
        )

    def _crashed(self, error: Exception) -> bool:
        """An environment, a picture or a tool raised: the episode ends, and its environment with it."""
        self.broken = True
        return self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, reason: str) -> bool:
        self._stop, self._failure = "error", reason
        return False

    def _unstarted(self) -> Trajectory:
        task = self.job.task if isinstance(self.job.task, Task) else self.base.suite[self.job.task]
        return Trajectory(task, task.sources, (), ())

    def _show(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Append the next user message. Its pictures' pixels are at hand until the reply comes, then made again."""
        views = self.base.views[len(self.base.views) - info["n_new"] :]
        self._fresh.update(zip((view.index for view in views), observation["images"], strict=True))
        info = {**info, "calls_left": self.base.episode.calls_left}
        parts = self.agent.dialect.show(views, observation["text"], info)
        self._dialogue.add("user", [part if isinstance(part, str) else self._picture(part) for part in parts])

    def _picture(self, view: View) -> Part:
        source, fresh = self.base.episode.sources[view.source], self._fresh

        def load() -> Pixels:
            pixels = fresh.get(view.index)
            return shared_store().region(source, view.box, view.shown) if pixels is None else pixels.copy()

        return Picture(view, load)

    def _privileged(self) -> Privileged:
        episode, base = self.base.episode, self.base
        done = len(episode.turns)
        left = base.rules.max_turns - done
        sources, above = tuple(episode.sources), self.parent._privileged() if self.parent else None
        brought = tuple(turn.views for turn in episode.turns)
        return Privileged(episode.task, sources, base.views, base.tools, self.agent.dialect, done, left, above, brought)


def _why_nothing(child: Trajectory) -> str:
    """Why a search brought no box, in words; "" where the agent says that there is none."""
    if child.stop in ("located", "answered"):
        return ""
    if child.stop == "error":
        return f"the searcher failed ({child.turns[-1].reply.error})"
    return f"the searcher gave no box ({child.stop})"
