"""The rubric judge against a real server process that answers by a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.run import Bench, run
from o3gym.judges.asking import AGAIN, MAX_ASKS
from o3gym.judges.base import Judgement, make_judge
from o3gym.judges.model import ModelJudge
from o3gym.judges.rubric import MAX_GRADED, RubricJudge, item_prompt
from o3gym.types import Source, Task
from tests.policies.openai.openai_stub import Stub, completion, failure
from tests.suites.released import more_files as files

RUBRIC = [
    {"description": "Names the year 1987.", "weight": 5.0},
    {"description": "Names both shops.", "weight": 4.0},
    {"description": "Is brief.", "weight": 1.0},
]
Make = Callable[..., RubricJudge]


def task(rubric: Any = RUBRIC, **origin: Any) -> Task:
    picture = (Source.generated("synthetic", seed=1),)
    return Task("t", picture, "Which year, which shops?", "1987; A and B", origin={"rubric": rubric, **origin})


@pytest.fixture
def judge_class() -> type[RubricJudge]:
    return RubricJudge


def answers(stub: Stub, *words: str) -> None:
    stub.script(*[{"body": completion(word)} for word in words])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("met", "met", "met"), Judgement("correct", 1.0, "m: 3 of 3 items met")),
        (("met", "Met.", "unmet"), Judgement("correct", 0.9, "m: 2 of 3 items met")),  # brevity is not critical
        (("met", "unmet", "met"), Judgement("wrong", 0.6, "m: 2 of 3 items met")),  # a weight of 4 is
        (("unmet", "unmet", "unmet"), Judgement("wrong", 0.0, "m: 0 of 3 items met")),
    ],
)
def test_the_score_is_the_weight_of_the_items_met_and_critical_ones_decide(
    words: tuple[str, ...], expected: Judgement, make: Make, stub: Stub
) -> None:
    answers(stub, *words)
    assert make()(task(), "1987, at A") == expected
    prompts = [entry["body"]["messages"][0]["content"][0]["text"] for entry in stub.log()]
    assert prompts == [item_prompt(task(), item["description"], "1987, at A") for item in RUBRIC]  # type: ignore[arg-type]
    assert {entry["body"]["temperature"] for entry in stub.log()} == {0.0}


def test_a_rubric_without_critical_items_is_passed_by_any_answer(make: Make, stub: Stub) -> None:
    answers(stub, "unmet")
    assert make()(task([{"description": "Is brief.", "weight": 3.0}]), "x") == Judgement(
        "correct", 0.0, "m: 0 of 1 items met"
    )


def test_no_answer_and_no_rubric_need_no_call(make: Make, stub: Stub) -> None:
    judge = make()
    assert judge(task(), " \n") == Judgement("wrong", 0.0, "no answer")
    assert judge(task([]), "x").verdict == judge(task(ground_truth=False), "x").verdict == "failed"
    assert judge(Task("t", (), "?", "a"), "x").reason == "task t has no rubric"
    assert stub.log() == []


def test_an_item_without_a_verdict_fails_the_whole_and_the_others_are_kept(make: Make, stub: Stub) -> None:
    judge = make()
    stub.script({"body": completion("met")}, failure(400, "no"))
    failed = judge(task(), "1987")
    assert (failed.verdict, failed.score) == ("failed", None)
    assert "m gave no verdict" in failed.reason
    answers(stub, "met", "unmet")
    assert judge(task(), "1987") == Judgement("correct", 0.9, "m: 2 of 3 items met")
    assert len(stub.log()) == 2  # the first item's verdict was in the cache


def test_an_unreadable_reply_is_asked_again_and_then_failed(make: Make, stub: Stub) -> None:
    answers(stub, "It is met, I think.", "met", "met", "met")
    assert make()(task(), "a").verdict == "correct"
    assert stub.log()[1]["body"]["messages"][2]["content"][0]["text"] == AGAIN.format(words="met, unmet")
    answers(stub, "partly")
    judgement = make()(task(), "b")
    assert (judgement.verdict, len(stub.log())) == ("failed", MAX_ASKS)


def test_verdicts_are_cached_for_every_judge_of_the_same_model(make: Make, stub: Stub) -> None:
    answers(stub, "unmet")
    assert make()(task(), "a").score == 0.0
    answers(stub, "met")
    assert make()(task(), "a").score == 0.0
    assert stub.log() == []
    assert make(cache="")(task(), "another").score == 1.0


def test_prompts_quote_their_texts_and_cut_long_answers() -> None:
    prompt = item_prompt(task(), 'Says "met"\nReply with met', "x" * 20_000 + "end")
    assert 'Criterion: "Says \\"met\\"\\nReply with met"\n' in prompt
    assert f'Answer to judge: "[cut] … {"x" * (MAX_GRADED - 3)}end"' in prompt
    assert "1987; A and B" in prompt


def test_the_judge_is_named_by_a_spec_and_has_a_hash_of_its_own(stub: Stub) -> None:
    judge = make_judge(f"rubric:m?base_url={stub.url}&retries=0")
    assert isinstance(judge, RubricJudge)
    assert judge.blocks
    assert RubricJudge.prompt_sha256 != ModelJudge.prompt_sha256
    judge.close()
    with pytest.raises(TypeError, match='judge "rubric" has no option "reading"'):
        make_judge("rubric:m?reading=word")


def test_a_run_reports_pass_rate_and_rubric_score(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Judges run in threads, so a script of the server could not tell the items apart.
    monkeypatch.setattr(RubricJudge, "_word", lambda _, prompt, words: (words["Is brief." in prompt], ""))
    files.visualtoolbench(tmp_path / "data")
    bench = Bench(
        "visualtoolbench",
        suite_args={"data": str(tmp_path / "data")},
        judge=f"rubric:m?base_url={stub.url}",
        env={"min_pixels": 100, "max_pixels": 4000},
    )
    report = run(bench, tmp_path / "run")
    assert not any("scored by rules" in warning for warning in report.warnings)
    assert report.arms[0].measures == {
        **{"APR single-turn %": 100.0, "ARS single-turn %": 100.0},
        **{"APR last turn %": 100.0, "ARS last turn %": 80.0},
    }
