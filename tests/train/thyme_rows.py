"""Small files in the released form of Thyme's supervised data. The content is invented."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
from PIL import Image

CODE = "<code>\n```python\nprint(processed_path)\n```\n</code>"
ONE_ROUND = (
    f"<think>It is small. {CODE}<sandbox_output><image></sandbox_output>\nIt says STOP.</think> <answer>STOP</answer>"
)
TWO_ROUNDS = (
    f"<think>It is small. {CODE}\n<sandbox_output>NameError</sandbox_output>\nAgain. {CODE}"
    "<sandbox_output><image> and <image></sandbox_output> STOP.</think> <answer>STOP</answer>"
)
NO_CODE = "<think>It says STOP.</think> <answer>STOP</answer>"


def png(width: int) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, 32)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def row(response: str = ONE_ROUND, pictures: int = 2, **changes: Any) -> dict[str, Any]:
    """A row whose pictures are told apart by their widths: 32, 64, ….

    The columns and their types are those of the released files.
    """
    images = [png(32 * (number + 1)) for number in range(pictures)]
    return {"image": images, "question": "What does the sign say?", "response": response, **changes}


def write(path: Path, *rows: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    schema = pyarrow.schema(
        [
            ("image", pyarrow.list_(pyarrow.string())),
            ("question", pyarrow.string()),
            ("response", pyarrow.string()),
        ]
    )
    parquet.write_table(pyarrow.Table.from_pylist(list(map(dict, rows)), schema=schema), path, row_group_size=2)
    return path
