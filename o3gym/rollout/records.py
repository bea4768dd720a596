"""The inputs of a rollout: jobs (one episode each), arms (compared conditions) and agents (a policy in an arm)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from o3gym.arguments import check_whole
from o3gym.dialects.base import Dialect
from o3gym.media.pixels import Pixels
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message
from o3gym.sampling import Sampling
from o3gym.types import Source, Task, View

ViewSink: TypeAlias = Callable[[Source, View, Pixels], None]
"""Called with every view as it is shown: its source, the view and its pixels, which must not be changed."""


@dataclass(frozen=True)
class Job:
    """One episode to run.

    Attributes:
        task: index into the environment's suite, or a task.
        group: name shared by the rollouts of one task.
        sample: number of this rollout within its group.
        seed: seed from which all randomness of the episode is derived.
    """

    task: int | Task
    group: str
    sample: int = 0
    seed: int = 0

    def derived(self, *parts: object) -> int:
        """Returns a seed for a part of the episode, which `parts` names."""
        return derive_seed(self.seed, self.group, self.sample, *parts)


@dataclass(frozen=True)
class Arm:
    """One compared condition: a policy, an environment and a dialect.

    Attributes:
        label: the arm's name in reports.
        env: arguments of `o3gym/VisualSearch-v0`.
        policy: spec of the policy, for the record.
        dialect: spec of the dialect, for the record.
        sampling: how replies are sampled; its seed is replaced by one per episode and turn.
        force_answer: whether the last allowed turn of a choice task must answer with one of the options. The allowed
            replies are passed as `Sampling.choices`, which takes effect in policies with constrained decoding.
        window: number of rounds whose pictures stay in the dialogue, besides those shown at reset
            (`o3gym.policies.window`); None for all. A round is what is shown after a reply.
    """

    label: str = ""
    env: Mapping[str, Any] = field(default_factory=dict)
    policy: str = ""
    dialect: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    force_answer: bool = False
    window: int | None = None

    def __post_init__(self) -> None:
        if self.window is not None:
            check_whole("window", self.window, 1)


@dataclass(frozen=True)
class Agent:
    """A policy that plays episodes in a dialect and an arm.

    Attributes:
        policy: generates the replies; its `vision_size` decides the exact size of views.
        dialect: turns observations into messages and replies into calls.
        arm: environment arguments and recorded labels. A delegate's episodes carry the label of the delegating arm.
        name: recorded as `Trajectory.agent`. Delegated episodes are numbered: "searcher-1" is the first search of an
            episode.
        exemplars: earlier dialogues that stand between the system prompt and the task, as user, assistant and inline
            messages. They are part of every request and of no trajectory, and a window memory never cuts them.
    """

    policy: Policy
    dialect: Dialect
    arm: Arm
    name: str = "searcher"
    exemplars: tuple[Message, ...] = ()

    def check_sampling(self) -> None:
        """Checks that the policy can sample replies as the arm says.

        Raises:
            ValueError: it cannot, or the dialect has no code whose temperature could differ.
        """
        check_code_temperature(self.arm, self.dialect, self.policy.privileged)
        if reason := self.policy.unable(self.arm.sampling, self.dialect.inline):
            raise ValueError(f"{self.arm.policy or self.arm.label}: {reason}")


def check_code_temperature(arm: Arm, dialect: Dialect, privileged: bool) -> None:
    """Checks that an arm's temperature of code, if it has one, applies to something.

    Args:
        arm: the arm.
        dialect: its dialect.
        privileged: whether its policy is scripted, so that it samples nothing.

    Raises:
        ValueError: the dialect does not mark code in replies.
    """
    if arm.sampling.code_temperature is not None and not dialect.code_tags and not privileged:
        raise ValueError(
            f"{arm.policy or arm.label}: code_temperature: the dialect {dialect.name} has no tags around code"
        )


def derive_seed(*parts: object) -> int:
    """Derives a seed from `parts`. It is the same in every process, unlike `hash`."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:6], "big")
