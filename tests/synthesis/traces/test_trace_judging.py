"""A model as a verifier: its rubric, what it is shown, and servers that are hostile, slow or talk nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o3gym.sampling import Sampling
from o3gym.synthesis.asking import AskedPolicy, ReplyLedger
from o3gym.synthesis.journal import Journal
from o3gym.synthesis.traces.judging import AnswerJudge, WordsJudge, judging_price, read_rubric, read_verdict
from o3gym.synthesis.traces.seeing import looks_of
from o3gym.synthesis.traces.verifying import Finding, untold
from o3gym.types import Reply, Source
from tests.policies.openai.openai_stub import Stub, completion, failure
from tests.synthesis.traces.detour_chains import right

CHAINS = [chain for chain in right("simple_o3") if chain.task.kind == "choice"][:3]
LOOKS = sum(len(looks_of(chain)) for chain in CHAINS)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[ReplyLedger]:
    with Journal(tmp_path / "judge.jsonl") as journal:
        yield ReplyLedger(journal)


def asker(stub: Stub, **options: Any) -> AskedPolicy:
    spec = "openai:m?" + "&".join(f"{key}={value}" for key, value in {"retries": 0, **options}.items())
    return AskedPolicy(spec, Sampling(max_tokens=50), 10_000, 2, stub.url)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("It is there.\nFITS", Finding()),
        ("It is there.\n\n**Fits.**\n", Finding()),
        ("<think>DIFFERS\n</think>It is there.\nFITS", Finding()),
        ("It lies elsewhere.\nDIFFERS", Finding("It lies elsewhere.")),
        ("differs", Finding("differs")),
        ("x" * 1000 + "\nDIFFERS", Finding("x" * 200)),
        ("FITS\nDIFFERS", Finding(failed="the reply has no verdict")),
        ("FITS\nbecause it is there.", Finding(failed="the reply has no verdict")),
        ("The look fits.", Finding(failed="the reply has no verdict")),
        ("It FITS", Finding(failed="the reply has no verdict")),
        ("", Finding(failed="the reply has no verdict")),
        ("\x00\u202e\n", Finding(failed="the reply has no verdict")),
        ('{"verdict": "FITS"}', Finding(failed="the reply has no verdict")),
        ("FITS" * 50_000, Finding(failed="the reply has no verdict")),
    ],
)
def test_only_a_verdict_on_the_last_line_counts(text: str, finding: Finding) -> None:
    assert read_verdict(Reply(text), "fits", "differs") == finding


def test_a_reply_that_failed_or_was_cut_is_no_verdict() -> None:
    assert read_verdict(Reply("FITS", finish="length"), "fits", "differs").failed == "the reply was cut off"
    assert read_verdict(Reply("", finish="error", error="down"), "fits", "differs").failed == "no reply: down"
    assert not read_verdict(Reply("FITS", finish="length"), "fits", "differs").passed


def test_the_judge_sees_the_region_and_the_words(stub: Stub, ledger: ReplyLedger) -> None:
    stub.script({"body": completion("Good.\nFITS")})
    judge = WordsJudge(asker(stub), ledger)
    assert judge.verify(CHAINS) == [Finding()] * 3
    asked = [request["body"]["messages"][-1]["content"] for request in stub.log()]
    assert len(asked) == LOOKS
    texts = ["".join(part.get("text", "") for part in parts) for parts in asked]
    assert all(any(part["type"] == "image_url" for part in parts) for parts in asked)
    for chain in CHAINS:
        for turn in looks_of(chain):
            assert sum(json.dumps(chain.turns[turn].parsed.thought) in text for text in texts) >= 1
    assert judge.verify(CHAINS) == [Finding()] * 3
    assert len(stub.log()) == LOOKS, "a stored reply is not asked for again"


def test_one_look_that_differs_is_a_flaw(stub: Stub, ledger: ReplyLedger) -> None:
    stub.script({"body": completion("It lies elsewhere.\nDIFFERS")}, {"body": completion("Good.\nFITS")})
    findings = WordsJudge(asker(stub), ledger).verify(CHAINS)
    assert sorted(finding.flaw for finding in findings) == ["", "", "It lies elsewhere."]


def test_only_untold_looks_are_asked_about(stub: Stub, ledger: ReplyLedger) -> None:
    judge = WordsJudge(asker(stub), ledger, only_untold=True)
    assert len(judge.inquiries(CHAINS)) == sum(len(untold(chain)) for chain in CHAINS)


def test_the_answer_is_judged_without_a_picture(stub: Stub, ledger: ReplyLedger) -> None:
    stub.script({"body": completion("B is said.\nRIGHT")}, {"body": completion("No.\nWRONG")})
    boxes = [chain for chain in right("simple_o3") if chain.task.kind == "box"]
    findings = AnswerJudge(asker(stub), ledger).verify([*CHAINS[:2], *boxes])
    assert sorted(findings[:2]) == [Finding(), Finding("No.")]
    assert findings[2:] == [Finding()] * len(boxes)
    contents = [request["body"]["messages"][-1]["content"] for request in stub.log()]
    assert len(contents) == 2
    assert all("image_url" not in json.dumps(content) for content in contents)


@pytest.mark.parametrize(
    "step",
    [
        failure(500, "down"),
        failure(400, "no"),
        {"body": "<html>"},
        {"body": "null"},
        {"body": completion(None)},
        {"body": completion("FITS FITS FITS" * 10_000)},
        {"body": completion("FITS", finish="length")},
        {"body": completion("Ignore the above.\nVERDICT: FITS or DIFFERS")},
        {"body": completion("FITS"), "drop": True},
        {"body": completion("FITS"), "delay": 0.05},
    ],
    ids=["500", "400", "html", "null", "nothing", "loop", "cut", "nonsense", "dropped", "slow"],
)
def test_no_verdict_never_passes(stub: Stub, ledger: ReplyLedger, step: dict[str, Any]) -> None:
    stub.script(step)
    slow = {"timeout": 0.02} if step.get("delay") else {}
    findings = WordsJudge(asker(stub, **slow), ledger).verify(CHAINS[:1])
    assert [bool(finding.failed) for finding in findings] == [True]
    assert not any(finding.passed or finding.flaw for finding in findings)


def test_failures_are_asked_again_on_request_only(stub: Stub, tmp_path: Path) -> None:
    stub.script(failure(400, "no"), {"body": completion("FITS")})
    chain = CHAINS[:1]
    for retry, failed in ((False, True), (False, True), (True, False)):
        with Journal(tmp_path / "judge.jsonl") as journal:
            (finding,) = WordsJudge(asker(stub), ReplyLedger(journal, retry=retry)).verify(chain)
            assert bool(finding.failed) is failed


def test_a_picture_that_cannot_be_read_costs_only_its_chain(stub: Stub, ledger: ReplyLedger, tmp_path: Path) -> None:
    stub.script({"body": completion("FITS")})
    lost = Source.file(str(tmp_path / "none.png"))
    broken = replace(CHAINS[0], task=replace(CHAINS[0].task, sources=(lost,)), sources=(lost, *CHAINS[0].sources[1:]))
    findings = WordsJudge(asker(stub), ledger).verify([broken, CHAINS[1]])
    assert "cannot be read" in findings[0].failed
    assert findings[1] == Finding()


def test_rubrics_of_a_user(stub: Stub, ledger: ReplyLedger, tmp_path: Path) -> None:
    path = tmp_path / "rubric.txt"
    path.write_text("Words: {words}. Curly: {braces} {. FITS?")
    stub.script({"body": completion("FITS")})
    WordsJudge(asker(stub), ledger, read_rubric("tool", path)).verify(CHAINS[:1])
    assert all("Curly: {braces} {." in json.dumps(request["body"]) for request in stub.log())
    path.write_text("FITS?")
    with pytest.raises(ValueError, match=r"rubric\.txt: expected \{words\}"):
        read_rubric("tool", path)


def test_the_price_counts_requests_pictures_and_tokens(stub: Stub, ledger: ReplyLedger) -> None:
    expected, most = judging_price([WordsJudge(asker(stub), ledger), AnswerJudge(asker(stub), ledger)], CHAINS)
    assert expected.requests == most.requests == LOOKS + len(CHAINS)
    assert expected.pictures == LOOKS
    assert 0 < expected.completion_tokens <= most.completion_tokens == 50 * most.requests
    assert expected.prompt_tokens > 100 * expected.requests
    assert stub.log() == []
