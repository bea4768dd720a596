"""What the model on board learns from: reading single views, then whole searches, on the synthetic train split.

A reply says what there is to see in the new view, item by item in reading order, each with its place; the list ends
with "!" after what the question asks for; then it acts. So each view gives many labels: a small model that is told one
answer per picture does not learn to see. The places tell it where to look for the words that follow.
"""

from __future__ import annotations

from random import Random
from typing import Any

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
"""Looks at scattered things."""
ASKED = 0.25
"""Share of readings whose question is made for what the view shows; about half as many others happen to fit."""


class Lesson:
    """A source of dialogues, endless and the same for the same index: each scene of the train split gives a few.

    Args:
        families: which, joined by "+".
        views: dialogues per scene.
        start: number of the first scene of the train split.
        named: replies that look for something begin with what is asked for: then each item is compared with a word of
            the same reply, which is learned, and not with one long before it, which is not.
        echoed: what is asked for stands after each item as well: then it is compared with the word before it.
    """

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
        """The dialogue at `index`."""
        rng = Random(f"{type(self).__name__}/{index}/{seed}")
        number = index // self.views
        family = self.families[number % len(self.families)]
        messages = self.talk(stage_scene(family, self.start + number), rng).messages
        return messages if messages[-1].role == "assistant" else messages[:-1]

    def talk(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        """A dialogue about a scene."""
        raise NotImplementedError


class ReadingLesson(Lesson):
    """One look somewhere, and what there is: meant for a loss on the last reply alone.

    About half of the questions ask for something that the view shows. Text tasks are at any of their steps: thumbnail,
    container, strip, plate, or a look that went astray.

    Args:
        families: as for every lesson.
        thumbnail: text tasks are at their beginning, and ask for a colour if any is there only once.
        asked: share of looks at scattered things whose question is made for what the view shows.
        options: the others of every lesson.
    """

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

    def talk(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        """By family."""
        return self._text(at, rng) if at.family == "text" else self._scattered(at, rng)

    def _scattered(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        cell = rng.randrange(16)
        probe = DialogueBuilder(at, "?")
        probe.look("", LESSON_GRID, cell)
        items = visible(at.items, probe.views[-1])
        nouns = [item.noun for item in items]
        wanted = rng.choice(nouns) if nouns and rng.random() < self.asked else _anything(at.family, rng)
        said, found = listed(items, probe.views[-1], wanted, self.named, self.echoed)
        talk = DialogueBuilder(at, asked(rng, at.family, wanted, found))
        talk.look("", LESSON_GRID, cell)
        if found:
            talk.say(f"{said}\nanswer {found.words.split()[0]}")
        else:
            talk.look(said, LESSON_GRID, (cell + 1) % 16)
        return talk

    def _text(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        yard, depth = TextCurriculum.drawn(at, rng, self.named), rng.random()
        for _ in range(64 if self.thumbnail else 0):  # a yard may have no colour only once
            if yard.way != "colour":
                yard = TextCurriculum.drawn(at, rng, self.named)
        talk = DialogueBuilder(at, yard.question(rng))
        if self.thumbnail or depth < 0.2:
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


class SearchLesson(Lesson):
    """Whole searches: cell by cell from anywhere, round and round, until it is found; or straight to what is known.

    Args:
        families, views: as for every lesson.
        looks: a search of scattered things begins at most so many cells before the one that shows what is asked for;
            0 for anywhere.
        told: what each view shows is said instead of shown: how to search, at next to no cost.
        guess: chance per reply of answering at random although it has not been found yet. This and what follows is for
            scattered things.
        late: all cells are looked at once before, but for those that show it: the number of a view may then be 30.
            Meant for a loss on the last replies alone.
        free: the question has no options.
        options: the others of every lesson.
    """

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
            raise ValueError("guess, late, free: expected families without text, where nothing is scattered")
        self.looks, self.told, self.guess, self.late, self.free = looks, told, guess, late, free

    def talk(self, at: StagedScene, rng: Random) -> DialogueBuilder:
        """By family."""
        if at.family == "text":
            yard = TextCurriculum.drawn(at, rng, self.named)
            return yard.search(DialogueBuilder(at, yard.question(rng), self.told), rng)
        return self._scattered(DialogueBuilder(at, self._question(at, rng), self.told), at, rng)

    def _scattered(self, talk: DialogueBuilder, at: StagedScene, rng: Random) -> DialogueBuilder:
        """Cell by cell, up to what is asked for or to a guess."""
        wanted, thought = at.scene.targets[0][0], ""
        for cell in self._cells(at, wanted, rng):
            if self._guesses(thought, rng):
                talk.say(f"{thought}\nanswer {self._guess(talk, rng)}".strip())
                return talk
            talk.look(thought, LESSON_GRID, cell)
            view = talk.views[-1]
            thought, found = listed(visible(at.items, view), view, wanted, self.named, self.echoed)
            if found:
                talk.say(f"{thought}\nanswer {self._answer(found, view)}")
                return talk
        raise ValueError(f"scene {at.seed} of {at.family} shows its target in no cell")

    def _question(self, at: StagedScene, rng: Random) -> str:
        return at.scene.question if self.free else _options(rng, at.scene)

    def _guesses(self, thought: str, rng: Random) -> bool:
        return bool(self.guess) and rng.random() < self.guess

    def _guess(self, talk: DialogueBuilder, rng: Random) -> str:
        scene = talk.at.scene
        anything = list(SHAPES if scene.targets[0][0] == "sign" else COLOURS)
        return rng.choice(anything if self.free else [scene.answer, *scene.wrong])

    def _answer(self, found: Item, view: View) -> str:
        return found.words.split()[0]

    def _cells(self, at: StagedScene, wanted: str, rng: Random) -> list[int]:
        """Where it looks, in order."""
        (box,) = (item.box for item in at.items if item.noun == wanted)
        shown = [
            cell for cell in range(16) if coverage(cell_box(*LESSON_GRID, cell % 4, cell // 4), box) >= VISIBLE_SHARE
        ]
        first = (rng.choice(shown) - rng.randrange(self.looks)) % 16 if self.looks else rng.randrange(16)
        lap = [(first + step) % 16 for step in range(16)]
        return [cell for cell in lap if cell not in shown] + lap if self.late else lap


class FindingLesson(SearchLesson):
    """Region searches, as a reasoner asks for them: the name of something alone, which ends with its place in a view.

    Args:
        families, options: as for `SearchLesson`, of scattered things; `guess` is here the chance per reply, once something
            was looked at, of ending at a random place although it has not been found.
    """

    def __init__(self, families: str = "hidden", views: int = 2, **options: Any) -> None:
        super().__init__(families, views, **options)
        if "text" in self.families:
            raise ValueError("families: expected some of attribute+hidden, where something is scattered")

    def _question(self, at: StagedScene, rng: Random) -> str:
        return at.scene.targets[0][0]

    def _guesses(self, thought: str, rng: Random) -> bool:
        return bool(thought) and super()._guesses(thought, rng)

    def _guess(self, talk: DialogueBuilder, rng: Random) -> str:
        return f"@{cell_name(rng.randrange(PLACES[0]), rng.randrange(PLACES[1]))} in {talk.views[-1].index}"

    def _answer(self, found: Item, view: View) -> str:
        return f"{place_in(view, found.box)} in {view.index}"


class WalkLesson:
    """Looks from cell to cell without pictures: the order of the cells, at next to no cost."""

    def example(self, index: int, seed: int) -> list[Message]:
        """The walk at `index`, over a 4×4 or a 3×3 grid from anywhere."""
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
    """Searches without pictures, in which what is asked for is written after every word, with "!" where it is the same.

    Whether two words are the same is asked after every word, of the one before it. Where it was asked of a word long
    before, a model learned to notice that a word had been said already, which in a long search most have: it stopped at
    the wrong ones, and the more so the longer it searched.
    """

    def example(self, index: int, seed: int) -> list[Message]:
        """The search at `index`, of up to twelve views."""
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
    """Lists in words, copied up to what is asked for: "mug" and "cup mug key" give "mug? cup mug!".

    To notice that two words are the same is a leap, and it does not happen among hundreds of tokens of pictures.

    Args:
        of: "nouns", of small things; or "colours", of the nine containers of a yard.
    """

    def __init__(self, of: str = "nouns") -> None:
        if of not in ("nouns", "colours"):
            raise ValueError(f'of: expected "nouns" or "colours", got "{of}"')
        self.of = of

    def example(self, index: int, seed: int) -> list[Message]:
        """The list at `index`: bare words, with colours, or with places and colours."""
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
        if rng.random() < 0.2:  # asked for, and not there
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
