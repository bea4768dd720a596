"""Lists of tasks, and the option `only` of every suite that reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from o3gym import testing
from o3gym.bench.definition import Bench
from o3gym.envs import VisualSearchEnv
from o3gym.suites.base import SelectedTasks, make_suite
from o3gym.suites.task_list import TaskListError, read_task_list
from o3gym.train.data.sources import PolicySource
from tests.suites.released.released_files import written

SUITE = "synthetic?family=text+hidden&difficulty=easy&n=12"


def listed(file: Path, rows: Sequence[Mapping[str, Any]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def rows_of(suite: str, indices: Sequence[int], **more: Any) -> list[dict[str, Any]]:
    return [{"id": make_suite(suite)[i].id, "index": i, **more} for i in indices]


def test_any_suite_can_be_reduced_to_a_list(tmp_path: Path, local: str) -> None:
    for number, (suite, indices) in enumerate({SUITE: (7, 2, 5), local: (3, 1)}.items()):
        rows = rows_of(suite, indices)
        rows.insert(1, {"id": make_suite(suite)[0].id, "index": 0, "kept": False})
        file = listed(tmp_path / f"{number}.jsonl", rows)
        chosen = make_suite(suite, only=file)
        whole = make_suite(suite)
        assert list(chosen) == [whole[i] for i in indices]
        assert (chosen.name, chosen.max_pixels, chosen.kinds) == (whole.name, whole.max_pixels, whole.kinds)
        testing.check_suite(chosen)
    spec = f"{SUITE}&only={tmp_path / '0.jsonl'}"
    assert [task.id for task in make_suite(spec)] == [
        task.id for task in make_suite(SUITE, only=str(tmp_path / "0.jsonl"))
    ]


def test_released_suites_and_collages_take_lists_too(tmp_path: Path) -> None:
    data = str(written("vstar"))
    whole = make_suite("vstar", data=data)
    file = listed(tmp_path / "list.jsonl", [{"id": whole[1].id, "index": 1}, {"id": whole[0].id}])
    assert [task.id for task in make_suite("vstar", data=data, only=file)] == [whole[1].id, whole[0].id]
    spec = "collage?megapixels=0.6-1&share=0.002&n=4"
    file = listed(tmp_path / "collages.jsonl", rows_of(spec, [3, 1]))
    assert [task.id for task in make_suite(f"{spec}&only={file}")] == [make_suite(spec)[i].id for i in (3, 1)]


def test_the_source_of_a_collage_may_be_a_list(tmp_path: Path) -> None:
    source = {"family": "attribute", "difficulty": "easy", "pixels": 500_000, "n": 40}
    ids = [task.id for task in make_suite("synthetic", **source)][:20]
    args = [{**source, "only": listed(tmp_path / name, [{"id": one} for one in ids])} for name in ("a", "b")]
    suites = [make_suite("collage?megapixels=0.6-1&share=0.002&n=3", source_args=one) for one in args]
    assert {task.origin["source"]["task"] for task in suites[0]} <= set(ids)
    assert [task.id for task in suites[0]] == [task.id for task in suites[1]], "the file's name does not matter"
    other = {**source, "only": listed(tmp_path / "c", [{"id": one} for one in ids[:15]])}
    assert make_suite("collage?megapixels=0.6-1&share=0.002&n=3", source_args=other)[0].id != suites[0][0].id


def test_ids_without_an_index_are_looked_up(tmp_path: Path) -> None:
    rows = [{"id": row["id"]} for row in rows_of(SUITE, [9, 4])]
    chosen = make_suite(SUITE, only=listed(tmp_path / "list.jsonl", rows))
    assert isinstance(chosen, SelectedTasks)
    assert chosen.indices == [9, 4]


def test_environments_trainings_and_benchmarks_play_the_list(tmp_path: Path) -> None:
    rows = rows_of(SUITE, [9, 4])
    file = listed(tmp_path / "list.jsonl", rows)
    ids = {row["id"] for row in rows}
    env = VisualSearchEnv(suite=SUITE, suite_args={"only": file}, max_pixels=10_000, min_pixels=100)
    assert {env.reset(seed=seed)[1]["task_id"] for seed in range(8)} == ids
    env.close()
    bench = Bench(suite=f"{SUITE}&only={file}", episodes=0)
    assert {job.group for job in bench.jobs()} == ids
    assert bench.protocol()["suite_files"]["only_sha256"]
    source = PolicySource(suite=SUITE, split="test", suite_args={"only": file})
    assert len(source._suite) == 2


def test_a_changed_list_is_read_anew_and_changes_the_fingerprint(tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    before = make_suite(SUITE, only=listed(file, rows_of(SUITE, [9, 4]))).fingerprint()
    assert make_suite(SUITE, only=listed(file, rows_of(SUITE, [9, 4], note="more"))).fingerprint() == before
    after = make_suite(SUITE, only=listed(file, rows_of(SUITE, [9, 4, 3])))
    assert len(after) == 3
    assert after.fingerprint() != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "none of its 0 rows is kept"),
        ('{"id": "x", "kept": false}', "none of its 1 rows is kept"),
        ("{", "line 1: expected a JSON object, got {"),
        ("5", "line 1: expected a JSON object, got 5"),
        ("[" * 99_999, "line 1: expected a JSON object"),
        ('{"index": 1}', 'line 1, field "id": expected the id of a task, got None'),
        ('{"id": "x"}\n{"id": ["y"]}', 'line 2, field "id"'),
        ('{"id": "x", "kept": "no"}', 'field "kept": expected true or false'),
        ('{"id": "x", "index": -1}', 'field "index": expected a whole number from 0 up, got -1'),
        ('{"id": "x", "index": true}', 'field "index"'),
        ('{"id": "x"}\n\n{"id": "x"}', 'line 3, field "id": x occurs twice; .*line 1 has it'),
    ],
)
def test_bad_lists_are_refused_with_file_and_line(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    file.write_text(text)
    with pytest.raises(TaskListError, match=words):
        read_task_list(file)


def test_lists_of_other_suites_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    rows = rows_of(SUITE, [9, 4])
    other = "synthetic?family=map&difficulty=easy&n=12"
    with pytest.raises(
        TaskListError, match=r"line 1, .* expected synthetic/test/map-easy/9.* got synthetic/test/hidden"
    ):
        make_suite(other, only=listed(file, rows))
    with pytest.raises(
        TaskListError, match=r'line 1, field "index": expected a number below 5, .* got 9; .*other options'
    ):
        make_suite("synthetic?family=text+hidden&difficulty=easy&n=5", only=str(file))
    with pytest.raises(TaskListError, match=r'line 1, field "id": synthetic \(test\) has no task mine/1'):
        make_suite(SUITE, only=listed(file, [{"id": "mine/1"}]))
    with pytest.raises(TaskListError, match="cannot be read: No such file"):
        make_suite(SUITE, only=str(tmp_path / "none.jsonl"))
    changed = make_suite(SUITE, only=listed(file, [rows[0], {**rows[1], "id": "mine/1"}]))
    with pytest.raises(TaskListError, match=r"line 2, .*index 4 .*got mine/1"):
        changed[1]


def test_a_bad_row_in_a_list_is_skipped_like_any_other(tmp_path: Path, photos: Path) -> None:
    rows = [json.loads(line) for line in (photos / "index.jsonl").read_text().splitlines()]
    rows[0] = {"image": str(photos / "no.png"), "question": "?", "answer": 1}
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = f"local:{tmp_path / 'index.jsonl'}?images={photos}"
    file = listed(tmp_path / "list.jsonl", [{"id": "local/1", "index": 0}, {"id": make_suite(spec)[1].id, "index": 1}])
    bench = Bench(suite=spec, suite_args={"only": file}, episodes=1)
    assert [job.group for job in bench.jobs()] == [make_suite(spec)[1].id]
