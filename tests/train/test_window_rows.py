"""Demonstrations with a window memory: one row per segment, as a rollout with that window reads and writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from o3gym.dialects.grid import Grid
from o3gym.policies.dialogue import Message
from o3gym.train.batches import Collator, batch_of, check_batch
from o3gym.train.data.demonstrations import dialogue_of
from o3gym.train.data.mixture import Mixture
from o3gym.train.loss_mask import BatchError, sample_row, segments_of, training_row, training_rows
from o3gym.train.recipe import RecipeError, SftRecipe, load_recipe, read_recipe
from o3gym.train.record import open_record
from o3gym.types import Trajectory
from tests.train.grpo.spelled import played


def recipe(**more: Any) -> SftRecipe:
    return read_recipe({"model": "m", "data": f"{__name__}:Rounds", "steps": 2, "batch": 2, "context": 2000, **more})


@pytest.fixture(scope="module")
def episode(encoder: Any) -> Trajectory:
    """Three looks and an answer, with a window of one round: three segments."""
    return played(encoder, groups=1, samples=4, window=1)[0][3]


@pytest.fixture(scope="module")
def messages(episode: Trajectory) -> list[Message]:
    return dialogue_of(episode, Grid())


@pytest.mark.parametrize("window", [1, 2])
def test_rows_of_a_demonstration_are_those_of_the_rollout(encoder: Any, window: int) -> None:
    """The replies are spelled here as the rollout's were, so ids, masks and pictures are the same to the byte."""
    for episode in played(encoder, groups=1, samples=4, window=window)[0]:
        rows = training_rows(dialogue_of(episode, Grid()), encoder, recipe(window=window))
        sampled = [sample_row(episode, encoder, segment) for segment in segments_of(episode)]
        assert len(rows) == len(sampled)
        for row, other in zip(rows, sampled, strict=True):
            assert row.ids.tolist() == other.ids.tolist()
            assert row.mask.tolist() == other.mask.tolist()
            assert all((a.rows == b.rows).all() for a, b in zip(row.images, other.images, strict=True))
        check_batch(batch_of(rows, encoder), encoder.image_id, 2)


def test_without_a_window_or_with_a_wide_one_the_row_is_as_before(encoder: Any, messages: list[Message]) -> None:
    before = training_row(messages, encoder, recipe())
    for window in (None, 3):
        (row,) = training_rows(messages, encoder, recipe(window=window))
        assert (row.ids.tolist(), row.mask.tolist()) == (before.ids.tolist(), before.mask.tolist())


def test_each_reply_is_learnt_once(encoder: Any, messages: list[Message]) -> None:
    rows = training_rows(messages, encoder, recipe(window=1))
    learnt = [i for row in rows for i in row.ids[row.mask == 1].tolist()]
    assert learnt == [i for m in messages if m.role == "assistant" for i in (*encoder.tokens(m.text), encoder.end)]


@pytest.mark.parametrize(("last", "rows", "replies"), [(1, 1, 1), (2, 2, 2), (3, 3, 3), (9, 3, 4), (0, 3, 4)])
def test_the_last_turns_are_counted_over_all_segments(
    encoder: Any, messages: list[Message], last: int, rows: int, replies: int
) -> None:
    made = training_rows(messages, encoder, recipe(window=1), last)
    assert len(made) == rows
    learnt = [i for row in made for i in row.ids[row.mask == 1].tolist()]
    said = [m.text for m in messages if m.role == "assistant"][-replies:]
    assert learnt == [i for text in said for i in (*encoder.tokens(text), encoder.end)]


class Rounds:
    """A source of the one demonstration."""

    demonstration: list[Message]
    size = 1

    def example(self, index: int, seed: int) -> list[Message]:
        return self.demonstration


def test_a_batch_holds_all_segments_of_its_demonstrations(
    encoder: Any, messages: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    Rounds.demonstration = messages
    made = recipe(window=1)
    collate = Collator(Mixture(made.stages[0], 0), encoder, made, made.stages[0])
    (part,) = collate([{"index": 0}, {"index": 1}])["parts"]
    assert part["input_ids"].shape[0] == 2 * 3
    check_batch(part, encoder.image_id, 2)
    short = recipe(window=1, context=20)
    with pytest.raises(BatchError, match="are longer than context = 20"):
        Collator(Mixture(short.stages[0], 0), encoder, short, short.stages[0]).rows(0)


def test_a_window_has_to_fit_the_recipe() -> None:
    with pytest.raises(RecipeError, match="window: expected at least 1, got 0"):
        recipe(window=0)
    with pytest.raises(RecipeError, match="window, flatten: expected one of the two"):
        recipe(window=1, flatten=True)
    assert load_recipe("tiny", ["window=2"]).window == 2
    assert load_recipe("tiny").window is None


def test_a_training_is_not_resumed_with_another_window(tmp_path: Path) -> None:
    """Without a window, the record is that of earlier versions: it has no such key."""
    assert "window" not in open_record(recipe(), tmp_path / "without", ())["recipe"]
    with pytest.raises(RecipeError, match="window: there null, here 2"):
        open_record(recipe(window=2), tmp_path / "without", ())
    open_record(recipe(window=2), tmp_path / "with", ())
    with pytest.raises(RecipeError, match="window: there 2, here null"):
        open_record(recipe(), tmp_path / "with", ())
