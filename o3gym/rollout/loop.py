"""The episode loop, where environments and policies meet.

Many episodes run concurrently. Each waits for its own reply only, and when one ends, the next job takes over its
place and its environment, so the batch stays full. A policy, an environment or a picture that fails never raises out of
the loop: its episode becomes a trajectory with `stop="error"` and the reason, and the other episodes continue.

**Delegation.** Calls of some tools are carried out by other agents (`delegates`). Such a call is not stepped at once.
It starts an episode of the delegate, whose requests go to the delegate's policy together with all others, so that the
searches of many episodes form one batch. When the delegated episode ends, the waiting episode steps its environment
with the same call plus the results, and the delegate's trajectory becomes one of its `children`. Environments know
nothing of delegation.

**Slow steps.** Calls of slow tools (`Tool.slow`), such as code, are stepped on threads. The loop waits for replies and
for finished steps alike, so that code that runs into its time limit holds up only its own episode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym

from o3gym.arguments import check_whole
from o3gym.dialects.base import Dialect
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message
from o3gym.rollout.episode import RunningEpisode
from o3gym.rollout.policy_pool import PolicyPool
from o3gym.rollout.records import Agent, Arm, Job, ViewSink
from o3gym.rollout.slow_steps import SlowSteps
from o3gym.types import EpisodeKey, Task, Trajectory


def rollout(
    jobs: Iterable[Job],
    policy: Policy,
    dialect: Dialect,
    arm: Arm,
    *,
    in_flight: int = 16,
    make_env: Callable[..., gym.Env[Any, Any]] | None = None,
    delegates: Mapping[str, Agent] | None = None,
    on_view: ViewSink | None = None,
    exemplars: Sequence[Message] = (),
) -> Iterator[Trajectory]:
    """Runs every job and yields each trajectory as its episode ends, in no particular order.

    Args:
        jobs: the episodes to run; consumed lazily, so that a suite of any size can be run.
        policy: generates the replies; its `vision_size` decides the exact size of views.
        dialect: turns observations into messages and replies into calls.
        arm: environment arguments and recorded labels.
        in_flight: number of jobs that run concurrently. Each has at most one open request: its own or its delegate's.
        make_env: builds an environment from `arm.env`; by default `gym.make("o3gym/VisualSearch-v0", …)`.
        delegates: the agent that carries out the calls of each delegated tool (one with `Tool.results`, such as
            search), by tool name. A delegate's episodes cannot delegate in turn. All policies are polled together; one
            object may serve several agents.
        on_view: called with every view that an agent is shown, while its pixels are at hand.
        exemplars: see `Agent.exemplars`; delegates have none.

    Yields:
        Trajectories without final rewards; `o3gym.rewards.settle` completes them.

    Raises:
        ValueError: a policy cannot sample replies as its arm says; no episode has started then.
    """
    check_whole("in_flight", in_flight, 1)
    relabelled = {
        tool: replace(agent, arm=replace(agent.arm, label=arm.label)) for tool, agent in (delegates or {}).items()
    }
    make_env = make_env or partial(gym.make, "o3gym/VisualSearch-v0")
    main = Agent(policy, dialect, arm, "main", tuple(exemplars))
    for agent in (main, *relabelled.values()):
        agent.check_sampling()
    pool = _EpisodePool(main, relabelled, make_env, on_view, in_flight)
    waiting = iter(jobs)
    try:
        while True:
            while pool.jobs < in_flight and (job := next(waiting, None)) is not None:
                yield from pool.start(job)
            if not pool.jobs:
                return
            yield from pool.poll()
    finally:
        pool.close()


class _EpisodePool:
    """The running episodes, the idle environments, and the policies with open requests."""

    def __init__(
        self,
        main: Agent,
        delegates: Mapping[str, Agent],
        make_env: Callable[..., gym.Env[Any, Any]],
        on_view: ViewSink | None,
        in_flight: int,
    ) -> None:
        self.jobs = 0
        self._main, self._delegates, self._make_env, self._on_view = main, delegates, make_env, on_view
        self._running: dict[EpisodeKey, RunningEpisode] = {}
        self._idle: dict[str, list[gym.Env[Any, Any]]] = {}
        self._policies = PolicyPool()
        self._steps: SlowSteps[RunningEpisode] = SlowSteps(in_flight)

    def start(self, job: Job) -> Iterator[Trajectory]:
        """Starts a job; yields its trajectory if the episode ends at once."""
        self.jobs += 1
        delegated = frozenset(self._delegates)
        episode = RunningEpisode(job, self._env(self._main), self._main, delegated, on_view=self._on_view)
        yield from self._start(episode)

    def poll(self) -> Iterator[Trajectory]:
        """Applies the steps or replies that are ready; yields the trajectories of jobs that end with them."""
        steps = self._steps.finished(block=not self._policies.busy)
        for episode, step in steps:
            yield from self._advance(episode, episode.stepped(step))
        if steps:
            return  # new jobs may take the places of ended ones before the policies see the next batch
        for key, reply in self._policies.poll(self._steps.any_finished if self._steps else None):
            episode = self._running[key]
            yield from self._advance(episode, episode.take(reply))

    def close(self) -> None:
        """Closes all environments, which ends the code that runs in them, and waits for their steps."""
        idle = [env for envs in self._idle.values() for env in envs]
        for env in [*idle, *(episode.env for episode in self._running.values())]:
            env.close()
        self._steps.close()

    def _start(self, episode: RunningEpisode) -> Iterator[Trajectory]:
        self._running[episode.key] = episode
        yield from self._advance(episode, episode.start())

    def _advance(self, episode: RunningEpisode, running: bool) -> Iterator[Trajectory]:
        """Starts the step or the delegated episode, requests a reply, or ends the episode and resumes its parent."""
        if running and episode.slow_call is not None:
            self._steps.start(episode, episode.step)
        elif running and episode.subtask is None:
            self._policies.submit(episode.agent.policy, episode.request())
        elif running and episode.subtask is not None:
            yield from self._start(self._child(episode, episode.subtask))
        else:
            trajectory = self._end(episode)
            if episode.parent is None:
                self.jobs -= 1
                yield trajectory
            else:
                refusal = episode.agent.policy.refusal()
                yield from self._advance(episode.parent, episode.parent.resume(trajectory, refusal))

    def _child(self, parent: RunningEpisode, task: Task) -> RunningEpisode:
        """Builds the delegated episode for the parent's last call; its seed is derived from the parent's job."""
        delegate = self._delegates[parent.tool]
        job, number = parent.job, len(parent.children)
        child_job = Job(task, job.group, job.sample, job.derived(parent.tool, number))
        return RunningEpisode(child_job, self._env(delegate), delegate, parent=parent, on_view=self._on_view)

    def _env(self, agent: Agent) -> gym.Env[Any, Any]:
        idle = self._idle.setdefault(agent.name, [])
        return idle.pop() if idle else self._make_env(**agent.arm.env)

    def _end(self, episode: RunningEpisode) -> Trajectory:
        """Returns the trajectory of a finished episode. Its environment is reused unless it raised."""
        trajectory = episode.trajectory()
        episode.release()
        self._running.pop(episode.key)
        episode.agent.policy.release(episode.key)
        if episode.broken:
            episode.env.close()
        else:
            self._idle[episode.agent.name].append(episode.env)
        return trajectory


def collect(trajectories: Iterable[Trajectory]) -> list[list[Trajectory]]:
    """Collects trajectories into groups of siblings.

    Groups and siblings are sorted, so that the result does not depend on the order in which the episodes ended.
    """
    groups: dict[tuple[str, str], list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault((trajectory.arm, trajectory.group), []).append(trajectory)
    return [sorted(groups[key], key=lambda t: (t.sample, t.agent)) for key in sorted(groups)]
