"""Text tasks: the way from a thumbnail to the code on one container."""

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
"""Looks at containers; at a strip of a container's view; and at a part of that, to read it."""


@dataclass(frozen=True)
class TextCurriculum:
    """A text task: nine containers, one of which is asked for by its colour, its emblem or its place.

    `named`: lists that are compared with a colour or an emblem begin with it.
    """

    at: StagedScene
    way: str
    cell: int
    named: bool = False

    @classmethod
    def drawn(cls, at: StagedScene, rng: Random, named: bool = False) -> TextCurriculum:
        """One of the scene's containers, described in a way that fits no other."""
        while True:
            yard = cls(at, rng.choice(CURRICULUM_STEPS), rng.randrange(9), named)
            if not yard.wanted() or sum(yard.wanted() in c.words.split() for c in yard.containers) == 1:
                return yard

    @property
    def containers(self) -> tuple[Item, ...]:
        """In reading order."""
        return self.at.items[::2]

    @property
    def plate(self) -> Item:
        """Of the one that is asked for."""
        return self.at.items[2 * self.cell + 1]

    def wanted(self) -> str:
        """The colour or emblem that is asked for, "" if it is the place."""
        colour, emblem = self.containers[self.cell].words.split()
        return {"colour": colour, "emblem": emblem}.get(self.way, "")

    def _name(self) -> str:
        return f"{self.wanted()}? " if self.named and self.wanted() else ""

    def question(self, rng: Random) -> str:
        """The question with its options."""
        colour, emblem = self.containers[self.cell].words.split()
        asked = text.ask_code(rng, text.describe_container(colour, emblem, self.way, divmod(self.cell, 3)))
        return optioned(rng, asked, self.plate.words, text.near(rng, self.plate.words))

    def begin(self, talk: DialogueBuilder, rng: Random) -> DialogueBuilder:
        """From the thumbnail: straight to a container, or to anyone where only emblems would tell."""
        if self.way == "emblem":
            talk.look("", THIRDS, rng.randrange(9))
            return talk
        listed = self._name() + " ".join(colours(self.at)[: self.cell + 1])
        said = f"{listed}!" if self.way == "colour" else ""
        talk.look(said, THIRDS, self.cell)
        return talk

    def inspect(self, talk: DialogueBuilder, cell: int) -> DialogueBuilder:
        """What the container in view is; on to a strip of it or to the next one."""
        container, view = self.containers[cell], talk.views[-1]
        said = f"{self._name()}{place_in(view, container.box)} {container.words}"
        if self.way == "emblem" and container.words.split()[1] != self.wanted():
            talk.look(said, THIRDS, (cell + 1) % 9)
        else:
            self.closer(talk, cell, f"{said}! ", STRIPS)
        return talk

    def closer(self, talk: DialogueBuilder, cell: int, said: str, grid: Size) -> None:
        """Say where the plate is in the newest view, and look there."""
        view, plate = talk.views[-1], self.at.items[2 * cell + 1].box
        said += f"{place_in(view, plate)} plate"
        talk.look(said, grid, best_cell(view, plate, grid), view.index)

    def astray(self, talk: DialogueBuilder, grid: Size, rng: Random) -> DialogueBuilder:
        """A look at a wrong part of the newest view, and the right one after it."""
        view, plate = talk.views[-1], self.plate.box
        talk.look("", grid, rng.randrange(grid[0] * grid[1]), view.index)
        if coverage(talk.views[-1].box, plate) < 0.9:
            talk.look("nothing", grid, best_cell(view, plate, grid), view.index)
        return talk

    def answer(self, talk: DialogueBuilder, cell: int) -> DialogueBuilder:
        """The answer, read off the plate of a container: once, while the options are there to choose from."""
        plate = self.at.items[2 * cell + 1]
        talk.say(f"{place_in(talk.views[-1], plate.box)} plate!\nanswer {plate.words}")
        return talk

    def search(self, talk: DialogueBuilder, rng: Random) -> DialogueBuilder:
        """From the thumbnail to the answer."""
        self.begin(talk, rng)
        cell = self._in_view(talk)
        while self.way == "emblem" and self.containers[cell].words.split()[1] != self.wanted():
            self.inspect(talk, cell)
            cell = (cell + 1) % 9
        self.inspect(talk, cell)
        self.closer(talk, cell, "", HALVES)
        return self.answer(talk, cell)

    def _in_view(self, talk: DialogueBuilder) -> int:
        x, y = center(talk.views[-1].box)
        return int(y * 3) * 3 + int(x * 3)


def best_cell(view: View, box: Box, grid: Size) -> int:
    """The cell of a grid over a view that shows most of a box, and of those the one whose middle is closest."""

    def merit(cell: int) -> tuple[float, float]:
        part = compose(view.box, cell_box(*grid, cell % grid[0], cell // grid[0]))
        (x, y), (u, v) = center(part), center(box)
        return (round(coverage(part, box), 2), -abs(x - u) - abs(y - v))

    return max(range(grid[0] * grid[1]), key=merit)
