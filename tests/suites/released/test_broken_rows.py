"""One broken row among forty never makes a table unusable: in every suite that reads files, and in every format."""

from __future__ import annotations

import csv
import json
import math
import pickle
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.media.images import shared_store
from o3gym.registry import SUITES
from o3gym.suites.base import BadRow, BadTask, SuiteError, make_suite
from o3gym.suites.released.base import Released
from o3gym.suites.released.rows import JsonTable, ParquetTable
from o3gym.suites.released.tsv import TsvTable
from tests.suites.released import released_files as released
from tests.suites.released.released_files import opened, written

READING = sorted(released.FILES)
OF_ROWS = [name for name in READING if name != "activitynet-mr"]
"""The suites whose files are tables; the file of ActivityNet Captions is one object."""
ROWS, BROKEN = 40, 17
ODD: list[Any] = [
    None,
    "",
    "\0",
    "x" * 5000,
    3,
    -1.5,
    math.nan,
    True,
    [],
    [None],
    [[1]],
    {},
    {"a": 1},
    [{"role": "user"}],
]
"""Values that no column expects."""


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return list(pq.read_table(path).to_pylist())
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".tsv":
        limit = csv.field_size_limit(1 << 30)  # of the whole process
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return list(csv.DictReader(file, delimiter="\t"))
        finally:
            csv.field_size_limit(limit)
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else list(json.loads(text))


def write_rows(path: Path, rows: list[dict[str, Any]], broken: int = -1) -> None:
    """Writes rows; the one with the number `broken` is no row at all or, in Parquet, lacks all but its pictures."""
    if path.suffix == ".parquet":
        pictures = {"image", "images", "bytes", "decoded_image", "category"}
        empty = {key: value if key in pictures else None for key, value in rows[broken].items()}
        released.parquet(path, [empty if i == broken else row for i, row in enumerate(rows)])
    elif path.suffix == ".tsv":
        released.tsv(path, list(rows[0]), rows)
        table = TsvTable(path, ())
        if broken >= 0:
            data, starts = path.read_bytes(), [*table._starts, 0] if len(table) else []
            path.write_bytes(data[: starts[broken]] + b"no row\n" + data[starts[broken + 1] :])
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(rows[0])
            writer.writerows(["no row"] if i == broken else list(row.values()) for i, row in enumerate(rows))
    elif path.suffix == ".jsonl":
        path.write_text("".join(("{no row" if i == broken else json.dumps(row)) + "\n" for i, row in enumerate(rows)))
    else:
        path.write_text(json.dumps([5 if i == broken else row for i, row in enumerate(rows)]))


def forty(suite: Released, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Forty rows of a suite's file with different ids, made from those rows that become tasks."""
    made = []
    for number in range(ROWS):
        row = dict(rows[number % len(rows)])
        if suite.identity:
            row[suite.identity[-1]] = type(row[suite.identity[-1]])(number)
        made.append(row)
    return made


def good_rows(suite: Released, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The rows that become tasks, with one item each where a list becomes several tasks."""
    column = getattr(suite, "exploded", "")
    for row in rows:
        items = row[column] if isinstance(row.get(column), list) else [...]
        for item in items:
            if suite.belongs(row if item is ... else {**row, column: item}):
                yield row if item is ... else {**row, column: [item]}


def with_forty_rows(name: str, folder: Path, broken: int = BROKEN) -> dict[str, Any]:
    """Writes a suite's files with forty rows in one table, one of which is broken. Returns the suite's arguments."""
    shutil.copytree(written(name), folder, dirs_exist_ok=True)
    arguments = {"suite": name, "split": SUITES[name].splits[0], "suite_args": {"data": str(folder)}}
    suite = make_suite(name, arguments["split"], data=str(folder))
    table, *others = suite.opened_files
    for other in others:
        other.unlink()
    write_rows(table, forty(suite, list(good_rows(suite, rows_of(table)))), broken)
    return arguments


@pytest.mark.parametrize("name", OF_ROWS)
def test_one_broken_row_of_forty_is_skipped_counted_and_named(name: str, tmp_path: Path) -> None:
    arguments = with_forty_rows(name, tmp_path / "data")
    bench = Bench(**arguments, episodes=0)
    protocol = bench.protocol()
    assert (len(bench.jobs()), protocol["tasks"], protocol["skipped"]) == (ROWS - 1, ROWS - 1, 1)
    assert protocol["skipped_indices"] == [BROKEN]
    (warning,) = [text for text in protocol["warnings"] if "were skipped" in text]
    suite = bench.open_suite()
    with pytest.raises(BadTask) as caught:
        suite[BROKEN]
    assert str(caught.value) in warning
    assert Path(caught.value.file).is_file()
    assert caught.value.row in (f"row {BROKEN + 1}", f"line {BROKEN + 1}")
    assert caught.value.field
    assert caught.value.reason.startswith("expected ")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.row) == (str(caught.value), caught.value.row)
    for index in (BROKEN - 1, BROKEN + 1):
        assert shared_store().size(suite[index].sources[0]) > (0, 0)


@pytest.mark.parametrize("name", READING)
def test_a_value_that_nobody_expects_makes_a_bad_row_and_no_crash(name: str, tmp_path: Path) -> None:
    suite = make_suite(name, SUITES[name].splits[0], data=str(written(name)))
    row = dict(suite.table[0])
    for column in row:
        for odd in (*ODD, ...):
            changed = {key: value for key, value in row.items() if key != column}
            _try(suite, changed if odd is ... else {**changed, column: odd})


def _try(suite: Released, row: Mapping[str, Any]) -> None:
    """Converts a row in the place of the first one of a suite's table."""
    suite.__dict__["_row"] = lambda number: {**dict.fromkeys(suite.table.columns), **row}
    try:
        suite.task(0)
    except BadTask as problem:
        assert problem.field  # noqa: PT017 - a task is as good
    finally:
        del suite.__dict__["_row"]


@pytest.mark.parametrize("name", ["treebench", "vstar", "mmstar"])
def test_the_later_of_two_rows_with_one_id_is_the_bad_one(name: str, tmp_path: Path) -> None:
    arguments = with_forty_rows(name, tmp_path / "data", broken=-1)
    suite = make_suite(name, arguments["split"], data=str(tmp_path / "data"))
    (table,) = suite.opened_files
    rows = rows_of(table)
    for column in suite.identity:
        rows[9][column] = rows[3][column]
    write_rows(table, rows)
    bench = Bench(**arguments, episodes=0)
    assert bench.protocol()["skipped_indices"] == [9]
    assert bench.open_suite()[3].answer
    with pytest.raises(
        BadTask, match=r'(row|line) 10, field "\w+": expected a unique id \(.*(row|line) 4 has it, too\)'
    ):
        bench.open_suite()[9]


# ── tables ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def read(table: Any) -> list[Any]:
    """The rows of a table; the reason in the place of a bad one."""
    rows: list[Any] = []
    for index in range(len(table)):
        try:
            rows.append(dict(table[index]))
        except BadRow as problem:
            rows.append(problem.reason)
    return rows


def test_json_lines_keep_a_broken_line_as_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n{"a": \n[1]\n{"a": "\xff"}\n{"b": "\xe2\x80\xa8"}\r\n' + b"[" * 10**5)
    table = JsonTable(path)
    first, cut, listed, encoded, last, deep = read(table)
    assert (first, last) == ({"a": 1}, {"b": "\u2028"})
    assert [reason[:30] for reason in (cut, listed, encoded, deep)] == [
        "expected a JSON object (Expect",
        "expected a JSON object, got [1",
        "expected UTF-8 text (invalid s",
        "expected a JSON object (maximu",
    ]
    assert table.columns == ("a", "b")
    assert [table.where(i).rpartition(", ")[2] for i in range(6)] == [f"line {n}" for n in (1, 3, 4, 5, 6, 7)]
    assert [index for index, _ in table.readable()] == [0, 4]


def test_a_json_list_keeps_what_is_no_object_as_a_row_but_must_be_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"a": 1}, 5, null]')
    assert read(JsonTable(path)) == [{"a": 1}, "expected a JSON object, got 5", "expected a JSON object, got None"]
    for text, words in (
        ("<html>", "expected JSON"),
        ('{"a": 1}', "expected a list"),
        ("[7]", "no row of the file is good"),
    ):
        path.write_text(text)
        with pytest.raises(SuiteError, match=words):
            JsonTable(path)


def test_a_tsv_keeps_a_row_with_other_fields_or_bytes_as_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"index\tb\n1\tx\n2\n3\tx\ty\n4\t\xff\n5\tx\n")
    assert read(TsvTable(path)) == [
        {"index": "1", "b": "x"},
        "expected 2 fields, got 1",
        "expected 2 fields, got 3",
        "expected UTF-8 text (invalid start byte at byte 0), got b'\\xff'",
        {"index": "5", "b": "x"},
    ]


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_a_stray_quote_breaks_no_other_row(chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.suites.released.tsv.CHUNK", chunk)
    path = tmp_path / "a.tsv"
    path.write_bytes(b'index\tb\n1\tsay "x\n2\t5" and 6"\n3\t"a ""b""\nc"\n4\t"open\n5\tx\n6\t"y"\n7\tz\n')
    rows = read(TsvTable(path))
    assert rows[:3] == [
        {"index": "1", "b": 'say "x'},
        {"index": "2", "b": '5" and 6"'},
        {"index": "3", "b": 'a "b"\nc'},
    ]
    assert rows[3].startswith("expected text in quotes that are closed before the end of the row, got b'\"open")
    assert rows[4:] == [{"index": "7", "b": "z"}]
    path.write_bytes(b'index\tb\n1\t"open\n2\tx\n3\ty\n')
    assert read(TsvTable(path)) == [{"index": "1", "b": "open"}, {"index": "2", "b": "x"}, {"index": "3", "b": "y"}]
    path.write_bytes(b'index\tb\n"1\topen\n2\tx\n')
    assert read(TsvTable(path)) == ["expected 2 fields, got 1", {"index": "2", "b": "x"}]
    path.write_bytes(b'index\tb\n1\tx\n2\t"cut')
    with pytest.raises(SuiteError, match="row 2: unclosed quote; is the download complete"):
        len(TsvTable(path))


def test_a_reference_to_a_broken_row_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_bytes(b"index\timage\n7\n8\t" + b"x" * 100 + b"\n9\t7\n10\t8\n")
    table = TsvTable(path)
    assert table[3]["image"] == table[1]["image"]
    with pytest.raises(BadRow, match="expected a picture, or the index of a row that has one, got '7'"):
        table[2]


def test_a_parquet_text_that_is_not_utf8_is_a_bad_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([b"a", b"b", b"\xff", b"d"], pa.binary()).view(pa.binary())
    column = pa.Array.from_buffers(pa.string(), 4, texts.buffers())
    pq.write_table(pa.table({"question": column, "n": [1, 2, 3, 4]}), tmp_path / "a.parquet")
    rows = read(ParquetTable([tmp_path / "a.parquet"]))
    assert rows[1:] == [
        {"question": "b", "n": 2},
        "expected UTF-8 text, got 'other bytes in question'",
        {"question": "d", "n": 4},
    ]


def test_encoded_surrogates_in_parquet_are_replaced_and_counted(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = pa.array([b"a", b"b\xed\xa0\xbd", b"\xed\xa0\xbd\xed\xb8\x80", b"\xed\xa0"], pa.binary())
    column = pa.Array.from_buffers(pa.string(), 4, texts.buffers())
    pq.write_table(pa.table({"question": column, "n": [1.0, float("nan"), 3, 4]}), tmp_path / "a.parquet")
    table = ParquetTable([tmp_path / "a.parquet"])
    rows = read(table)
    assert rows[:3] == [
        {"question": "a", "n": 1},
        {"question": "b\ufffd", "n": None},
        {"question": "\U0001f600", "n": 3},
    ]
    assert (rows[3], table.replaced) == ("expected UTF-8 text, got 'other bytes in question'", 2)


# ── suites opened again, and pictures elsewhere ─────────────────────────────────────────────────────────────────────


def test_a_suite_is_opened_again_when_a_file_of_its_data_folder_has_changed(tmp_path: Path) -> None:
    first = opened("visualprobe-easy", tmp_path)
    assert make_suite("visualprobe-easy", "test", data=str(tmp_path)) is first
    released.visualprobe(tmp_path, solution="changed")
    assert make_suite("visualprobe-easy", "test", data=str(tmp_path))[0].answer == "changed"
    (tmp_path / "VisualProbe_Easy" / "val.json").unlink()
    with pytest.raises(SuiteError, match="expected a file like"):
        make_suite("visualprobe-easy", "test", data=str(tmp_path))


OUTSIDE: dict[str, Callable[[str], dict[str, Any]]] = {
    "vstar": lambda path: {"image": path},
    "visualprobe-easy": lambda path: {"images": [f"VisualProbe_Easy/{path}"]},
    "o3-bench": lambda path: {"file_name": path},
    "visual-cot": lambda path: {"image": path},
    "vstar-train": lambda path: {"image": path},
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_table_names_no_pictures_outside_of_its_folder(name: str, tmp_path: Path) -> None:
    for folder in ("theirs", "private"):
        (tmp_path / folder).mkdir()
    private = tmp_path / "private" / "a.jpg"
    private.write_bytes(released.jpeg())
    private.with_suffix(".json").write_text((written("vstar") / "direct_attributes" / "sa_0.json").read_text())
    for path in (str(private), "../../../../private/a.jpg", "../../../private/a.jpg", "../../private/a.jpg"):
        suite = opened(name, tmp_path / "theirs", OUTSIDE[name](path))
        with pytest.raises(
            BadTask, match=r"expected (a file below .*theirs.* \(roots= names further folders\)|an existing)"
        ):
            suite[0]
    suite = opened(name, tmp_path / "theirs", OUTSIDE[name](str(private)), roots=f"/nowhere+{private.parent}")
    if name != "visualprobe-easy":  # its paths are below the repository's folder, whatever they are
        assert suite[0].sources[0].ref == str(private)


def test_the_links_of_the_hubs_cache_are_followed(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "datasets--x" / "blobs", tmp_path / "datasets--x" / "snapshots" / "0123"
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    released.vstar(snapshot)
    for number, path in enumerate(sorted(snapshot.rglob("*.*"))):
        path.rename(blobs / str(number))
        path.symlink_to(blobs / str(number))
    assert len(list(make_suite("vstar", data=str(snapshot)))) == 2
