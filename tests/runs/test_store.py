from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from o3gym.append_log import SYNC_SECONDS
from o3gym.runs.store import RunError, RunStore, merge_runs, open_run
from o3gym.types import Reply, Source, Trajectory
from tests.runs import sample_run

PROTOCOL = sample_run.PROTOCOL


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


def test_what_is_appended_is_read_back_with_its_pictures(folder: Path) -> None:
    episodes = sample_run.run(tasks=6)
    with RunStore(folder, PROTOCOL) as store:
        for episode in episodes:
            store.append(episode)
        assert store.trajectories() == episodes
        assert store.done() == {e.key for e in episodes}
    run = open_run(folder)
    assert run.trajectories() == episodes
    assert [s.data for t in run for s in t.sources] == [s.data for t in episodes for s in t.sources]
    assert run.protocol == json.loads(json.dumps(PROTOCOL))
    assert all(s.data is None for t in run.records() for s in t.sources)


def test_pictures_in_parents_and_children_are_kept(folder: Path) -> None:
    picture, other = sample_run.picture(1), sample_run.picture(2)
    child = dataclasses.replace(sample_run.episode(0), sources=(other,))
    derived = Source.derived(Source.derived(picture, "rotate", None, angle=90), "blank", None)
    episode = dataclasses.replace(sample_run.episode(0), sources=(derived,), children=(child,))
    with RunStore(folder, PROTOCOL) as store:
        store.append(episode)
    loaded = next(iter(open_run(folder)))
    parent = loaded.sources[0].parent
    assert parent is not None
    assert parent.parent is not None
    assert parent.parent.data == picture.data
    assert loaded.children[0].sources[0].data == other.data


def test_a_run_continues_where_it_stopped(folder: Path) -> None:
    first, second, *_ = sample_run.run(tasks=2)
    with RunStore(folder, PROTOCOL) as store:
        store.append(first)
    with RunStore(folder, PROTOCOL) as store:
        assert store.done() == {first.key}
        store.append(second)
    assert open_run(folder).trajectories() == [first, second]


def test_an_episode_is_appended_once(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        store.append(sample_run.episode(0))
        with pytest.raises(RunError, match="stored already"):
            store.append(sample_run.episode(0))


def failed(number: int = 0, reason: str = "out of luck") -> Trajectory:
    """An episode that stopped with an error."""
    whole = sample_run.episode(number, turns=2, stop="over_turn", verdict="failed")
    last = dataclasses.replace(whole.turns[-1], reply=Reply("", finish="error", error=reason))
    return dataclasses.replace(whole, turns=(*whole.turns[:-1], last), stop="error")


def test_the_last_line_of_an_episode_replaces_the_earlier_ones(folder: Path) -> None:
    first, other, last = failed(0), sample_run.episode(1), sample_run.episode(0)
    with RunStore(folder, PROTOCOL) as store:
        for episode in (first, other):
            store.append(episode)
        assert {key for key, entry in store.stored().items() if entry.failed} == {first.key}
        store.put(last)
        assert store.done() == {last.key, other.key}
        assert [entry for entry in store.stored().values() if entry.failed] == []
        assert store.trajectories() == [other, last]
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_bytes().splitlines()]
    assert [line["stop"] for line in lines] == ["error", "answered", "answered"], "nothing is lost on the disk"
    run = open_run(folder)
    assert (run.trajectories(), run.done(), run.line_count()) == ([other, last], {last.key, other.key}, 3)
    assert [t.key for t in run.records(2)] == [first.key, other.key]
    with RunStore(folder, PROTOCOL) as store:
        assert store.stored()[last.key] == (3, "answered", "correct")


def test_a_reader_sees_what_is_replaced_while_it_has_the_run_open(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        store.append(failed(0))
        run = open_run(folder)
        assert [t.stop for t in run.records()] == ["error"]
        store.put(sample_run.episode(0))
        store.append(sample_run.episode(1))
        assert [t.stop for t in run.records()] == ["answered", "answered"]
        assert [t.stop for t in run.records(1)] == ["error"]


def test_a_merge_takes_the_episode_that_did_not_fail(tmp_path: Path) -> None:
    first, second, out = tmp_path / "first", tmp_path / "second", tmp_path / "out"
    sample_run.stored(first, [failed(0), failed(1, "the first reason"), sample_run.episode(2)])
    good, other = sample_run.episode(0), sample_run.episode(2, verdict="wrong")
    sample_run.stored(second, [good, failed(1, "the second reason"), other])
    merged = {t.group: t for t in merge_runs([first, second], out)}
    assert merged[good.group].stop == "answered"
    assert merged[failed(1).group].turns[-1].reply.error == "the first reason"
    assert merged[other.group].verdict == "correct", "the first one counts where neither failed"
    with RunStore(first, PROTOCOL) as store:
        store.put(sample_run.episode(1))
    assert {t.stop for t in merge_runs([first, second], out)} == {"answered"}
    before = (out / "episodes.jsonl").read_bytes()
    merge_runs([first, second, out], out)
    assert (out / "episodes.jsonl").read_bytes() == before


def test_another_protocol_is_refused_with_the_keys_that_differ(folder: Path) -> None:
    RunStore(folder, PROTOCOL).close()
    other = {**PROTOCOL, "seed": 1, "sampling": {**PROTOCOL["sampling"], "temperature": 1.0}, "judge": "exact"}  # type: ignore[dict-item]
    with pytest.raises(RunError) as error:
        RunStore(folder, other)
    text = str(error.value)
    assert "sampling.temperature: expected 0.7, got 1.0" in text
    assert "seed: expected 0, got 1" in text
    assert 'judge: expected "(missing)", got "exact"' in text
    assert "split" not in text


@pytest.mark.parametrize("cut", [1, 40, 2000])
def test_a_torn_last_line_is_skipped_and_then_cut_off(folder: Path, cut: int) -> None:
    first, second, third, *_ = sample_run.run(tasks=3)
    with RunStore(folder, PROTOCOL) as store:
        store.append(first)
        store.append(second)
    lines = folder / "episodes.jsonl"
    lines.write_bytes(lines.read_bytes()[:-cut])
    assert open_run(folder).trajectories() == [first]
    with RunStore(folder, PROTOCOL) as store:
        assert store.done() == {first.key}
        store.append(second)
        store.append(third)
    assert open_run(folder).trajectories() == [first, second, third]


def test_a_damaged_line_is_named(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        for episode in sample_run.run(tasks=3, arms=("oracle",)):
            store.append(episode)
    path = folder / "episodes.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    cut, deep = lines[1][:50] + b"\n", b"[" * 100_000 + b"\n"
    no_key, no_turn = b'{"arm":7,"group":[]}\n', lines[1].replace(b'"turns":[', b'"turns":[7,')
    for damage in (cut, deep, b"[]\n", no_key, no_turn):
        path.write_bytes(lines[0] + damage + lines[2])
        with pytest.raises(RunError, match=rf"episodes\.jsonl:2: damaged, .*; `o3gym repair {folder}` sets"):
            open_run(folder).trajectories()


def test_what_is_not_a_run_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no run at .*: expected run.json and episodes.jsonl"):
        open_run(tmp_path)
    (tmp_path / "episodes.jsonl").write_text("{}\n")
    with pytest.raises(RunError, match=r"no run\.json"):
        RunStore(tmp_path, PROTOCOL)
    (tmp_path / "run.json").write_text("[1]")
    with pytest.raises(RunError, match=r"run\.json: damaged, expected a JSON object"):
        open_run(tmp_path)


def test_one_writer_at_a_time_and_readers_meanwhile(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        with pytest.raises(RunError, match="being written by another process"):
            RunStore(folder, PROTOCOL)
        store.append(sample_run.episode(0))
        assert len(open_run(folder).trajectories()) == 1
    with pytest.raises(RunError, match="closed"):
        store.append(sample_run.episode(1))
    RunStore(folder, PROTOCOL).close()


def test_a_full_disk_loses_nothing_that_was_stored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_ = sample_run.run(tasks=2)
    write = os.write
    half_done: list[int] = []

    def full(file: int, data: bytes) -> int:
        if half_done:
            raise OSError(errno.ENOSPC, "No space left on device")
        half_done.append(write(file, data[: len(data) // 2]))
        return half_done[0]

    with RunStore(folder, PROTOCOL) as store:
        store.append(first)
        whole = (folder / "episodes.jsonl").read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(RunError, match=r"No space left on device; the 1 episodes"):
                store.append(second)
        assert (folder / "episodes.jsonl").read_bytes() == whole
        store.append(second)
    assert open_run(folder).trajectories() == [first, second]


def test_a_picture_that_does_not_fit_on_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with RunStore(folder, PROTOCOL) as store, monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(RunError, match="No space left"):
            store.append(sample_run.episode(0))
    assert open_run(folder).trajectories() == []
    assert list((folder / "sources").iterdir()) == []


def _with_source(source: Source) -> Trajectory:
    return dataclasses.replace(sample_run.episode(0), sources=(source,))


def test_pictures_that_cannot_be_kept_are_refused(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        with pytest.raises(RunError, match="no bytes"):
            store.append(_with_source(Source("bytes", "0" * 64)))
        with pytest.raises(RunError, match="do not have the SHA-256"):
            store.append(_with_source(Source("bytes", "0" * 64, data=b"x")))
        with pytest.raises(RunError, match="not a SHA-256"):
            store.append(_with_source(Source("bytes", "../../etc/passwd", data=b"x")))
    assert open_run(folder).trajectories() == []


def test_lost_and_damaged_pictures_are_named(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        store.append(sample_run.episode(0))
    (path,) = (folder / "sources").iterdir()
    path.write_bytes(b"not it")
    with pytest.raises(RunError, match=f"{path}: damaged picture"):
        open_run(folder).trajectories()
    path.unlink()
    with pytest.raises(RunError, match=f"{path}: .*cannot be read"):
        open_run(folder).trajectories()
    assert len(list(open_run(folder).records())) == 1


def test_an_episode_read_without_its_picture_can_be_stored_again(folder: Path) -> None:
    with RunStore(folder, PROTOCOL) as store:
        store.append(sample_run.episode(0))
        bare = next(store.records())
        store.append(dataclasses.replace(bare, sample=1))
    assert len(open_run(folder).trajectories()) == 2


def synced_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Records the files below `folder` that are brought to the disk from now on, in order."""
    names, fsync = list[str](), os.fsync

    def record(file: int) -> None:
        path = Path(f"/dev/fd/{file}") if sys.platform == "darwin" else Path(f"/proc/self/fd/{file}").readlink()
        names.append(str(path.relative_to(folder)))
        fsync(file)

    monkeypatch.setattr(os, "fsync", record)
    return names


def test_closing_brings_pictures_to_the_disk_and_then_the_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    episodes = sample_run.run(tasks=3)
    pictures = {f"sources/{source.ref}" for episode in episodes for source in episode.sources}
    store = RunStore(folder, PROTOCOL)
    names = synced_names(folder, monkeypatch)
    for episode in episodes:
        store.append(episode)
    store.close()
    assert set(names) == {"run.json", "episodes.jsonl", *pictures}
    # A line on the disk without its pictures would be an episode that cannot be read: the lines come last.
    assert names.index("episodes.jsonl") == len(names) - 1
    store.close()
    assert names.count("episodes.jsonl") == 1


def test_data_reach_the_disk_every_few_seconds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third, *_ = sample_run.run(tasks=3)
    with RunStore(folder, PROTOCOL) as store:
        names = synced_names(folder, monkeypatch)
        store.append(first)
        assert names == []
        now = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: now() + SYNC_SECONDS)
        store.append(second)
        assert names[-1] == "episodes.jsonl"
        assert {f"sources/{source.ref}" for source in (*first.sources, *second.sources)} <= set(names)
        written = len(names)
        store.append(third)
        assert len(names) == written


def test_a_disk_that_fails_to_sync_is_a_clear_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(file: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store = RunStore(folder, PROTOCOL)
    store.append(sample_run.episode(0))
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(RunError, match="Input/output error"):
        store.close()
    RunStore(folder, {**PROTOCOL}).done()  # the lock was given back all the same


WRITER = """
import dataclasses, sys
from tests.runs import sample_run
from o3gym.runs.store import RunStore
base = sample_run.episode(0)
with RunStore(sys.argv[1], {"seed": 0}) as store:
    done = store.done()
    for sample in range(100_000):
        one = dataclasses.replace(base, sample=sample)
        if one.key not in done:
            store.append(one)
"""


def test_killed_at_any_moment_no_episode_is_lost_twice_or_damaged(folder: Path) -> None:
    path = str(Path(__file__).parents[2])
    lines = folder / "episodes.jsonl"
    stored = 0
    for _ in range(3):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], env={**os.environ, "PYTHONPATH": path})
        size = lines.stat().st_size if lines.exists() else 0
        deadline = time.monotonic() + 60
        while not (lines.exists() and lines.stat().st_size > size + 50_000):
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        samples = [t.sample for t in open_run(folder)]
        assert samples == list(range(len(samples)))
        assert len(samples) > stored
        stored = len(samples)
