"""`vagen`: a few moves at a time, as in VAGEN's FrozenLake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from o3gym.dialects.moves import EVERY_MOVE, Moves
from o3gym.types import Call, Task, View
from o3gym.worlds.plans import write_plan

MOST_MOVES = 5
"""The number of moves in a reply that are carried out."""


@dataclass(frozen=True)
class Vagen(Moves):
    """One think block, then one to five moves: `<think>…</think><answer>Right,Down</answer>`. The last answer counts.

    The environment makes the moves and shows the state after them. As in the system, moves after the fifth are dropped.

    Source: VAGEN at 2936322 (FrozenLake). Its moves are the four directions; `Pick` and `Drop` are ours.
    """

    name: ClassVar[str] = "vagen"
    tools: ClassVar[tuple[str, ...]] = ("move",)
    think: ClassVar[bool] = True

    def counted(self, text: str) -> str:
        """The first five parts between commas."""
        return ",".join(text.split(",", MOST_MOVES)[:MOST_MOVES]).strip()

    def limited(self, moves: tuple[int, ...]) -> tuple[int, ...]:
        """The first five moves."""
        return moves[:MOST_MOVES]

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The moves. Raises ValueError if a reply cannot hold as many."""
        written = super().write_call(call, views)
        if written.count(",") >= MOST_MOVES:
            raise ValueError(f"a reply of dialect {self.name} holds at most {MOST_MOVES} moves, got {written:.60}")
        return written

    def write_moves(self, moves: Sequence[int]) -> str:
        """Capitalised names with commas between them."""
        return ",".join(word.capitalize() for word in write_plan(moves, EVERY_MOVE).split())

    def lead(self, thought: str) -> str:
        """The think block, with nothing between it and the moves."""
        return f"<think>{thought}</think>"

    def moves_form(self, task: Task) -> tuple[str, str]:
        """Describes the moves of a reply, and gives an example."""
        return (
            f"up to {MOST_MOVES} moves with commas between them, which are made before you are shown the new state",
            "Right,Down",
        )
