"""The servers and judges of `o3gym synth`; what its commands make is tested in `tests/synthesis`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from o3gym.cli.main import main
from o3gym.synthesis.questions.making import QuestionTally

SERVER = "http://127.0.0.1:9/v1"
LAYOUTS = "synthetic?family=chart&difficulty=easy&pixels=100000&n=1"
POLICIES = ["--captioner", "openai:c", "--writer", "openai:w", "--solver", "random", "--solver", "openai:s"]


def questions(out: Path, *more: str) -> int:
    return main(["synth", "questions", "--out", str(out), "--layouts", LAYOUTS, *POLICIES, *more])


def test_all_policies_of_questions_ask_the_server_and_the_solvers_have_a_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipes: list[Any] = []

    def make(sheets: Any, recipe: Any, *_: Any, **__: Any) -> QuestionTally:
        recipes.append(recipe)
        return QuestionTally()

    monkeypatch.setattr("o3gym.synthesis.questions.making.make_questions", make)
    assert questions(tmp_path, "--base-url", SERVER, "--judge", "choice") == 0
    (recipe,) = recipes
    assert recipe.served(recipe.captioner).base_url == recipe.served(recipe.writer).base_url == SERVER
    benches = recipe.solver_benches()
    assert [benches[name].base_url for name in ("random", "openai:s")] == ["", SERVER]
    assert {bench.judge for bench in benches.values()} == {"choice"}


def test_an_unknown_judge_of_questions_is_refused_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert questions(tmp_path, "--judge", "choise") == 2
    assert 'did you mean "choice"' in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
