"""What a set of settled episodes says about its policy: rates with 95% intervals, and plain counts.

Episodes whose judge failed have no verdict: they are counted, shown and left out of every accuracy, never taken as
wrong. Accuracy is the mean over tasks of the mean over a task's samples (avg@k). Its interval is Wilson's where each
task has one sample; otherwise samples of a task are siblings, so tasks are resampled whole (cluster bootstrap with a
fixed seed), and so are tasks of which a suite says that they belong together (`Task.origin["cluster"]`: the same
question in another order). Where all tasks have the same mean a bootstrap has no width; Wilson's interval over what is
resampled stands in.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from o3gym.runs.coverage import target_coverage
from o3gym.runs.suite_metrics import Measure
from o3gym.types import OVER_TURN, Trajectory, Turn, Usage, Verdict

Z95 = 1.959963984540054
DRAWS = 4000
"""Bootstrap draws: the ends of the interval then move by less than a tenth of its width with the seed."""


@dataclass(frozen=True)
class Rate:
    """A share of tasks with the ends of its 95% interval; all None where nothing was scored."""

    value: float | None
    low: float | None
    high: float | None
    n: int = 0


@dataclass(frozen=True)
class Cost:
    """Tokens and US dollars of an arm, delegated episodes included; `dollars` is None where no price is known."""

    prompt_tokens: int
    completion_tokens: int
    dollars: float | None


@dataclass(frozen=True)
class EpisodeOutcome:
    """What the metrics need of one episode, so that a run of any length is read once and forgotten."""

    arm: str
    group: str
    sample: int
    family: str
    verdict: Verdict
    stop: str
    turns: int
    invalid: int
    coverage: float | None
    iou: float | None
    reward: float | None
    usage: tuple[Usage, ...] = ()
    searches: int = 0
    found: int = 0
    reason: str = ""
    cluster: str = ""
    read: Any = None

    @classmethod
    def of(cls, trajectory: Trajectory, measure: Measure | None = None) -> EpisodeOutcome:
        """Read one episode, and what the suite's measure needs of it."""
        tags = trajectory.task.tags
        return cls(
            arm=trajectory.arm,
            group=trajectory.group,
            sample=trajectory.sample,
            family=tags.get("family") or tags.get("category") or "all",
            verdict=trajectory.verdict,
            stop=trajectory.stop,
            turns=len(trajectory.turns),
            invalid=sum(turn.error != "" for turn in trajectory.turns),
            coverage=target_coverage(trajectory),
            iou=trajectory.score if trajectory.task.kind == "box" else None,
            reward=trajectory.reward,
            usage=tuple(turn.reply.usage for turn in _all_turns(trajectory) if turn.reply.usage is not None),
            searches=len(trajectory.children),
            found=sum(child.located is not None for child in trajectory.children),
            reason=trajectory.turns[-1].reply.error if trajectory.stop == "error" and trajectory.turns else "",
            cluster=str(trajectory.task.origin.get("cluster") or trajectory.group),
            read=measure.read(trajectory) if measure else None,
        )

    @property
    def scored(self) -> bool:
        """Whether there is a verdict to count."""
        return self.verdict in ("correct", "wrong")

    @property
    def correct(self) -> bool:
        """Whether the answer was right."""
        return self.verdict == "correct"


@dataclass(frozen=True)
class ArmMetrics:
    """One arm's numbers. Means are over its episodes; None where no episode has the quantity.

    Attributes:
        arm: its label.
        episodes: all of them.
        tasks: number of groups.
        k: most samples of one task.
        failed: episodes without a verdict because the judge failed or they stopped with an error; left out of accuracy.
        unsettled: episodes that were never judged, left out too.
        accuracy: mean over tasks of the mean over samples (avg@k).
        pass_at_k: share of tasks with at least one correct sample; None for k = 1.
        iou: mean score of region-search episodes.
        coverage: mean share of the targets' area that crops covered.
        reward: mean reward, where it is known.
        turns: mean number of replies.
        invalid_calls: share of all turns whose call was not carried out.
        over_turn: share of episodes that ran out of turns, views or context while still looking.
        answered: share of episodes that ended in an answer or a located box.
        stops: how episodes ended, by count.
        first_error: why the first episode that stopped with an error did, "" if none or if it did not say.
        families: accuracy per `tags["family"]` (or "category").
        cost: tokens and dollars; None where no reply says.
        searches: mean number of delegated episodes; found: share of them that located something. None without any.
        measures: what the suite's measure makes of them, see `o3gym.runs.suite_metrics`.
    """

    arm: str
    episodes: int
    tasks: int
    k: int
    failed: int
    unsettled: int
    accuracy: Rate
    pass_at_k: float | None
    iou: float | None
    coverage: float | None
    reward: float | None
    turns: float
    invalid_calls: float
    over_turn: float
    answered: float
    stops: Mapping[str, int] = field(default_factory=dict)
    families: Mapping[str, Rate] = field(default_factory=dict)
    cost: Cost | None = None
    searches: float | None = None
    found: float | None = None
    first_error: str = ""
    measures: Mapping[str, float | None] = field(default_factory=dict)


def episode_outcomes(trajectories: Iterable[Trajectory], measure: Measure | None = None) -> list[EpisodeOutcome]:
    """The episodes' outcomes, sorted by (arm, group, sample)."""
    return sorted(
        (EpisodeOutcome.of(trajectory, measure) for trajectory in trajectories),
        key=lambda o: (o.arm, o.group, o.sample),
    )


def by_arm(episodes: Sequence[EpisodeOutcome]) -> dict[str, list[EpisodeOutcome]]:
    """Sorted outcomes per arm."""
    return _split(episodes, lambda o: o.arm)


def measure(arm: str, episodes: Sequence[EpisodeOutcome], more: Measure | None = None) -> ArmMetrics:
    """The numbers of one arm from its episodes (at least one), in the order that `episode_outcomes` gives."""
    groups = _split(episodes, lambda o: o.group).values()
    k = max(map(len, groups))
    judged = [[o.correct for o in group if o.scored] for group in groups]
    passed = [float(any(group)) for group in judged if group]
    families = _split(episodes, lambda o: o.family)
    searches = sum(o.searches for o in episodes)
    return ArmMetrics(
        arm=arm,
        episodes=len(episodes),
        tasks=len(groups),
        k=k,
        failed=sum(o.verdict == "failed" for o in episodes),
        unsettled=sum(o.verdict == "" for o in episodes),
        accuracy=accuracy(episodes),
        pass_at_k=_mean(passed) if k > 1 else None,
        iou=_mean(o.iou for o in episodes),
        coverage=_mean(o.coverage for o in episodes),
        reward=_mean(o.reward for o in episodes),
        turns=fmean(o.turns for o in episodes),
        invalid_calls=sum(o.invalid for o in episodes) / max(1, sum(o.turns for o in episodes)),
        over_turn=fmean(o.stop in OVER_TURN for o in episodes),
        answered=fmean(o.stop in ("answered", "located") for o in episodes),
        stops=dict(sorted(Counter(o.stop or "(none)" for o in episodes).items())),
        first_error=next((o.reason for o in episodes if o.reason), ""),
        families={family: accuracy(families[family]) for family in sorted(families)},
        cost=_cost([usage for o in episodes for usage in o.usage]),
        searches=searches / len(episodes) if searches else None,
        found=sum(o.found for o in episodes) / searches if searches else None,
        measures=more.total([o.read for o in episodes]) if more else {},
    )


def accuracy(
    episodes: Sequence[EpisodeOutcome], correct: Callable[[EpisodeOutcome], bool] = lambda o: o.correct
) -> Rate:
    """Mean over tasks of the mean over samples, with its interval; `correct` may ask for more than the verdict."""
    named = task_means(episodes, correct)
    means, n = list(named.values()), len(named)
    if not means:
        return Rate(None, None, None)
    clusters = _split([o for o in episodes if o.scored], lambda o: o.cluster)
    related = len(clusters) < n
    siblings = sum(o.scored for o in episodes) > n
    if not (siblings or related) or min(means) == max(means):
        low, high = wilson(sum(means) * len(clusters) / n, len(clusters))
    elif related:
        low, high = cluster_interval(
            [[named[group] for group in {o.group: 0 for o in part}] for part in clusters.values()]
        )
    else:
        low, high = bootstrap_interval(means)
    return Rate(sum(means) / n, low, high, n)


def task_means(
    episodes: Sequence[EpisodeOutcome], correct: Callable[[EpisodeOutcome], bool] = lambda o: o.correct
) -> dict[str, float]:
    """Per task, the mean over those of its samples that have a verdict; tasks without any are left out."""
    groups = _split([o for o in episodes if o.scored], lambda o: o.group)
    return {name: fmean(correct(o) for o in group) for name, group in groups.items()}


def wilson(successes: float, n: int) -> tuple[float, float]:
    """Wilson's 95% score interval for a share of `n` trials."""
    share = successes / n
    middle = share + Z95**2 / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    return (max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale))


def bootstrap_interval(means: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """Percentile 95% interval of the mean when whole tasks, given by their means, are drawn with replacement.

    Task means take few distinct values, so a draw of n tasks is one multinomial draw over those values.
    """
    values, counts = np.unique(np.asarray(means), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(means), counts / len(means), size=DRAWS)
    low, high = np.quantile(drawn @ values / len(means), (0.025, 0.975))
    return (float(low), float(high))


def cluster_interval(clusters: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """Percentile 95% interval of the mean over tasks when clusters of them are drawn whole, with replacement."""
    sums, sizes = np.array([sum(part) for part in clusters]), np.array([len(part) for part in clusters])
    rng, even, drawn = np.random.default_rng(seed), np.full(len(clusters), 1 / len(clusters)), []
    for _ in range(0, DRAWS, 100):  # a hundred at a time: a draw is as long as there are clusters
        counts = rng.multinomial(len(clusters), even, size=100)
        drawn.append((counts @ sums) / (counts @ sizes))
    low, high = np.quantile(np.concatenate(drawn), (0.025, 0.975))
    return (float(low), float(high))


def _split(episodes: Sequence[EpisodeOutcome], key: Callable[[EpisodeOutcome], str]) -> dict[str, list[EpisodeOutcome]]:
    parts: dict[str, list[EpisodeOutcome]] = {}
    for outcome in episodes:
        parts.setdefault(key(outcome), []).append(outcome)
    return parts


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _all_turns(trajectory: Trajectory) -> Iterable[Turn]:
    yield from trajectory.turns
    for child in trajectory.children:
        yield from _all_turns(child)


def _cost(usage: Sequence[Usage]) -> Cost | None:
    if not usage:
        return None
    prices = [u.cost for u in usage if u.cost is not None]
    return Cost(
        prompt_tokens=sum(u.prompt_tokens for u in usage),
        completion_tokens=sum(u.completion_tokens for u in usage),
        dollars=math.fsum(prices) if prices else None,
    )
