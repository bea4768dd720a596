"""Conformance vectors: inputs of ours, and the results of the released code of other systems on them.

Each `*.jsonl` file has one vector a line. `agree` compares our results with them: a result may differ only where
`tests/vectors/differences.py` lists it, and every listed difference must occur.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.vectors.differences import DIFFERENCES

SOURCES = {
    "mini_o3": "results of the released code Mini-o3/Mini-o3@8654dbf on inputs of ours",
    "deepeyes": "results of the released code Visual-Agent/DeepEyes@6c5e796 on inputs of ours",
    "pixel_reasoner": "results of the released code TIGER-AI-Lab/Pixel-Reasoner@a3a6c3a on inputs of ours",
    "insight_o3": "results of the released code m-Just/InSight-doc@0f9536be on inputs of ours",
    "thyme": "results of the released code yfzhang114/Thyme@b9285b7 on inputs of ours",
}
Vector = dict[str, Any]


class Compared(NamedTuple):
    """One compared result: the vector's number in its file, its kind of input, and both results."""

    number: int
    kind: str
    ours: Any
    theirs: Any


def vectors(name: str) -> list[Vector]:
    """The vectors of one file, in order."""
    lines = Path(__file__).with_name(f"{name}.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def agree(name: str, compared: Iterable[Compared]) -> None:
    """Asserts that results differ exactly where the table says so, and as it says, for each kind and number in it."""
    of_file = [difference for difference in DIFFERENCES if difference.vectors == name]
    stale = {(difference, only) for difference in of_file for only in difference.only}
    wrong = []
    for result in compared:
        if result.ours == result.theirs:
            continue
        shapes = (shape(result.ours), shape(result.theirs))
        fitting = [d for d in of_file if (d.ours, d.theirs) == shapes and {result.number, result.kind} & {*d.only}]
        stale -= {(difference, only) for difference in fitting for only in (result.number, result.kind)}
        wrong += [] if fitting else [result]
    assert not wrong, f"{len(wrong)} results of {name} differ: {wrong[:5]}"
    assert not stale, f"results of {name} do not differ any more as listed: {stale}"


def shape(result: Any) -> str:
    """The word by which the table names a result: "crop" for ["crop", …], "error", a number as it is written."""
    if isinstance(result, (list, tuple)) and result:
        return str(result[0])
    if isinstance(result, Mapping):
        return json.dumps(result, sort_keys=True)
    return f"{result:g}" if isinstance(result, float) else str(result)
