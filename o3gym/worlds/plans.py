"""Reads a plan that was written in words or letters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from o3gym.worlds.base import BLOCKED, DIRECTIONS

LONGEST_PLAN = 1000
"""The largest number of moves that a plan may have; optimal plans of released layouts have at most 14."""
UNREADABLE = "invalid"
"""The word for a move that could not be read, for example out of a picture. It is read as `BLOCKED`."""
_LETTERS = {name[0]: move for move, name in enumerate(DIRECTIONS)}
_WORD = re.compile(r"""[^\s,;→>.\-|*`"'“”()\[\]]+""")
_SHOWN = 30
"""Characters of a wrong word that an error shows."""


class WrittenPlan(NamedTuple):
    """The moves of a plan; if `error` is not "", there are none, and it says what could not be read."""

    moves: tuple[int, ...]
    error: str = ""


def read_plan(text: str, moves: Sequence[str]) -> WrittenPlan:
    """Reads a plan in any case: names of moves, or letters of directions as in "LLRUD", with separators between them.

    Separators are spaces, commas, semicolons, full stops, hyphens, bars and arrows. Brackets, quotation marks and the
    asterisks and backticks of Markdown are separators, too, because models wrap plans in them. A plan of more than
    `LONGEST_PLAN` moves is an error, and so is an empty one.

    Args:
        text: the plan as it was written
        moves: the world's names of moves
    """
    numbers = {UNREADABLE: BLOCKED, **{name: move for move, name in enumerate(moves)}}
    plan: list[int] = []
    for found in _WORD.finditer(text.lower()):  # one after another: a text may have a million words
        word = found[0]
        if word in numbers:
            plan.append(numbers[word])
        elif _LETTERS.keys() >= set(word):
            plan += [_LETTERS[letter] for letter in word[: LONGEST_PLAN + 1]]
        else:
            shown = word if len(word) <= _SHOWN else f"{word[:_SHOWN]}…"
            return WrittenPlan((), f'word {len(plan) + 1} of the plan, "{shown}", is none of {", ".join(moves)}')
        if len(plan) > LONGEST_PLAN:
            return WrittenPlan((), f"the plan has more than {LONGEST_PLAN} moves")
    return WrittenPlan(tuple(plan), "" if plan else "the plan is empty")


def write_plan(plan: Sequence[int], moves: Sequence[str]) -> str:
    """Writes a plan as names of moves with spaces between them, which `read_plan` reads back."""
    return " ".join(UNREADABLE if move == BLOCKED else moves[move] for move in plan)
