"""Each family of films: what the question asks for is where and when the targets say, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest

from o3gym.geometry import snap
from o3gym.suites.films.base import FILM_ASPECT, FILM_SIZES, slots
from o3gym.suites.films.event import plan_lighting
from o3gym.suites.films.glimpse import paint_code
from o3gym.suites.films.pair import PAIR_DIMENSIONS
from o3gym.suites.films.room import random_chapters
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.suites.synthetic_video import FILM_DIFFICULTIES, SyntheticVideo, render_film
from o3gym.types import Target, Task

SECONDS = 40
Pixels = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def films(family: str, difficulty: str, n: int = 3, **options: Any) -> list[Task]:
    return list(SyntheticVideo(family=family, difficulty=difficulty, n=n, **{"seconds": SECONDS, **options}))


def frame(task: Task, number: int, take: int = 0) -> Pixels:
    source = task.sources[take]
    return np.asarray(render_film(**source.args, time=number / source.args["fps"]), np.float32)


def interval(task: Task, target: Target) -> tuple[int, int]:
    """The first frame of a target, and the one after its last."""
    assert target.time is not None
    start, end = (time * task.sources[target.source].args["fps"] for time in target.time)
    assert (start, end) == (round(start), round(end)), "targets begin and end with frames"
    return round(start), round(end)


def inside(task: Task, target: Target, number: int) -> Pixels:
    pixels = frame(task, number, target.source)
    x0, y0, x1, y1 = snap(target.box, (pixels.shape[1], pixels.shape[0]))
    return pixels[y0:y1, x0:x1]


def share(pixels: Pixels, colour: str) -> float:
    """Share of pixels that are close to a named colour."""
    return float((np.abs(pixels - COLOURS[colour]).max(axis=2) < 12).mean())


def around(task: Task, target: Target) -> tuple[Iterator[int], list[int]]:
    """The frames of a target, and those just before and after it that the film has."""
    start, end = interval(task, target)
    last = round((task.sources[target.source].duration or 0) * task.sources[target.source].args["fps"])
    return iter(range(start, end)), [number for number in (start - 1, end) if 0 <= number < last]


def light(pixels: Pixels) -> float:
    """Share of pixels with the pale yellow of a lit lamp's bulb and cone, on any wall."""
    red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    return float(((red > 225) & (green > 215) & (blue > 130) & (blue < 190)).mean())


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_the_lamp_is_on_in_its_time_and_off_before_and_after(difficulty: str) -> None:
    for task in films("event", difficulty, 4):
        (target,) = task.targets
        lit, dark = around(task, target)
        assert min(light(inside(task, target, number)) for number in lit) > 0.05
        assert max(light(inside(task, target, number)) for number in dark) < 0.002
        colour = target.label.removesuffix(" lamp")
        assert share(inside(task, target, interval(task, target)[0]), colour) > 0.02
        assert f"{colour} lamp" in task.question


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_a_lamp_is_on_once_in_front_of_the_wall_that_is_named(difficulty: str) -> None:
    for task in films("event", difficulty, 1, seconds=60):
        (target,) = task.targets
        start, end = interval(task, target)
        wall = frame(task, start)[int(0.66 * FILM_SIZES[difficulty][1]), 3]
        others = [number for number in range(0, 120, 2) if not start <= number < end]
        same_wall = [
            n for n in others if np.abs(frame(task, n)[int(0.66 * FILM_SIZES[difficulty][1]), 3] - wall).max() < 9
        ]
        assert same_wall
        assert max(light(inside(task, target, number)) for number in same_wall) < 0.05


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_the_code_is_shown_in_one_frame_and_says_the_answer(difficulty: str) -> None:
    for task in films("glimpse", difficulty, 3):
        (target,) = task.targets
        start, end = interval(task, target)
        assert end == start + 1
        assert target.time == (start / 2, start / 2 + 0.5)
        card = frame(task, start)
        change = {}
        for option in task.choices:
            painter = Painter(FILM_SIZES[difficulty], FILM_ASPECT)
            painter.image.paste(render_film(**task.sources[0].args, time=start / 2))
            x0, y0, x1, y1 = target.box
            paint_code(painter, option, (x0 * FILM_ASPECT, y0, x1 * FILM_ASPECT, y1), difficulty)
            change[option] = float(np.abs(np.asarray(painter.image, float) - card).mean())
        assert min(change, key=change.__getitem__) == target.label
        assert sorted(change.values())[1] > 2 * change[target.label]  # the rounded corners are drawn twice
        assert task.choices[task.letters.index(task.answer)] == target.label
        for number in (start - 1, end):
            assert np.abs(inside(task, target, number) - inside(task, target, start)).mean() > 20


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_the_named_lamp_is_on_while_the_code_is_shown(difficulty: str) -> None:
    for task in films("glimpse", difficulty, 4, seconds=120):
        ((lamp,),) = [re.findall(r"the (\w+) lamp is on", task.question) or [""]]
        assert bool(lamp) == (difficulty != "easy")
        event = frame(task, interval(task, task.targets[0])[0])
        assert not lamp or share(event[: event.shape[0] // 3], lamp) > 0.001


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
@pytest.mark.parametrize("frames", [16, 120, 1200])
def test_lamp_and_wall_name_one_time_at_which_no_other_lamp_is_on(difficulty: str, frames: int) -> None:
    decoys = 0
    for seed in range(60):
        plan = plan_lighting(Random(seed), difficulty, frames, 16)
        assert plan.chapter.start < plan.lit[0] < plan.lit[1] <= plan.chapter.end
        assert [times for times in plan.lamp.lit if plan.chapter.start <= times[0] < plan.chapter.end] == [plan.lit]
        assert not [times for times in plan.decoys if times[0] < plan.lit[1] and plan.lit[0] < times[1]]
        assert sum(len(lamp.lit) for lamp in plan.room.lamps) == len(plan.decoys) + 1
        decoys += len(plan.decoys)
    assert decoys >= {"easy": 0, "medium": 120, "hard": 250}[difficulty]


def test_other_cards_are_shown_at_other_times() -> None:
    (task,) = films("glimpse", "medium", 1, seconds=60)
    start, _ = interval(task, task.targets[0])
    cards = [number for number in range(120) if paper(task, number, (252, 251, 247)).mean() > 0.002]
    assert start in cards
    assert len(cards) == 4


def paper(task: Task, number: int, colour: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which pixels of a frame have exactly this colour."""
    pixels = np.asarray(render_film(**task.sources[0].args, time=number / task.sources[0].args["fps"]))
    same: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (pixels == colour).all(axis=2)
    return same


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_each_thing_stands_on_the_table_in_its_time(difficulty: str) -> None:
    for task in films("order", difficulty, 2):
        for target in task.targets:
            colour = target.label.split()[0]
            shown, hidden = around(task, target)
            least = min(share(inside(task, target, number), colour) for number in shown)
            assert least > 0.03, (task.id, target)
            assert max(share(inside(task, target, number), colour) for number in hidden) < least / 3


def test_the_order_is_that_of_the_targets() -> None:
    forms = set()
    for difficulty in FILM_DIFFICULTIES:
        for task in films("order", difficulty, 40, answers="free", seconds=0):
            names = [target.label for target in sorted(task.targets, key=lambda t: t.time or ())]
            if after := re.search(r"right after the (.+)\?", task.question):
                forms.add("next")
                assert task.answer == names[names.index(after[1]) + 1]
            else:
                (form,) = re.findall(r"is (first|last)\?", task.question)
                forms.add(form)
                assert task.answer == names[0 if form == "first" else -1]
    assert forms == {"first", "last", "next"}


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_the_count_is_the_number_of_passes(difficulty: str) -> None:
    for task in films("count", difficulty, 2, answers="free"):
        assert int(task.answer) == len(task.targets)
        colour, kind = task.targets[0].label.split()
        assert f"{colour} {kind}" in task.question
        last = -2
        for target in task.targets:
            shown, hidden = around(task, target)
            places = [place(inside(task, target, number), colour) for number in shown]
            assert len(places) >= 3
            assert np.all(np.diff(places) > 0) or np.all(np.diff(places) < 0), "it moves on in one direction"
            assert all(share(inside(task, target, number), colour) < 0.004 for number in hidden)
            assert last < interval(task, target)[0]
            last = interval(task, target)[1]


def place(pixels: Pixels, colour: str) -> float:
    """The mean x of the pixels of a colour."""
    return float(np.nonzero(np.abs(pixels - COLOURS[colour]).max(axis=2) < 12)[1].mean())


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_following_the_swaps_leads_to_the_answer(difficulty: str) -> None:
    for task in films("track", difficulty, 30, answers="free", seconds=0):
        cups = 4 if difficulty == "hard" else 3
        ball, *swaps = task.targets
        at = int((ball.box[0] + ball.box[2]) / 2 * cups)
        for swap in swaps:
            a, b = int(swap.box[0] * cups), int(swap.box[2] * cups)
            assert a < b
            at = {a: b, b: a}.get(at, at)
        assert task.answer == str(at + 1)


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_cups_move_in_the_times_of_swaps_only(difficulty: str) -> None:
    (task,) = films("track", difficulty, 1, seconds=20)
    moving = {number for target in task.targets[1:] for number in range(*interval(task, target))}
    start = interval(task, task.targets[0])[1]
    still = [number for number in range(start, 40) if number not in moving]
    cups = [paper(task, number, (226, 222, 210)) for number in range(40)]
    assert all((cups[number] == cups[still[0]]).mean() > 0.999 for number in still)
    assert all((cups[number] == cups[still[0]]).mean() < 0.997 for number in moving)
    colour = re.findall(rf"({'|'.join(COLOURS)}) ball", task.question)[0]
    shown = [share(inside(task, task.targets[0], number), colour) for number in (0, start - 1, start)]
    assert min(shown[:2]) > shown[2] + 0.01


def test_the_better_clip_wins_more_dimensions() -> None:
    answers = set()
    for task in SyntheticVideo(family="pair", n=90):
        better = task.origin["dimensions"]
        assert tuple(better) == PAIR_DIMENSIONS
        wins = list(better.values())
        assert task.answer == ("A" if wins.count("A") > wins.count("B") else "B")
        assert task.choices == ("the first clip", "the second clip")
        faults = {(target.label, "BA"[target.source]) for target in task.targets}
        assert faults == {(name, winner) for name, winner in better.items() if winner != "same"}
        answers.add(task.answer)
    assert answers == {"A", "B"}


def faulty(dimension: str, difficulty: str, count: int = 2) -> Iterator[tuple[Task, Target]]:
    """Tasks in which a clip has a fault in that dimension and no other, with the target that shows it."""
    for task in SyntheticVideo(family="pair", difficulty=difficulty, n=60):
        found = [target for target in task.targets if target.label == dimension]
        if found and sum(target.source == found[0].source for target in task.targets) == 1:
            yield task, found[0]
            count -= 1
        if not count:
            return


def detail(pixels: Pixels) -> float:
    """How much neighbouring pixels differ, which blocks and blur reduce."""
    return float((np.abs(np.diff(pixels, axis=0)) > 0.5).mean() + (np.abs(np.diff(pixels, axis=1)) > 0.5).mean())


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_frames_of_low_quality_have_less_detail(difficulty: str) -> None:
    for task, target in faulty("video quality", difficulty):
        low, clean = around(task, target)
        assert max(detail(frame(task, n, target.source)) for n in list(low)[::3]) < 0.8 * min(
            detail(frame(task, n, target.source)) for n in clean
        )


@pytest.mark.parametrize("difficulty", FILM_DIFFICULTIES)
def test_a_thing_that_moves_badly_goes_back_and_forth(difficulty: str) -> None:
    for task, target in faulty("motion quality", difficulty):
        ((colour, _),) = re.findall(r"[Aan]+ (\w+) (\w+) crosses", task.question)
        shaken, _ = around(task, target)
        steps = np.diff([place(inside(task, target, number), colour) for number in shaken])
        assert (steps > 0).any()
        assert (steps < 0).any()


def test_a_clip_that_does_not_follow_the_prompt_shows_it() -> None:
    kinds = set()
    for task, target in faulty("temporal alignment", "easy", 6):
        ((lamp,),) = [set(re.findall(r"the (\w+) lamp", task.question.lower()))]
        first_lamp = task.question.index("lamp") < task.question.index("crosses")
        lit, moved, way = script(task, target.source, lamp)
        wanted = 1 if "left to right" in task.question else -1
        kinds.add("lamp" if not lit else "way" if way != wanted else "order")
        assert not lit or way != wanted or (min(lit) < min(moved)) != first_lamp
        other = 1 - target.source
        if not any(t.source == other for t in task.targets):
            lit, moved, way = script(task, other, lamp)
            assert (way, min(lit) < min(moved)) == (wanted, first_lamp)
    assert kinds == {"lamp", "way", "order"}


def script(task: Task, take: int, lamp: str) -> tuple[list[int], list[int], int]:
    """The frames in which the lamp of a colour is on and in which the thing moves, and the sign of its movement."""
    ((colour, _),) = re.findall(r"[Aan]+ (\w+) (\w+) crosses", task.question)
    lit, places = [], {}
    for number in range(0, 32, 3):
        pixels = frame(task, number, take)
        height, table = pixels.shape[0], pixels[int(0.6 * pixels.shape[0]) :]
        if light(pixels) > 0.004 and share(pixels[: height // 3], lamp) > 0.002:
            lit.append(number)
        if share(table, colour) > 0.004:
            places[number] = place(table, colour)
    first, *_, last = places.values()
    return lit, list(places), 1 if last > first else -1


def test_slots_are_in_order_and_apart() -> None:
    for seed in range(50):
        placed = slots(Random(seed), 1, 100, [3, 10, 1, 20, 5])
        assert placed[0][0] >= 1
        assert placed[-1][1] <= 100
        assert all(a[1] <= b[0] for a, b in pairwise(placed))


@pytest.mark.parametrize("frames", [16, 27, 120, 360, 1200])
def test_chapters_cover_the_film_and_have_different_walls(frames: int) -> None:
    for seed in range(30):
        chapters = random_chapters(Random(seed), frames)
        assert [chapters[0].start, chapters[-1].end] == [0, frames]
        assert all(a.end == b.start for a, b in pairwise(chapters))
        assert len({chapter.wall for chapter in chapters}) == len(chapters)
        assert min(chapter.end - chapter.start for chapter in chapters) > frames / 16
