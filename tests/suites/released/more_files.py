"""Small files in the schemas of further released benchmarks. The content is invented."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.suites.released.writing import embedded, jpeg, parquet


def zoombench(folder: Path, **changes: Any) -> Path:
    """Boxes in pixels, the crop beside the picture, and options in the question."""
    rows = []
    for number in range(3):
        asked, answer = ("<image>\nHow many birds?", "7")
        if number:
            asked, answer = (
                "<image>\nWhich colour is the bird?\nA. red\nB. blue\nC. green\nD. white",
                ("B", "(C)")[number - 1],
            )
        row = {"id": f"zb_{number}", **embedded(number), "crop_image": embedded(9)["image"], "query": asked}
        row |= {"response": answer, "bbox": [4, 6, 14, 16], "question_type": "mcq" if number else "blank"}
        rows.append({**row, **changes})
    return parquet(folder / "data" / "test.parquet", rows)


def realworldqa(folder: Path, **changes: Any) -> Path:
    """The instruction ends the question; options stand on lines of their own."""
    letter = "Please answer directly with only the letter of the correct option and nothing else."
    word = "Please answer directly with a single word or number."
    asked = (
        (f"Which way does the arrow point?\n\nA. Left\nB. Straight ahead\nC. Right\n{letter}", "B"),
        (f"How many lanes are there? {word}", "3"),
        (f"Is the light green?\n{word}", "Yes"),
    )
    rows = [
        {**embedded(number), "question": question, "answer": answer, **changes}
        for number, (question, answer) in enumerate(asked)
    ]
    return parquet(folder / "data" / "test-00000-of-00002.parquet", rows)


def hallusionbench(folder: Path, **changes: Any) -> Path:
    """Two questions about each of two figures, as text all through."""
    rows = []
    for figure in ("1", "2"):
        for question, answer in (("0", "1"), ("1", "0")):
            row = {"category": "VS", "subcategory": "chart", "visual_input": figure, "set_id": "4", "figure_id": figure}
            row |= {"sample_note": "sales", "question_id": question, "question": f"Did sales rise, {question}?"}
            row |= {"gt_answer_details": "Sales rose every year.", "gt_answer": answer, "filename": "./4_1.png"}
            rows.append({**row, **embedded(len(rows)), **changes})
    return parquet(folder / "data" / "image-00000-of-00001.parquet", rows)


def mathvista(folder: Path, **changes: Any) -> Path:
    """A question of each form of answer; the path of the picture beside the picture itself."""
    forms: tuple[tuple[str, list[str] | None, str, float | None, str], ...] = (
        ("multi_choice", ["145°", "35°", "55°", "125°"], "text", None, "35°"),
        ("free_form", None, "integer", None, "12"),
        ("free_form", None, "float", 2.0, "0.67"),
        ("free_form", None, "list", None, "[2007, 2008]"),
    )
    rows = []
    for number, (kind, choices, form, precision, answer) in enumerate(forms):
        row = {"pid": str(number + 1), "question": f"How much, {number}?", "image": f"images/{number + 1}.jpg"}
        row |= {"decoded_image": embedded(number)["image"], "choices": choices, "unit": "cm" if number == 1 else None}
        row |= {"precision": precision, "answer": answer, "question_type": kind, "answer_type": form}
        row |= {"metadata": {"task": "geometry problem solving", "source": "invented"}, "query": "Hint: …"}
        rows.append({**row, **changes})
    return parquet(folder / "data" / "testmini-00000-of-00001-725687bf7a18d64b.parquet", rows)


def chartqapro(folder: Path, **changes: Any) -> Path:
    """Lists of questions, answers and year flags in every row; pictures as plain bytes; a paragraph in one row."""
    asked = (
        ("Factoid", ["Which two years?"], ["[2015, 2016]"], ["YES", "YES"], ""),
        ("Conversational", ["How many in 2015?", "And in 2016?"], ["20", "25"], ["NO", "NO"], "Numbers in thousands."),
        ("Multi Choice", ["Which is highest? A) tea B) coffee"], ["B"], ["NO"], ""),
        ("Fact Checking", ["Tea is above coffee."], ["False"], ["NO"], ""),
    )
    rows = [
        {
            **{"Question": questions, "Answer": answers, "Question Type": kind, "image": jpeg(size=(40, 30))},
            **{"Year": years, "Paragraph": paragraph, **changes},
        }
        for kind, questions, answers, years, paragraph in asked
    ]
    return parquet(folder / "data" / "test-00000-of-00001.parquet", rows)


def tallyqa(folder: Path, **changes: Any) -> Path:
    """One row for each picture with a list of questions; `changes` are of every question."""
    asked = [
        [("How many dogs?", "2", True), ("How many dogs look left?", "1", False)],
        [("How many red cups?", "0", False)],
    ]
    rows = [
        {
            **embedded(i),
            "qa": [{"question": q, "answer": a, "is_simple": simple, **changes} for q, a, simple in questions],
        }
        for i, questions in enumerate(asked)
    ]
    return parquet(folder / "data" / "test-00000-of-00019.parquet", rows)


def refcoco(folder: Path, splits: tuple[str, ...] = ("val", "testA", "testB"), **changes: Any) -> Path:
    """Each thing with its expressions; boxes are x, y, width and height."""
    for split in splits:
        rows = [
            {
                **{"question_id": str(70 + number), **embedded(number), "question": "Describe the region."},
                **{"answer": expressions, "segmentation": [1.0, 2.0, 3.0, 4.0], "bbox": [10.0, 6.0, 20.0, 15.0]},
                **{"iscrowd": 0, "file_name": f"COCO_train2014_{number}.jpg", **changes},
            }
            for number, expressions in enumerate((["left man", "man in blue"], ["the dog"]))
        ]
        parquet(folder / "data" / f"{split}-00000-of-00001.parquet", rows)
    return folder


def visualtoolbench(folder: Path, **changes: Any) -> Path:
    """A question and a conversation; rubrics as JSON text, pictures once flat and once by turn."""
    rubrics = [
        {"r1": {"description": "Names the year 1987.", "weight": 5, "critical": "no"}},
        {"r1": {"description": "Names 12 items.", "weight": 4}, "r2": {"description": "Is brief.", "weight": 1}},
    ]
    rows = []
    for number, turns in enumerate((1, 2)):
        pictures = [embedded(number + i)["image"] for i in range(turns)]
        row = {"id": f"task_{number}", "turncase": ("single-turn", "multi-turn")[number], "num_turns": turns}
        row |= {"prompt_category": "finance", "eval_focus": "region_switch"}
        row |= {"turn_prompts": ["Which year?", "How many items?"][:turns], "images": pictures, "num_images": turns}
        row |= {
            "turn_golden_answers": ["It is 1987.", "There are 12."][:turns],
            "turn_tool_trajectories": ["[]"] * turns,
        }
        row |= {"rubrics_by_turn": [json.dumps(rubric) for rubric in rubrics[:turns]]}
        rows.append({**row, "images_by_turn": [[picture] for picture in pictures], **changes})
    return parquet(folder / "data" / "test-00000-of-00001.parquet", rows, group=1)


FILES: Mapping[str, Callable[..., Path]] = {
    "zoombench": zoombench,
    "realworldqa": realworldqa,
    "hallusionbench": hallusionbench,
    "mathvista-testmini": mathvista,
    "chartqapro": chartqapro,
    "tallyqa-complex": tallyqa,
    "visualtoolbench": visualtoolbench,
    "refcoco": refcoco,
    "refcoco+": refcoco,
    "refcocog": lambda folder, **changes: refcoco(folder, ("val", "test"), **changes),
}
"""Suite to what writes its files; `changes` are of every row."""
