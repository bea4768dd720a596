"""Sources of demonstrations. A source is any object with a method `example(index, seed) -> list[Message]`.

`example` returns demonstration number `index`, the same one for the same index and seed in every process. A source with
an attribute `size` above 0 has that many demonstrations; without it, or with 0, it is endless.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from o3gym.dialects.base import make_dialect
from o3gym.envs.checks import default_tools
from o3gym.judges.base import make_judge
from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import Message
from o3gym.registry import DEMONSTRATIONS, POLICIES, REWARDS
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job, derive_seed
from o3gym.runs.store import open_run
from o3gym.specs import build_plugin, find_entry, parse_spec
from o3gym.suites.base import make_suite
from o3gym.suites.released.table import SURROGATE
from o3gym.train.data.demonstrations import dialogue_of, encodable
from o3gym.train.data.task_order import TaskOrder
from o3gym.types import Size, Trajectory

ATTEMPTS = 16
"""Maximum number of episodes that are tried for one demonstration."""


class SourceError(ValueError):
    """A source is unusable; the message names the file, row and field, what was expected and what was found."""


class BadDemonstration(SourceError):  # noqa: N818 - the name says it
    """A single demonstration that cannot be read. Trainings skip it, count it and take another one."""


@runtime_checkable
class Demonstrations(Protocol):
    """The interface of a source of demonstrations; attributes `size`, `fingerprint` and `replaced` are optional."""

    def example(self, index: int, seed: int) -> Sequence[Message]:
        """Returns demonstration number `index`; 0 ≤ index < size for a source with a `size`.

        Raises `BadDemonstration` if this one cannot be read, although others can.
        """
        ...


def open_source(spec: str, **options: Any) -> Demonstrations:
    """Opens a source by its spec.

    Specs are "policy?policy=detour", "run:FOLDER", "sharegpt:FILE", "mini_o3:FILE" and "module:attribute?x=1".

    Raises:
        UnknownName: the spec names neither a known source nor a module; the message suggests the closest name.
        SourceError: the files of the source are not as expected, or the attribute does not return a source.
    """
    name, factory, argument, inline = find_entry(DEMONSTRATIONS, spec, SourceError)
    source = build_plugin("source", name, factory, argument, **{**options, **inline})
    if not isinstance(source, Demonstrations):
        raise SourceError(f'"{spec}": expected an object with example(index, seed), got {type(source).__name__}')
    return source


def replaced_in(source: Demonstrations) -> int:
    """Returns the number of demonstrations of a source in which U+FFFD stands for what is no character."""
    return int(getattr(source, "replaced", 0))


def size_of(source: Demonstrations) -> int:
    """Returns the number of demonstrations of a source; 0 for an endless one."""
    return int(getattr(source, "size", 0))


class RunSource:
    """The correct episodes of a run folder, all of them or those of the given arms.

    Attributes:
        replaced: number of these episodes with lone surrogates, which a server may have sent. U+FFFD stands for them.

    Args:
        argument: the run folder.
        arms: labels of arms, joined by "|"; "" for all arms.

    Raises:
        SourceError: no episode is correct.
    """

    def __init__(self, argument: str, arms: str = "") -> None:
        stored = open_run(argument)
        wanted = set(filter(None, arms.split("|")))
        episodes = [t for t in stored if not wanted or t.arm in wanted]
        self.episodes = [t for t in episodes if t.verdict == "correct"]
        self.rejected = len(episodes) - len(self.episodes)
        if not self.episodes:
            raise SourceError(f"{argument}: nothing to imitate, since none of its {len(episodes)} episodes is correct")
        self.size = len(self.episodes)
        prompt = stored.protocol.get("prompt_file")
        self._options = {"prompt_file": prompt} if prompt else {}
        rows = [json.dumps(t.to_json(), sort_keys=True, ensure_ascii=False) for t in self.episodes]
        self.replaced = sum(SURROGATE.search(row) is not None for row in rows)
        self.fingerprint = hashlib.sha256("\n".join(rows).encode("utf-8", "surrogatepass")).hexdigest()

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue of the `index`-th correct episode."""
        episode = self.episodes[index]
        return encodable(dialogue_of(episode, make_dialect(episode.dialect, **self._options)))


class PolicySource:
    """Episodes of a scripted policy, played on demand. Wrong episodes are rejected and replaced.

    Demonstrations by a model come from a run folder instead (`o3gym bench --out RUN`, then "run:RUN"), because a
    model's replies are not determined by an index.

    Args:
        policy: spec of a scripted policy.
        suite, split, suite_args: the suite of the tasks.
        dialect: spec of the wire format.
        env: further arguments of the environment.
        reward: name of the reward.
        judge: spec of the judge that decides what is correct; "" for the offline judge that fits each task.
        examples: number of demonstrations; 0 for an endless source.

    Raises:
        SourceError: the policy is not scripted.
    """

    def __init__(
        self,
        policy: str = "detour",
        suite: str = "synthetic",
        split: str = "train",
        suite_args: Mapping[str, Any] | None = None,
        dialect: str = "qwen3_vl",
        env: Mapping[str, Any] | None = None,
        reward: str = "outcome",
        judge: str = "",
        examples: int = 0,
    ) -> None:
        self.size = examples
        self.rejected = 0
        if not POLICIES[parse_spec(policy)[0]].privileged:
            raise SourceError(
                f'policy "{policy}" is not scripted: run it first (o3gym bench --policy {policy} --out RUN) and take '
                f'its episodes with data = "run:RUN"'
            )
        self.policy = make_policy(policy)
        self.dialect = make_dialect(dialect)
        self._suite = make_suite(suite, split, **(suite_args or {}))
        self._order = TaskOrder(self._suite)
        base = {"suite": suite, "split": split, "suite_args": dict(suite_args or {}), "reward": reward}
        default = self.dialect.default_tools(default_tools(self._suite), self._suite.has_videos)
        arguments = {**base, **self.dialect.rules(self._suite.has_videos), "tools": default, **(env or {})}
        self.arm = Arm(policy, arguments, policy, dialect)
        self._recipe, self._judge = REWARDS[reward], make_judge(judge) if judge else None
        self._jobs: deque[Job] = deque()
        self._episodes: Iterator[Trajectory] | None = None

    def fit(self, vision_size: Callable[[int, int], Size]) -> None:
        """Makes the policy see pictures at the sizes to which a model's processor would resize them."""
        self.policy.vision_size = vision_size  # type: ignore[method-assign, assignment]

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue of the first correct episode for `index`."""
        return dialogue_of(self.episode(index, seed), self.dialect)

    def episode(self, index: int, seed: int) -> Trajectory:
        """Returns the first correct episode for `index`. Task and policy choices follow from index and seed."""
        for attempt in range(ATTEMPTS):
            own = derive_seed(seed, index, attempt)
            # The order uses every task of the suite before it repeats one.
            task = self._order.or_another(own % len(self._suite), own) if attempt else self._order.at(seed, index)
            trajectory = self._run(Job(task, f"{index}", attempt, own))
            if trajectory.verdict == "correct":
                return trajectory
            self.rejected += 1
        raise SourceError(
            f'policy "{self.arm.policy}" was not correct in {ATTEMPTS} episodes of {self._suite.name} '
            f"(last: {trajectory.stop}, {trajectory.verdict or 'pending'}), so there is nothing to imitate"
        )

    def _run(self, job: Job) -> Trajectory:
        """Plays one episode. The rollout loop and its environment stay alive between calls.

        The loop pulls its jobs from a queue and is suspended as soon as it has yielded the episode of this job.
        """
        self._jobs.append(job)
        trajectory = next(self._episodes, None) if self._episodes is not None else None
        if trajectory is None:
            self._episodes = rollout(iter(self._jobs.popleft, None), self.policy, self.dialect, self.arm, in_flight=1)
            trajectory = next(self._episodes)
        return settle([[trajectory]], self._recipe, self._judge)[0][0]

    def __getstate__(self) -> dict[str, Any]:
        """Pickles everything but the running loop: another process starts its own."""
        return {**self.__dict__, "_episodes": None, "_jobs": deque()}
