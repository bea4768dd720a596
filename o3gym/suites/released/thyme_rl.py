"""`thyme-rl`: the reinforcement data of Thyme (Zhang et al. 2025; Kwai-Keye/Thyme-RL)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

from o3gym.media.embedded import item
from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import IMAGE_MARK, packed, text, unmarked, word
from o3gym.suites.released.options import OPTION_LINE, letter, lettered_lines
from o3gym.suites.released.table import TableRow
from o3gym.types import Task

SOLUTION = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
"""Matches the answer in a solution that is written as a reply."""


class ThymeRL(Released):
    """The reinforcement data of Thyme (Zhang et al. 2025): questions with embedded pictures and their solutions.

    A cell holds a list of pictures: one for each image mark in the question or in the messages, and one if there is no
    mark. A solution may be an answer or a reply with an answer block, of which only the answer is used. Options on
    lines of their own are split off the question if the answer is the letter of one.

    Columns are those of the hub's card. No rows were seen.
    """

    name: ClassVar[str] = "thyme-rl"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("train",)
    licence: ClassVar[str] = "not known"
    repository: ClassVar[str] = "Kwai-Keye/Thyme-RL"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"train": ("data/*.parquet", "*.parquet", "*/*.parquet")}
    columns: ClassVar[tuple[str, ...]] = ("messages", "images", "solution", "question")
    pictures: ClassVar[tuple[str, ...]] = ("images",)

    @property
    def kinds(self) -> frozenset[str]:
        """Options and free answers."""
        return frozenset({"choice", "free"})

    def convert(self, row: TableRow) -> Task:
        """A question without its image marks, with its options split off if the answer is the letter of one."""
        asked, cell = text(row, "question"), packed(row, "images")
        question = unmarked(asked)
        if not question:
            raise BadRow("question", "a text beside the image marks", asked)
        count = max(1, asked.count(IMAGE_MARK), _marks(row["messages"]))
        sources = tuple(item(cell, number) for number in range(count))
        answer = _answer(row)
        bare = answer.strip("().: ")
        if len(bare) == 1 and bare.isalpha() and OPTION_LINE.search(question):
            try:
                stem, choices = lettered_lines(question, "question")
                right = letter({"solution": bare}, "solution", choices)
                return Task("", sources, stem, right, choices, kind="choice")
            except BadRow:
                pass  # the lines are no list of options, so the letter is an answer like any other
        return Task("", sources, question, answer)


def _marks(messages: object) -> int:
    """The number of image marks in the messages of the user."""
    turns = messages if isinstance(messages, list) else []
    users = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "user"]
    return sum(turn["content"].count(IMAGE_MARK) for turn in users if isinstance(turn.get("content"), str))


def _answer(row: TableRow) -> str:
    solution = word(row, "solution")
    found = SOLUTION.search(solution)
    answer = found[1].strip() if found else solution
    if not answer:
        raise BadRow("solution", "an answer", solution)
    return answer
