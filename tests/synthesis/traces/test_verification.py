"""Verifying the verifiers: counts, intervals, the report, the run to look at, and resuming."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from o3gym.bench.run import page
from o3gym.runs.store import RunError, open_run
from o3gym.sampling import Sampling
from o3gym.synthesis.asking import AskedPolicy
from o3gym.synthesis.traces.measuring import ANY, UNTOUCHED, Caught, Measurement
from o3gym.synthesis.traces.planting import PLANTED
from o3gym.synthesis.traces.verification import VerificationRecipe, plan_verification, verify_run
from o3gym.synthesis.traces.verifying import RULES, Finding
from tests.policies.openai.openai_stub import Stub, completion, failure
from tests.synthesis.traces.detour_chains import right, stored

KINDS = ("box moved off", "reading made up", "wrong answer")
RECIPE = VerificationRecipe(kinds=KINDS, count=2)
CHAINS = [chain for chain in right("simple_o3") if chain.task.tags["family"] in ("attribute", "text", "hidden")][:2]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    lost = replace(CHAINS[0], group="wrong", verdict="wrong")
    unsure = replace(CHAINS[0], group="unsure", verdict="failed")
    blind = replace(CHAINS[0], group="blind", turns=CHAINS[0].turns[-1:])
    return stored(tmp_path / "run", [lost, unsure, blind, *CHAINS])


def test_the_report_has_every_count(run: Path, tmp_path: Path) -> None:
    report = verify_run(plan_verification(run, RECIPE), RECIPE, tmp_path / "out")
    assert report == json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert report["chains"] == 2
    assert report["left_out"] == {"wrong": 1, "no verdict": 1, "no look": 1}
    assert report["planted"] == dict.fromkeys(KINDS, 2)
    assert list(report["table"]) == [UNTOUCHED, *KINDS]
    assert list(report["table"][UNTOUCHED]) == [*RULES, ANY]
    found = {
        kind: [name for name, caught in row.items() if caught["share"] == 1] for kind, row in report["table"].items()
    }
    assert found[UNTOUCHED] == []
    assert "sight against view" in found["box moved off"]
    assert found["reading made up"] == ["reading against truth", ANY]
    assert found["wrong answer"] == ["answer against truth", ANY]
    one = report["table"]["wrong answer"]["answer against truth"]
    assert (one["found"], one["of"], one["failed"], one["already_flagged"]) == (2, 2, 0, 0)
    assert 0.3 < one["low"] < one["high"] == 1
    assert report["missed"] == {}


def test_the_chains_are_a_run_to_look_at(run: Path, tmp_path: Path) -> None:
    verify_run(plan_verification(run, RECIPE), RECIPE, tmp_path / "out")
    planted = open_run(tmp_path / "out" / "planted")
    assert {trajectory.arm for trajectory in planted} == {UNTOUCHED, *KINDS}
    assert planted.protocol["synthesis"]["planted"] == list(KINDS)
    assert page(planted.path).read_text("utf-8").count("box moved off")


def test_resuming_performs_nothing_again(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = verify_run(plan_verification(run, RECIPE), RECIPE, tmp_path / "out")
    lines = (tmp_path / "out" / "planted" / "episodes.jsonl").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "out" / "planted" / "episodes.jsonl").write_text("".join(lines[:-2]), "utf-8")
    done: list[int] = []
    plan = plan_verification(run, RECIPE)
    assert verify_run(plan, RECIPE, tmp_path / "out", lambda name, number, total: done.append(number)) == first
    assert done == [4, 5, 6]
    monkeypatch.setattr("o3gym.synthesis.traces.measuring.perform", None)
    assert verify_run(plan_verification(run, RECIPE), RECIPE, tmp_path / "out") == first


def test_other_errors_need_another_folder(run: Path, tmp_path: Path) -> None:
    verify_run(plan_verification(run, RECIPE), RECIPE, tmp_path / "out")
    other = replace(RECIPE, seed=1)
    with pytest.raises(RunError, match="another protocol"):
        verify_run(plan_verification(run, other), other, tmp_path / "out")


def test_other_chains_need_another_folder(tmp_path: Path) -> None:
    """Chains of another arm, or of a run that was played again, may have the same tasks and numbers."""
    changed = [replace(chain, sample=1) for chain in CHAINS]
    several = stored(tmp_path / "several", [*CHAINS, *(replace(chain, arm="other") for chain in changed)])
    first, other = replace(RECIPE, arm="detour"), replace(RECIPE, arm="other")
    verify_run(plan_verification(several, first), first, tmp_path / "out")
    with pytest.raises(RunError, match="another protocol"):
        verify_run(plan_verification(several, other), other, tmp_path / "out")
    again = stored(tmp_path / "again", [CHAINS[0], replace(CHAINS[1], group="again")])
    with pytest.raises(RunError, match="another protocol"):
        verify_run(plan_verification(again, RECIPE), RECIPE, tmp_path / "out")


def test_the_run_itself_is_not_overwritten(run: Path) -> None:
    with pytest.raises(ValueError, match="out: expected another folder than that of the run, got "):
        verify_run(plan_verification(run, RECIPE), RECIPE, run)
    assert not (run / "report.json").exists()


def test_a_judge_is_measured_beside_the_rules(run: Path, tmp_path: Path, stub: Stub) -> None:
    recipe = replace(RECIPE, judge=AskedPolicy("openai:m?retries=0", Sampling(), 10_000, 2, stub.url))
    stub.script(failure(400, "no"), {"body": completion("Bad.\nDIFFERS")})
    report = verify_run(plan_verification(run, recipe), recipe, tmp_path / "out")
    columns = report["table"][UNTOUCHED]
    assert list(columns)[-3:-1] == ["tool against words (judge)", "answer against truth (judge)"]
    tool, answer = (columns[name] for name in list(columns)[-3:-1])
    assert tool["found"] == tool["of"]
    assert (answer["of"], answer["failed"]) == (0, 2)  # DIFFERS is no verdict on an answer
    assert answer["share"] is None
    assert report["judge"]["policy"] == "openai:m?retries=0"
    asked = len(stub.log())
    again = verify_run(plan_verification(run, recipe), recipe, tmp_path / "out")
    assert again == report
    assert len(stub.log()) == asked
    stub.script({"body": completion("Good.\nFITS")})
    verify_run(plan_verification(run, recipe), recipe, tmp_path / "out", retry=True)
    assert len(stub.log()) == 1, "what failed is asked again"


def test_bad_input_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'kind: expected one of box moved off, .*; got "typo"'):
        VerificationRecipe(kinds=("typo",))
    with pytest.raises(ValueError, match=r'got "wrong anser"; did you mean "wrong answer"\?'):
        VerificationRecipe(kinds=("wrong anser",))
    with pytest.raises(ValueError, match="kind: each one once, got wrong answer, wrong answer"):
        VerificationRecipe(kinds=("wrong answer", "wrong answer"))
    with pytest.raises(ValueError, match='got "oracle"'):
        plan_verification(run, VerificationRecipe(arm="oracle"))
    with pytest.raises(RunError, match="no run at"):
        plan_verification(tmp_path / "none", RECIPE)
    wrong = stored(tmp_path / "wrong", [replace(CHAINS[0], verdict="wrong")])
    with pytest.raises(RunError, match=r"no right episode with a look; left out: \{'wrong': 1\}"):
        plan_verification(wrong, RECIPE)
    several = stored(tmp_path / "several", [CHAINS[0], replace(CHAINS[1], arm="other")])
    with pytest.raises(ValueError, match="expected one of detour, other"):
        plan_verification(several, RECIPE)
    with pytest.raises(ValueError, match=r'got "oter"; did you mean "other"\?'):
        plan_verification(several, VerificationRecipe(arm="oter"))
    assert len(plan_verification(several, VerificationRecipe(arm="other")).chains) == 1


def test_chains_that_a_verifier_flags_anyway_do_not_count_for_it() -> None:
    chains = [replace(CHAINS[0], group=name) for name in "abc"]
    planted = [replace(chain, arm="wrong answer") for chain in chains]
    findings = {
        "one": [Finding("bad"), Finding(), Finding(), Finding("bad"), Finding("bad"), Finding(failed="down")],
        "two": [Finding(), Finding(), Finding(failed="down"), Finding(), Finding(), Finding("bad")],
    }
    table = Measurement(chains, planted, findings).table()
    assert table[UNTOUCHED]["one"] == Caught(1, 3)
    assert table["wrong answer"]["one"] == Caught(1, 1, failed=1, already=1)
    assert table[UNTOUCHED]["two"] == Caught(0, 2, failed=1)
    assert table["wrong answer"]["two"] == Caught(0, 2, failed=1)
    assert table["wrong answer"][ANY] == Caught(1, 1, failed=1, already=1)
    assert Measurement(chains, planted, findings).missed() == {}
    assert [len(rows) for rows in Measurement(chains, planted, findings).flagged().values()] == [1, 1]


def test_every_kind_is_planted_by_default() -> None:
    assert VerificationRecipe().kinds == tuple(PLANTED)
