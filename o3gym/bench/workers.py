"""Where the episodes of a run happen: in this process (`LocalWorkers`), or on a cluster (`o3gym.bench.ray`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from o3gym.dialects.base import Dialect
from o3gym.policies.base import Policy
from o3gym.rollout.delegation import delegates_by_arm
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Trajectory

BLOCK_SIZE = 16
"""Jobs that a scripted arm runs before the next one's turn: their pictures fit into the store at 12 megapixels each."""


class Opens(Protocol):
    """What a run opens policies and dialects with: a `Bench`."""

    def open_policy(self, spec: str) -> Policy:
        """A policy."""
        ...

    def open_dialect(self, spec: str) -> Dialect:
        """A dialect."""
        ...


@dataclass(frozen=True)
class JobBlock:
    """Jobs of one arm that run together; `last`: whether they are its last."""

    arm: Arm
    jobs: Sequence[Job]
    last: bool


class Workers:
    """Where the episodes of a run happen; wherever it is, they are the same."""

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def block(self, jobs: int, scripted: bool) -> int:
        """How many of an arm's jobs run together."""
        raise NotImplementedError

    def run(self, blocks: Iterable[JobBlock]) -> Iterator[Trajectory]:
        """Episodes as they end, without verdicts."""
        raise NotImplementedError

    def close(self) -> None:
        """Free the policies."""


class LocalWorkers(Workers):
    """In this process. The first arm's policy is opened at once: what is wrong with it is said before a run begins."""

    def __init__(self, bench: Opens, arms: Sequence[Arm], protocol: Mapping[str, Any], in_flight: int) -> None:
        self.bench, self.in_flight = bench, in_flight
        self._policies = {arms[0].label: bench.open_policy(arms[0].policy)}

    def block(self, jobs: int, scripted: bool) -> int:
        """All of a model's; few of a scripted policy's, see `BLOCK_SIZE`."""
        return BLOCK_SIZE if scripted else jobs

    def run(self, blocks: Iterable[JobBlock]) -> Iterator[Trajectory]:
        """Block after block."""
        for block in blocks:
            arm = block.arm
            if arm.label not in self._policies:
                self._policies[arm.label] = self.bench.open_policy(arm.policy)
            policy, dialect = self._policies[arm.label], self.bench.open_dialect(arm.dialect)
            main, others = delegates_by_arm(arm, policy)
            yield from rollout(block.jobs, main, dialect, arm, in_flight=self.in_flight, delegates=others)
            if block.last:
                self._policies.pop(arm.label).close()

    def close(self) -> None:
        """Free the policies."""
        for policy in self._policies.values():
            policy.close()
