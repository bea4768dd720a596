"""What the model on board learns from: true to the pictures, and to what a rollout would show."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from o3gym.dialects.grid import Grid
from o3gym.geometry import coverage
from o3gym.policies.dialogue import Message
from o3gym.policies.tiny.view_size import SIDE, shown
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.suites.base import make_suite
from o3gym.train.tiny.crowded_scenes import ITEM_KINDS, CrowdedScenes
from o3gym.train.tiny.dialogue_builder import stage_scene
from o3gym.train.tiny.lessons import (
    LESSON_FAMILIES,
    FindingLesson,
    MarksLesson,
    MatchLesson,
    ReadingLesson,
    SearchLesson,
    WalkLesson,
)
from o3gym.types import Source, Task
from tests.train.tiny.told import Told, pictures

SOURCES = {
    **{f"search {family}": SearchLesson(family, views=1) for family in LESSON_FAMILIES},
    **{f"reading {family}": ReadingLesson(family) for family in LESSON_FAMILIES},
    **{board: CrowdedScenes(board) for board in ITEM_KINDS},
    "boards that are asked about": CrowdedScenes("icons", ask=1.0),
    "a short search": SearchLesson(looks=3),
    "a search that is told": SearchLesson(told=True),
    "a named search": SearchLesson(looks=3, named=True),
    "named thumbnails": ReadingLesson("text", named=True, thumbnail=True),
    "a named board": CrowdedScenes("icons", ask=1.0, named=True),
    "a search that guesses": SearchLesson("hidden", guess=0.5),
    "walk": WalkLesson(),
    "match": MatchLesson(),
    "marks": MarksLesson(),
    "echoed": SearchLesson("attribute+hidden", named=True, echoed=True),
    "finding": FindingLesson("attribute+hidden", guess=0.1, named=True, echoed=True),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_gives_the_same_for_the_same_index_and_ends_with_a_reply(name: str) -> None:
    source = SOURCES[name]
    first, second = source.example(3, 1), source.example(3, 1)
    assert [m.text for m in first] == [m.text for m in second]
    assert first[-1].role == "assistant"
    for a, b in zip(pictures(first), pictures(second), strict=True):
        assert np.array_equal(a.load(), b.load())
        assert a.load().shape == (a.view.shown[1], a.view.shown[0], 3)
    assert [m.text for m in first] != [m.text for m in source.example(4, 1)]


@pytest.mark.parametrize("family", LESSON_FAMILIES)
def test_a_search_shows_what_a_rollout_shows(family: str) -> None:
    for index in range(3):
        lesson = SOURCES[f"search {family}"].example(index, 0)
        view = pictures(lesson)[0].view
        source = Source.generated("synthetic", family=family, difficulty="easy", seed=2 * index + 1, pixels=0)
        question = "".join(part for part in lesson[0].parts[2:] if isinstance(part, str)).strip()
        policy = Told([m.text for m in lesson if m.role == "assistant"], shown)
        env = {"min_pixels": 1, "max_pixels": 10**8, "max_turns": 40, "suite": "synthetic"}
        job = Job(Task("lesson", (source,), question), "lesson")
        (trajectory,) = rollout([job], policy, Grid(), Arm("arm", env))
        assert trajectory.stop == "answered"
        assert list(map(plain, policy.seen[1:])) == list(map(plain, lesson[:-1]))
        assert list(trajectory.views) == [picture.view for picture in pictures(lesson)]
        assert view.box == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("family", ["attribute", "hidden"])
def test_a_region_search_shows_what_a_rollout_shows_and_ends_where_the_thing_is(family: str) -> None:
    suite = make_suite("synthetic", "train", family=family, difficulty="easy", answers="box")
    source = FindingLesson(family, views=1)
    for index in range(4):
        lesson = source.example(index, 0)
        policy = Told([m.text for m in lesson if m.role == "assistant"], shown)
        env = {"min_pixels": 1, "max_pixels": 10**8, "max_turns": 40, "suite": "synthetic"}
        (trajectory,) = rollout([Job(suite[index], "lesson")], policy, Grid(), Arm("arm", env))
        assert trajectory.stop == "located"
        assert list(map(plain, policy.seen[1:])) == list(map(plain, lesson[:-1]))
        assert coverage(trajectory.located, suite[index].targets[0].box) >= 0.7
        earlier = [view.box for view in trajectory.views[1:-1]]
        assert not any(coverage(box, suite[index].targets[0].box) >= 0.7 for box in earlier)


def test_a_region_search_that_guesses_ends_in_its_last_view() -> None:
    source = FindingLesson(guess=0.3)
    endings = [source.example(index, 0) for index in range(40)]
    said = [re.fullmatch(r"answer @[a-d][1-6] in (\d+)", m[-1].text.splitlines()[-1]) for m in endings]
    assert [int(found[1]) for found in said if found] == [len(pictures(messages)) - 1 for messages in endings]
    assert 2 < np.mean([len(pictures(messages)) - 1 for messages in endings]) < 4  # one guess in 3.3 replies


def plain(message: Message) -> Message:
    return replace(message, parts=tuple(part if isinstance(part, str) else "<image>" for part in message.parts))


@pytest.mark.parametrize("family", LESSON_FAMILIES)
def test_a_search_ends_with_an_option_that_its_last_view_shows(family: str) -> None:
    for index in range(12):
        lesson = SOURCES[f"search {family}"].example(index, 0)
        said = lesson[-1].text.split("\nanswer ")[1]
        assert re.search(rf"\n[A-F]\. {said}(\n|$)", lesson[0].text)
        scene = stage_scene(family, index).items
        box = pictures(lesson)[-1].view.box
        assert any(said in item.words and coverage(box, item.box) > 0.7 for item in scene)
        if family != "text":
            assert said == stage_scene(family, index).scene.answer


def test_marks_stand_after_what_is_asked_for_and_nowhere_else() -> None:
    said = [m.text for index in range(40) for m in MarksLesson().example(index, 0) if m.role == "assistant"]
    lists = [re.findall(r"(\w+) (\w+)([?!])", text) for text in said if "?" in text]
    assert any(mark == "!" for found in lists for *_, mark in found)
    for found in lists:
        assert len({wanted for _, wanted, _ in found}) <= 1
        assert all((noun == wanted) == (mark == "!") for noun, wanted, mark in found)


def test_what_is_asked_for_is_echoed_after_every_item() -> None:
    for index in range(24):
        said = ReadingLesson("attribute", named=True, echoed=True, asked=0.5).example(index, 0)[-1].text
        head, *items = re.findall(r"(?:^|@\w\d \w+ (\w+) )(\w+)([?!])", said.partition("\n")[0])
        assert head[2] == "?"
        assert all(wanted == head[1] and (noun == wanted) == (mark == "!") for noun, wanted, mark in items)


def test_looks_show_what_is_asked_for_as_often_as_told() -> None:
    found = [
        sum("!" in ReadingLesson("attribute", asked=share).example(8 * index, 0)[-1].text for index in range(40))
        for share in (0.0, 1.0)
    ]
    assert found[0] <= 15
    assert found[1] >= 35  # some looks show nothing at all


@pytest.mark.parametrize("family", LESSON_FAMILIES)
def test_lessons_are_of_the_train_split(family: str) -> None:
    test = make_suite("synthetic", "test", family=family, difficulty="easy")
    seen = {task.sources[0].key for task in test[:300]}
    assert not seen & {stage_scene(family, number).source.key for number in range(300)}


def test_half_of_the_readings_hold_what_is_asked_for() -> None:
    ends = [SOURCES["reading attribute"].example(index, 0)[-1].text for index in range(160)]
    assert 0.35 < np.mean(["!" in text for text in ends]) < 0.6
    assert all(("answer" in text) == ("!" in text) for text in ends)


@pytest.mark.parametrize("size", [(1265, 949), (1633, 1225), (396, 297), (375, 375), (284, 107), (177, 44), (1, 9)])
def test_sizes_are_whole_tokens(size: tuple[int, int]) -> None:
    assert all(side % SIDE == 0 and side > 0 for side in shown(*size))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: CrowdedScenes("icon"), 'did you mean "icons"'),
        (lambda: CrowdedScenes("icons", most="5"), '"3x2", got "5"'),
        (lambda: SearchLesson("texts"), "families: expected some of"),
    ],
)
def test_wrong_options_are_named(make, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


def test_a_short_search_begins_near_its_end() -> None:
    for family in ("attribute", "hidden"):
        lengths = [len(pictures(SearchLesson(family, looks=3).example(index, 0))) for index in range(40)]
        assert max(lengths) <= 4
        assert max(len(pictures(SOURCES[f"search {family}"].example(index, 0))) for index in range(40)) > 8


def test_a_walk_goes_from_each_cell_to_the_next() -> None:
    for index in range(20):
        said = [m.text.split() for m in SOURCES["walk"].example(index, 0) if m.role == "assistant"]
        side = int(said[0][1][0])
        cells = [(ord(cell[0]) - ord("a")) * side + int(cell[1]) - 1 for _, _, cell in said]
        assert all((b - a) % side**2 == 1 for a, b in pairwise(cells))


@pytest.mark.parametrize("family", LESSON_FAMILIES)
def test_a_told_search_is_the_shown_one_in_words(family: str) -> None:
    for index in range(12):
        told = SearchLesson(family, told=True).example(index, 0)
        shown = SearchLesson(family).example(index, 0)
        assert not pictures(told)
        assert [m.text for m in told if m.role == "assistant"] == [m.text for m in shown if m.role == "assistant"]
        seen = [m.text.partition("\n")[2] for m in told if m.role == "user"]
        said = [m.text for m in told if m.role == "assistant"]
        for view, reply in zip(seen[1:], said[1:], strict=True):
            assert set(re.findall("@..", reply)) <= set(re.findall("@..", view))
            assert family == "text" or view.startswith(re.split(r"!|\n", reply)[0])


def test_a_list_in_words_ends_with_what_is_asked_for_if_it_is_there() -> None:
    found = 0
    for index in range(100):
        asks, reply = SOURCES["match"].example(index, 0)
        wanted, _, said = reply.text.partition("? ")
        assert re.search(rf"(^|\W){wanted}(\W|$)", asks.text)
        assert said.removesuffix("!") in asks.text
        if said.endswith("!"):
            found += 1
            assert said.endswith(f"{wanted}!")
    assert 70 < found < 90


def test_a_named_reply_begins_with_what_is_asked_for() -> None:
    for index in range(20):
        lesson = SearchLesson("attribute+hidden", looks=3, named=True).example(index, 0)
        said = [m.text for m in lesson if m.role == "assistant"][1:]
        wanted = said[-1].partition("?")[0]
        assert all(text.startswith(f"{wanted}? ") for text in said)
        assert wanted in lesson[0].text


def test_a_thumbnail_is_asked_about_a_colour_that_it_shows() -> None:
    for index in range(20):
        asks, reply = SOURCES["named thumbnails"].example(index, 0)
        wanted, _, said = reply.text.partition("? ")
        assert f"only {wanted} container" in asks.text
        assert re.search(rf"{wanted}!\nlook 3x3 ([abc][123])$", said)
        assert said.count(wanted) == 1


def test_a_search_that_guesses_ends_early_as_often_as_it_should() -> None:
    searches = [SearchLesson("hidden", guess=0.1, named=True).example(i, 0) for i in range(300)]
    found = [messages[-1].text.partition("\n")[0].endswith("!") for messages in searches]
    replies = sum(message.role == "assistant" for messages in searches for message in messages)
    assert 0.07 < found.count(False) / (replies - found.count(True)) < 0.13
    for messages in searches:
        assert messages[-1].text.split()[-1] in messages[0].text


def test_a_late_search_has_looked_everywhere_but_there() -> None:
    for index in range(8):
        messages = SearchLesson("attribute", late=True, free=True, named=True).example(index, 0)
        replies = [message.text for message in messages if message.role == "assistant"]
        assert len(replies) > 11
        assert [reply for reply in replies if "!" in reply] == replies[-1:]
        assert "A." not in messages[0].text
