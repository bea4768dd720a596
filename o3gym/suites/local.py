r"""`local`: tasks from a JSON Lines file and a folder of pictures or videos, such as your own photographs.

Each line is a JSON object in the format of InSight-o3's annotation files, with optional boxes, videos and intervals:

| key | value |
|---|---|
| `image` (or `file_name`) | path, relative to the file's folder; `images` for several |
| `video` | path of a video file, or of a folder with its frames in the order of their names; `videos` for several |
| `fps` | frames per second, for folders of frames |
| `question` | text |
| `options` | "A. red\nB. blue" or ["red", "blue"]; without options the answer is free text |
| `answer` | the letter, or text; omitted for region search (with `boxes`) and temporal grounding (with `span`) |
| `boxes` | list of evidence boxes: [x0, y0, x1, y1] or {"box": …, "label": …, "image": index}; optional |
| | in a video: {"box": …, "time": [start, end], "video": index} |
| `span` | [start, end] in seconds: the interval of the video that is asked for, or that shows the answer |
| `spans` | several of them, each [start, end] or {"span": …, "label": …, "video": index} |
| `subset` (or `category`) | category that reports group by; optional |
| `question_id` | unique id; optional, by default the line number |

Where there are pictures and videos, the pictures come first. If every line that has an answer also has an interval of
its first video, questions are to be answered with the interval (`grounded`).

A bad line keeps its index: `task` raises `BadTask` for it, and runs and trainings skip it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from o3gym.registry import closest
from o3gym.suites.base import BadRow, BadTask, Suite, SuiteError, some_of
from o3gym.suites.local_answers import read_answer, read_options
from o3gym.suites.local_sources import RowSources, is_absent, read_boxes, read_sources, read_spans, states_of
from o3gym.suites.released.fields import folders, text
from o3gym.suites.released.rows import JsonTable
from o3gym.suites.released.table import replaced_warning
from o3gym.types import FULL, Source, Target, Task, TaskKind

ROW_KEYS = (
    "image",
    "file_name",
    "images",
    "video",
    "videos",
    "fps",
    "span",
    "spans",
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
            self.warnings = (replaced_warning(self.name, self._table.replaced),)
        self._rows = self._read()
        good = self._good()
        self.grounded = _is_grounded(good)
        if self.grounded:
            self._rows = [_with_grounding(row) if isinstance(row, Task) else row for row in self._rows]
        if self.grounded or any(task.kind == "span" for task in good):
            self.measure = "grounding"  # type: ignore[misc]  # only files with intervals have a measure

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

    @property
    def has_videos(self) -> bool:
        """Whether a row has a video."""
        return any(source.duration is not None for source in self._sources())

    @property
    def shortest_video(self) -> float:
        """Length in seconds of the shortest video; 1 if there is none."""
        return min((source.duration for source in self._sources() if source.duration is not None), default=1.0)

    def fingerprint(self) -> dict[str, str]:
        """The SHA-256 of the file, and one of the paths, sizes and times of modification of its pictures and videos."""
        sources = {source.ref: source for source in self._sources()}
        states = [state for _, source in sorted(sources.items()) for state in states_of(source)]
        return {
            "file_sha256": hashlib.sha256(self.file.read_bytes()).hexdigest(),
            "pictures_sha256": hashlib.sha256(json.dumps(states).encode()).hexdigest(),
        }

    def _sources(self) -> list[Source]:
        return [source for task in self._good() for source in task.sources]

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
        sources = read_sources(row, self.folder, self._roots)
        choices, answer = read_options(row.get("options")), row.get("answer")
        boxes, spans = read_boxes(row, sources, self.box_frame), read_spans(row, sources)
        category = _category(row)
        return Task(
            id=f"local/{_id(row, number)}",
            sources=sources.all,
            question=text(row, "question"),
            answer=read_answer(answer, choices),
            choices=choices,
            targets=(*(boxes or ()), *spans),
            kind="choice" if choices else "free" if answer is not None else _search_kind(sources, boxes, spans),
            tags={"category": category} if category else {},
            origin={"suite": "local", "version": self.version, "split": self.split, "index": number},
        )


def _search_kind(sources: RowSources, boxes: tuple[Target, ...] | None, spans: tuple[Target, ...]) -> TaskKind:
    """The kind of a task without an answer: "box" or "span". Raises `BadRow` if there is nothing to search for."""
    if sources.videos and boxes is not None:
        raise BadRow("answer", "the answer (boxes in a row with videos are evidence for one)", None)
    if boxes is not None:
        return "box"
    if not spans:
        search = "a span, for temporal grounding" if sources.videos else "boxes, for a region search"
        raise BadRow("answer", f"the answer (or {search})", None)
    if len(sources.pictures) not in {target.source for target in spans}:
        raise BadRow("spans", "an interval of the first video", [target.time for target in spans])
    return "span"


def _is_grounded(tasks: Sequence[Task]) -> bool:
    """Whether every task with an answer has an interval of its first video that shows it, and there is such a task."""
    answered = [task for task in tasks if task.kind in ("choice", "free")]
    return bool(answered) and all(map(_first_spans, answered))


def _with_grounding(task: Task) -> Task:
    """The task, marked as one whose answer needs an interval unless the answer is one."""
    return task if task.kind not in ("choice", "free") else replace(task, origin={**task.origin, "grounded": True})


def _first_spans(task: Task) -> list[Target]:
    """The intervals of the first video that have no box."""
    first = next((index for index, source in enumerate(task.sources) if source.duration is not None), -1)
    return [target for target in task.targets if target.source == first and target.time and target.box == FULL]


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


def _id(row: Mapping[str, Any], number: int) -> str:
    value = row.get("question_id")
    if isinstance(value, (list, dict, bool)):
        raise BadRow("question_id", "a text or number", value)
    return str(number if is_absent(value) else value)


def _category(row: Mapping[str, Any]) -> str:
    values = [row.get(key) for key in ("subset", "category")]
    return next((str(value) for value in values if value and value == value), "")  # NaN stands for a missing value
