"""The whole, on synthetic charts, with a scripted server as every policy."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from o3gym.cli.main import main
from o3gym.sampling import Sampling
from o3gym.suites.base import make_suite
from o3gym.synthesis.asking import AskedPolicy
from o3gym.synthesis.questions.making import REPLIES, QuestionRecipe, make_questions
from o3gym.synthesis.questions.sheets import open_sheets
from tests.policies.openai.openai_stub import Stub, completion, failure

LAYOUTS = "synthetic?family=chart&difficulty=easy&pixels=100000&n=2"
CAPTION = 'CAPTION\nBars in "Sales 2001".\nTEXT\nSales 2001\nReturns 2004\nOslo 14\nLima 20'
CITING = "Step 1: read. [layout 1] Step 2: add. [layout 2]"


def asked(question: str, answer: str = "A", **changes: Any) -> dict[str, Any]:
    options = ["34", "14", "20", "Oslo", "6", "No right choice"]
    return {"question": question, "options": options, "answer": answer, "explanation": CITING, **changes}


FIRST = [
    asked('What do Oslo and Lima add up to in "Sales 2001" and "Returns 2004"?'),
    asked('By how much is Lima above Oslo in "Returns 2004"?', "E"),
    asked("Which of them is none?", "F"),
    asked("Which one?", explanation="See. [layout 1]"),
    asked("How much?", options=["34", "34.0", "1", "2", "3", "No right choice"]),
    asked("beyond the five that were asked for"),
]
SECOND = [asked('How many in "Sales 1999"?'), asked("What is it?"), asked("what is it?"), asked("Which?", "A or B")]


def step(text: str) -> dict[str, Any]:
    return {"body": completion(text)}


CAPTIONS = [step(CAPTION)] * 10
WRITTEN = [step(f"Here:\n```json\n{json.dumps(rows)}\n```") for rows in (FIRST, SECOND)]


def command(stub: Stub, out: Path, *more: str, layouts: str = LAYOUTS) -> list[str]:
    model = f"openai:m?base_url={stub.url}&retries=0"
    arguments = ["--layouts", layouts, "--captioner", model, "--writer", model, "--in-flight", "1"]
    return ["synth", "questions", "--out", str(out), *arguments, *more]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


class Stopped(BaseException):
    pass


def stopped_after(stub: Stub, out: Path, captions: int) -> None:
    """Begin, and stop as with Ctrl-C once so many captions are there."""

    def progress(stage: str, done: int, total: int) -> None:
        if done == captions:
            raise Stopped

    asker = AskedPolicy(f"openai:m?base_url={stub.url}&retries=0", Sampling(max_tokens=8192), 2_000_000, 1)
    with pytest.raises(Stopped):
        make_questions(open_sheets(LAYOUTS, out), QuestionRecipe(asker, asker), out, progress)


def test_from_layouts_to_a_reviewed_suite_with_a_stop_in_the_middle(
    server: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    server.script(*CAPTIONS[:4])
    stopped_after(server, out, 4)
    assert len(server.log()) == 4
    with (out / REPLIES).open("ab") as file:
        file.write(b'{"key": "cut in the mid')
    server.script(*CAPTIONS[4:], *WRITTEN)
    assert main(command(server, out)) == 0
    requests = [request["body"]["messages"][0]["content"] for request in server.log()]
    assert len(requests) == 8, "what was asked before the stop is not asked again"
    assert all([part["type"] for part in request] == ["image_url", "text"] for request in requests[:6])
    assert "Sales 2001" in str(requests[6])
    assert "image_url" not in str(requests[6]), "the writer does not see the picture"
    said = capsys.readouterr().out
    assert "3 questions kept of 9 proposed about 2 pictures" in said
    for reason in (
        "fewer than two layouts cited",
        "options that are alike",
        "a label of the question that is not in the notes of what it cites",
        "asked already",
        "not exactly one right option",
        "no right choice, beyond a tenth of all",
    ):
        assert f"rejected questions: 1 ({reason})" in said

    first, second, third = rows(out / "candidates.jsonl")
    server.script(
        *(
            step(f"<answer>{letter}</answer>")
            for letter in solving(first["answer"], second["answer"], "F", third["answer"])
        )
    )
    solvers = [one for name in "ab" for one in ("--solver", f"openai:{name}?base_url={server.url}&retries=0")]
    assert main(command(server, out, *solvers)) == 0
    assert len(server.log()) == 8, "two solvers, four questions; no caption or question again"
    said = capsys.readouterr().out
    assert "2 questions kept of 9 proposed" in said
    assert "rejected questions: 1 (solved by too many)" in said
    assert [row["question"] for row in rows(out / "candidates.jsonl")] == [second["question"], third["question"]]
    server.script(step("unused"))
    assert main(command(server, out, *solvers)) == 0
    assert server.log() == []
    assert main(command(server, out, *solvers, "--solver", "openai:c?base_url=http://127.0.0.1:9&retries=0")) == 0
    assert server.log() == [], "another solver asks nobody twice"
    said = capsys.readouterr().out
    assert "rejected questions: 1 (a solver failed, so it may be solved by too many)" in said
    assert main(command(server, out, *solvers)) == 0
    reviewed(out, capsys)


def solving(*answers: str) -> list[str]:
    """What two solvers reply, in the order of their episodes: both solve the first of the four, one the second."""
    order = list(range(4))
    Random(0).shuffle(order)  # as suites draw tasks by the seed 0
    wrong = ["A" if answer != "A" else "B" for answer in answers]
    return [(answers if question in known else wrong)[question] for known in ({0, 1}, {0}) for question in order]


def reviewed(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Marks of people become a suite that the oracle solves."""
    table = out / "review.csv"
    text = table.read_text("utf-8-sig")
    assert main(["synth", "questions", "--out", str(out), "--reviewed", str(table)]) == 2
    assert "review.csv, row 2, field \"mark\": expected keep, drop or edit, got ''" in capsys.readouterr().err
    cells = list(csv.DictReader(text.splitlines()))
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(cells[0]))
        writer.writeheader()
        writer.writerows(
            [{**cells[0], "mark": "drop"}, {**cells[1], "mark": "edit", "question": "What is it, really?"}]
        )
    assert main(["synth", "questions", "--out", str(out), "--reviewed", str(table)]) == 0
    said = capsys.readouterr().out
    assert "1 questions kept of 2 candidates" in said
    assert "rejected questions: 1 (dropped by people)" in said
    (task,) = make_suite(f"o3-bench:{out}")
    assert task.question == "What is it, really?"
    assert len(task.targets) == 2
    run = str(out / "run")
    assert main(["bench", "--suite", f"o3-bench:{out}", "--policy", "oracle", "--episodes", "0", "--out", run]) == 0
    assert json.loads((out / "run" / "report.json").read_text())["arms"][0]["accuracy"]["value"] == 1.0


def test_failures_are_counted_and_asked_again_only_on_demand(
    server: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, layouts = tmp_path / "out", LAYOUTS.replace("n=2", "n=1")
    server.script(
        CAPTIONS[0], failure(400, "too large"), step("CAPTION"), *CAPTIONS[3:5], step("I would rather not {}.")
    )
    assert main(command(server, out, layouts=layouts)) == 0
    said = capsys.readouterr().out
    assert "0 questions kept of 0 proposed about 1 pictures" in said
    assert "skipped: 1 captions of layouts that failed" in said
    assert "skipped: 1 captions of layouts that are empty" in said
    assert "skipped: 1 pictures whose questions are no JSON" in said
    assert "the first error: Refused: status 400" in said
    assert (out / "candidates.jsonl").read_text() == ""

    server.script(CAPTIONS[0], WRITTEN[0])
    assert main(command(server, out, "--retry", layouts=layouts)) == 0
    assert len(server.log()) == 2, "the caption that failed, and the writer, who now has one more layout"
    assert "skipped: 1 captions of layouts that are empty" in capsys.readouterr().out
    assert main(command(server, out, "--min-layouts", "5", layouts=layouts)) == 0
    assert "skipped: 1 pictures with fewer than 5 layouts" in capsys.readouterr().out


def test_prompts_and_the_picture_are_as_the_user_says(server: Stub, tmp_path: Path) -> None:
    (tmp_path / "caption.txt").write_text("Read {kind}, {count}.")
    (tmp_path / "questions.txt").write_text('Write {count} like {"question": …}. {layouts}')
    own = ["--caption-prompt", str(tmp_path / "caption.txt"), "--question-prompt", str(tmp_path / "questions.txt")]
    server.script(*CAPTIONS[:4], step("CAPTION\nsee {count}"), step("[]"))
    one = LAYOUTS.replace("n=2", "n=1")
    assert main(command(server, tmp_path / "out", *own, "--count", "3", "--with-picture", layouts=one)) == 0
    log = [request["body"]["messages"][0]["content"] for request in server.log()]
    assert log[0][1]["text"] == "Read a whole chart, which has several parts, {count}."
    assert log[5][0]["type"] == "image_url"
    assert log[5][1]["text"].startswith('Write 3 like {"question": …}. [{"id": "1"')
    assert '"see {count}"' in log[5][1]["text"], "what a model wrote is not filled in"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--captioner", "oracle"], '"oracle" needs to know the answer'),
        (["--captioner", "opanai:m"], 'did you mean "openai"'),
        (["--writer", ""], "--writer: expected one"),
        (["--solved", "1"], "solved: expected 0 to 0"),
        (["--solver", "oracle", "--solver", "oracle"], "expected different policies"),
        (["--solver", "orcale"], 'did you mean "oracle"'),
        (["--min-layouts", "1"], "expected at least 1 and 2, got 5 and 1"),
        (["--max-pixels", "9"], "--max-pixels: expected 40000 or more"),
        (["--subset", "maps"], 'did you mean "map"'),
        (["--question-prompt", "PROMPT"], "expected {layouts} somewhere in the text"),
        (["--reviewed", "none.csv"], "candidates.jsonl: no such file"),
    ],
)
def test_bad_arguments_are_told_before_anything_is_asked(
    server: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    (tmp_path / "prompt.txt").write_text("Write questions.")
    given = [str(tmp_path / "prompt.txt") if one == "PROMPT" else one for one in more]
    server.script(step("unused"))
    assert main(command(server, tmp_path / "out", *given)) == 2
    assert words in capsys.readouterr().err
    assert server.log() == []


def recipe(spec: str, *solvers: str, base_url: str = "", judge: str = "") -> QuestionRecipe:
    asker = AskedPolicy(spec, Sampling(max_tokens=8192), 2_000_000, 1)
    return QuestionRecipe(asker, asker, solvers, base_url=base_url, judge=judge)


def test_one_server_is_for_every_openai_policy_and_the_judge_is_the_solvers(server: Stub, tmp_path: Path) -> None:
    one = LAYOUTS.replace("n=2", "n=1")
    server.script(*CAPTIONS[:5], WRITTEN[0], step("<answer>G</answer>"))
    asked = recipe("openai:m?retries=0", "openai:a?retries=0", "oracle", base_url=server.url, judge="verbatim")
    tally = make_questions(open_sheets(one, tmp_path), asked, tmp_path)
    assert (tally.proposed, tally.error) == (5, "")
    assert len(server.log()) == 5 + 1 + 3, "captions, questions, and three questions for the solver with a server"
    runs = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("solved-*.run/run.json"))]
    assert [
        (run["policies"], run["base_url"], run["judge"]) for run in sorted(runs, key=lambda run: run["policies"])
    ] == [
        (["openai:a?retries=0+no_tool"], server.url, "verbatim"),
        (["oracle+no_tool"], "", "verbatim"),
    ]


def test_a_server_or_a_judge_that_does_not_fit_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="none of the policies asks a server, http://a/v1 would not be used"):
        recipe("transformers:m", "oracle", base_url="http://a/v1")
    with pytest.raises(ValueError, match='did you mean "exact"'):
        recipe("openai:m", "oracle", judge="exakt")
