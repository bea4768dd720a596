"""`mgsd`: a whole plan in letters, as in the text environments of MGSD."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from o3gym.dialects.moves import EVERY_MOVE, Moves, world_moves
from o3gym.dialects.wording import enumerated
from o3gym.types import Task
from o3gym.worlds.base import DIRECTIONS
from o3gym.worlds.plans import write_plan


@dataclass(frozen=True)
class Mgsd(Moves):
    """Reasoning, then the whole plan in letters: `<answer>LLRUD</answer>`. The last answer counts.

    A plan with moves that are not directions has commas between its moves: `<answer>L,L,PICK,R,DROP</answer>`.

    Source: MGSD at 53b731a (task_envs), text versions of VPRL's three worlds.
    """

    name: ClassVar[str] = "mgsd"
    tools: ClassVar[tuple[str, ...]] = ("answer",)

    def write_moves(self, moves: Sequence[int]) -> str:
        """Letters without separators, or letters and names with commas between them."""
        written = [word[0] if word in DIRECTIONS else word for word in write_plan(moves, EVERY_MOVE).split()]
        return ("," if any(len(word) > 1 for word in written) else "").join(written).upper()

    def moves_form(self, task: Task) -> tuple[str, str]:
        """Describes the plan, which has commas if the world has moves that are not directions, and gives an example."""
        letters = "the whole plan from the start to the goal, as the letters U, D, L and R"
        others = [move.upper() for move in world_moves(task) if move not in DIRECTIONS]
        if not others:
            return f"{letters} without anything between them", "LLRUD"
        return f"{letters} and the words {enumerated(others)} with commas between them", f"L,L,{',R,'.join(others)}"
