"""`tallyqa-complex`: the complex questions of TallyQA (Acharya et al. 2019; vikhyatk's copy or the authors' list)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.exploded import Exploded
from o3gym.suites.released.fields import text, word
from o3gym.suites.released.separate_images import SeparateImages
from o3gym.suites.released.table import TableRow
from o3gym.types import Source, Task

FLAGS = ("is_simple", "issimple")
"""Names of the flag of simple questions: in the hub's copy, and in the authors' list."""


class TallyQAComplex(Exploded, SeparateImages):
    """TallyQA, complex: 15,598 questions "How many …?" that need more than the detection of one kind of thing.

    The test set has 38,589 questions; the 22,991 simple ones are left out. The download is a copy with pictures, in
    which a row has a picture and a list of questions (`qa`). A data folder may instead have the authors' `test.json`
    (manoja328/TallyQA_dataset on GitHub); then `images` names the folder with the pictures of COCO and Visual Genome.

    Answers are numbers from 0 up, compared by value. Pixel Reasoner's numbers are for 3,200 questions of its own copy,
    which is not read here. No rows were seen: columns are those that programs for these files use.

    Args:
        images: folder of the image files of the authors' list; by default the data folder.
        options: the options of every released suite.
    """

    name: ClassVar[str] = "tallyqa-complex"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("test",)
    licence: ClassVar[str] = "Apache-2.0 (pictures of COCO and Visual Genome)"
    repository: ClassVar[str] = "vikhyatk/tallyqa-test"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet",)}
    substitutes: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("test.json",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 38_589}
    columns: ClassVar[tuple[str, ...]] = ("image",)
    exploded: ClassVar[str] = "qa"

    def belongs(self, row: TableRow) -> bool:
        """Whether a question is not marked as simple."""
        question = row.get("qa", row)
        return not (isinstance(question, dict) and any(question.get(flag) is True for flag in FLAGS))

    def convert(self, row: TableRow) -> Task:
        """A question and its number."""
        question: Any = row.get("qa", row)
        if not isinstance(question, dict) or not any(question.get(flag) is False for flag in FLAGS):
            raise BadRow("qa", f"questions with a flag {FLAGS[0]} or {FLAGS[1]}", question)
        answer = word(question, "answer")
        if not answer.isdecimal():
            raise BadRow("answer", "a whole number", question["answer"])
        return Task(
            id=word(question, "question_id") if "question_id" in question else "",
            sources=(self._image(row),),
            question=text(question, "question"),
            answer=answer,
        )

    def _image(self, row: TableRow) -> Source:
        image = row["image"]
        if isinstance(image, Source):
            return image
        name = text(row, "image")
        return self.picture(name, Path(name).name)
