"""O3gym's environments as the `environment_factory` of TRL's own GRPOTrainer, for those who keep that trainer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from PIL import Image

from o3gym.calls import answer, crop, reuse, zoom
from o3gym.registry import REWARDS
from o3gym.rewards.settle import settle
from o3gym.train.data.task_order import TaskOrder
from o3gym.types import OVER_TURN, Call

_logger = logging.getLogger(__name__)


class SearchTools:
    """An episode whose tools are methods, as TRL's `environment_factory` expects it.

    ```python
    from functools import partial
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer
    from o3gym.train.grpo.trl_environment import SearchTools

    rows = Dataset.from_list([{"prompt": [{"role": "user", "content": ""}], "task": i} for i in range(1000)])
    trainer = GRPOTrainer(
        model="Qwen/Qwen3-VL-2B-Instruct",
        args=GRPOConfig(max_completion_length=8192),
        train_dataset=rows,
        environment_factory=partial(SearchTools, env={"suite": "synthetic", "split": "train", "max_turns": 6}),
    )
    ```

    This differs from the exact masking of `o3gym train grpo` in two ways. TRL always leaves a rollout without reward
    out of its group's mean and deviation (`stats="exclude"`). And the tokens of such a rollout still count in what
    TRL's "dapo" loss is divided by (`denominator="all"`), so steps become smaller the more rollouts are masked.
    Besides, TRL does not know when an episode ends: after its answer the model writes one more turn, which is trained
    like the others.

    The docstrings of the tool methods are part of the prompt: TRL turns them into the tool descriptions.

    Args:
        env: arguments of `o3gym/VisualSearch-v0`. Tools other than crop, zoom, reuse and answer are not offered.
        reward: name of the reward.
        over_turn_masking: whether an episode that still wanted to look when its budget ran out gets no reward, which
            TRL takes to mean that nothing is learnt from it.
    """

    def __init__(
        self, env: Mapping[str, Any] | None = None, reward: str = "outcome", over_turn_masking: bool = True
    ) -> None:
        arguments = {"tools": ["crop", "zoom", "reuse", "answer"], **(env or {}), "reward": reward}
        self._env = gym.make("o3gym/VisualSearch-v0", **arguments)
        self._reward, self._masking = REWARDS[reward], over_turn_masking
        self._order = TaskOrder(self._env.unwrapped.suite)  # type: ignore[attr-defined]

    def reset(self, task: int = 0, **row: Any) -> list[dict[str, Any]]:
        """Starts the episode of a row, whose column `task` is an index into the suite.

        If the row of the suite is bad, another one takes its place, the same one for the whole group.
        """
        good = self._order.or_another(task, task)
        for problem in self._order.bad.unnamed():
            _logger.warning("a bad row of the suite is skipped: %s", problem)
        observation, _ = self._env.reset(seed=task, options={"task": good})
        return _blocks(observation)

    def crop(self, x0: float, y0: float, x1: float, y1: float, view: int = 0) -> list[dict[str, Any]]:
        """Look at a region of a picture at full resolution.

        Args:
            x0: Left edge of the region, from 0.0 to 1.0.
            y0: Upper edge of the region, from 0.0 to 1.0.
            x1: Right edge of the region, from 0.0 to 1.0.
            y1: Lower edge of the region, from 0.0 to 1.0.
            view: Number of the picture, 0 for the first one.

        Returns:
            The region.
        """
        return self._step(crop((x0, y0, x1, y1), view))

    def zoom(self, x: float, y: float, factor: float, view: int = 0) -> list[dict[str, Any]]:
        """Magnify a picture around a point.

        Args:
            x: The point, from 0.0 at the left to 1.0.
            y: The point, from 0.0 at the top to 1.0.
            factor: How many times larger, above 1.
            view: Number of the picture, 0 for the first one.

        Returns:
            The magnified part.
        """
        return self._step(zoom((x, y), factor, view))

    def reuse(self, view: int) -> list[dict[str, Any]]:
        """Show an earlier picture again.

        Args:
            view: Number of the picture, 0 for the first one.

        Returns:
            The picture.
        """
        return self._step(reuse(view))

    def answer(self, text: str) -> list[dict[str, Any]]:
        """Give the final answer.

        Args:
            text: The answer; the letter where there are options.

        Returns:
            That the episode is over.
        """
        return self._step(answer(text))

    def get_reward(self) -> float | None:
        """Returns the episode's reward, or None if its judge failed or it is masked."""
        trajectory = self._env.unwrapped.trajectory  # type: ignore[attr-defined]
        if self._masking and trajectory.stop in OVER_TURN:
            return None
        return settle([[trajectory]], self._reward)[0][0].reward

    def _step(self, call: Call) -> list[dict[str, Any]]:
        if self._env.unwrapped.trajectory.stop:  # type: ignore[attr-defined]
            return [{"type": "text", "text": "The episode is over; no further call is carried out."}]
        observation, _, terminated, truncated, _ = self._env.step(call)
        if terminated or truncated:
            return [{"type": "text", "text": "The episode is over."}]
        return _blocks(observation)


def _blocks(observation: Mapping[str, Any]) -> list[dict[str, Any]]:
    pictures = [{"type": "image", "image": Image.fromarray(image)} for image in observation["images"]]
    return [*pictures, {"type": "text", "text": str(observation["text"])}]
