from __future__ import annotations

import csv
import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.judges.rules import auto
from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.registry import JUDGES, SUITES
from o3gym.suites.base import BadRow, SuiteError, make_suite
from o3gym.suites.released.hrbench import HRBench4K
from o3gym.suites.released.rows import ParquetTable
from o3gym.suites.released.tsv import TsvTable
from o3gym.suites.released.vstar import VStar
from o3gym.testing import check_suite
from o3gym.types import Source
from tests.suites.released import released_files as released
from tests.suites.released.hub_stub import COMMIT, hub
from tests.suites.released.released_files import FILES, opened


@pytest.mark.parametrize("name", FILES)
def test_every_suite_passes_the_checks_and_says_that_it_is_not_whole(name: str, tmp_path: Path) -> None:
    suite = opened(name, tmp_path)
    check_suite(suite)
    counted = suite.split in suite.counts
    if counted:
        expected = suite.counts[suite.split]
        assert f"expected {expected} rows" in suite.warnings[0]
        assert f"got {len(suite.table)};" in suite.warnings[0]
    assert len(suite.warnings) == counted + suite.repeats
    assert all(task.origin["suite"] == name for task in suite)
    assert pickle.loads(pickle.dumps(suite))[0] == suite[0]


@pytest.mark.parametrize("name", FILES)
def test_the_oracle_is_right_and_the_report_repeats_the_warnings(name: str, tmp_path: Path) -> None:
    suite = opened(name, tmp_path)
    bench = Bench(name, suite.split, {"data": str(tmp_path)}, episodes=2, env={"min_pixels": 100, "max_pixels": 4000})
    report = run(bench, tmp_path / "run")
    assert report.arms[0].accuracy.value == 1.0
    assert any("rows in" in warning for warning in report.warnings) == (suite.split in suite.counts)
    assert any("scored by rules" in warning for warning in report.warnings) == bool(suite.wants_judge)
    assert bool(report.arms[0].measures) == bool(suite.measure)


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
    from o3gym.suites.released.options import shuffled_options

    letters = [shuffled_options(("a", "b", "c", "d"), "A", f"vstar/{i}")[1] for i in range(400)]
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
        SuiteError, match=r"hr_bench_4k.tsv, row \d+: expected 10 fields, got \d; is the download complete"
    ):
        len(suite)


def test_opening_an_environment_and_its_first_task_read_no_more_than_the_first_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("o3gym.suites.released.tsv.CHUNK", 512)
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
    monkeypatch.setattr("o3gym.suites.released.tsv.CHUNK", chunk)
    said = ["a", 'say ""', "two\nlines\n", "\t\t", '"', "", 'é\r\n"\t"', "last"]
    path = tmp_path / "a.tsv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator=end)
        writer.writerow(("question", "image", "z"))
        writer.writerows((text, "x" * (65 + i), text[::-1]) for i, text in enumerate(said))
    path.write_bytes(path.read_bytes().removesuffix(end.encode()))
    for count_first in (False, True):
        table = TsvTable(path)
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
    table = TsvTable(path)
    assert len(table) == 2
    for row in table:
        offset, length = row["image"].args["base64"]
        assert path.read_bytes()[offset : offset + length] == text.encode()
    path.write_bytes(b"index\timage\n\n")
    assert not TsvTable(path)


def test_a_file_that_ends_inside_of_a_quoted_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('index\timage\n1\tx\n2\t"x\ny\n')
    table = TsvTable(path)
    assert table
    with pytest.raises(SuiteError, match=r"a.tsv, row 2: unclosed quote"):
        len(table)


def test_a_short_text_in_place_of_a_picture_names_the_row_that_has_it(tmp_path: Path) -> None:
    rows = [{"index": 7, "image": "x" * 100}, {"index": 8, "image": "7"}, {"index": 9, "image": "10"}]
    table = TsvTable(released.tsv(tmp_path / "a.tsv", ("index", "image"), rows))
    assert table[1]["image"] == table[0]["image"]
    with pytest.raises(BadRow, match="expected a picture, or the index of a row that has one, got '10'"):
        table[2]


def test_cells_of_a_parquet_file_in_any_order(tmp_path: Path) -> None:
    released.infovqa(tmp_path)
    table = ParquetTable([tmp_path / "InfographicVQA" / "validation-00000-of-00001.parquet"])
    sizes = [shared_store().size(table[i]["image"])[0] for i in (0, 1, 2, 7, 3, 0, 5, 6)]
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
        (lambda f: released.vstar(f, beside={"question": "Where?"}), 'the question of sa_0.json, "Where'),
    ],
)
def test_bad_rows_are_named(write: Callable[[Path], Path], expected: str, tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(SuiteError, match=expected):
        VStar(str(tmp_path))[0]


def test_treebench_has_boxes_of_evidence_and_up_to_eleven_options(tmp_path: Path) -> None:
    first, second, drawn = opened("treebench", tmp_path)
    assert [target.box for target in first.targets] == [(0.125, 0.25, 0.375, 0.75), (0.625, 0.0, 1.0, 0.5)]
    assert (len(first.choices), len(second.choices), second.choices[-1]) == (4, 11, "option K")
    assert drawn.tags == {"category": "Perception/OCR"}
    assert len(drawn.choices) == 4


def test_mme_realworld_uses_copies_once_but_for_released_scorings(tmp_path: Path) -> None:
    suite = opened("mme-realworld-lite", tmp_path)
    assert [task.id.rpartition("/")[2] for task in suite] == ["0", "1", "2", "3"]
    assert suite[0].choices == ("red", "blue", "green", "white", "The image does not feature the colour.")
    assert suite[1].tags == {"category": "Diagram and Table", "ability": "reasoning", "subtask": "car/count"}
    assert shared_store().size(suite[3].sources[0]) == (43, 30)
    assert "1 of 5 rows are duplicates" in suite.warnings[1]
    assert [task.answer for task in make_suite("mme-realworld", data=str(tmp_path), category="Monitoring")] == [
        "B",
        "B",
    ]
    for scoring, judge in (("authors", "first_letter"), ("lmms-eval", "first_bare_letter")):
        theirs = make_suite("mme-realworld-lite", data=str(tmp_path), scoring=scoring)
        assert [task.id.rpartition("/")[2] for task in theirs] == ["0", "1", "1#2", "2", "3"]
        assert theirs[0].origin["judge"] == judge


def test_o3_bench_points_at_the_regions_that_a_question_needs(tmp_path: Path) -> None:
    task = opened("o3-bench", tmp_path, category="map")[0]
    assert task.choices[-1] == "No right choice"
    assert [(target.label, target.box) for target in task.targets] == [
        ("layout 1", (0.25, 0.0, 0.5, 0.5)),
        ("layout 2", (0.5, 0.0, 0.75, 0.5)),
    ]


def test_charxiv_says_of_which_form_the_answer_is_to_be(tmp_path: Path) -> None:
    tasks = opened("charxiv-reasoning", tmp_path)
    assert [task.tags["category"] for task in tasks][:2] == ["text in chart", "text in general"]
    assert tasks[3].text.endswith("Answer with a number with 2 decimal places.")


def test_mme_reasoning_leaves_perception_out(tmp_path: Path) -> None:
    tasks = list(opened("mme-reasoning", tmp_path))
    assert len(tasks) == 8
    assert len({task.id for task in tasks}) == 8
    assert {task.tags["pair"] for task in tasks[:2]} == {"commonsense_reasoning/0.png"}
    assert auto(tasks[0], "Yes, it is.").verdict == "correct"
    assert auto(tasks[1], "There is no such thing").verdict == "correct"


def test_mmstar_takes_the_options_out_of_the_question(tmp_path: Path) -> None:
    task = opened("mmstar", tmp_path)[0]
    assert (task.question, task.choices) == ("Which one, 0?", ("red", "blue, or so: B", "green", "white"))


def test_training_sources_have_their_boxes(tmp_path: Path) -> None:
    cot = opened("visual-cot", tmp_path / "cot", category="gqa")
    assert len(cot) == 1
    assert cot[0].targets[0].box == (0.125, 0.25, 0.375, 0.75)
    seal = opened("vstar-train", tmp_path / "seal")
    assert len(seal) == 3  # the file without boxes is left out
    assert (seal[0].question, seal[0].answer) == ("What colour is it?", "Red.")
    assert seal[0].targets[0].label == "cup"
    assert seal[0].targets[0].box == (0.125, 0.25, 0.375, 0.75)
    region = opened("infovqa-regions", tmp_path / "regions")[1]
    assert (region.kind, region.question) == ("box", "the chart number 1")
    assert region.targets[0].box == (4 / 41, 0.2, 20 / 41, 0.8)


def test_pictures_in_lists_are_found_one_by_one(tmp_path: Path) -> None:
    suite = opened("deepeyes-47k", tmp_path)
    assert [shared_store().size(task.sources[0])[0] for task in suite] == [40, 41, 42]
    assert (suite[0].question, suite[0].answer) == ("What is 0?", "seven")
    missing = Source("file", suite[0].sources[0].ref, {**suite[0].sources[0].args, "item": 1})
    with pytest.raises(PictureError, match="expected a list with a picture at index 1, got a list of 1"):
        shared_store().size(missing)


def test_thyme_rl_reads_options_answers_in_replies_and_several_pictures(tmp_path: Path) -> None:
    suite = opened("thyme-rl", tmp_path)
    first, second, third = suite
    assert (first.kind, first.question, first.choices, first.answer) == (
        *("choice", "Which colour is it?"),
        *(("red", "blue"), "B"),
    )
    assert (second.kind, second.question, second.answer) == ("free", "What does it say?", "seven")
    assert (third.question, third.answer) == ("What is different?", "the cup")
    widths = [[shared_store().size(source)[0] for source in task.sources] for task in suite]
    assert widths == [[40], [50], [60, 61]]
    odd = opened("thyme-rl", tmp_path / "odd", {"question": "Say A or B.\nA. Smith said B", "messages": None})
    assert (odd[0].kind, odd[0].answer) == ("free", "B")  # one line alone is no list of options
    marked = [{"role": "user", "content": "<image><image>?"}]
    more = opened("thyme-rl", tmp_path / "more", {"question": "?", "messages": marked})
    assert len(more[1].sources) == 2  # the marks stand in the messages only


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("treebench", {"target_instances": "[[8, 12, 24, 96]]"}, "inside the picture of 64×48 pixels"),
        ("treebench", {"target_instances": "[[8, 12"}, 'field "target_instances": expected a list of boxes'),
        ("treebench", {"answer": "L"}, r'TreeBench.tsv, row 1, field "answer": expected one of the letters ABCD'),
        ("mme-realworld", {"category": "Monitoring"}, 'field "category": expected "Perception/…"'),
        ("mme-realworld", {"multi-choice options": ["red", "blue"]}, "options that begin with their letters"),
        ("o3-bench", {"target_layouts": [9]}, 'field "layout_infos": expected an entry "9" with a "bbox"'),
        ("o3-bench", {"subset": "photo"}, 'metadata.jsonl, line 1, field "subset": expected "chart" or "map"'),
        ("o3-bench", {"options": "1 2"}, "options that begin with their letters"),
        ("charxiv-reasoning", {"reasoning_q_source": 5}, 'field "reasoning_q_source": expected 1, 2, 3 or 4, got 5'),
        ("mme-reasoning", {"answer": "maybe"}, 'test-00000-of-00002.parquet, row 1, field "answer": expected "yes" or'),
        ("mmstar", {"question": "Which?"}, 'field "question": expected options that begin with their letters'),
        ("visual-cot", {"bboxs": []}, 'docvqa_cot_train.jsonl, line 1, field "bboxs": expected a list of boxes'),
        ("visual-cot", {"image": "2.jpg"}, 'field "image": expected an existing file'),
        ("vstar-train", {"conversations": ["x"]}, 'field "conversations": expected a list of at least'),
        ("vstar-train", {"target_instances": [{"bbox": [1, 2, 3, 4]}]}, 'field "target_instances": expected {"name"'),
        ("deepeyes-47k", {"prompt": [{"role": "system", "content": "x"}]}, 'field "prompt": expected messages'),
        ("thyme-rl", {"solution": ""}, r'train-00000-of-00001.parquet, row 1, field "solution": expected a text or n'),
        ("thyme-rl", {"solution": "<answer> </answer>"}, 'field "solution": expected an answer'),
        ("thyme-rl", {"question": "<image>"}, 'field "question": expected a text beside the image marks'),
        ("infovqa-regions", {"bbox": [20, 6, 4, 24]}, 'field "bbox": expected x0 < x1'),
    ],
)
def test_bad_rows_of_every_suite(name: str, changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=expected):
        opened(name, tmp_path, changes)[0]


def test_released_scorings_are_named_after_their_owners(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'vstar has no scoring "authors" \(it has: "o3gym"\)'):
        opened("vstar", tmp_path, scoring="authors")
    with pytest.raises(ValueError, match=r'scoring "official" \(it has: "o3gym", "authors", "lmms-eval"\)'):
        opened("pope", tmp_path, scoring="official")
    with pytest.raises(ValueError, match=r'no scoring "lmms_eval"; did you mean "lmms-eval"\?'):
        opened("pope", tmp_path, scoring="lmms_eval")
    assert "scoring" not in opened("pope", tmp_path)[0].origin
    harness = opened("pope", tmp_path, scoring="lmms-eval")[0]
    assert harness.origin["scoring"] == "lmms-eval"
    assert harness.origin["scoring_source"] == "EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/pope/utils.py"
    assert auto(harness, "Yes, there is.").verdict == "wrong"
    assert auto(opened("pope", tmp_path, scoring="authors")[0], "Yes, there is.").verdict == "correct"


DOCUMENT = (Path(__file__).parents[3] / "docs" / "suites.md").read_text("utf-8")


@pytest.mark.parametrize("name", sorted(name for name in SUITES if getattr(SUITES[name], "scorings", None)))
def test_every_released_scoring_names_its_code_and_an_existing_judge(name: str) -> None:
    for owner, scoring in SUITES[name].scorings.items():
        assert owner in ("authors", "lmms-eval", "vlmevalkit")
        assert re.search(r"@[0-9a-f]{7}\b|lmms-eval 0\.7\.3|ms-vlmeval 0\.0\.20", scoring.source), scoring.source
        assert scoring.judge == "" or scoring.judge in JUDGES
        file = scoring.source.partition(" ")[2].partition(", without")[0].rpartition(" ")[2].removeprefix("lmms_eval/")
        assert f"`{file}`" in DOCUMENT, f"docs/suites.md does not name {file}"


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
    with pytest.raises(SuiteError, match=r"test-00000-of-00001.parquet: not a complete Parquet file"):
        make_suite("chartqa", data=str(tmp_path))


def test_a_picture_that_is_gone_from_its_table_is_an_error_with_the_place(tmp_path: Path) -> None:
    source = opened("hrbench-4k", tmp_path)[0].sources[0]
    (tmp_path / "hr_bench_4k.tsv").write_bytes(b"index\n")
    with pytest.raises(PictureError, match=r"hr_bench_4k.tsv, base64 \[.*the file ends after"):
        shared_store().region(source)


HUB = """
import json, sys
from huggingface_hub import constants
from o3gym.cli.main import main
constants.HF_HUB_DISABLE_PROGRESS_BARS = True
for command in json.loads(sys.argv[1]):
    assert main(command) == 0
    print("END")
"""
"""A process of its own, because the hub's address and its cache are read when its package is imported."""


def test_a_suite_is_downloaded_from_the_hub_weighed_and_found_again(tmp_path: Path) -> None:
    files = tmp_path / "files"
    released.vstar(files)
    (files / "readme.bin").write_bytes(bytes(5000))
    weight = sum(p.stat().st_size for p in files.rglob("*") if p.is_file() and p.name != "readme.bin")

    def o3gym(*commands: Sequence[str]) -> list[str]:
        """The line of V* in what each command printed."""
        environ = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "cache"), "COLUMNS": "400"}
        done = subprocess.run(
            [sys.executable, "-c", HUB, json.dumps(commands)],
            **{"env": environ, "capture_output": True, "text": True, "check": True, "timeout": 120},
        )
        printed = done.stdout.split("END\n")[:-1]
        return [next((line for line in lines.splitlines() if "V*" in line), "") for lines in printed]

    listing, bench = ("list", "--suites"), ("bench", "--suite", "vstar", "--policy", "always", "--no-view", "--out")
    with hub("craigwu/vstar_bench", files) as (address, sent):
        before, sizes = o3gym(listing, (*listing, "--sizes"))
        assert sent == []
        _, after = o3gym((*bench, str(tmp_path / "run")), listing)
        assert sorted(sent) == sorted(str(p.relative_to(files)) for p in files.rglob("*.*") if p.name != "readme.bin")
    assert "191 rows; licence" in before
    assert "craigwu/vstar_bench, not downloaded" in before
    assert f"191 rows; {weight / 1000:.3g} kB; licence" in sizes
    assert "craigwu/vstar_bench, downloaded" in after
    report = json.loads((tmp_path / "run" / "report.json").read_text("utf-8"))
    assert report["protocol"]["suite_revision"] == COMMIT
    _, gone = o3gym((*bench, str(tmp_path / "again")), (*listing, "--sizes"))  # the hub is gone: from the cache
    assert "size unknown (" in gone


def test_a_folder_of_the_cache_without_the_table_is_no_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub  # versions before 1.0 hand out whatever folder there is

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *args, **options: str(tmp_path))
    assert VStar.about() == "(191 rows; licence: not stated (pictures of SA-1B); craigwu/vstar_bench, not downloaded)"
    released.vstar(tmp_path)
    assert VStar.about().endswith("craigwu/vstar_bench, downloaded)")
