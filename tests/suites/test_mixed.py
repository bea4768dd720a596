from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from o3gym import testing
from o3gym.bench.definition import Bench
from o3gym.envs import VisualSearchEnv
from o3gym.suites.base import Suite, SuiteError, make_suite
from o3gym.train.data.task_order import TaskOrder
from o3gym.train.grpo.recipe import load_grpo, read_grpo
from tests.suites.released.released_files import written

TEXT = {"suite": "synthetic?family=text&difficulty=easy", "tasks": 4}
MAPS = {"suite": "synthetic", "suite_args": {"family": "map", "difficulty": "easy", "n": 40}, "tasks": 8}


def mixed(*parts: Any, **options: Any) -> Suite:
    return make_suite("mixed", options.pop("split", "test"), parts=list(parts), **options)


def families(suite: Sequence[Any]) -> Counter[str]:
    return Counter(task.tags["family"] for task in suite)


def test_each_part_gives_its_number_of_tasks_unchanged() -> None:
    suite = mixed(TEXT, MAPS)
    assert families(suite) == {"text": 4, "map": 8}
    maps = list(make_suite("synthetic?family=map&difficulty=easy&n=40"))
    assert all(task in maps for task in suite[4:])
    assert mixed(TEXT, MAPS)[7] == suite[7]
    assert list(mixed(TEXT, MAPS, seed=1)) != list(suite), "another seed draws other tasks"
    testing.check_suite(suite)


def test_a_training_takes_every_task_once_per_epoch_in_these_shares() -> None:
    suite = mixed(TEXT, MAPS, split="train")
    order = TaskOrder(suite)
    epoch = [order.at(5, place) for place in range(12)]
    assert sorted(epoch) == list(range(12))
    assert families([suite[index] for index in epoch]) == {"text": 4, "map": 8}
    assert {task.origin["split"] for task in suite} == {"train"}


def test_a_mix_is_one_setting_of_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mix.toml"
    file.write_text(
        '[[parts]]\nsuite = "synthetic?family=text"\ntasks = 4\n[[parts]]\nsuite = "synthetic?family=map"\n'
    )
    env = load_grpo("mini_o3", [f"env.suite=mixed:{file}", "env.suite_args={}"]).env
    assert len(make_suite(env["suite"], "train", **env["suite_args"])) == 1004
    recipe = read_grpo({"model": "m", "steps": 1, "env": {"suite": "mixed", "suite_args": {"parts": [TEXT, MAPS]}}})
    assert len(make_suite(recipe.env["suite"], "train", **recipe.env["suite_args"])) == 12


def test_parts_may_be_released_suites_lists_and_other_splits(tmp_path: Path) -> None:
    whole = make_suite("synthetic?family=map&difficulty=easy&n=40")
    chosen = tmp_path / "list.jsonl"
    chosen.write_text("".join(json.dumps({"id": whole[i].id, "index": i}) + "\n" for i in (3, 8)))
    file = tmp_path / "mix.toml"
    file.write_text(
        f"""
        [[parts]]
        suite = "visualprobe-train"
        suite_args = {{ data = '{written("visualprobe-train")}' }}
        tasks = 1
        [[parts]]
        suite = 'synthetic?family=map&difficulty=easy&n=40&only={chosen}'
        """
    )
    suite = make_suite(f"mixed:{file}")
    assert [task.id.split("/")[0] for task in suite] == ["visualprobe-train", "synthetic", "synthetic"]
    assert [task.origin["split"] for task in suite] == ["train", "test", "test"]
    assert (suite.kinds, suite.max_pixels, suite.min_pixels) == ({"free", "choice"}, 2_000_000, 10_000)
    assert suite.wants_judge.startswith("visualprobe-train: ")
    protocol = Bench(suite=f"mixed:{file}", episodes=0).protocol()
    assert protocol["tasks"] == 3
    assert protocol["suite_files"]["0"] == "visualprobe-train 1 (train), 1 of 2"
    assert protocol["suite_files"]["1.only_sha256"]
    env = VisualSearchEnv(suite="mixed", suite_args={"parts": [TEXT, MAPS]}, max_pixels=10_000, min_pixels=100)
    assert env.reset(seed=0)[1]["task_id"].startswith("synthetic/test/")
    env.close()
    file.write_text('[[parts]]\nsuite = "synthetic"\ntasks = 2')
    assert len(make_suite(f"mixed:{file}")) == 2, "the file has changed"


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([], "expected either a file, mixed:FILE.toml, or the option parts"),
        (["synthetic"], "parts.0: expected"),
        ([{"tasks": 3}], "parts.0.*suite"),
        ([{**TEXT, "task": 3}], 'parts.0: unknown key "task"; did you mean "tasks"'),
        ([{**TEXT, "tasks": -1}], "parts.0.tasks: expected a whole number from 0 up, got -1"),
        ([{**TEXT, "tasks": "3"}], "parts.0.tasks: expected an integer, got str"),
        ([TEXT, {**MAPS, "tasks": 41}], r"parts.1.tasks: expected at most 40, .* synthetic \(test\), got 41"),
        ([TEXT, {**TEXT, "tasks": 0}], "parts.1 and parts.0 both have a task with the id synthetic/test/text-easy/"),
        ([TEXT, {"suite": "mixed", "suite_args": {"parts": [TEXT]}}], "parts.1 and parts.0 both have a task"),
        ([TEXT, {"suite": "planning-maze"}], "cannot be played in one environment, because own_tools differs"),
    ],
)
def test_bad_parts_are_refused(parts: list[Any], words: str) -> None:
    with pytest.raises(SuiteError, match=words):
        mixed(*parts)


def test_unknown_suites_and_splits_are_refused() -> None:
    with pytest.raises(ValueError, match='did you mean "synthetic"'):
        mixed({"suite": "synthetc"})
    with pytest.raises(ValueError, match='no split "tset"'):
        mixed({"suite": "synthetic", "split": "tset"})
    with pytest.raises(SuiteError, match=r'mixed: parts\.1: suite synthetic has no split "tset"'):
        mixed(TEXT, {"suite": "synthetic", "split": "tset"})
    with pytest.raises(SuiteError, match=r'mixed: parts\.0: suite "synthetic" has no option "pixel"'):
        mixed({"suite": "synthetic?pixel=3"})


def test_a_mix_that_contains_itself_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mix.toml"
    file.write_text(f"[[parts]]\nsuite = 'mixed:{file}'")
    with pytest.raises(SuiteError, match=r"mix.toml: a part of the mix is the mix itself"):
        make_suite(f"mixed:{file}")


def test_a_wrong_part_in_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mix.toml"
    file.write_text("[[parts]]\nsuite = 3")
    with pytest.raises(SuiteError, match=r"mixed: .*mix.toml: parts.0.suite: expected str, got int 3"):
        make_suite(f"mixed:{file}")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("parts = 3", "parts: expected a list of tables, got 3"),
        ("parts = []", "expected a list of tables"),
        ("seed = 1\n[[parts]]\nsuite = 'synthetic'", "expected .*parts.* and nothing else, got seed, parts"),
        ("", "got nothing"),
        ("[[parts", "not TOML"),
    ],
)
def test_bad_files_are_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "mix.toml"
    file.write_text(text)
    with pytest.raises(SuiteError, match=words):
        make_suite(f"mixed:{file}")
    with pytest.raises(SuiteError, match="either"):
        make_suite(f"mixed:{file}", parts=[TEXT])
    with pytest.raises(SuiteError, match="cannot be read: No such file"):
        make_suite(f"mixed:{tmp_path / 'no.toml'}")
