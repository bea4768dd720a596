"""`plan`: a whole plan in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from o3gym.dialects.moves import EVERY_MOVE, Moves
from o3gym.types import Task
from o3gym.worlds.plans import write_plan


@dataclass(frozen=True)
class Plan(Moves):
    """Reasoning, then the whole plan: `<answer>right right up</answer>`. The last answer counts.

    The format is ours: it is what a model without any training for visual planning writes most readily.
    """

    name: ClassVar[str] = "plan"
    tools: ClassVar[tuple[str, ...]] = ("answer",)

    def write_moves(self, moves: Sequence[int]) -> str:
        """Names with spaces between them."""
        return write_plan(moves, EVERY_MOVE)

    def moves_form(self, task: Task) -> tuple[str, str]:
        """Describes the plan, and gives an example."""
        return "the whole plan from the start to the goal, as names of moves with spaces between them", "right right up"
