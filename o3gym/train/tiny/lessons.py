"""Training dialogues of the tiny model: first reading single views, then whole searches, on the synthetic train split.

A reply lists what the new view shows, item by item in reading order, each with its place. The list ends with "!" after
the item that the question asks for. Then the reply acts. So every view gives many labels, because a small model that
gets one label per picture does not learn to see. The places tell the model where to look for the words that follow.
"""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from o3gym.dialects.grid import PLACES, cell_box, cell_name
from o3gym.geometry import coverage
from o3gym.policies.dialogue import Message
from o3gym.suites.scenes.base import Scene
from o3gym.suites.scenes.icons import ICONS
from o3gym.suites.scenes.outlines import SHAPES
from o3gym.suites.scenes.palette import COLOURS
from o3gym.train.tiny.dialogue_builder import (
    VISIBLE_SHARE,
    DialogueBuilder,
    Item,
    StagedScene,
    asked,
    listed,
    optioned,
    place_in,
    stage_scene,
    visible,
)
from o3gym.train.tiny.text_curriculum import HALVES, STRIPS, THIRDS, TextCurriculum, best_cell
from o3gym.types import FULL, View

LESSON_FAMILIES = ("attribute", "hidden", "text")
LESSON_GRID = (4, 4)
"""Grid of the looks at scattered items."""
ASKED = 0.25
"""Share of readings whose question asks for an item of the view. About half as many others do so by chance."""


class Lesson:
    """An endless source of dialogues, with a few for each scene of the train split; the same index gives the same one.

    Args:
        families: families of scenes, joined by "+".
        views: number of dialogues per scene.
        start: number of the first scene in the train split.
        named: whether lists begin with the noun that is asked for. Then each item is compared with a word of the same
            reply, which the model learns, and not with a word long before it, which it does not learn.
        echoed: whether the noun also follows each item. Then the comparison is with the word directly before it.
    """

    salt: ClassVar[str]
    """Begins the seed of every dialogue. The weights on board were trained on these dialogues, so it never changes."""

    def __init__(
        self,
        families: str = "+".join(LESSON_FAMILIES),
        views: int = 8,
        start: int = 0,
        named: bool = False,
        echoed: bool = False,
    ) -> None:
        self.families, self.views, self.start, self.named = tuple(families.split("+")), views, start, named
        self.echoed = echoed
        if wrong := set(self.families) - set(LESSON_FAMILIES):
            raise ValueError(f"families: expected some of {'+'.join(LESSON_FAMILIES)}, got {'+'.join(sorted(wrong))}")

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue at `index`."""
        rng = Random(f"{self.salt}/{index}/{seed}")
        number = index // self.views
        family = self.families[number % len(self.families)]
        messages = self.build(stage_scene(family, self.start + number), rng).messages
        return messages if messages[-1].role == "assistant" else messages[:-1]

    def build(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        """Builds a dialogue about a scene."""
        raise NotImplementedError


class ReadingLesson(Lesson):
    """One look somewhere, and a list of what it shows; meant for a loss on the last reply alone.

    About half of the questions ask for an item of the view. Text tasks are at any of their steps: thumbnail, container,
    strip, plate, or after a wrong look.

    Args:
        families: see `Lesson`.
        thumbnail: whether text tasks are at their first step, and ask for a colour if some colour occurs only once.
        asked: share of looks at scattered items whose question asks for an item of the view.
        options: the other arguments of `Lesson`.
    """

    salt = "Reading"

    def __init__(
        self,
        families: str = "+".join(LESSON_FAMILIES),
        *,
        thumbnail: bool = False,
        asked: float = ASKED,
        **options: Any,
    ) -> None:
        super().__init__(families, **options)
        self.thumbnail, self.asked = thumbnail, asked

    def build(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        """Builds a dialogue of the scene's family."""
        return self._text(at, rng) if at.family == "text" else self._scattered(at, rng)

    def _scattered(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        cell = rng.randrange(16)
        probe = DialogueBuilder(at, "?")
        probe.look("", LESSON_GRID, cell)
        items = visible(at.items, probe.views[-1])
        nouns = [item.noun for item in items]
        wanted = rng.choice(nouns) if nouns and rng.random() < self.asked else _anything(at.family, rng)
        said, found = listed(items, probe.views[-1], wanted, self.named, self.echoed)
        builder = DialogueBuilder(at, asked(rng, at.family, wanted, found))
        builder.look("", LESSON_GRID, cell)
        if found:
            builder.say(f"{said}\nanswer {found.words.split()[0]}")
        else:
            builder.look(said, LESSON_GRID, (cell + 1) % 16)
        return builder

    def _text(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        curriculum, depth = TextCurriculum.drawn(at, rng, self.named), rng.random()
        for _ in range(64 if self.thumbnail else 0):  # in some scenes no colour is unique
            if curriculum.way != "colour":
                curriculum = TextCurriculum.drawn(at, rng, self.named)
        builder = DialogueBuilder(at, curriculum.question(rng))
        if self.thumbnail or depth < 0.2:
            return curriculum.begin(builder, rng)
        other = rng.randrange(9) if curriculum.way == "emblem" and rng.random() < 0.5 else curriculum.cell
        builder.look("", THIRDS, other)
        if depth < 0.5 or other != curriculum.cell:
            return curriculum.inspect(builder, other)
        if depth < 0.55:
            return curriculum.astray(builder, STRIPS, rng)
        builder.look("", STRIPS, best_cell(builder.views[-1], curriculum.plate.box, STRIPS), 1)
        if depth < 0.65:
            curriculum.closer(builder, curriculum.cell, "", HALVES)
            return builder
        if depth < 0.7:
            return curriculum.astray(builder, HALVES, rng)
        builder.look("", HALVES, best_cell(builder.views[-1], curriculum.plate.box, HALVES), 2)
        return curriculum.answer(builder, curriculum.cell)


class SearchLesson(Lesson):
    """Whole searches: cell by cell from a random cell on until the target is found, or straight to a known place.

    Args:
        families, views: see `Lesson`.
        looks: a search among scattered items begins fewer than this many cells before one that shows the target; 0 for
            any cell.
        told: whether views are described in words instead of shown. This teaches how to search at next to no cost.
        guess: probability per reply of a random answer before the target is found. Only for scattered items, like
            `late` and `free`.
        late: whether all cells that do not show the target are looked at once before the search, so that view numbers
            reach 30. Meant for a loss on the last replies alone.
        free: whether the question has no options.
        options: the other arguments of `Lesson`.
    """

    salt = "Search"

    def __init__(
        self,
        families: str = "+".join(LESSON_FAMILIES),
        views: int = 2,
        *,
        looks: int = 0,
        told: bool = False,
        guess: float = 0.0,
        late: bool = False,
        free: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(families, views, **options)
        if "text" in self.families and (guess or late or free):
            raise ValueError("guess, late, free: expected families without text, whose items are not scattered")
        self.looks, self.told, self.guess, self.late, self.free = looks, told, guess, late, free

    def build(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        """Builds a dialogue of the scene's family."""
        if at.family == "text":
            curriculum = TextCurriculum.drawn(at, rng, self.named)
            return curriculum.search(DialogueBuilder(at, curriculum.question(rng), self.told), rng)
        return self._scattered(DialogueBuilder(at, self._question(at, rng), self.told), at, rng)

    def _scattered(self, builder: DialogueBuilder, at: StagedScene, rng: Random) -> DialogueBuilder:
        """Searches cell by cell, up to the target or to a guess."""
        wanted, thought = at.scene.targets[0][0], ""
        for cell in self._cells(at, wanted, rng):
            if self._guesses(thought, rng):
                builder.say(f"{thought}\nanswer {self._guess(builder, rng)}".strip())
                return builder
            builder.look(thought, LESSON_GRID, cell)
            view = builder.views[-1]
            thought, found = listed(visible(at.items, view), view, wanted, self.named, self.echoed)
            if found:
                builder.say(f"{thought}\nanswer {self._answer(found, view)}")
                return builder
        raise ValueError(f"scene {at.seed} of {at.family} shows its target in no cell")

    def _question(self, at: StagedScene, rng: Random) -> str:
        return at.scene.question if self.free else _options(rng, at.scene)

    def _guesses(self, thought: str, rng: Random) -> bool:
        return bool(self.guess) and rng.random() < self.guess

    def _guess(self, builder: DialogueBuilder, rng: Random) -> str:
        scene = builder.at.scene
        anything = list(SHAPES if scene.targets[0][0] == "sign" else COLOURS)
        return rng.choice(anything if self.free else [scene.answer, *scene.wrong])

    def _answer(self, found: Item, view: View) -> str:
        return found.words.split()[0]

    def _cells(self, at: StagedScene, wanted: str, rng: Random) -> list[int]:
        """Returns the cells to look at, in order."""
        (box,) = (item.box for item in at.items if item.noun == wanted)
        shown = [
            cell for cell in range(16) if coverage(cell_box(*LESSON_GRID, cell % 4, cell // 4), box) >= VISIBLE_SHARE
        ]
        first = (rng.choice(shown) - rng.randrange(self.looks)) % 16 if self.looks else rng.randrange(16)
        lap = [(first + step) % 16 for step in range(16)]
        return [cell for cell in lap if cell not in shown] + lap if self.late else lap


class FindingLesson(SearchLesson):
    """Region searches as a reasoner delegates them: the question is just a noun, and the answer its place in a view.

    Args:
        families: families of scattered items, joined by "+".
        views: see `Lesson`.
        options: the other arguments of `SearchLesson`. Here `guess` is the probability per reply, after the first look,
            of ending at a random place before the target is found.
    """

    salt = "Finding"

    def __init__(self, families: str = "hidden", views: int = 2, **options: Any) -> None:
        super().__init__(families, views, **options)
        if "text" in self.families:
            raise ValueError("families: expected some of attribute+hidden, whose items are scattered")

    def _question(self, at: StagedScene, rng: Random) -> str:
        return at.scene.targets[0][0]

    def _guesses(self, thought: str, rng: Random) -> bool:
        return bool(thought) and super()._guesses(thought, rng)

    def _guess(self, builder: DialogueBuilder, rng: Random) -> str:
        return f"@{cell_name(rng.randrange(PLACES[0]), rng.randrange(PLACES[1]))} in {builder.views[-1].index}"

    def _answer(self, found: Item, view: View) -> str:
        return f"{place_in(view, found.box)} in {view.index}"


class WalkLesson:
    """Looks from cell to cell without pictures; teaches the order of the cells at next to no cost."""

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the walk at `index`, over a 4×4 or 3×3 grid from a random cell on."""
        rng = Random(f"walk/{index}/{seed}")
        grid, family = rng.choice(((LESSON_GRID, "attribute"), (LESSON_GRID, "hidden"), (THIRDS, "text")))
        cell = rng.randrange(grid[0] * grid[1])
        wanted = "star" if family == "hidden" else rng.choice(list(ICONS))
        messages = [Message("user", (f"picture 0\n{asked(rng, family, wanted, None)}",))]
        for number in range(1, rng.randint(3, 17)):
            column, row = cell % grid[0], cell // grid[0]
            messages.append(Message("assistant", (f"look {grid[0]}x{grid[1]} {cell_name(column, row)}",)))
            messages.append(Message("user", (f"picture {number}",)))
            cell = (cell + 1) % (grid[0] * grid[1])
        return messages[:-1]


class MarksLesson:
    """Searches without pictures in which the wanted noun follows every item, with "!" if the item's noun is the same.

    So the model compares each noun with the word directly before it. When it had to compare with a word long before, it
    learned instead to notice that a noun had been written already. In a long search that holds for most nouns, so it
    stopped at wrong items, and more often the longer it searched.
    """

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the search at `index`, of up to twelve views."""
        rng = Random(f"marks/{index}/{seed}")
        wanted, cell = rng.choice([*ICONS, "sign"]), rng.randrange(16)
        often = rng.choice((0.1, 0.25, 0.45))
        messages = [Message("user", (f"picture 0\n{asked(rng, 'attribute', wanted, None)}",))]
        thought = ""
        for number in range(1, rng.randint(3, 13)):
            messages.append(Message("assistant", (f"{thought}look 4x4 {cell_name(cell % 4, cell // 4)}",)))
            messages.append(Message("user", (f"picture {number}",)))
            cell, thought = (cell + 1) % 16, f"{wanted}? {self._listed(wanted, often, rng)}\n"
        return messages[:-1]

    @staticmethod
    def _listed(wanted: str, often: float, rng: Random) -> str:
        words = []
        for at in sorted(rng.sample(range(24), rng.randint(0, 9))):
            noun = wanted if rng.random() < often else rng.choice([*ICONS, "sign"])
            colour = rng.choice(list(SHAPES if noun == "sign" else COLOURS))
            words.append(f"@{cell_name(at % 6, at // 6)} {colour} {noun} {wanted}{'?!'[noun == wanted]}")
        return " ".join(words) or "nothing"


class MatchLesson:
    """Lists in words, copied up to the wanted word: "mug" and "cup mug key" give "mug? cup mug!".

    That two words are the same is learned in a sudden leap, which does not happen among hundreds of picture tokens.

    Args:
        of: "nouns" for nouns of small items, "colours" for the colours of the nine containers of a text scene.
    """

    def __init__(self, of: str = "nouns") -> None:
        if of not in ("nouns", "colours"):
            raise ValueError(f'of: expected "nouns" or "colours", got "{of}"')
        self.of = of

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the list at `index`: bare nouns, nouns with colours, or both with places."""
        rng = Random(f"match/{index}/{seed}")
        if self.of == "colours":
            return self._colours(rng)
        nouns = rng.sample([*ICONS, "sign"], rng.randint(2, 8))
        items = [Item(f"{rng.choice(list(SHAPES if noun == 'sign' else COLOURS))} {noun}", FULL) for noun in nouns]
        wanted = rng.choice(nouns[1:]) if rng.random() < 0.2 else rng.choice(nouns)
        form, place = rng.randrange(3), rng.randrange(3)
        words = [item.noun if form == 0 else item.words for item in items]
        if form == 2:
            places = sorted(rng.sample(range(24), len(items)))
            words = [f"@{cell_name(at % 6, at // 6)} {word}" for at, word in zip(places, words, strict=True)]
        found = nouns.index(wanted)
        question = asked(rng, "attribute", wanted, items[found]) if place == 2 else wanted
        said = [*words[:found], words[found] + "!"]
        if rng.random() < 0.2:  # the wanted item is not in the list
            words, said = words[:found] + words[found + 1 :], words[:found] + words[found + 1 :]
        shown = " ".join(words)
        asks = f"{question}\n{shown}" if place else f"{shown}\n{question}"
        return [Message("user", (asks,)), Message("assistant", (" ".join([f"{wanted}?", *said]),))]

    @staticmethod
    def _colours(rng: Random) -> list[Message]:
        wanted, found = rng.choice(list(COLOURS)), rng.randrange(9)
        colours = [wanted if i == found else rng.choice([c for c in COLOURS if c != wanted]) for i in range(9)]
        words = [f"{cell_name(i % 3, i // 3)} {colour}" for i, colour in enumerate(colours)]
        asks = f"{' '.join(words)}\nWhat is the code on the plate of the only {wanted} container?"
        said = f"{wanted}? {' '.join(words[: found + 1])}!\nlook 3x3 {cell_name(found % 3, found // 3)}"
        return [Message("user", (asks,)), Message("assistant", (said,))]


def _anything(family: str, rng: Random) -> str:
    return "star" if family == "hidden" else rng.choice([*ICONS, *["sign"] * 8])  # signs are asked for more often


def _options(rng: Random, scene: Scene) -> str:
    return optioned(rng, scene.question, scene.answer, scene.wrong)
