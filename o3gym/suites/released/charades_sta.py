"""`charades-sta`: Charades-STA (Gao et al. 2017, "TALL"; lmms-lab's copy of the annotations)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import text
from o3gym.suites.released.table import WHOLE_ROW, Table, TableRow, utf8_text
from o3gym.suites.released.videos import VideoSuite
from o3gym.types import Task

_LINE = re.compile(r"(\S+) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)##(.+)")


class CharadesLines(Table):
    """The authors' text file, with a line "VIDEO START END##EVENT" for each event. Empty lines are no rows."""

    columns = ("video", "timestamp", "caption")

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = utf8_text(path.read_bytes(), str(path)).splitlines()
        self._lines = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: Any) -> Any:
        line = self._lines[index][1]
        match = _LINE.fullmatch(line)
        if match is None:
            raise BadRow(WHOLE_ROW, "VIDEO START END##EVENT", line)
        return {"video": match[1], "timestamp": [float(match[2]), float(match[3])], "caption": match[4]}

    def where(self, index: int) -> str:
        """The file and line of the row at `index`."""
        return f"{self.path}, line {self._lines[index][0]}"


class CharadesSTA(VideoSuite):
    """Charades-STA: 3,720 events to be located in videos of about 30 seconds. The answer is an interval.

    The videos are those of Charades (`Charades_v1_480`), which `videos` names. A true interval that ends after its
    video is cut at the end of the video, because no answer can be longer; published code compares with the whole
    interval. An empty or inverted interval makes a bad row. A data folder may have the authors' `charades_sta_test.txt`
    instead of the copy's table. The forms of both are known from loaders; no rows were seen.
    """

    name: ClassVar[str] = "charades-sta"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "MIT by the card of the copy (videos of Charades: non-commercial)"
    repository: ClassVar[str] = "lmms-lab/charades_sta"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("data/test-*.parquet", "charades_sta_test.txt")}
    counts: ClassVar[Mapping[str, int]] = {"test": 3720}
    columns: ClassVar[tuple[str, ...]] = ("video", "caption", "timestamp")
    measure: ClassVar[str] = "grounding"

    @property
    def kinds(self) -> frozenset[str]:
        """Intervals."""
        return frozenset({"span"})

    def open_files(self, files: Sequence[Path]) -> Table:
        """Open the copy's table or the authors' text file."""
        return CharadesLines(files[0]) if files[0].suffix == ".txt" else super().open_files(files)

    def convert(self, row: TableRow) -> Task:
        """An event of a video. Rows have no id."""
        return self.moment_task(text(row, "video"), text(row, "caption"), row["timestamp"])
