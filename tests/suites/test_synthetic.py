"""The synthetic suite: the same pictures everywhere, one right answer each, and the evidence where the targets say."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym import geometry
from o3gym.codec import decode, encode
from o3gym.registry import GENERATORS, UnknownName
from o3gym.suites.base import make_suite
from o3gym.suites.scenes import chart, panels, relation, town
from o3gym.suites.scenes.cartography import MapSheet, Symbol
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.suites.scenes.text import TEXT_FAMILY as TEXT
from o3gym.suites.scenes.text import paint_plate
from o3gym.suites.synthetic import DIFFICULTIES, FAMILIES, SCENES, Synthetic, lay_out_scene, render_scene
from o3gym.types import Source, Task

SMALL = 60_000


LAID_OUT: dict[Any, list[Task]] = {}
"""What several tests look at, laid out once."""


def tasks(family: str, difficulty: str = "all", n: int = 60, **options: Any) -> list[Task]:
    """The first `n` tasks, which are the same for every `n`."""
    known = LAID_OUT.setdefault((family, difficulty, *sorted(options.items())), [])
    suite = Synthetic(family=family, difficulty=difficulty, n=n, **options)
    known += [suite[index] for index in range(len(known), n)]
    return known[:n]


def crop(task: Task, picture: Image.Image, target: int = 0, scale: float = 1.0) -> Image.Image:
    return picture.crop(geometry.snap(geometry.pad(task.targets[target].box, scale), picture.size))


def share(picture: Image.Image, colour: str) -> float:
    """Share of pixels that are close to a named colour."""
    pixels = np.asarray(picture, dtype=float)
    return float((np.abs(pixels - COLOURS[colour]).max(axis=2) < 12).mean())


def test_a_fresh_process_draws_the_same_pixels() -> None:
    args = [
        dict[str, Any](family=f, difficulty=d, seed=s, pixels=SMALL)
        for s, (f, d) in enumerate((f, d) for f in SCENES for d in DIFFICULTIES)
    ]
    code = (
        "import hashlib, json, sys; from o3gym.suites.synthetic import render_scene\n"
        "print(json.dumps([hashlib.sha256(render_scene(**a).tobytes()).hexdigest() for a in json.load(sys.stdin)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(args), capture_output=True, text=True, check=True
    )
    here = [hashlib.sha256(render_scene(**a).tobytes()).hexdigest() for a in args]
    assert json.loads(done.stdout) == here
    assert len(set(here)) == len(here)


def test_the_source_survives_json_and_names_the_registered_generator() -> None:
    task = Synthetic(pixels=SMALL)[5]
    source = decode(Source, json.loads(json.dumps(encode(task.sources[0]))))
    assert source == task.sources[0]
    again = GENERATORS[source.ref](**source.args)
    assert again.mode == "RGB"
    assert again.tobytes() == render_scene(**task.sources[0].args).tobytes()


def test_sizes_follow_the_difficulty_or_the_pixels() -> None:
    for family in FAMILIES:
        easy, medium, hard = (w * h for w, h in (SCENES[family].size(d) for d in DIFFICULTIES))
        assert 1e6 <= easy <= 2.01e6 < 3.9e6 < medium < 4.1e6 < 11.9e6 < hard < 12.1e6
    assert render_scene(family="text", difficulty="easy", seed=0).size == SCENES["text"].size("easy")
    assert render_scene(family="hidden", difficulty="easy", seed=0, pixels=512 * 512).size == (512, 512)
    wide = render_scene(family="chart", difficulty="easy", seed=0, pixels=48_000)
    assert wide.size[0] / wide.size[1] == pytest.approx(4 / 3, abs=0.01)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_pictures_are_not_plain_and_tiny_ones_still_draw(family: str, difficulty: str) -> None:
    picture = render_scene(family=family, difficulty=difficulty, seed=2, pixels=4_000)
    assert len(picture.getcolors(1 << 20) or []) > 100


def test_opening_and_laying_out_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Painter, "__init__", lambda *_: pytest.fail("drew a picture"))
    assert len(list(Synthetic(n=42))) == 42


def test_train_and_test_share_no_seed_and_no_picture() -> None:
    test, train = list(Synthetic(n=210)), list(Synthetic(split="train", n=210))
    assert {t.origin["seed"] % 2 for t in test} == {0}
    assert {t.origin["seed"] % 2 for t in train} == {1}
    assert not {t.sources[0].key for t in test} & {t.sources[0].key for t in train}
    assert not {t.id for t in test} & {t.id for t in train}


def test_ids_tell_variants_apart_and_do_not_depend_on_the_filter() -> None:
    every = {t.id: t for t in Synthetic(n=210)}
    assert len(every) == 210
    assert "synthetic/test/hidden-easy/7" in every
    only = Synthetic(family="hidden", difficulty="easy")[7]
    assert (only.question, only.answer, only.sources) == (
        (twin := every[only.id]).question,
        twin.answer,
        twin.sources,
    )
    variants = [Synthetic(**o)[0].id for o in ({}, {"answers": "free"}, {"pixels": 5000}, {"split": "train"})]
    assert len(set(variants)) == 4


def test_families_and_difficulties_take_turns() -> None:
    first = Synthetic()[: len(FAMILIES) * 3]
    assert [t.tags["family"] for t in first[: len(FAMILIES)]] == list(FAMILIES)
    assert Counter((t.tags["family"], t.tags["difficulty"]) for t in first) == dict.fromkeys(
        ((f, d) for f in FAMILIES for d in DIFFICULTIES), 1
    )
    assert len(Synthetic()) == 1000
    assert list(Synthetic(n=len(first))) == first


@pytest.mark.parametrize("family", [f for f in SCENES if f != "region"])
def test_options_are_distinct_and_the_letter_is_uniform(family: str) -> None:
    letters: dict[int, Counter[str]] = {}
    choices = tasks(family, n=420)
    for choice in choices:
        assert 4 <= len(choice.choices) <= 6
        assert len(set(choice.choices)) == len(choice.choices)
        letters.setdefault(len(choice.choices), Counter())[choice.answer] += 1
    for choice, free in zip(choices, tasks(family, n=60, answers="free"), strict=False):
        assert choice.choices[choice.letters.index(choice.answer)] == free.answer
        assert (free.kind, free.choices) == ("free", ())
        assert (free.sources, free.targets, free.question) == (choice.sources, choice.targets, choice.question)
    for count, found in letters.items():
        expected = found.total() / count
        chi = sum((found[letter] - expected) ** 2 / expected for letter in "ABCDEF"[:count])
        assert chi < 25, (count, found)  # beyond the 99.9th percentile for up to 5 degrees of freedom


@pytest.mark.parametrize("family", SCENES)
def test_targets_are_boxes_inside_the_picture(family: str) -> None:
    for task in tasks(family, n=300):
        assert task.targets or family in ("region", "tally")
        for target in task.targets:
            assert geometry.clamp(target.box) == target.box
            assert not geometry.is_empty(target.box)
            assert target.label


def test_any_family_can_be_searched_for_its_target() -> None:
    suite = Synthetic(family="hidden+attribute+region", difficulty="easy", answers="box", n=30)
    assert suite.kinds == {"box"}
    hidden, attribute, region = suite[0], suite[1], suite[2]
    whole = Synthetic(family="hidden+attribute+region", difficulty="easy", n=30)
    assert (hidden.question, hidden.kind, hidden.choices, hidden.answer) == ("star", "box", (), "")
    assert hidden.targets == whole[0].targets
    assert attribute.question == whole[1].targets[0].label
    assert region == whole[2]


def test_some_regions_are_absent_and_answers_are_boxes() -> None:
    found = tasks("region", n=1200)
    assert all((t.kind, t.answer, t.choices) == ("box", "", ()) for t in found)
    assert 0.16 < np.mean([not t.targets for t in found]) < 0.24
    assert all(len(t.targets) <= 1 for t in found)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match='did you mean "hidden"'):
        Synthetic(family="hiden")
    with pytest.raises(UnknownName, match='did you mean "medium"'):
        Synthetic(difficulty="medum")
    with pytest.raises(UnknownName, match='did you mean "choice"'):
        Synthetic(answers="choices")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match='did you mean "map"'):
        render_scene(family="maps", difficulty="easy", seed=0)
    with pytest.raises(ValueError, match="no argument"):
        make_suite("synthetic:hidden")
    with pytest.raises(ValueError, match="pixels: expected a whole number from 0 up, got -1"):
        Synthetic(pixels=-1)
    with pytest.raises(ValueError, match="n: expected a whole number from 0 up, got 'abc'"):
        make_suite("synthetic?n=abc")
    with pytest.raises(UnknownName, match='unknown family "5"'):
        make_suite("synthetic?family=5")
    assert make_suite("synthetic?family=hidden&difficulty=easy&n=3").task(2).tags["family"] == "hidden"


def test_too_few_pixels_are_warned_of() -> None:
    assert Synthetic().warnings == ()
    assert Synthetic(family="hidden", difficulty="easy", pixels=512 * 512).warnings == ()
    (warning,) = Synthetic(pixels=512 * 512).warnings
    assert "text-easy" in warning
    assert "hidden-easy" not in warning


@pytest.mark.parametrize(("family", "floor"), [("hidden", 0.012), ("attribute", 0.04)])
def test_the_colour_that_is_asked_for_is_at_the_target(family: str, floor: float) -> None:
    easy = tasks(family, "easy", 24, answers="free", pixels=512 * 512)
    for task in easy + tasks(family, "medium", 4, answers="free"):
        if task.answer in COLOURS:
            seen = crop(task, render_scene(**task.sources[0].args))
            shares = {colour: share(seen, colour) for colour in COLOURS}
            assert max(shares, key=shares.__getitem__) == task.answer, task.id
            assert shares[task.answer] > floor, task.id


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_only_the_right_code_redraws_the_plate(difficulty: str) -> None:
    for task in tasks("text", difficulty, 2):
        picture = render_scene(**task.sources[0].args)
        plate = task.targets[0].box
        box = (plate[0] * TEXT.aspect, plate[1], plate[2] * TEXT.aspect, plate[3])
        change = {}
        for option in task.choices:
            painter = Painter(picture.size, TEXT.aspect)
            painter.image.paste(picture)
            paint_plate(painter, box, option, TEXT.levels[difficulty].detail)
            inside = [np.asarray(crop(task, image, scale=0.8), int) for image in (painter.image, picture)]
            change[option] = float(np.abs(inside[0] - inside[1]).mean())
        assert min(change, key=change.__getitem__) == task.choices[task.letters.index(task.answer)], task.id
        assert sorted(change.values())[:2] == [0, pytest.approx(5, abs=4.9)], task.id


def test_codes_have_no_characters_that_look_alike() -> None:
    for task in tasks("text", n=90):
        assert all(re.fullmatch(r"[A-Z]{2}-\d[A-Z]\d", code) for code in task.choices)
        assert not set("".join(task.choices)) & set("O0QDI1LS5B8Z2G6V") - {"L"}


def test_relations_hold_between_the_targets() -> None:
    for task in tasks("relation", n=240, answers="free"):
        (ax, ay), (bx, by) = (geometry.center(t.box) for t in task.targets)
        dx, dy = (ax - bx) * 4 / 3, ay - by
        if task.answer in {*relation.SIDES, *relation.DIAGONALS}:
            way = {**relation.SIDES, **relation.DIAGONALS}[task.answer]
        else:
            assert task.targets[1].label == task.answer
            (word,) = re.findall(r"to the left|to the right|above|below", task.question)
            way, dx, dy = relation.SIDES[word.removeprefix("to the ")], -dx, -dy
        assert all((d > 0) == (w > 0) for d, w in zip((dx, dy), way, strict=True) if w), task.id
        if 0 in way:
            assert max(abs(dx), abs(dy)) > 2.4 * min(abs(dx), abs(dy)), task.id


def test_the_grid_square_is_where_the_symbol_is() -> None:
    for task in tasks("map", n=240, answers="free"):
        if "square" in task.question:
            x, y = geometry.center(task.targets[0].box)
            _, _, column, row = (t.box for t in task.targets)
            assert column[0] - 0.06 < x < column[2] + 0.06
            assert row[1] - 0.06 < y < row[3] + 0.06
            assert [t.label for t in task.targets[2:]] == [f"column {task.answer[0]}", f"row {task.answer[1:]}"]


def test_the_legend_line_shows_the_badge_of_the_symbol() -> None:
    for task in tasks("map", "easy", 12):
        picture = render_scene(**task.sources[0].args)
        names = [t.label for t in task.targets]
        for i, name in enumerate(names):
            if f"legend: {name}" in names:
                symbol, line = crop(task, picture, i), crop(task, picture, names.index(f"legend: {name}"))
                badge = max(town.BADGES, key=lambda c: share(symbol, c))
                assert share(line, badge) > 0.01, (task.id, name)


def test_the_nearest_place_is_clearly_nearest() -> None:
    def at(kind: str, x: float) -> Symbol:
        return Symbol(kind, "star", "red", (x, 0.5))

    symbols = [at("bank", 0.10), at("school", 0.20), at("hotel", 0.29), at("hotel", 0.60), at("school", 0.9)]
    sheet = MapSheet(5, 0.02, 0.01, symbols, [at(k, 0) for k in ("bank", "school", "hotel", *"abcd")], [], 0)
    answers = {town.ask_nearest(Random(seed), sheet)[1] for seed in range(20)}
    assert answers == {"school"}


def test_panels_have_values_well_apart() -> None:
    rng = Random(0)
    for kind in panels.PANEL_KINDS * 40:
        panel = panels.random_panel(rng, (0, 0, 1, 1), "T", kind, tuple("ABCDE"))
        values = sorted(panel.values)
        assert min(b - a for a, b in pairwise(values)) >= (2 if kind == "pie" else 4)
        assert min(values) >= 7
        assert sum(values) == 100 if kind == "pie" else max(values) <= 97


def test_chart_questions_are_answered_from_both_panels() -> None:
    names = ("Jan", "May", "Jun", "Jul", "Sep")
    first = panels.Panel((0, 0, 1, 1), "Sales 2001", "bar", names, (30, 80, 40, 50, 60), 0)
    second = panels.Panel((0, 0, 1, 1), "Calls 2002", "bar", names, (55, 20, 35, 70, 15), 0)
    for seed in range(20):
        question, answer, _ = chart.ask_chain(Random(seed), "month", first, second)
        assert answer == (20 if "highest" in question else 55)
        question, answer, _ = chart.ask_sum(Random(seed), "month", first, second)
        (name,) = re.findall("Jan|May|Jun|Jul|Sep", question)
        assert answer == first.value(name) + second.value(name)
        question, answer, wrong = chart.ask_difference(Random(seed), "month", first, second)
        a, b = re.findall(r"for (\w+) in", question)
        assert answer == first.value(a) - second.value(b) > 0
        assert answer not in wrong
        assert min(wrong) > 0


def test_region_targets_show_what_is_described() -> None:
    for task in tasks("region", "easy", 30):
        described = re.search(rf"the ({'|'.join(COLOURS)}) \w+ on the", task.question)
        if described and task.targets:
            seen = crop(task, render_scene(**task.sources[0].args))
            assert share(seen, described[1]) == max(share(seen, c) for c in COLOURS), task.id


def test_several_families_take_turns() -> None:
    suite = make_suite("synthetic", family="text+hidden", difficulty="easy")
    assert [task.tags["family"] for task in suite[:4]] == ["text", "hidden", "text", "hidden"]
    with pytest.raises(UnknownName, match='did you mean "hidden"'):
        make_suite("synthetic", family="text+hiden")


@pytest.mark.parametrize("family", ["attribute", "hidden", "text"])
def test_what_a_scene_lists_includes_the_target_and_lies_on_the_board(family: str) -> None:
    for seed in range(5):
        scene, aspect = lay_out_scene(family, "easy", seed), SCENES[family].aspect
        boxes = {box for _, box in scene.items}
        assert scene.targets[0][1] in boxes
        assert all(min(box) >= 0 and box[2] <= aspect and box[3] <= 1 for box in boxes)
        (words,) = [words for words, box in scene.items if box == scene.targets[0][1]]
        assert scene.answer in words
