"""What the model on board learns from: reading single views, then whole searches, on the synthetic train split.

A reply says what there is to see in the new view, item by item in reading order, each with its place; the list ends
with "!" after what the question asks for; then it acts. So each view gives many labels: a small model that is told one
answer per picture does not learn to see. The places tell it where to look for the words that follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from o3gym.dialects.grid import Grid, cell_box, cell_name
from o3gym.dialogue import Message, Picture
from o3gym.geometry import center, compose, coverage, from_pixels, relative, snap
from o3gym.images import shared_store
from o3gym.policies.tiny.sight import shown
from o3gym.suites.scenes import attribute, hidden, text
from o3gym.suites.scenes.base import Scene
from o3gym.suites.scenes.icons import ICONS
from o3gym.suites.synthetic import SCENES, lay_out
from o3gym.types import FULL, LETTERS, Box, Size, Source, View

FAMILIES = ("attribute", "hidden", "text")
WAYS = ("colour", "emblem", "position")
LATTICE = (6, 4)
"""Columns and rows of the cells by which places in a view are told, those of the tokens of a wide view."""
GRID, THIRDS, STRIPS, HALVES = (4, 4), (3, 3), (3, 6), (2, 3)
"""Looks at scattered things; at containers; at a strip of a container's view; and at a part of that, to read it."""
ASKED = 0.25
"""Share of readings whose question is made for what the view shows; as many others happen to fit."""
SEEN = 0.7
"""Share of an item that must be inside a view for it to be named."""
DIALECT = Grid()


@dataclass(frozen=True)
class Item:
    """Something to be named: its words, the last of which a question may ask for, and its box in the picture."""

    words: str
    box: Box

    @property
    def noun(self) -> str:
        """What it is: "mug" of "red mug"."""
        return self.words.split()[-1]


@dataclass(frozen=True)
class Stage:
    """A scene of the train split, ready to be asked about."""

    family: str
    seed: int
    scene: Scene
    source: Source
    items: tuple[Item, ...]


@lru_cache(maxsize=64)
def stage(family: str, seed: int) -> Stage:
    """The scene with that seed; seeds of the train split are odd."""
    scene, aspect = lay_out(family, "easy", 2 * seed + 1), SCENES[family].aspect
    source = Source.generated("synthetic", family=family, difficulty="easy", seed=2 * seed + 1, pixels=0)
    items = tuple(Item(words, (b[0] / aspect, b[1], b[2] / aspect, b[3])) for words, b in scene.items)
    return Stage(family, seed, scene, source, items)


class Talk:
    """A dialogue in the making: what the environment and the dialect would show, and what the model should write."""

    def __init__(self, at: Stage, question: str) -> None:
        self.at = at
        self.views: list[View] = []
        self.messages: list[Message] = []
        self._show(FULL, -1, question)

    def look(self, thought: str, grid: Size, cell: int, view: int = 0) -> None:
        """Write a look at a cell (counted in reading order), and show it."""
        column, row = cell % grid[0], cell // grid[0]
        action = f"look {grid[0]}x{grid[1]} {cell_name(column, row)}" + (f" in {view}" if view else "")
        self.say(f"{thought}\n{action}" if thought else action)
        self._show(compose(self.views[view].box, cell_box(*grid, column, row)), view)

    def say(self, words: str) -> None:
        """Write a reply."""
        self.messages.append(Message("assistant", (words,)))

    def _show(self, box: Box, parent: int, words: str = "") -> None:
        native = shared_store().size(self.at.source)
        pixels = snap(box, native)
        size = (pixels[2] - pixels[0], pixels[3] - pixels[1])
        view = View(len(self.views), 0, from_pixels(pixels, native), size, shown(*size), parent)
        self.views.append(view)
        parts = DIALECT.show([view], words, {"turn": 0 if words else 1})
        self.messages.append(Message("user", tuple(self._picture(p) if isinstance(p, View) else p for p in parts)))

    def _picture(self, view: View) -> Picture:
        return Picture(view, lambda: shared_store().region(self.at.source, view.box, view.shown))


def place_in(view: View, box: Box) -> str:
    """Where in a view a box has its middle, as a cell of 6 columns and 4 rows: "@b3"."""
    x, y = center(relative(view.box, box))
    return f"@{cell_name(min(int(x * LATTICE[0]), LATTICE[0] - 1), min(int(y * LATTICE[1]), LATTICE[1] - 1))}"


def visible(items: Sequence[Item], view: View) -> list[Item]:
    """The items that a view shows, in reading order: by rows of the lattice, then from left to right."""
    seen = [item for item in items if coverage(view.box, item.box) >= SEEN]
    return sorted(seen, key=lambda item: (place_in(view, item.box)[1], center(item.box)[0]))


def listed(items: Sequence[Item], view: View, wanted: str) -> tuple[str, Item | None]:
    """The list as written, cut after the first item that is wanted, and that item."""
    said: list[str] = []
    for item in items:
        said.append(f"{place_in(view, item.box)} {item.words}")
        if item.noun == wanted:
            return " ".join(said) + "!", item
    return " ".join(said) or "nothing", None


class Lesson:
    """A source of dialogues, endless and the same for the same index: each scene of the train split gives a few.

    Args:
        families: which, joined by "+".
        views: dialogues per scene.
        start: number of the first scene of the train split.
    """

    def __init__(self, families: str = "+".join(FAMILIES), views: int = 8, start: int = 0) -> None:
        self.families, self.views, self.start = tuple(families.split("+")), views, start
        if wrong := set(self.families) - set(FAMILIES):
            raise ValueError(f"families: expected some of {'+'.join(FAMILIES)}, got {'+'.join(sorted(wrong))}")

    def example(self, index: int, seed: int) -> list[Message]:
        """The dialogue at `index`."""
        rng = Random(f"{type(self).__name__}/{index}/{seed}")
        number = index // self.views
        family = self.families[number % len(self.families)]
        messages = self.talk(stage(family, self.start + number), rng).messages
        return messages if messages[-1].role == "assistant" else messages[:-1]

    def talk(self, at: Stage, rng: Random) -> Talk:
        """A dialogue about a scene."""
        raise NotImplementedError


class Reading(Lesson):
    """One look somewhere, and what there is: meant for a loss on the last reply alone.

    About half of the questions ask for something that the view shows. Text tasks are at any of their steps: thumbnail,
    container, strip, plate, or a look that went astray.
    """

    def talk(self, at: Stage, rng: Random) -> Talk:
        """By family."""
        return self._text(at, rng) if at.family == "text" else self._scattered(at, rng)

    def _scattered(self, at: Stage, rng: Random) -> Talk:
        cell = rng.randrange(16)
        probe = Talk(at, "?")
        probe.look("", GRID, cell)
        items = visible(at.items, probe.views[-1])
        nouns = [item.noun for item in items]
        wanted = rng.choice(nouns) if nouns and rng.random() < ASKED else _anything(at.family, rng)
        said, found = listed(items, probe.views[-1], wanted)
        talk = Talk(at, asked(rng, at.family, wanted))
        talk.look("", GRID, cell)
        if found:
            talk.say(f"{said}\nanswer {found.words.split()[0]}")
        else:
            talk.look(said, GRID, (cell + 1) % 16)
        return talk

    def _text(self, at: Stage, rng: Random) -> Talk:
        yard, depth = Yard.drawn(at, rng), rng.random()
        talk = Talk(at, yard.question(rng))
        if depth < 0.2:
            return yard.begin(talk, rng)
        other = rng.randrange(9) if yard.way == "emblem" and rng.random() < 0.5 else yard.cell
        talk.look("", THIRDS, other)
        if depth < 0.5 or other != yard.cell:
            return yard.inspect(talk, other)
        if depth < 0.55:
            return yard.astray(talk, STRIPS, rng)
        talk.look("", STRIPS, best_cell(talk.views[-1], yard.plate.box, STRIPS), 1)
        if depth < 0.65:
            yard.closer(talk, yard.cell, "", HALVES)
            return talk
        if depth < 0.7:
            return yard.astray(talk, HALVES, rng)
        talk.look("", HALVES, best_cell(talk.views[-1], yard.plate.box, HALVES), 2)
        return yard.answer(talk, yard.cell)


class Search(Lesson):
    """Whole searches: cell by cell from anywhere, round and round, until it is found; or straight to what is known.

    Args:
        families, views, start: as for every lesson.
        looks: a search of scattered things begins at most so many cells before the one that shows what is asked for;
            0 for anywhere.
    """

    def __init__(self, families: str = "+".join(FAMILIES), views: int = 2, start: int = 0, looks: int = 0) -> None:
        super().__init__(families, views, start)
        self.looks = looks

    def talk(self, at: Stage, rng: Random) -> Talk:
        """By family."""
        if at.family == "text":
            yard = Yard.drawn(at, rng)
            return yard.search(Talk(at, yard.options(rng)), rng)
        talk, wanted = Talk(at, _options(rng, at.scene)), at.scene.targets[0][0]
        cell, thought = self._first(at, wanted, rng), ""
        for _ in range(32):
            talk.look(thought, GRID, cell)
            thought, found = listed(visible(at.items, talk.views[-1]), talk.views[-1], wanted)
            if found:
                talk.say(f"{thought}\nanswer {found.words.split()[0]}")
                return talk
            cell = (cell + 1) % 16
        raise ValueError(f"scene {at.seed} of {at.family} shows its target in no cell")

    def _first(self, at: Stage, wanted: str, rng: Random) -> int:
        """Where the search begins."""
        if not self.looks:
            return rng.randrange(16)
        (box,) = (item.box for item in at.items if item.noun == wanted)
        shown = [cell for cell in range(16) if coverage(cell_box(*GRID, cell % 4, cell // 4), box) >= SEEN]
        return (rng.choice(shown) - rng.randrange(self.looks)) % 16


class Walk:
    """Looks from cell to cell without pictures: the order of the cells, at next to no cost."""

    def example(self, index: int, seed: int) -> list[Message]:
        """The walk at `index`, over a 4×4 or a 3×3 grid from anywhere."""
        rng = Random(f"walk/{index}/{seed}")
        grid, family = rng.choice(((GRID, "attribute"), (GRID, "hidden"), (THIRDS, "text")))
        cell = rng.randrange(grid[0] * grid[1])
        wanted = "star" if family == "hidden" else rng.choice(list(ICONS))
        messages = [Message("user", (f"picture 0\n{asked(rng, family, wanted)}",))]
        for number in range(1, rng.randint(3, 17)):
            column, row = cell % grid[0], cell // grid[0]
            messages.append(Message("assistant", (f"look {grid[0]}x{grid[1]} {cell_name(column, row)}",)))
            messages.append(Message("user", (f"picture {number}",)))
            cell = (cell + 1) % (grid[0] * grid[1])
        return messages[:-1]


@dataclass(frozen=True)
class Yard:
    """A text task: nine containers, one of which is asked for by its colour, its emblem or its place."""

    at: Stage
    way: str
    cell: int

    @classmethod
    def drawn(cls, at: Stage, rng: Random) -> Yard:
        """One of the scene's containers, described in a way that fits no other."""
        while True:
            yard = cls(at, rng.choice(WAYS), rng.randrange(9))
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

    def question(self, rng: Random) -> str:
        """Without options."""
        colour, emblem = self.containers[self.cell].words.split()
        return text.ask(rng, text.describe(colour, emblem, self.way, divmod(self.cell, 3)))

    def options(self, rng: Random) -> str:
        """The question with its options."""
        return _optioned(rng, self.question(rng), self.plate.words, text.near(rng, self.plate.words))

    def begin(self, talk: Talk, rng: Random) -> Talk:
        """From the thumbnail: straight to a container, or to anyone where only emblems would tell."""
        if self.way == "emblem":
            talk.look("", THIRDS, rng.randrange(9))
            return talk
        said, cell = "", self.cell
        if self.way == "colour":
            said, cell = self._colours()
        talk.look(said, THIRDS, cell)
        return talk

    def _colours(self) -> tuple[str, int]:
        said: list[str] = []
        for i, container in enumerate(self.containers):
            colour = container.words.split()[0]
            hit = colour == self.wanted()
            said.append(f"{cell_name(i % 3, i // 3)} {colour}")
            if hit:
                return " ".join(said) + "!", i
        raise ValueError("no container has the colour that is asked for")

    def inspect(self, talk: Talk, cell: int) -> Talk:
        """What the container in view is; on to a strip of it or to the next one."""
        container, view = self.containers[cell], talk.views[-1]
        said = f"{place_in(view, container.box)} {container.words}"
        if self.way == "emblem" and container.words.split()[1] != self.wanted():
            talk.look(said, THIRDS, (cell + 1) % 9)
        else:
            self.closer(talk, cell, f"{said}! ", STRIPS)
        return talk

    def closer(self, talk: Talk, cell: int, said: str, grid: Size) -> None:
        """Say where the plate is in the newest view, and look there."""
        view, plate = talk.views[-1], self.at.items[2 * cell + 1].box
        said += f"{place_in(view, plate)} plate"
        talk.look(said, grid, best_cell(view, plate, grid), view.index)

    def astray(self, talk: Talk, grid: Size, rng: Random) -> Talk:
        """A look at a wrong part of the newest view, and the right one after it."""
        view, plate = talk.views[-1], self.plate.box
        talk.look("", grid, rng.randrange(grid[0] * grid[1]), view.index)
        if coverage(talk.views[-1].box, plate) < 0.9:
            talk.look("nothing", grid, best_cell(view, plate, grid), view.index)
        return talk

    def answer(self, talk: Talk, cell: int) -> Talk:
        """The plate of a container, read and answered."""
        plate = self.at.items[2 * cell + 1]
        talk.say(f"{place_in(talk.views[-1], plate.box)} {plate.words}!\nanswer {plate.words}")
        return talk

    def search(self, talk: Talk, rng: Random) -> Talk:
        """From the thumbnail to the answer."""
        self.begin(talk, rng)
        cell = self._in_view(talk)
        while self.way == "emblem" and self.containers[cell].words.split()[1] != self.wanted():
            self.inspect(talk, cell)
            cell = (cell + 1) % 9
        self.inspect(talk, cell)
        self.closer(talk, cell, "", HALVES)
        return self.answer(talk, cell)

    def _in_view(self, talk: Talk) -> int:
        x, y = center(talk.views[-1].box)
        return int(y * 3) * 3 + int(x * 3)


def best_cell(view: View, box: Box, grid: Size) -> int:
    """The cell of a grid over a view that shows most of a box, and of those the one whose middle is closest."""

    def merit(cell: int) -> tuple[float, float]:
        part = compose(view.box, cell_box(*grid, cell % grid[0], cell // grid[0]))
        (x, y), (u, v) = center(part), center(box)
        return (round(coverage(part, box), 2), -abs(x - u) - abs(y - v))

    return max(range(grid[0] * grid[1]), key=merit)


def _anything(family: str, rng: Random) -> str:
    return "star" if family == "hidden" else rng.choice([*ICONS, *["sign"] * 8])  # signs are asked for more often


def asked(rng: Random, family: str, wanted: str) -> str:
    """A question for what goes with the noun `wanted`; cards, and hidden tasks, are asked about in their own way."""
    return hidden.ask(rng, "easy", wanted) if family in ("hidden", "cards") else attribute.ask(rng, wanted)


def _options(rng: Random, scene: Scene) -> str:
    return _optioned(rng, scene.question, scene.answer, scene.wrong)


def _optioned(rng: Random, question: str, right: str, wrong: Sequence[str]) -> str:
    options = [right, *wrong]
    rng.shuffle(options)
    return "\n".join([question, *(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))])
