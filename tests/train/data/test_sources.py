from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from o3gym.registry import UnknownName
from o3gym.train.data.mixture import Mixture, MixtureRow
from o3gym.train.data.sources import RunSource, SourceError, open_source, size_of
from o3gym.train.recipe import RecipeError, read_recipe

POLICY = {"suite": "synthetic?family=attribute&difficulty=easy&pixels=40000", "dialect": "mini_o3"}


def texts(source: Any, indices: range, seed: int = 0) -> list[list[str]]:
    return [[message.text for message in source.example(index, seed)] for index in indices]


def test_rolled_demonstrations_follow_from_index_and_seed() -> None:
    first, second = open_source("policy", **POLICY), pickle.loads(pickle.dumps(open_source("policy", **POLICY)))
    forwards = texts(first, range(6))
    backwards = [texts(second, range(index, index + 1))[0] for index in reversed(range(6))]
    assert forwards == backwards[::-1]
    assert texts(first, range(6), seed=1) != forwards


def test_a_wrong_trajectory_is_rejected_and_another_tried() -> None:
    source: Any = open_source("policy", policy="random?stop=1", **POLICY)
    assert all(source.episode(index, 0).verdict == "correct" for index in range(4))
    assert source.rejected > 0


def test_a_policy_that_is_never_right_is_an_error() -> None:
    spec = "synthetic?family=text&answers=free&pixels=40000"
    source: Any = open_source("policy", policy="random?stop=1", suite=spec)
    with pytest.raises(SourceError, match="not correct in 16 episodes of synthetic"):
        source.example(0, 0)


def test_a_model_is_sent_to_the_bench() -> None:
    with pytest.raises(SourceError, match=r'not scripted: run it first .*data = "run:RUN"'):
        open_source("policy", policy="openai:some-model")


def test_every_task_comes_once_before_any_comes_again() -> None:
    source: Any = open_source("policy", **{**POLICY, "suite": POLICY["suite"] + "&n=5"})
    assert sorted(source.episode(index, 0).task.id for index in range(5)) == sorted(t.id for t in source._suite)


def test_of_a_run_only_correct_episodes_are_taken(run_folder: Path) -> None:
    source = RunSource(str(run_folder))
    assert {episode.arm for episode in source.episodes} == {"detour?p=0.7"}
    assert (source.size, source.rejected) == (3, 3)
    assert all(messages[-1].endswith("</answer>") for messages in texts(source, range(3)))
    with pytest.raises(SourceError, match="none of its 3 episodes is correct"):
        open_source(f"run:{run_folder}", arms="sweep")


def test_own_sources_are_found_by_module_and_checked() -> None:
    source = open_source("colours:Colours?size=3")
    assert size_of(source) == 3
    with pytest.raises(TypeError, match='did you mean "longer"'):
        open_source("colours:Colours?longr=3")
    with pytest.raises(SourceError, match=r"expected an object with example\(index, seed\), got Broken"):
        open_source("colours:Broken")
    with pytest.raises(SourceError, match='module colours has no class or function "Colour"'):
        open_source("colours:Colour")
    with pytest.raises(UnknownName, match='did you mean "sharegpt"'):
        open_source("sharegtp:x.json")


def stage(data: Any, **more: Any) -> Any:
    return read_recipe({"model": "m", "data": data, "batch": 4, **more}).stages[0]


def test_epochs_go_through_everything_once_each() -> None:
    mixture = Mixture(stage(["colours:Colours?size=6", "colours:Colours?size=2"], epochs=2), seed=1)
    assert (mixture.rows, mixture.steps) == (16, 4)
    for epoch in range(2):
        rows = [mixture.where(index) for index in range(8 * epoch, 8 * epoch + 8)]
        assert sorted(row.part for row in rows) == [0] * 6 + [1] * 2
        assert sorted(row.rank for row in rows if row.part == 0) == list(range(6 * epoch, 6 * epoch + 6))
    assert [mixture.where(i) for i in range(8)] != [mixture.where(i) for i in range(8, 16)]


def test_the_last_batch_of_the_last_epoch_is_full() -> None:
    assert Mixture(stage("colours:Colours?size=6", epochs=1), 0).rows == 8


def test_shares_follow_the_weights() -> None:
    data = [{"source": "colours:Colours", "weight": 3}, "colours:Colours?size=5"]
    mixture = Mixture(stage(data, steps=500), seed=0)
    first, second = (part["rows"] for part in mixture.describe())
    assert first + second == 2000
    assert 1400 < first < 1600
    again = Mixture(stage(data, steps=500), seed=0)
    assert [again.where(i) for i in range(100)] == [mixture.where(i) for i in range(100)]


def test_a_finite_source_is_shuffled_anew_each_time_round() -> None:
    mixture = Mixture(stage("colours:Colours?size=4", steps=4), seed=2)
    rounds = [[mixture.example(MixtureRow(0, 4 * n + k))[-1].text for k in range(4)] for n in range(4)]
    assert all(sorted(texts) == sorted(rounds[0]) for texts in rounds)
    assert len({tuple(texts) for texts in rounds}) > 1


def test_replacements_are_rows_that_the_stage_does_not_have() -> None:
    mixture = Mixture(stage("colours:Colours", steps=2), seed=2)
    own = {mixture.where(index) for index in range(8)}
    others = [mixture.next_to(row, attempt) for row in own for attempt in (1, 2)]
    assert len(set(others) | own) == 24


def test_an_endless_source_has_no_epochs() -> None:
    with pytest.raises(RecipeError, match=re.escape("epochs: colours:Colours is endless")):
        Mixture(stage("colours:Colours", epochs=1), 0)
