"""Runs with failures: what is asked again, what is judged again, and where an arm stops."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from o3gym.bench import workers
from o3gym.bench.definition import Bench
from o3gym.bench.run import merge_and_report, page, run
from o3gym.cli.main import main
from o3gym.dialects.base import make_dialect
from o3gym.judges.base import Judgement, failed
from o3gym.policies.base import Policy
from o3gym.policies.scripted import Oracle
from o3gym.policies.two_agent import TwoAgent
from o3gym.registry import JUDGES, POLICIES
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Agent, Arm, Job
from o3gym.runs.compare import Incomparable, compare
from o3gym.runs.exports import export_run
from o3gym.runs.report import Report
from o3gym.runs.store import open_run
from o3gym.types import Reply, Task
from tests.policies.openai.openai_stub import Stub, completion, failure

SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"min_pixels": 1000, "max_pixels": 40_000}


class Flaky(Oracle):
    """Fails on the tasks in `broken`, and counts the tasks that it is asked about."""

    broken: frozenset[str] = frozenset()
    asked: ClassVar[list[str]] = []
    said = ""

    def act(self, requests: Any) -> list[Reply]:
        self.asked.extend(request.key[1] for request in requests)
        if any(request.key[1] in self.broken for request in requests):
            raise OSError("out of luck")
        return super().act(requests)

    def refusal(self) -> str:
        return self.said


class Judge:
    """Fails on every answer while `down`, and counts the answers that it judged."""

    down = True
    count = 0

    def __call__(self, task: Task, answer: str, located: object = None) -> Judgement:
        type(self).count += 1
        return failed("down") if self.down else Judgement("correct", 1.0)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> type[Flaky]:
    monkeypatch.setitem(POLICIES._paths, "flaky", "")
    fresh = type("Fresh", (Flaky,), {"asked": []})
    monkeypatch.setitem(POLICIES._loaded, "flaky", fresh)
    return fresh


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> type[Judge]:
    monkeypatch.setitem(JUDGES._paths, "mine", "")
    fresh = type("Fresh", (Judge,), {})
    monkeypatch.setitem(JUDGES._loaded, "mine", fresh)
    return fresh


def bench(*policies: str, **more: Any) -> Bench:
    return Bench(policies=policies or ("flaky",), suite_args=SMALL, env=ENV, **{"episodes": 4, **more})


def played(folder: Path, **options: Any) -> Report:
    return run(bench(), folder, thumbnails=False, **options)


def groups(folder: Path) -> list[str]:
    return sorted(t.group for t in open_run(folder).records())


def test_episodes_with_an_error_are_asked_again_and_no_others(tmp_path: Path, flaky: type[Flaky]) -> None:
    (whole,) = played(tmp_path / "whole").arms
    names = groups(tmp_path / "whole")
    flaky.broken = frozenset(names[:2])
    (arm,) = played(tmp_path / "run").arms
    assert (arm.episodes, arm.failed, arm.accuracy.n, arm.accuracy.value) == (4, 2, 2, 1.0)
    flaky.asked.clear()
    assert played(tmp_path / "run", retry=False).arms == (arm,)
    assert flaky.asked == []
    flaky.broken = frozenset(names[:1])
    (arm,) = played(tmp_path / "run").arms
    assert (arm.failed, set(flaky.asked)) == (1, set(names[:2]))
    flaky.broken = frozenset()
    flaky.asked.clear()
    assert played(tmp_path / "run").arms == (whole,)
    assert set(flaky.asked) == set(names[:1])
    lines = (tmp_path / "run" / "episodes.jsonl").read_bytes().splitlines()
    assert [json.loads(line)["stop"] for line in lines].count("error") == 3, "nothing is lost on the disk"
    for name in ("report.json", "report.md"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_every_reader_takes_the_episode_that_replaced_a_failure(tmp_path: Path, flaky: type[Flaky]) -> None:
    played(tmp_path / "whole")
    flaky.broken = frozenset(groups(tmp_path / "whole"))
    played(tmp_path / "failed")
    flaky.broken = frozenset()
    (tmp_path / "run").mkdir()
    for name in ("run.json", "episodes.jsonl"):
        (tmp_path / "run" / name).write_bytes((tmp_path / "failed" / name).read_bytes())
    played(tmp_path / "run")
    with pytest.raises(Incomparable, match="flaky has no episode without failure"):
        compare(tmp_path / "whole", tmp_path / "failed")
    found = compare(tmp_path / "whole", tmp_path / "run")
    assert (found.tasks, found.left_out, found.difference) == (4, 0, 0.0)
    for name in ("whole", "run"):
        page(tmp_path / name, embed=True)
        export_run(tmp_path / name, "lmms-eval", tmp_path / "out" / name)
    assert (tmp_path / "run" / "view.html").read_bytes() == (tmp_path / "whole" / "view.html").read_bytes()
    one, other = (next((tmp_path / "out" / n).rglob("*samples*")).read_text() for n in ("whole", "run"))
    assert sorted(one.splitlines()) == sorted(other.splitlines())
    assert merge_and_report([tmp_path / "failed", tmp_path / "run"], tmp_path / "merged").arms[0].failed == 0


def test_progress_counts_each_episode_once(tmp_path: Path, flaky: type[Flaky]) -> None:
    played(tmp_path / "whole")
    flaky.broken = frozenset(groups(tmp_path / "whole")[:2])
    played(tmp_path / "run")
    flaky.broken, counts = frozenset(), []
    played(tmp_path / "run", progress=lambda arm, done, total: counts.append((done, total)))
    assert counts == [(3, 4), (4, 4)]


def test_failed_verdicts_are_judged_again_and_the_policy_is_asked_nothing(
    tmp_path: Path, flaky: type[Flaky], judge: type[Judge], monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = dataclasses.replace(bench(), judge="mine")
    (arm,) = run(judged, tmp_path).arms
    assert (arm.failed, judge.count) == (4, 4)
    lines = (tmp_path / "episodes.jsonl").read_bytes()
    monkeypatch.setattr(Bench, "open_policy", lambda self, spec: pytest.fail("the policy is not opened"))
    run(judged, tmp_path)
    assert (judge.count, (tmp_path / "episodes.jsonl").read_bytes()) == (8, lines), "still down: nothing is written"
    judge.down = False
    (arm,) = run(judged, tmp_path, retry=False).arms
    assert (arm.failed, judge.count) == (4, 8)
    (arm,) = run(judged, tmp_path).arms
    assert (arm.failed, arm.accuracy.value, arm.reward, judge.count) == (0, 1.0, 1.0, 12)
    assert (tmp_path / "episodes.jsonl").read_bytes().startswith(lines)
    run(judged, tmp_path)
    assert judge.count == 12


def test_an_arm_without_an_episode_to_play_does_not_open_its_policy(
    tmp_path: Path, flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    both, opened = dataclasses.replace(bench(), policies=("oracle", "flaky")), list[str]()
    names = groups_of(bench())
    flaky.broken = frozenset(names[:1])
    run(both, tmp_path)
    flaky.broken, real = frozenset(), Bench.open_policy

    def noted(self: Bench, spec: str) -> Policy:
        opened.append(spec)
        return real(self, spec)

    monkeypatch.setattr(Bench, "open_policy", noted)
    assert [arm.failed for arm in run(both, tmp_path).arms] == [0, 0]
    assert opened == ["flaky"]


def groups_of(planned: Bench) -> list[str]:
    return [job.group for job in planned.jobs()]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_an_arm_stops_after_a_refusal_and_the_same_command_asks_again(tmp_path: Path, stub: Stub, status: int) -> None:
    policies = (f"openai:m?base_url={stub.url}&retries=0", "oracle")
    planned = bench(*policies, episodes=5)
    stub.script(failure(status, "not for you"))
    report = run(planned, tmp_path, in_flight=2, thumbnails=False)
    assert len(stub.log()) == 2, "only what was in flight is asked"
    refused, other = report.arms
    assert (refused.episodes, refused.failed, other.episodes, other.failed) == (2, 2, 5, 0)
    said = f"the server refuses its requests (Refused: status {status}: "
    assert any(said in text and "3 of 5 episodes were not played" in text for text in report.warnings)
    assert "not for you" in (tmp_path / "report.md").read_text()
    assert "not for you" in page(tmp_path, embed=True).read_text()
    stub.script({"body": completion()})
    refused, _ = run(planned, tmp_path, in_flight=2, thumbnails=False).arms
    assert (refused.episodes, refused.failed, len(stub.log())) == (5, 0, 5)


@pytest.mark.parametrize("status", [400, 429, 500])
def test_other_errors_end_their_episode_alone(tmp_path: Path, stub: Stub, status: int) -> None:
    stub.script(failure(status, "no"), {"body": completion()})
    planned = bench(f"openai:m?base_url={stub.url}&retries=0", episodes=5)
    (arm,) = run(planned, tmp_path, in_flight=1, thumbnails=False).arms
    assert (arm.episodes, arm.failed) == (5, 1)


def test_the_command_fails_where_an_arm_has_nothing_but_failures(
    tmp_path: Path, stub: Stub, capsys: pytest.CaptureFixture[str]
) -> None:
    suite = "synthetic?family=attribute&difficulty=easy&pixels=160000"
    command = ["bench", "--suite", suite, "--policy", f"openai:m?base_url={stub.url}&retries=0", "--no-view"]
    command += ["--policy", "oracle", "--episodes", "3", "--out", str(tmp_path / "run")]
    stub.script(failure(401, "Incorrect API key"))
    assert main(command) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "no episode without failure" in said
    assert "Incorrect API key" in said
    assert main(["bench", "--merge", str(tmp_path / "run"), "--out", str(tmp_path / "merged"), "--no-view"]) == 1
    assert main([*command, "--no-retry"]) == 1
    stub.script({"body": completion()})
    assert main([*command, "--no-retry"]) == 1, "the refused ones are kept"
    assert main(command) == 0


def test_a_pair_stops_when_the_server_of_its_searcher_refuses(flaky: type[Flaky]) -> None:
    """A reasoner whose searches cannot succeed would answer wrongly; that says nothing about it."""
    pair = TwoAgent("oracle", "flaky")
    searcher, jobs = pair.searcher, [Job(index, f"g{index}") for index in range(6)]
    flaky.broken, flaky.said = frozenset(job.group for job in jobs), "Refused: status 401: no"
    settings = {"suite": "synthetic", "suite_args": {**SMALL, "family": "hidden"}, **ENV}
    arm = Arm("pair", {**settings, "tools": ["search", "answer"], **TwoAgent.env}, "p", TwoAgent.dialect)
    looks = Arm("pair", {**settings, "tools": ["crop", "locate"], "reward": "insight_o3_in_loop"}, "q", "insight_o3")
    delegates = {"search": Agent(searcher, make_dialect("insight_o3"), looks)}
    assert pair.refusal() == flaky.said
    assert list(workers.until_refused(jobs, pair)) == []
    ended = list(rollout(jobs[:1], pair.reasoner, make_dialect(TwoAgent.dialect), arm, delegates=delegates))
    assert [(t.stop, t.turns[-1].reply.error, len(t.children)) for t in ended] == [("error", flaky.said, 1)]
    assert ended[0].turns[0].children == (0,)
    flaky.said = ""
    (ended,) = rollout(jobs[:1], pair.reasoner, make_dialect(TwoAgent.dialect), arm, delegates=delegates)  # type: ignore[assignment]
    assert ended.stop != "error"  # type: ignore[attr-defined]
