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
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from o3gym.geometry import from_pixels, is_box, is_empty
from o3gym.registry import closest
from o3gym.suites.base import BadRow, Suite, SuiteError
from o3gym.suites.released.fields import picture, picture_size, text
from o3gym.suites.released.options import OPTION
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

    Raises:
        SuiteError: for bad rows; the message names the file, line and field of the first and the number of the others.
    """

    name: ClassVar[str] = "local"
    version: ClassVar[str] = "0"

    def __init__(self, argument: str = "", split: str = "test", *, images: str = "", box_frame: str = "pixel") -> None:
        super().__init__(argument, split)
        if box_frame not in FRAMES:
            raise ValueError(f'box_frame: unknown "{box_frame}"{closest(box_frame, FRAMES)} (known: pixel, unit)')
        self.file = _find(argument)
        self.folder = Path(images) if images else self.file.parent
        self.box_frame = box_frame
        self._tasks = self._read()

    def __len__(self) -> int:
        return len(self._tasks)

    def task(self, index: int) -> Task:
        """The task at `index`."""
        return self._tasks[index]

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds that occur in the file."""
        return frozenset(task.kind for task in self._tasks)

    def _read(self) -> list[Task]:
        tasks: dict[str, Task] = {}
        problems: list[str] = []
        for number, line in enumerate(_read_text(self.file).split("\n"), 1):  # splitlines would split at U+2028, too
            if not line.strip():
                continue
            try:
                task = self._task(line, number)
                if task.id in tasks:
                    raise BadRow("question_id", "a unique id", task.id)
                tasks[task.id] = task
            except BadRow as problem:
                problems.append(f"{self.file}, line {number}, {problem}")
        if problems:
            more = f" (and {len(problems) - 1} more bad rows)" if len(problems) > 1 else ""
            raise SuiteError(problems[0] + more)
        if not tasks:
            raise SuiteError(f"{self.file}: expected at least one row, got an empty file")
        return list(tasks.values())

    def _task(self, line: str, number: int) -> Task:
        row = _parse(line)
        pictures = self._pictures(row)
        choices = _options(row.get("options"))
        boxes = row.get("boxes")
        answer = row.get("answer")
        if answer is None and boxes is None:
            raise BadRow("answer", "the answer (or boxes, for a region search)", None)
        kind = "choice" if choices else "free" if answer is not None else "box"
        category = str(row.get("subset") or row.get("category") or "")
        return Task(
            id=f"local/{number if row.get('question_id') is None else row['question_id']}",
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
        return [picture(self.folder, name, field) for name in names]

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
        return Target((x0, y0, x1, y1), source, str(entry.get("label", "")))


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


def _read_text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise SuiteError(f"{file}, line {line}: expected UTF-8 text ({error})") from error


def _parse(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadRow("(whole row)", f"a JSON object ({error})", line) from error
    if not isinstance(row, dict):
        raise BadRow("(whole row)", "a JSON object", row)
    for key in row:
        near = difflib.get_close_matches(key, ROW_KEYS, n=1, cutoff=0.88)
        if near and key not in ROW_KEYS:  # a typo; keys unlike any known one are allowed as extra columns
            raise BadRow(key, f'the field "{near[0]}"', key)
    return row


def _list(field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise BadRow(field, "a list", value)
    return value


def _options(value: Any) -> tuple[str, ...]:
    """Option texts in letter order. If all options begin with letters, these must be A, B, C, … in order."""
    if value in (None, "", []):
        return ()
    lines = [line for line in value.splitlines() if line.strip()] if isinstance(value, str) else value
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines) or not 2 <= len(lines) <= 26:
        raise BadRow("options", '2 to 26 options, as a list or as lines "A. …"', value)
    found = [OPTION.match(line) for line in lines]
    if not all(found):
        return tuple(line.strip() for line in lines)
    letters = "".join(match.group(1) for match in found if match)
    if letters != LETTERS[: len(letters)]:
        raise BadRow("options", "letters A, B, C, … in order", letters)
    return tuple(match.group(2).strip() for match in found if match)


def _answer(value: Any, choices: tuple[str, ...]) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    if value is not None and not isinstance(value, str):
        raise BadRow("answer", "a text or number", value)
    answer = (value or "").strip()
    if value is not None and not answer:
        raise BadRow("answer", "a text or number (omit the field for a region search)", value)
    letters = LETTERS[: len(choices)]
    if choices and (len(answer) != 1 or answer not in letters):
        raise BadRow("answer", f"one of the letters {letters}", value)
    return answer
