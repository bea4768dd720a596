"""Small files in exactly the schemas of released benchmarks."""

from __future__ import annotations

import atexit
import base64
import functools
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from o3gym.registry import SUITES
from o3gym.suites.base import make_suite
from tests.suites.released import more_files, video_rows
from tests.suites.released.writing import embedded, jpeg, parquet, tsv

HR_COLUMNS = ("index", "question", "answer", "category", "A", "B", "C", "D", "cycle_category", "image")


def hrbench(folder: Path, questions: int = 2, name: str = "hr_bench_4k.tsv", **changes: Any) -> Path:
    """Each question four times; the right option goes from A to D, the others stand anywhere. TSV or Parquet."""
    rows = []
    for number in range(questions):
        image = base64.b64encode(jpeg(("red", "green", "blue")[number % 3])).decode()
        for cycle, letter in enumerate("ABCD"):
            options = [f"wrong {i}" for i in range(3)]
            options.insert(cycle, "right")
            row = {"index": 4 * number + cycle, "question": f'Which "sign", {number}?\nSee left.', "answer": letter}
            row |= {"category": "single" if number % 2 == 0 else "cross", "cycle_category": cycle, "image": image}
            rows.append({**row, **dict(zip("ABCD", options, strict=True)), **changes})
    return parquet(folder / name, rows) if name.endswith(".parquet") else tsv(folder / name, HR_COLUMNS, rows)


def vstar(folder: Path, beside: Mapping[str, Any] | None = None, **changes: Any) -> Path:
    """One question of each category: pictures, the files beside them with options as sentences, and the list."""
    entries = (
        ("direct_attributes", ["red", "blue", "green", "white"], ["cup"], [[8, 12, 16, 24]], "C", [1, 2, 0, 3]),
        ("relative_position", ["left", "right"], ["cup", "dog"], [[0, 0, 8, 8], [40, 30, 24, 18]], "A", [0, 1]),
    )
    lines = []
    for number, (category, options, names, boxes, label, order) in enumerate(entries):
        (folder / category).mkdir(parents=True, exist_ok=True)
        (folder / category / f"sa_{number}.jpg").write_bytes(jpeg())
        about = {"target_object": names, "bbox": boxes, "question": "Which is it?"}
        about |= {"options": [f"The right one is {option}." for option in options]}
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


def treebench(folder: Path, **changes: Any) -> Path:
    """Boxes as text; a row with more options than four, and one whose question is drawn into the picture."""
    letters = "ABCDEFGHIJK"
    columns = ("index", "image", "question", "multi-choice options", "answer", "category", "l2-category")
    rows = []
    for number, (category, options) in enumerate((("Perception/Attributes", 4), ("Reasoning/Ordering", 11), OCR)):
        texts = [f"option {letter}" for letter in letters[:options]]
        row = {"index": number, "image": base64.b64encode(jpeg()).decode(), "category": category, "l2-category": "x"}
        row |= {"question": f"Which one, {number}?", "answer": "B", "multi-choice options": " ".join(texts)}
        row |= {"target_instances": "[[8.0, 12.0, 24.0, 36.0], [40, 0, 64, 24]]"}
        rows.append({**row, **dict.fromkeys(letters, ""), **dict(zip(letters, texts, strict=False)), **changes})
    return tsv(folder / "TreeBench.tsv", (*columns, "target_instances", *letters), rows)


OCR = ("Perception/OCR", 4)


def mme_realworld(folder: Path, **changes: Any) -> Path:
    """Pictures as base64 text in a column "bytes"; the second row comes twice, and one has a letter twice."""
    options = ["(A) red", "(B) blue", "(C) green", "(D) white", "(E) The image does not feature the colour."]
    rows = []
    for number, repeat in enumerate((0, 1, 1, 2, 3)):
        row = {"index": f"Perception/{repeat}", "bytes": base64.b64encode(jpeg(size=(40 + repeat, 30))).decode()}
        row |= {"question": f"Which colour, {repeat}?", "multi-choice options": options, "answer": "BE"[repeat == 3]}
        row |= {
            "category": ("Perception/Monitoring", "reasoning/Diagram and Table")[repeat % 2],
            "l2-category": "Car/Count",
        }
        twice = {"multi-choice options": [*options[:4], "(D) None of the above", options[4]]} if number == 0 else {}
        rows.append({**row, **twice, **changes})
    parquet(folder / "data" / "train-00000-of-00001.parquet", rows)
    return folder


def o3bench(folder: Path, **changes: Any) -> Path:
    """Boxes of regions keyed by their numbers as text; the picture's path is relative to the list of rows."""
    rows = []
    for subset in ("chart", "map"):
        (folder / "test" / "images" / subset).mkdir(parents=True, exist_ok=True)
        (folder / "test" / "images" / subset / "1.png").write_bytes(jpeg())
        infos = {str(i): {"layout_id": i, "bbox": [16.0 * i, 0.0, 16.0 * i + 16, 24.0]} for i in range(4)}
        row = {"file_name": f"images/{subset}/1.png", "subset": subset, "question": "How many?", "answer": "D"}
        row |= {"options": "A. 1\nB. 2\nC. 3\nD. 4\nE. 5\nF. No right choice", "explanation": "See [layout 1]."}
        row |= {"target_layouts": [1, 2], "layout_infos": infos, "img_width": 64, "img_height": 48}
        rows.append({**row, **changes})
    path = folder / "test" / "metadata.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return path


def charxiv(folder: Path, **changes: Any) -> Path:
    answers = ("blue line", "increasing", "0.5", "0.25")
    rows = []
    for number, answer in enumerate(answers):
        row = {"category": "cs", "year": "20", "original_id": "2004.10956", "figure_path": f"images/{number}.jpg"}
        row |= {"reasoning_q": f"Which, {number}?", "reasoning_a": answer, "reasoning_q_source": number + 1}
        rows.append({**row, **embedded(number), **changes})
    return parquet(folder / "val.parquet", rows)


def mme(folder: Path, **changes: Any) -> Path:
    """Two questions for each picture; a category that is not of the suite among them."""
    rows = []
    for number, category in enumerate((*COGNITION, "existence")):
        for answer in ("Yes", "No"):
            row = {"question_id": f"{category}/{number}.png", "question": "Is it so? Please answer yes or no."}
            rows.append({**row, "answer": answer, "category": category, **embedded(number), **changes})
    return parquet(folder / "data" / "test-00000-of-00002.parquet", rows)


COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")


def pope(folder: Path, **changes: Any) -> Path:
    rows = []
    for number, category in enumerate(("adversarial", "popular", "random") * 2):
        row = {"id": str(number // 3), "question_id": str(number), "question": "Is there a dog in the image?"}
        row |= {"answer": ("yes", "no")[number % 2], "image_source": "COCO_val2014_1", "category": category}
        rows.append({**row, **embedded(number), **changes})
    return parquet(folder / "data" / "test-00000-of-00001.parquet", rows)


def mmstar(folder: Path, **changes: Any) -> Path:
    """Options in the question, one of them with a comma and a colon."""
    rows = []
    for number in range(4):
        said = f"Which one, {number}?\nOptions: A: red, B: blue, or so: B, C: green, D: white"
        row = {
            "index": number,
            "question": said,
            "answer": "B",
            "category": "math",
            "l2_category": f"geometry {number % 2}",
        }
        rows.append({**row, **embedded(number), "meta_info": {"source": "MMBench", "split": "dev"}, **changes})
    return parquet(folder / "mmstar.parquet", rows)


def visual_cot(folder: Path, **changes: Any) -> Path:
    """Rows in one file for each data set, pictures in a folder for each."""
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    for dataset in ("gqa", "docvqa"):
        (folder / "cot" / dataset).mkdir(parents=True, exist_ok=True)
        (folder / "cot" / dataset / "1.jpg").write_bytes(jpeg())
        row = {"question": "What is on the table?", "answer": "a cup", "image": "1.jpg", "width": 64, "height": 48}
        row |= {"bboxs": [[8, 12, 24, 36]], "dataset": dataset, "split": "train", **changes}
        (folder / "metadata" / f"{dataset}_cot_train.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def vstar_train(folder: Path, **changes: Any) -> Path:
    for name in ("GQA_data", "spatial_relation_data", "vaw_attribute_data", "negative_data"):
        (folder / "gqa").mkdir(parents=True, exist_ok=True)
        (folder / "gqa" / "1.jpg").write_bytes(jpeg())
        said = [{"from": "human", "value": "<image>\nWhat colour is it?"}, {"from": "gpt", "value": "Red."}]
        row = {"image": "gqa/1.jpg", "conversations": said, "search": True}
        row |= {"target_instances": [{"name": "cup", "bbox": [8, 12, 16, 24]}]} if name != "negative_data" else {}
        (folder / f"{name}.json").write_text(json.dumps([{**row, **changes}]))
    return folder


def deepeyes(folder: Path, **changes: Any) -> Path:
    """Lists of pictures in cells; the system prompt has no mark."""
    rows = []
    for number in range(3):
        said = [
            {"role": "system", "content": "You may zoom."},
            {"role": "user", "content": f"<image>\nWhat is {number}?"},
        ]
        row = {"data_source": "vstar", "prompt": said, "images": [embedded(number)["image"]], "ability": "vqa"}
        row |= {"env_name": "visual_toolbox_v2", "reward_model": {"ground_truth": "seven", "style": "model"}}
        rows.append(
            {**row, "extra_info": {"id": str(number), "question": f"What is {number}?", "answer": "seven"}, **changes}
        )
    return parquet(folder / "data_0.1.2_visual_toolbox_v2.parquet", rows)


def thyme_rl(folder: Path, **changes: Any) -> Path:
    """Lists of pictures in cells; the answer as a letter, as a word, and inside a reply."""
    asked = (
        ("<image>\nWhich colour is it?\nA. red\nB. blue", "B", 1),
        ("What does it say?", "<think>It says so.</think> <answer> seven </answer>", 1),
        ("<image><image>\nWhat is different?", "the cup", 2),
    )
    rows = []
    for number, (question, solution, count) in enumerate(asked):
        said = [{"role": "system", "content": "You may code."}, {"role": "user", "content": question}]
        images = [embedded(10 * number + place)["image"] for place in range(count)]
        rows.append({"messages": said, "images": images, "solution": solution, "question": question, **changes})
    return parquet(folder / "data" / "train-00000-of-00001.parquet", rows)


def regions(folder: Path, **changes: Any) -> Path:
    rows = [
        {
            "question_id": "img_1",
            "region_description": f"the chart number {i}",
            "bbox": [4, 6, 20, 24],
            **embedded(i),
            **changes,
        }
        for i in range(3)
    ]
    return parquet(folder / "data" / "train-00000-of-00001.parquet", rows)


FILES: dict[str, Callable[..., Path]] = {
    "vstar": vstar,
    "hrbench-4k": hrbench,
    "hrbench-8k": lambda folder, **changes: hrbench(folder, name="hr_bench_8k.tsv", **changes),
    "infovqa": infovqa,
    "chartqa": chartqa,
    "visualprobe-easy": visualprobe,
    "visualprobe-medium": lambda folder, **changes: visualprobe(folder, "Medium", **changes),
    "visualprobe-hard": lambda folder, **changes: visualprobe(folder, "Hard", **changes),
    "visualprobe-train": lambda folder, **changes: visualprobe(folder, "train", "train", **changes),
    "treebench": treebench,
    "mme-realworld": mme_realworld,
    "mme-realworld-lite": mme_realworld,
    "o3-bench": o3bench,
    "charxiv-reasoning": charxiv,
    "mme-reasoning": mme,
    "pope": pope,
    "mmstar": mmstar,
    "visual-cot": visual_cot,
    "vstar-train": vstar_train,
    "deepeyes-47k": deepeyes,
    "thyme-rl": thyme_rl,
    "infovqa-regions": regions,
    **more_files.FILES,
    **video_rows.FILES,
}
"""Suite to what writes its files; `changes` are of every row."""


def opened(name: str, folder: Path, changes: Mapping[str, Any] | None = None, **options: Any) -> Any:
    """A suite on files of its own."""
    FILES[name](folder, **(changes or {}))
    return make_suite(name, SUITES[name].splits[0], data=str(folder), **options)


_KEPT = tempfile.TemporaryDirectory(prefix="released-")
atexit.register(_KEPT.cleanup)


@functools.cache
def written(name: str) -> Path:
    """A folder with a suite's files, kept until the tests end."""
    folder = Path(_KEPT.name) / name
    folder.mkdir()
    FILES[name](folder)
    return folder
