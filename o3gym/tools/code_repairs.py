"""The repairs that Thyme's sandbox makes to code before it runs, on the syntax tree and without running anything.

Source: yfzhang114/Thyme at b9285b7, swift/trainers/sandbox.py. Three repairs are reproduced:

- **Paths.** A literal that is assigned to `image_path` becomes the real path, unless it names a picture that exists.
  Models tend to copy a path from their training data.
- **Crop coordinates.** Four literal coordinates in a tuple are clamped to the picture and widened to at least 64 pixels
  per side, if they are assigned to a name such as `crop_box` or unpacked into names such as `x1, y1, x2, y2`. Slices of
  arrays are left alone: the released check for them looks for a syntax node that Python 3.9 removed.
- **OpenCV.** `cv.`, `cv3.`, `cv4.` and `CV.` become `cv2.`.

Only the characters of the repaired expressions change, so that line numbers stay the model's own. The released sandbox
also reformats code with autopep8, aligns the indentation of the first line and lengthens one-digit float formats; these
changes are not reproduced. Code that does not parse is left alone.
"""

from __future__ import annotations

import ast
import itertools
import re
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from o3gym.geometry import is_number
from o3gym.types import Size

LEAST_CROP = 64
"""Least width and height of a repaired crop in pixels."""
BOX_NAMES = frozenset(
    {"crop_box", "bbox", "box", "coordinates", "coords", "crop_coords"}
    | {f"{side}_crop_coords" for side in ("left", "right", "top", "bottom")}
)
"""Variables whose value is taken for the coordinates of a crop."""
EDGE_NAMES = frozenset({"x1", "y1", "x2", "y2", "left", "top", "right", "bottom"})
"""Variables, one of which marks four unpacked numbers as the coordinates of a crop."""
_WRONG_MODULES = ("cv", "cv3", "cv4", "CV")
_FILE = "<model code>"
_QUIET = ("ignore", None, Warning, re.compile(_FILE), 0)


class _Edit(NamedTuple):
    """A replacement of the characters of an expression."""

    node: ast.expr
    text: str


def repaired(source: str, size: Size, path: str) -> str:
    """Returns `source` with the repairs, or unchanged if there is nothing to repair or it does not parse.

    Args:
        source: the model's code.
        size: (width, height) of the first picture in pixels.
        path: the path of the first picture, as the code knows it.
    """
    tree = parse_quietly(source)
    if tree is None:
        return source
    edits = [edit for node in ast.walk(tree) for edit in _edits(node, size, path)]
    return _applied(source, edits) if edits else source


def parse_quietly(source: str) -> ast.Module | None:
    """The syntax tree of untrusted code, or None if it does not parse, for whatever reason. No warning is shown."""
    if _QUIET not in warnings.filters:
        # A filter for this file's name only, because `catch_warnings` must not be used on several threads.
        warnings.filterwarnings("ignore", module=_FILE)
    try:
        return ast.parse(source, _FILE)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # nesting beyond the parser's limits, or a NUL
        return None


def _edits(node: ast.AST, size: Size, path: str) -> Iterator[_Edit]:
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in _WRONG_MODULES:
        yield _Edit(node.value, "cv2")
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Name) and target.id == "image_path" and isinstance(value, ast.Constant):
        if isinstance(value.value, str):
            yield _Edit(value, _existing(value, path))
    elif isinstance(value, ast.Tuple) and len(value.elts) == 4 and _holds_box(target):
        yield from _clamped(value, size)


def _existing(literal: ast.Constant, path: str) -> str:
    """The expression for the path in `literal` if that is a file when the code runs, and else `path`."""
    lines = "\n" * ((literal.end_lineno or literal.lineno) - literal.lineno)
    named = repr(literal.value)
    return f"({named} if __import__('os').path.isfile({named}) else {path!r}{lines})"


def _holds_box(target: ast.expr) -> bool:
    """Whether the coordinates of a crop are probably assigned to `target`."""
    if isinstance(target, ast.Name):
        return target.id in BOX_NAMES
    names = (
        [one.id.lower() for one in target.elts if isinstance(one, ast.Name)] if isinstance(target, ast.Tuple) else []
    )
    return len(names) == 4 and not EDGE_NAMES.isdisjoint(names)


def _clamped(box: ast.Tuple, size: Size) -> Iterator[_Edit]:
    values = [one.value for one in box.elts if isinstance(one, ast.Constant)]
    numbers = [value for value in values if isinstance(value, (int, float)) and is_number(value)]
    if len(numbers) < 4:
        return
    x0, x1 = clamped_edges(numbers[0], numbers[2], size[0])
    y0, y1 = clamped_edges(numbers[1], numbers[3], size[1])
    if [x0, y0, x1, y1] != [round(number) for number in numbers]:
        yield from (_Edit(node, str(edge)) for node, edge in zip(box.elts, (x0, y0, x1, y1), strict=True))


def clamped_edges(one: float, other: float, length: int) -> tuple[int, int]:
    """The edges of a crop along one axis, in pixels: in order, inside 0..`length`, and at least `LEAST_CROP` apart.

    A picture that is shorter is taken whole. A crop that is too short grows at its far end, or, at the far end of the
    picture, at its near end.
    """
    low = min(max(min(one, other), 0), max(length - 1, 0))
    high = min(max(one, other, 0), length)
    if low >= high:
        low = max(high - 1, 0)
        high = low + 1
    if high - low < LEAST_CROP:
        high = min(low + LEAST_CROP, length)
        low = max(min(low, high - LEAST_CROP), 0)
    return round(low), round(high)


def _applied(source: str, edits: list[_Edit]) -> str:
    """The source with the text of each expression replaced; unchanged if the result would not parse."""
    data, pieces, at = source.encode(), list[bytes](), 0
    starts = [0, *itertools.accumulate(map(len, data.splitlines(keepends=True)))]
    for start, end, node, text in sorted(
        ((*_place(node, starts), node, text) for node, text in edits), key=lambda place: place[0]
    ):
        # Before Python 3.12, names in f-strings of several lines have wrong positions.
        if start >= at and (not isinstance(node, ast.Name) or data[start:end] == node.id.encode()):
            pieces += [data[at:start], text.encode()]
            at = end
    result = b"".join([*pieces, data[at:]]).decode()
    return source if parse_quietly(result) is None else result


def _place(node: ast.expr, starts: list[int]) -> tuple[int, int]:
    """The positions of the first byte of an expression and of the byte after its last."""
    end_line, end_column = node.end_lineno or node.lineno, node.end_col_offset or node.col_offset
    return starts[node.lineno - 1] + node.col_offset, starts[end_line - 1] + end_column
