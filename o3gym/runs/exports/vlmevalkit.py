"""VLMEvalKit export: `MODEL_DATASET.tsv` with one row per task, and `MODEL_DATASET_acc.csv`.

Columns are those of its judged multiple-choice files (open-compass/VLMEvalKit, `vlmeval/dataset/image_mcq.py`,
`dataset/utils/multiple_choice.py`: `report_acc`); file names and quoting follow `vlmeval/smp/file.py`
(`get_pred_file_path`, `dump_tsv`). VLMEvalKit needs one row per index, so k samples become k files. The files are TSV
and not xlsx, because an xlsx cell holds at most 32,767 characters; VLMEvalKit reads TSV with `PRED_FORMAT=tsv`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TextIO

from o3gym.runs.exports.arms import ArmRun, hit, truth_text
from o3gym.runs.metrics import EpisodeOutcome
from o3gym.types import LETTERS, Trajectory


def write_vlmevalkit(folder: Path, arm: ArmRun) -> list[Path]:
    """Writes the predictions and accuracies of an arm as VLMEvalKit does; `hit` is empty if there is no verdict.

    Text keeps tabs, newlines and quotes. Lone surrogates, which UTF-8 cannot represent, become escapes.
    """
    stem = f"{arm.slug}_{arm.suite}"
    samples = range(arm.metrics.k)
    tables = [folder / (f"{stem}_sample{n}.tsv" if len(samples) > 1 else f"{stem}.tsv") for n in samples]
    with ExitStack() as stack:
        files = [stack.enter_context(_open(path)) for path in tables]
        for file in files:
            write_tsv(file, [_header(arm)])
        for episodes in arm.tasks():
            for file, episode in zip(files, episodes, strict=False):  # an unfinished run has tasks with fewer samples
                write_tsv(file, [_row(arm, episode)])
    rates = folder / f"{stem}_acc.csv"
    with _open(rates) as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows(_rates(arm))
    return [*tables, rates]


def write_tsv(file: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows as tab-separated values with every cell in quotes; None becomes an empty cell."""
    csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)


def _open(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", errors="backslashreplace", newline="")


def _header(arm: ArmRun) -> list[str]:
    options = LETTERS[: arm.options]
    return ["index", "question", *options, "answer", "category", "l2-category", "split", "prediction", "hit", "log"]


def _row(arm: ArmRun, episode: Trajectory) -> list[Any]:
    task = episode.task
    options = [*task.choices, *[None] * (arm.options - len(task.choices))]
    category = EpisodeOutcome.of(episode).family
    return [
        *(arm.numbers[episode.group], task.question, *options, truth_text(task), category),
        *(task.tags.get("subtask"), arm.split),
        *(episode.answer, hit(episode), _log(episode)),
    ]


def _log(episode: Trajectory) -> str:
    verdict = episode.verdict or "unsettled"
    return f"o3gym: {verdict}; stop {episode.stop or 'none'}; {len(episode.turns)} turns; task {episode.task.id}"


def _rates(arm: ArmRun) -> list[list[Any]]:
    families = arm.metrics.families
    return [
        ["split", "Overall", *families],
        [arm.split, arm.metrics.accuracy.value, *(rate.value for rate in families.values())],
    ]
