"""Base class of the dialects that write moves of a world of visual planning into `<answer>…</answer>`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from o3gym.dialects.tagged import Tagged
from o3gym.dialects.tags import disarm
from o3gym.dialects.wording import WORLD_SHOWN, enumerated
from o3gym.tools.base import MAX_TEXT, Tool
from o3gym.types import Call, Task, View
from o3gym.worlds.mini_behaviour import MiniBehaviour
from o3gym.worlds.plans import read_plan, write_plan
from o3gym.worlds.records import task_world

EVERY_MOVE = MiniBehaviour.moves
"""The moves of all worlds. A reply may name any of them, because `parse` does not know the world."""
_ARGUMENTS = {"answer": "text", "move": "moves"}
"""The argument that holds the moves, for each tool that takes moves."""


@dataclass(frozen=True)
class OneBlock(Tagged):
    """Base of the dialects whose only call is one kind of block, and in which pictures have no names."""

    think: ClassVar[bool] = False

    @property
    def tags(self) -> tuple[str, ...]:
        """The only action tag."""
        return (self.call_tag,)

    def spoken(self, tool: str) -> bool:
        """False for every tool: the block is the call."""
        return False

    def called(self, index: int) -> str:
        """A description, because this format does not name pictures."""
        return f"picture {index + 1}"


@dataclass(frozen=True)
class Moves(OneBlock):
    """Base of the dialects whose replies are reasoning and then moves in `<answer>…</answer>`.

    Moves are read leniently, as `o3gym.worlds.plans.read_plan` does: names or letters, in any case, with spaces, commas
    or arrows between them. The call has them as names with spaces between them, whatever the format. Text that is no
    plan is kept as it was written, so that the tool or the judge can say what is wrong with it. A reply is well formed
    if its tags are; whether its moves can be read and made is not a matter of the format.
    """

    call_tag: ClassVar[str] = "answer"

    def missing(self, text: str) -> str:
        """The feedback on a reply without a block of moves."""
        return "the reply has no <answer>…</answer>"

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads the moves. Any text will do."""
        text = self.counted(body.strip()[:MAX_TEXT])
        plan = read_plan(text, EVERY_MOVE)
        moves = text if plan.error else write_plan(self.limited(plan.moves), EVERY_MOVE)
        return Call(self.tools[0], {_ARGUMENTS[self.tools[0]]: moves}), True

    def counted(self, text: str) -> str:
        """The part of the written moves that counts."""
        return text

    def limited(self, moves: tuple[int, ...]) -> tuple[int, ...]:
        """The moves that count."""
        return moves

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The moves as the format has them, or the text of the call if it is no plan."""
        text = call.args[_ARGUMENTS[call.tool]]
        plan = read_plan(text, EVERY_MOVE)
        return disarm(text, (*self.tags, "think")) if plan.error else self.write_moves(plan.moves)

    @abstractmethod
    def write_moves(self, moves: Sequence[int]) -> str:
        """Writes moves as the format has them. −1 stands for a move that could not be read."""

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains the possible moves and the form of a reply."""
        form, example = self.moves_form(task)
        return (
            f"{WORLD_SHOWN} The possible moves are {enumerated(world_moves(task))}. Look for the shortest way.\n\n"
            f"Write every reply as {self.lead_form()}, followed by {form}, and nothing after it, for example: "
            f"{self.close(example)}"
        )

    @abstractmethod
    def moves_form(self, task: Task) -> tuple[str, str]:
        """Describes the moves of a reply in the prompt, and gives an example."""


def world_moves(task: Task) -> tuple[str, ...]:
    """The names of the moves in the task's world; all moves for a task that is not one of visual planning."""
    world = task_world(task)
    return EVERY_MOVE if world is None else world.moves
