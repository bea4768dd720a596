"""Lists of tasks: files that name some tasks of a suite by their ids, such as `o3gym synth select` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class TaskListError(ValueError):
    """A list of tasks is invalid, or does not belong to the suite; the message names the file, the line and the id."""


@dataclass(frozen=True)
class ListedTask:
    """A task that a list keeps: file and line, the id of the task, and its index in the suite; −1 if that is absent."""

    where: str
    id: str
    index: int


def read_task_list(file: Path) -> list[ListedTask]:
    """Reads the tasks that a list keeps, in the order of the file.

    Each line is a JSON object with the "id" of a task. A row with "kept": false is passed over. "index" is the index
    of the task in its suite, and may be absent. Other keys are ignored.

    Raises:
        TaskListError: the file cannot be read, a line is invalid, an id occurs twice, or no task is kept.
    """
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise TaskListError(f"only: {file}: cannot be read: {error.strerror}") from error
    rows = {f"{file}, line {number}": line for number, line in enumerate(lines, 1) if line.strip()}
    listed = [task for where, line in rows.items() if (task := _listed_task(where, _row(where, line)))]
    if not listed:
        raise TaskListError(f"only: {file}: expected at least one task, but none of its {len(rows)} rows is kept")
    first: dict[str, str] = {}
    for task in listed:
        if (other := first.setdefault(task.id, task.where)) != task.where:
            raise TaskListError(f'{task.where}, field "id": {task.id} occurs twice; {other} has it, too')
    return listed


def _row(where: str, line: bytes) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise TaskListError(f"{where}: expected a JSON object, got {line.decode(errors='replace'):.80}")
    return row


def _listed_task(where: str, row: Mapping[str, Any]) -> ListedTask | None:
    """Returns the task of a row; None if it is not kept."""
    identity, kept, index = row.get("id"), row.get("kept", True), row.get("index", -1)
    for field, good, expected in (
        ("id", isinstance(identity, str) and identity != "", "the id of a task"),
        ("kept", type(kept) is bool, "true or false"),
        ("index", type(index) is int and (index >= 0 or "index" not in row), "a whole number from 0 up"),
    ):
        if not good:
            raise TaskListError(f'{where}, field "{field}": expected {expected}, got {row.get(field)!r:.80}')
    return ListedTask(where, str(identity), index) if kept else None
