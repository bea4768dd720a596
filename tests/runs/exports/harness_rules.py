"""How other harnesses read the exported files, as rules of our own.

`make test-harness` compares the first one with lmms-eval's own function. The others were compared with the functions of
ms-vlmeval 0.0.20, whose package cannot be imported without gigabytes of others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from tests.runs.exports.export_runs import lines


def baseline_scores(samples: Path) -> dict[int, float]:
    """`lmms_eval.baselines.loader.load_baseline`: the number of the first key that contains "score".

    Without one, it compares the first of `filtered_resps` with `target`, if there are both.
    """
    found = {line["doc_id"]: _sample_score(line) for line in lines(samples)}
    return {number: score for number, score in found.items() if score is not None}


def _sample_score(line: dict[str, Any]) -> float | None:
    for key, value in line.items():
        if "score" in key and isinstance(value, int | float):
            return float(value)
    if not line["target"] or not line["filtered_resps"]:
        return None
    return float(line["filtered_resps"][0].strip().upper() == line["target"].strip().upper())


def report_acc(table: Path) -> dict[str, float]:
    """`vlmeval.dataset.utils.multiple_choice.report_acc`: the mean hit, over all and by the values of two columns.

    A missing value is a group of its own, called "nan".
    """
    data = pd.read_csv(table, sep="\t")
    groups = [name for name in ("l2-category", "category") if name in data]
    parts = {str(value): data[data[name].astype(str) == str(value)] for name in groups for value in set(data[name])}
    return {"Overall": data["hit"].mean(), **{name: part["hit"].mean() for name, part in parts.items()}}


def report_acc_hrbench(table: Path) -> dict[str, float]:
    """`vlmeval.dataset.utils.hrbench.report_acc_hrbench`: the mean over cycles of the mean hit, by category."""
    data = pd.read_csv(table, sep="\t")
    categories = {"all": data, **dict(iter(data.groupby("category")))}
    return {name: part.groupby("cycle_category")["hit"].mean().mean() for name, part in categories.items()}


def mme_rating(table: Path) -> dict[str, float]:
    """`vlmeval.dataset.utils.yorn.MME_rating`: by category, 100 × (mean score + share of pictures with two of two)."""
    data = pd.read_csv(table, sep="\t")
    rating = {}
    for name, part in data.groupby("category"):
        pairs = part.groupby("image_path")["score"].prod()
        rating[str(name)] = 100 * (part["score"].mean() + pairs.mean())
    return rating


def yes_no_scores(table: Path) -> list[bool]:
    """`vlmeval.dataset.image_yorn.ImageYORNDataset.evaluate`: whether the extracted word is the answer."""
    data = pd.read_csv(table, sep="\t")
    return list(data["answer"] == data["extracted"])
