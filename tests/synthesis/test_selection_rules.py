from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from o3gym.suites.base import make_suite
from o3gym.synthesis.selection_rules import ArmRule, Selection, TaskForm, Tries, target_share
from o3gym.types import Source, Target, Task, TaskKind, Verdict

VERDICTS: dict[str, Verdict] = {"R": "correct", "W": "wrong", "F": "failed", "_": ""}


def tries(word: str) -> Tries:
    """Tries with these verdicts, for example "RWF"."""
    from o3gym.types import Trajectory

    task = Task("t", (Source.file("x"),), "?")
    return Tries.of(Trajectory(task, (), (), (), verdict=VERDICTS[letter]) for letter in word)


@pytest.mark.parametrize(
    ("word", "low", "high", "outcome"),
    [
        ("WWW", 0, 0, "kept"),
        ("WRW", 0, 0, "dropped"),
        ("WFW", 0, 0, "unsure"),
        ("W_W", 0, 0, "unsure"),
        ("RFW", 0, 0, "dropped"),
        ("WFW", 0, 1, "kept"),
        ("RFW", 1, 2, "kept"),
        ("RFW", 2, 3, "unsure"),
        ("WFW", 2, 3, "dropped"),
        ("RRR", 3, 3, "kept"),
        ("RRF", 3, 3, "unsure"),
        ("FFF", 0, 3, "kept"),
        ("FFF", 1, 2, "unsure"),
    ],
)
def test_a_failed_try_may_be_right_or_wrong(word: str, low: int, high: int, outcome: str) -> None:
    assert ArmRule("p", low, high).outcome(tries(word)) == outcome


@pytest.mark.parametrize(
    ("word", "pattern"),
    [
        ("RRR", "right"),
        ("WW", "wrong"),
        ("RW", "mixed"),
        ("RWF", "mixed"),
        ("RRF", "unsure"),
        ("F", "unsure"),
        ("", "unsure"),
    ],
)
def test_the_pattern_of_the_tries(word: str, pattern: str) -> None:
    assert tries(word).pattern == pattern
    assert tries(word).tries == len(word)


def test_a_task_must_fulfil_the_rules_of_all_arms() -> None:
    selection = Selection((ArmRule("a", 0, 0), ArmRule("b", 3, 3)), k=3)
    cases = {("WWW", "RRR"): "kept", ("RWW", "RRR"): "dropped", ("WWW", "RRF"): "unsure", ("FFF", "RRW"): "dropped"}
    assert {case: selection.outcome(map(tries, case)) for case in cases} == cases


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ((), "at least one rule or a form"),
        ((ArmRule("a", 0, 0), ArmRule("a", 1, 1)), "a: expected one rule per arm, got 2"),
        ((ArmRule("a", 2, 1),), r"a: expected 0 ≤ LOW ≤ HIGH ≤ k = 3, got 2\.\.1"),
        ((ArmRule("a", 0, 4),), "k = 3"),
    ],
)
def test_selections_that_cannot_be_are_refused(rules: tuple[ArmRule, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Selection(rules, k=3)


@pytest.mark.parametrize(
    ("form", "size", "kind", "flaw"),
    [
        (TaskForm(), (10, 10), "free", ""),
        (TaskForm(("free",)), (10, 10), "choice", "kind choice"),
        (TaskForm(("free", "choice")), (10, 10), "choice", ""),
        (TaskForm(min_side=28), (28, 300), "free", ""),
        (TaskForm(min_side=28), (27, 300), "free", "a side below 28 px"),
        (TaskForm(max_side=300), (27, 300), "free", ""),
        (TaskForm(max_side=299), (27, 300), "free", "a side above 299 px"),
    ],
)
def test_the_form_of_tasks(form: TaskForm, size: tuple[int, int], kind: TaskKind, flaw: str, tmp_path: Path) -> None:
    Image.new("RGB", size).save(tmp_path / "a.png")
    task = Task("t", (Source.file(str(tmp_path / "a.png")),), "?", kind=kind)
    assert form.flaw(task) == flaw
    assert form.restricts == (form != TaskForm())


def test_unreadable_pictures_have_a_flaw_and_videos_have_no_sides(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    assert (
        TaskForm(min_side=1).flaw(Task("t", (Source.file(str(tmp_path / "a.png")),), "?")).startswith("a picture that")
    )
    assert not TaskForm(min_side=9000).flaw(make_suite("synthetic_video?seconds=8")[0])
    with pytest.raises(ValueError, match="min_side: expected at most max_side, 20, got 30"):
        TaskForm(min_side=30, max_side=20)


def test_the_share_of_the_smallest_target() -> None:
    targets = (Target((0, 0, 0.5, 0.5)), Target((0, 0, 0.1, 0.2)))
    assert target_share(Task("t", (Source.file("x"),), "?", targets=targets)) == pytest.approx(0.02)
    assert target_share(Task("t", (Source.file("x"),), "?")) is None
