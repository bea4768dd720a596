"""Workers play the episodes of a run: in this process (`LocalWorkers`) or on a cluster (`o3gym.bench.ray`)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from o3gym.dialects.base import Dialect
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message
from o3gym.rollout.delegation import delegates_by_arm
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job, ViewSink
from o3gym.runs.viewer.thumbnails import ThumbnailStore, thumbnail_maker
from o3gym.types import Size, Trajectory

BLOCK_SIZE = 16
"""Number of jobs that a scripted arm plays before the next arm's turn.

The pictures of that many jobs fit into the image store at 12 megapixels each, so all arms decode each picture once.
"""


def until_refused(jobs: Iterable[Job], policy: Policy) -> Iterator[Job]:
    """Yields jobs until the policy's server refuses a request, because it would refuse all others as well."""
    return itertools.takewhile(lambda _: not policy.refusal(), jobs)


class Opens(Protocol):
    """Builds the policies and dialects of a run; `Bench` implements it."""

    def open_policy(self, spec: str) -> Policy:
        """Builds a policy."""
        ...

    def open_dialect(self, spec: str) -> Dialect:
        """Builds a dialect."""
        ...

    def open_exemplars(self, arm: Arm, vision_size: Callable[[int, int], Size] | None = None) -> tuple[Message, ...]:
        """Performs the exemplars of an arm for a policy."""
        ...


@dataclass(frozen=True)
class JobBlock:
    """Jobs of one arm that are played together.

    Attributes:
        arm: the arm.
        jobs: its episodes to play.
        last: whether this is the arm's last block, after which its policy can be closed.
    """

    arm: Arm
    jobs: Sequence[Job]
    last: bool


class Workers:
    """Base of the workers that play a run's episodes. The episodes do not depend on where they are played.

    Once a server has refused a request of an arm (`Policy.refusal`), no further episode of this arm is started.
    """

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def block(self, jobs: int, scripted: bool) -> int:
        """The size of a block, out of an arm's `jobs` jobs; `scripted` is False for a policy with a model."""
        raise NotImplementedError

    def run(self, blocks: Iterable[JobBlock], thumbnails: ThumbnailStore | None = None) -> Iterator[Trajectory]:
        """Yields episodes as they end, without verdicts. Their thumbnails are put into `thumbnails` before."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes the policies."""


class LocalWorkers(Workers):
    """Plays episodes in this process. The first arm's policy is opened here, so that its errors precede the run."""

    def __init__(self, bench: Opens, arms: Sequence[Arm], protocol: Mapping[str, Any], in_flight: int) -> None:
        self.bench, self.in_flight = bench, in_flight
        self._policies = {arms[0].label: bench.open_policy(arms[0].policy)}
        self._exemplars: dict[str, tuple[Message, ...]] = {}

    def block(self, jobs: int, scripted: bool) -> int:
        """All jobs for a model; `BLOCK_SIZE` for a scripted policy."""
        return BLOCK_SIZE if scripted else jobs

    def run(self, blocks: Iterable[JobBlock], thumbnails: ThumbnailStore | None = None) -> Iterator[Trajectory]:
        """Plays one block after the other."""
        on_view = None if thumbnails is None else thumbnail_maker(thumbnails)
        for block in blocks:
            if block.jobs:
                yield from self._play(block, on_view)
            if block.last and block.arm.label in self._policies:
                self._policies.pop(block.arm.label).close()

    def _play(self, block: JobBlock, on_view: ViewSink | None) -> Iterator[Trajectory]:
        arm = block.arm
        if arm.label not in self._policies:
            self._policies[arm.label] = self.bench.open_policy(arm.policy)
        policy, dialect = self._policies[arm.label], self.bench.open_dialect(arm.dialect)
        main, others = delegates_by_arm(arm, policy)
        if arm.label not in self._exemplars:
            self._exemplars[arm.label] = self.bench.open_exemplars(arm, main.vision_size)
        yield from rollout(
            until_refused(block.jobs, policy),
            main,
            dialect,
            arm,
            in_flight=self.in_flight,
            delegates=others,
            on_view=on_view,
            exemplars=self._exemplars[arm.label],
        )

    def close(self) -> None:
        """Closes the policies that are still open."""
        for policy in self._policies.values():
            policy.close()
