"""Readers of row fields. Each checks its field and raises a `BadRow` that states what was expected."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Any

from o3gym.geometry import area, from_pixels, intersection, is_box, is_empty
from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.registry import closest
from o3gym.suites.base import BadRow
from o3gym.types import Box, Size, Source, Target

IMAGE_MARK = "<image>"
"""Placeholder for a picture in a prompt."""
ROUNDING = 2.0
"""Pixels by which a benchmark's box may extend beyond its picture; such boxes are clipped."""
KEPT_SHARE = 0.5
"""Share of a training box's area that must lie inside its picture. Boxes with less of it inside were drawn on another
page or at another scale, and what is left of them would be a wrong target."""
ROOTS_HINT = " (roots= names further folders)"


def text(row: Mapping[str, Any], field: str) -> str:
    """A field that must be a non-empty text, stripped."""
    value = row.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRow(field, "a text", value)
    return value.strip()


def texts(row: Mapping[str, Any], field: str) -> list[str]:
    """A field that must be a non-empty list of non-empty texts, each stripped."""
    values = row[field]
    if not isinstance(values, list) or not values or not all(isinstance(v, str) and v.strip() for v in values):
        raise BadRow(field, "a list of texts", values)
    return [value.strip() for value in values]


def unmarked(prompt: str) -> str:
    """A prompt without its picture placeholders."""
    return prompt.replace(IMAGE_MARK, "").strip()


def word(row: Mapping[str, Any], field: str) -> str:
    """A text or number field as text, which must not be empty."""
    value = row.get(field)
    missing = value is None or isinstance(value, (list, dict)) or (isinstance(value, float) and not isfinite(value))
    if missing or not str(value).strip():
        raise BadRow(field, "a text or number", value)
    return str(value).strip()


def picture(folder: Path, name: str, field: str = "image", roots: Sequence[Path] | None = None) -> Source:
    """A picture file, which must exist and lie below `folder` or one of `roots`, see `check_below`.

    `roots` is None where no option can name further folders.
    """
    path = folder / name
    check_below((folder, *(roots or ())), path, field, "" if roots is None else ROOTS_HINT)
    if not is_file(path):
        hint = closest(path.name, [p.name for p in path.parent.glob("*")][:1000] if path.parent.is_dir() else [])
        raise BadRow(field, f"an existing file{hint}", str(path))
    return Source.file(str(path))


def is_file(path: Path) -> bool:
    """Whether a path is a file; False for a name that no file can have, where `Path.is_file` may raise."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def check_below(roots: Sequence[Path], path: Path, field: str, hint: str = ROOTS_HINT) -> None:
    """Raise `BadRow` if a file lies below none of `roots`, once symbolic links and ".." are resolved.

    Pictures are sent to the servers of policies. A table from a stranger must not choose other files of this machine.
    """
    try:
        resolved = path.resolve()
    except (OSError, ValueError, RuntimeError):  # too long a name, a null byte, a loop of links
        raise BadRow(field, "a path of a file", str(path)) from None
    if not any(resolved.is_relative_to(inside) for root in roots for inside in _resolved_roots(root.absolute())):
        folders = " or ".join(dict.fromkeys(map(str, roots)))
        raise BadRow(field, f"a file below {folders}{hint}", str(resolved))


@lru_cache(maxsize=256)
def _resolved_roots(root: Path) -> tuple[Path, ...]:
    """A folder without symbolic links; and if it is in the hub's cache, the folder that its files are links into."""
    resolved = root.resolve()
    # The cache has the files of a repository in REPOSITORY/blobs, and REPOSITORY/snapshots/COMMIT links to them.
    snapshots = next((path for path in (resolved, *resolved.parents) if path.parent.name == "snapshots"), None)
    return (resolved,) if snapshots is None else (resolved, snapshots.parent.parent / "blobs")


def folders(joined: str) -> tuple[Path, ...]:
    """The folders that the option `roots` names, joined by "+"."""
    return tuple(Path(name) for name in joined.split("+") if name)


def packed(row: Mapping[str, Any], field: str = "image") -> Source:
    """A picture that is embedded in the table."""
    value = row.get(field)
    if not isinstance(value, Source):
        raise BadRow(field, "a picture", value)
    return value


def pixel_box(box: object, source: Source, field: str) -> Box:
    """Convert [x0, y0, x1, y1] in pixels of a picture to unit xyxy. The box must lie inside, up to `ROUNDING`."""
    if not is_box(box):
        raise BadRow(field, "[x0, y0, x1, y1] of four numbers", box)
    assert isinstance(box, (list, tuple))
    width, height = picture_size(source, field)
    x0, y0, x1, y1 = box
    inside = min(x0, y0) >= -ROUNDING and x1 <= width + ROUNDING and y1 <= height + ROUNDING
    if is_empty(box) or not inside:
        raise BadRow(field, f"x0 < x1 and y0 < y1 inside the picture of {width}×{height} pixels", box)
    clipped = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    return from_pixels(clipped, (width, height))


def clipped_box(box: object, source: Source, field: str) -> Box | None:
    """Convert [x0, y0, x1, y1] in pixels of a picture to unit xyxy, clipped to the picture.

    None if the box is empty or less than `KEPT_SHARE` of its area lies inside. For training data, where one such box
    among thousands must not end a run; the boxes of benchmarks are converted by `pixel_box`, which refuses them.
    """
    if not is_box(box):
        raise BadRow(field, "[x0, y0, x1, y1] of four numbers", box)
    assert isinstance(box, (list, tuple))
    size = picture_size(source, field)
    inside = intersection(box, (0.0, 0.0, float(size[0]), float(size[1])))
    return None if is_empty(inside) or area(inside) < KEPT_SHARE * area(box) else from_pixels(inside, size)


def picture_size(source: Source, field: str) -> Size:
    """Width and height of a picture in pixels; the picture must be readable."""
    try:
        return shared_store().size(source)
    except PictureError as error:
        raise BadRow(field, "a readable picture", str(error)) from error


def yes_or_no(row: Mapping[str, Any], field: str = "answer") -> str:
    """The right answer, "yes" or "no", in any case and with or without a full stop."""
    answer = text(row, field).lower().rstrip(".")
    if answer not in ("yes", "no"):
        raise BadRow(field, '"yes" or "no"', row[field])
    return answer


def boxes(value: object, field: str) -> list[Any]:
    """A non-empty list of boxes, or the same as JSON text. The boxes themselves are not checked."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRow(field, "a list of boxes", value) from error
    if not isinstance(value, list) or not value:
        raise BadRow(field, "a list of boxes", value)
    return value


def evidence(row: Mapping[str, Any], field: str, source: Source) -> tuple[Target, ...]:
    """Targets from a field that lists boxes in pixels of `source`."""
    return tuple(Target(pixel_box(box, source, field)) for box in boxes(row[field], field))
