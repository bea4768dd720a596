"""ZoomBench, RealWorldQA, HallusionBench, MathVista, ChartQAPro, TallyQA, RefCOCO and VisualToolBench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from o3gym.env_ids import RELEASED_ENVS
from o3gym.judges.rules import auto
from o3gym.media.images import shared_store
from o3gym.registry import JUDGES, SUITES
from o3gym.suites.base import BadTask, SuiteError, make_suite
from o3gym.suites.released.exploded import ExplodedTable
from o3gym.suites.released.history import with_history
from o3gym.suites.released.rows import JsonTable
from tests.suites.released import more_files as files
from tests.suites.released.released_files import opened
from tests.suites.released.writing import jpeg


def test_zoombench_has_options_or_none_and_the_box_of_the_evidence(tmp_path: Path) -> None:
    blank, first, second = opened("zoombench", tmp_path)
    assert (blank.kind, blank.question, blank.answer) == ("free", "How many birds?", "7")
    assert (first.kind, first.question, first.answer) == ("choice", "Which colour is the bird?", "B")
    assert first.choices == ("red", "blue", "green", "white")
    assert second.answer == "C"
    assert first.targets[0].box == (4 / 41, 0.2, 14 / 41, 16 / 30)
    assert [task.tags["category"] for task in (blank, first)] == ["blank", "mcq"]
    assert shared_store().size(first.sources[0]) == (41, 30)  # the picture, and not the crop


@pytest.mark.parametrize(
    ("box", "expected"),
    [([[4, 6, 20, 15]], (0.1, 0.2, 0.5, 0.5)), ([0.1, 0.25, 0.5, 1.0], (0.1, 0.25, 0.5, 1.0))],
)
def test_zoombench_takes_a_list_of_boxes_and_fractions(box: Any, expected: Any, tmp_path: Path) -> None:
    assert opened("zoombench", tmp_path, {"bbox": json.dumps(box)})[0].targets[0].box == expected


def test_realworldqa_drops_the_instruction_and_splits_the_options_off(tmp_path: Path) -> None:
    choice, number, polar = opened("realworldqa", tmp_path)
    assert (choice.question, choice.answer) == ("Which way does the arrow point?", "B")
    assert choice.choices == ("Left", "Straight ahead", "Right")
    assert (number.question, number.answer, number.kind) == ("How many lanes are there?", "3", "free")
    assert polar.question == "Is the light green?"
    assert auto(polar, "Yes, it is.").verdict == auto(number, "three").verdict == "correct"
    harness = make_suite("realworldqa", data=str(tmp_path), scoring="lmms-eval")
    assert auto(harness[2], "Yes, it is.").verdict == auto(harness[1], "three").verdict == "wrong"
    assert auto(harness[2], "yes.").verdict == auto(harness[0], "So it is (B)").verdict == "correct"
    assert len(make_suite("realworldqa", data=str(tmp_path), category="free")) == 2


def test_realworldqa_reads_a_letter_in_brackets_and_a_short_instruction(tmp_path: Path) -> None:
    question = "Which?\n(A) Left\n(B) Right\nPlease answer directly."
    for answer in ("(B)", "B."):
        task = opened("realworldqa", tmp_path, {"question": question, "answer": answer})[0]
        assert (task.kind, task.question, task.answer, task.choices) == ("choice", "Which?", "B", ("Left", "Right"))
    assert opened("realworldqa", tmp_path, {"question": question, "answer": "3."})[0].kind == "free"


def test_hallusionbench_names_the_figure_and_the_question(tmp_path: Path) -> None:
    suite = opened("hallusionbench", tmp_path)
    assert [task.answer for task in suite] == ["yes", "no", "yes", "no"]
    assert suite[3].tags == {
        **{"category": "VS", "subcategory": "chart", "figure": "VS/chart/4/2", "question": "VS/chart/4/1"},
    }
    assert suite[3].id == "hallusionbench/test/VS/chart/4/2/1"
    assert suite[0].origin["answers"] == ["Sales rose every year."]
    assert auto(suite[1], "No, they fell.").verdict == "correct"
    harness = make_suite("hallusionbench", data=str(tmp_path), scoring="lmms-eval")
    assert auto(harness[1], "No, in the eyes of many.").verdict == "wrong"  # "yes" is within "eyes"


def test_mathvista_states_the_form_of_the_answer(tmp_path: Path) -> None:
    choice, integer, decimal, listed = opened("mathvista-testmini", tmp_path)
    assert (choice.kind, choice.answer, choice.choices[1]) == ("choice", "B", "35°")
    assert integer.question == "How much, 1? (Unit: cm)\nAnswer with a whole number."
    assert decimal.question.endswith("Answer with a number with 2 decimal places.")
    assert listed.question.endswith("Answer with a list in brackets, such as [1, 2].")
    assert choice.tags == {"category": "geometry problem solving"}
    assert auto(decimal, "about 0.666").verdict == "wrong"
    assert auto(decimal, "0.666").verdict == "correct"
    assert shared_store().size(decimal.sources[0]) == (42, 30)


def test_chartqapro_asks_the_last_question_of_a_conversation(tmp_path: Path) -> None:
    fact, talk, choice, check = opened("chartqapro", tmp_path)
    assert fact.question.splitlines()[0] == "Which two years?"
    assert talk.question.splitlines()[:4] == [
        "Context: Numbers in thousands.",
        "Question 1: How many in 2015?",
        "Answer 1: 20",
        "Question 2: And in 2016?",
    ]
    assert (talk.answer, talk.origin["years"], fact.origin["years"]) == ("25", ["NO"], ["YES", "YES"])
    assert [task.origin["exact"] for task in (fact, talk, choice, check)] == [False, False, True, True]
    assert auto(talk, "26.2").verdict == "correct"
    assert auto(fact, "2015, 2016").score == 1.0
    assert auto(fact, "[2015, 2017]").score == 0.5  # years have no tolerance
    authors = make_suite("chartqapro", data=str(tmp_path), scoring="authors")
    assert auto(authors[0], "2015, 2016").score == 0.0
    assert auto(authors[0], "[2015, 2016]").score == 1.0


def test_tallyqa_leaves_the_simple_questions_out(tmp_path: Path) -> None:
    first, second = opened("tallyqa-complex", tmp_path)
    assert [(task.question, task.answer) for task in (first, second)] == [
        ("How many dogs look left?", "1"),
        ("How many red cups?", "0"),
    ]
    assert shared_store().size(second.sources[0]) == (41, 30)
    assert auto(second, "zero").verdict == "correct"


def test_tallyqa_reads_the_authors_list_with_pictures_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "pictures" / "VG_100K_2").mkdir(parents=True)
    (tmp_path / "pictures" / "VG_100K_2" / "24.jpg").write_bytes(jpeg())
    row = {"answer": 4, "data_source": "amt", "image": "VG_100K_2/24.jpg", "image_id": 924, "issimple": False}
    row |= {"question": "How many wheels have rust?", "question_id": 30095774}
    (tmp_path / "test.json").write_text(json.dumps([row, {**row, "issimple": True, "question_id": 1}]))
    (task,) = make_suite("tallyqa-complex", data=str(tmp_path), images=str(tmp_path / "pictures"))
    assert (task.id, task.answer) == ("tallyqa-complex/test/30095774", "4")
    assert task.sources[0].ref.endswith("VG_100K_2/24.jpg")


def test_refcoco_has_a_task_for_each_expression(tmp_path: Path) -> None:
    suite = opened("refcoco", tmp_path)
    assert [task.question for task in suite] == ["left man", "man in blue", "the dog"]
    assert {task.kind for task in suite} == {"box"}
    assert suite[0].targets[0].box == (0.25, 0.2, 0.75, 0.7)
    assert [task.origin["cluster"] for task in suite] == ["70", "70", "71"]
    assert len({task.id for task in suite}) == 3
    assert auto(suite[2], "", (10 / 41, 0.2, 30 / 41, 0.7)).verdict == "correct"


def test_the_splits_of_refcoco_are_those_of_the_papers(tmp_path: Path) -> None:
    files.refcoco(tmp_path, ("val", "testA", "testB", "test"))
    for split, count in (("testA", 5657), ("testB", 5095)):
        suite = make_suite("refcoco", split, data=str(tmp_path))
        assert len(suite) == 3
        assert f"expected {count} rows" in suite.warnings[0]
        assert suite[0].sources[0].ref.endswith(f"{split}-00000-of-00001.parquet")
    with pytest.raises(ValueError, match=r'no split "test".* \(known: val, testA, testB\)'):
        make_suite("refcoco", data=str(tmp_path))
    assert len(make_suite("refcocog", "test", data=str(tmp_path))) == 3


def test_visualtoolbench_has_rubrics_and_all_pictures(tmp_path: Path) -> None:
    single, talk = opened("visualtoolbench", tmp_path)
    assert (single.question, single.answer) == ("Which year?", "It is 1987.")
    assert talk.question == "Question 1: Which year?\nAnswer 1: It is 1987.\nQuestion 2: How many items?"
    assert talk.origin["rubric"] == [
        {"description": "Names 12 items.", "weight": 4.0},
        {"description": "Is brief.", "weight": 1.0},
    ]
    assert [shared_store().size(source) for source in talk.sources] == [(41, 30), (42, 30)]
    assert talk.tags == {"category": "multi-turn", "domain": "finance"}
    assert auto(single, "it is 1987").verdict == "correct"
    assert auto(single, "1987, I think").verdict == "failed"
    assert len(make_suite("visualtoolbench", data=str(tmp_path), category="single-turn")) == 1


def test_history_is_only_written_where_there_is_one() -> None:
    assert with_history(["How many?"], ["7"]) == "How many?"
    assert with_history(["a?", "b?"], ["1", "2"]) == "Question 1: a?\nAnswer 1: 1\nQuestion 2: b?"


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        ("zoombench", {"question_type": "open"}, 'row 1, field "question_type": expected "mcq" or "blank"'),
        ("zoombench", {"bbox": [4, 6, 60, 16]}, "inside the picture of 40×30 pixels"),
        ("zoombench", {"bbox": []}, 'field "bbox": expected a list of boxes'),
        ("zoombench", {"bbox": [0.5, 0.1, 0.2, 0.4]}, 'field "bbox": expected x0 < x1'),
        ("zoombench", {"question_type": "mcq", "query": "Which?"}, 'field "query": expected options that begin'),
        ("realworldqa", {"answer": "D"}, 'field "answer": expected one of the letters ABC'),
        ("realworldqa", {"question": " "}, 'field "question": expected a text'),
        ("hallusionbench", {"gt_answer": "2"}, r'field "gt_answer": expected "1" \(yes\) or "0" \(no\), got \'2\''),
        ("hallusionbench", {"gt_answer_details": None}, 'field "gt_answer_details": expected a text'),
        ("mathvista-testmini", {"question_type": "open"}, 'field "question_type": expected "multi_choice" or'),
        ("mathvista-testmini", {"choices": ["35°"]}, 'field "choices": expected at least two texts'),
        ("mathvista-testmini", {"answer": "36°"}, 'field "answer": expected one of the options'),
        ("mathvista-testmini", {"question_type": "free_form", "answer_type": "set"}, 'field "answer_type": expected'),
        (
            "mathvista-testmini",
            {"question_type": "free_form", "answer_type": "float", "precision": None},
            'field "precision": expected the number of decimal places',
        ),
        ("chartqapro", {"Question Type": "Opinion"}, 'field "Question Type": expected one of Factoid, Conv'),
        ("chartqapro", {"Answer": []}, 'field "Answer": expected a list of texts'),
        ("chartqapro", {"Question Type": "Conversational", "Answer": ["1", "2", "3"]}, "expected 1 answers, one for"),
        ("tallyqa-complex", {"answer": "many"}, "row 1, field \"answer\": expected a whole number, got 'many'"),
        ("tallyqa-complex", {"is_simple": None}, 'row 1, field "qa": expected questions with a flag is_simple'),
        ("refcoco", {"bbox": [1.0, 2.0, 3.0]}, r'field "bbox": expected \[x, y, width, height\]'),
        ("refcoco", {"bbox": [30.0, 6.0, 20.0, 15.0]}, "inside the picture of 40×30 pixels"),
        ("refcoco", {"answer": []}, 'val-00000-of-00001.parquet, row 1, field "answer": expected a text'),
        ("visualtoolbench", {"num_images": 0}, 'field "num_images": expected the number of pictures'),
        ("visualtoolbench", {"turn_prompts": []}, 'field "turn_prompts": expected a list of texts'),
        ("visualtoolbench", {"rubrics_by_turn": ["{}", "{}"]}, 'field "rubrics_by_turn": expected 1 rubrics'),
        ("visualtoolbench", {"rubrics_by_turn": ["{"]}, 'field "rubrics_by_turn": expected JSON'),
        ("visualtoolbench", {"rubrics_by_turn": ['{"r": {"weight": 5}}']}, "expected an object of items with a desc"),
        ("visualtoolbench", {"rubrics_by_turn": ['{"r": {"description": "x", "weight": 0}}']}, "a weight from 1 up"),
    ],
)
def test_bad_rows_are_named(name: str, changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(BadTask, match=expected):
        opened(name, tmp_path, changes)[0]


@pytest.mark.parametrize("name", files.FILES)
def test_a_missing_column_is_named(name: str, tmp_path: Path) -> None:
    suite = SUITES[name]
    split = suite.splits[0]
    file = (tmp_path / suite.files[split][0].replace("*", "x")).with_suffix(".json")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([dict.fromkeys(suite.columns[:-1], "x") | {"other": 1}]))
    with pytest.raises(SuiteError, match=f'no column "{suite.columns[-1]}"'):
        make_suite(name, split, data=str(file))


def test_rows_with_a_broken_list_are_kept_and_named_by_their_own_row(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"q": ["a", "b"]}\n{"q": []}\n5\n{"q": "x"}\n{"q": ["c"]}\n')
    table = ExplodedTable(JsonTable(path), "q")
    assert [row["q"] for _, row in table.readable()] == ["a", "b", [], "x", "c"]
    assert [table.where(index).rpartition(" ")[2] for index in range(len(table))] == ["1", "1", "2", "3", "4", "5"]


def test_every_new_suite_has_an_environment_a_judge_and_an_owner_of_its_released_scoring(tmp_path: Path) -> None:
    ids = {arguments["suite"]: name for name, arguments in RELEASED_ENVS.items()}
    for name, write in files.FILES.items():
        suite = SUITES[name]
        assert suite.licence
        assert all(rule.judge in JUDGES and rule.source for rule in suite.scorings.values())
        write(tmp_path / name)
        env = gym.make(ids[name], suite_args={"data": str(tmp_path / name)}, min_pixels=100, max_pixels=4000)
        _, info = env.reset(seed=0)
        assert info["task_id"].startswith(f"{name}/")
        env.close()
