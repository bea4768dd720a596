from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from o3gym.geometry import from_pixels
from o3gym.suites.base import make_suite
from o3gym.synthesis.files import write_rows
from o3gym.synthesis.questions.proposals import Proposal
from o3gym.synthesis.questions.rows import proposal_of, question_row, shuffle_question, within_quota, worded
from o3gym.synthesis.questions.sheets import LayoutSheet, SheetLayout
from o3gym.types import Source

ASKED = Proposal("How many?", ("a", "b", "c", "d", "e", "no right choice"), "B", "x [layout 1][layout 3]", ("1", "3"))


def test_a_row_is_what_the_suite_reads(tmp_path: Path) -> None:
    Image.new("RGB", (200, 100)).save(tmp_path / "a #1%.png")
    boxes = [(0, 0, 50, 50), (60, 0, 90, 40), (100, 20, 200, 100)]
    layouts = tuple(SheetLayout(str(i), "table", from_pixels(box, (200, 100))) for i, box in enumerate(boxes, 1))
    sheet = LayoutSheet(Source.file(str(tmp_path / "a #1%.png")), "map", layouts)
    (tmp_path / "out").mkdir()
    write_rows(tmp_path / "out" / "metadata.jsonl", [question_row(sheet, ASKED, "q1", tmp_path / "out")])
    (task,) = make_suite(f"o3-bench:{tmp_path / 'out'}")
    assert (task.question, task.answer, task.kind) == ("How many?", "B", "choice")
    assert task.choices == ("a", "b", "c", "d", "e", "No right choice")
    assert [target.box for target in task.targets] == [pytest.approx(layouts[i].box) for i in (0, 2)]
    assert task.tags == {"category": "map"}


def test_options_go_everywhere_and_stay_what_they_are() -> None:
    places = Counter()
    for seed in range(500):
        mixed = shuffle_question(ASKED, str(seed))
        assert mixed.options[-1] == ASKED.options[-1]
        assert sorted(mixed.options) == sorted(ASKED.options)
        assert mixed.options["ABCDEF".index(mixed.answer)] == "b"
        places[mixed.answer] += 1
    assert set(places) == set("ABCDE")
    assert max(places.values()) < 140
    assert shuffle_question(replace(ASKED, answer="F"), "0").answer == "F"
    assert proposal_of(worded(ASKED)) == replace(ASKED, options=(*ASKED.options[:5], "No right choice"))


@pytest.mark.parametrize(
    ("others", "without", "left"), [(8, 3, 0), (9, 3, 1), (17, 3, 1), (18, 3, 2), (90, 3, 3), (0, 2, 0)]
)
def test_a_tenth_may_have_no_right_choice(others: int, without: int, left: int) -> None:
    rows = [{"question_id": f"q{i}", "answer": "F" if i < without else "A"} for i in range(others + without)]
    kept = within_quota(rows, 0)
    assert sum(row["answer"] == "F" for row in kept) == left
    assert len(kept) == others + left


@given(st.lists(st.sampled_from("ABF"), max_size=60), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_quota_holds_and_hangs_on_nothing_but_seed_and_ids(answers, seed: int, rng) -> None:
    rows = [{"question_id": f"q{i}", "answer": answer} for i, answer in enumerate(answers)]
    kept = within_quota(rows, seed)
    without = sum(row["answer"] == "F" for row in kept)
    assert not kept or Fraction(without, len(kept)) <= Fraction(1, 10)
    mixed = rng.sample(rows, len(rows))
    assert {row["question_id"] for row in within_quota(mixed, seed)} == {row["question_id"] for row in kept}
    more = [*rows, *({"question_id": f"more {i}", "answer": "A"} for i in range(9))]
    assert {row["question_id"] for row in kept} <= {row["question_id"] for row in within_quota(more, seed)}
