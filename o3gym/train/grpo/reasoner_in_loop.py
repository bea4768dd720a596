"""The in-loop half of a rollout: a reasoner works on tasks, and the learner carries out the searches it delegates.

Follows InSight-o3 (arXiv 2512.18745, section 4.1). The reasoner is any policy and does not learn. A search is rewarded
by the reasoner's rating of it and by the verdict on the reasoner's final answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from o3gym.dialects.base import make_dialect
from o3gym.envs.checks import default_tools
from o3gym.judges.base import make_judge
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.two_agent import TwoAgent, searcher_env
from o3gym.registry import REWARDS
from o3gym.rewards.settle import parents_of, settle
from o3gym.rollout.delegation import reasoning_tools, searching_tools
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Agent, Arm, Job
from o3gym.sampling import Sampling
from o3gym.suites.base import make_suite
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.recipe import RecipeError
from o3gym.types import Trajectory

REASONER_REWARD = "outcome"
"""Reward of the reasoner's episodes, from which nothing learns."""


class ReasonerInLoop:
    """The reasoner of a training, its tasks, and the environment of the searches that it delegates.

    Args:
        recipe: a recipe with an `in_loop` half.

    Raises:
        RecipeError: the learner's dialect has no locate call, or the reasoner's has no search call.
    """

    def __init__(self, recipe: GrpoRecipe) -> None:
        self.recipe, settings = recipe, recipe.in_loop
        self.dialect, self.searcher_dialect = make_dialect(settings.dialect), make_dialect(recipe.dialect)
        self._check()
        defaults = {"suite": "synthetic", "split": "train", "size_rule": self.dialect.size_rule}
        env = {**TwoAgent.env, **defaults, **settings.env, "reward": REASONER_REWARD}
        self.suite = make_suite(env["suite"], env["split"], **env.get("suite_args", {}))
        env["tools"] = env.get("tools") or reasoning_tools(default_tools(self.suite))
        sampling = Sampling(settings.temperature, max_tokens=settings.max_tokens)
        self.arm = Arm("in_loop", env, settings.reasoner, settings.dialect, sampling)
        self.judge = make_judge(settings.judge) if settings.judge else None

    def _check(self) -> None:
        for dialect, tool in ((self.searcher_dialect, "locate"), (self.dialect, "search")):
            if tool not in dialect.tools:
                raise RecipeError(
                    f"in_loop: dialect {dialect.name} has no {tool} (it has: {', '.join(dialect.tools)}); "
                    "the learner ends a search with locate, the reasoner asks for one with search"
                )

    @cached_property
    def reasoner(self) -> Policy:
        """The reasoner's policy, loaded when the first task is played."""
        return make_policy(self.recipe.in_loop.reasoner)

    def searcher(self, policy: Policy) -> Agent:
        """Returns the agent that carries out searches: the learner's policy, with the budgets of the recipe's `env`."""
        recipe, env = self.recipe, self.arm.env
        # A search takes place in the picture of the reasoner's task, hence in its suite, not in that of the recipe.
        where: dict[str, Any] = {key: env[key] for key in ("suite", "split", "suite_args") if key in env}
        own = {key: value for key, value in recipe.env.items() if key not in ("suite", "split", "suite_args", "tools")}
        searching = {
            **searcher_env(),
            "size_rule": self.searcher_dialect.size_rule,
            **own,
            **where,
            "tools": searching_tools(self.searcher_dialect),
            "reward": recipe.in_loop.reward,
        }
        arm = Arm("in_loop", searching, recipe.name, recipe.dialect, recipe.sampling, window=recipe.window)
        return Agent(policy, self.searcher_dialect, arm)

    def play(self, jobs: Sequence[Job], policy: Policy) -> tuple[list[Trajectory], list[list[Trajectory]]]:
        """Plays the reasoner's tasks. Returns its settled episodes, and the settled searches grouped by task.

        The reasoner's episodes are settled first, because the reward of a search needs the verdict of its parent.
        """
        delegates = {"search": self.searcher(policy)}
        episodes = rollout(
            jobs, self.reasoner, self.dialect, self.arm, in_flight=self.recipe.in_flight, delegates=delegates
        )
        tasks = [t for group in settle(collect(episodes), REWARDS[REASONER_REWARD], self.judge) for t in group]
        searches = collect(child for task in tasks for child in task.children)
        return tasks, settle(searches, REWARDS[self.recipe.in_loop.reward], parents=parents_of(tasks))

    def close(self) -> None:
        """Closes the reasoner and the judge."""
        if "reasoner" in self.__dict__:
            self.reasoner.close()
        if (close := getattr(self.judge, "close", None)) is not None:
            close()
