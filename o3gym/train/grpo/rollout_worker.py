"""Rollouts for training: which tasks are played next, by the weights of now, and what there is to learn from them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from o3gym.bench.run import expressible
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
"""Gives the values of all processes, in rank order."""


class RolloutWorker:
    """Plays the rollouts of a training, one process's share of each.

    Args:
        recipe: what is played.
        encoder: of the model's processor.
        folder: where rollouts are stored that are to be looked at.
        cursor: how many tasks earlier rollouts have used up.
        rank, everyone: this process's place, and what gathers the values of all; by default it is alone.

    Attributes:
        cursor: as above; a checkpoint keeps it.
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
        self.reasoning = ReasonerInLoop(recipe) if recipe.in_loop.prompts else None
        self.arm = Arm("train", self.env, recipe.name, recipe.dialect, sampling)

    def __call__(self, number: int, policy: Policy) -> tuple[Experience, Mapping[str, float]]:
        """Rollout `number`: what there is to learn from this process's share, and how the whole of it went."""
        started, played, found = time.monotonic(), list[list[Trajectory]](), list[list[Trajectory]]()
        share, seed = self.recipe.share(devices()), derive_seed(self.recipe.seed, number)
        tasks, searches = self._asked_for(number, policy)
        for attempt in range(self.recipe.refills + 1):
            groups = self._groups(number, attempt, policy)
            played += groups
            found += [group for group in groups if usable(group) and (informative(group) or not self.recipe.refills)]
            if min(self.everyone(len(found))) >= share:
                break
        self._store(number, [*played, tasks])
        seconds = time.monotonic() - started
        inside = [usable_searches(group) for group in searches]
        made = experience(found[:share], self.recipe, seed, self.everyone, self.rank, inside)
        more = in_loop_measures(tasks, searches) if self.reasoning else {}
        return made, self._measured([*played, *searches], {**measures(played), **more}, attempt, seconds)

    def _asked_for(self, number: int, policy: Policy) -> tuple[list[Trajectory], list[list[Trajectory]]]:
        """This process's share of the in-loop half: the reasoner's episodes, and the searches task by task."""
        if self.reasoning is None:
            return [], []
        given, suite = self.recipe.in_loop, self.reasoning.suite
        mine = range(number * given.prompts + self.rank, (number + 1) * given.prompts, devices())
        jobs = [
            self._task(suite, f"{number:06d}.in_loop.{place:08d}", place, sample, "in_loop")
            for place in mine
            for sample in range(given.samples)
        ]
        return self.reasoning.play(jobs, policy)

    def _groups(self, number: int, attempt: int, policy: Policy) -> list[list[Trajectory]]:
        """This process's share of the next tasks, played and settled."""
        mine = range(self.cursor + self.rank, self.cursor + self.recipe.prompts, devices())
        self.cursor += self.recipe.prompts
        jobs = [self._job(number, attempt, place, sample) for place in mine for sample in range(self.recipe.samples)]
        episodes = rollout(jobs, policy, self.dialect, self.arm, in_flight=self.recipe.in_flight)
        return settle(collect(episodes), self.reward, self.judge)

    def _job(self, number: int, attempt: int, place: int, sample: int) -> Job:
        return self._task(self.suite, f"{number:06d}.{attempt}.{place:08d}", place, sample, "tasks")

    def _task(self, suite: Suite, group: str, place: int, sample: int, order: str) -> Job:
        """The task at `place` of a suite's endless shuffled order."""
        epoch, rank = divmod(place, len(suite))
        task = shuffled_order(derive_seed(self.recipe.seed, order), epoch, len(suite))[rank]
        return Job(task, group, sample, derive_seed(self.recipe.seed, group, sample))

    def _store(self, number: int, played: Sequence[Sequence[Trajectory]]) -> None:
        if not self.recipe.watch or number % self.recipe.watch:
            return
        folder = self.folder / f"{number:06d}-{self.rank}"
        shutil.rmtree(folder, ignore_errors=True)  # of a training that was stopped after this rollout and goes on
        protocol = {"reward": self.recipe.reward, "rollout": number, "recipe": encode(self.recipe), "arms": {}}
        with RunStore(folder, {**protocol, "turns": [self.env.get("max_turns", 6)]}) as store:
            for trajectory in (t for group in played for t in group):
                store.append(trajectory)

    def _measured(
        self, played: Sequence[Sequence[Trajectory]], said: Mapping[str, float], refills: int, seconds: float
    ) -> dict[str, float]:
        """How the rollout went, over all processes; `said` of this one's."""
        tokens = sum(len(turn.reply.token_ids or ()) for group in played for t in group for turn in t.turns)
        shares = self.everyone({**said, "tokens_per_second": tokens / max(seconds, 1e-9)})
        means = {name: sum(share[name] for share in shares) / len(shares) for name in shares[0]}
        return {
            **means,
            "tokens_per_second": means["tokens_per_second"] * len(shares),
            "refills": float(refills),
            "seconds": seconds,
        }

    def close(self) -> None:
        """Free what plays beside the learner."""
        if self.reasoning is not None:
            self.reasoning.close()
