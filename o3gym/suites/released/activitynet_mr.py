"""`activitynet-mr`: moment retrieval on ActivityNet Captions (Krishna et al. 2017; the authors' annotations)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import text
from o3gym.suites.released.rows import read_object
from o3gym.suites.released.table import Table, TableRow
from o3gym.suites.released.videos import NotOnHub
from o3gym.types import Task


class CaptionTable(Table):
    """An object that maps videos to their sentences and intervals, as a table with a row for each sentence.

    A video whose entry is broken is one row, which raises `BadRow`.
    """

    columns = ("video", "sentence", "timestamp")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = [row for video, entry in read_object(path).items() for row in _sentences(video, entry)]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: Any) -> Any:
        row = self._rows[index]
        if isinstance(row, BadRow):
            raise row.with_traceback(None)
        return row

    def where(self, index: int) -> str:
        """The file and the number of the sentence, counted over all videos."""
        return f"{self.path}, row {index + 1}"


def _sentences(video: str, entry: Any) -> Iterator[dict[str, Any] | BadRow]:
    sentences, timestamps = (
        (entry.get(key) for key in ("sentences", "timestamps")) if isinstance(entry, dict) else (None, None)
    )
    if not isinstance(sentences, list) or not isinstance(timestamps, list) or len(sentences) != len(timestamps):
        yield BadRow(video, "lists of sentences and timestamps of the same length", entry)
        return
    for sentence, timestamp in zip(sentences, timestamps, strict=True):
        yield {"video": video, "sentence": sentence, "timestamp": timestamp}


class ActivityNetMR(NotOnHub):
    """ActivityNet Captions, read as moment retrieval: locate what each sentence describes. The answer is an interval.

    The split `test` is the file `val_2.json` (17,031 sentences), on which moment retrieval is usually reported, and
    `val` is `val_1.json` (17,505); the authors' test set is not public. The videos are those of ActivityNet, named by
    their ids (`v_….mp4`). Intervals are cut at the end of a video as in `charades-sta`. The form of the files is known
    from loaders; no rows were seen.
    """

    name: ClassVar[str] = "activitynet-mr"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("test", "val")
    licence: ClassVar[str] = "unknown"
    repository: ClassVar[str] = "https://cs.stanford.edu/people/ranjaykrishna/densevid (captions.zip)"
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        "test": ("val_2.json", "captions/val_2.json"),
        "val": ("val_1.json", "captions/val_1.json"),
    }
    columns: ClassVar[tuple[str, ...]] = ("video", "sentence", "timestamp")
    measure: ClassVar[str] = "grounding"

    @property
    def kinds(self) -> frozenset[str]:
        """Intervals."""
        return frozenset({"span"})

    def open_files(self, files: Sequence[Path]) -> Table:
        """Open the file of the split."""
        return CaptionTable(files[0])

    def convert(self, row: TableRow) -> Task:
        """A sentence about a part of a video. Sentences have no id."""
        return self.moment_task(text(row, "video"), text(row, "sentence"), row["timestamp"])
