"""The example scripts run from start to end, with few steps."""

from __future__ import annotations

import importlib
import json
import runpy
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

from o3gym.rewards import exploration
from o3gym.suites.scenes.outlines import SHAPES
from o3gym.train.planning.recipe import load_planning
from tests.rewards.reward_episodes import episode, look, task

ROOT = Path(__file__).parent.parent


def run(script: str, *arguments: str) -> str:
    """What an example prints."""
    command = [sys.executable, "-W", "error", str(ROOT / "examples" / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sb3_ppo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process and with two environments instead of sixteen: one update on 256 steps."""
    pytest.importorskip("stable_baselines3")
    monkeypatch.syspath_prepend(ROOT / "examples")
    script = importlib.import_module("sb3_ppo")
    several = script.make_vec_env
    monkeypatch.setattr(script, "make_vec_env", lambda make, n_envs, seed: several(make, n_envs=2, seed=seed))
    picture = tmp_path / "curve.svg"
    few = ["--steps", "100", "--episodes", "3", "--seeds", "1", "--out", str(picture)]
    monkeypatch.setattr(sys, "argv", ["sb3_ppo.py", *few])
    script.main()
    printed = capsys.readouterr().out
    for line in ("random agent", "seed 1  before", "with blank views"):
        assert line in printed
    assert "PPO, seed 1" in "".join(ElementTree.parse(picture).getroot().itertext())


def test_planning_ppo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process and with four environments instead of sixteen: one update on 256 steps."""
    pytest.importorskip("stable_baselines3")
    monkeypatch.syspath_prepend(ROOT / "examples")
    script = importlib.import_module("planning_ppo")
    several = script.make_vec_env
    monkeypatch.setattr(script, "make_vec_env", lambda make, n_envs, seed: several(make, n_envs=4, seed=seed))
    few = ["--steps", "100", "--episodes", "5", "--seeds", "1", "--level", "3"]
    monkeypatch.setattr(sys, "argv", ["planning_ppo.py", *few])
    script.main()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed] == ["random", "optimal", "before", "PPO", "seed"]
    assert "exact match 100.0%" in printed[1]
    assert printed[-1].startswith("seed 1: 256 steps")


def test_photographs(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    assert run("photographs.py", "--out", str(tmp_path)).count("(correct)") == 6
    assert {path.name for path in tmp_path.glob("*.png")} >= {"brand.png", "galaxy.png", "comet.png"}


@pytest.mark.parametrize(
    ("script", "page", "printed", "written"),
    [
        ("mini_o3_in_miniature.py", "miniature", "= +25.5 points [+20.7, +30.5], 3 seeds", "+25.5 [20.7, 30.5]"),
        ("insight_o3_in_miniature.py", "insight", "right +7.33 [+2.33, +12.7] points", "+7.3 [2.3, 12.7]"),
        (
            "vital_in_miniature.py",
            "vital",
            "clips, sft − overview, faultless, all lengths: +0.141 [+0.079, +0.202]",
            "+0.141 [0.079, 0.202]",
        ),
        (
            "vr_thinker_in_miniature.py",
            "window",
            "window − clips, 600 tokens, all lengths: +0.176 [+0.108, +0.247]",
            "+0.176 [0.108, 0.247]",
        ),
        (
            "thyme_in_miniature.py",
            "thyme",
            "start, tested adaptive − plain: solved +18.3 [+10.8, +25.8]",
            "+18.3 [10.8, 25.8]",
        ),
        (
            "thyme_in_miniature.py",
            "thyme",
            "adaptive − plain, adaptive: solved -28.3 [-36.4, -20.3]",
            "**−28.3 [−36.4, −20.3]**",
        ),
        ("pixel_reasoner_in_miniature.py", "curiosity", "looked +97.8 [+96.7, +98.8] points", "+97.8 [96.7, 98.8]"),
    ],
)
def test_what_a_page_says_is_what_its_numbers_give(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    script: str,
    page: str,
    printed: str,
    written: str,
) -> None:
    """In this process, because importing torch and matplotlib takes longer than all the rest."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.setenv("COLUMNS", "200")
    results = str(shutil.copy(ROOT / "docs" / f"{page}.json", tmp_path))
    cells = json.loads(Path(results).read_text("utf-8"))
    arguments = ["--cells", *cells, "--threads", str(torch.get_num_threads()), "--results", results]
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
    assert printed in capsys.readouterr().out
    assert written in (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    assert (tmp_path / f"{page}.png").stat().st_size > 10_000


def test_cells_that_could_not_be_compared_are_not_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    cells = importlib.import_module("cells")
    results, known = tmp_path / "results.json", [SimpleNamespace(name="one"), SimpleNamespace(name="two")]
    results.write_text('{"one": {"episodes": 200}}')
    monkeypatch.setattr(sys, "argv", ["script", "--cells", "all", "--episodes", "4", "--results", str(results)])
    with pytest.raises(SystemExit):
        cells.run_cells("", known, known, pytest.fail, pytest.fail, steps=1, episodes=1, folder="x")
    assert "--episodes 4: one in" in capsys.readouterr().err


def test_the_miniature_of_pixel_reasoner_teaches_answers_at_once_and_bad_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    lesson = importlib.import_module("pixel_reasoner_in_miniature").HastyLesson
    at_once, hasty = lesson(at_once=True, named=True), lesson(named=True)
    for index in range(20):
        question, answer = at_once.example(index, 0)
        assert answer.text.removeprefix("answer ") in question.text
    searches = [hasty.example(index, 0) for index in range(60)]
    assert all(len(search) > 2 for search in searches)
    assert 0 < sum("!" in search[-1].text for search in searches) < 20
    endings = [(search[0].text, search[-1].text.rpartition("\nanswer ")[2]) for search in searches]
    assert 45 < sum(ending in SHAPES for _, ending in endings) < 60
    assert all(ending in SHAPES or ending in question for question, ending in endings)


def test_the_bonus_in_miniature_is_that_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    script = importlib.import_module("pixel_reasoner_in_miniature")
    for looks in range(9):
        siblings = [episode(task(), *[look((0.0, 0.0, 0.5, 1.0))] * (i < looks), said="A") for i in range(8)]
        bonus = script.curious_reward("", *script.BONUS["paper"]).terms[1]
        assert bonus.values(siblings) == pytest.approx(exploration.curiosity_paper(siblings))
        assert not any(script.curious_reward("", *script.BONUS["plain"]).terms[1].values(siblings))


def test_the_miniature_of_vr_thinker_counts_what_fits_in_a_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples")
    script = importlib.import_module("vr_thinker_in_miniature")
    sizes = [(0, 200, 10), (0, 180, 40), (1, 300, 20), (1, 60, 30)]  # a new segment counts the ids before it again
    turns = [
        SimpleNamespace(segment=n, reply=SimpleNamespace(new_prompt_ids=(0,) * new, token_ids=(0,) * said))
        for n, new, said in sizes
    ]
    assert [script.most_tokens(SimpleNamespace(turns=turns[:count])) for count in range(1, 5)] == [210, 430, 430, 430]
    cell = {"films": {"60": {"iou": [0.5, 1.0], "tokens": [600, 601]}}}
    assert script.limited([cell], 60, 600).tolist() == [0.5, 0.0]


def test_planning_in_miniature(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With trainings of two steps each, from a planner of a few thousand weights."""
    monkeypatch.syspath_prepend(ROOT / "examples")
    script = importlib.import_module("planning_in_miniature")
    small = {"layouts": 2, "batch": 4, "samples": 2, "levels": (3,), "log_steps": 1}

    def tiny(name: str, settings: list[str]) -> Any:
        recipe = replace(load_planning(name, settings), steps=2, **small)
        return replace(recipe, model="tests.train.planning.lake:lake_planner") if name == "tiny_vprl_init" else recipe

    monkeypatch.setattr(script, "load_planning", tiny)
    cells = [cell for cell in script.CELLS if cell.world == "frozenlake" and cell.seed == 0]
    arguments = ["--threads", str(torch.get_num_threads()), "--out", str(tmp_path), "--episodes", "8"]
    monkeypatch.setattr(sys, "argv", ["script", *arguments, "--results", str(tmp_path / "results.json")])
    cells_module = importlib.import_module("cells")
    cells_module.run_cells("", script.CELLS, cells, script.result, script.show, steps=0, episodes=8, folder="x")
    results = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert {result["parameters"] for result in results.values()} == {results["frozenlake-walks-0"]["parameters"]}
    assert [len(result["exact"]) for result in results.values()] == [8] * len(script.RECIPES)
    assert results["frozenlake-vprl-0"]["training"].keys() == {"step", "reward", "invalid"}
    printed = capsys.readouterr().out
    assert "frozenlake: vprl − vpft, points: exact match" in printed
    assert (tmp_path / "frozenlake-vprl-0.png").stat().st_size > 1000
    assert (tmp_path / "results.png").stat().st_size > 10_000
