"""Append-only files: whole lines, torn lines, locks and fsync, in one process and in several."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from o3gym import append_log
from o3gym.append_log import AppendLog, append_shared, replacing, whole_lines, write_whole

ROOT = str(Path(__file__).parents[1])


def lines(path: Path, offset: int = 0) -> list[bytes]:
    return list(whole_lines(path, offset))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def test_lines_are_read_while_the_log_grows(path: Path) -> None:
    log = AppendLog(path)
    log.append(b"one")
    assert lines(path) == [b"one\n"]
    log.append("zwei, größer".encode())
    assert lines(path, offset=4) == ["zwei, größer\n".encode()]
    log.close()
    assert log.closed
    log.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        log.append(b"three")


@pytest.mark.parametrize(
    ("content", "whole"),
    [(b"", []), (b"torn", []), (b"one\n", [b"one\n"]), (b"one\n\ntw", [b"one\n", b"\n"]), (b"a\rb\n", [b"a\rb\n"])],
)
def test_a_torn_line_is_skipped_and_then_cut(path: Path, content: bytes, whole: list[bytes]) -> None:
    path.write_bytes(content)
    assert lines(path) == whole
    log = AppendLog(path)
    assert path.read_bytes() == content, "opening alone changes nothing"
    log.cut_torn_line()
    log.append(b"next")
    log.close()
    assert path.read_bytes() == b"".join(whole) + b"next\n"


def test_a_log_has_one_writer(path: Path) -> None:
    log = AppendLog(path)
    with pytest.raises(BlockingIOError, match="being written by another process") as caught:
        AppendLog(path)
    assert (caught.value.errno, caught.value.filename) == (errno.EWOULDBLOCK, str(path))
    code = f"from pathlib import Path; from o3gym.append_log import AppendLog; AppendLog(Path({str(path)!r}))"
    command, env = [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": ROOT}
    assert b"BlockingIOError" in subprocess.run(command, env=env, capture_output=True, check=False).stderr
    log.close()
    subprocess.run(command, env=env, check=True)


def test_a_file_that_is_replaced_before_it_is_locked_is_opened_anew(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else lines would go to a file that is no longer there."""
    path.write_bytes(b"old\n")
    lock, replaced = append_log._lock, []

    def late(file: int, locked: Path) -> None:
        if not replaced:
            write_whole(path, b"new\n")
        replaced.append(file)
        lock(file, locked)

    monkeypatch.setattr(append_log, "_lock", late)
    log = AppendLog(path)
    log.append(b"more")
    log.close()
    assert lines(path) == [b"new\n", b"more\n"]
    assert len(replaced) == 2


def test_a_log_that_cannot_be_opened_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AppendLog(tmp_path / "missing" / "log.jsonl")
    with pytest.raises(IsADirectoryError):
        AppendLog(tmp_path)


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_full_disk_takes_a_line_whole_or_not_at_all(path: Path, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    write, calls = os.write, list[int]()

    def full(file: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) > 1 or not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:taken])

    log = AppendLog(path)
    log.append(b"one")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left on device"):
            log.append(b"three four")
    assert path.read_bytes() == b"one\n"
    log.append(b"two")
    log.close()
    assert lines(path) == [b"one\n", b"two\n"]


def test_a_line_that_takes_several_writes_is_whole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))
    log = AppendLog(path)
    log.append(b"0123456789")
    log.close()
    assert lines(path) == [b"0123456789\n"]


def test_fsync_is_for_referenced_files_first_and_then_for_the_log(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_ino))
    log, picture = AppendLog(path), tmp_path / "sources" / "picture"
    log.write_file(picture, b"pixels")
    log.append(b"refers to the picture")
    log.sync_if_due()
    assert synced == [], "not due yet"
    monkeypatch.setattr(append_log, "SYNC_SECONDS", -1.0)
    log.sync_if_due()
    assert synced == [picture.stat().st_ino, path.stat().st_ino]
    log.close()
    assert synced[2:] == [path.stat().st_ino], "the picture is on the disk already"


def test_a_file_has_the_old_content_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    write_whole(path, b"old")

    def half(file: Path, data: bytes) -> int:
        file.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", half)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, b"new")
    assert [file.name for file in path.parent.iterdir()] == ["rows.jsonl"]
    assert path.read_bytes() == b"old"
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"


SHARED = """
import sys
from pathlib import Path
from o3gym.append_log import append_shared
for number in range(300):
    append_shared(Path(sys.argv[1]), (sys.argv[2] * 400 + str(number)).encode())
"""


def test_processes_that_share_a_file_never_mix_their_lines(path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": ROOT}
    writers = [subprocess.Popen([sys.executable, "-c", SHARED, str(path), name], env=env) for name in "abc"]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    found = lines(path)
    assert sorted(found) == sorted(f"{name * 400}{number}\n".encode() for name in "abc" for number in range(300))


def test_a_shared_file_keeps_what_another_process_left_torn(path: Path) -> None:
    path.write_bytes(b"torn")
    append_shared(path, b"one")
    append_shared(path, b"two")
    assert lines(path) == [b"tornone\n", b"two\n"]


KILLED = """
import sys
from pathlib import Path
from o3gym.append_log import AppendLog, whole_lines
log = AppendLog(Path(sys.argv[1]))
log.cut_torn_line()
number = sum(1 for _ in whole_lines(log.path))
while True:
    log.append(b"%d " % number * 2000)
    number += 1
"""


def test_killed_at_any_moment_a_log_has_every_line_once(path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": ROOT}
    for _ in range(2):
        size = path.stat().st_size if path.exists() else 0
        writer = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], env=env)
        deadline = time.monotonic() + 60
        while not (path.exists() and path.stat().st_size > size + 500_000):
            assert writer.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert [line.split() for line in lines(path)] == [[b"%d" % n] * 2000 for n in range(len(lines(path)))]


def test_processes_that_write_the_same_file_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, own = tmp_path / "record.json", os.getpid()
    with replacing(path) as partial:
        partial.write_bytes(b"mine")
        monkeypatch.setattr(os, "getpid", lambda: own + 1)
        write_whole(path, b"theirs")
        assert path.read_bytes() == b"theirs"
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]
