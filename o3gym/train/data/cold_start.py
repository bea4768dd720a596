"""Reads and writes the parquet format of Mini-o3's released cold start (Mini-o3/Mini-o3-Coldstart-Dataset).

    images          list of encoded pictures ({"bytes", "path"})
    image_names     list of names: original_image.jpg, observation_1.jpg, …
    conversations   JSON text: a list of {"from": "system" | "human" | "gpt", "value"}
    data_source     text
    sample_index    integer
    rollout_index   integer

The columns are those that the converter of the repository reads (github.com/Mini-o3/Mini-o3,
scripts/preprocess_coldstart.py). The released rows are said to be split per turn, each ending with one reply of a
trace. So if one row is the beginning of another within a sample and rollout, only the longer one is read; otherwise
early turns would count several times.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from o3gym.policies.dialogue import Message
from o3gym.registry import require
from o3gym.suites.base import BadRow
from o3gym.suites.released.rows import parquet_rows
from o3gym.suites.released.table import without_surrogates
from o3gym.train.data.dialogues import labels, pictures, png, read_turns, stored_turns
from o3gym.train.data.sharegpt import NAMES
from o3gym.train.data.sources import BadDemonstration, RunSource, SourceError
from o3gym.types import Source

COLD_START_COLUMNS = ("images", "conversations")
"""Columns that a file must have; the others are optional."""
SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
"""Matches the escape of a surrogate, lone or in a pair."""


class ColdStart:
    """The dialogues of a parquet file. Texts are held in memory; pictures are read with their row group.

    Attributes:
        replaced: number of rows of the file in which U+FFFD stands for lone surrogates.

    Raises:
        SourceError: the file is not as expected; the message names the file and column.
    """

    def __init__(self, argument: str) -> None:
        parquet = require("pyarrow.parquet", "train")
        self.path = Path(argument)
        try:
            self._file = parquet.ParquetFile(self.path)
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.path}: not a parquet file that can be read ({error})") from error
        for column in COLD_START_COLUMNS:
            if column not in self._file.schema_arrow.names:
                found = ", ".join(self._file.schema_arrow.names)
                raise SourceError(f'{self.path}: expected a column "{column}", got {found}')
        texts, self.replaced = self._texts()
        self.fingerprint = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        self._kept = sorted(_longest(texts))
        self._texts_of = [row["conversations"] for row in texts]
        self.size = len(self._kept)
        self._group = lru_cache(2)(self._read_group)

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue of the `index`-th row that is kept. Raises `BadDemonstration` if it is bad."""
        row = self._kept[index]
        where = f"{self.path}: row {row}"
        try:
            turns = json.loads(self._texts_of[row])
        except (TypeError, ValueError, RecursionError) as error:
            raise BadDemonstration(f"{where}: conversations: not JSON ({error})") from error
        images = self._images(row) or []
        if not isinstance(images, list):
            raise BadDemonstration(f"{where}: images: expected a list, got {type(images).__name__}")
        return read_turns(turns, [_source(image, where) for image in images], where)

    def _texts(self) -> tuple[list[dict[str, Any]], int]:
        """Returns the columns of texts, and the number of rows in which lone surrogates are replaced."""
        wanted = ("conversations", "sample_index", "rollout_index")
        columns = [name for name in wanted if name in self._file.schema_arrow.names]
        rows, replaced = parquet_rows(self._file.read(columns=columns))
        texts = [{"conversations": None} if isinstance(row, BadRow) else row for row in rows]
        return texts, replaced + sum(_has_lone_escape(row["conversations"]) for row in texts)

    def _images(self, row: int) -> Any:
        group = 0
        while row >= (rows := self._file.metadata.row_group(group).num_rows):
            row, group = row - rows, group + 1
        return self._group(group)[row]

    def _read_group(self, group: int) -> list[Any]:
        images: list[Any] = self._file.read_row_group(group, columns=["images"]).column("images").to_pylist()
        return images

    def __getstate__(self) -> dict[str, Any]:
        """Pickles only the path, because an open file cannot be sent to another process."""
        return {"path": self.path}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Opens the file again."""
        self.__init__(str(state["path"]))  # type: ignore[misc]


def _has_lone_escape(conversations: Any) -> bool:
    """Whether a row's JSON text has a surrogate's escape that is not one of a pair; `read_turns` replaces it."""
    if not isinstance(conversations, str) or not SURROGATE_ESCAPE.search(conversations):
        return False
    try:
        value = json.loads(conversations)
    except (ValueError, RecursionError):
        return False  # a bad row
    return bool(value != without_surrogates(value))


def _source(image: Any, where: str) -> Source:
    data = image.get("bytes") if isinstance(image, Mapping) else image
    if not isinstance(data, bytes):
        raise BadDemonstration(f"{where}: images: expected encoded pictures, got {type(data).__name__} {data!r:.80}")
    return Source.of_bytes(data)


def _longest(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """Returns the indices of the rows that are not the beginning of another row of the same sample and rollout."""
    # Without its closing "]", the JSON text of a conversation is a prefix of that of every longer one.
    groups: dict[Any, list[tuple[str, int]]] = {}
    for number, row in enumerate(rows):
        key = (row.get("sample_index", number), row.get("rollout_index"))
        groups.setdefault(key, []).append((str(row["conversations"]).rstrip().rstrip("]").rstrip(), number))
    kept = []
    for texts in groups.values():
        texts.sort()  # a text that is the beginning of others is then directly before one of them
        kept += [
            n for (text, n), (after, _) in zip(texts, [*texts[1:], ("", -1)], strict=True) if not _begins(text, after)
        ]
    return kept


def _begins(text: str, other: str) -> bool:
    return other.startswith(text + ",") or other == text


def export_cold_start(source: RunSource, file: Path) -> int:
    """Writes the demonstrations of a run to a parquet file, one whole trace per row. Returns their number.

    Pictures are stored as they were shown, as PNG. Their names end in .jpg all the same, which is part of the format.
    """
    pyarrow, parquet = require("pyarrow", "train"), require("pyarrow.parquet", "train")
    schema = _schema(pyarrow)
    file.parent.mkdir(parents=True, exist_ok=True)
    with parquet.ParquetWriter(file, schema) as writer:
        samples: dict[str, int] = {}
        for index, episode in enumerate(source.episodes):
            sample = samples.setdefault(episode.group, len(samples))
            row = _row(source.example(index, 0)) | {
                "data_source": str(episode.task.origin.get("suite", "")) or "o3gym",
                "sample_index": sample,
                "rollout_index": index,
            }
            writer.write_table(pyarrow.Table.from_pylist([row], schema=schema))
    return source.size


def _row(messages: list[Message]) -> dict[str, Any]:
    names = labels(
        messages,
        lambda i: "original_image.jpg" if i == 0 else f"original_image_{i + 1}.jpg",
        lambda i: f"observation_{i}.jpg",
    )
    return {
        "images": [{"bytes": png(p), "path": n} for p, n in zip(pictures(messages), names, strict=True)],
        "image_names": names,
        "conversations": json.dumps(stored_turns(messages, NAMES, ("from", "value")), ensure_ascii=False),
    }


def _schema(pyarrow: Any) -> Any:
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    return pyarrow.schema(
        [
            ("images", pyarrow.list_(picture)),
            ("image_names", pyarrow.list_(pyarrow.string())),
            ("conversations", pyarrow.string()),
            ("data_source", pyarrow.string()),
            ("sample_index", pyarrow.int64()),
            ("rollout_index", pyarrow.int64()),
        ]
    )
