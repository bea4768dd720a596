from __future__ import annotations

from pathlib import Path

import pytest

from o3gym.runs.store import RunError
from o3gym.synthesis.journal import Journal, key_of


def test_values_stay_and_the_last_counts(tmp_path: Path) -> None:
    path = tmp_path / "new" / "journal.log"
    with Journal(path) as journal:
        assert journal.get("a") is None
        journal.put("a", "other")
        journal.put("a", {"text": "line\u2028 \ud800", "finish": "stop"})
    with Journal(path) as journal:
        assert journal.get("a") == {"text": "line\u2028 \ud800", "finish": "stop"}
    assert path.read_bytes().count(b"\n") == 2


def test_a_torn_line_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    with Journal(path) as journal:
        journal.put("a", 1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"key": "b", "val')
    with Journal(path) as journal:
        assert (journal.get("a"), journal.get("b")) == (1, None)
        journal.put("b", 2)
    with Journal(path) as journal:
        assert journal.get("b") == 2


def test_one_process_at_a_time_and_no_other_files(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    with Journal(path), pytest.raises(RunError, match="another process"):
        Journal(path)
    path.write_text('{"key": "a", "value": 1}\n[1]\n')
    with pytest.raises(RunError, match=r"journal\.log, line 2: expected"):
        Journal(path)


def test_keys_tell_values_apart() -> None:
    assert key_of("a", {"x": 1, "y": 2}) == key_of("a", {"y": 2, "x": 1})
    assert len({key_of("a", "b"), key_of("ab"), key_of("a", "b", ""), key_of(["a", "b"])}) == 4
