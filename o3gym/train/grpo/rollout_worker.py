"""Plays the rollouts of a training: picks the next tasks, plays and settles them, and returns what to learn from."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from o3gym.bench.definition import expressible
from o3gym.codec import encode
from o3gym.dialects.base import make_dialect
from o3gym.judges.base import make_judge
from o3gym.policies.base import Policy
from o3gym.policies.local.encoding import Encoder
from o3gym.registry import REWARDS
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job, derive_seed
from o3gym.runs.store import RunStore
from o3gym.suites.base import make_suite, some_of
from o3gym.train.data.task_order import TaskOrder
from o3gym.train.grpo.experience import (
    Experience,
    experience,
    in_loop_measures,
    informative,
    measures,
    unusable,
    usable,
    usable_searches,
)
from o3gym.train.grpo.reasoner_in_loop import ReasonerInLoop
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.recipe import devices
from o3gym.types import Trajectory

_logger = logging.getLogger(__name__)

Gather = Callable[[Any], list[Any]]
"""Takes this process's value and returns the values of all processes, in rank order."""


class RolloutWorker:
    """Plays one process's share of each rollout of a training.

    Args:
        recipe: the tasks, budgets, sampling and rewards.
        encoder: encoder of the model's processor.
        folder: folder of the rollouts that are stored for inspection (`recipe.watch`).
        cursor: number of tasks that earlier rollouts have used up.
        rank: index of this process.
        everyone: gathers the values of all processes; by default there is only this one.

    Attributes:
        cursor: as above. A checkpoint holds it, so that a resumed training continues with the next tasks.
    """

    def __init__(
        self,
        recipe: GrpoRecipe,
        encoder: Encoder,
        folder: Path,
        cursor: int = 0,
        rank: int = 0,
        everyone: Gather = lambda mine: [mine],
    ) -> None:
        self.recipe, self.encoder, self.folder, self.cursor = recipe, encoder, folder, cursor
        self.rank, self.everyone = rank, everyone
        self.dialect = make_dialect(recipe.dialect)
        where: dict[str, Any] = {"suite": "synthetic", "split": "train"}
        env = {**where, **recipe.env}
        self.suite = make_suite(env["suite"], env["split"], **env.get("suite_args", {}))
        rules = self.dialect.rules(self.suite.has_videos)
        self.env = {**where, **rules, **recipe.env, "reward": recipe.reward}
        self.order = TaskOrder(self.suite)
        self.env["tools"] = expressible(self.env.get("tools"), self.dialect, self.suite)
        self.reward = REWARDS[recipe.reward]
        self.judge = make_judge(recipe.judge) if recipe.judge else None
        sampling = recipe.sampling
        self.in_loop = ReasonerInLoop(recipe) if recipe.in_loop.prompts else None
        self.in_loop_order = TaskOrder(self.in_loop.suite) if self.in_loop else None
        self.arm = Arm("train", self.env, recipe.name, recipe.dialect, sampling, window=recipe.window)

    def __call__(self, number: int, policy: Policy) -> tuple[Experience, Mapping[str, float]]:
        """Plays rollout `number`. Returns this process's experience, and statistics over all processes for the log."""
        started, played, kept = time.monotonic(), list[list[Trajectory]](), list[list[Trajectory]]()
        share, seed = self.recipe.share(devices()), derive_seed(self.recipe.seed, number)
        skipped = self._skipped_rows()
        tasks, searches = self._play_in_loop(number, policy)
        for attempt in range(self.recipe.refills + 1):
            groups = self._groups(number, attempt, policy)
            played += groups
            # A uniform group has no advantages and teaches nothing. With refills it is dropped here and replaced by
            # further tasks, so that every step learns from as many groups as the recipe says.
            kept += [group for group in groups if usable(group) and (informative(group) or not self.recipe.refills)]
            # The decision is taken over all processes: if one refills, all do. Otherwise their cursors would drift
            # apart, and the next gathering call would wait for a process that never comes.
            if min(self.everyone(len(kept))) >= share:
                break
        _warn_of_unusable(number, played)
        self._warn_of_bad_rows(number)
        self._store(number, [*played, tasks])
        seconds = time.monotonic() - started
        inside = [usable_searches(group) for group in searches]
        samples = experience(kept[:share], self.recipe, seed, self.everyone, self.rank, inside)
        more = in_loop_measures(tasks, searches) if self.in_loop else {}
        more = {**more, "skipped_rows": float(self._skipped_rows() - skipped)}
        return samples, self._statistics([*played, *searches], {**measures(played), **more}, attempt, seconds)

    def _play_in_loop(self, number: int, policy: Policy) -> tuple[list[Trajectory], list[list[Trajectory]]]:
        """Returns this process's share of the in-loop half: the reasoner's episodes, and the searches of each task."""
        if self.in_loop is None or self.in_loop_order is None:
            return [], []
        settings, order = self.recipe.in_loop, self.in_loop_order
        mine = range(number * settings.prompts + self.rank, (number + 1) * settings.prompts, devices())
        groups = {f"{number:06d}.in_loop.{place:08d}": self._task(order, "in_loop", place) for place in mine}
        return self.in_loop.play(self._jobs(groups, settings.samples), policy)

    def _groups(self, number: int, attempt: int, policy: Policy) -> list[list[Trajectory]]:
        """Plays and settles this process's share of the next tasks: every `devices()`-th one, starting at its rank."""
        mine = range(self.cursor + self.rank, self.cursor + self.recipe.prompts, devices())
        self.cursor += self.recipe.prompts
        groups = {f"{number:06d}.{attempt}.{place:08d}": self._task(self.order, "tasks", place) for place in mine}
        jobs = self._jobs(groups, self.recipe.samples)
        episodes = rollout(jobs, policy, self.dialect, self.arm, in_flight=self.recipe.in_flight)
        return settle(collect(episodes), self.reward, self.judge)

    def _task(self, order: TaskOrder, name: str, place: int) -> int:
        return order.at(derive_seed(self.recipe.seed, name), place)

    def _jobs(self, groups: Mapping[str, int], samples: int) -> list[Job]:
        """Returns the jobs of some groups, given their names and tasks."""
        return [
            Job(task, group, sample, derive_seed(self.recipe.seed, group, sample))
            for group, task in groups.items()
            for sample in range(samples)
        ]

    def _skipped_rows(self) -> int:
        """Returns how many draws of tasks have met a bad row so far."""
        return self.order.replaced + (self.in_loop_order.replaced if self.in_loop_order is not None else 0)

    def _warn_of_bad_rows(self, number: int) -> None:
        """Logs the bad rows that were not logged before."""
        for order in filter(None, (self.order, self.in_loop_order)):
            if new := order.bad.unnamed():
                _logger.warning("rollout %d: bad rows of %s are skipped: %s", number, order.suite.name, some_of(new))

    def _store(self, number: int, played: Sequence[Sequence[Trajectory]]) -> None:
        if not self.recipe.watch or number % self.recipe.watch:
            return
        folder = self.folder / f"{number:06d}-{self.rank}"
        # A training that was stopped after this rollout plays it again when it is resumed.
        shutil.rmtree(folder, ignore_errors=True)
        protocol = {"reward": self.recipe.reward, "rollout": number, "recipe": encode(self.recipe), "arms": {}}
        with RunStore(folder, {**protocol, "turns": [self.env.get("max_turns", self.recipe.max_turns)]}) as store:
            for trajectory in (t for group in played for t in group):
                store.append(trajectory)

    def _statistics(
        self, played: Sequence[Sequence[Trajectory]], mine: Mapping[str, float], refills: int, seconds: float
    ) -> dict[str, float]:
        """Returns the statistics of the rollout over all processes, given this one's."""
        tokens = sum(len(turn.reply.token_ids or ()) for group in played for t in group for turn in t.turns)
        shares = self.everyone({**mine, "tokens_per_second": tokens / max(seconds, 1e-9)})
        means = {name: sum(share[name] for share in shares) / len(shares) for name in shares[0]}
        return {
            **means,
            **{name: means[name] * len(shares) for name in ("tokens_per_second", "skipped_rows")},
            "refills": float(refills),
            "seconds": seconds,
        }

    def close(self) -> None:
        """Closes the reasoner, if there is one."""
        if self.in_loop is not None:
            self.in_loop.close()


def _warn_of_unusable(number: int, played: Sequence[Sequence[Trajectory]]) -> None:
    """Logs how many groups of a rollout nothing is learnt from, and what is wrong with the first of them."""
    reasons = [next(filter(None, map(unusable, group)), "") for group in played]
    if left_out := [reason for reason in reasons if reason]:
        _logger.warning(
            "rollout %d: %d of %d groups are left out, the first because %s",
            number,
            len(left_out),
            len(played),
            left_out[0],
        )
