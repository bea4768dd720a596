"""What the suites of seeded tasks share: how an index becomes a family, a difficulty and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from o3gym.registry import UnknownName, closest
from o3gym.suites.base import Suite
from o3gym.types import LETTERS


class SeededPlace(NamedTuple):
    """The settings of the task at an index: its family and difficulty, its number among those, and its seed."""

    family: str
    difficulty: str
    ordinal: int
    seed: int


class SeededSuite(Suite):
    """A suite whose families and difficulties alternate, and whose splits never share a seed.

    Attributes:
        families, difficulties: the settings that alternate.
        size: number of tasks.
    """

    families: tuple[str, ...]
    difficulties: tuple[str, ...]
    size: int

    def __len__(self) -> int:
        return self.size

    def pick(self, count: int, seed: int) -> list[int]:
        """Consecutive indices, so that families and difficulties are as balanced as possible."""
        start = Random(seed).randrange(max(1, len(self)))
        cycle = len(self.families) * len(self.difficulties)
        return [(start // cycle * cycle + i) % len(self) for i in range(min(count, len(self)))]

    def place(self, index: int) -> SeededPlace:
        """The settings of the task at `index`. Test tasks have even seeds and train tasks odd ones."""
        turn, family = divmod(index, len(self.families))
        ordinal, level = divmod(turn, len(self.difficulties))
        seed = 2 * ordinal + self.splits.index(self.split)
        return SeededPlace(self.families[family], self.difficulties[level], ordinal, seed)


def known_name(kind: str, name: str, names: Sequence[str]) -> str:
    """Returns a name if it is one of `names`; `kind` says what it names. Raises UnknownName, with the nearest one."""
    if name not in names:
        raise UnknownName(f'unknown {kind} "{name}"{closest(str(name), names)} (known: {", ".join(names)})')
    return name


def drawn_options(answer: str, wrong: Sequence[str], seed: str) -> tuple[str, tuple[str, ...]]:
    """Returns the correct letter and the options in letter order. Every letter is equally likely to be correct."""
    options = [answer, *wrong]
    Random(seed).shuffle(options)
    return LETTERS[options.index(answer)], tuple(options)
