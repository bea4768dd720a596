"""Plays the episodes of a benchmark run on a Ray cluster (`o3gym bench --ray`).

Each worker is a process that keeps its policy and receives one block of jobs after the other. It returns whole
episodes, which the driver process stores as it does without Ray, so such a run is resumed, judged and reported like
any other. If a worker dies, another one plays its block again.

Workers receive only the arguments of the run. API keys of model servers are not among them; they must be in the
environment of the workers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from o3gym.arguments import check_real, check_whole
from o3gym.bench.definition import Bench
from o3gym.bench.workers import BLOCK_SIZE, JobBlock, Workers, until_refused
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message
from o3gym.registry import require
from o3gym.rollout.delegation import delegates_by_arm
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm
from o3gym.runs.store import RunError, differences
from o3gym.runs.viewer.thumbnails import ThumbnailStore, thumbnail_maker
from o3gym.types import Trajectory

MAX_STARTS = 3
"""Maximum number of starts of a block or a worker; after that many deaths of its worker it is given up."""
CLOSING_SECONDS = 30.0
"""Time for the workers to close their policies at the end."""


PlayedBlock: TypeAlias = tuple[list[Trajectory], Mapping[str, bytes]]
"""What a worker returns: the episodes of a block, and their thumbnails by name."""


class Worker:
    """The Ray actor that plays blocks in a process of the cluster."""

    def __init__(self, bench: Bench, protocol: Mapping[str, Any], in_flight: int) -> None:
        self.bench, self.protocol, self.in_flight = bench, protocol, in_flight
        self.policies: dict[str, Policy] = {}
        self.exemplars: dict[str, tuple[Message, ...]] = {}

    def open(self, arm: Arm) -> None:
        """Loads an arm's policy. Raises `RunError` if this machine's packages or data differ from the driver's."""
        found = differences(self.protocol, self.bench.protocol())
        changes = [f"\n  {path}: {expected}, here {got}" for path, expected, got in found]
        if changes:
            raise RunError(f"this worker would run a different protocol:{''.join(changes)}")
        self._policy(arm)

    def run(self, block: JobBlock, thumbnails: bool) -> PlayedBlock:
        """Plays the episodes of a block. With `thumbnails`, also returns the thumbnails of their views."""
        arm = block.arm
        dialect = self.bench.open_dialect(arm.dialect)
        policy, others = delegates_by_arm(arm, self._policy(arm))
        jobs = until_refused(block.jobs, self._policy(arm))
        made: dict[str, bytes] = {}
        on_view = thumbnail_maker(made) if thumbnails else None
        if arm.label not in self.exemplars:
            self.exemplars[arm.label] = self.bench.open_exemplars(arm, policy.vision_size)
        episodes = rollout(
            jobs,
            policy,
            dialect,
            arm,
            in_flight=self.in_flight,
            delegates=others,
            on_view=on_view,
            exemplars=self.exemplars[arm.label],
        )
        return list(episodes), made

    def _policy(self, arm: Arm) -> Policy:
        if arm.label not in self.policies:
            for label in [label for label, policy in self.policies.items() if not policy.privileged]:
                self.policies.pop(label).close()  # two models may not fit into memory
            self.policies[arm.label] = self.bench.open_policy(arm.policy)
        return self.policies[arm.label]

    def close(self) -> None:
        """Closes the policies."""
        for policy in self.policies.values():
            policy.close()


@dataclass
class _Task:
    """A block to play, or None for the start of a worker; and the number of tries so far."""

    block: JobBlock | None = None
    tries: int = 0

    def __str__(self) -> str:
        if self.block is None:
            return "the start of a worker"
        groups = list(dict.fromkeys(job.group for job in self.block.jobs))
        return f"the block of {self.block.arm.label} from {groups[0]} to {groups[-1]}"


class RayWorkers(Workers):
    """Workers on a Ray cluster, which is either started on this machine or joined.

    Args:
        bench, arms, protocol, in_flight: as for `LocalWorkers`; `in_flight` applies to each worker.
        address: "local" starts a cluster on this machine; "auto" or HOST:PORT joins one. If the process has already
            called `ray.init`, that cluster is used.
        count: number of workers; a worker that the cluster has no room for gets no work until there is room.
        gpus: number of GPUs per worker; may be a fraction.

    Raises:
        MissingPackage: Ray is not installed.
        RunError: the first worker cannot load its policy, or its packages or data differ.
    """

    def __init__(
        self,
        bench: Bench,
        arms: Sequence[Arm],
        protocol: Mapping[str, Any],
        in_flight: int,
        *,
        address: str = "local",
        count: int = 2,
        gpus: float = 0.0,
    ) -> None:
        check_whole("count", count, 1)
        check_real("gpus", gpus, 0.0)
        self.bench, self.in_flight, self.count = bench, in_flight, count
        self._arm = arms[0]  # the arm whose policy a new worker loads
        self._ray = require("ray", "ray")
        self._joined = self._ray.is_initialized()
        if not self._joined:
            here = {"num_cpus": count, "include_dashboard": False} if address == "local" else {}
            self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **here)
        self._worker = self._ray.remote(num_cpus=1, num_gpus=gpus, max_restarts=0)(Worker)
        self._arguments = (bench, protocol, in_flight)
        self._running: dict[Any, tuple[Any, _Task]] = {}
        self._idle: list[Any] = []
        self._failed: list[str] = []
        self._lost: list[str] = []
        self._thumbnails: ThumbnailStore | None = None
        try:
            for _ in range(count):
                self._start(_Task())
            while not self._idle:
                list(self._next(deque()))
        except BaseException:
            self.close()
            raise

    def block(self, jobs: int, scripted: bool) -> int:
        """Small enough for two blocks per worker, and bounded because a dying worker loses its whole block."""
        return min(max(BLOCK_SIZE, self.in_flight), -(-jobs // (2 * self.count)))

    def run(self, blocks: Iterable[JobBlock], thumbnails: ThumbnailStore | None = None) -> Iterator[Trajectory]:
        """Yields episodes, block by block as the blocks end.

        Raises:
            RunError: a worker raised an exception; or, after all other blocks, `MAX_STARTS` workers died in one block.
        """
        self._thumbnails = thumbnails
        waiting = deque(_Task(block) for block in blocks if block.jobs)
        while waiting or any(task.block for _, task in self._running.values()):
            while waiting and self._idle:
                self._give(self._idle.pop(), waiting.popleft())
            yield from self._next(waiting)
        if self._failed:
            raise RunError("; ".join(self._failed) + "; all other episodes are stored")

    def _start(self, task: _Task) -> None:
        worker = self._worker.remote(*self._arguments)
        self._submit(worker, task, worker.open.remote(self._arm))

    def _give(self, worker: Any, task: _Task) -> None:
        self._arm = task.block.arm if task.block else self._arm
        self._submit(worker, task, worker.run.remote(task.block, self._thumbnails is not None))

    def _submit(self, worker: Any, task: _Task, answer: Any) -> None:
        task.tries += 1
        self._running[answer] = (worker, task)

    def _next(self, waiting: deque[_Task]) -> Iterator[Trajectory]:
        """Waits until a task ends and yields its episodes. If its worker died, the task is retried by a new one."""
        if not self._running:
            raise RunError("; ".join(self._lost) + "; no worker is left; the episodes so far are stored")
        (answer,), _ = self._ray.wait(list(self._running), num_returns=1)
        worker, task = self._running.pop(answer)
        try:
            played: PlayedBlock | None = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(worker)
            raise RunError(f"{task} failed: {type(error.cause).__name__}: {error.cause}") from error
        except self._ray.exceptions.RayError as error:
            self._ray.kill(worker)
            self._retry(task, f"its worker died {task.tries} times ({_reason(error)})", waiting)
        else:
            self._idle.append(worker)
            yield from self._unpacked(played) if played else ()

    def _unpacked(self, played: PlayedBlock) -> list[Trajectory]:
        """The episodes of a block, after its thumbnails have been kept."""
        episodes, made = played
        if self._thumbnails is not None:
            for name, data in made.items():
                if name not in self._thumbnails:
                    self._thumbnails[name] = data
        return episodes

    def _retry(self, task: _Task, problem: str, waiting: deque[_Task]) -> None:
        """Retries a task whose worker died, up to `MAX_STARTS` tries in total."""
        if task.block is not None:  # the worker had started, so a new one takes its place, with tries of its own
            self._start(_Task())
        if task.tries >= MAX_STARTS:
            (self._lost if task.block is None else self._failed).append(f"{task}: {problem}")
        elif task.block is None:
            self._start(task)
        else:
            waiting.appendleft(task)

    def close(self) -> None:
        """Closes the policies, and ends the workers and, if it was started here, the cluster."""
        ended = [worker.close.remote() for worker in self._idle]
        if ended:
            self._ray.wait(ended, num_returns=len(ended), timeout=CLOSING_SECONDS)
        for worker in [*self._idle, *(worker for worker, _ in self._running.values())]:
            self._ray.kill(worker)
        if not self._joined:
            self._ray.shutdown()


def _reason(error: Exception) -> str:
    """The line of Ray's error message that gives the cause of a worker's death."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line.startswith("The actor is dead")), lines[0] if lines else "")[:300]
