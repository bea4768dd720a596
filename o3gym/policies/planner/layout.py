"""The layout of a planner's sequences: which ids have a meaning of their own. It is stored as `planner.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from o3gym.worlds.mini_behaviour import MiniBehaviour

PlannerForm: TypeAlias = Literal["picture", "words"]
"""What a planner writes: the picture of the next state, or the moves of a whole plan."""


@dataclass(frozen=True)
class SequenceLayout:
    """The ids with a meaning of their own, which come after the picture codes, and the form of what is written.

    A sequence is: `begin`, the tokens of the state, `separator`, what is written, `end`. An id that is None is left
    out. Without `end`, exactly as many tokens are written as the state has.

    Attributes:
        form: what is written.
        begin: id before the tokens of the state.
        separator: id after the tokens of the state.
        end: id that ends what is written.
        moves: the id of each move that can be written, by name; empty for the form "picture".
        restart: whether the positions of what is written start again where those of the state do. A cell of the next
            state then lies at the same place as the cell of the state that it is mostly a copy of, whatever the size of
            the grid.
    """

    form: PlannerForm = "picture"
    begin: int | None = None
    separator: int | None = None
    end: int | None = None
    moves: Mapping[str, int] = field(default_factory=dict)
    restart: bool = False

    def named(self) -> dict[str, int]:
        """The ids that have a meaning of their own, by name."""
        marks = {"begin": self.begin, "separator": self.separator, "end": self.end}
        return {name: token for name, token in marks.items() if token is not None} | {
            f"moves.{move}": token for move, token in self.moves.items()
        }


def own_layout(form: PlannerForm, codes: int) -> SequenceLayout:
    """The layout of our own planners: begin, separator, end and all moves follow the picture codes.

    Raises:
        ValueError: the form is unknown.
    """
    check_form(form)
    moves = {move: codes + 3 + i for i, move in enumerate(MiniBehaviour.moves)}
    return SequenceLayout(form, codes, codes + 1, codes + 2, moves, restart=True)


def check_form(form: object) -> None:
    """Checks the name of a form.

    Raises:
        ValueError: it is unknown.
    """
    if form not in get_args(PlannerForm):
        raise ValueError(f"form: expected one of {', '.join(get_args(PlannerForm))}, got {form!r:.60}")


def write_layout(path: Path, layout: SequenceLayout) -> None:
    """Writes a layout as JSON."""
    path.write_text(json.dumps(asdict(layout), indent=2) + "\n", "utf-8")


def read_sequence_layout(path: Path) -> SequenceLayout:
    """Reads a layout that `write_layout` wrote, or one with some of its keys; without a file, the plain layout.

    Raises:
        ValueError: the file is malformed; the message names the key.
    """
    if not path.exists():
        return SequenceLayout()
    try:
        record = json.loads(path.read_text("utf-8"))
        return _layout_of(record)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error!s:.200}") from None


def _layout_of(record: object) -> SequenceLayout:
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, got {record!r:.60}")
    known = [field.name for field in fields(SequenceLayout)]
    unknown = [key for key in record if key not in known]
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r:.60} (known: {', '.join(known)})")
    moves = record.get("moves", {})
    if not isinstance(moves, dict):
        raise ValueError(f"moves: expected an object, got {moves!r:.60}")
    layout = SequenceLayout(**record)
    check_form(layout.form)
    if type(layout.restart) is not bool:
        raise ValueError(f"restart: expected true or false, got {layout.restart!r:.60}")
    marks = {"begin": layout.begin, "separator": layout.separator, "end": layout.end}
    for name, token in {**marks, **{f"moves.{move}": token for move, token in moves.items()}}.items():
        if type(token) is not int and (token is not None or name not in marks):
            raise ValueError(f"{name}: expected a whole number, got {token!r:.60}")
    if layout.form == "words" and (layout.end is None or not moves):
        raise ValueError('form "words" needs end and moves')
    return layout
