"""VLMEvalKit export: `MODEL_DATASET.tsv` with one row per task, and `MODEL_DATASET_acc.csv`.

Columns are those of its judged files: multiple choice (open-compass/VLMEvalKit, `vlmeval/dataset/image_mcq.py`,
`dataset/utils/multiple_choice.py`: `report_acc`, `get_dimension_rating`), the four orders of HR-Bench
(`utils/hrbench.py`) and yes or no (`utils/yorn.py`); file names and quoting follow `vlmeval/smp/file.py`
(`get_pred_file_path`, `dump_tsv`). These functions of its package ms-vlmeval 0.0.20 have read the files. A column that
no task has a value for is left out, because VLMEvalKit takes an empty cell for a category called "nan". VLMEvalKit
needs one row per index, so k samples become k files. The files are TSV and not xlsx, because an xlsx cell holds at most
32,767 characters; VLMEvalKit reads TSV with `PRED_FORMAT=tsv`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any, TextIO

from o3gym.judges.answers import read_yes_no
from o3gym.runs.exports.arms import ArmRun, hit, slug, truth_text
from o3gym.runs.suite_metrics import treebench
from o3gym.types import LETTERS, Task, Trajectory

DATASETS = {
    "vstar": "VStarBench",
    "hrbench-4k": "HRBench4K",
    "hrbench-8k": "HRBench8K",
    "treebench": "TreeBench",
    "mme-realworld": "MME-RealWorld",
    "mme-realworld-lite": "MME-RealWorld-Lite",
    "charxiv-reasoning": "CharXiv_reasoning_val",
    "mme-reasoning": "MME",
    "mmstar": "MMStar",
    "pope": "POPE",
    "infovqa": "InfoVQA_VAL",
    "chartqa": "ChartQA_TEST",
    "chartqapro": "ChartQAPro",
    "realworldqa": "RealWorldQA",
    "hallusionbench": "HallusionBench",
    "mathvista-testmini": "MathVista_MINI",
    "tallyqa-complex": "TallyQA",
}
"""VLMEvalKit's name for the data set of a suite; other suites keep their own name."""
NO_VALUE = "none"
"""The text of a category that a task lacks although other tasks have it."""
READ_AS_MISSING = {
    *("", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
}
"""Texts that pandas, with which VLMEvalKit reads tables, takes for an empty cell. (`NO_VALUE` is none of them.)"""
OF_TAGS = {"l2-category": "subtask", "cycle_category": "cycle", "image_path": "pair"}
"""Columns that hold a tag, and are left out if no task has that tag."""


def write_vlmevalkit(folder: Path, arm: ArmRun) -> list[Path]:
    """Writes the predictions and accuracies of an arm as VLMEvalKit does; `hit` is empty if there is no verdict.

    Text keeps tabs, newlines and quotes. Lone surrogates, which UTF-8 cannot represent, become escapes.
    """
    stem = f"{arm.slug}_{slug(DATASETS.get(_suite(arm), arm.suite))}"
    samples = range(arm.metrics.k)
    tables = [folder / (f"{stem}_sample{n}.tsv" if len(samples) > 1 else f"{stem}.tsv") for n in samples]
    with ExitStack() as stack:
        files = [stack.enter_context(_open(path)) for path in tables]
        for number, episodes in enumerate(arm.tasks()):
            rows = [_row(arm, episode) for episode in episodes]
            for file in () if number else files:
                write_tsv(file, [list(rows[0])])
            for file, row in zip(files, rows, strict=False):  # an unfinished run has tasks with fewer samples
                write_tsv(file, [list(row.values())])
    rates = folder / f"{stem}_acc.csv"
    with _open(rates) as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(_rates(arm))
    return [*tables, rates]


def write_tsv(file: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows as tab-separated values with every cell in quotes; None becomes an empty cell."""
    csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)


def _open(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")


def _row(arm: ArmRun, episode: Trajectory) -> dict[str, Any]:
    """The cells of an episode by column, the same columns for every episode of an arm."""
    task, tags = episode.task, episode.task.tags
    truth = truth_text(task).strip().capitalize() if arm.yes_no else truth_text(task)
    return {
        "index": arm.numbers[episode.group],
        "question": _kept(task.question),
        **dict(zip_longest(LETTERS[: arm.options], map(_kept, task.choices))),
        "answer": _kept(truth),
        **({"category": _category(task)} if {"family", "category"} & arm.tags else {}),
        **{column: _group(tags.get(tag, "")) for column, tag in OF_TAGS.items() if tag in arm.tags},
        **({"iou": treebench.read(episode)[0] or 0.0} if _suite(arm) == "treebench" else {}),
        "split": arm.split,
        "prediction": _kept(episode.answer),
        **({"extracted": _extracted(episode, truth)} if arm.yes_no else {}),
        "hit": hit(episode),
        "score": None if episode.right is None else episode.score,
        "log": _log(episode),
    }


def _kept(text: str) -> str:
    """A text that pandas does not read as missing: "None" gets a space, which quotes could not do, and "" stays empty.

    Without it VLMEvalKit would leave out an option called "None". Stripping gives the text back.
    """
    return f"{text} " if text and text in READ_AS_MISSING else text


def _suite(arm: ArmRun) -> str:
    return str(arm.run.protocol.get("suite_name", ""))


def _category(task: Task) -> str:
    """The task's category; MME-RealWorld's has the ability before it, by which VLMEvalKit groups."""
    category, ability = task.tags.get("family") or task.tags.get("category"), task.tags.get("ability", "")
    return f"{ability.capitalize()}/{category}" if ability else _group(category or "")


def _group(value: str) -> str:
    """The name of a group of tasks, which VLMEvalKit must not read as missing."""
    return NO_VALUE if value in READ_AS_MISSING else value


def _extracted(episode: Trajectory, truth: str) -> str:
    """The yes or no that was read, in VLMEvalKit's words, such that it equals `truth` exactly for correct answers."""
    read = read_yes_no(episode.answer).capitalize()
    if episode.right:
        return truth
    return read if read and read != truth else "Unknown"


def _log(episode: Trajectory) -> str:
    verdict = episode.verdict or "unsettled"
    return f"o3gym: {verdict}; stop {episode.stop or 'none'}; {len(episode.turns)} turns; task {episode.task.id}"


def _rates(arm: ArmRun) -> list[list[Any]]:
    families = arm.metrics.families
    return [
        ["split", "Overall", *families],
        [arm.split, arm.metrics.accuracy.value, *(rate.value for rate in families.values())],
    ]
