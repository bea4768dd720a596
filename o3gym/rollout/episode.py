"""A running episode: its environment, its dialogue, and the reply or delegated episode that it waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, SupportsFloat, TypeAlias

import gymnasium as gym

from o3gym.calls import answer, noop
from o3gym.media.images import shared_store
from o3gym.media.pixels import Pixels
from o3gym.policies.dialogue import (
    CONTEXT_FULL,
    Dialogue,
    Part,
    Picture,
    Privileged,
    Request,
    Role,
    observing_role,
)
from o3gym.registry import TOOLS
from o3gym.rollout.window_memory import WindowMemory
from o3gym.types import Call, EpisodeKey, Parsed, Reply, Stop, Task, Trajectory, Turn, View

if TYPE_CHECKING:
    from o3gym.rollout.records import Agent, Job, ViewSink

StepResult: TypeAlias = tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]
"""The values that an environment's `step` returns."""


class RunningEpisode:
    """One episode of one agent.

    `start`, `take`, `resume` and `stepped` return whether the episode continues. While it does, it waits for a reply to
    `request()`, or, if `subtask` is set, for the trajectory of a delegated episode, or, if `slow_call` is set, for the
    result of `step`, which may be called on another thread.

    Args:
        job: the task, group, sample and seed.
        env: the environment to play in.
        agent: the policy, dialect and arm.
        delegated: names of the tools whose calls other agents carry out.
        parent: the episode that delegated this one, or None.
        on_view: called with every view that is shown.

    Attributes:
        subtask: the task that a delegate must finish before this episode continues; None while it waits for a reply.
        slow_call: the call of a slow tool that must be stepped before this episode continues; None if there is none.
        children: trajectories of the delegated episodes that have ended.
        broken: whether the environment raised, so that it cannot be reused.
    """

    def __init__(
        self,
        job: Job,
        env: gym.Env[Any, Any],
        agent: Agent,
        delegated: frozenset[str] = frozenset(),
        parent: RunningEpisode | None = None,
        on_view: ViewSink | None = None,
    ) -> None:
        self.job, self.env, self.agent, self.delegated, self.parent = job, env, agent, delegated, parent
        self._on_view = on_view
        name = f"{agent.name}-{len(parent.children) + 1}" if parent else agent.name
        self.key: EpisodeKey = (agent.arm.label, job.group, job.sample, name)
        self.subtask: Task | None = None
        self.slow_call: Call | None = None
        self.children: list[Trajectory] = []
        self.broken = False
        self._dialogue = Dialogue()
        self._replies: list[tuple[Reply, Parsed]] = []
        self._memory = WindowMemory(self._dialogue, agent.arm.window, start=1 + len(agent.exemplars))
        self._child_of_turn: dict[int, int] = {}  # turn index → index into `children`
        self._fresh: dict[int, Pixels] = {}  # view index → pixels of the newest observation
        self._schema: tuple[Mapping[str, Any], ...] = ()
        self._stop: Stop = ""
        self._failure = ""

    @property
    def tool(self) -> str:
        """Name of the tool that was called last."""
        return self._replies[-1][1].call.tool

    @property
    def base(self) -> Any:
        """The environment without wrappers."""
        return self.env.unwrapped

    def start(self) -> bool:
        """Resets the environment and opens the dialogue; returns False if that fails, as with an unreadable picture."""
        options = {"task": self.job.task, "vision_size": self.agent.policy.vision_size}
        dialect = self.agent.dialect
        try:
            observation, info = self.env.reset(seed=self.job.seed, options=options)
        except Exception as error:
            return self._crashed(error)
        self._schema = tuple(dialect.schema(self.base.tools))
        self._dialogue.add("system", [dialect.system(self.base.tools, self.base.episode.task)])
        self._dialogue.messages.extend(self.agent.exemplars)
        self._show(observation, info)
        return True

    def request(self) -> Request:
        """Returns the request for the next reply, with a sampling seed of its own for every turn."""
        sampling = self.agent.arm.sampling
        dialect = self.agent.dialect
        settings: dict[str, Any] = {"seed": self.job.derived(len(self._replies)), "choices": self._forced_answers()}
        settings["stop"] = sampling.stop or dialect.stop
        if sampling.code_temperature is not None:
            settings["code_tags"] = dialect.code_tags or ()
        sampling = replace(sampling, **settings)
        privileged = self._privileged() if self.agent.policy.privileged else None
        return Request(self.key, self._dialogue, sampling, privileged, self._schema)

    def _forced_answers(self) -> tuple[str, ...]:
        """Returns the replies to choose from in a turn that must answer; empty if any reply is allowed."""
        task, base, dialect = self.base.episode.task, self.base, self.agent.dialect
        last = len(self._replies) + 1 >= base.rules.max_turns
        if not self.agent.arm.force_answer or task.kind != "choice" or not last:
            return ()
        replies = (dialect.format(answer(option), base.views) for option in dialect.options(task))
        begun = self._dialogue.messages[-1].role == "inline"
        return tuple(dialect.continued(reply) if begun else reply for reply in replies)

    def take(self, reply: Reply) -> bool:
        """Carries out a reply, or sets `subtask` to delegate it; returns whether the episode continues."""
        self._fresh.clear()  # the policy has read the pictures; if it needs them again, they are made again
        if reply.finish == "error":
            return self._fail(reply.error or "the policy gave no reply")
        if reply.finish == "length" and reply.error == CONTEXT_FULL:
            # Over-turn masking excuses over_context, so the last call must have been valid: a policy that writes
            # gibberish until the context is full is malformed.
            self._stop = "over_context" if not self._replies or not self.base.episode.error else "malformed"
            return False
        parsed = self.agent.dialect.read(reply, self.base.views)
        self._replies.append((reply, parsed))
        self._memory.replied()
        if reply.finish == "length" and parsed.call.tool == "noop":  # cut before a call was complete
            self._stop = "length"
            return False
        self._dialogue.add("assistant", [reply.text])
        if parsed.call.tool in self.delegated:
            self.subtask = self.base.episode.subtask(parsed.call)
        return self.subtask is not None or self._step(parsed.call)

    def resume(self, child: Trajectory, refusal: str = "") -> bool:
        """Carries out the delegated call with the child's results; returns whether the episode continues.

        Args:
            child: the delegated episode.
            refusal: why the delegate's server takes no requests from us, or "". A child that failed for that reason
                fails this episode as well: no search can succeed, and a wrong answer would say nothing about the agent.
        """
        call = self._replies[-1][1].call
        self.subtask = None
        self._child_of_turn[len(self._replies) - 1] = len(self.children)
        self.children.append(child)
        if refusal and child.stop == "error":
            return self._fail(refusal)
        return self._step(Call(call.tool, {**call.args, **_results(call.tool, child)}))

    def _step(self, call: Call) -> bool:
        """Steps the environment, or sets `slow_call`; returns whether the episode continues."""
        tool = self.base.tools.get(call.tool)
        if tool is not None and tool.slow:
            self.slow_call = call
            return True
        return self.stepped(partial(self.env.step, call))

    def step(self) -> StepResult:
        """Steps the environment with `slow_call`. This may run on another thread: it changes nothing else."""
        assert self.slow_call is not None
        return self.env.step(self.slow_call)

    def stepped(self, result: Callable[[], StepResult]) -> bool:
        """Takes the result of a step, which `result` returns or raises; returns whether the episode continues."""
        self.slow_call = None
        try:
            observation, _, terminated, truncated, info = result()
        except Exception as error:
            return self._crashed(error)
        if terminated or truncated:
            return False
        self._show(observation, info)
        return True

    def trajectory(self) -> Trajectory:
        """Returns the record of the episode: the environment's, completed with replies, children and labels."""
        record: Trajectory = self.base.trajectory if self._dialogue.messages else self._unstarted()
        turns = [
            replace(turn, reply=reply, parsed=parsed)
            for turn, (reply, parsed) in zip(record.turns, self._replies, strict=False)
        ]
        # replies that were never stepped, such as one that was cut before its call
        turns += [Turn(reply, parsed) for reply, parsed in self._replies[len(turns) :]]
        turns = self._memory.assigned(turns)
        for turn, child in self._child_of_turn.items():
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
            segments=self._memory.segments(),
            children=tuple(self.children),
        )

    def release(self) -> None:
        """Ends the sandbox of an episode that was stopped from outside, such as by a reply that was cut."""
        if self._dialogue.messages:
            self.base.episode.close()

    def _crashed(self, error: Exception) -> bool:
        """Ends the episode because its environment, a picture or a tool raised; the environment is not reused."""
        self.broken = True
        return self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, reason: str) -> bool:
        self._stop, self._failure = "error", reason
        return False

    def _unstarted(self) -> Trajectory:
        """Returns the empty record of an episode whose reset failed."""
        try:
            task = self.job.task if isinstance(self.job.task, Task) else self.base.suite[self.job.task]
        except ValueError:  # the row became bad, or its picture vanished, after the task had been drawn
            task = Task(self.job.group, (), "")
        return Trajectory(task, task.sources, (), ())

    def _show(self, observation: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        """Appends what the environment shows, and cuts older pictures that leave the window.

        The observation's pixels are kept until the reply arrives.
        """
        views = self.base.views[len(self.base.views) - info["n_new"] :]
        for view, pixels in zip(views, observation["images"], strict=True):
            self._fresh[view.index] = pixels
            if self._on_view is not None:
                self._on_view(self.base.episode.sources[view.source], view, pixels)
        tool = self.tool if self._replies else ""
        info = {**info, "calls_left": self.base.episode.calls_left, "views": self.base.views, "tool": tool}
        parts = self.agent.dialect.show(views, observation["text"], info)
        self._dialogue.add(self._role(), [part if isinstance(part, str) else self._picture(part) for part in parts])
        self._memory.shown(left_out=sum(not isinstance(part, str) for part in parts) < len(views))

    def _role(self) -> Role:
        """Returns the role of the next observation."""
        if not self._replies:
            return "user"
        return observing_role(self.agent.dialect, self.agent.arm.sampling.stop, self._replies[-1][0].text)

    def _picture(self, view: View) -> Part:
        source, fresh = self.base.episode.sources[view.source], self._fresh

        def load() -> Pixels:
            # once the reply has arrived, the pixels are made again from the source, to the same bytes
            pixels = fresh.get(view.index)
            if pixels is None:
                return shared_store().region(source, view.box, view.shown, view.resampling)
            return pixels.copy()

        return Picture(view, load)

    def _privileged(self) -> Privileged:
        episode, base = self.base.episode, self.base
        return Privileged(
            task=episode.task,
            sources=tuple(episode.sources),
            views=base.views,
            tools=base.tools,
            dialect=self.agent.dialect,
            turn=len(episode.turns),
            turns_left=base.rules.max_turns - len(episode.turns),
            parent=self.parent._privileged() if self.parent else None,
            brought=tuple(turn.views for turn in episode.turns),
        )


def _results(tool: str, child: Trajectory) -> dict[str, Any]:
    """Returns the results of a delegated call that its tool declares, from the episode that carried it out."""
    known = {
        "box": None if child.located is None else list(child.located),
        "span": None if child.span is None else list(child.span),
        "text": child.answer,
        "reason": _failure_reason(child, "box" if "box" in TOOLS[tool].results else "answer"),
    }
    return {key: known[key] for key in TOOLS[tool].results}


def _failure_reason(child: Trajectory, wanted: str) -> str:
    """Returns in words why a delegated episode has no result; "" if it has, or found that the target is absent."""
    if child.stop in ("located", "answered"):
        return ""
    if child.stop == "error":
        return f"the {child.agent.rpartition('-')[0]} failed ({child.turns[-1].reply.error})"
    return f"the {child.agent.rpartition('-')[0]} gave no {wanted} ({child.stop})"
