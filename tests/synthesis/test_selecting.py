"""`o3gym synth select`, from the command line to the files it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from o3gym.cli.main import main
from o3gym.runs.store import open_run
from o3gym.suites.base import make_suite
from tests.policies.openai.openai_stub import Step, Stub, completion, failure

SUITE = "synthetic?family=attribute&difficulty=easy&pixels=40000&n=8"


def run(out: Path, *more: str, suite: str = SUITE, code: int = 0) -> list[dict[str, Any]]:
    assert main(["synth", "select", "--suite", suite, "--out", str(out), "--no-view", *more]) == code
    return [json.loads(line) for line in (out / "selected.jsonl").read_text().splitlines()]


def report(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "report.json").read_text())
    return found


def counts(row: dict[str, Any], arm: str) -> tuple[int, ...]:
    return tuple(row["arms"][arm].values())


def test_what_is_wrong_alone_and_right_with_the_crop_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = run(tmp_path, "--alone", "random+no_tool", "--with", "oracle+oracle_crop")
    assert [(row["id"], row["index"]) for row in rows] == [(task.id, i) for i, task in enumerate(make_suite(SUITE))]
    assert {counts(row, "oracle+oracle_crop") for row in rows} == {(3, 0, 0, 3, 0)}
    assert all(row["kept"] == (row["arms"]["random+no_tool"]["right"] == 0) for row in rows)
    assert all(0 < row["target_share"] < 0.1 for row in rows)
    kept = [row["id"] for row in rows if row["kept"]]
    assert 0 < len(kept) < 8
    assert [task.id for task in make_suite(f"{SUITE}&only={tmp_path / 'selected.jsonl'}")] == kept
    found = report(tmp_path)
    assert found["outcomes"] == {"kept": len(kept), "dropped": 8 - len(kept), "unsure": 0}
    assert found["unlooked"] == {"random+no_tool": 24, "oracle+oracle_crop": 0}
    assert {
        "arms": {"random+no_tool": "wrong", "oracle+oracle_crop": "right"},
        "outcome": "kept",
        "tasks": len(kept),
    } in (found["patterns"])
    for folder in found["runs"].values():
        assert len(open_run(tmp_path / folder).done()) == 24
    printed = capsys.readouterr().out
    assert "random+no_tool" in printed
    assert f"{len(kept)} tasks kept" in printed


def test_a_policy_with_limited_eyesight_leaves_the_small_targets(tmp_path: Path) -> None:
    suite = "synthetic?family=attribute+hidden&difficulty=easy&answers=free&n=4&pixels=640000"
    reader = "reader?side=30"
    rows = run(tmp_path, "--alone", f"{reader}+no_tool", "--with", f"{reader}+oracle_crop", "--k", "1", suite=suite)
    shares = {kept: [row["target_share"] for row in rows if row["kept"] == kept] for kept in (True, False)}
    assert max(shares[True]) < min(shares[False])
    assert report(tmp_path)["shares"]["kept"][1] < report(tmp_path)["shares"]["dropped"][1]


def test_a_further_arm_plays_only_itself_and_rules_are_read_from_the_same_runs(tmp_path: Path) -> None:
    run(tmp_path, "--wrong", "random+no_tool", "--k", "4")
    file = tmp_path / "runs" / "random+no_tool" / "episodes.jsonl"
    before = file.read_bytes()
    mixed = run(tmp_path, "--mixed", "random+no_tool", "--right", "oracle", "--k", "4")
    band = run(tmp_path, "--passes", "random+no_tool=1..3", "--right", "oracle", "--k", "4")
    assert file.read_bytes() == before
    assert [row["kept"] for row in mixed] == [row["kept"] for row in band]
    assert all(row["kept"] == (1 <= row["arms"]["random+no_tool"]["right"] <= 3) for row in mixed)
    assert {row["kept"] for row in mixed} == {True, False}


def test_arguments_of_the_environment_are_those_of_all_arms(tmp_path: Path) -> None:
    run(tmp_path, "--right", "oracle", "--wrong", "random", "--k", "1", "--env", "max_pixels=50000", "--turns", "3")
    for folder in report(tmp_path)["runs"].values():
        first = next(open_run(tmp_path / folder).records())
        assert (first.env["max_pixels"], first.env["max_turns"]) == (50_000, 3)


def test_what_two_policies_get_right(tmp_path: Path) -> None:
    rows = run(tmp_path, "--right", "always:A+no_tool", "--right", "oracle+no_tool", "--k", "1")
    answers = [task.answer for task in make_suite(SUITE)]
    assert [row["kept"] for row in rows] == [answer == "A" for answer in answers]
    assert set(answers) > {"A"}


def test_tries_without_an_answer_are_counted_and_an_answer_can_be_forced(
    server: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    server.script({"body": completion('<tool_call>{"name": "image_zoom_in_tool", "arguments": {}}</tool_call>')})
    suite = SUITE.replace("n=8", "n=2")
    options = ["--wrong", "openai:m+no_tool", "--base-url", server.url, "--k", "1", "--turns", "2"]
    (row, _) = run(tmp_path / "a", *options, suite=suite)
    assert counts(row, "openai:m+no_tool") == (0, 1, 0, 0, 1)
    assert report(tmp_path / "a")["unanswered"] == {"openai:m+no_tool": 2}
    assert "2 tries of openai:m+no_tool ended without an answer and count as wrong" in capsys.readouterr().out
    run(tmp_path / "b", *options, "--force-answer", suite=suite)
    (folder,) = report(tmp_path / "b")["runs"].values()
    assert open_run(tmp_path / "b" / folder).protocol["force_answer"] is True


def test_a_stopped_selection_is_continued(tmp_path: Path) -> None:
    whole = run(tmp_path / "whole", "--wrong", "random+no_tool")
    run(tmp_path / "cut", "--wrong", "random+no_tool")
    path = tmp_path / "cut" / "runs" / "random+no_tool" / "episodes.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:7]))
    (tmp_path / "cut" / "selected.jsonl").unlink()
    assert run(tmp_path / "cut", "--wrong", "random+no_tool") == whole


def test_the_form_is_checked_before_anything_is_played(tmp_path: Path, photos: Path, local: str) -> None:
    rows = run(
        tmp_path / "a", "--right", "oracle", "--kind", "choice", "--kind", "free", "--max-side", "299", suite=local
    )
    assert [row["outcome"] for row in rows] == [
        "kept",
        "form: a side above 299 px",
        "form: kind box",
        rows[3]["outcome"],
    ]
    played = open_run(tmp_path / "a" / "runs" / "oracle")
    assert {key[1] for key in played.done()} == {row["id"] for row in rows if "arms" in row}
    assert report(tmp_path / "a")["form"] == {"a side above 299 px": 2, "kind box": 1}
    assert (
        run(tmp_path / "a", "--right", "oracle", "--kind", "choice", "--kind", "free", "--max-side", "299", suite=local)
        == rows
    )
    alone = run(tmp_path / "b", "--kind", "box", suite=local)
    assert [row["kept"] for row in alone] == [False, False, True, False]
    none = run(tmp_path / "c", "--right", "oracle", "--kind", "span", suite=local)
    assert not any(row["kept"] for row in none)
    assert not (tmp_path / "c" / "runs").exists()


def test_a_folder_that_was_moved_is_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--right", "oracle", "--k", "1", "--kind", "choice")
    rows = run(tmp_path / "a", *options)
    (tmp_path / "a").rename(tmp_path / "b")
    assert run(tmp_path / "b", *options) == rows
    other = [*options, "--min-side", "1", "--out", str(tmp_path / "b")]
    assert main(["synth", "select", "--suite", SUITE, "--no-view", *other]) == 2
    assert "form.min_side: expected 0, got 1" in capsys.readouterr().err


def test_selections_follow_each_other_with_indices_of_the_whole_suite(tmp_path: Path) -> None:
    first = run(tmp_path / "a", "--wrong", "random+no_tool", "--k", "1")
    kept = {row["id"]: row["index"] for row in first if row["kept"]}
    listed = f"{SUITE}&only={tmp_path / 'a' / 'selected.jsonl'}"
    second = run(tmp_path / "b", "--right", "oracle", "--k", "1", suite=listed)
    assert {row["id"]: row["index"] for row in second} == kept
    third = run(tmp_path / "c", "--right", "oracle", "--k", "1", "--min-side", "1", suite=listed)
    assert [row["id"] for row in third if row["kept"]] == list(kept)
    assert [task.id for task in make_suite(f"{SUITE}&only={tmp_path / 'b' / 'selected.jsonl'}")] == list(kept)


def test_bad_rows_are_skipped_and_counted(tmp_path: Path, photos: Path) -> None:
    rows = [json.loads(line) for line in (photos / "index.jsonl").read_text().splitlines()]
    rows[0] = {"image": "no.png", "question": "?", "answer": "1"}
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = run(tmp_path / "out", "--right", "oracle", suite=f"local:{tmp_path / 'index.jsonl'}?images={photos}")
    assert [row["index"] for row in found] == [1, 2, 3]
    assert report(tmp_path / "out")["skipped"] == 1


HOSTILE: list[Step] = [
    {"body": completion("<answer>A</answer>")},
    {"body": completion("\x00\ud7ff" * 50 + "<tool_call>" * 30)},
    {"body": completion("")},
    {"body": completion(None)},
    {"body": "{not json"},
    {"body": {"choices": []}},
    {"drop": True, "body": completion("<answer>B</answer>")},
    failure(500, "no"),
]


def test_a_hostile_server_costs_its_tries_and_no_more(
    server: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("o3gym.policies.openai.policy.FIRST_WAIT", 0.001)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    server.script(*HOSTILE)
    options = ["--wrong", "openai:m?retries=0+no_tool", "--base-url", server.url, "--k", "1"]
    rows = run(tmp_path, *options, "--in-flight", "1")
    (model,) = report(tmp_path)["runs"]
    failed = [row for row in rows if row["arms"][model]["failed"]]
    assert failed
    assert {row["outcome"] for row in failed} == {"unsure"}
    assert not any(row["kept"] for row in failed)
    assert report(tmp_path)["outcomes"]["unsure"] == report(tmp_path)["failures"][model] == len(failed)
    sure = {row["id"]: row for row in rows if row not in failed}
    server.script({"body": completion("<answer>A</answer>")})
    again = run(tmp_path, *options, "--in-flight", "1")
    assert len(server.log()) == len(failed), "only the failed tries are repeated"
    assert all(row == sure.get(row["id"], row) for row in again)
    assert report(tmp_path)["outcomes"]["unsure"] == 0


def test_an_arm_that_only_fails_is_an_error_and_keeps_nothing(
    server: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    server.script(failure(400, "no such model"))
    rows = run(tmp_path, "--wrong", "openai:m?retries=0+no_tool", "--base-url", server.url, "--k", "1", code=1)
    assert {row["outcome"] for row in rows} == {"unsure"}
    assert "8 tries of openai:m?retries=0+no_tool failed; the same command tries them again" in capsys.readouterr().out


def test_a_failed_judge_leaves_a_task_unsure(
    server: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, local: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("O3GYM_CACHE", str(tmp_path / "cache"))
    server.script(failure(400, "no"))
    judge = ["--judge", f"openai:j?base_url={server.url}&retries=0"]
    rows = run(tmp_path / "out", "--wrong", "random+no_tool", "--kind", "free", "--k", "1", *judge, suite=local, code=1)
    assert [row["outcome"] for row in rows if "arms" in row] == ["unsure"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "at least one rule or a form"),
        (["--passes", "random=2..1"], "LOW ≤ HIGH"),
        (["--passes", "random=0..4"], "k = 3"),
        (["--passes", "random=0..3", "--k", "2"], "k = 2"),
        (["--mixed", "random", "--k", "1"], "--mixed: expected --k 2 or more"),
        (["--wrong", "random", "--right", "random"], "random: expected one rule per arm"),
        (["--right", "oracle", "--wrong", "orcale"], 'did you mean "oracle"'),
        (["--right", "oracle+oracle_corp"], 'did you mean "oracle_crop"'),
        (["--right", "oracle", "--judge", "choise"], 'did you mean "choice"'),
        (["--right", "oracle", "--base-url", "http://a/v1"], "none of the policies asks a server"),
        (["--min-side", "30", "--max-side", "20"], "min_side"),
    ],
)
def test_bad_input_is_one_clear_line(
    more: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["synth", "select", "--suite", SUITE, "--out", str(out), *more]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists(), "nothing is played before the mistake shows"


def test_a_dry_run_prints_what_all_arms_would_ask_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite, out = SUITE.replace("n=8", "n=2"), tmp_path / "out"
    arms = ["--alone", "openai:m+no_tool", "--with", "openai:m+oracle_crop", "--base-url", "http://127.0.0.1:9/v1"]
    options = ["--kind", "choice", "--dry-run", "--k", "3"]
    assert main(["synth", "select", "--suite", suite, "--out", str(out), *arms, *options]) == 0
    printed = capsys.readouterr().out
    assert "2 tasks drawn, 2 to play with 2 arms, 3 tries each" in printed
    expected, most = (int(line.split()[-1].replace(",", "")) for line in printed.splitlines() if "requests" in line)
    assert 2 * 3 * (1 + 2) <= expected <= most
    assert not out.exists(), "nothing is written"


def test_a_selection_has_one_budget_of_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(tmp_path, "--right", "oracle", "--turns", "2,4")
    assert "expected" in capsys.readouterr().err


def test_another_k_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "--wrong", "random+no_tool", "--k", "1")
    assert (
        main(["synth", "select", "--suite", SUITE, "--out", str(tmp_path), "--wrong", "random+no_tool", "--k", "2"])
        == 2
    )
    assert "k: " in capsys.readouterr().err


def test_arms_with_odd_specs_have_run_folders_of_their_own(tmp_path: Path) -> None:
    run(tmp_path, "--right", "random?stop=0.5", "--mixed", "random?stop=0,5+no_tool".replace(",", "."), "--k", "2")
    folders = report(tmp_path)["runs"].values()
    assert len(set(folders)) == 2
    assert all((tmp_path / folder / "run.json").is_file() for folder in folders)
    assert not any(set(folder) & set("?=:&") for folder in folders)
