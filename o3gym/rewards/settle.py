"""`settle`: computes verdicts, reward terms and totals of finished episodes, before reports and advantages."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from threading import BoundedSemaphore, Lock
from types import TracebackType

from o3gym.judges.base import Judge, Judgement, failed, has_truth
from o3gym.judges.rules import auto
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardError, RewardRecipe, Term
from o3gym.rewards.faults import RewardFault, warn_of_faults
from o3gym.rewards.reasoning import judged_value, reader_of
from o3gym.rewards.terms import judged
from o3gym.types import EpisodeKey, Trajectory

_logger = logging.getLogger(__name__)

JUDGE_THREADS = 16
"""Number of concurrent judge calls; by default a run has the same number of episodes in flight."""


def settle(
    groups: Sequence[Sequence[Trajectory]],
    recipe: RewardRecipe | str,
    judge: Judge | None = None,
    parents: Mapping[EpisodeKey, Trajectory] | None = None,
    workers: int = JUDGE_THREADS,
    faults: list[RewardFault] | None = None,
) -> list[list[Trajectory]]:
    """Computes the verdict, score, terms and reward of every trajectory; returns new trajectories in the same order.

    - Without `judge`, the offline judge `auto` decides pending verdicts, and existing verdicts are kept. With `judge`,
      every episode is judged again, `workers` of them concurrently. In both cases `settle` is idempotent, provided that
      the judge is deterministic.
    - An episode that stopped with "error" is not judged, because an outage is not a wrong answer. Such an episode, an
      episode whose judge failed or raised, and an episode without ground truth get the verdict "failed" and no score,
      terms or reward, and they are left out of group terms.
    - Terms with scope step are summed over the values that the environment stored in the turns. All other terms are
      computed here, including those with scope end, because an episode may end outside the environment (a full context,
      a truncated reply) and the verdict may come from another judge.
    - Terms with scope parent need the settled episode that delegated this one; `parents` maps a child's key to it, see
      `parents_of`. Such a reward depends on the parent's verdict and not on the child's own, which may have failed. A
      child without a parent, or whose parent's verdict is pending or failed, has no reward.
    - Terms with scope judge ask `judge` about the reasoning, see `JudgesReasoning`. A term whose judge fails is left
      out like one that raises, so that a failure is never taken for a bad thought. If `judge` reads no reasoning,
      values that an earlier `settle` computed are kept.
    - A term that raises, or whose value is not a finite number, is left out, and its episode has no reward (with a
      group term: no episode of the group has one). Neither has an episode whose total raises or is not finite. One
      warning counts them and names the terms and the first episodes.

    Args:
        groups: the rollouts of one task each; group terms compare the trajectories of a group.
        recipe: the reward, or the name of a registered recipe such as "outcome".
        judge: replaces the offline judge, for the verdict and for every term that depends on it.
        parents: child key → settled parent.
        workers: number of concurrent calls of `judge`.
        faults: if given, what cannot be computed is appended to it instead of being logged.
    """
    recipe = REWARDS[recipe] if isinstance(recipe, str) else recipe
    flat = [trajectory for group in groups for trajectory in group]
    judgements = _judge_all(flat, recipe, judge, workers)
    if not recipe.needs_parent:  # with such a recipe, these verdicts are not used
        _warn([judgement.reason for judgement in judgements if _unsure(judgement)], len(flat))
    known = parents or {}
    found: list[RewardFault] = [] if faults is None else faults
    done = iter(_settle_all(flat, judgements, recipe, known, found, judge, workers))
    settled = [_settle_group([next(done) for _ in group], recipe, found) for group in groups]
    if faults is None:
        warn_of_faults(found)
    return settled


def parents_of(trajectories: Iterable[Trajectory]) -> dict[EpisodeKey, Trajectory]:
    """Maps the key of every delegated child to its delegating trajectory, for the argument `parents` of `settle`."""
    return {child.key: parent for parent in trajectories for child in parent.children}


def _judge_all(flat: Sequence[Trajectory], recipe: RewardRecipe, judge: Judge | None, workers: int) -> list[Judgement]:
    if judge is None or len(flat) == 1:
        return [_judge_one(trajectory, recipe, judge) for trajectory in flat]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(partial(_judge_one, recipe=recipe, judge=judge), flat))


def _unsure(judgement: Judgement) -> bool:
    """Whether a judge failed. An episode that stopped with an error was not judged and has an empty reason."""
    return judgement.verdict == "failed" and judgement.reason != ""


def _warn(reasons: Sequence[str], episodes: int) -> None:
    if reasons:
        _logger.warning("%d of %d episodes have no verdict, the first because: %s", len(reasons), episodes, reasons[0])


def _judge_one(trajectory: Trajectory, recipe: RewardRecipe, judge: Judge | None) -> Judgement:
    if trajectory.stop == "error":
        return failed("")
    if judge is None and trajectory.verdict:
        return judged(trajectory)
    if not has_truth(trajectory.task):
        return failed(f"task {trajectory.task.id} has no ground truth")
    try:
        judgement: object = (judge or auto)(trajectory.task, recipe.judged_answer(trajectory), trajectory.located)
    except Exception as error:
        return failed(f"the judge raised {type(error).__name__}: {error}")
    return judgement if isinstance(judgement, Judgement) else failed(f"the judge returned a {type(judgement).__name__}")


def _settle_all(
    flat: Sequence[Trajectory],
    judgements: Sequence[Judgement],
    recipe: RewardRecipe,
    parents: Mapping[EpisodeKey, Trajectory],
    faults: list[RewardFault],
    judge: Judge | None,
    workers: int,
) -> list[Trajectory]:
    """Applies `_settle` to every episode: concurrently if a judge is asked, who may take seconds for each."""
    found: list[list[RewardFault]] = [[] for _ in flat]  # one list per episode, so that their order is always the same
    work = partial(_settle, recipe=recipe, parents=parents, judge=judge)
    if recipe.needs_reasoning_judge and reader_of(judge) is not None and len(flat) > 1:
        with ThreadPoolExecutor(max_workers=workers) as pool:
            settled = list(pool.map(lambda each: work(*each), zip(flat, judgements, found, strict=True)))
    else:
        settled = [work(*each) for each in zip(flat, judgements, found, strict=True)]
    faults += [fault for own in found for fault in own]
    return settled


def _settle(
    trajectory: Trajectory,
    judgement: Judgement,
    faults: list[RewardFault],
    recipe: RewardRecipe,
    parents: Mapping[EpisodeKey, Trajectory],
    judge: Judge | None,
) -> Trajectory:
    """Computes the verdict, the score and all terms but those with scope group; a failed episode gets no terms.

    Appends each term that cannot be computed to `faults`.
    """
    settled = replace(trajectory, verdict=judgement.verdict, score=judgement.score, terms={}, reward=None)
    if trajectory.stop == "error" or (judgement.verdict == "failed" and not recipe.needs_parent):
        return settled
    values: dict[str, float] = {}
    for term in recipe.terms:
        try:
            if term.scope == "judge":
                values[term.name] = judged_value(settled, term, judge, trajectory.terms)
            else:
                values.update(_term(settled, term, parents.get(trajectory.key)))
        except RewardError as error:
            faults.append(RewardFault(trajectory.key, str(error)))
    return replace(settled, terms=values)


def _term(trajectory: Trajectory, term: Term, parent: Trajectory | None) -> dict[str, float]:
    """Returns the value of a term by its name; nothing if the term has scope group or lacks a parent."""
    if term.scope == "group":
        return {}
    if term.scope == "parent":
        return _with_parent(trajectory, term, parent)
    return {term.name: _summed(trajectory, term) if term.scope == "step" else term.value(trajectory)}


def _with_parent(trajectory: Trajectory, term: Term, parent: Trajectory | None) -> dict[str, float]:
    if parent is None or parent.verdict not in ("correct", "wrong"):
        return {}
    if trajectory.key not in {child.key for child in parent.children}:
        return {}
    return {term.name: term.value(trajectory, parent)}


def _summed(trajectory: Trajectory, term: Term) -> float:
    """The sum of a step term over the turns. If a turn lacks it, it is computed on the record as of that turn."""
    total = sum(
        turn.terms[term.name] if term.name in turn.terms else term.value(upto(trajectory, count))
        for count, turn in enumerate(trajectory.turns, start=1)
    )
    if not math.isfinite(total):
        raise RewardError(f'reward term "{term.name}" is {total}, expected a finite number')
    return float(total)


def upto(trajectory: Trajectory, count: int) -> Trajectory:
    """The record as the environment had it after `count` turns: without later views and, before the end, no stop."""
    if count >= len(trajectory.turns):
        return trajectory
    later = [index for turn in trajectory.turns[count:] for index in turn.views]
    views = trajectory.views[: min(later)] if later else trajectory.views
    kept = replace(trajectory, turns=trajectory.turns[:count], views=views, stop="", answer="", located=None)
    return replace(kept, span=None, terminated=False, truncated=False)


def _settle_group(group: list[Trajectory], recipe: RewardRecipe, faults: list[RewardFault]) -> list[Trajectory]:
    """Adds the group terms and the total; failed episodes are left out of the group and get no reward."""
    counted = [i for i, trajectory in enumerate(group) if trajectory.verdict != "failed"]
    values: list[dict[str, float]] = [dict(trajectory.terms) for trajectory in group]
    for term in recipe.terms:
        if term.scope == "group" and counted:
            try:
                for i, value in zip(counted, term.values([group[i] for i in counted]), strict=True):
                    values[i][term.name] = value
            except RewardError as error:
                faults.append(RewardFault(group[0].key, str(error), group[0].group))
    return [_total(trajectory, terms, recipe, faults) for trajectory, terms in zip(group, values, strict=True)]


def _total(
    trajectory: Trajectory, terms: dict[str, float], recipe: RewardRecipe, faults: list[RewardFault]
) -> Trajectory:
    ordered = {term.name: terms[term.name] for term in recipe.terms if term.name in terms}
    reward = None
    if len(ordered) == len(recipe.terms):
        try:
            reward = recipe.total(ordered)
        except RewardError as error:
            faults.append(RewardFault(trajectory.key, str(error), total=True))
    return replace(trajectory, terms=ordered, reward=reward)


class AsyncJudge:
    """Settles episodes one by one while the rollout continues, and passes each to `keep` once it is judged.

    Use it as a context manager. A judge that blocks (`Judge.blocks`) runs in threads, for up to `workers` episodes
    concurrently; `put` waits if more are pending. Any other judge runs inside `put`. Leaving the context waits for the
    pending verdicts and closes the judge. If an exception (such as Ctrl-C) ends the context, pending episodes are
    dropped instead: they are not passed to `keep`, so that a resumed run plays them again.

    Args:
        recipe: the reward, or its name. Group terms see a group of one episode, and nothing is logged of those that
            cannot be computed; terms that need a parent are left out.
        judge: as in `settle`.
        keep: called with each settled episode, possibly from another thread, but never concurrently. An exception that
            it raises is raised again by the next `put` or on leaving the context, and `keep` is not called any more.
        workers: number of episodes judged concurrently.
    """

    def __init__(
        self,
        recipe: RewardRecipe | str,
        judge: Judge | None,
        keep: Callable[[Trajectory], object],
        workers: int = JUDGE_THREADS,
    ) -> None:
        self._recipe: RewardRecipe = REWARDS[recipe] if isinstance(recipe, str) else recipe
        self._judge, self._keep = judge, keep
        self._pool = ThreadPoolExecutor(workers) if getattr(judge, "blocks", False) else None
        self._free, self._lock = BoundedSemaphore(workers), Lock()
        self._reasons: list[str] = []
        self._faults: list[RewardFault] = []
        self._count = 0
        self._failure: BaseException | None = None
        self._stopped = False

    def __enter__(self) -> AsyncJudge:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None and self._pool is not None:
                self._pool.shutdown()
                self._check()
        finally:
            self._stop()

    def put(self, trajectory: Trajectory) -> None:
        """Accepts a finished episode. Raises the exception that `keep` raised for an earlier one."""
        if self._pool is None:
            self._hand_on(*self._settled(trajectory))
            return
        self._free.acquire()
        self._check()
        self._pool.submit(self._work, trajectory)

    def _settled(self, trajectory: Trajectory) -> tuple[Trajectory, Judgement]:
        judgement = _judge_one(trajectory, self._recipe, self._judge)
        faults: list[RewardFault] = []
        settled = _settle(trajectory, judgement, faults, self._recipe, {}, self._judge)
        # Faults of group terms are those of a group of one: who computes them for the whole group reports them.
        (settled,) = _settle_group([settled], self._recipe, [] if self._recipe.needs_siblings else faults)
        self._note_faults(faults)
        return settled, judgement

    def _note_faults(self, faults: Sequence[RewardFault]) -> None:
        """Counts faults. The first one is logged at once, and all of them in a summary at the end."""
        with self._lock:
            if faults and not self._faults:
                _logger.warning("an episode has no reward: %s; all of them are counted at the end", faults[0])
            self._faults += faults

    def _work(self, trajectory: Trajectory) -> None:
        try:
            self._hand_on(*self._settled(trajectory))
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            self._free.release()

    def _hand_on(self, settled: Trajectory, judgement: Judgement) -> None:
        # One lock serialises the calls of `keep` and makes `_stop` final: a verdict that arrives later, perhaps a
        # failure that only reflects the closed judge, is dropped.
        with self._lock:
            if self._stopped:
                return
            self._note(judgement)
            try:
                self._keep(settled)
            except BaseException:
                self._stopped = True
                raise

    def _note(self, judgement: Judgement) -> None:
        """Counts the episode. The first one without a verdict is logged at once, and a summary at the end."""
        self._count += 1
        if _unsure(judgement):
            self._reasons.append(judgement.reason)
            if len(self._reasons) == 1:
                _logger.warning("an episode has no verdict: %s", judgement.reason)

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            _warn(self._reasons, self._count)
            warn_of_faults(self._faults)
        # Queued episodes are cancelled first, then closing the judge fails its open requests, and only then can the
        # pool be waited for without waiting for a server.
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
        close = getattr(self._judge, "close", None)
        if close is not None:
            close()
        if self._pool is not None:
            self._pool.shutdown()
