"""The words and the architecture of the model on board."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import smart_size
from o3gym.policies.tiny.view_size import SIDE, STEPS, shown
from o3gym.suites.base import make_suite
from o3gym.train.tiny.crowded_scenes import ITEM_KINDS, CrowdedScenes
from o3gym.train.tiny.lessons import (
    LESSON_FAMILIES,
    FindingLesson,
    MarksLesson,
    MatchLesson,
    ReadingLesson,
    SearchLesson,
)
from o3gym.train.tiny.model import LIMITS, fresh


@pytest.fixture(scope="module")
def made() -> tuple[Any, Any]:
    torch.manual_seed(0)
    return fresh()


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("family", LESSON_FAMILIES)
def test_every_word_of_a_task_is_known(made: tuple[Any, Any], family: str, split: str) -> None:
    tokenizer = made[1].tokenizer
    for task in make_suite("synthetic", split, family=family, difficulty="easy")[:150]:
        ids = tokenizer(task.text).input_ids
        assert tokenizer.unk_token_id not in ids, tokenizer.convert_ids_to_tokens(ids)
        assert tokenizer.decode(ids) == f" {task.text}"


def test_every_word_of_a_lesson_is_known_and_survives(made: tuple[Any, Any]) -> None:
    tokenizer = made[1].tokenizer
    finding = FindingLesson("attribute+hidden", views=1, named=True, echoed=True, guess=0.1)
    searches = [finding, SearchLesson(views=1, named=True), SearchLesson(told=True)]
    sources = [*searches, ReadingLesson(), MatchLesson(), MarksLesson(), *map(CrowdedScenes, ITEM_KINDS)]
    lessons = [source.example(i, 0) for source in sources for i in range(60)]
    asked = {lesson[0].text.partition("\n")[2] for lesson in (finding.example(i, 0) for i in range(60))}
    said = {message.text for lesson in lessons for message in lesson if message.role == "assistant"}
    for text in said | asked | {"answer @nothing"}:
        ids = tokenizer(text).input_ids
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == f" {text}"


def test_a_row_learns_the_replies(made: tuple[Any, Any]) -> None:
    encoder = Encoder(made[1])
    messages = SearchLesson("text", views=1).example(0, 0)
    ids, mask, images = encoder.row(messages)
    learnt = made[1].tokenizer.decode([token for token, on in zip(ids, mask, strict=True) if on])
    assert learnt == "".join(f" {m.text}<|im_end|>" for m in messages if m.role == "assistant")
    assert len(images) == sum(m.role == "user" for m in messages)


def test_it_is_small_and_leaves_the_sizes_of_sight_alone(made: tuple[Any, Any]) -> None:
    assert sum(p.numel() for p in made[0].parameters()) <= 7_000_000
    limits = (LIMITS["shortest_edge"], LIMITS["longest_edge"])
    assert STEPS[-1][1] <= limits[1]
    for size in [(1265, 949), (1200, 1200), (396, 297), (284, 107), (177, 44)]:
        assert smart_size(shown(*size), SIDE, *limits) == shown(*size)
