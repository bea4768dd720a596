"""What a rollout is given: the job (one episode), the arm (one compared condition) and the agent (one that acts)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from o3gym.dialects.base import Dialect
from o3gym.policies.base import Policy
from o3gym.types import Sampling, Task


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

    def derived(self, *parts: object) -> int:
        """A seed for a part of the episode."""
        return derive_seed(self.seed, self.group, self.sample, *parts)


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


@dataclass(frozen=True)
class Agent:
    """Someone who plays episodes.

    Attributes:
        policy: replies; its `vision_size` decides the exact size of views.
        dialect: turns observations into messages and replies into calls.
        arm: the arguments of its environment and what is recorded of it. Who carries out delegated calls takes the
            label of the arm that delegates.
        name: `Trajectory.agent`. Delegated episodes are numbered: "searcher-1" is the first search of its parent.
    """

    policy: Policy
    dialect: Dialect
    arm: Arm
    name: str = "searcher"


def derive_seed(*parts: object) -> int:
    """A seed that follows from `parts`, the same in every process (unlike `hash`)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")
