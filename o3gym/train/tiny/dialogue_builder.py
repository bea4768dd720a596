"""Builds dialogues about synthetic scenes: what a view shows, and the words in which the model should say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from o3gym.dialects.grid import PLACES, Grid, cell_box, cell_name
from o3gym.geometry import center, compose, coverage, from_pixels, relative, snap
from o3gym.media.images import shared_store
from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.tiny.view_size import LEGIBLE_REGION, shown
from o3gym.suites.scenes import attribute, hidden
from o3gym.suites.scenes.base import Scene, others
from o3gym.suites.scenes.outlines import SHAPES
from o3gym.suites.scenes.palette import COLOURS
from o3gym.suites.synthetic import SCENES, lay_out_scene
from o3gym.types import FULL, Box, Size, Source, Task, View

VISIBLE_SHARE = 0.7
"""Minimum share of an item that a view has to show for the item to be listed."""
TINY_DIALECT = Grid()


@dataclass(frozen=True)
class Item:
    """Something to name in a picture.

    Attributes:
        words: its description, such as "red mug"; a question may ask for the last word.
        box: its box in the picture, unit xyxy.
    """

    words: str
    box: Box

    @property
    def noun(self) -> str:
        """What it is: "mug" for "red mug"."""
        return self.words.split()[-1]


@dataclass(frozen=True)
class StagedScene:
    """A scene of the synthetic train split, with its picture and its items."""

    family: str
    seed: int
    scene: Scene
    source: Source
    items: tuple[Item, ...]


@lru_cache(maxsize=64)
def stage_scene(family: str, seed: int) -> StagedScene:
    """Lays out scene number `seed` of the train split, whose suite seeds are the odd numbers."""
    scene, aspect = lay_out_scene(family, "easy", 2 * seed + 1), SCENES[family].aspect
    source = Source.generated("synthetic", family=family, difficulty="easy", seed=2 * seed + 1, pixels=0)
    items = tuple(Item(words, (b[0] / aspect, b[1], b[2] / aspect, b[3])) for words, b in scene.items)
    return StagedScene(family, seed, scene, source, items)


class DialogueBuilder:
    """Builds one dialogue: what the environment and the dialect would show, and what the model should write.

    Args:
        at: the scene.
        question: the question, with its options.
        told: whether views are described in words instead of shown.

    Attributes:
        views: the views so far.
        messages: the messages so far.
    """

    def __init__(self, at: StagedScene, question: str, told: bool = False) -> None:
        self.at, self.told = at, told
        self.views: list[View] = []
        self.messages: list[Message] = []
        self._show(FULL, -1, question)

    def look(self, thought: str, grid: Size, cell: int, view: int = 0) -> None:
        """Writes a look at a cell of a view (cells count in reading order), and shows the new view."""
        column, row = cell % grid[0], cell // grid[0]
        action = f"look {grid[0]}x{grid[1]} {cell_name(column, row)}" + (f" in {view}" if view else "")
        self.say(f"{thought}\n{action}" if thought else action)
        self._show(compose(self.views[view].box, cell_box(*grid, column, row)), view)

    def say(self, words: str) -> None:
        """Writes a reply."""
        self.messages.append(Message("assistant", (words,)))

    def _show(self, box: Box, parent: int, words: str = "") -> None:
        native = shared_store().size(self.at.source)
        pixels = snap(box, native)
        size = (pixels[2] - pixels[0], pixels[3] - pixels[1])
        view = View(len(self.views), 0, from_pixels(pixels, native), size, shown(*size), parent)
        self.views.append(view)
        parts = TINY_DIALECT.show([view], words, {"turn": 0 if words else 1})
        self.messages.append(Message("user", tuple(self._picture(p) if isinstance(p, View) else p for p in parts)))

    def _picture(self, view: View) -> Picture | str:
        if self.told:
            return f"\n{words_in_view(self.at, view)}".rstrip()
        return Picture(view, lambda: shared_store().region(self.at.source, view.box, view.shown))


def place_in(view: View, box: Box) -> str:
    """Returns the place in a view where a box has its centre, as the dialect writes places: "@b3"."""
    (x, y), (columns, rows) = center(relative(view.box, box)), PLACES
    return f"@{cell_name(min(int(x * columns), columns - 1), min(int(y * rows), rows - 1))}"


def visible(items: Sequence[Item], view: View) -> list[Item]:
    """Returns the items that a view shows, in reading order: by rows of places, then from left to right."""
    seen = [item for item in items if coverage(view.box, item.box) >= VISIBLE_SHARE]
    return sorted(seen, key=lambda item: (place_in(view, item.box)[1], center(item.box)[0]))


def words_in_view(at: StagedScene, view: View) -> str:
    """Describes what can be made out in a view, in the words of the replies."""
    if view.box == FULL:
        return " ".join(colours(at)) if at.family == "text" else ""
    legible = view.native[0] * view.native[1] <= LEGIBLE_REGION
    words = [f"{place_in(view, item.box)} {said(item, legible)}" for item in visible(at.items, view)]
    return " ".join(words) or "nothing"


def said(item: Item, legible: bool) -> str:
    """Returns an item's words; a plate whose code is not legible is just "plate"."""
    return item.words if legible or "-" not in item.words else "plate"


def colours(at: StagedScene) -> list[str]:
    """Lists the containers of a text scene as its thumbnail shows them: "a1 red", "a2 blue" and so on."""
    return [f"{cell_name(i % 3, i // 3)} {item.words.split()[0]}" for i, item in enumerate(at.items[::2])]


def listed(
    items: Sequence[Item], view: View, wanted: str, named: bool = False, echoed: bool = False
) -> tuple[str, Item | None]:
    """Writes the list of the items in a view, up to the first item that is wanted. Returns the list and that item.

    Args:
        items: the items, in reading order.
        view: the view that shows them.
        wanted: the noun that is asked for.
        named: whether the list begins with the noun: "mug? @b3 red kite @c1 blue mug!".
        echoed: whether the noun follows every item: "@b3 red kite mug? @c1 blue mug mug!".
    """
    words = [f"{wanted}?"] if named else []
    first = len(words)
    for item in items:
        words.append(f"{place_in(view, item.box)} {item.words}" + f" {wanted}?" * echoed)
        if item.noun == wanted:
            return " ".join(words).removesuffix("?") + "!", item
    return " ".join(words if words[first:] else [*words, "nothing"]), None


def asked(rng: Random, family: str, wanted: str, found: Item | None) -> str:
    """Returns a question about the item with the noun `wanted`, with options; one is right if the item was found.

    Cards and hidden tasks have their own wording. The options are needed: a model that has learned to compare without
    them takes each option for the thing that is asked for.
    """
    question = (
        hidden.ask_hidden(rng, "easy", wanted) if family in ("hidden", "cards") else attribute.ask_colour(rng, wanted)
    )
    names = list(SHAPES if wanted == "sign" else COLOURS)
    right = found.words.split()[0] if found else rng.choice(names)
    return optioned(rng, question, right, others(rng, names, right, rng.choice((3, 4, 5))))


def optioned(rng: Random, question: str, right: str, wrong: Sequence[str]) -> str:
    """Returns the question with its options in random order, a letter before each."""
    options = [right, *wrong]
    rng.shuffle(options)
    return Task("", (), question, choices=tuple(options)).text
