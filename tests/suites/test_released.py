from __future__ import annotations

import csv
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from o3gym.bench import Bench, run
from o3gym.images import PictureError, shared_store
from o3gym.judging import auto
from o3gym.suites.base import SuiteError, make_suite
from o3gym.suites.hrbench import HRBench4K
from o3gym.suites.rows import ParquetRows, TsvRows
from o3gym.suites.vstar import VStar
from o3gym.testing import check_suite
from tests.suites import released

FILES: dict[str, Callable[..., Path]] = {
    "vstar": released.vstar,
    "hrbench-4k": released.hrbench,
    "hrbench-8k": lambda folder: released.hrbench(folder, name="hr_bench_8k.tsv"),
    "infovqa": released.infovqa,
    "chartqa": released.chartqa,
    "visualprobe-easy": released.visualprobe,
    "visualprobe-medium": lambda folder: released.visualprobe(folder, "Medium"),
    "visualprobe-hard": lambda folder: released.visualprobe(folder, "Hard"),
    "visualprobe-train": lambda folder: released.visualprobe(folder, "train", "train"),
}


def opened(name: str, folder: Path, **options: Any) -> Any:
    FILES[name](folder)
    return make_suite(name, "train" if "train" in name else "test", data=str(folder), **options)


@pytest.mark.parametrize("name", FILES)
def test_every_suite_passes_the_checks_and_says_that_it_is_not_whole(name: str, tmp_path: Path) -> None:
    suite = opened(name, tmp_path)
    check_suite(suite)
    expected = next(iter(suite.counts.values()))
    assert len(suite.warnings) == 1
    assert f"expected {expected} rows" in suite.warnings[0]
    assert f"got {len(suite)};" in suite.warnings[0]
    assert all(task.origin["suite"] == name for task in suite)
    assert pickle.loads(pickle.dumps(suite))[0] == suite[0]


@pytest.mark.parametrize("name", FILES)
def test_the_oracle_is_right_and_the_report_repeats_the_warnings(name: str, tmp_path: Path) -> None:
    suite = opened(name, tmp_path)
    bench = Bench(name, suite.split, {"data": str(tmp_path)}, episodes=2, env={"min_pixels": 100, "max_pixels": 4000})
    report = run(bench, tmp_path / "run")
    assert report.arms[0].accuracy.value == 1.0
    assert any("rows in" in warning for warning in report.warnings)
    assert any("scored by rules" in warning for warning in report.warnings) == ("visualprobe" in name)


def test_vstar_shuffles_what_is_always_first_and_turns_widths_into_corners(tmp_path: Path) -> None:
    first, second = opened("vstar", tmp_path)
    assert first.question == "Which is it?"
    assert sorted(first.choices) == ["blue", "green", "red", "white"]
    assert first.choices["ABCD".index(first.answer)] == "red"
    assert [target.box for target in first.targets] == [(0.125, 0.25, 0.375, 0.75)]
    assert [target.label for target in second.targets] == ["cup", "dog"]
    assert len(second.choices) == 2
    assert first.tags == {"category": "direct_attributes"}
    released_order = make_suite("vstar", data=str(tmp_path), order="released")[0]
    assert (released_order.choices, released_order.answer) == (("blue", "green", "red", "white"), "C")


def test_vstar_letters_are_spread_over_many_items() -> None:
    from o3gym.suites.fields import shuffled

    letters = [shuffled(("a", "b", "c", "d"), "A", f"vstar/{i}")[1] for i in range(400)]
    assert all(70 < letters.count(letter) < 130 for letter in "ABCD")


def test_hrbench_takes_the_rows_as_they_are_stored(tmp_path: Path) -> None:
    suite = opened("hrbench-4k", tmp_path)
    assert [task.answer for task in suite] == list("ABCDABCD")
    assert all(task.choices["ABCD".index(task.answer)] == "right" for task in suite)
    assert suite[1].question == 'Which "sign", 0?\nSee left.'
    assert suite[5].tags == {"category": "cross", "cycle": "1"}
    assert len(make_suite("hrbench-4k", data=str(tmp_path), category="cross")) == 4
    assert len(make_suite("hrbench-4k", data=str(tmp_path), n=3)) == 3


def test_pictures_stay_in_the_table_and_are_read_from_there(tmp_path: Path) -> None:
    suite = opened("hrbench-4k", tmp_path)
    source = suite[4].sources[0]
    assert (source.kind, list(source.args)) == ("file", ["base64"])
    pixels = shared_store().region(source)
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels.mean((0, 1)) - (0, 128, 0)).max() < 3


def test_a_tsv_is_read_only_as_far_as_it_is_asked_for(tmp_path: Path) -> None:
    path = released.hrbench(tmp_path, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\nbroken")
    suite = HRBench4K(str(path))
    assert suite[0].answer == "A"
    with pytest.raises(
        SuiteError, match=r"hr_bench_4k.tsv, row \d+: expected 10 fields, got \d; is the file downloaded"
    ):
        len(suite)


def test_opening_an_environment_and_its_first_task_read_no_more_than_the_first_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("o3gym.suites.rows.CHUNK", 512)
    path = released.hrbench(tmp_path, 50)
    path.write_bytes(path.read_bytes() + b"broken")
    env = gym.make(
        "o3gym/VisualSearch-v0",
        suite="hrbench-4k",
        suite_args={"data": str(path)},
        min_pixels=100,
        max_pixels=4000,
    )
    env.reset(options={"task": 0})
    with pytest.raises(SuiteError, match=r"row 201: expected 10 fields, got 1"):
        env.reset(seed=0)  # to draw one of them, they must be counted


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_end_where_csv_says_that_they_do(
    chunk: int, end: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("o3gym.suites.rows.CHUNK", chunk)
    said = ["a", 'say ""', "two\nlines\n", "\t\t", '"', "", 'é\r\n"\t"', "last"]
    path = tmp_path / "a.tsv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator=end)
        writer.writerow(("question", "image", "z"))
        writer.writerows((text, "x" * (65 + i), text[::-1]) for i, text in enumerate(said))
    path.write_bytes(path.read_bytes().removesuffix(end.encode()))
    for count_first in (False, True):
        table = TsvRows(path)
        assert not count_first or len(table) == len(said)
        for i in (7, 0, 5, 3, 6, 1, 2, 4):
            assert (table[i]["question"], table[i]["z"]) == (said[i], said[i][::-1])
            offset, length = table[i]["image"].args["base64"]
            assert path.read_bytes()[offset : offset + length] == b"x" * (65 + i)
        assert len(table) == len(said)
        with pytest.raises(IndexError):
            table[8]


def test_empty_lines_are_no_rows_and_quoted_pictures_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    text = "y" * 100
    path.write_text(f'index\timage\r\n\r\n1\t"{text}"\r\n\n\n2\t{text}\n\r\n', newline="")
    table = TsvRows(path)
    assert len(table) == 2
    for row in table:
        offset, length = row["image"].args["base64"]
        assert path.read_bytes()[offset : offset + length] == text.encode()
    path.write_bytes(b"index\timage\n\n")
    assert not TsvRows(path)


def test_a_file_that_ends_inside_of_a_quoted_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('index\timage\n1\tx\n2\t"x\ny\n')
    table = TsvRows(path)
    assert table
    with pytest.raises(SuiteError, match=r"a.tsv, row 2: a quote is opened and never closed"):
        len(table)


def test_a_short_text_in_place_of_a_picture_names_the_row_that_has_it(tmp_path: Path) -> None:
    rows = [{"index": 7, "image": "x" * 100}, {"index": 8, "image": "7"}, {"index": 9, "image": "10"}]
    table = TsvRows(released.tsv(tmp_path / "a.tsv", ("index", "image"), rows))
    assert table[1]["image"] == table[0]["image"]
    with pytest.raises(SuiteError, match="refers to row '10', which has no picture"):
        table[2]


def test_cells_of_a_parquet_file_in_any_order(tmp_path: Path) -> None:
    released.infovqa(tmp_path)
    rows = ParquetRows([tmp_path / "InfographicVQA" / "validation-00000-of-00001.parquet"])
    sizes = [shared_store().size(rows[i]["image"])[0] for i in (0, 1, 2, 7, 3, 0, 5, 6)]
    assert sizes == [40, 41, 42, 47, 43, 40, 45, 46]


def test_suites_name_their_judges(tmp_path: Path) -> None:
    info, chart = opened("infovqa", tmp_path / "i")[0], opened("chartqa", tmp_path / "c")[0]
    assert auto(info, "7 people").score == 1.0
    assert auto(info, "seve").score == pytest.approx(0.8)  # one letter of five is missing
    assert auto(chart, "43.9").verdict == "correct"
    assert auto(chart, "44.2").verdict == "wrong"


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda f: released.vstar(f, label="E"), 'line 1, field "label": expected one of the letters ABCD'),
        (lambda f: released.vstar(f, image="direct_attributes/sa_7.jpg"), 'did you mean "sa_0.jpg"'),
        (lambda f: released.vstar(f, beside={"bbox": [[50, 0, 20, 20]]}), "inside the picture of 64×48 pixels"),
        (lambda f: released.vstar(f, beside={"bbox": [[1, 2, 3, 4]] * 3}), 'field "bbox": expected 1 boxes'),
        (lambda f: released.vstar(f, beside={"options": ["a", "b"]}), "of the file beside the picture"),
    ],
)
def test_bad_rows_are_named(write: Callable[[Path], Path], expected: str, tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(SuiteError, match=expected):
        VStar(str(tmp_path))[0]


def test_missing_columns_files_and_categories_are_named(tmp_path: Path) -> None:
    released.tsv(tmp_path / "hr_bench_4k.tsv", ("index", "questions"), [{"index": 1, "questions": "x"}])
    with pytest.raises(SuiteError, match='no column "question"; did you mean "questions"'):
        HRBench4K(str(tmp_path))
    with pytest.raises(SuiteError, match=r"expected a file like test_questions.jsonl, .* found hr_bench_4k.tsv"):
        VStar(str(tmp_path))
    with pytest.raises(SuiteError, match='no category "singel"; did you mean "single"'):
        opened("hrbench-4k", tmp_path, category="singel")
    with pytest.raises(SuiteError, match="no such file or folder"):
        VStar(str(tmp_path / "nowhere"))


def test_without_a_network_the_error_says_how_to_get_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def unreachable(*args: Any, **kwargs: Any) -> str:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(SuiteError, match=r"hf download craigwu/vstar_bench --repo-type dataset"):
        VStar()


def test_a_half_downloaded_parquet_file_is_named(tmp_path: Path) -> None:
    released.chartqa(tmp_path)
    path = tmp_path / "data" / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SuiteError, match=r"test-00000-of-00001.parquet: not a Parquet file that can be read whole"):
        make_suite("chartqa", data=str(tmp_path))


def test_a_picture_that_is_gone_from_its_table_is_an_error_with_the_place(tmp_path: Path) -> None:
    source = opened("hrbench-4k", tmp_path)[0].sources[0]
    (tmp_path / "hr_bench_4k.tsv").write_bytes(b"index\n")
    with pytest.raises(PictureError, match=r"hr_bench_4k.tsv, base64 \[.*the file ends after"):
        shared_store().region(source)


def test_a_list_says_how_many_under_which_licence_and_whether_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def cached(repository: str, **options: Any) -> str:
        asked.append((repository, options))
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    assert VStar.about() == "(191 rows; licence: not stated (pictures of SA-1B); craigwu/vstar_bench, not here)"
    released.vstar(tmp_path)
    assert VStar.about().endswith("craigwu/vstar_bench, downloaded)")
    assert asked[0] == ("craigwu/vstar_bench", {"repo_type": "dataset", "local_files_only": True})
