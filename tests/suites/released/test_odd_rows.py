"""Rows of the odd forms that released files have. The content is invented."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o3gym.media.images import shared_store
from o3gym.suites.base import BadRow, SuiteError, make_suite
from o3gym.suites.released.fields import clipped_box, word
from o3gym.suites.released.hrbench import HRBench4K, HRBench8K
from o3gym.suites.released.options import columns_of_options, lettered, lettered_lines
from o3gym.suites.released.rows import JsonTable, ParquetTable
from o3gym.suites.released.visualprobe import VisualProbeEasy
from o3gym.types import Source
from tests.suites.released import released_files as released
from tests.suites.released.released_files import opened

HINT = "Hint: Please reply with the letter, e.g., A, B, C, D, at the end."


# ── options ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_options_that_are_called_none_are_options() -> None:
    row = {"A": "One", "B": "Two", "C": "N/A", "D": "None"}
    assert columns_of_options(row, "ABCD") == ("One", "Two", "N/A", "None")
    assert columns_of_options({**row, "D": "nan"}, "ABCDE") == ("One", "Two", "N/A", "nan")


@pytest.mark.parametrize("missing", ["", "  ", None, math.nan])
def test_only_empty_cells_and_nulls_are_missing_options(missing: object) -> None:
    row = {"A": 0, "B": 1.5, "C": missing, "D": missing}
    assert columns_of_options(row, "ABCD") == ("0", "1.5")
    with pytest.raises(BadRow, match='field "C": expected an option, because a later column has one'):
        columns_of_options({**row, "D": "None"}, "ABCD")
    with pytest.raises(BadRow, match='field "A": expected at least two options'):
        columns_of_options({**row, "B": missing}, "ABCD")


def test_an_option_may_contain_line_breaks() -> None:
    assert lettered(["(A) first\r\nsecond", "(B)  b", "(C)c"], "options") == ("first\r\nsecond", "b", "c")
    text = "Which text?\nA. first\nsecond\nB. b\n  C. c\n"
    assert lettered_lines(text, "options") == ("Which text?", ("first\nsecond", "b", "c"))


def test_the_first_of_two_options_with_one_letter_counts() -> None:
    options = ["(A) a", "(B) b", "(B) None of the above", "(C) None of these"]
    assert lettered(options, "options") == ("a", "b", "None of these")


def test_a_line_of_the_question_that_looks_like_an_option_is_left_in_the_question() -> None:
    text = "A. Smith wrote to\nB. Jones. Who is older?\n(A) Smith\n(B) Jones"
    assert lettered_lines(text, "options") == ("A. Smith wrote to\nB. Jones. Who is older?", ("Smith", "Jones"))


@pytest.mark.parametrize("text", ["A. a\nC. c", "A. a\nB. b\nD. d", "B. b\nC. c", "A. a\nB.\nC. c", "a\nb", ""])
def test_options_with_gaps_are_refused(text: str) -> None:
    with pytest.raises(BadRow, match='field "options": expected'):
        lettered_lines(text, "options")


# ── suites ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_vstar_takes_options_from_the_questions_and_boxes_from_the_file_beside_the_picture(tmp_path: Path) -> None:
    sentences = ["The colour of the cup is red.", "The colour of the cup is blue."]
    first, second = opened("vstar", tmp_path, {"beside": {"options": sentences}}, order="released")
    assert (first.choices, first.answer) == (("blue", "green", "red", "white"), "C")
    assert (second.choices, second.answer) == (("left", "right"), "A")
    assert first.targets[0].label == "cup"
    shuffled = make_suite("vstar", data=str(tmp_path))[0]
    assert sorted(shuffled.choices) == sorted(first.choices)
    assert shuffled.choices["ABCD".index(shuffled.answer)] == "red"


def test_vstar_needs_no_options_beside_the_picture_but_the_same_question(tmp_path: Path) -> None:
    assert len(list(opened("vstar", tmp_path / "a", {"beside": {"options": None, "question": "which is it"}}))) == 2
    with pytest.raises(SuiteError, match=r'line 1, field "text": expected the question of sa_0.json, "Where is it\?"'):
        opened("vstar", tmp_path / "b", {"beside": {"question": "Where is it?"}})[0]
    with pytest.raises(SuiteError, match='line 1, field "question": expected a text'):
        opened("vstar", tmp_path / "c", {"beside": {"question": None}})[0]


def test_vstar_keeps_an_option_of_two_lines_and_drops_the_instruction(tmp_path: Path) -> None:
    text = "Which\nis it?\n(A) blue\nor so\n(B) red\nAnswer with the option's letter from the given choices directly."
    task = opened("vstar", tmp_path, {"text": text, "label": "B"}, order="released")[0]
    assert (task.question, task.choices) == ("Which is it?", ("blue\nor so", "red"))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (f"{HINT}\nQuestion: How many?\nChoices:\n(A) 4\n(B) 7.5\n(C) 8\n(D) 9", "How many?"),
        (f"{HINT}\nQuestion: How many?\r\nChoices:\r\n(A) 4\r\n(B) 7.5\r\n(C) 8\r\n(D) 9", "How many?"),
        (f"{HINT}\nQuestion: How many?\n(A) 4\n(B) 7.5\n(C) 8\n(D) 9", "How many?"),
        (f"H+B7{HINT}\nQuestion: How many\nare there?\nChoices:\n(A) 4\n(B) 7.5\n(C) 8\n(D) 9", "How many\nare there?"),
        (" See <image 1>. How many?\nChoices:\n(A) 4\n(B) 7.5\n(C) 8\n(D) 9", "See <image 1>. How many?"),
        ("A hint: Hint: count. How many?\nOptions: A: 4, B: 7.5, C: 8, D: 9", "A hint: Hint: count. How many?"),
    ],
)
def test_mmstar_reads_options_on_lines_and_drops_the_hint(question: str, expected: str, tmp_path: Path) -> None:
    task = opened("mmstar", tmp_path, {"question": question})[0]
    assert (task.question, task.choices) == (expected, ("4", "7.5", "8", "9"))


def test_mmstar_may_have_three_options_and_options_called_nan(tmp_path: Path) -> None:
    three = opened("mmstar", tmp_path / "a", {"question": f"{HINT}\nQuestion: Which?\nChoices:\n(A) a\n(B) b\n(C) c"})
    assert three[0].choices == ("a", "b", "c")
    named = opened("mmstar", tmp_path / "b", {"question": "Which?\nOptions: A: a, B: b, C: nan, D: nan"})
    assert named[0].choices == ("a", "b", "nan", "nan")
    six = opened("mmstar", tmp_path / "c", {"question": "Which?\nOptions: A: a, B: b, C: c, D: d, E: e, F: f"})
    assert six[0].choices == ("a", "b", "c", "d", "e", "f")


def test_mme_realworld_reads_an_option_with_a_line_break(tmp_path: Path) -> None:
    options = ["(A)a", "(B) b...\r\n and more", "(C) c", "(D) d", "(E) The image does not feature it."]
    task = opened("mme-realworld-lite", tmp_path, {"multi-choice options": options})[0]
    assert task.choices == ("a", "b...\r\n and more", "c", "d", "The image does not feature it.")
    assert task.choices["ABCDE".index(task.answer)].startswith("b...")


def test_the_answer_e_of_mme_realworld_stays_reachable_behind_two_options_d(tmp_path: Path) -> None:
    options = ["(A) a", "(B) b", "(C) c", "(D) d", "(D) None of the above", "(E) All the above answers are wrong."]
    task = opened("mme-realworld-lite", tmp_path, {"multi-choice options": options, "answer": "E"})[0]
    assert task.choices["ABCDE".index(task.answer)] == "All the above answers are wrong."
    assert len(task.choices) == 5


def test_treebench_reads_options_without_dots_from_the_joined_text(tmp_path: Path) -> None:
    joined = "A Cast iron \nB Copper, polished\n C A stone\nD Glass."
    columns: dict[str, Any] = {"A": joined[2:], **dict.fromkeys("BCDEFGHIJK", "")}
    for name in "abc":
        (tmp_path / name).mkdir()
    choices = ("Cast iron", "Copper, polished", "A stone", "Glass.")
    whole = opened("treebench", tmp_path / "a", {"multi-choice options": joined, **columns, "answer": "C"})[0]
    assert (whole.choices, whole.answer) == (choices, "C")
    none = opened("treebench", tmp_path / "b", {"multi-choice options": joined, **columns, "A": ""})[0]
    assert none.choices == choices
    with pytest.raises(SuiteError, match='row 1, field "multi-choice options": expected'):
        opened("treebench", tmp_path / "c", {"multi-choice options": "A iron B stone", **columns})[0]


def test_treebench_keeps_a_last_option_called_none(tmp_path: Path) -> None:
    columns = {"A": "The first", "B": "The second", "C": "None", **dict.fromkeys("DEFGHIJK", "")}
    assert opened("treebench", tmp_path, columns)[0].choices == ("The first", "The second", "None")


# ── boxes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([8, 12, 24, 36], (0.125, 0.25, 0.375, 0.75)),
        ([32, 24, 80, 48], (0.5, 0.5, 1.0, 1.0)),  # two thirds of it are inside
        ([-16, -12, 32, 24], None),  # 4/9 of it are inside
        ([48, 24, 200, 48], None),
        ([100, 100, 120, 130], None),
        ([8, 12, 8, 12], None),
        ([24, 12, 8, 36], None),
    ],
)
def test_boxes_of_training_data_are_clipped_or_skipped(
    box: list[int], expected: tuple[float, ...] | None, tmp_path: Path
) -> None:
    path = tmp_path / "1.jpg"
    path.write_bytes(released.jpeg())
    assert clipped_box(box, Source.file(str(path)), "bboxs") == expected
    task = opened("visual-cot", tmp_path / "cot", {"bboxs": [box]})[0]
    assert [target.box for target in task.targets] == ([] if expected is None else [expected])
    assert (task.question, task.answer) == ("What is on the table?", "a cup")


def test_one_bad_box_leaves_the_others(tmp_path: Path) -> None:
    task = opened("visual-cot", tmp_path / "cot", {"bboxs": [[8, 12, 8, 12], [8, 12, 24, 36]]})[0]
    assert [target.box for target in task.targets] == [(0.125, 0.25, 0.375, 0.75)]
    instances = [{"name": "cup", "bbox": [60, 40, 90, 90]}, {"name": "dog", "bbox": [8, 12, 16, 24]}]
    seal = opened("vstar-train", tmp_path / "seal", {"target_instances": instances})[0]
    assert [target.label for target in seal.targets] == ["dog"]


def test_a_region_search_is_clipped_but_needs_a_box(tmp_path: Path) -> None:
    region = opened("infovqa-regions", tmp_path / "a", {"bbox": [20, 6, 44, 24]})[0]
    assert region.targets[0].box == (0.5, 0.2, 1.0, 0.8)
    with pytest.raises(SuiteError, match='field "bbox": expected x0 < x1 and y0 < y1 inside the picture of 40×30'):
        opened("infovqa-regions", tmp_path / "b", {"bbox": [50, 6, 60, 24]})[0]


# ── missing values and broken text ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "", []])
def test_a_missing_answer_is_no_text(value: object) -> None:
    with pytest.raises(BadRow, match='field "answer": expected a text or number'):
        word({"answer": value}, "answer")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_in_json_is_a_missing_value(value: str, tmp_path: Path) -> None:
    released.visualprobe(tmp_path, solution="@")
    file = tmp_path / "VisualProbe_Easy" / "val.json"
    file.write_text(file.read_text().replace('"@"', value, 1))
    suite = VisualProbeEasy(str(tmp_path))
    with pytest.raises(SuiteError, match=r'val.json, row 1, field "solution": expected a text or number'):
        suite[0]
    assert suite[1].answer == "@"


def test_nan_in_parquet_is_a_missing_value(tmp_path: Path) -> None:
    path = released.parquet(tmp_path / "a.parquet", [{"a": 1.5}, {"a": math.nan}, {"a": None}])
    assert [row["a"] for row in ParquetTable([path])] == [1.5, None, None]


def test_a_null_in_place_of_a_picture_makes_a_bad_row_of_parquet(tmp_path: Path) -> None:
    parquet, pyarrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    whole, text = {"bytes": b"x", "path": None}, "eA=="
    pictures = [whole, None, {"bytes": None, "path": "a.png"}, whole]
    path = tmp_path / "rows.parquet"
    columns = {"image": pictures, "crop": [None, text, text, text], "pages": [[text], None, [text], [text]]}
    parquet.write_table(pyarrow.table(columns), path, row_group_size=3)
    table = ParquetTable([path], ("image", "crop", "pages"))
    assert [row["image"] is None for row in table] == [False, True, True, False]
    assert [row["crop"] is None for row in table] == [True, False, False, False]
    assert isinstance(table[3]["image"], Source)


def test_lone_surrogates_are_replaced_and_counted(tmp_path: Path) -> None:
    released.visualprobe(tmp_path, problem="<image>\nWhich \ud83d is \U0001f600?", solution="\udc80a")
    suite = VisualProbeEasy(str(tmp_path))
    assert (suite[0].question, suite[0].answer) == ("Which \ufffd is \U0001f600?", "\ufffda")
    json.dumps(suite[0].question, ensure_ascii=False).encode()
    assert "2 rows contain lone surrogates, which were replaced by U+FFFD" in suite.warnings[0]


def test_lone_surrogates_are_replaced_wherever_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "fine \\ud83d\\ude00"}\n{"b": [{"\\uDC00": "x"}, 7, null]}\n{"c": "\\\\ud83d"}\n')
    table = JsonTable(path)
    assert [dict(row) for row in table] == [
        {"a": "fine \U0001f600"},
        {"b": [{"\ufffd": "x"}, 7, None]},
        {"c": "\\ud83d"},
    ]
    assert table.replaced == 1


# ── HR-Bench as Parquet ─────────────────────────────────────────────────────────────────────────────────────────────


def test_hrbench_reads_the_same_from_parquet_as_from_tsv(tmp_path: Path) -> None:
    released.hrbench(tmp_path)
    from_tsv = list(HRBench4K(str(tmp_path)))
    released.hrbench(tmp_path, name="hr_bench_4k.parquet")
    both = HRBench4K(str(tmp_path))
    assert both.table.where(0) == f"{tmp_path / 'hr_bench_4k.parquet'}, row 1"
    assert [replace(task, sources=()) for task in both] == [replace(task, sources=()) for task in from_tsv]
    pixels = [shared_store().region(task[5].sources[0]) for task in (both, from_tsv)]
    assert (pixels[0] == pixels[1]).all()
    alone = HRBench4K(data=str(tmp_path / "hr_bench_4k.tsv"))
    assert alone.table.where(0) == f"{tmp_path / 'hr_bench_4k.tsv'}, row 1"


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        (["hr_bench_8k.parquet", "hr_bench_8k.tsv"], ["hr_bench_8k.parquet"]),
        (["hr_bench_8k.tsv"], ["hr_bench_8k.tsv"]),
    ],
)
def test_only_one_format_of_hrbench_is_downloaded(
    there: list[str], taken: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    (tmp_path / "hub").mkdir()
    for name in there:
        released.hrbench(tmp_path / "hub", name=name)
    cache = tmp_path / "0123abc"

    def snapshot(repository: str, *, allow_patterns: list[str], **options: Any) -> str:
        cache.mkdir(exist_ok=True)
        for path in (tmp_path / "hub").iterdir():
            if path.name in allow_patterns:
                (cache / path.name).write_bytes(path.read_bytes())
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    suite = HRBench8K()
    assert sorted(path.name for path in cache.iterdir()) == taken
    assert suite[0].answer == "A"
    assert suite.revision == "0123abc"
