"""What the built-in coder learns from: programs that work, and what a rollout in the sandbox would show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from o3gym.dialects.thyme import Thyme
from o3gym.policies.dialogue import Message
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.tiny.code_size import code_size
from o3gym.policies.tiny.coder import TinyCoder
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.suites.base import make_suite
from o3gym.train.tiny.code_lessons import CodedSource, CodeLesson, GlanceLesson, ProgramLesson, remedy_of
from o3gym.train.tiny.code_vocabulary import code_tokenizer
from o3gym.train.tiny.dialogue_builder import stage_scene
from o3gym.train.tiny.model import fresh_coder
from o3gym.train.tiny.programs import PROGRAM_NAMES, Remedy, slip, write_program
from tests.train.tiny.told import Told, pictures

ALL = (CodeLesson(), CodeLesson(astray=1.0), CodeLesson(failed=1.0, options=0.0), GlanceLesson())


def plain(message: Message) -> Message:
    """The message with its text as one part."""
    return replace(message, parts=(message.text,))


@pytest.mark.parametrize("family", ["turned", "dim"])
@pytest.mark.parametrize("lesson", ALL[:3])
def test_a_lesson_shows_what_a_rollout_in_the_sandbox_shows(lesson: CodeLesson, family: str) -> None:
    suite = make_suite("synthetic", "train", family=family, difficulty="easy")
    tools = ["code", "answer"]
    env = {**TinyCoder.env, **Thyme.rules(False), "suite": suite.name, "tools": tools, "sandbox": "trust"}
    for number in range(2):
        messages = lesson.build(stage_scene(family, number), Random(number))
        task = suite[number]
        question, *options = messages[0].text.partition(">\n")[2].split("\n")
        choices = tuple(option.partition(". ")[2] for option in options)
        task = replace(task, question=question, choices=choices, kind="choice" if choices else "free")
        policy = Told([m.text for m in messages if m.role == "assistant"], code_size)
        (trajectory,) = rollout([Job(task, "lesson")], policy, Thyme(), Arm("arm", env))
        assert trajectory.stop == "answered"
        assert all(turn.parsed.well_formed for turn in trajectory.turns)
        assert trajectory.answer == stage_scene(family, number).scene.answer
        assert list(map(plain, policy.seen[1:])) == list(map(plain, messages[:-1]))
        assert list(trajectory.views) == [picture.view for picture in pictures(messages)]
        seen = zip(pictures(policy.seen), pictures(messages), strict=True)
        assert all(np.array_equal(one.load(), other.load()) for one, other in seen)


@pytest.mark.parametrize("remedy", [Remedy(), Remedy(-30), Remedy(180)])
def test_every_program_makes_the_picture_in_one_of_many_ways(
    remedy: Remedy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 90, (12, 16, 3), np.uint8))
    picture.save(tmp_path / "view.png")
    monkeypatch.chdir(tmp_path)
    sources = set()
    for seed in range(40):
        source, printed = write_program(remedy, "image_path", Random(seed))
        lines = list[str]()
        exec(source, {"Image": Image, "image_path": "view.png", "print": lines.append})  # our own program
        assert lines == [printed]
        with Image.open(printed) as made:
            assert np.array_equal(np.asarray(made), np.asarray(remedy.apply(picture)))
        sources.add(source)
    assert len(sources) > 30


def test_a_slip_is_an_undefined_name() -> None:
    for seed in range(60):
        rng = Random(seed)
        source, _ = write_program(Remedy(60), "image_path", rng)
        slipped = slip(source, rng)
        words, others = source.replace("(", " ").split(), slipped.source.replace("(", " ").split()
        assert len([1 for one, other in zip(words, others, strict=True) if one != other]) == 1
        with pytest.raises(NameError) as caught:
            exec(slipped.source, {"Image": _Anything(), "image_path": "", "print": str})  # our own program
        assert slipped.error.endswith(f"NameError: {caught.value}")
        assert caught.value.name in PROGRAM_NAMES


class _Anything:
    """Has every attribute, and can be called with anything."""

    def __getattr__(self, name: str) -> _Anything:
        return self

    def __call__(self, *args: object) -> _Anything:
        return self


def test_a_wrong_turn_is_made_good() -> None:
    for number in range(20):
        messages = ALL[1].build(at := stage_scene("turned", number), Random(number))
        first, second = (m.text for m in messages if "turned" in m.text and m.role == "assistant")
        turns = [int(text.partition("turned ")[2].split("\n")[0]) for text in (first, second)]
        assert (sum(turns) - remedy_of(at).angle) % 360 == 0
        assert turns[0] != remedy_of(at).angle
        assert "open(image_path_1)" in second


def test_a_glance_says_what_is_wrong_or_what_is_read() -> None:
    for number in range(20):
        messages = ALL[3].build(at := stage_scene("turned", number), Random(number))
        assert messages[1].text in (f"reads {at.scene.answer}", f"turned {remedy_of(at).angle}")
    assert {remedy_of(stage_scene("turned", number)).angle for number in range(60)} == {
        *range(-150, 0, 30),
        *range(30, 181, 30),
    }
    assert remedy_of(stage_scene("dim", 0)) == Remedy()


def test_a_program_in_words_is_one_that_an_episode_may_begin_with() -> None:
    seen = set()
    for number in range(60):
        asked, program = ProgramLesson().example(number, 0)
        parsed = Thyme().parse(program.text, [])
        assert (parsed.call.tool, parsed.thought, parsed.well_formed) == ("code", asked.text, True)
        remedy = Remedy(int(asked.text.removeprefix("turned ")) if asked.text != "dim" else 0)
        assert remedy.expression("").removesuffix(")") in parsed.call.args["source"]
        seen.add(asked.text)
    assert len(seen) == 12


def test_lessons_are_reproducible_and_differ() -> None:
    for source in (*ALL, ProgramLesson()):
        first, second = source.example(3, 1), source.example(3, 1)
        assert [m.text for m in first] == [m.text for m in second]
        assert first[-1].role == "assistant"
        assert [m.text for m in first] != [m.text for m in source.example(4, 1)]


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(ValueError, match=r"families: expected some of turned\+dim, got hidden"):
        CodedSource("dim+hidden")


def test_every_word_is_known_and_survives() -> None:
    tokenizer = code_tokenizer()
    lessons = [source.example(i, 0) for source in (*ALL, ProgramLesson()) for i in range(40)]
    texts = {part for messages in lessons for m in messages for part in m.parts if isinstance(part, str)}
    for split in ("train", "test"):
        texts |= {task.text for task in make_suite("synthetic", split, family="turned+dim", difficulty="easy")[:60]}
    for text in texts:
        ids = tokenizer(text).input_ids
        assert tokenizer.unk_token_id not in ids, (text, tokenizer.tokenize(text))
        assert tokenizer.decode(ids) == text


def test_a_row_learns_the_replies_of_one_turn() -> None:
    model, processor = fresh_coder()
    assert sum(p.numel() for p in model.parameters()) <= 2_000_000
    ids, mask, images = Encoder(processor).row(messages := ALL[1].example(0, 0))
    assert ids.count(processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")) == 81 * len(images)
    learnt = processor.tokenizer.decode([token for token, on in zip(ids, mask, strict=True) if on])
    assert learnt == "".join(m.text for m in messages if m.role == "assistant") + "<|im_end|>"
