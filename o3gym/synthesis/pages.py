"""Source pictures, taken from the tasks of a suite or from a folder."""

from __future__ import annotations

import logging
from pathlib import Path

from PIL import Image

from o3gym.registry import closest
from o3gym.suites.base import Suite, SuiteError, some_of
from o3gym.suites.drawing import take_tasks
from o3gym.synthesis.detectors.base import Page
from o3gym.types import Source, Target

_logger = logging.getLogger(__name__)


def of_suite(suite: Suite) -> list[Page]:
    """Returns the pictures of all tasks, each once: named after its first task, with the targets of all its tasks.

    Videos are left out. Bad rows are skipped; a warning in the log counts them.

    Raises:
        SuiteError: more than 5% of the rows are bad, or there are only videos.
    """
    tasks, bad = take_tasks(suite, range(len(suite)), len(suite))
    if bad:
        _logger.warning(
            "%d of %d rows of %s are bad and skipped: %s", len(bad), len(suite), suite.name, some_of([*bad.values()])
        )
    names: dict[Source, str] = {}
    targets: dict[Source, list[Target]] = {}
    for task in tasks.values():
        for number, source in enumerate(task.sources):
            if source.duration is not None:
                continue
            names.setdefault(source, f"{task.id}#{number}" if number else task.id)
            boxes = targets.setdefault(source, [])
            boxes += [target for target in task.targets if target.source == number and target not in boxes]
    if tasks and not names:
        raise SuiteError(f"{suite.name}: expected tasks about pictures, found only videos")
    return [Page(name, source, tuple(targets[source])) for source, name in names.items()]


def of_folder(folder: Path) -> list[Page]:
    """Returns the picture files in a folder and its subfolders, sorted by name, which is the path inside the folder.

    Raises:
        ValueError: the folder does not exist, or no file in it has the suffix of a picture.
    """
    if not folder.is_dir():
        near = closest(folder.name, [path.name for path in folder.parent.glob("*") if path.is_dir()])
        raise ValueError(f"images: expected a folder with pictures, got {folder}{near}")
    suffixes = Image.registered_extensions()
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not files:
        raise ValueError(f"images: no picture in {folder} (looked for .jpg, .png, .webp, …)")
    return [Page(file.relative_to(folder).as_posix(), Source.file(str(file))) for file in files]
