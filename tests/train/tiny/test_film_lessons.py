"""What the built-in watcher learns from: true to the films, and to what a rollout would show."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from o3gym.dialects.reel import Reel
from o3gym.geometry import coverage
from o3gym.policies.dialogue import Message
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.tiny.film import TinyFilm
from o3gym.policies.tiny.frame_size import frame_size
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.suites.base import make_suite
from o3gym.train.tiny.film_builder import FilmBuilder, stage_film
from o3gym.train.tiny.film_lessons import CardLesson, FilmLesson, FilmSource, FramesLesson
from o3gym.train.tiny.film_vocabulary import film_tokenizer
from o3gym.train.tiny.model import fresh_watcher
from tests.train.tiny.told import Told, pictures

MIXED = [FilmLesson(family, views=1, other=0.3, refused=0.2, astray=0.3, lost=0.3) for family in ("event", "glimpse")]
FRAMES = [FramesLesson(family, views=1, least=2, most=6) for family in ("event", "glimpse")]


def plain(message: Message) -> Message:
    return replace(message, parts=tuple(part if isinstance(part, str) else "<image>" for part in message.parts))


def built(lesson: FilmSource, number: int) -> FilmBuilder:
    return lesson.build(stage_film(lesson.family, lesson.seconds[0], number), Random(number))


@pytest.mark.parametrize("family", ["event", "glimpse"])
@pytest.mark.parametrize(("control", "refused"), [(None, 0.0), ("no_tool", 1.0)])
def test_a_lesson_shows_what_a_rollout_shows(family: str, control: str | None, refused: float) -> None:
    for number in range(3):
        builder = built(FilmLesson(family, views=1, refused=refused), number)
        messages, task = builder.messages, builder.film.task
        policy = Told([m.text for m in messages if m.role == "assistant"], frame_size)
        env = {**TinyFilm.env, "suite": "synthetic_video", "suite_args": {"family": family}, "control": control}
        options = task.choices and _options(messages[0])
        job = Job(replace(task, question=_question(messages[0]), choices=options or ()), "lesson")
        (trajectory,) = rollout([job], policy, Reel(), Arm("arm", env))
        assert trajectory.stop == ("located" if family == "event" else "answered")
        assert list(map(plain, policy.seen[1:])) == list(map(plain, messages[:-1]))
        assert list(trajectory.views) == [picture.view for picture in pictures(messages)]
        seen = zip(pictures(policy.seen), pictures(messages), strict=True)
        assert all(np.array_equal(one.load(), other.load()) for one, other in seen)
        if control is None and family == "event":
            assert trajectory.span == task.targets[0].time
        if control is None and family == "glimpse":
            assert trajectory.answer == task.targets[0].label


def _question(message: Message) -> str:
    return str(message.parts[-1]).strip().partition("\n")[0]


def _options(message: Message) -> tuple[str, ...]:
    return tuple(line.partition(". ")[2] for line in str(message.parts[-1]).strip().split("\n")[1:])


@pytest.mark.parametrize("seconds", ["30", "60", "120", "300", "600"])
def test_a_search_ends_at_the_moment_in_films_of_any_length(seconds: str) -> None:
    for number in range(8):
        builder = built(FilmLesson("event", seconds, views=1), number)
        first, last = (builder.views[int(word)] for word in builder.messages[-1].text.split()[-2:])
        ((start, end),) = (target.time for target in builder.film.task.targets)
        # The last look shows every frame, or so many with light that a closer one would not show more.
        assert first.time[0] - start <= 0.5 * max(0, builder.step - 1)
        assert end - last.time[1] <= 0.5 * max(0, builder.step - 1)


@pytest.mark.parametrize("family", ["event", "glimpse"])
def test_a_search_without_clips_is_one_reply_to_the_overview(family: str) -> None:
    for number in range(6):
        builder = built(FilmLesson(family, "120", views=1, clips=0, overview=40, refused=1.0), number)
        shown, reply = builder.messages
        assert len(pictures([shown])) == 40
        film, last = builder.film, reply.text.split("\n")[-1]
        if family == "glimpse":
            assert last.removeprefix("answer ") in film.task.choices
            continue
        walls, lamps, _ = reply.text.split("\n")
        chapter = [
            int(word) for word, wall in zip(walls.split()[1::2], walls.split()[2::2], strict=True) if "!" in wall
        ]
        noted = list(zip(map(int, lamps.split()[::2]), lamps.split()[1::2], strict=True))
        assert [frame for frame, _ in noted] == chapter[: len(noted)]
        assert all((word == "on") == film.lit(builder.views[frame]) for frame, word in noted)
        lit = [frame for frame, word in noted if word == "on"]
        # Six frames lie between two, so one lit frame is named with its neighbours; the chapter if none is lit.
        assert last == (f"when {lit[0] - 1} {lit[-1] + 1}" if lit else f"when {chapter[0]} {chapter[-1]}")


def test_a_lit_frame_of_a_close_look_is_named_alone() -> None:
    for number in range(6):
        builder = built(FilmLesson("event", "30", views=1, clips=0, overview=30), number)
        (lit,) = (view for view in builder.views if builder.film.lit(view))
        assert builder.messages[-1].text.endswith(f"\nwhen {lit.index} {lit.index}")


@pytest.mark.parametrize("clips", [1, 2])
def test_a_search_has_no_more_clips_than_it_may(clips: int) -> None:
    for number in range(6):
        replies = [m.text for m in built(FilmLesson("event", "600", views=1, clips=clips), number).messages[1::2]]
        assert sum("watch" in reply for reply in replies) == len(replies) - 1 == clips
        assert "\nwhen " in replies[-1]


def test_an_overview_of_more_frames_shows_what_a_rollout_shows() -> None:
    builder = built(FilmLesson("event", "60", views=1, clips=0, overview=34), 0)
    env = {**TinyFilm.env, "suite": "synthetic_video", "suite_args": {"family": "event"}, "control": "no_tool"}
    policy = Told([builder.messages[-1].text], frame_size)
    job = Job(replace(builder.film.task, question=_question(builder.messages[0])), "lesson")
    (trajectory,) = rollout([job], policy, Reel(), Arm("arm", {**env, "overview_frames": 34}))
    assert trajectory.stop == "located"
    assert list(map(plain, policy.seen[1:])) == list(map(plain, builder.messages[:1]))
    assert list(trajectory.views) == builder.views


def test_lessons_are_reproducible_and_differ() -> None:
    for source in MIXED:
        first, second = source.example(3, 1), source.example(3, 1)
        assert [m.text for m in first] == [m.text for m in second]
        assert first[-1].role == "assistant"
        assert [m.text for m in first] != [m.text for m in source.example(4, 1)]


@pytest.mark.parametrize("source", FRAMES)
def test_notes_on_a_few_frames_say_what_they_show(source: FramesLesson) -> None:
    for number in range(12):
        builder = built(source, number)
        shown, reply = builder.messages
        film, views = builder.film, [picture.view for picture in pictures([shown])]
        if "?" in str(shown.parts[-1]):
            words = [film.wall(view) for view in views]
        elif film.card:
            words = [film.card_cell(view) or "no" for view in views]
        else:
            words = ["on" if film.lit(view) else "off" for view in views]
        assert reply.text.replace("!", "").endswith(
            " ".join(f"{view.index} {word}" for view, word in zip(views, words, strict=True))
        )
        assert len({view.frame for view in views}) == len(views)


def test_frames_are_numbered_as_an_overview_or_from_anywhere() -> None:
    opening = FramesLesson(walls=1.0, opening=True, least=4, most=18)
    assert {built(opening, number).views[0].index for number in range(8)} == {0}
    assert len({built(FRAMES[0], number).views[0].index for number in range(8)}) > 4


def test_a_card_is_read_from_a_part_that_shows_it() -> None:
    for number in range(12):
        builder = built(CardLesson(), number)
        (moment,) = builder.film.task.targets
        assert builder.messages[-1].text == f"answer {moment.label}"
        assert coverage(builder.views[-1].box, moment.box) > 0.95
        assert builder.views[-1].frame == round(moment.time[0] * 2)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match="family: expected one of event, glimpse, got order"):
        FilmLesson("order")


def test_every_word_is_known_and_survives() -> None:
    tokenizer = film_tokenizer()
    lessons = [source.example(i, 0) for source in (*MIXED, *FRAMES, CardLesson()) for i in range(40)]
    texts = {part for messages in lessons for m in messages for part in m.parts if isinstance(part, str)}
    for split in ("train", "test"):
        texts |= {task.text for task in make_suite("synthetic_video", split, family="event+glimpse")[:60]}
    for text in texts:
        ids = tokenizer(text).input_ids
        assert tokenizer.unk_token_id not in ids, tokenizer.convert_ids_to_tokens(ids)
        assert tokenizer.decode(ids) == f" {text}"


def test_it_is_small_and_a_frame_has_eight_tokens() -> None:
    model, processor = fresh_watcher()
    assert sum(p.numel() for p in model.parameters()) <= 2_000_000
    ids, mask, images = Encoder(processor).row(messages := MIXED[0].example(0, 0))
    assert ids.count(processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")) == 8 * len(images)
    learnt = processor.tokenizer.decode([token for token, on in zip(ids, mask, strict=True) if on])
    assert learnt == "".join(f" {m.text}<|im_end|>" for m in messages if m.role == "assistant")
