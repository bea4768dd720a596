"""Small pictures, and tables in the formats of the hub."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image


def jpeg(colour: str = "red", size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def tsv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> Path:
    """As pandas writes it: fields with quotes, tabs or line breaks are quoted."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([[row[column] for column in columns] for row in rows])
    return path


def parquet(path: Path, rows: Sequence[Mapping[str, Any]], group: int = 3) -> Path:
    """Pictures as the hub embeds them: a struct of bytes and path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path, row_group_size=group)
    return path


def embedded(number: int) -> dict[str, Any]:
    """A picture whose width tells which it is."""
    return {"image": {"bytes": jpeg(size=(40 + number, 30)), "path": f"{number}.jpg"}}
