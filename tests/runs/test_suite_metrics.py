"""Published measures against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from o3gym.registry import MEASURES
from o3gym.runs.intervals import cluster_interval
from o3gym.runs.report import make_report
from o3gym.runs.suite_metrics import written_boxes
from o3gym.types import FULL, Box, Reply, Target, Trajectory, View
from tests.runs import sample_run


def episode(number: int, verdict: str, answer: str = "", truth: str = "A", **fields: Any) -> Trajectory:
    """An episode of a task with these tags; `origin` and `targets` are the task's too."""
    base = sample_run.episode(number, verdict=verdict)  # type: ignore[arg-type]
    task = dataclasses.replace(
        base.task,
        answer=truth,
        choices=(),
        tags=fields.pop("tags", {}),
        origin=fields.pop("origin", {}),
        targets=fields.pop("targets", ()),
    )
    return dataclasses.replace(base, task=task, answer=answer, **fields)


def numbers(name: str, *episodes: Trajectory) -> Any:
    measure = MEASURES[name]
    return measure.total([measure.read(one) for one in episodes])


def test_hrbench_is_the_mean_over_the_orders() -> None:
    def row(number: int, verdict: str, category: str, cycle: str) -> Trajectory:
        return episode(number, verdict, tags={"category": category, "cycle": cycle})

    found = numbers(
        "hrbench",
        row(0, "correct", "single", "0"),
        row(1, "wrong", "single", "0"),
        row(2, "correct", "single", "1"),
        row(3, "wrong", "cross", "0"),
        row(4, "failed", "cross", "1"),
    )
    # single: (50 + 100) / 2; all: (1/3 + 1) / 2, where a plain mean would say 50; an order with no verdict is none
    assert found == {"FSP %": 75.0, "FCP %": 0.0, "all %": pytest.approx(100 * (1 / 3 + 1) / 2)}


def test_mme_is_accuracy_and_pairs_of_eight_hundred() -> None:
    categories = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")

    def pair(category: str, name: str, *verdicts: str) -> list[Trajectory]:
        tags = {"category": category, "pair": name}
        return [episode(i, verdict, tags=tags) for i, verdict in enumerate(verdicts)]

    rows = pair(categories[0], "a", "correct", "correct") + pair(categories[0], "b", "correct", "wrong")
    found = numbers("mme", *rows)
    assert found == {"commonsense_reasoning (of 200)": 125.0, "acc + acc⁺ (of 800)": None}
    for category in categories[1:]:
        rows += (
            pair(category, "a", "wrong", "correct")
            + pair(category, "c", "correct", "failed")
            + pair(category, "d", "correct")
        )
    assert numbers("mme", *rows)["acc + acc⁺ (of 800)"] == 125.0 + 3 * 50.0


def test_pope_has_precision_and_recall_of_yes() -> None:
    said = [("yes", "yes"), ("yes", "Yes, two."), ("yes", "no"), ("yes", "hard to say"), ("no", "yes"), ("no", "no")]

    def rows(verdicts: str, **origin: str) -> list[Trajectory]:
        names = {"c": "correct", "w": "wrong"}
        return [
            episode(i, names[v], answer, truth, origin=origin)
            for i, (v, (truth, answer)) in enumerate(zip(verdicts, said, strict=True))
        ]

    ours = numbers("pope", *rows("ccwwwc"), episode(9, "failed", "no", "yes"))
    assert ours == {
        "precision %": pytest.approx(200 / 3),
        "recall %": 50.0,
        "F1 %": pytest.approx(400 / 7),
        "yes %": 50.0,
    }
    harness = numbers("pope", *rows("cwwwwc", scoring="lmms-eval"))
    # "Yes, two." and "hard to say" are neither, and miss nothing; the share of "yes" is that of the truths
    assert harness == {"precision %": 50.0, "recall %": 50.0, "F1 %": 50.0, "yes %": pytest.approx(400 / 6)}
    authors = numbers("pope", *rows("ccwcwc", scoring="authors"))
    # whatever has no "no" is yes, so "hard to say" is a hit
    assert authors == {"precision %": 75.0, "recall %": 75.0, "F1 %": 75.0, "yes %": pytest.approx(400 / 6)}


def test_mmstar_is_the_mean_over_subtasks() -> None:
    rows = [episode(i, "correct", tags={"subtask": "a"}) for i in range(3)]
    rows += [episode(4, "wrong", tags={"subtask": "b"}), episode(5, "failed", tags={"subtask": "c"})]
    assert numbers("mmstar", *rows) == {"mean over subtasks %": 50.0}


def test_a_failed_verdict_counts_in_released_charxiv_alone() -> None:
    verdicts = ("correct", "correct", "wrong", "failed")
    ours, authors, harness = (
        numbers("charxiv", *(episode(i, verdict, origin=origin) for i, verdict in enumerate(verdicts)))
        for origin in ({}, {"scoring": "authors"}, {"scoring": "lmms-eval"})
    )
    assert ours == {"score %": pytest.approx(200 / 3)}
    assert authors == {"score %": 50.0}
    assert harness == {"score %": 25.0}


def test_mme_realworld_tells_the_abilities_apart_and_counts_e() -> None:
    rows = [
        episode(0, "correct", "E", tags={"ability": "perception"}),
        episode(1, "wrong", "A", tags={"ability": "perception"}),
        episode(2, "wrong", "none", tags={"ability": "reasoning"}),
        episode(3, "failed", "B", tags={"ability": "reasoning"}),
    ]
    assert numbers("mme_realworld", *rows) == {"perception %": 50.0, "reasoning %": 0.0, "answered E %": 25.0}


def looking(number: int, boxes: list[Box], targets: list[Box], text: str = "") -> Trajectory:
    """An episode that was shown 400×200 pixels and looked at these boxes."""
    views = [View(0, 0, FULL, (800, 400), (400, 200))]
    views += [View(i, 0, box, (10, 10), (10, 10), parent=0) for i, box in enumerate(boxes, 1)]
    one = episode(number, "wrong", targets=tuple(map(Target, targets)), views=tuple(views))
    turns = tuple(dataclasses.replace(turn, reply=Reply(text)) for turn in one.turns)
    return dataclasses.replace(one, turns=turns)


def test_treebench_takes_the_best_box_for_each_of_the_evidence() -> None:
    targets = [(0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)]
    text = "<box>[0, 0, 100, 100]</box> and <box>[a]</box> and <box>[1,2,3]</box> and <box>[0, 0, 40, 20]</box>"
    one = looking(0, [(0.5, 0.5, 1.0, 1.0), (0.0, 0.0, 1.0, 0.5)], targets, text)
    assert written_boxes(one)[0] == (0.0, 0.0, 0.25, 0.5)
    assert len(written_boxes(one)) == 2 * len(one.turns)
    theirs = dataclasses.replace(one, task=dataclasses.replace(one.task, origin={"scoring": "authors"}))
    assert written_boxes(theirs) == []  # the authors read no box with spaces
    # stated: half of the first, nothing of the second; looks: half of the first, all of the second
    assert numbers("treebench", one) == {"mIoU of stated boxes %": 25.0, "mIoU of looks %": 75.0}
    assert numbers("treebench", episode(0, "wrong")) == {"mIoU of stated boxes %": None, "mIoU of looks %": None}


def test_o3_bench_counts_regions_seen_look_by_look() -> None:
    targets = [(0.0, 0.0, 0.2, 0.2), (0.5, 0.5, 0.7, 0.7)]
    thorough = looking(0, [(0.0, 0.0, 0.1, 0.3), (0.8, 0.8, 1.0, 1.0), (0.4, 0.4, 0.9, 0.9)], targets)
    hasty = looking(1, [(0.5, 0.5, 0.6, 0.6)], targets)  # a quarter of one
    assert numbers("o3_bench", thorough, hasty) == {
        "regions seen in 1 look %": 25.0,
        "regions seen in 2 looks %": 25.0,
        "regions seen in 3 looks %": 50.0,
    }


def test_a_report_has_the_measure_that_its_protocol_names() -> None:
    rows = [episode(i, "correct", tags={"subtask": "a"}) for i in range(3)]
    report = make_report(rows, {**sample_run.PROTOCOL, "measure": "mmstar"})
    assert report.arms[0].measures == {"mean over subtasks %": 100.0}
    assert "## Measures of the suite" in report.to_markdown()
    assert "Measures of the suite" not in make_report(rows, sample_run.PROTOCOL).to_markdown()


def test_tasks_that_belong_together_are_drawn_together() -> None:
    together = [
        episode(i, "correct" if i < 8 else "wrong", origin={"cluster": f"q{i // 4}"}, group=f"g{i}") for i in range(16)
    ]
    apart = [dataclasses.replace(one, task=dataclasses.replace(one.task, origin={})) for one in together]
    wide, narrow = (make_report(rows, sample_run.PROTOCOL).arms[0].accuracy for rows in (together, apart))
    assert (wide.value, wide.n) == (narrow.value, narrow.n) == (0.5, 16)
    assert (wide.low, wide.high) == (0.0, 1.0)  # four questions, two of them always right
    assert narrow.low is not None
    assert narrow.low > 0.25


def test_clusters_of_one_are_the_plain_bootstrap() -> None:
    low, high = cluster_interval([[float(i % 2)] for i in range(100)])
    assert (low, high) == (pytest.approx(0.40, abs=0.02), pytest.approx(0.60, abs=0.02))
