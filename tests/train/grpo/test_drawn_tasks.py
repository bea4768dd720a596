"""Which tasks a training takes when its suite has bad rows."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from o3gym.rollout.records import Job
from o3gym.suites.base import SuiteError
from o3gym.train.grpo import rollout_worker
from o3gym.train.grpo.recipe import read_grpo
from o3gym.train.grpo.rollout_worker import RolloutWorker
from o3gym.train.grpo.trl_environment import SearchTools


def write(folder: Path, bad: tuple[int, ...] = ()) -> Path:
    Image.new("RGB", (80, 60)).save(folder / "a.png")
    row = {"image": "a.png", "question": "Which?", "options": ["red", "blue"], "answer": "A"}
    lines = [json.dumps({**row, **({"answer": "E"} if i in bad else {})}) for i in range(40)]
    (folder / "index.jsonl").write_text("\n".join(lines))
    return folder / "index.jsonl"


def worker(file: Path, monkeypatch: pytest.MonkeyPatch, rank: int = 0) -> tuple[RolloutWorker, list[Job]]:
    """A worker whose episodes are not played, and the jobs of the episodes."""
    played: list[Job] = []

    def rollout(jobs: list[Job], *args: Any, **kwargs: Any) -> list[Any]:
        played.extend(jobs)
        return []

    monkeypatch.setattr(rollout_worker, "rollout", rollout)
    env = {"suite": f"local:{file}", "split": "test", "min_pixels": 100, "max_pixels": 5000}
    recipe = read_grpo({"model": "m", "env": env, "prompts": 8, "samples": 2, "steps": 2, "dialect": "qwen3_vl"})
    return RolloutWorker(recipe, None, file.parent, rank=rank), played  # type: ignore[arg-type]


def tasks(made: RolloutWorker, played: list[Job], rollouts: int = 10) -> list[int]:
    for number in range(rollouts):
        made._groups(number, 0, None)  # type: ignore[arg-type]
    return [job.task for job in played if job.sample == 0 and isinstance(job.task, int)]


def test_bad_rows_are_replaced_by_the_next_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = tasks(*worker(write(tmp_path), monkeypatch))
    made, played = worker(write(tmp_path, bad=(3, 30)), monkeypatch)
    found = tasks(made, played)
    assert len(found) == len(whole) == 80
    assert [a for a, b in zip(found, whole, strict=True) if b not in (3, 30)] == [b for b in whole if b not in (3, 30)]
    assert not {3, 30} & set(found)
    assert made._skipped_rows() == whole.count(3) + whole.count(30) == 4
    assert [job.task for job in played[::2]] == [job.task for job in played[1::2]]  # a group has one task
    made._warn_of_bad_rows(7)
    made._warn_of_bad_rows(8)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "rollout 7: bad rows of local are skipped: " in record.message
    assert "line 4, " in record.message
    assert "line 31, " in record.message


def test_warnings_of_the_suite_are_logged_by_the_main_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = write(tmp_path)
    file.write_text(file.read_text().replace("Which", "\\ud83d"))
    worker(file, monkeypatch)
    assert "rows contain lone surrogates, which were replaced by U+FFFD" in caplog.text
    caplog.clear()
    monkeypatch.setenv("RANK", "1")
    worker(file, monkeypatch)
    assert caplog.text == ""


def test_processes_and_resumed_trainings_take_the_same_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, bad=(3, 30))
    alone = tasks(*worker(file, monkeypatch))
    resumed, played = worker(file, monkeypatch)
    resumed.cursor = 32
    assert tasks(resumed, played, 6) == alone[32:]
    monkeypatch.setenv("WORLD_SIZE", "2")
    ranks = [tasks(*worker(file, monkeypatch, rank)) for rank in (0, 1)]
    assert [task for pair in zip(*ranks, strict=True) for task in pair] == alone


def test_too_many_bad_rows_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SuiteError, match=r"local \(test\): 3 of 40 rows are bad, more than 5%"):
        tasks(*worker(write(tmp_path, bad=(3, 12, 30)), monkeypatch))


def test_trls_trainer_gets_another_task_in_place_of_a_bad_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    env = {"suite": f"local:{write(tmp_path, bad=(3,))}", "min_pixels": 100, "max_pixels": 5000}
    first, second = SearchTools(env), SearchTools(env)
    for tools in (first, second):
        tools.reset(task=3)
    ids = [tools._env.unwrapped.trajectory.task.id for tools in (first, second)]  # type: ignore[attr-defined]
    assert ids[0] == ids[1] != "local/4"
    assert "a bad row of the suite is skipped: " in caplog.text
    first.reset(task=4)
    assert first._env.unwrapped.trajectory.task.id == "local/5"  # type: ignore[attr-defined]
