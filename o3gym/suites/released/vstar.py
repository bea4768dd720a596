"""`vstar`: V* Bench (Wu and Xie 2023, "V*: Guided Visual Search"; craigwu/vstar_bench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from o3gym.geometry import from_xywh, is_box
from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import OPTION, letter, picture, pixel_box, shuffled_options, text, word
from o3gym.suites.released.rows import TableRow, read_object
from o3gym.types import LETTERS, Source, Target, Task


class VStar(Released):
    """V* Bench: 191 questions about small things in large pictures.

    115 are about an attribute of one (`direct_attributes`), 76 about how two lie to each other (`relative_position`,
    with two options).

    The boxes are in a file beside each picture, as x, y, width and height in pixels, one for each thing that the
    question is about. There the right option is always the first: a model that says "A" has all. So options are
    shuffled by a seed of each item; `order="released"` takes the letters of `test_questions.jsonl`, which are shuffled
    too, unevenly (A is right 71 times of 191).

    Args:
        argument, split: as for every released suite.
        order: "shuffled" or "released".
        options: the others of every released suite.
    """

    name: ClassVar[str] = "vstar"
    version: ClassVar[str] = "1"
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
        """The question, its options in order, and the boxes of its things."""
        image = picture(self.folder, text(row, "image"))
        beside = self._beside(Path(image.ref))
        question, released = _split(text(row, "text"))
        right = letter(row, "label", released)
        if sorted(released) != sorted(beside["options"]) or released[LETTERS.index(right)] != beside["options"][0]:
            raise BadRow("text", f"the options {beside['options']} of the file beside the picture", released)
        identity = f"{text(row, 'category')}/{word(row, 'question_id')}"
        choices, answer = released, right
        if self.order == "shuffled":
            choices, answer = shuffled_options(beside["options"], "A", f"{self.name}/{identity}")
        return Task(
            id=identity,
            sources=(image,),
            question=question,
            answer=answer,
            choices=choices,
            targets=_targets(beside, image),
            kind="choice",
            tags={"category": text(row, "category")},
            origin={"order": self.order},
        )

    @staticmethod
    def _beside(path: Path) -> Mapping[str, Any]:
        file = path.with_suffix(".json")
        if not file.is_file():
            raise BadRow("image", "a JSON file beside the picture, with its boxes", str(file))
        found = read_object(file)
        for key in ("options", "bbox", "target_object"):
            if not isinstance(found.get(key), list) or not found[key]:
                raise BadRow(key, f"a list, in {file.name}", found.get(key))
        return found


def _split(said: str) -> tuple[str, tuple[str, ...]]:
    """The question and its options; what is asked of the model after them belongs to a dialect."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [(at, match) for at, match in enumerate(map(OPTION.match, lines)) if match]
    letters = "".join(match[1] for _, match in found)
    if len(found) < 2 or letters != LETTERS[: len(letters)]:
        raise BadRow("text", "a question and options, a line each: (A) …", said)
    return " ".join(lines[: found[0][0]]), tuple(match[2].strip() for _, match in found)


def _targets(beside: Mapping[str, Any], image: Source) -> tuple[Target, ...]:
    boxes, names = beside["bbox"], beside["target_object"]
    if len(boxes) != len(names):
        raise BadRow("bbox", f"{len(names)} boxes, one for each of {names}", boxes)
    for box in boxes:
        if not is_box(box):
            raise BadRow("bbox", "[x, y, width, height] of four numbers", box)
    return tuple(
        Target(pixel_box(from_xywh(box), image, "bbox"), label=str(name))
        for box, name in zip(boxes, names, strict=True)
    )
