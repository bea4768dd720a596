"""The suite of films: the same frames everywhere, options, splits, and how little an overview gives away."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from o3gym import geometry
from o3gym.calls import locate_span
from o3gym.codec import decode, encode
from o3gym.envs import VisualSearchEnv
from o3gym.media.videos import timeline_of
from o3gym.registry import GENERATED_SIZES, GENERATORS, UnknownName
from o3gym.suites.base import make_suite
from o3gym.suites.films.base import OVERVIEW_FRAMES
from o3gym.suites.films.room import WALLS
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.synthetic_video import (
    FILM_DIFFICULTIES,
    FILM_FAMILIES,
    FILMS,
    SINGLE_MOMENT,
    SyntheticVideo,
    film_size,
    render_film,
)
from o3gym.types import Source, Task

PAIRS = [(family, difficulty) for family in FILM_FAMILIES for difficulty in FILM_DIFFICULTIES]

GOLDEN_TASKS = "71dad6c6bd405e75d73fa4f585cd3c5866904120cc6e695c4e238464f311e68d"
"""SHA-256 of the first tasks of the suite. If it changes, the suite's version must rise."""
GOLDEN_FRAMES: dict[str, tuple[float, ...]] = {
    "event-easy": (195.8, 182.9, 170.9, 192.2, 179.8, 167.1),
    "event-medium": (192.7, 159.9, 89.8, 188.1, 156.4, 84.6),
    "event-hard": (121.6, 140.8, 167.6, 112.5, 131.9, 164.2),
    "glimpse-easy": (146.6, 115.0, 90.2, 146.9, 114.0, 85.2),
    "glimpse-medium": (185.1, 113.1, 101.7, 182.4, 106.4, 93.2),
    "glimpse-hard": (154.9, 124.5, 155.7, 146.6, 113.7, 150.1),
    "order-easy": (194.8, 163.0, 90.7, 190.0, 155.7, 85.9),
    "order-medium": (196.2, 162.4, 90.8, 191.6, 158.6, 82.8),
    "order-hard": (199.5, 187.9, 176.5, 195.5, 184.3, 172.8),
    "count-easy": (152.0, 123.9, 157.0, 149.6, 116.6, 154.7),
    "count-medium": (120.9, 140.9, 171.7, 115.9, 135.8, 170.0),
    "count-hard": (198.1, 186.4, 178.4, 195.3, 184.3, 172.9),
    "track-easy": (157.3, 128.2, 161.7, 151.6, 121.4, 157.0),
    "track-medium": (153.6, 122.6, 96.8, 147.3, 114.7, 87.8),
    "track-hard": (127.0, 147.3, 177.6, 119.3, 139.1, 170.2),
    "pair-easy": (192.1, 159.3, 89.1, 186.2, 153.8, 81.1),
    "pair-medium": (191.9, 183.1, 172.7, 191.9, 180.3, 170.3),
    "pair-hard": (130.7, 154.9, 108.4, 121.7, 150.0, 102.5),
}
"""Mean red, green and blue of the left and the right half of a frame that shows the first moment of a film."""
TOLERANCE = 2.0
"""Deviation of these means that another version of Pillow may cause."""


def halves(source: Source, time: float) -> tuple[float, ...]:
    pixels = np.asarray(render_film(**source.args, time=time), float)
    left, right = np.array_split(pixels, 2, axis=1)
    return tuple(round(float(mean), 1) for half in (left, right) for mean in half.mean((0, 1)))


def test_tasks_are_what_they_were() -> None:
    tasks = [encode(task) for task in SyntheticVideo(n=36)]
    digest = hashlib.sha256(json.dumps(tasks, sort_keys=True).encode()).hexdigest()
    assert (SyntheticVideo.version, digest) == ("1", GOLDEN_TASKS)


@pytest.mark.parametrize(("family", "difficulty"), PAIRS)
def test_frames_are_what_they_were(family: str, difficulty: str) -> None:
    task = SyntheticVideo(family=family, difficulty=difficulty)[1]
    time = (task.targets[0].time or (0.0, 0.0))[0]
    found = halves(task.sources[task.targets[0].source], time)
    assert found == pytest.approx(GOLDEN_FRAMES[f"{family}-{difficulty}"], abs=TOLERANCE)


def test_frames_do_not_depend_on_what_was_drawn_before() -> None:
    (source,) = SyntheticVideo(family="track", difficulty="easy", seconds=30)[0].sources
    first = render_film(**source.args, time=5.0).tobytes()
    for number in range(0, 60, 7):
        render_film(**source.args, time=number / 2)
    again = decode(Source, json.loads(json.dumps(encode(source))))
    assert again == source
    assert GENERATORS[again.ref](**again.args, time=5.0).tobytes() == first
    assert GENERATORS[again.ref](**again.args, time=5.4).tobytes() == first  # the same frame until 5.5


def test_opening_and_planning_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Painter, "__init__", lambda *_: pytest.fail("drew a picture"))
    suite = SyntheticVideo(n=36)
    assert len(list(suite)) == 36
    assert suite.kinds == {"span", "choice"}
    assert (suite.has_videos, suite.shortest_video) == (True, 8.0)
    assert SyntheticVideo(family="order", difficulty="hard").shortest_video == 600.0
    assert len(timeline_of(suite[0].sources[0])) == 120


@pytest.mark.parametrize(("family", "difficulty"), PAIRS)
def test_films_have_the_length_and_the_size_that_is_told(family: str, difficulty: str) -> None:
    task = SyntheticVideo(family=family, difficulty=difficulty)[0]
    for source in task.sources:
        timeline = timeline_of(source)
        assert source.duration == timeline.duration == FILMS[family].seconds[difficulty]
        assert len(timeline) == round(timeline.duration * FILMS[family].fps)
        assert GENERATED_SIZES[source.ref](**source.args) == timeline.size == film_size(difficulty=difficulty)
    assert len({source.key for source in task.sources}) == (2 if family == "pair" else 1)


def test_train_and_test_share_no_seed_and_no_film() -> None:
    test, train = SyntheticVideo(n=180), SyntheticVideo(split="train", n=180)
    assert {t.origin["seed"] % 2 for t in test} == {0}
    assert {t.origin["seed"] % 2 for t in train} == {1}
    assert not {s.key for t in test for s in t.sources} & {s.key for t in train for s in t.sources}
    assert not {t.id for t in test} & {t.id for t in train}


def test_families_and_difficulties_take_turns() -> None:
    first = SyntheticVideo()[: len(PAIRS)]
    assert Counter((t.tags["family"], t.tags["difficulty"]) for t in first) == dict.fromkeys(PAIRS, 1)
    assert [t.tags["family"] for t in first[: len(FILM_FAMILIES)]] == list(FILM_FAMILIES)
    assert [index % len(PAIRS) for index in SyntheticVideo().pick(18, seed=5)] == list(range(18))


def test_ids_tell_variants_apart_and_do_not_depend_on_the_filter() -> None:
    every = {t.id: t for t in SyntheticVideo(n=180)}
    assert len(every) == 180
    twin = every["synthetic_video/test/glimpse-easy/7"]
    only = SyntheticVideo(family="glimpse", difficulty="easy")[7]
    assert only == replace(twin, origin={**twin.origin, "index": 7})
    options: tuple[dict[str, Any], ...] = ({}, {"answers": "free"}, {"seconds": 20}, {"split": "train"})
    assert len({SyntheticVideo(family="order", **o)[0].id for o in options}) == 4
    assert SyntheticVideo(answers="free", family="event")[0].id == SyntheticVideo(family="event")[0].id


def test_answers_are_options_text_or_intervals() -> None:
    for family in FILM_FAMILIES:
        for choice, free in zip(
            SyntheticVideo(family=family, n=30), SyntheticVideo(family=family, n=30, answers="free"), strict=True
        ):
            assert (choice.sources, choice.targets, choice.question) == (free.sources, free.targets, free.question)
            if choice.kind == "choice":
                assert len(set(choice.choices)) == len(choice.choices)
                assert choice.answer in choice.letters
            if free.kind == "free":
                assert choice.choices[choice.letters.index(choice.answer)] == free.answer
            assert (choice.kind == "span") == (family == "event")
            assert free.kind == {"event": "span", "pair": "choice"}.get(family, "free")


@pytest.mark.parametrize("family", [f for f in FILM_FAMILIES if f not in ("event", "pair")])
def test_the_letter_is_uniform(family: str) -> None:
    letters: dict[int, Counter[str]] = {}
    for task in SyntheticVideo(family=family, n=400):
        letters.setdefault(len(task.choices), Counter())[task.answer] += 1
    for count, found in letters.items():
        expected = found.total() / count
        chi = sum((found[letter] - expected) ** 2 / expected for letter in "ABCDEF"[:count])
        assert chi < 25, (count, found)  # beyond the 99.9th percentile for up to 5 degrees of freedom


@pytest.mark.parametrize("seconds", [0, 8, 13.5, 600])
@pytest.mark.parametrize("family", FILM_FAMILIES)
def test_targets_lie_inside_of_the_film(family: str, seconds: float) -> None:
    for task in SyntheticVideo(family=family, n=90, seconds=seconds):
        assert task.targets
        before = 0.0
        for target in task.targets:
            duration, (start, end) = task.sources[target.source].duration, target.time or (0.0, 0.0)
            assert 0 <= start < end <= (duration or 0.0)
            assert family == "pair" or start >= before, "moments overlap"
            assert geometry.clamp(target.box) == target.box
            assert not geometry.is_empty(target.box)
            assert target.label
            before = end


def test_grounded_questions_are_answered_with_an_interval() -> None:
    suite = make_suite("synthetic_video?family=glimpse+event&grounded=true")
    assert (suite.grounded, suite.measure) == (True, "grounding")
    assert {task.origin["grounded"] for task in suite[:2]} == {True}
    env = VisualSearchEnv(suite="synthetic_video", suite_args={"family": "glimpse", "grounded": True})
    assert "answer_with_span" in env.tools


def test_an_interval_is_scored_by_its_overlap() -> None:
    env = VisualSearchEnv(suite="synthetic_video", suite_args={"family": "event", "seconds": 20}, overview_frames=2)
    assert set(env.tools) == {"clip", "frames", "crop", "zoom", "reuse", "locate_span"}
    env.reset(options={"task": 0})
    time = env.episode.task.targets[0].time
    assert time is not None
    assert env.step(locate_span(*time))[1] == 1.0


def overview(source: Source) -> list[float]:
    """The times of the frames of the default overview."""
    timeline = timeline_of(source)
    rate = OVERVIEW_FRAMES / timeline.duration
    return [timeline.span(n)[0] for n in timeline.evenly(0.0, timeline.duration, rate, OVERVIEW_FRAMES)]


@pytest.mark.parametrize(
    ("family", "shares"), [("event", (0.33, 0.33, 0.33)), ("glimpse", (0.14, 0.06, 0.03))], ids=["event", "glimpse"]
)
def test_the_overview_rarely_shows_what_is_asked_for(family: str, shares: tuple[float, ...]) -> None:
    for difficulty, most in zip(FILM_DIFFICULTIES, shares, strict=True):
        tasks = SyntheticVideo(family=family, difficulty=difficulty, n=200)
        assert np.mean([any(in_time(task, time) for time in overview(task.sources[0])) for task in tasks]) <= most


def in_time(task: Task, time: float) -> bool:
    return any(target.time is not None and target.time[0] <= time < target.time[1] for target in task.targets)


def test_the_overview_shows_the_wall_that_a_question_names() -> None:
    for task in SyntheticVideo(family="event+glimpse", difficulty="easy", n=8):
        ((before, after),) = re.findall(r"the (\w+) wall|wall is (\w+)", task.question)
        assert (before or after) in {wall_of(task.sources[0], time) for time in overview(task.sources[0])}


def wall_of(source: Source, time: float) -> str:
    """The wall whose colour the middle of a frame is closest to."""
    image = render_film(**source.args, time=time)
    colour = np.median(np.asarray(image, float)[int(0.62 * image.height) : int(0.68 * image.height)], (0, 1))
    return min(WALLS, key=lambda wall: float(np.abs(colour - WALLS[wall]).sum()))


def test_unknown_names_and_bad_options_are_errors() -> None:
    with pytest.raises(UnknownName, match='did you mean "glimpse"'):
        SyntheticVideo(family="glimps")
    with pytest.raises(UnknownName, match='did you mean "medium"'):
        SyntheticVideo(difficulty="medum")
    with pytest.raises(UnknownName, match='did you mean "choice"'):
        SyntheticVideo(answers="choices")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no argument"):
        make_suite("synthetic_video:event")
    with pytest.raises(ValueError, match="n: expected a whole number from 0 up, got -1"):
        SyntheticVideo(n=-1)
    for seconds in (7.9, 601, -1, float("nan")):
        with pytest.raises(ValueError, match="seconds: expected 0 or 8 to 600"):
            SyntheticVideo(seconds=seconds)
    with pytest.raises(ValueError, match="grounded: expected families among event, glimpse, got order"):
        SyntheticVideo(family="order", grounded=True)
    assert SINGLE_MOMENT == ("event", "glimpse")


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("seconds=nan", 'seconds: expected 0 or 8 to 600, got "nan"'),
        ("seconds=true", "seconds: expected 0 or 8 to 600, got True"),
        ("n=many", "n: expected a whole number from 0 up, got 'many'"),
        ("n=2.5", "n: expected a whole number from 0 up, got 2.5"),
        ("family=5", 'unknown family "5"'),
        ("difficulty=5", 'unknown difficulty "5"'),
        ("answers=5", 'unknown kind of answers "5"'),
        ("family=event&grounded=maybe", 'grounded: expected true or false, got "maybe"'),
    ],
)
def test_options_of_another_type_are_named(option: str, reason: str) -> None:
    with pytest.raises((ValueError, UnknownName), match=re.escape(reason)):
        make_suite(f"synthetic_video?{option}")
