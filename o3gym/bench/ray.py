"""The episodes of a benchmark run on a Ray cluster: `o3gym bench --ray`.

Every worker is a process that keeps its policy and gets one block of jobs after the other; it sends whole episodes
back, and the process that was started writes them, as it does without Ray. So a run is continued, judged and reported
as any other. The block of a worker that died is run again by another one.

Nothing is sent to the workers but the arguments of the run: keys of servers are in their environment, or they are not.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from o3gym.bench.run import Bench
from o3gym.bench.workers import BLOCK_SIZE, JobBlock, Workers
from o3gym.policies.base import Policy
from o3gym.registry import require
from o3gym.rollout.delegation import delegates_by_arm
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm
from o3gym.runs.store import RunError, differences
from o3gym.types import Trajectory

MAX_STARTS = 3
"""How often a block is begun before its workers' deaths are its fault."""
CLOSING_SECONDS = 30.0
"""For workers to free their policies at the end."""


class Worker:
    """What runs in a process of the cluster."""

    def __init__(self, bench: Bench, protocol: Mapping[str, Any], in_flight: int) -> None:
        self.bench, self.protocol, self.in_flight = bench, protocol, in_flight
        self.policies: dict[str, Policy] = {}

    def open(self, arm: Arm) -> None:
        """Load an arm's policy. Raises `RunError` where this machine has other packages or data than the first."""
        found = differences(self.protocol, self.bench.protocol())
        changes = [f"\n  {path}: {expected}, here {got}" for path, expected, got in found]
        if changes:
            raise RunError(f"this worker would run another protocol:{''.join(changes)}")
        self._policy(arm)

    def run(self, block: JobBlock) -> list[Trajectory]:
        """The episodes of a block."""
        arm = block.arm
        dialect = self.bench.open_dialect(arm.dialect)
        policy, others = delegates_by_arm(arm, self._policy(arm))
        return list(rollout(block.jobs, policy, dialect, arm, in_flight=self.in_flight, delegates=others))

    def _policy(self, arm: Arm) -> Policy:
        if arm.label not in self.policies:
            for label in [label for label, policy in self.policies.items() if not policy.privileged]:
                self.policies.pop(label).close()  # two models may not fit into memory
            self.policies[arm.label] = self.bench.open_policy(arm.policy)
        return self.policies[arm.label]

    def close(self) -> None:
        """Free the policies."""
        for policy in self.policies.values():
            policy.close()


@dataclass
class _Task:
    """A block to run, or None for a worker to be started; and how often that was begun."""

    block: JobBlock | None = None
    tries: int = 0

    def __str__(self) -> str:
        if self.block is None:
            return "the start of a worker"
        groups = list(dict.fromkeys(job.group for job in self.block.jobs))
        return f"the block of {self.block.arm.label} from {groups[0]} to {groups[-1]}"


class RayWorkers(Workers):
    """Workers on a Ray cluster, which is started on this machine or joined.

    Args:
        bench, arms, protocol, in_flight: as of `Workers`; so many episodes are alive in each worker.
        address: "local" starts a cluster on this machine; "auto" or HOST:PORT joins one. A process that has called
            `ray.init` itself stays with that cluster.
        count: workers; those that the cluster has no room for (yet) get no work.
        gpus: of each worker; may be a fraction.

    Raises:
        MissingPackage: Ray is not installed.
        RunError: the first worker cannot load its policy, or has other packages or data.
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
        self.bench, self.in_flight, self.count = bench, in_flight, count
        self._arm = arms[0]  # whose policy a new worker loads
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
        try:
            for _ in range(count):
                self._start(_Task())
            while not self._idle:
                list(self._next(deque()))
        except BaseException:
            self.close()
            raise

    def block(self, jobs: int, scripted: bool) -> int:
        """At least two blocks for every worker, and not more jobs in one than would be lost gladly."""
        return min(max(BLOCK_SIZE, self.in_flight), -(-jobs // (2 * self.count)))

    def run(self, blocks: Iterable[JobBlock]) -> Iterator[Trajectory]:
        """Episodes, block by block as they end.

        Raises:
            RunError: a worker raised, or `MAX_STARTS` of them died in the same block: that after all other blocks.
        """
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
        self._submit(worker, task, worker.run.remote(task.block))

    def _submit(self, worker: Any, task: _Task, answer: Any) -> None:
        task.tries += 1
        self._running[answer] = (worker, task)

    def _next(self, waiting: deque[_Task]) -> Iterator[Trajectory]:
        """Wait for an answer: a worker is idle then, or dead, its task begun again and another one started."""
        if not self._running:
            raise RunError("; ".join(self._lost) + "; no worker is left, the episodes until here are stored")
        (answer,), _ = self._ray.wait(list(self._running), num_returns=1)
        worker, task = self._running.pop(answer)
        try:
            episodes = self._ray.get(answer)
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(worker)
            raise RunError(f"{task} failed: {type(error.cause).__name__}: {error.cause}") from error
        except self._ray.exceptions.RayError as error:
            self._ray.kill(worker)
            self._again(task, f"its worker died {task.tries} times ({_reason(error)})", waiting)
        else:
            self._idle.append(worker)
            yield from episodes or ()

    def _again(self, task: _Task, problem: str, waiting: deque[_Task]) -> None:
        """Begin a task again, unless that was done too often; where its worker had started, another one starts."""
        if task.block is not None:
            self._start(_Task())
        if task.tries >= MAX_STARTS:
            (self._lost if task.block is None else self._failed).append(f"{task}: {problem}")
        elif task.block is None:
            self._start(task)
        else:
            waiting.appendleft(task)

    def close(self) -> None:
        """Free the policies, end the workers, and the cluster if it was started here."""
        ended = [worker.close.remote() for worker in self._idle]
        if ended:
            self._ray.wait(ended, num_returns=len(ended), timeout=CLOSING_SECONDS)
        for worker in [*self._idle, *(worker for worker, _ in self._running.values())]:
            self._ray.kill(worker)
        if not self._joined:
            self._ray.shutdown()


def _reason(error: Exception) -> str:
    """The line of Ray's message that says why a worker died."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line.startswith("The actor is dead")), lines[0] if lines else "")[:300]
