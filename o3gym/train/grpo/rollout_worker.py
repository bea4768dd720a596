"""Plays the rollouts of a training: picks the next tasks, plays and settles them, and returns what to learn from."""

from __future__ import annotations

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
from o3gym.suites.base import Suite, make_suite
from o3gym.train.data.sources import shuffled_order
from o3gym.train.grpo.experience import (
    Experience,
    experience,
    in_loop_measures,
    informative,
    measures,
    usable,
    usable_searches,
)
from o3gym.train.grpo.reasoner_in_loop import ReasonerInLoop
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.recipe import devices
from o3gym.types import Sampling, Trajectory

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
        defaults = {"suite": "synthetic", "split": "train", "size_rule": self.dialect.size_rule}
        self.env = {**defaults, **recipe.env, "reward": recipe.reward}
        self.suite = make_suite(self.env["suite"], self.env["split"], **self.env.get("suite_args", {}))
        self.env["tools"] = expressible(self.env.get("tools"), self.dialect, self.suite)
        self.reward = REWARDS[recipe.reward]
        self.judge = make_judge(recipe.judge) if recipe.judge else None
        sampling = Sampling(recipe.temperature, recipe.top_p, recipe.max_tokens)
        self.in_loop = ReasonerInLoop(recipe) if recipe.in_loop.prompts else None
        self.arm = Arm("train", self.env, recipe.name, recipe.dialect, sampling)

    def __call__(self, number: int, policy: Policy) -> tuple[Experience, Mapping[str, float]]:
        """Plays rollout `number`. Returns this process's experience, and statistics over all processes for the log."""
        started, played, kept = time.monotonic(), list[list[Trajectory]](), list[list[Trajectory]]()
        share, seed = self.recipe.share(devices()), derive_seed(self.recipe.seed, number)
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
        self._store(number, [*played, tasks])
        seconds = time.monotonic() - started
        inside = [usable_searches(group) for group in searches]
        samples = experience(kept[:share], self.recipe, seed, self.everyone, self.rank, inside)
        more = in_loop_measures(tasks, searches) if self.in_loop else {}
        return samples, self._statistics([*played, *searches], {**measures(played), **more}, attempt, seconds)

    def _play_in_loop(self, number: int, policy: Policy) -> tuple[list[Trajectory], list[list[Trajectory]]]:
        """Returns this process's share of the in-loop half: the reasoner's episodes, and the searches of each task."""
        if self.in_loop is None:
            return [], []
        settings, suite = self.recipe.in_loop, self.in_loop.suite
        mine = range(number * settings.prompts + self.rank, (number + 1) * settings.prompts, devices())
        jobs = [
            self._task(suite, f"{number:06d}.in_loop.{place:08d}", place, sample, "in_loop")
            for place in mine
            for sample in range(settings.samples)
        ]
        return self.in_loop.play(jobs, policy)

    def _groups(self, number: int, attempt: int, policy: Policy) -> list[list[Trajectory]]:
        """Plays and settles this process's share of the next tasks: every `devices()`-th one, starting at its rank."""
        mine = range(self.cursor + self.rank, self.cursor + self.recipe.prompts, devices())
        self.cursor += self.recipe.prompts
        jobs = [self._job(number, attempt, place, sample) for place in mine for sample in range(self.recipe.samples)]
        episodes = rollout(jobs, policy, self.dialect, self.arm, in_flight=self.recipe.in_flight)
        return settle(collect(episodes), self.reward, self.judge)

    def _job(self, number: int, attempt: int, place: int, sample: int) -> Job:
        return self._task(self.suite, f"{number:06d}.{attempt}.{place:08d}", place, sample, "tasks")

    def _task(self, suite: Suite, group: str, place: int, sample: int, order: str) -> Job:
        """Returns a job for the task at `place` of a suite's endless order, which is shuffled anew for each epoch."""
        epoch, rank = divmod(place, len(suite))
        task = shuffled_order(derive_seed(self.recipe.seed, order), epoch, len(suite))[rank]
        return Job(task, group, sample, derive_seed(self.recipe.seed, group, sample))

    def _store(self, number: int, played: Sequence[Sequence[Trajectory]]) -> None:
        if not self.recipe.watch or number % self.recipe.watch:
            return
        folder = self.folder / f"{number:06d}-{self.rank}"
        # A training that was stopped after this rollout plays it again when it is resumed.
        shutil.rmtree(folder, ignore_errors=True)
        protocol = {"reward": self.recipe.reward, "rollout": number, "recipe": encode(self.recipe), "arms": {}}
        with RunStore(folder, {**protocol, "turns": [self.env.get("max_turns", 6)]}) as store:
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
            "tokens_per_second": means["tokens_per_second"] * len(shares),
            "refills": float(refills),
            "seconds": seconds,
        }

    def close(self) -> None:
        """Closes the reasoner, if there is one."""
        if self.in_loop is not None:
            self.in_loop.close()
