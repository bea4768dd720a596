"""The judge of reasoning against a real server process that answers by a script."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.judges.asking import AGAIN, MAX_ASKS
from o3gym.judges.base import Judgement, make_judge
from o3gym.judges.model import ModelJudge
from o3gym.judges.reasoning import (
    ASPECT_WORDS,
    CONSISTENCY,
    CONSISTENCY_TAIL,
    PROCESS,
    PROCESS_TAIL,
    ReasoningJudge,
    reasoning_prompt,
)
from o3gym.runs.store import open_run
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.recipe import RecipeError
from o3gym.types import Source, Task
from tests.policies.openai.openai_stub import Stub, completion, failure

PICTURE = (Source.generated("synthetic", seed=1),)
FREE = Task("t", PICTURE, "What does the sign say?", "Main Street")
CHOICE = Task("c", PICTURE, "Which colour?", "B", ("red", "blue"), kind="choice")
Make = Callable[..., ReasoningJudge]


@pytest.fixture
def judge_class() -> type[ReasoningJudge]:
    return ReasoningJudge


def answers(stub: Stub, *words: str) -> None:
    stub.script(*[{"body": completion(word)} for word in words])


def prompts(stub: Stub) -> list[str]:
    return [entry["body"]["messages"][0]["content"][0]["text"] for entry in stub.log()]


@pytest.mark.parametrize(
    ("aspect", "word", "verdict"),
    [
        ("consistency", "agree", "correct"),
        ("consistency", "Differ.", "wrong"),
        ("process", "sound", "correct"),
        ("process", "<think>hm</think>\nflawed", "wrong"),
    ],
)
def test_a_word_decides(aspect: Any, word: str, verdict: str, make: Make, stub: Stub) -> None:
    answers(stub, word)
    judgement = make().reasoning(aspect, FREE, "It says Main Street.", "Main Street")
    assert (judgement.verdict, judgement.score) == (verdict, float(verdict == "correct"))
    (prompt,) = prompts(stub)
    assert '"It says Main Street."' in prompt
    assert {entry["body"]["temperature"] for entry in stub.log()} == {0.0}


def test_the_model_sees_the_end_of_the_thought_and_the_answer_and_no_truth() -> None:
    task = dataclasses.replace(FREE, answer="the truth")
    prompt = reasoning_prompt(CONSISTENCY, task, "start" + "x" * CONSISTENCY_TAIL, 'a "quoted" one', CONSISTENCY_TAIL)
    assert f'End of the thought: "{"x" * CONSISTENCY_TAIL}"\n' in prompt
    assert 'Answer: "a \\"quoted\\" one"\n' in prompt
    assert "the truth" not in prompt
    assert task.question not in prompt
    prompt = reasoning_prompt(PROCESS, task, "start" + "x" * CONSISTENCY_TAIL, "no", PROCESS_TAIL)
    assert '"startxxx' in prompt
    assert f'Question: "{task.question}"' in prompt
    assert "the truth" not in prompt
    for aspect, text in (("consistency", CONSISTENCY), ("process", PROCESS)):
        assert all(word in text for word in ASPECT_WORDS[aspect])  # type: ignore[index]


def test_an_option_is_given_with_its_words() -> None:
    assert 'Answer: "B. blue"' in reasoning_prompt(CONSISTENCY, CHOICE, "so blue", "(B)", 500)
    assert 'Answer: "neither"' in reasoning_prompt(CONSISTENCY, CHOICE, "so blue", "neither", 500)


def test_a_question_cannot_stand_for_a_thought() -> None:
    task = dataclasses.replace(FREE, question="What is {thought}? {0}")
    prompt = reasoning_prompt(PROCESS, task, "a {answer}", "b", PROCESS_TAIL)
    assert 'Question: "What is {thought}? {0}"\nReasoning: "a {answer}"\nAnswer: "b"' in prompt


def test_an_unreadable_reply_is_asked_again_and_then_failed_as_is_a_server_that_is_gone(make: Make, stub: Stub) -> None:
    answers(stub, "They agree.", "agree")
    assert make().reasoning("consistency", FREE, "a", "b").verdict == "correct"
    assert stub.log()[1]["body"]["messages"][2]["content"][0]["text"] == AGAIN.format(words="agree, differ")
    answers(stub, "perhaps")
    judgement = make().reasoning("consistency", FREE, "a", "c")
    assert (judgement.verdict, judgement.score, len(stub.log())) == ("failed", None, MAX_ASKS)
    stub.script(failure(400, "no"))
    assert make().reasoning("process", FREE, "a", "d").verdict == "failed"


def test_verdicts_are_cached_by_question_and_text(make: Make, stub: Stub, tmp_path: Path) -> None:
    answers(stub, "differ", "flawed")
    judge = make()
    for _ in range(2):
        assert judge.reasoning("consistency", FREE, "a", "b").verdict == "wrong"
        assert judge.reasoning("process", FREE, "a", "b").verdict == "wrong"
    assert len(stub.log()) == 2
    (tmp_path / "own.txt").write_text("Say agree or differ. {thought} {answer}", "utf-8")
    answers(stub, "agree")
    replaced = make(consistency_prompt=str(tmp_path / "own.txt"))
    assert replaced.reasoning("consistency", FREE, "a", "b").verdict == "correct"
    assert prompts(stub) == ['Say agree or differ. "a" "b"']


def test_a_prompt_file_must_have_its_fields(tmp_path: Path, stub: Stub) -> None:
    (tmp_path / "own.txt").write_text("Say agree or differ. {thought}", "utf-8")
    with pytest.raises(
        ValueError, match=r"consistency_prompt: expected a text that contains \{answer\}, got .*own.txt"
    ):
        make_judge(f"reasoning:m?base_url={stub.url}&consistency_prompt={tmp_path / 'own.txt'}")
    with pytest.raises(ValueError, match=r"process_prompt: .*gone.txt cannot be read"):
        make_judge(f"reasoning:m?base_url={stub.url}&process_prompt={tmp_path / 'gone.txt'}")


def test_answers_are_judged_as_by_the_model_judge_or_by_rules(make: Make, stub: Stub) -> None:
    answers(stub, "correct")
    assert make()(FREE, "Main St.") == Judgement("correct", 1.0, "m: correct")
    assert "Accepted answers" in prompts(stub)[0]
    answers(stub, "correct")
    assert make(answers="auto")(FREE, "Main St.").verdict == "wrong"
    assert stub.log() == []


def test_the_judge_is_named_by_a_spec_and_has_hashes_of_its_own(stub: Stub, tmp_path: Path) -> None:
    judge = make_judge(f"reasoning:m?base_url={stub.url}&retries=0&answers=anls")
    assert isinstance(judge, ReasoningJudge)
    assert judge.blocks
    judge.close()
    assert ReasoningJudge.prompt_sha256 != ModelJudge.prompt_sha256
    assert ReasoningJudge.prompt_digest(retries=1) == ReasoningJudge.prompt_sha256
    (tmp_path / "own.txt").write_text("{thought} {answer}", "utf-8")
    own = ReasoningJudge.prompt_digest(process_prompt=str(tmp_path / "own.txt"))
    assert own not in (
        ReasoningJudge.prompt_sha256,
        ReasoningJudge.prompt_digest(consistency_prompt=str(tmp_path / "own.txt")),
    )
    bench = Bench(judge=f"reasoning:m?process_prompt={tmp_path / 'own.txt'}", reward="thyme_judged")
    assert bench.protocol()["judge_prompt_sha256"] == own


@pytest.mark.parametrize("judge", ["", "anls", "openai:m"])
def test_a_reward_that_asks_about_reasoning_is_refused_with_a_judge_that_reads_none(judge: str, tmp_path: Path) -> None:
    expected = r'judge: the reward "thyme_judged" needs a judge that reads reasoning, such as "reasoning:MODEL", got'
    with pytest.raises(ValueError, match=expected):
        Bench(reward="thyme_judged", judge=judge).arms()
    assert Bench(judge=judge).arms()
    settings = ["reward=thyme_judged", f"judge={judge}"]
    with pytest.raises(RecipeError, match=f"deepeyes: {expected}"):
        load_grpo("deepeyes", settings)
    assert load_grpo("deepeyes", ["reward=thyme_judged", "judge=reasoning:m"]).judge == "reasoning:m"


def test_a_run_keeps_its_verdicts_and_asks_again_for_what_failed(stub: Stub, tmp_path: Path) -> None:
    """The answers are judged by rules; the judge of the thoughts is out of order at first."""
    bench = Bench(
        suite="synthetic?family=attribute&difficulty=easy&pixels=40000&answers=free",
        policies=("oracle",),
        dialect="mini_o3",
        episodes=2,
        turns=(3,),
        reward="thyme_judged",
        judge=f"reasoning:m?base_url={stub.url}&retries=0&answers=auto&cache={tmp_path / 'cache'}",
        env={"min_pixels": 1024, "max_pixels": 9216},
    )
    stub.script(failure(400, "no"))
    report = run(bench, tmp_path / "run", thumbnails=False)
    assert report.arms[0].accuracy.value == 1.0
    stored = list(open_run(tmp_path / "run").records())
    assert [(episode.verdict, episode.reward) for episode in stored] == [("correct", None)] * 2
    lines = (tmp_path / "run" / "episodes.jsonl").read_text().count("\n")
    run(bench, tmp_path / "run", thumbnails=False)  # it still fails, and nothing is written
    assert (tmp_path / "run" / "episodes.jsonl").read_text().count("\n") == lines
    answers(stub, "agree")
    run(bench, tmp_path / "run", thumbnails=False)
    settled = list(open_run(tmp_path / "run").records())
    assert [episode.terms["judged_consistency"] for episode in settled] == [1.0, 1.0]
    assert all(episode.reward is not None for episode in settled)
    stub.script(failure(400, "no"))
    run(bench, tmp_path / "run", thumbnails=False)
    assert stub.log() == []  # nobody is asked again
    assert json.loads((tmp_path / "run" / "run.json").read_text())["judge_prompt_sha256"]
