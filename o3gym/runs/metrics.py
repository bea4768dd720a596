"""Metrics of settled episodes: rates with 95% intervals, means and counts per arm.

Failures are episodes that stopped with an error, and those whose judge failed. They are counted and reported, but left
out of every other number, in its denominator as well: they are never taken as wrong, and neither their turns nor their
views say anything about the policy. An arm with nothing but failures has no numbers. Accuracy is the mean over tasks of
the mean over a task's samples (avg@k).

The interval of an accuracy has to respect that episodes are not independent. Samples of one task share its difficulty,
and so do tasks that a suite marks as related (`Task.origin["cluster"]`, for example the same question with its options
in another order). Treating them as independent would make the interval too narrow. Therefore:

- If every task has one sample and no related tasks, the interval is Wilson's score interval.
- Otherwise it is a cluster bootstrap with a fixed seed: whole tasks, or whole clusters of related tasks, are drawn with
  replacement, with all their samples.
- If all tasks have the same mean (typically 0 or 1), a bootstrap would have zero width although the sample is finite,
  so Wilson's interval with the number of clusters as the number of trials takes its place.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from o3gym.runs.coverage import target_coverage
from o3gym.runs.intervals import bootstrap_interval, cluster_interval, wilson
from o3gym.runs.suite_metrics import Measure
from o3gym.types import OVER_TURN, Trajectory, Turn, Usage, Verdict

REFUSED = re.compile(r"\w+: status (401|403|404)\b")
"""Matches the error of an episode whose server takes no requests from us: a bad key, no access, no such model."""


@dataclass(frozen=True)
class Rate:
    """A mean over `n` tasks in 0..1 with its 95% interval [`low`, `high`]; all None if no task was scored."""

    value: float | None
    low: float | None
    high: float | None
    n: int = 0


@dataclass(frozen=True)
class Cost:
    """Tokens and US dollars that an arm used, including delegated episodes and failures, which were paid for, too.

    `dollars` is None if no price is known.
    """

    prompt_tokens: int
    completion_tokens: int
    dollars: float | None


@dataclass(frozen=True)
class EpisodeOutcome:
    """The facts about one episode that the metrics need, so that a run of any length is read once and not kept.

    Attributes:
        arm, group, sample, verdict, stop, reward: as in `Trajectory`.
        family: the task's tag "family", else "category", else "all".
        turns: number of replies; `invalid` of them made a call that was not executed.
        codes: number of replies whose code was run; `ran` of them ran without an error.
        coverage: share of the targets' area that the agent's views cover; None without targets.
        iou: score of a region search; None for other tasks.
        usage: token counts and costs of all replies, including those of delegated episodes.
        searches: number of delegated episodes; `found` of them located something, `lost` stopped with an error.
        reason: the error of an episode that stopped with an error.
        cluster: the id that related tasks share; the group if the suite gives none.
        read: the part of the episode that the suite's measure needs.
    """

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
    lost: int = 0
    reason: str = ""
    codes: int = 0
    ran: int = 0
    cluster: str = ""
    read: Any = None

    @classmethod
    def of(cls, trajectory: Trajectory, measure: Measure | None = None) -> EpisodeOutcome:
        """Extracts the facts from an episode, and from its children; `measure` is the suite's measure, if any."""
        tags = trajectory.task.tags
        codes = [turn for turn in trajectory.turns if turn.parsed.call.tool == "code" and turn.error in ("", "code")]
        return cls(
            arm=trajectory.arm,
            group=trajectory.group,
            sample=trajectory.sample,
            family=tags.get("family") or tags.get("category") or "all",
            verdict=trajectory.verdict,
            stop=trajectory.stop,
            turns=len(trajectory.turns),
            invalid=sum(turn.error not in ("", "code") for turn in trajectory.turns),
            codes=len(codes),
            ran=sum(turn.error == "" for turn in codes),
            coverage=target_coverage(trajectory),
            iou=trajectory.score if trajectory.task.kind == "box" else None,
            reward=trajectory.reward,
            usage=tuple(turn.reply.usage for turn in _all_turns(trajectory) if turn.reply.usage is not None),
            searches=len(trajectory.children),
            found=sum(child.located is not None for child in trajectory.children),
            lost=sum(child.stop == "error" for child in trajectory.children),
            reason=trajectory.turns[-1].reply.error if trajectory.stop == "error" and trajectory.turns else "",
            cluster=str(trajectory.task.origin.get("cluster") or trajectory.group),
            read=measure.read(trajectory) if measure else None,
        )

    @property
    def scored(self) -> bool:
        """Whether the episode has a verdict that counts."""
        return self.verdict in ("correct", "wrong")

    @property
    def failed(self) -> bool:
        """Whether the episode stopped with an error or its judge failed."""
        return self.stop == "error" or self.verdict == "failed"

    @property
    def correct(self) -> bool:
        """Whether the verdict is "correct"."""
        return self.verdict == "correct"

    @property
    def tokens(self) -> int | None:
        """The tokens of all replies; None if no reply reports its usage."""
        return sum(u.prompt_tokens + u.completion_tokens for u in self.usage) if self.usage else None

    @property
    def refusal(self) -> str:
        """The error of an episode that ended because its server takes no requests from us, else ""."""
        return self.reason if REFUSED.match(self.reason) else ""


@dataclass(frozen=True)
class ArmMetrics:
    """The metrics of one arm.

    Shares and means are over its episodes without failure, and None if there are none or if none has the quantity.

    Attributes:
        arm: the arm's label.
        episodes: number of episodes.
        tasks: number of tasks (groups).
        k: largest number of samples of one task.
        failed: number of failures: episodes that stopped with an error or whose judge failed; they are left out of all
            other numbers but `episodes`, `tasks`, `stops` and `cost`.
        unsettled: number of episodes that were never judged; they are left out of accuracy, too.
        accuracy: mean over tasks of the mean over samples (avg@k).
        pass_at_k: share of tasks with at least one correct sample; None for k = 1.
        iou: mean score of region-search episodes.
        coverage: mean share of the targets' area that the agent's views cover.
        reward: mean reward of the episodes that have one.
        turns: mean number of replies.
        invalid_calls: share of turns whose call was not executed.
        over_turn: share of episodes that exhausted the budget of turns, views or context with a valid call.
        answered: share of episodes that ended with an answer or a located box.
        stops: `stop` → number of episodes that ended with it.
        families: accuracy per `tags["family"]` (or "category").
        cost: tokens and dollars; None if no reply reports its usage.
        searches: mean number of delegated episodes per episode; None if there are none.
        found: share of delegated episodes that located something, those with an error left out; None without any.
        code_ran: share of the pieces of code that ran without an error; None, and not in the JSON form, without any.
        first_error: the error of the first episode that stopped with an error and reports one, else "".
        measures: the metrics of the suite's measure by name, see `o3gym.runs.suite_metrics`.
        tokens: mean number of tokens per episode that reports its usage. Not part of the JSON form.
        refusal: the error of an episode that ended because its server takes no requests from us, else "". After it the
            arm stops. Not part of the JSON form.
        unrewarded: number of judged episodes without a reward, because a term of it could not be computed. Not part of
            the JSON form.
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
    turns: float | None
    invalid_calls: float | None
    over_turn: float | None
    answered: float | None
    stops: Mapping[str, int] = field(default_factory=dict)
    families: Mapping[str, Rate] = field(default_factory=dict)
    cost: Cost | None = None
    searches: float | None = None
    found: float | None = None
    code_ran: float | None = field(default=None, metadata={"json": "if set"})
    first_error: str = ""
    measures: Mapping[str, float | None] = field(default_factory=dict)
    tokens: float | None = field(default=None, metadata={"json": False})
    refusal: str = field(default="", metadata={"json": False})
    unrewarded: int = field(default=0, metadata={"json": False})

    @property
    def only_failures(self) -> bool:
        """Whether every episode is a failure, so that the arm has no numbers."""
        return self.failed == self.episodes


def episode_outcomes(trajectories: Iterable[Trajectory], measure: Measure | None = None) -> list[EpisodeOutcome]:
    """The outcomes of episodes, sorted by (arm, group, sample)."""
    return sorted(
        (EpisodeOutcome.of(trajectory, measure) for trajectory in trajectories),
        key=lambda o: (o.arm, o.group, o.sample),
    )


def by_arm(episodes: Sequence[EpisodeOutcome]) -> dict[str, list[EpisodeOutcome]]:
    """Splits outcomes by arm; their order is kept."""
    return _split(episodes, lambda o: o.arm)


def measure(arm: str, episodes: Sequence[EpisodeOutcome], more: Measure | None = None) -> ArmMetrics:
    """Computes the metrics of one arm from its outcomes (at least one), in the order of `episode_outcomes`."""
    groups = _split(episodes, lambda o: o.group).values()
    k = max(map(len, groups))
    judged = [[o.correct for o in group if o.scored] for group in groups]
    passed = [float(any(group)) for group in judged if group]
    families = _split(episodes, lambda o: o.family)
    counted = [o for o in episodes if not o.failed]
    turns = sum(o.turns for o in counted)
    searches = sum(o.searches for o in counted)
    ended = searches - sum(o.lost for o in counted)
    return ArmMetrics(
        arm=arm,
        episodes=len(episodes),
        tasks=len(groups),
        k=k,
        failed=len(episodes) - len(counted),
        unsettled=sum(o.verdict == "" for o in counted),
        accuracy=accuracy(counted),
        pass_at_k=_mean(passed) if k > 1 else None,
        iou=_mean(o.iou for o in counted),
        coverage=_mean(o.coverage for o in counted),
        reward=_mean(o.reward for o in counted),
        turns=_mean(o.turns for o in counted),
        invalid_calls=sum(o.invalid for o in counted) / max(1, turns) if counted else None,
        over_turn=_mean(o.stop in OVER_TURN for o in counted),
        answered=_mean(o.stop in ("answered", "located") for o in counted),
        stops=dict(sorted(Counter(o.stop or "(none)" for o in episodes).items())),
        first_error=next((o.reason for o in episodes if o.reason), ""),
        families={family: accuracy(families[family]) for family in sorted(families)},
        cost=_cost([usage for o in episodes for usage in o.usage]) if counted else None,
        searches=searches / len(counted) if searches else None,
        found=sum(o.found for o in counted) / ended if ended else None,
        code_ran=sum(o.ran for o in counted) / codes if (codes := sum(o.codes for o in counted)) else None,
        measures=more.total([o.read for o in episodes if more.counts(o.stop, o.verdict)]) if more else {},
        tokens=_mean(o.tokens for o in counted),
        refusal=next((o.refusal for o in episodes if o.refusal), ""),
        unrewarded=sum(o.reward is None and o.verdict != "" for o in counted),
    )


def accuracy(
    episodes: Sequence[EpisodeOutcome], correct: Callable[[EpisodeOutcome], bool] = lambda o: o.correct
) -> Rate:
    """The mean over tasks of the mean over samples, with the interval described in the module docstring.

    `correct` may require more than the verdict, such as an answer within a number of turns.
    """
    named = task_means(episodes, correct)
    means, n = list(named.values()), len(named)
    if not means:
        return Rate(None, None, None)
    clusters = _split([o for o in episodes if o.scored], lambda o: o.cluster)
    related = len(clusters) < n
    siblings = sum(o.scored for o in episodes) > n
    # Wilson's interval assumes independent trials, so it gets one trial per cluster. Bootstrapping per-task means keeps
    # a task's samples together; with related tasks, whole clusters of those means are drawn.
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
    """The mean per task over its samples with a verdict; tasks without such a sample are left out."""
    groups = _split([o for o in episodes if o.scored], lambda o: o.group)
    return {name: fmean(correct(o) for o in group) for name, group in groups.items()}


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
