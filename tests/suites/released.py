"""Small files in exactly the schemas of released benchmarks."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

HR_COLUMNS = ("index", "question", "answer", "category", "A", "B", "C", "D", "cycle_category", "image")


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


def hrbench(folder: Path, questions: int = 2, name: str = "hr_bench_4k.tsv", **changes: Any) -> Path:
    """Each question four times; the right option goes from A to D, the others stand anywhere."""
    rows = []
    for number in range(questions):
        image = base64.b64encode(jpeg(("red", "green", "blue")[number % 3])).decode()
        for cycle, letter in enumerate("ABCD"):
            options = [f"wrong {i}" for i in range(3)]
            options.insert(cycle, "right")
            row = {"index": 4 * number + cycle, "question": f'Which "sign", {number}?\nSee left.', "answer": letter}
            row |= {"category": "single" if number % 2 == 0 else "cross", "cycle_category": cycle, "image": image}
            rows.append({**row, **dict(zip("ABCD", options, strict=True)), **changes})
    return tsv(folder / name, HR_COLUMNS, rows)


def vstar(folder: Path, beside: Mapping[str, Any] | None = None, **changes: Any) -> Path:
    """One question of each category: pictures, the files beside them, and the list."""
    entries = (
        ("direct_attributes", ["red", "blue", "green", "white"], ["cup"], [[8, 12, 16, 24]], "C", [1, 2, 0, 3]),
        ("relative_position", ["left", "right"], ["cup", "dog"], [[0, 0, 8, 8], [40, 30, 24, 18]], "A", [0, 1]),
    )
    lines = []
    for number, (category, options, names, boxes, label, order) in enumerate(entries):
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / f"sa_{number}.jpg").write_bytes(jpeg())
        about = {"target_object": names, "bbox": boxes, "question": "Which is it?", "options": options}
        (folder / category / f"sa_{number}.json").write_text(json.dumps({**about, **(beside or {})}))
        listed = "\n".join(f"({letter}) {options[at]}" for letter, at in zip("ABCD", order, strict=False))
        said = f"Which is it?\n{listed}\nAnswer with the option's letter from the given choices directly."
        row = {"image": f"{category}/sa_{number}.jpg", "text": said, "label": label}
        lines.append(json.dumps({**row, "category": category, "question_id": number, **changes}))
    (folder / "test_questions.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def visualprobe(folder: Path, level: str = "Easy", split: str = "val", **changes: Any) -> Path:
    root = folder / f"VisualProbe_{level}"
    (root / "data").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, answer in enumerate(("White.", "seven")):
        (root / "data" / f"{number}.jpg").write_bytes(jpeg())
        row = {"problem": f"<image>\nWhat is {number}?", "solution": answer, "doc_id": f"visual_probe_{number}"}
        row |= {"images": [f"VisualProbe_{level}/data/{number}.jpg"], "data_source": f"visual_probe_{level.lower()}"}
        rows.append({**row, **changes})
    (root / f"{split}.json").write_text(json.dumps(rows))
    return root


def parquet(path: Path, rows: Sequence[Mapping[str, Any]], group: int = 3) -> Path:
    """Pictures as the hub embeds them: a struct of bytes and path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows]), path, row_group_size=group)
    return path


def infovqa(folder: Path, **changes: Any) -> Path:
    rows = [
        {
            "questionId": str(i),
            "question": f"How many, {i}?",
            "answers": ["seven", "7 people"],
            **embedded(i),
            **changes,
        }
        for i in range(8)
    ]
    parquet(folder / "InfographicVQA" / "validation-00000-of-00001.parquet", rows)
    return folder


def chartqa(folder: Path, **changes: Any) -> Path:
    kinds = ("human_test", "augmented_test")
    rows = [
        {"type": kinds[i % 2], "question": f"What share, {i}?", "answer": "42", **embedded(i), **changes}
        for i in range(4)
    ]
    parquet(folder / "data" / "test-00000-of-00001.parquet", rows)
    return folder


def embedded(number: int) -> dict[str, Any]:
    """A picture whose width tells which it is."""
    return {"image": {"bytes": jpeg(size=(40 + number, 30)), "path": f"{number}.jpg"}}
