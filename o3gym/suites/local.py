r"""`local`: tasks from a JSON Lines file and a folder of pictures, such as your own photographs.

Each line is a JSON object in the format of InSight-o3's annotation files, with optional boxes:

| key | value |
|---|---|
| `image` (or `file_name`) | path, relative to the file's folder; `images` for several |
| `question` | text |
| `options` | "A. red\nB. blue" or ["red", "blue"]; without options the answer is free text |
| `answer` | the letter, or text; omitted (with `boxes` present) for region search |
| `boxes` | list of evidence boxes: [x0, y0, x1, y1] or {"box": …, "label": …, "image": index}; optional |
| `subset` (or `category`) | category that reports group by; optional |
| `question_id` | unique id; optional, by default the line number |

A bad line keeps its index: `task` raises `BadTask` for it, and runs and trainings skip it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from o3gym.geometry import from_pixels, is_box, is_empty
from o3gym.registry import closest
from o3gym.suites.base import BadRow, BadTask, Suite, SuiteError, file_state, some_of
from o3gym.suites.released.fields import folders, picture, picture_size, text
from o3gym.suites.released.options import OPTION, OPTION_LINE
from o3gym.suites.released.rows import JsonTable
from o3gym.types import LETTERS, Source, Target, Task

ROW_KEYS = (
    "image",
    "file_name",
    "images",
    "question",
    "options",
    "answer",
    "boxes",
    "subset",
    "category",
    "question_id",
)
FRAMES = ("pixel", "unit")


class Local(Suite):
    """Tasks from a JSON Lines file.

    Args:
        argument: path of the file ("local:photos/index.jsonl") or of a folder that contains exactly one .jsonl file.
        split: "test"; a file has only one split.
        images: folder that picture paths are relative to; by default the folder of the file.
        box_frame: "pixel" (xyxy in pixels of the picture, as in most benchmarks) or "unit" (0..1).
        roots: further folders, joined by "+", below which pictures may lie. By default, they must lie below the folder
            that paths are relative to, because pictures are sent to the servers of policies.

    Raises:
        SuiteError: no row is good; the message names the first ones with file, line and field.
    """

    name: ClassVar[str] = "local"
    version: ClassVar[str] = "0"

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        images: str = "",
        box_frame: str = "pixel",
        roots: str = "",
    ) -> None:
        super().__init__(argument, split)
        if box_frame not in FRAMES:
            raise ValueError(f'box_frame: unknown "{box_frame}"{closest(box_frame, FRAMES)} (known: pixel, unit)')
        self.file = _find(argument)
        self.folder = Path(images) if images else self.file.parent
        self.box_frame = box_frame
        self.opened_files, self._roots = (self.file,), folders(roots)
        self._table = JsonTable(self.file, lines=True, missing=math.nan)
        if self._table.replaced:
            self.warnings = (
                f"local: {self._table.replaced} rows contain lone surrogates, which were replaced by U+FFFD",
            )
        self._rows = self._read()

    def __len__(self) -> int:
        return len(self._rows)

    def task(self, index: int) -> Task:
        """The task at `index`. Raises `BadTask` if its line is bad."""
        row = self._rows[index]
        if isinstance(row, BadTask):
            raise row.with_traceback(None)  # otherwise the traceback would grow with every request
        return row

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds that occur in the file."""
        return frozenset(task.kind for task in self._good())

    def fingerprint(self) -> dict[str, str]:
        """The SHA-256 of the file, and one of the paths, sizes and times of modification of its pictures."""
        pictures = sorted({source.ref for task in self._good() for source in task.sources})
        states = [[ref, *file_state(Path(ref))] for ref in pictures]
        return {
            "file_sha256": hashlib.sha256(self.file.read_bytes()).hexdigest(),
            "pictures_sha256": hashlib.sha256(json.dumps(states).encode()).hexdigest(),
        }

    def _good(self) -> list[Task]:
        return [row for row in self._rows if isinstance(row, Task)]

    def _read(self) -> list[Task | BadTask]:
        rows: list[Task | BadTask] = []
        ids: set[str] = set()
        for index in range(len(self._table)):
            try:
                task = self._task(self._table[index], self._table.number(index))
                if task.id in ids:
                    raise BadRow("question_id", "a unique id", task.id)
                ids.add(task.id)
                rows.append(task)
            except BadRow as problem:
                rows.append(problem.at(self._table.where(index)))
        if not ids:
            bad = [row for row in rows if isinstance(row, BadTask)]
            raise SuiteError(some_of(bad) or f"{self.file}: expected at least one row, got an empty file")
        return rows

    def _task(self, row: Mapping[str, Any], number: int) -> Task:
        _check_keys(row)
        pictures = self._pictures(row)
        choices = _options(row.get("options"))
        boxes = None if _is_missing(row.get("boxes")) else row.get("boxes")
        answer = row.get("answer")
        if answer is None and boxes is None:
            raise BadRow("answer", "the answer (or boxes, for a region search)", None)
        kind = "choice" if choices else "free" if answer is not None else "box"
        category = _category(row)
        return Task(
            id=f"local/{_id(row, number)}",
            sources=tuple(pictures),
            question=text(row, "question"),
            answer=_answer(answer, choices),
            choices=choices,
            targets=tuple(self._target(item, pictures) for item in _list("boxes", [] if boxes is None else boxes)),
            kind=kind,  # type: ignore[arg-type]
            tags={"category": category} if category else {},
            origin={"suite": "local", "version": self.version, "split": self.split, "index": number},
        )

    def _pictures(self, row: Mapping[str, Any]) -> list[Source]:
        field = next((key for key in ("image", "file_name", "images") if key in row), "image")
        names = row.get(field)
        names = [names] if isinstance(names, str) else names
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise BadRow(field, "a path or a list of paths", names)
        return [picture(self.folder, name, field, self._roots) for name in names]

    def _target(self, item: Any, pictures: list[Source]) -> Target:
        entry = item if isinstance(item, dict) else {"box": item}
        box, source = entry.get("box"), entry.get("image", 0)
        if not is_box(box):
            raise BadRow("boxes", "[x0, y0, x1, y1] of four numbers", box)
        if type(source) is not int or not 0 <= source < len(pictures):
            raise BadRow("boxes", f"an image index from 0 to {len(pictures) - 1}", source)
        assert box is not None
        x0, y0, x1, y1 = from_pixels(box, picture_size(pictures[source], "image")) if self.box_frame == "pixel" else box
        if is_empty((x0, y0, x1, y1)) or min(x0, y0) < 0 or max(x1, y1) > 1:
            raise BadRow("boxes", f"x0 < x1 and y0 < y1 inside the picture, in {self.box_frame}s", box)
        label = entry.get("label")
        return Target((x0, y0, x1, y1), source, "" if _is_missing(label) else str(label))


def _find(argument: str) -> Path:
    path = Path(argument)
    if not argument or not path.exists():
        raise SuiteError(f'local: expected "local:FILE.jsonl", an existing file or folder, got "{argument}"')
    if path.is_file():
        return path
    files = sorted(path.glob("*.jsonl"))
    if len(files) != 1:
        names = ", ".join(file.name for file in files) or "none"
        raise SuiteError(f"local: expected exactly one .jsonl file in {path}, found {names}; name the file")
    return files[0]


def _check_keys(row: Mapping[str, Any]) -> None:
    """Raise `BadRow` for a key that is nearly a known one. Other unknown keys are allowed as extra columns."""
    for key in row:
        near = difflib.get_close_matches(key, ROW_KEYS, n=1, cutoff=0.88)
        if near and key not in ROW_KEYS:
            raise BadRow(key, f'the field "{near[0]}"', key)


def _is_missing(value: Any) -> bool:
    """Whether a value is null or NaN, which pandas writes for it.

    The answer is an exception: without one, the task would become a region search, which must not happen by mistake.
    """
    return value is None or (isinstance(value, float) and math.isnan(value))


def _id(row: Mapping[str, Any], number: int) -> str:
    value = row.get("question_id")
    if isinstance(value, (list, dict, bool)):
        raise BadRow("question_id", "a text or number", value)
    return str(number if _is_missing(value) else value)


def _category(row: Mapping[str, Any]) -> str:
    values = [row.get(key) for key in ("subset", "category")]
    return next((str(value) for value in values if value and value == value), "")  # NaN stands for a missing value


def _list(field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRow(field, "a list", value)
    return value


def _options(value: Any) -> tuple[str, ...]:
    """Option texts in letter order. If all options begin with letters, these must be A, B, C, … in order."""
    if _is_missing(value) or value in ("", []):
        return ()
    lines = _option_lines(value) if isinstance(value, str) else value
    texts = isinstance(lines, list) and all(isinstance(line, str) and line.strip() for line in lines)
    if not texts or not 2 <= len(lines) <= 26:
        raise BadRow("options", '2 to 26 options, as a list or as lines "A. …"', value)
    found = [OPTION.match(line) for line in lines]
    if not all(found):
        return tuple(line.strip() for line in lines)
    letters = "".join(match.group(1) for match in found if match)
    if letters != LETTERS[: len(letters)]:
        raise BadRow("options", "letters A, B, C, … in order", letters)
    return tuple(match.group(2).strip() for match in found if match)


def _option_lines(value: str) -> list[str]:
    """The options of a text. Where options begin with letters, a line without one continues the option before it."""
    pieces = [piece for piece in OPTION_LINE.split(value) if piece.strip()]
    if len(pieces) > 1 and all(OPTION.match(piece) for piece in pieces):
        return pieces
    return [line for line in value.splitlines() if line.strip()]


def _same_text(answer: str, letter: str, choice: str) -> bool:
    """Whether an answer that is no letter of an option names that option all the same."""
    forms = (letter, choice, f"{letter}{choice}")
    return _without_punctuation(answer) in map(_without_punctuation, forms)


def _without_punctuation(text: str) -> str:
    return re.sub(r"[\s():]|\.(?!\d)", "", text.casefold()) or text.strip()


def _answer(value: Any, choices: tuple[str, ...]) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise BadRow("answer", "a text or number", value)
    answer = (value or "").strip()
    if value is not None and not answer:
        raise BadRow("answer", "a text or number (omit the field for a region search)", value)
    letters = LETTERS[: len(choices)]
    if choices and (len(answer) != 1 or answer not in letters):
        meant = [letter for letter, choice in zip(letters, choices, strict=True) if _same_text(answer, letter, choice)]
        hint = f' (did you mean "{meant[0]}"?)' if len(meant) == 1 else ""
        raise BadRow("answer", f"one of the letters {letters}{hint}", value)
    return answer
