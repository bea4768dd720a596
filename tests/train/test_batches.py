from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from o3gym.policies.dialogue import Message
from o3gym.train.batches import Collator, batch_of, check_batch
from o3gym.train.data.demonstrations import dialogue_of
from o3gym.train.data.mixture import Mixture
from o3gym.train.data.sources import RunSource, open_source
from o3gym.train.loss_mask import IGNORED, BatchError, TrainingRow, last_turns, training_row
from o3gym.train.recipe import SftRecipe, read_recipe
from tests.train.colours import COLOURS, Colours, dialogue

MERGE = 2


def recipe(**more: Any) -> SftRecipe:
    return read_recipe({"model": "m", "data": "colours:Colours", "steps": 2, "batch": 4, "context": 400, **more})


def learnt(encoder: Any, batch: dict[str, Any], row: int = 0) -> list[str]:
    """The stretches of a row that the loss is on, as text with special tokens."""
    labels = batch["labels"][row].tolist()
    stretches: list[list[int]] = [[]]
    for label in labels:
        stretches += [[]] if label == IGNORED and stretches[-1] else []
        stretches[-1] += [label] if label != IGNORED else []
    return [encoder.tokenizer.decode(stretch) for stretch in stretches if stretch]


def one(encoder: Any, messages: list[Message], **more: Any) -> dict[str, Any]:
    batch = batch_of([training_row(messages, encoder, recipe(**more))], encoder)
    check_batch(batch, encoder.image_id, MERGE)
    return batch


def test_the_loss_is_on_the_assistants_words_and_their_end_alone(encoder: Any) -> None:
    assert learnt(encoder, one(encoder, dialogue("red"))) == ["look<|im_end|>", "it is red<|im_end|>"]


def test_of_an_episode_exactly_the_replies_are_learnt(encoder: Any, run_folder: Any) -> None:
    source = RunSource(str(run_folder))
    for index, episode in enumerate(source.episodes):
        replies = [f"{turn.reply.text}<|im_end|>" for turn in episode.turns]
        assert learnt(encoder, one(encoder, source.example(index, 0))) == replies
        if len(replies) > 1:
            assert learnt(encoder, one(encoder, source.example(index, 0), last_turns=1)) == replies[-1:]


def test_only_the_last_turns(encoder: Any) -> None:
    longer = [*dialogue("red"), Message("user", ("sure?",)), Message("assistant", ("yes",))]
    assert learnt(encoder, one(encoder, longer, last_turns=2)) == ["it is red<|im_end|>", "yes<|im_end|>"]
    assert len(learnt(encoder, one(encoder, longer, last_turns=9))) == 3
    assert last_turns(np.array([1, 1, 0, 1]), 1).tolist() == [0, 0, 0, 1]


def test_a_part_of_the_mixture_may_have_its_own(encoder: Any) -> None:
    parts = [{"source": "colours:Colours", "last_turns": 1}, "colours:Colours"]
    chosen = recipe(data=parts, last_turns=2)
    mixture = Mixture(chosen.stages[0], 0)
    collator = Collator(mixture, encoder, chosen, chosen.stages[0])
    batches = {mixture.where(i).part: collator([{"index": i}])["parts"][0] for i in range(mixture.rows)}
    turns = {part: len(learnt(encoder, batch)) for part, batch in batches.items()}
    assert turns == {0: 1, 1: 2}


def test_flattening_makes_one_turn_and_never_learns_what_was_observed(encoder: Any) -> None:
    batch = one(encoder, dialogue("red"), flatten=True)
    assert learnt(encoder, batch) == ["look", "it is red<|im_end|>"]
    text = encoder.tokenizer.decode(batch["input_ids"][0])
    assert text.count("<|im_start|>assistant") == 1
    words = re.sub(r"(<\|image_pad\|>)+", "[pads]", text)
    assert words.endswith("assistant\nlookcloser: <|vision_start|>[pads]<|vision_end|>it is red<|im_end|>")
    assert batch["image_grid_thw"].tolist() == [[1, 4, 4], [1, 2, 2]]


def test_flattening_an_episode_keeps_its_pictures(encoder: Any, run_folder: Any) -> None:
    source = RunSource(str(run_folder))
    plain, flat = (one(encoder, source.example(0, 0), flatten=flatten) for flatten in (False, True))
    assert torch.equal(plain["pixel_values"], flat["pixel_values"])


def test_rows_are_padded_on_the_right_and_padding_is_not_attended_to(encoder: Any) -> None:
    rows = [training_row(dialogue("red", "x" * n), encoder, recipe()) for n in (0, 9)]
    batch = batch_of(rows, encoder)
    short, long = (len(row.ids) for row in rows)
    assert batch["input_ids"].shape == (2, long)
    assert batch["attention_mask"].sum(1).tolist() == [short, long]
    assert (batch["input_ids"][0, short:] == encoder.pad).all()
    assert (batch["labels"][0, short:] == IGNORED).all()
    assert torch.equal(batch["mm_token_type_ids"], (batch["input_ids"] == encoder.image_id).long())
    assert len(batch["image_grid_thw"]) == 4
    assert batch["pixel_values"].dtype == torch.float32


def test_the_mask_never_touches_the_attention(encoder: Any) -> None:
    all_of_it, last = (one(encoder, dialogue("red"), last_turns=n) for n in (0, 1))
    assert torch.equal(all_of_it["attention_mask"], last["attention_mask"])
    assert torch.equal(all_of_it["input_ids"], last["input_ids"])


def test_a_dialogue_without_pictures_makes_a_batch_without_pixels(encoder: Any) -> None:
    batch = one(encoder, [Message("user", ("?",)), Message("assistant", ("!",))])
    assert "pixel_values" not in batch
    assert learnt(encoder, batch) == ["!<|im_end|>"]


def without(key: str) -> Any:
    return lambda batch: batch.pop(key)


def change(key: str, value: Any) -> Any:
    def fault(batch: dict[str, Any]) -> None:
        batch[key] = value(batch[key])

    return fault


def put(key: str, place: Any, value: Any) -> Any:
    def fault(batch: dict[str, Any]) -> None:
        batch[key][place] = value

    return fault


def _sampled_pad(batch: dict[str, Any]) -> None:
    """A reply that holds a picture token, as a model can sample one."""
    place = int((batch["labels"][0] != IGNORED).nonzero()[0])
    batch["input_ids"][0, place] = batch["labels"][0, place] = IMAGE


def _unlearnt_pad(batch: dict[str, Any]) -> None:
    batch["input_ids"][0, 0] = IMAGE


IMAGE = -1  # set by the test: the encoder knows


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (without("pixel_values"), "4 pictures among the tokens, but the batch has no pixel_values"),
        (change("image_grid_thw", lambda grids: grids[:-1]), "4 runs of picture pads, but 3 grids"),
        (change("image_grid_thw", lambda grids: grids.flip(0)), "row 0, picture 0: 4 pads, but a grid of [1, 2, 2]"),
        (change("pixel_values", lambda pixels: pixels[:-1]), "grids of 40 patches, but pixel_values has 39"),
        (change("labels", lambda labels: labels[:, 1:]), "shapes differ"),
        (change("labels", lambda labels: labels.roll(1, 1)), "row 0: label"),
        (put("attention_mask", (0, slice(None)), 0), "row 0: label"),
        (_sampled_pad, "row 0: label"),
        (_unlearnt_pad, "5 runs of picture pads, but 4 grids"),
    ],
)
def test_a_batch_that_is_not_whole_is_refused(encoder: Any, fault: Any, words: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(f"{__name__}.IMAGE", encoder.image_id)
    batch = batch_of([training_row(dialogue(colour), encoder, recipe()) for colour in ("red", "blue")], encoder)
    check_batch(batch, encoder.image_id, MERGE)
    fault(batch)
    with pytest.raises(BatchError, match=re.escape(words)):
        check_batch(batch, encoder.image_id, MERGE)


def test_a_mask_of_another_length_is_refused(encoder: Any) -> None:
    with pytest.raises(BatchError, match="row 0: 3 tokens, but a mask of 2"):
        batch_of([TrainingRow(np.arange(3), np.ones(2, int))], encoder)


def test_a_demonstration_longer_than_the_context_gives_its_place_to_another(encoder: Any) -> None:
    made = recipe(data="colours:Colours?longer=500")
    mixture = Mixture(made.stages[0], 0)
    (batch,) = Collator(mixture, encoder, made, made.stages[0])([{"index": i} for i in range(8)])["parts"]
    assert batch["input_ids"].shape[1] < 400
    assert batch["passed"] >= 4
    assert not any("x" * 5 in text for row in range(8) for text in learnt(encoder, batch, row))


def test_a_source_of_nothing_but_long_demonstrations_is_an_error(encoder: Any) -> None:
    made = recipe(context=20)
    with pytest.raises(BatchError, match="17 demonstrations of colours:Colours in a row are longer than context = 20"):
        Collator(Mixture(made.stages[0], 0), encoder, made, made.stages[0]).rows(0)


def test_an_episode_of_a_policy_fits_the_processor(encoder: Any) -> None:
    source: Any = open_source("policy", dialect="mini_o3", suite="synthetic?family=text&pixels=90000")
    source.fit(encoder.vision_size)
    episode = source.episode(0, 0)
    assert [view.shown for view in episode.views] == [encoder.vision_size(*view.shown) for view in episode.views]
    assert one(encoder, dialogue_of(episode, source.dialect))["pixel_values"].any()


def test_colours_are_what_they_say() -> None:
    assert set(COLOURS) == {Colours().example(i, 0)[-1].text.removeprefix("it is ") for i in range(4)}
