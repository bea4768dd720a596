"""The only episode loop: where environments and policies meet.

Many episodes are alive at once. Each waits for its own reply only, and as soon as one ends the next job takes its place
and its environment, so a batch is always full. Nothing that a policy or a picture does raises out of the loop: it
becomes a trajectory with `stop="error"` and the reason, and the others go on.

**Delegation.** The calls of some tools are carried out by other agents (`delegates`). Such a call is not stepped at
once: it starts an episode of the other agent's, whose requests go to that agent's policy beside everybody else's, so
that the searches of many episodes are one batch. When it ends, the episode that waited for it is stepped with the same
call and its results, and the other's trajectory becomes one of its `children`. Environments know nothing of this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium as gym

from o3gym.dialects.base import Dialect
from o3gym.policies.base import Policy
from o3gym.rollout.episode import RunningEpisode
from o3gym.rollout.policy_pool import PolicyPool
from o3gym.rollout.records import Agent, Arm, Job
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
) -> Iterator[Trajectory]:
    """Run every job and yield each trajectory as it ends, in no particular order.

    Args:
        jobs: consumed lazily, so that a suite of any size can be run.
        policy: replies; its `vision_size` decides the exact size of views.
        dialect: turns observations into messages and replies into calls.
        arm: the environment's arguments and the labels that are recorded.
        in_flight: jobs alive at once; each has at most one request open, its own or that of who works for it.
        make_env: builds an environment from `arm.env`; by default `gym.make("o3gym/VisualSearch-v0", …)`.
        delegates: name of a delegated tool (one with `Tool.results`, such as search) to who carries its calls out, in
            episodes that cannot delegate themselves. All policies are polled in turn; they may be one object.

    Yields:
        Trajectories that are not settled yet: see `o3gym.rewards.settle`.
    """
    others = {tool: replace(who, arm=replace(who.arm, label=arm.label)) for tool, who in (delegates or {}).items()}
    pool = _Pool(Agent(policy, dialect, arm, "main"), others, make_env or partial(gym.make, "o3gym/VisualSearch-v0"))
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


class _Pool:
    """The episodes that are alive, the environments that are free, and the policies that are asked."""

    def __init__(self, main: Agent, delegates: Mapping[str, Agent], make_env: Callable[..., gym.Env[Any, Any]]) -> None:
        self.jobs = 0
        self._main, self._delegates, self._make_env = main, delegates, make_env
        self._live: dict[EpisodeKey, RunningEpisode] = {}
        self._idle: dict[str, list[gym.Env[Any, Any]]] = {}
        self._polling = PolicyPool()

    def start(self, job: Job) -> Iterator[Trajectory]:
        """Begin a job; its trajectory if that ends at once."""
        self.jobs += 1
        episode = RunningEpisode(job, self._env(self._main), self._main, frozenset(self._delegates))
        yield from self._begin(episode)

    def poll(self) -> Iterator[Trajectory]:
        """Take the replies that are ready; trajectories of the jobs that they end."""
        for key, reply in self._polling.poll():
            episode = self._live[key]
            yield from self._go(episode, episode.take(reply))

    def close(self) -> None:
        """Close all environments."""
        idle = [env for envs in self._idle.values() for env in envs]
        for env in [*idle, *(episode.env for episode in self._live.values())]:
            env.close()

    def _begin(self, episode: RunningEpisode) -> Iterator[Trajectory]:
        self._live[episode.key] = episode
        yield from self._go(episode, episode.start())

    def _go(self, episode: RunningEpisode, goes_on: bool) -> Iterator[Trajectory]:
        """Ask for the next reply, start what was delegated, or end the episode and go on with who waits for it."""
        if goes_on and episode.subtask is None:
            self._polling.submit(episode.agent.policy, episode.request())
        elif goes_on and episode.subtask is not None:
            yield from self._begin(self._child(episode, episode.subtask))
        else:
            ended = self._end(episode)
            if episode.parent is None:
                self.jobs -= 1
                yield ended
            else:
                yield from self._go(episode.parent, episode.parent.resume(ended))

    def _child(self, parent: RunningEpisode, task: Task) -> RunningEpisode:
        who = self._delegates[parent.tool]
        job, number = parent.job, len(parent.children)
        subtask = Job(task, job.group, job.sample, job.derived(parent.tool, number))
        return RunningEpisode(subtask, self._env(who), who, parent=parent)

    def _env(self, agent: Agent) -> gym.Env[Any, Any]:
        idle = self._idle.setdefault(agent.name, [])
        return idle.pop() if idle else self._make_env(**agent.arm.env)

    def _end(self, episode: RunningEpisode) -> Trajectory:
        """The record of an episode that is over. Its environment is kept for the next one, unless it raised."""
        ended = episode.trajectory()
        self._live.pop(episode.key)
        episode.agent.policy.release(episode.key)
        if episode.broken:
            episode.env.close()
        else:
            self._idle[episode.agent.name].append(episode.env)
        return ended


def collect(trajectories: Iterable[Trajectory]) -> list[list[Trajectory]]:
    """Groups of sibling trajectories, both sorted: the same lists whatever order the episodes ended in."""
    groups: dict[tuple[str, str], list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault((trajectory.arm, trajectory.group), []).append(trajectory)
    return [sorted(groups[key], key=lambda t: (t.sample, t.agent)) for key in sorted(groups)]
