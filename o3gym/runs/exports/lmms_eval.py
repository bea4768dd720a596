"""lmms-eval export: `DATE_results.json` and `DATE_samples_TASK.jsonl`.

Keys are those of EvolvingLMMs-Lab/lmms-eval in 2026 (the versions whose samples have `token_counts`), as found in
`lmms_eval/evaluator.py` (a sample, the results), `evaluator_utils.py` ("metric,filter" and its standard error) and
`loggers/evaluation_tracker.py` (`save_results_aggregated`, `save_results_samples`: file names, and that a sample's
first argument is written as `input`). A later run is compared with a sample's number `score` (`baselines/loader.py` of
release 0.7.3). If a sample has none, lmms-eval compares `filtered_resps` with `target` itself; a task without a verdict
therefore has no `filtered_resps`. We add `doc`, `answers`, `verdicts`, `graded` and `stops` to a sample and the block
`o3gym` to the results. We omit `token_counts`, `git_hash`, times and `task_hashes`, which a stored run does not have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from o3gym.codec import encode
from o3gym.runs.exports.arms import ArmRun, dumps, hit, slug, truth_text
from o3gym.types import Task, Trajectory

FILTER = "none"
"""lmms-eval's name of the filter for unfiltered results."""


def write_lmms_eval(folder: Path, arm: ArmRun) -> list[Path]:
    """Writes the results and samples of an arm as lmms-eval does; a task with k samples is one line with k replies."""
    date = arm.created.strftime("%Y%m%d_%H%M%S")
    results, samples = folder / f"{date}_results.json", folder / f"{date}_samples_{arm.suite}.jsonl"
    with samples.open("w", encoding="utf-8") as file:
        for episodes in arm.tasks():
            file.write(dumps(_sample(arm.numbers[episodes[0].group], episodes)) + "\n")
    results.write_text(dumps(_results(arm, date), indent=2) + "\n", encoding="utf-8")
    return [results, samples]


def _sample(number: int, episodes: Sequence[Trajectory]) -> dict[str, Any]:
    task = episodes[0].task
    doc = _doc(task)
    hits = [value for value in map(hit, episodes) if value is not None]
    accuracy = fmean(hits) if hits else None
    answers = [episode.answer for episode in episodes]
    return {
        "doc_id": number,
        "doc": doc,
        "target": truth_text(task),
        "input": task.text,
        "resps": [[turn.reply.text for turn in episode.turns] for episode in episodes],
        "filtered_resps": answers if hits else [],
        "doc_hash": hashlib.sha256(json.dumps(doc, sort_keys=True).encode()).hexdigest(),
        "accuracy": accuracy,
        "score": accuracy,
        "answers": answers,
        "verdicts": [episode.verdict or None for episode in episodes],
        "graded": [episode.score for episode in episodes],
        "stops": [episode.stop for episode in episodes],
    }


def _doc(task: Task) -> dict[str, Any]:
    """The task without its pictures, which lmms-eval leaves out, too."""
    return {
        "id": task.id,
        "question": task.question,
        "choices": list(task.choices),
        "answer": task.answer,
        "kind": task.kind,
        "tags": dict(task.tags),
    }


def _results(arm: ArmRun, date: str) -> dict[str, Any]:
    task, protocol = arm.suite, arm.run.protocol
    return {
        "results": {task: {"alias": task, **_rates(arm)}},
        "group_subtasks": {task: []},
        "configs": {task: {"task": task, "test_split": arm.split, "repeats": arm.metrics.k}},
        "versions": {task: protocol.get("suite_version", "0")},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"accuracy": True}},
        "n-samples": {task: {"original": protocol.get("items", arm.metrics.tasks), "effective": arm.metrics.tasks}},
        "config": {"model": arm.label, "model_args": protocol.get("arms", {}).get(arm.label, {})},
        "date": date,
        "model_source": "o3gym",
        "model_name": arm.label,
        "model_name_sanitized": arm.slug,
        "o3gym": {"protocol": protocol, "metrics": encode(arm.metrics)},
    }


def _rates(arm: ArmRun) -> dict[str, Any]:
    """The overall accuracy and that per family. lmms-eval writes an undefined standard error as "N/A"."""
    families = {slug(name): rate.value for name, rate in arm.metrics.families.items()}
    return {
        f"accuracy,{FILTER}": arm.metrics.accuracy.value,
        f"accuracy_stderr,{FILTER}": "N/A" if arm.stderr is None else arm.stderr,
        **{f"accuracy_{name},{FILTER}": value for name, value in families.items()},
    }
