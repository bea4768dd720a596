"""Questions as rows of O3-Bench's file, which the suite `o3-bench` reads, and the quota of those without an answer."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from o3gym.geometry import to_pixels
from o3gym.media.images import shared_store
from o3gym.synthesis.files import save
from o3gym.synthesis.questions.proposals import OPTION_LETTERS, Proposal
from o3gym.synthesis.questions.sheets import LayoutSheet
from o3gym.synthesis.questions.validation import NO_RIGHT_CHOICE

QuestionRow: TypeAlias = dict[str, Any]

NO_RIGHT_SHARE = Fraction(1, 10)
"""Maximum share of questions with the answer "No right choice" (paper, appendix E.2; 7.2% of O3-Bench)."""


def file_name(sheet: LayoutSheet, folder: Path) -> str:
    """The path of a picture relative to `folder`."""
    return Path(os.path.relpath(sheet.image.ref, folder)).as_posix()


def _inside(sheet: LayoutSheet, folder: Path) -> str:
    """The path of a picture relative to `folder`. A picture elsewhere is copied: suites read none from there."""
    if Path(sheet.image.ref).resolve().is_relative_to(folder.resolve()):
        return file_name(sheet, folder)
    return f"images/{save(sheet.image, folder / 'images')}"


def identity(picture: str, proposal: Proposal) -> str:
    """The id of a question: ten hex digits that follow from the picture's path, the question, options and answer."""
    parts = [picture, proposal.question, proposal.options, proposal.answer]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:10]


def shuffle_question(proposal: Proposal, seed: str) -> Proposal:
    """Shuffles the options A to E by `seed`, with each order equally likely. F stays the last option."""
    order = [*Random(seed).sample(range(5), 5), 5]
    options = tuple(proposal.options[i] for i in order)
    return replace(proposal, options=options, answer=OPTION_LETTERS[order.index(OPTION_LETTERS.index(proposal.answer))])


def question_row(sheet: LayoutSheet, proposal: Proposal, name: str, folder: Path) -> QuestionRow:
    """Builds the row of a question, for a file in `folder`: `question_id` is `name`, boxes are xyxy in pixels.

    A picture that does not lie below `folder` is copied to its subfolder `images`.
    """
    width, height = size = shared_store().size(sheet.image)
    infos = {
        layout.id: {"layout_id": layout.id, "bbox": list(to_pixels(layout.box, size)), "label": layout.label}
        for layout in sheet.layouts
    }
    return {
        "file_name": _inside(sheet, folder),
        "subset": sheet.subset,
        **worded(proposal),
        "layout_infos": infos,
        "img_width": width,
        "img_height": height,
        "question_id": name,
    }


def worded(proposal: Proposal) -> QuestionRow:
    """Returns the fields of a row that come from the proposal."""
    options = (*proposal.options[:-1], NO_RIGHT_CHOICE)
    return {
        "question": proposal.question,
        "options": "\n".join(f"{letter}. {option}" for letter, option in zip(OPTION_LETTERS, options, strict=True)),
        "answer": proposal.answer,
        "explanation": proposal.explanation,
        "target_layouts": list(proposal.layouts),
    }


def proposal_of(row: Mapping[str, Any]) -> Proposal:
    """Reads the proposal of a row: the inverse of `worded`."""
    options = tuple(line[3:] for line in row["options"].split("\n"))
    return Proposal(row["question"], options, row["answer"], row["explanation"], tuple(row["target_layouts"]))


def within_quota(rows: Sequence[QuestionRow], seed: int, share: Fraction = NO_RIGHT_SHARE) -> list[QuestionRow]:
    """Drops questions with the answer F until they make up at most `share` of the rest; keeps the order of rows.

    Which of them are kept follows from `seed` and their ids and not from the order of rows. With more questions that
    have another answer, all of them are still kept. `share` must be below 1.
    """
    without = [row["question_id"] for row in rows if row["answer"] == OPTION_LETTERS[-1]]
    most = math.floor(share * (len(rows) - len(without)) / (1 - share))
    chosen = set(sorted(without, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())[:most])
    return [row for row in rows if row["answer"] != OPTION_LETTERS[-1] or row["question_id"] in chosen]
