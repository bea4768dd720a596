"""`vstar`: V* Bench (Wu and Xie 2023, "V*: Guided Visual Search"; craigwu/vstar_bench)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from o3gym.geometry import from_xywh, is_box
from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import pixel_box, text, word
from o3gym.suites.released.options import letter, lettered_lines, shuffled_options
from o3gym.suites.released.rows import read_object
from o3gym.suites.released.table import TableRow
from o3gym.types import Source, Target, Task

INSTRUCTION = re.compile(r"^\s*Answer with the option's letter.*", re.MULTILINE | re.DOTALL)
"""Matches the instruction at the end of a prompt. It is dropped, because the dialect says how to answer."""


class VStar(Released):
    """V* Bench: 191 questions about small things in large pictures.

    115 ask for an attribute of one thing (`direct_attributes`), 76 for the relative position of two
    (`relative_position`, with two options).

    Questions, options and letters come from `test_questions.jsonl`. A JSON file beside each picture holds the boxes, as
    x, y, width and height in pixels, and the names of the things that the question is about. It repeats the question,
    which must agree, and the options as whole sentences with the right one first. Those options are not used: a model
    that always answers "A" would score 100% on them.

    Options are shuffled with a seed per item. `order="released"` keeps the letters of `test_questions.jsonl`, where A
    and B are right 71 and 70 times out of 191, because 84 questions have only two options.

    Args:
        argument: as for every released suite.
        split: as for every released suite.
        order: "shuffled" or "released".
        options: the other options of every released suite.
    """

    name: ClassVar[str] = "vstar"
    version: ClassVar[str] = "2"
    licence: ClassVar[str] = "not stated (pictures of SA-1B)"
    repository: ClassVar[str] = "craigwu/vstar_bench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        "test": ("test_questions.jsonl", "direct_attributes/*", "relative_position/*")
    }
    counts: ClassVar[Mapping[str, int]] = {"test": 191}
    columns: ClassVar[tuple[str, ...]] = ("image", "text", "label", "category", "question_id")
    identity: ClassVar[tuple[str, ...]] = ("category", "question_id")

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        order: Literal["shuffled", "released"] = "shuffled",
        **options: Any,
    ) -> None:
        if order not in ("shuffled", "released"):
            raise ValueError(f'order: expected "shuffled" or "released", got "{order}"')
        self.order = order
        super().__init__(argument, split, **options)

    def convert(self, row: TableRow) -> Task:
        """A question with its options in order and the boxes of the things it is about."""
        image = self.picture(text(row, "image"))
        annotation = _annotation(Path(image.ref))
        beginning, choices = lettered_lines(INSTRUCTION.sub("", text(row, "text")), "text")
        question, answer = " ".join(beginning.split()), letter(row, "label", choices)
        _check_question(question, text(annotation, "question"), Path(image.ref).with_suffix(".json").name)
        identity = f"{text(row, 'category')}/{word(row, 'question_id')}"
        if self.order == "shuffled":
            choices, answer = shuffled_options(choices, answer, f"{self.name}/{identity}")
        return Task(
            id=identity,
            sources=(image,),
            question=question,
            answer=answer,
            choices=choices,
            targets=_targets(annotation, image),
            kind="choice",
            tags={"category": text(row, "category")},
            origin={"order": self.order},
        )


def _annotation(picture_path: Path) -> Mapping[str, Any]:
    """The JSON object beside a picture, which holds the boxes and names of its targets."""
    file = picture_path.with_suffix(".json")
    if not file.is_file():
        raise BadRow("image", "a JSON file with boxes beside the picture", str(file))
    annotation = read_object(file)
    for key in ("bbox", "target_object"):
        if not isinstance(annotation.get(key), list) or not annotation[key]:
            raise BadRow(key, f"a list in {file.name}", annotation.get(key))
    return annotation


def _check_question(question: str, repeated: str, file: str) -> None:
    """Check that the file beside a picture is about the same question, apart from case, spaces and punctuation."""
    if not question or _letters_and_digits(question) != _letters_and_digits(repeated):
        raise BadRow("text", f'the question of {file}, "{repeated}"', question)


def _letters_and_digits(sentence: str) -> str:
    return "".join(filter(str.isalnum, sentence.casefold()))


def _targets(annotation: Mapping[str, Any], image: Source) -> tuple[Target, ...]:
    boxes, names = annotation["bbox"], annotation["target_object"]
    if len(boxes) != len(names):
        raise BadRow("bbox", f"{len(names)} boxes, one for each of {names}", boxes)
    for box in boxes:
        if not is_box(box):
            raise BadRow("bbox", "[x, y, width, height] of four numbers", box)
    return tuple(
        Target(pixel_box(from_xywh(box), image, "bbox"), label=str(name))
        for box, name in zip(boxes, names, strict=True)
    )
