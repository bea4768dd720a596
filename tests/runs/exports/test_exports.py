from __future__ import annotations

from pathlib import Path

import pytest

from o3gym.cli.main import main
from o3gym.registry import EXPORTS, UnknownName
from o3gym.runs.exports import arms, export_run
from o3gym.runs.exports.arms import read_arms, slug
from o3gym.runs.store import RunError, open_run
from tests.runs import sample_run
from tests.runs.exports.export_runs import benched, small


@pytest.mark.parametrize("to", EXPORTS)
def test_every_format_writes_a_folder_per_arm_with_the_same_bytes_each_time(to: str, tmp_path: Path) -> None:
    first, again = export_run(benched()[0], to, tmp_path / "a"), export_run(benched()[0], to, tmp_path / "b")
    assert {path.parent.name for path in first} == {"oracle", "random"}
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]
    assert all(path.is_file() for path in first)


@pytest.mark.parametrize("to", EXPORTS)
def test_one_arm_alone_is_the_same_as_among_others(to: str, tmp_path: Path) -> None:
    together, alone = (
        export_run(benched()[0], to, tmp_path / "a"),
        export_run(benched()[0], to, tmp_path / "b", "random"),
    )
    assert {path.parent.name for path in alone} == {"random"}
    assert [p.read_bytes() for p in alone] == [p.read_bytes() for p in together if p.parent.name == "random"]


def test_what_cannot_be_exported_is_said(tmp_path: Path) -> None:
    run = small(tmp_path / "run")
    with pytest.raises(RunError, match=r"no run at .*nowhere"):
        export_run(tmp_path / "nowhere", "inspect", tmp_path / "out")
    with pytest.raises(UnknownName, match='unknown export "lmms_eval"; did you mean "lmms-eval"'):
        export_run(run, "lmms_eval", tmp_path / "out")
    with pytest.raises(ValueError, match=r'no arm "oracel"; did you mean "oracle".*it has: oracle'):
        export_run(run, "inspect", tmp_path / "out", "oracel")
    with pytest.raises(FileExistsError, match="expected a new or empty folder"):
        export_run(run, "inspect", run)
    with pytest.raises(FileExistsError, match=r"run\.json: expected a new or empty folder, got a file"):
        export_run(run, "inspect", run / "run.json")
    empty = sample_run.stored(tmp_path / "empty", [])
    with pytest.raises(ValueError, match="no episodes yet"):
        export_run(empty, "inspect", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_run_leaves_no_half_of_an_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = small(tmp_path / "run")

    def damaged(*_: object) -> None:
        raise RunError("damaged")

    monkeypatch.setattr(arms.ArmRun, "tasks", damaged)
    with pytest.raises(RunError):
        export_run(run, "vlmevalkit", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_names_what_it_wrote_and_what_was_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["export", str(benched()[0]), "--to", "lmms-eval", "--out", str(tmp_path / "out")]
    assert main([*command, "--arm", "oracle"]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(path).suffix for path in written] == [".json", ".jsonl"]
    assert all(Path(path).is_file() for path in written)
    assert main(command) == 2
    assert "new or empty" in capsys.readouterr().err


def test_tasks_come_whole_and_episodes_added_meanwhile_are_left_out(tmp_path: Path) -> None:
    run = sample_run.stored(tmp_path / "run", sample_run.run(tasks=4, arms=("oracle",), k=3))
    (arm,) = read_arms(open_run(run))
    sample_run.stored(run, [sample_run.episode(7), sample_run.episode(0, sample=3)])
    assert [[t.sample for t in task] for task in arm.tasks()] == [[0, 1, 2]] * 4
    assert {task[0].task.id for task in arm.tasks()} == set(arm.numbers)


def test_a_task_is_numbered_by_its_row_or_else_by_its_place(tmp_path: Path) -> None:
    run = sample_run.stored(tmp_path / "rows", [sample_run.episode(n) for n in (7, 3)])
    assert read_arms(open_run(run))[0].numbers == {"choice-0007": 7, "choice-0003": 3}
    twice = [sample_run.episode(3), sample_run.episode(3, kind="box"), sample_run.episode(9)]
    run = sample_run.stored(tmp_path / "places", twice)
    assert read_arms(open_run(run))[0].numbers == {"box-0003": 0, "choice-0003": 1, "choice-0009": 2}


def test_labels_become_safe_and_different_folder_names(tmp_path: Path) -> None:
    names = [slug(text) for text in ("../../etc", "..", "openai:org/model+no_tool", "a · k=1", "</script>", "")]
    assert names == ["_.._etc", "_", "openai_org_model+no_tool", "a_k=1", "_script_", "_"]
    labels = ("a b", "a/b", "A_b")
    run = sample_run.stored(tmp_path / "run", [sample_run.episode(0, arm=label) for label in labels])
    written = export_run(run, "inspect", tmp_path / "out")
    assert sorted(path.parent.name for path in written) == ["A_b", "a_b_2", "a_b_3"]
