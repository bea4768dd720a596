"""Collages in quantity: how many canvases are accepted, and a folder of collages that the suite `local` reads."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from o3gym.codec import encode
from o3gym.geometry import to_pixels
from o3gym.media.images import shared_store
from o3gym.suites.base import BadTask, check_bad_share, make_suite, some_of
from o3gym.suites.collage import Collage
from o3gym.suites.collages.tally import CollageTally
from o3gym.synthesis.files import save_png, write_rows
from o3gym.types import Task

INDEX = "index.jsonl"
"""The file of rows in an output folder, in the format of the suite `local`."""
_logger = logging.getLogger(__name__)


def open_collages(spec: str, split: str) -> Collage:
    """Opens the suite of a spec like "collage:local:FILE?seed=1". Raises ValueError if it is not a collage suite."""
    suite = make_suite(spec, split)
    if not isinstance(suite, Collage):
        raise ValueError(f'expected a suite of collages, got "{spec}"; write "collage:{spec.partition("?")[0]}"')
    return suite


def make_collages(
    suite: Collage, count: int, out: Path | None = None, progress: Callable[[int], None] | None = None
) -> CollageTally:
    """Lays out the first `count` collages of a suite, and writes them into a folder if one is given.

    Args:
        suite: the collage suite.
        count: number of collages; at most all of the suite are made.
        out: folder for `index.jsonl` and the pictures as PNG; existing pictures are not drawn again.
        progress: called with the number of collages done.

    Returns:
        Counts of accepted and rejected canvases and of skipped tasks.

    Raises:
        SuiteError: more than 5% of the collages cannot be made, because no task of the source fits into them.
    """
    tally, rows, bad = CollageTally(), [], list[BadTask]()
    count = min(count, len(suite))
    for number in range(count):
        try:
            task, tried = suite.trial(number)
        except BadTask as problem:
            bad.append(problem)
            check_bad_share(suite.name, bad, count)
            continue
        tally += tried
        if out is not None:
            rows.append(_row(task, out))
        if progress is not None:
            progress(number + 1)
    if bad and not tally.accepted:
        raise bad[0]
    if bad:
        _logger.warning("%d of %d collages cannot be made: %s", len(bad), count, some_of(bad))
    if out is not None:
        write_rows(out / INDEX, rows)
    return tally


def _row(task: Task, out: Path) -> dict[str, Any]:
    """Saves the picture of a task, under its number and key, and returns the task's row."""
    source = task.sources[0]
    path = out / "images" / f"{task.origin['index']:06d}-{source.key}.png"
    save_png(source, path)
    size = shared_store().size(source)
    boxes = [{"box": to_pixels(target.box, size), "label": target.label} for target in task.targets]
    options = [f"{letter}. {choice}" for letter, choice in zip(task.letters, task.choices, strict=True)]
    return {
        "question_id": task.id,
        "image": str(path.relative_to(out)),
        "question": task.question,
        **({"options": options} if options else {}),
        **({"answer": task.answer} if task.kind != "box" else {}),
        "boxes": boxes,
        "category": task.tags.get("category") or task.tags.get("family", ""),
        "origin": encode(task.origin),
    }
