"""Damaged lines of runs, journals and verdict caches: they are set aside unchanged, and everything else stays."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from o3gym.cli.main import main
from o3gym.judges.cache import VerdictCache
from o3gym.runs.repair import repair
from o3gym.runs.store import RunError, RunStore, open_run
from o3gym.synthesis.journal import Journal
from tests.runs import sample_run

PROTOCOL = sample_run.PROTOCOL
EPISODES = [sample_run.episode(n, arm='a "b"', child=n == 1) for n in range(4)]
KEY = f'arm a "b", task {EPISODES[1].group}, sample 0'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return sample_run.stored(tmp_path / "run", EPISODES)


def lines_of(folder: Path) -> list[bytes]:
    return (folder / "episodes.jsonl").read_bytes().splitlines(keepends=True)


def damages(line: bytes) -> dict[str, tuple[bytes, str]]:
    """Name → the damaged line, and what can still be read of its key."""
    half = line.find(b'"agent"')
    return {
        "cut": (line[: len(line) // 9] + b"\n", ""),
        "cut behind the key": (line[:half] + b"\n", KEY),
        "overwritten": (line[:100] + b"\0" * 50 + line[150:], KEY),
        "not UTF-8": (line[:100] + b"\xff" + line[101:], KEY),
        "zeros": (b"\0" * 4096 + b"\n", ""),
        "empty": (b"\n", ""),
        "a list": (b"[]\n", ""),
        "deep": (b"[" * 100_000 + b"\n", ""),
        "two in one": (line[:-1] + line, KEY),
        "wrong type": (line.replace(b'"turns":[', b'"turns":[7,', 1), KEY),
        "no key": (line.replace(b'"group":"', b'"group":7,"x":"', 1), ""),
    }


@pytest.mark.parametrize("name", damages(b""))
def test_a_damaged_line_of_a_run_is_set_aside(folder: Path, name: str) -> None:
    lines = lines_of(folder)
    damaged, key = damages(lines[1])[name]
    (folder / "episodes.jsonl").write_bytes(lines[0] + damaged + lines[2] + lines[3])
    with pytest.raises(RunError, match=rf"episodes\.jsonl:2: damaged, .*`o3gym repair {folder}`"):
        open_run(folder).trajectories()
    done = repair(folder)
    (line,) = done.damaged
    assert (done.lines, line.number, bool(line.reason)) == (4, 2, True)
    assert line.key == key or name == "no key"
    assert (folder / "episodes.jsonl.damaged").read_bytes() == damaged
    assert (folder / "episodes.jsonl").read_bytes() == lines[0] + lines[2] + lines[3]
    with RunStore(folder, PROTOCOL) as store:
        assert store.done() == {episode.key for episode in (EPISODES[0], *EPISODES[2:])}
        store.append(EPISODES[1])
    assert len(open_run(folder).trajectories()) == 4


def test_several_lines_are_set_aside_and_a_torn_one(folder: Path) -> None:
    lines = lines_of(folder)
    broken = [b"first\n", lines[1][:300]]
    (folder / "episodes.jsonl").write_bytes(broken[0] + lines[2] + broken[1])
    done = repair(folder)
    assert [(line.number, line.reason.partition(" (")[0]) for line in done.damaged] == [
        (1, "not JSON"),
        (3, "cut off, without a newline"),
    ]
    assert done.aside.read_bytes() == b"".join(broken)
    assert lines_of(folder) == [lines[2]]
    (folder / "episodes.jsonl").write_bytes(b"again\n" + lines[2])
    repair(folder)
    assert done.aside.read_bytes() == b"".join(broken) + b"\nagain\n"


def test_the_episode_that_a_damaged_line_replaced_counts_again(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        store.put(dataclasses.replace(EPISODES[0], answer="other"))
    lines = lines_of(folder)
    (folder / "episodes.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:-50] + b"\n")
    repair(folder)
    assert [t.answer for t in open_run(folder)] == [episode.answer for episode in EPISODES]


def test_a_sound_record_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, read = (folder / "episodes.jsonl").stat(), (folder / "episodes.jsonl").read_bytes()
    assert main(["repair", str(folder)]) == 0
    assert "none of the 4 lines is damaged" in capsys.readouterr().out
    after = (folder / "episodes.jsonl").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert (folder / "episodes.jsonl").read_bytes() == read
    assert {path.name for path in folder.iterdir()} == {"run.json", "episodes.jsonl", "sources"}


def test_the_command_says_what_it_dropped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = lines_of(folder)
    (folder / "episodes.jsonl").write_bytes(lines[0] + lines[1][:-30] + b"\n" + b"\0\n" + lines[2])
    assert main(["repair", str(folder)]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("line 2: not JSON (")
    assert said[0].endswith(f"; it was about {KEY}")
    assert said[1].endswith("; it was about something that cannot be read")
    assert said[2] == f"2 of 4 lines were moved to {folder / 'episodes.jsonl.damaged'}"


def test_a_run_that_is_being_written_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with RunStore(folder, PROTOCOL) as store:
        (folder / "episodes.jsonl").write_bytes(b"broken\n")
        assert main(["repair", str(folder)]) == 2
        assert "being written by another process" in capsys.readouterr().err
        assert (folder / "episodes.jsonl").read_bytes() == b"broken\n"
        assert store.done()


def test_a_journal_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    with Journal(path) as journal:
        for key in "abc":
            journal.put(key, {"text": key, "word": key})
    first, second, third = path.read_bytes().splitlines(keepends=True)
    broken = second.replace(b"}}", b"")
    path.write_bytes(first + broken + b'{"key": "x", "word": "correct"}\n' + third)
    with pytest.raises(RunError, match=rf"line 2: .*; `o3gym repair {path}` sets"):
        Journal(path)
    done = repair(path)
    assert [(line.number, line.key) for line in done.damaged] == [(2, "b"), (3, "x")]
    assert done.aside.read_bytes().startswith(broken)
    with Journal(path) as journal:
        assert [journal.get(key) for key in "abc"] == [{"text": "a", "word": "a"}, None, {"text": "c", "word": "c"}]
        with pytest.raises(RunError, match="another process"):
            repair(path)


def test_a_verdict_cache_is_repaired_while_it_is_open(tmp_path: Path) -> None:
    path = tmp_path / "judge.jsonl"
    cache = VerdictCache(path)
    for key in "abc":
        cache.put(key, "correct")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0" * 500 + b"\n" + lines[1] + b'{"key": 1, "word": "correct"}\n' + lines[2])
    other = VerdictCache(path)
    assert other.get("c") == "correct"
    assert [line.number for line in repair(path).damaged] == [2, 4]
    assert path.read_bytes() == b"".join(lines)
    cache.put("d", "incorrect")
    assert other.get("d") == VerdictCache(path).get("d") == "incorrect"


@pytest.mark.parametrize("content", [b"", b"text\n", b'{"loss": 1.5}\n' * 3])
def test_other_files_are_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(content)
    with pytest.raises(RunError, match="no line is that of a run, a journal or a verdict cache"):
        repair(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    for nothing in (tmp_path, tmp_path / "no"):
        with pytest.raises(RunError, match=r"expected (run\.json|a run folder)"):
            repair(nothing)


def test_a_merge_line_of_a_run_is_found_by_the_file_as_well(folder: Path) -> None:
    lines = lines_of(folder)
    (folder / "episodes.jsonl").write_bytes(lines[0] + json.dumps({"key": "a", "value": 1}).encode() + b"\n")
    assert [line.key for line in repair(folder / "episodes.jsonl").damaged] == ["a"]
