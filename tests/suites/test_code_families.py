"""Families that need code: their programs solve them, and sight does not."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Iterable
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym import geometry
from o3gym.suites.base import make_suite
from o3gym.suites.scenes import dim, labels, measure, tally, turned
from o3gym.suites.scenes.base import LEGIBLE
from o3gym.suites.scenes.palette import COLOURS
from o3gym.suites.synthetic import (
    CODE_FAMILIES,
    DIFFICULTIES,
    FAMILIES,
    OVERVIEW_PIXELS,
    SCENES,
    Synthetic,
    lay_out_scene,
    render_scene,
)
from o3gym.types import Task
from tests.suites.template_reader import TILTS, read_word

SEEDS, PART = 100, 5
"""Tasks per family and difficulty whose programs are run, and how many of them one test runs."""
PARTS = range(0, SEEDS, PART)
PATCH = 28
"""Side of a patch of an overview in pixels: sight tells in which patch something ends, but not where in it."""


def run(task: Task) -> tuple[str, Image.Image | None, Image.Image]:
    """What the program of a task prints, the picture that it makes, and the picture that it was given."""
    image = render_scene(**task.sources[0].args)
    names: dict[str, Any] = {"image": image}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(task.origin["program"], names)
    return printed.getvalue().strip(), names.get("picture"), image


@cache
def least_pixels(family: str, difficulty: str) -> int:
    """The smallest number of pixels at which a picture is legible."""
    height = math.ceil(LEGIBLE / SCENES[family].levels[difficulty].detail) + 1
    return round(height * height * SCENES[family].aspect)


def tasks(family: str, difficulty: str, numbers: Iterable[int], small: bool = False, **options: Any) -> list[Task]:
    pixels = least_pixels(family, difficulty) if small else 0
    suite = Synthetic(family=family, difficulty=difficulty, pixels=pixels, **options)
    assert not suite.warnings
    return [suite[number] for number in numbers]


def truth(task: Task) -> str:
    return task.choices[task.letters.index(task.answer)]


# ── Programs ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("first", PARTS)
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("family", ["tally", "measure"])
def test_programs_compute_the_answer_from_the_pixels(family: str, difficulty: str, first: int) -> None:
    for task in tasks(family, difficulty, range(first, first + PART), small=True, answers="free"):
        assert run(task)[0] == task.answer, task.id


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("family", ["tally", "measure"])
def test_programs_compute_the_answer_at_the_usual_size(family: str, difficulty: str) -> None:
    (task,) = tasks(family, difficulty, [1], answers="free")
    assert run(task)[0] == task.answer


@pytest.mark.parametrize("first", PARTS[:8])
@pytest.mark.parametrize("family", ["turned", "dim"])
def test_a_reader_reads_what_the_program_of_an_easy_task_shows_and_nothing_without_it(family: str, first: int) -> None:
    for task in tasks(family, "easy", range(first, first + PART)):
        check_reading(task, "easy")


@pytest.mark.parametrize(("difficulty", "number"), [("medium", 0), ("medium", 1), ("medium", 2), ("hard", 0)])
@pytest.mark.parametrize("family", ["turned", "dim"])
def test_a_reader_reads_what_other_programs_show(family: str, difficulty: str, number: int) -> None:
    check_reading(tasks(family, difficulty, [number])[0], difficulty)


def check_reading(task: Task, difficulty: str) -> None:
    """The reader reads the picture that the program makes, but neither the picture nor a crop of its target."""
    _, picture, image = run(task)
    assert picture is not None
    em = labels.LABEL_EM[difficulty] * image.height
    assert read_word(picture, em, task.choices) == truth(task), task.id
    box = geometry.snap(geometry.pad(task.targets[0].box, 1.2), image.size)
    assert read_word(image.crop(box), em, task.choices) == "", task.id


def test_programs_are_short() -> None:
    for family in CODE_FAMILIES:
        for difficulty in DIFFICULTIES:
            for task in tasks(family, difficulty, range(8)):
                lines = [line for line in task.origin["program"].splitlines() if line]
                assert len(lines) <= {"turned": 1, "dim": 2}.get(family, 14)
                assert max(map(len, lines)) <= 120
    assert {task.origin["program"].count("\n") for task in tasks("turned", "easy", range(20))} == {0}


def test_other_families_have_no_program() -> None:
    assert all("program" not in task.origin for task in Synthetic(n=63))


# ── Sight ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_codes_are_turned_further_than_the_reader_can_read() -> None:
    assert min(abs(angle) for angles in turned.TURNS.values() for angle in angles) == turned.STEEP > 2 * max(TILTS)
    assert turned.TURNS["easy"] == (-150, -120, -90, -60, -30, 30, 60, 90, 120, 150, 180)
    drawn = {task.origin["program"] for task in tasks("turned", "easy", range(400))}
    assert drawn == {f"picture = image.rotate({-angle})" for angle in turned.TURNS["easy"]}


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_faint_codes_stay_below_what_is_seen(difficulty: str) -> None:
    """In a crop at native size, and reduced as in the overview."""
    (task,) = tasks("dim", difficulty, [0])
    image = render_scene(**task.sources[0].args)
    x, y = (part * image.height for part in geometry.center(task.targets[0].box))
    em = labels.LABEL_EM[difficulty] * image.height
    label = image.crop((round(x - 2 * em), round(y - em / 2), round(x + 2 * em), round(y + em / 2)))
    shrink = min(1.0, math.sqrt(OVERVIEW_PIXELS / (image.width * image.height)))
    reduced = label.resize([max(1, round(side * shrink)) for side in label.size], Image.Resampling.BICUBIC)
    most = dim.FAINTNESS + dim.GRAIN
    assert dim.FAINTNESS <= np.ptp(np.asarray(label, int), axis=(0, 1)).max() <= most < dim.SEEN_FROM
    assert np.ptp(np.asarray(reduced, int), axis=(0, 1)).max() <= most


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_beads_cannot_be_counted_by_the_area_of_their_colour(difficulty: str) -> None:
    """Who knows the exact area of a colour and the mean area of a bead is right little more often than by chance."""
    found = tasks("tally", difficulty, range(60))
    right = []
    for task in found:
        beads = tally.scatter_beads(Random(f"tally/{difficulty}/{task.origin['seed']}"), difficulty)
        mean = np.mean([bead.radius**2 for bead in beads])
        first, second = ([*(w for w in task.question.strip("?").split() if w in COLOURS), ""])[:2]
        many, few = (sum(b.radius**2 for b in beads if b.colour == colour) / mean for colour in (first, second))
        right.append(nearest(task, many - few if "more" in task.question else many + few))
    assert np.mean(right) < 0.4
    assert np.mean([1 / len(task.choices) for task in found]) == pytest.approx(0.2, abs=0.02)


def nearest(task: Task, estimate: float) -> bool:
    """Whether the option that is nearest to an estimate is right."""
    return min(task.choices, key=lambda option: abs(float(option) - estimate)) == truth(task)


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_lengths_cannot_be_told_by_patches_of_the_overview(difficulty: str) -> None:
    right = [nearest(task, by_patches(task, difficulty)) for task in tasks("measure", difficulty, range(200))]
    assert np.mean(right) < 0.4


def by_patches(task: Task, difficulty: str) -> float:
    """The answer if everything ends in the middle of its patch of the overview."""
    side = PATCH / math.sqrt(OVERVIEW_PIXELS / measure.MEASURE_ASPECT)

    def patch(value: float) -> float:
        return (math.floor(value / side) + 0.5) * side

    def length(rod: measure.Rod) -> float:
        (x0, y0), (x1, y1) = rod.ends
        return max(math.hypot(patch(x1) - patch(x0), patch(y1) - patch(y0)), side / 2)

    rng = Random(f"measure/{difficulty}/{task.origin['seed']}")
    if measure.asks_ratio(rng):
        _, long, short, _ = measure.lay_rods(rng, difficulty)
        return length(long) / length(short)
    _, chart = measure.lay_charts(rng, difficulty)
    _, top, _, bottom = chart.plot(measure.CHART_EM[difficulty])
    tops = [bottom - (bottom - top) * value / 100 for value in chart.values]
    return sum(100 * (patch(bottom) - patch(y)) / (bottom - top) for y in tops)


# ── Scenes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_families_that_need_code_must_be_named() -> None:
    assert (*FAMILIES, *CODE_FAMILIES) == tuple(SCENES)
    assert make_suite("synthetic").families == FAMILIES
    assert {task.tags["family"] for task in Synthetic(n=42)} == set(FAMILIES)
    assert make_suite("synthetic?family=turned+dim").families == ("turned", "dim")
    assert make_suite("synthetic?family=all+dim").families == FAMILIES


@pytest.mark.parametrize("family", CODE_FAMILIES)
def test_pictures_can_be_drawn_at_any_size(family: str) -> None:
    for difficulty in DIFFICULTIES:
        picture = render_scene(family=family, difficulty=difficulty, seed=2, pixels=4_000)
        assert len(picture.getcolors(1 << 20) or []) > 3


@pytest.mark.parametrize("family", ["turned", "dim"])
def test_easy_pictures_are_small_and_others_large(family: str) -> None:
    assert [SCENES[family].size(difficulty) for difficulty in DIFFICULTIES] == [(108, 108), (2000, 2000), (3464, 3464)]
    assert len(lay_out_scene(family, "easy", 0).items) == 1
    assert len(lay_out_scene(family, "hard", 0).items) == 64


@pytest.mark.parametrize("difficulty", ["medium", "hard"])
def test_only_one_label_has_the_colour_that_is_asked_for(difficulty: str) -> None:
    for seed in range(20):
        found, target = labels.lay_labels(Random(seed), difficulty)
        assert [label for label in found if label.colour == target.colour] == [target]
        assert len({label.code for label in found}) == len(found)
    for task in tasks("turned", difficulty, range(4)):
        assert task.targets[0].label == f"{task.question.split()[-1].strip('.?')} label"


def test_ratios_and_sums_are_what_is_drawn() -> None:
    for seed in range(40):
        rods, long, short, tenths = measure.lay_rods(Random(seed), "hard")
        assert long.length / short.length == pytest.approx(tenths / 10)
        assert [rod.colour for rod in rods].count(long.colour) == [rod.colour for rod in rods].count(short.colour) == 1


def test_there_is_no_region_in_a_tally() -> None:
    with pytest.raises(ValueError, match='the family "tally" has no regions to search for'):
        Synthetic(family="dim+tally", answers="box")
    assert (
        Synthetic(family="measure", answers="box").task(0).question == Synthetic(family="measure")[0].targets[0].label
    )
