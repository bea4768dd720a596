from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from o3gym.suites.base import BadTask, SuiteError, make_suite
from o3gym.suites.local import Local
from o3gym.types import Source, Target

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes rows (objects, or lines as they are) next to a 100×50 picture, a rotated one and a broken one."""
    Image.new("RGB", (100, 50)).save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.new("RGB", (100, 50)).save(tmp_path / "turned.jpg", exif=exif)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")

    def make(*rows: Any) -> Path:
        path = tmp_path / "index.jsonl"
        lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("\n".join(lines), "utf-8")
        return path

    return make


def row(**fields: Any) -> dict[str, Any]:
    given = {"image": "a.png", "question": "Which?", "answer": "red", **fields}
    return {key: value for key, value in given.items() if value is not ...}


def test_the_rows_of_a_good_file(local: str, photos: Path) -> None:
    suite = make_suite(local)
    choice, free, box, pair = suite
    assert (len(suite), suite.kinds) == (4, {"choice", "free", "box"})
    assert choice.id == "local/1"
    assert choice.sources == (Source.file(str(photos / "street.png")),)
    assert choice.text == "Which colour?\nA. red\nB. blue"
    assert (choice.kind, choice.answer, choice.choices) == ("choice", "B", ("red", "blue"))
    assert choice.targets == (Target((0.1, 0.1, 0.2, 0.2)), Target((0.5, 0.5, 0.6, 0.75), 0, "door"))
    assert choice.tags == {"category": "colour"}
    assert choice.origin == {"suite": "local", "version": "0", "split": "test", "index": 1}
    assert (free.kind, free.answer, free.choices, free.tags) == ("free", "flour", (), {})
    assert (box.kind, box.answer, box.targets) == ("box", "", (Target((0.25, 0.5, 0.5, 0.75)),))
    assert (pair.id, pair.kind, len(pair.sources)) == ("local/pair", "choice", 2)
    assert pair.targets == (Target((0.0, 0.0, 0.5, 0.1), 1),)
    assert suite[-1] == pair
    assert suite[1:3] == [free, box]


def test_a_folder_stands_for_its_only_index(photos: Path) -> None:
    assert len(make_suite(f"local:{photos}")) == 4


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"options": "(A) red\n(B) blue\n", "answer": "A"}, {"choices": ("red", "blue")}),
        ({"options": "A: red\nB: blue", "answer": " B "}, {"choices": ("red", "blue"), "answer": "B"}),
        ({"options": ["A. red", "green"], "answer": "A"}, {"choices": ("A. red", "green")}),
        ({"options": ""}, {"kind": "free"}),
        ({"options": None}, {"kind": "free"}),
        ({"answer": 42}, {"answer": "42"}),
        ({"question": "  two\u2028lines "}, {"question": "two\u2028lines"}),
        ({"image": ..., "file_name": "a.png"}, {}),
        ({"image": ..., "images": "a.png"}, {}),
        ({"category": "x"}, {"tags": {"category": "x"}}),
        ({"subset": None, "category": "x"}, {"tags": {"category": "x"}}),
        ({"subset": None}, {"tags": {}}),
        ({"question_id": 7}, {"id": "local/7"}),
        ({"question_id": 0}, {"id": "local/0"}),
        ({"question_id": None}, {"id": "local/1"}),
        ({"answer": ..., "boxes": []}, {"kind": "box", "targets": ()}),  # "it is not in the picture"
        ({"answer": None, "boxes": [[0, 0, 100, 50]]}, {"kind": "box", "targets": (Target((0, 0, 1, 1)),)}),
        ({"boxes": None}, {"targets": (), "kind": "free"}),
        ({"image": "turned.jpg", "boxes": [[0, 0, 25, 50]]}, {"targets": (Target((0, 0, 0.5, 0.5)),)}),
        ({"source": "somewhere", "split": "x", "image_id": 3}, {}),
    ],
)
def test_rows_may_be_written_in_several_ways(write: Write, fields: dict[str, Any], expected: dict[str, Any]) -> None:
    task = Local(str(write(row(**fields))))[0]
    assert {name: getattr(task, name) for name in expected} == expected


def test_blank_lines_byte_order_marks_and_line_ends_do_not_matter(write: Write) -> None:
    path = write("\ufeff" + json.dumps(row()), "", "  ", json.dumps(row()) + "\r")
    assert [task.id for task in Local(str(path))] == ["local/1", "local/4"]


def test_boxes_may_be_fractions_and_pictures_elsewhere(write: Write, tmp_path: Path) -> None:
    path = write(row(boxes=[[0.1, 0.2, 0.3, 0.4]]))
    suite = make_suite(f"local:{path}?box_frame=unit")
    assert suite[0].targets == (Target((0.1, 0.2, 0.3, 0.4)),)
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (5, 5)).save(tmp_path / "pictures" / "b.png")
    path = write(row(image="b.png"))
    assert Local(str(path), images=str(tmp_path / "pictures"))[0].sources[0].ref.endswith("pictures/b.png")


@pytest.mark.parametrize(
    ("bad", "field", "expected"),
    [
        ("{", "(whole row)", "a JSON object"),
        ("[" * 100_000, "(whole row)", "a JSON object"),
        ("3", "(whole row)", "a JSON object"),
        ('{"image": "a.png"', "(whole row)", "a JSON object"),
        (row(image=...), "image", "a path or a list of paths, got None"),
        (row(image=3), "image", "a path or a list of paths, got 3"),
        (row(images=[], image=...), "images", "a path or a list of paths"),
        (row(images=["a.png", None], image=...), "images", "a path or a list of paths"),
        (row(image="b.png"), "image", 'an existing file; did you mean "a.png"?'),
        (row(image="no/where.png"), "image", "an existing file"),
        (row(image="."), "image", "an existing file"),
        (row(question=...), "question", "a text, got None"),
        (row(question="  "), "question", "a text"),
        (row(question=["Which?"]), "question", "a text"),
        (row(answer=...), "answer", "the answer (or boxes, for a region search)"),
        (row(answer=None), "answer", "the answer (or boxes, for a region search)"),
        (row(answer=""), "answer", "a text or number"),
        (row(answer=" ", boxes=[]), "answer", "a text or number"),
        (row(answer=True), "answer", "a text or number"),
        (row(answer=["red"]), "answer", "a text or number"),
        (row(answer=float("nan")), "answer", "a text or number, got nan"),
        (row(answer=float("-inf"), boxes=[]), "answer", "a text or number, got nan"),
        ('{"image": "a.png", "question": "?", "answer": 1e999}', "answer", "a text or number, got inf"),
        (row(question=float("nan")), "question", "a text, got nan"),
        (row(question_id=["x"]), "question_id", "a text or number, got ['x']"),
        (row(image="x" * 5000), "image", "an existing file"),
        (row(image="a\0.png"), "image", "a path of a file"),
        (row(options="A. red\nB. blue", answer="C"), "answer", "one of the letters AB, got 'C'"),
        (row(options="A. red\nB. blue", answer="AB"), "answer", "one of the letters AB"),
        (
            row(options="A. red\nB. blue", answer="red"),
            "answer",
            'one of the letters AB (did you mean "A"?), got',
        ),
        (row(options="A. red\nB. blue", answer="b."), "answer", 'one of the letters AB (did you mean "B"?), got'),
        (row(options="A. red\nB. blue", answer="(b)"), "answer", 'one of the letters AB (did you mean "B"?), got'),
        (row(options="A. red\nB. blue", answer="(B) blue."), "answer", '(did you mean "B"?), got'),
        (row(options="A. red\nB. blue", answer="B: blue"), "answer", '(did you mean "B"?), got'),
        (row(options="A. 1.5\nB. 20", answer="15"), "answer", "one of the letters AB, got '15'"),
        (row(options="A. red\nB. blue", answer="A. blue"), "answer", "one of the letters AB, got 'A. blue'"),
        (row(options="A. red\nB. Red", answer="red."), "answer", "one of the letters AB, got 'red.'"),
        (row(options="A. red\nB. blue", answer=""), "answer", "a text or number"),
        (row(options="A. red\nB. blue", answer=None, boxes=[]), "answer", "one of the letters AB"),
        (row(options="A. red"), "options", "2 to 26 options"),
        (row(options=["x"] * 27), "options", "2 to 26 options"),
        (row(options={"A": "red", "B": "blue"}), "options", "2 to 26 options"),
        (row(options=["red", 3]), "options", "2 to 26 options"),
        (row(options=["red", ""], answer="B"), "options", "2 to 26 options"),
        (row(options="A. red\nC. blue"), "options", "letters A, B, C, … in order, got 'AC'"),
        (row(boxes="0,0,1,1"), "boxes", "a list"),
        (row(boxes={"box": [0, 0, 1, 1]}), "boxes", "a list"),
        (row(boxes=False), "boxes", "a list"),
        (row(boxes=[0, 0, 10, 10]), "boxes", "[x0, y0, x1, y1] of four numbers, got 0"),
        (row(boxes=[[0, 0, 10]]), "boxes", "[x0, y0, x1, y1] of four numbers"),
        (row(boxes=[[0, 0, 10, None]]), "boxes", "[x0, y0, x1, y1] of four numbers"),
        (row(boxes=[[0, 0, 10, float("nan")]]), "boxes", "[x0, y0, x1, y1] of four numbers"),
        (row(boxes=[[0, 0, 10, 10**400]]), "boxes", "[x0, y0, x1, y1] of four numbers"),
        (row(boxes=[{"bbox": [0, 0, 10, 10]}]), "boxes", "[x0, y0, x1, y1] of four numbers, got None"),
        (row(boxes=[[10, 0, 5, 10]]), "boxes", "x0 < x1 and y0 < y1 inside the picture, in pixels"),
        (row(boxes=[[0, 0, 101, 10]]), "boxes", "inside the picture"),
        (row(boxes=[[-1, 0, 10, 10]]), "boxes", "inside the picture"),
        (row(image="turned.jpg", boxes=[[0, 0, 100, 50]]), "boxes", "inside the picture"),
        (row(boxes=[{"box": [0, 0, 1, 1], "image": 1}]), "boxes", "an image index from 0 to 0, got 1"),
        (row(boxes=[{"box": [0, 0, 1, 1], "image": "0"}]), "boxes", "an image index from 0 to 0"),
        (row(boxes=[{"box": [0, 0, 1, 1], "image": False}]), "boxes", "an image index from 0 to 0"),
        (row(image="broken.png", boxes=[[0, 0, 1, 1]]), "image", "a readable picture"),
        (row(answer=..., answers="red"), "answers", 'the field "answer"'),
        (row(option="A. x\nB. y"), "option", 'the field "options"'),
        (row(question_id="first"), "question_id", "a unique id, got 'local/first'"),
    ],
)
def test_a_bad_row_is_reported_with_file_line_field_and_expectation(
    write: Write, bad: Any, field: str, expected: str
) -> None:
    path = write(row(question_id="first"), "", bad, row())
    suite = Local(str(path))
    assert [suite[index].id for index in (0, 2)] == ["local/first", "local/4"]
    with pytest.raises(BadTask) as caught:
        suite[1]
    assert (caught.value.file, caught.value.row, caught.value.field) == (str(path), "line 3", field)
    message = str(caught.value)
    assert message.startswith(f'{path}, line 3, field "{field}": expected ')
    assert expected in message
    assert len(message) < 600


def test_a_file_without_a_good_row_is_an_error_that_names_five_of_them(write: Write) -> None:
    with pytest.raises(SuiteError, match=r'line 1, field "question".*line 5, field "answer": [^;]*\(and 2 more\)$'):
        Local(str(write(*[row(question=3)] * 4, *[row(answer={})] * 3)))
    with pytest.raises(SuiteError, match=r"line 1, .*no row of the file is good"):
        Local(str(write("<html>", "<body>")))


def test_files_that_are_not_there_empty_or_not_text(write: Write, tmp_path: Path) -> None:
    for argument in ("", str(tmp_path / "gone.jsonl")):
        with pytest.raises(SuiteError, match=r'expected "local:FILE.jsonl", an existing file or folder, got'):
            Local(argument)
    with pytest.raises(SuiteError, match=r"exactly one .jsonl file in .*, found none; name the file"):
        Local(str(tmp_path))
    path = write()
    with pytest.raises(SuiteError, match=r"index.jsonl: expected at least one row, got an empty file"):
        Local(str(path))
    (tmp_path / "other.jsonl").touch()
    with pytest.raises(SuiteError, match=r"found index.jsonl, other.jsonl; name the file"):
        Local(str(tmp_path))
    path.write_bytes(json.dumps(row()).encode() + b"\n" + '{"question": "größer?"}'.encode("latin-1"))
    with pytest.raises(BadTask, match=r'index.jsonl, line 2, field "\(whole row\)": expected UTF-8 text'):
        Local(str(path))[1]
    with pytest.raises(ValueError, match='box_frame: unknown "pixels"; did you mean "pixel"'):
        Local(str(path), box_frame="pixels")


def test_picks_are_different_tasks_and_repeat_by_seed(local: str) -> None:
    suite = make_suite(local)
    assert suite.pick(3, seed=1) == suite.pick(3, seed=1)
    assert sorted(suite.pick(99, seed=2)) == [0, 1, 2, 3]
    assert len({tuple(suite.pick(4, seed)) for seed in range(20)}) > 5
    assert make_suite(local) is suite


def test_an_edited_file_is_read_again(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    index = tmp_path / "index.jsonl"
    for number, answer in enumerate(("red", "blue")):
        index.write_text(json.dumps({"image": "a.png", "question": "?", "answer": answer}))
        os.utime(index, ns=(number * 10**9, number * 10**9))
        assert make_suite(f"local:{index}")[0].answer == answer


def test_missing_categories_are_written_as_nan(write: Write) -> None:
    assert Local(str(write(row(subset=float("nan"), category="x"))))[0].tags == {"category": "x"}


def test_missing_fields_are_written_as_nan_apart_from_the_answer(write: Write) -> None:
    nan = float("nan")
    task = Local(str(write(row(options=nan, boxes=nan, question_id=nan))))[0]
    assert (task.id, task.kind, task.choices, task.targets) == ("local/1", "free", (), ())
    labelled = Local(str(write(row(boxes=[{"box": [0, 0, 10, 10], "label": nan}]))))[0]
    assert labelled.targets[0].label == ""


def test_an_option_on_several_lines_stays_one_option(write: Write) -> None:
    suite = Local(str(write(row(options="(A) red\nor pink\n\n(B) blue", answer="B"), row(options="A\nB", answer="B"))))
    assert suite[0].choices == ("red\nor pink", "blue")
    assert suite[1].choices == ("A", "B")


def test_lone_surrogates_are_replaced_and_counted(write: Write) -> None:
    path = write('{"image": "a.png", "question": "a\\ud83d?", "answer": "\\udc80"}', row(question="\U0001f600"))
    suite = Local(str(path))
    assert (suite[0].question, suite[0].answer, suite[1].question) == ("a\ufffd?", "\ufffd", "\U0001f600")
    assert suite.warnings == ("local: 1 row contains lone surrogates, which were replaced by U+FFFD",)


def test_encoded_surrogates_are_replaced_and_counted_like_escaped_ones(write: Write) -> None:
    path = write(
        row(question="fine"), row(question="XX?"), row(question="YY?"), row(question="ZZ"), row(question="größer")
    )
    data = path.read_bytes().replace(b"XX", b"a\xed\xa0\xbd").replace(b"YY", b"\xed\xa0\xbd\xed\xb8\x80")
    path.write_bytes(data.replace(b"ZZ", b"\xe9"))
    suite = Local(str(path))
    assert [suite[i].question for i in (0, 1, 2, 4)] == ["fine", "a\ufffd?", "\U0001f600?", "größer"]
    assert suite.warnings == ("local: 1 row contains lone surrogates, which were replaced by U+FFFD",)
    with pytest.raises(BadTask, match=r"line 4, .*expected UTF-8 text \(invalid continuation byte"):  # Latin-1
        suite[3]


@pytest.fixture
def stranger(tmp_path: Path) -> tuple[Path, Path]:
    """A folder for a stranger's file, and one with a private picture beside it."""
    for name in ("theirs", "private"):
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    (tmp_path / "theirs" / "link.png").symlink_to(tmp_path / "private" / "a.png")
    (tmp_path / "theirs" / "folder").symlink_to(tmp_path / "private")
    return tmp_path / "theirs", tmp_path / "private"


@pytest.mark.parametrize(
    "name", ["../private/a.png", "{private}/a.png", "link.png", "folder/a.png", "./../private/a.png"]
)
def test_a_strangers_file_reads_no_pictures_elsewhere(name: str, stranger: tuple[Path, Path]) -> None:
    theirs, private = stranger
    name = name.format(private=private)
    index = theirs / "index.jsonl"
    index.write_text("".join(json.dumps(row(image=image)) + "\n" for image in ("a.png", name, "./a.png")))
    suite = Local(str(index))
    assert len([suite[0], suite[2]]) == 2
    with pytest.raises(
        BadTask, match=rf"expected a file below {theirs} \(roots= names further folders\), got"
    ) as caught:
        suite[1]
    assert caught.value.field == "image"
    assert make_suite(f"local:{index}?roots=/nowhere+{private}")[1].sources[0].ref == str(theirs / name)


def test_a_file_address_is_no_path(stranger: tuple[Path, Path]) -> None:
    theirs, private = stranger
    (theirs / "index.jsonl").write_text(
        "".join(json.dumps(row(image=i)) + "\n" for i in ("a.png", f"file://{private}/a.png"))
    )
    with pytest.raises(BadTask, match="expected an existing file"):
        make_suite(f"local:{theirs}")[1]


def test_the_folder_of_images_is_a_root(stranger: tuple[Path, Path]) -> None:
    theirs, private = stranger
    (theirs / "index.jsonl").write_text(json.dumps(row()))
    assert make_suite(f"local:{theirs}?images={private}")[0].sources[0].ref == str(private / "a.png")


def test_the_fingerprint_changes_with_the_file_and_with_its_pictures(write: Write, tmp_path: Path) -> None:
    path = write(row(), row(image="turned.jpg"))
    first = Local(str(path)).fingerprint()
    assert Local(str(path)).fingerprint() == first
    os.utime(tmp_path / "turned.jpg", ns=(1, 1))
    touched = Local(str(path)).fingerprint()
    assert {key for key in first if touched[key] != first[key]} == {"pictures_sha256"}
    os.utime(tmp_path / "broken.png", ns=(1, 1))  # no row names it
    assert Local(str(path)).fingerprint() == touched
    edited = Local(str(write(row(), row(image="turned.jpg", answer="blue")))).fingerprint()
    assert {key for key in first if touched[key] != edited[key]} == {"file_sha256"}
