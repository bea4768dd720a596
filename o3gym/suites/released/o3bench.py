"""`o3-bench`: O3-Bench (Li et al. 2025, "InSight-o3"; m-Just/O3-Bench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import pixel_box, text
from o3gym.suites.released.options import letter, lettered_lines
from o3gym.suites.released.table import TableRow
from o3gym.types import Source, Target, Task


class O3Bench(Released):
    """O3-Bench: 345 questions about dense charts (163) and maps (182), each of which needs several regions.

    The six options are in file order; F is always "No right choice", and right in 7% of the rows. The regions that a
    question needs (`target_layouts`) are its targets, so reports show how many of them were seen after how many views.
    Published numbers are means over three runs. `category` is `chart` or `map`.
    """

    name: ClassVar[str] = "o3-bench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "not stated (pictures of third parties)"
    repository: ClassVar[str] = "m-Just/O3-Bench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("test/metadata.jsonl", "metadata.jsonl", "test/images/**")}
    counts: ClassVar[Mapping[str, int]] = {"test": 345}
    columns: ClassVar[tuple[str, ...]] = (
        "file_name",
        "subset",
        "question",
        "options",
        "answer",
        "target_layouts",
        "layout_infos",
    )
    grouped_by: ClassVar[str] = "subset"
    measure: ClassVar[str] = "o3_bench"

    def convert(self, row: TableRow) -> Task:
        """A question with the regions that are needed to answer it."""
        image = self.picture(text(row, "file_name"), field="file_name")
        _, choices = lettered_lines(text(row, "options"), "options")
        if self.category_of(row) not in ("chart", "map"):
            raise BadRow("subset", '"chart" or "map"', row["subset"])
        return Task(
            id="",
            sources=(image,),
            question=text(row, "question"),
            answer=letter(row, "answer", choices),
            choices=choices,
            targets=_targets(row, image),
            kind="choice",
            tags={"category": self.category_of(row)},
        )


def _targets(row: TableRow, image: Source) -> tuple[Target, ...]:
    wanted, known = row["target_layouts"], row["layout_infos"]
    if not isinstance(wanted, list) or not wanted:
        raise BadRow("target_layouts", "a list of layout numbers", wanted)
    if not isinstance(known, dict):
        raise BadRow("layout_infos", "an object with a layout for each layout number", known)
    return tuple(
        Target(pixel_box(_box(known, number), image, "layout_infos"), label=f"layout {number}") for number in wanted
    )


def _box(known: Mapping[str, Any], number: object) -> Any:
    found = known.get(str(number))
    if not isinstance(found, dict) or "bbox" not in found:
        raise BadRow("layout_infos", f'an entry "{number}" with a "bbox", as target_layouts names it', sorted(known))
    return found["bbox"]
