"""Text tasks: the way from the thumbnail to the code on one container."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from o3gym.dialects.grid import cell_box
from o3gym.geometry import center, compose, coverage
from o3gym.suites.scenes import text
from o3gym.train.tiny.dialogue_builder import DialogueBuilder, Item, StagedScene, colours, optioned, place_in
from o3gym.types import Box, Size, View

CURRICULUM_STEPS = ("colour", "emblem", "position")
THIRDS, STRIPS, HALVES = (3, 3), (3, 6), (2, 3)
"""Grids of the looks at a container, at a strip of its view, and at a part of the strip, where the code is legible."""


@dataclass(frozen=True)
class TextCurriculum:
    """A text task: nine containers, one of which is asked for by its colour, its emblem or its position.

    Attributes:
        at: the scene.
        way: how the container is described: one of `CURRICULUM_STEPS`.
        cell: index of the container, in reading order.
        named: whether lists that are compared with a colour or an emblem begin with it.
    """

    at: StagedScene
    way: str
    cell: int
    named: bool = False

    @classmethod
    def drawn(cls, at: StagedScene, rng: Random, named: bool = False) -> TextCurriculum:
        """Draws one of the scene's containers, and a description that fits no other."""
        while True:
            curriculum = cls(at, rng.choice(CURRICULUM_STEPS), rng.randrange(9), named)
            if (
                not curriculum.wanted()
                or sum(curriculum.wanted() in c.words.split() for c in curriculum.containers) == 1
            ):
                return curriculum

    @property
    def containers(self) -> tuple[Item, ...]:
        """The containers, in reading order."""
        return self.at.items[::2]

    @property
    def plate(self) -> Item:
        """The plate of the container that is asked for."""
        return self.at.items[2 * self.cell + 1]

    def wanted(self) -> str:
        """Returns the colour or emblem that is asked for; "" if the position is."""
        colour, emblem = self.containers[self.cell].words.split()
        return {"colour": colour, "emblem": emblem}.get(self.way, "")

    def _name(self) -> str:
        return f"{self.wanted()}? " if self.named and self.wanted() else ""

    def question(self, rng: Random) -> str:
        """Returns the question with its options."""
        colour, emblem = self.containers[self.cell].words.split()
        asked = text.ask_code(rng, text.describe_container(colour, emblem, self.way, divmod(self.cell, 3)))
        return optioned(rng, asked, self.plate.words, text.near(rng, self.plate.words))

    def begin(self, builder: DialogueBuilder, rng: Random) -> DialogueBuilder:
        """Writes the first look: straight at the container, or at a random one if its emblem has to be found.

        The thumbnail shows colours and positions, but no emblems.
        """
        if self.way == "emblem":
            builder.look("", THIRDS, rng.randrange(9))
            return builder
        listed = self._name() + " ".join(colours(self.at)[: self.cell + 1])
        said = f"{listed}!" if self.way == "colour" else ""
        builder.look(said, THIRDS, self.cell)
        return builder

    def inspect(self, builder: DialogueBuilder, cell: int) -> DialogueBuilder:
        """Names the container in view, and looks at a strip of it or, if it has the wrong emblem, at the next one."""
        container, view = self.containers[cell], builder.views[-1]
        said = f"{self._name()}{place_in(view, container.box)} {container.words}"
        if self.way == "emblem" and container.words.split()[1] != self.wanted():
            builder.look(said, THIRDS, (cell + 1) % 9)
        else:
            self.closer(builder, cell, f"{said}! ", STRIPS)
        return builder

    def closer(self, builder: DialogueBuilder, cell: int, said: str, grid: Size) -> None:
        """Says where the plate is in the newest view, and looks there."""
        view, plate = builder.views[-1], self.at.items[2 * cell + 1].box
        said += f"{place_in(view, plate)} plate"
        builder.look(said, grid, best_cell(view, plate, grid), view.index)

    def astray(self, builder: DialogueBuilder, grid: Size, rng: Random) -> DialogueBuilder:
        """Writes a look at a random part of the newest view and, if the plate is not there, the right look after it."""
        view, plate = builder.views[-1], self.plate.box
        builder.look("", grid, rng.randrange(grid[0] * grid[1]), view.index)
        if coverage(builder.views[-1].box, plate) < 0.9:
            builder.look("nothing", grid, best_cell(view, plate, grid), view.index)
        return builder

    def answer(self, builder: DialogueBuilder, cell: int) -> DialogueBuilder:
        """Answers with the code on a container's plate.

        The code is written in the answer only, not in the list, since the options are there to compare it with.
        """
        plate = self.at.items[2 * cell + 1]
        builder.say(f"{place_in(builder.views[-1], plate.box)} plate!\nanswer {plate.words}")
        return builder

    def search(self, builder: DialogueBuilder, rng: Random) -> DialogueBuilder:
        """Writes the whole search, from the thumbnail to the answer."""
        self.begin(builder, rng)
        cell = self._in_view(builder)
        while self.way == "emblem" and self.containers[cell].words.split()[1] != self.wanted():
            self.inspect(builder, cell)
            cell = (cell + 1) % 9
        self.inspect(builder, cell)
        self.closer(builder, cell, "", HALVES)
        return self.answer(builder, cell)

    def _in_view(self, builder: DialogueBuilder) -> int:
        x, y = center(builder.views[-1].box)
        return int(y * 3) * 3 + int(x * 3)


def best_cell(view: View, box: Box, grid: Size) -> int:
    """Returns the cell of a grid over a view that shows most of a box; of equals, the one whose centre is closest."""

    def merit(cell: int) -> tuple[float, float]:
        part = compose(view.box, cell_box(*grid, cell % grid[0], cell // grid[0]))
        (x, y), (u, v) = center(part), center(box)
        return (round(coverage(part, box), 2), -abs(x - u) - abs(y - v))

    return max(range(grid[0] * grid[1]), key=merit)
