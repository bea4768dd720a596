"""The decoding loop against full forward passes: positions, pictures, rows that come and go, what a reply may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Request
from o3gym.policies.local.decoding import Decoder
from o3gym.policies.local.encoding import Encoder, Patches
from o3gym.policies.local.qwen import _portions
from o3gym.policies.local.token_sequences import rope_positions
from o3gym.policies.local.transformers import engine
from o3gym.sampling import Sampling
from o3gym.types import Reply
from tests.policies.local.talk import flat, going_on, key, opened, picture, play, reference, sequence, shown

FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe")
Vlm = Callable[[str], str]


@pytest.fixture
def decoder(parts: Callable[[str], tuple[Any, Encoder]]) -> Decoder:
    return engine(*parts("qwen3_vl"))


def ask(decoder: Decoder, dialogue: Dialogue | None = None, name: object = 0, **sampling: Any) -> Reply:
    decoder.submit(asked(decoder, dialogue, name, **sampling))
    ((_, reply),) = decoder.poll()
    return reply


def asked(decoder: Decoder, dialogue: Dialogue | None = None, name: object = 0, **sampling: Any) -> Request:
    dialogue = opened(decoder.encoder) if dialogue is None else dialogue
    return Request(key(name), dialogue, Sampling(**{"max_tokens": 12, **sampling}))


# parity


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_are_those_of_a_full_forward_pass(parts: Any, family: str, temperature: float) -> None:
    model, encoder = parts(family)
    dialogues, replies = play(engine(model, encoder), count=3, turns=4, temperature=temperature)
    for dialogue, said in zip(dialogues, replies, strict=True):
        for reply, expected in zip(said, reference(model, encoder, dialogue, said, temperature or 1.0), strict=True):
            assert reply.logprobs == pytest.approx(expected, abs=1e-4)
            assert reply.usage is not None
            assert reply.usage.completion_tokens == len(reply.token_ids or ()) == len(expected)


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_greedy_replies_are_those_of_generate(parts: Any, family: str) -> None:
    model, encoder = parts(family)
    dialogue = opened(encoder, 2)
    reply = ask(engine(model, encoder), dialogue, max_tokens=10)
    row = torch.tensor([reply.new_prompt_ids])
    given = encoder.inputs([encoder.images(dialogue.messages)])
    made = model.generate(
        input_ids=row, mm_token_type_ids=(row == encoder.image_id).int(), attention_mask=torch.ones_like(row),
        do_sample=False, max_new_tokens=10, suppress_tokens=list(encoder.forbidden), **given,
    )  # fmt: skip
    assert made[0, row.shape[1] :].tolist() == list(reply.token_ids or ())


def test_positions_are_those_of_the_model(parts: Any) -> None:
    for family in ("qwen2_5_vl", "qwen3_vl", "qwen3_5"):
        model, encoder = parts(family)
        dialogue = opened(encoder)
        going_on(encoder, dialogue, Reply("B"), 1, 1)
        opening = encoder.opening(dialogue.messages)
        ids, images = opening.ids, [image for image in opening.images if isinstance(image, Patches)]
        row = torch.tensor([ids])
        grids = torch.tensor([image.grid for image in images])
        expected, delta = model.model.get_rope_index(row, (row == encoder.image_id).int(), image_grid_thw=grids)
        made, end = rope_positions(ids, images, encoder.image_id, 2, 0)
        assert np.array_equal(made, expected[:, 0].numpy())
        assert end == len(ids) + int(delta)
        assert rope_positions([5, 6], [], encoder.image_id, 2, 40)[0].tolist() == [[40, 41]] * 3


# batches


def test_a_reply_does_not_depend_on_who_shares_the_batch(parts: Any) -> None:
    together = play(engine(*parts("qwen3_vl")), count=4, temperature=1.0)[1]
    for slots in (1, 2):
        apart = play(engine(*parts("qwen3_vl"), slots), count=4, temperature=1.0)[1]
        for one, other in zip(flat(together), flat(apart), strict=True):
            assert one.token_ids == other.token_ids
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
            assert one.new_prompt_ids == other.new_prompt_ids


def test_a_slow_reply_blocks_nobody_and_newcomers_join(decoder: Decoder) -> None:
    free = {"temperature": 0.0, "choices": ("a long reply that is written token by token, to its very end",)}
    decoder.submit(asked(decoder, name="slow", **free))
    decoder.submit(asked(decoder, name="quick", choices=("B",)))
    assert [name[1] for name, _ in decoder.poll()] == ["quick"]
    decoder.submit(asked(decoder, name="late", choices=("B",)))
    assert [name[1] for name, _ in decoder.poll()] == ["late"]
    assert [name[1] for name, _ in decoder.poll()] == ["slow"]
    assert decoder.poll() == []


def test_a_turn_reads_its_own_tokens_and_pictures_only(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder = parts("qwen3_vl")
    read, looked = [], []
    words, look = model.model.language_model.forward, model.model.get_image_features

    def counted(**given: Any) -> Any:
        read.append(given["inputs_embeds"].shape[1])
        return words(**given)

    def watched(pixels: Any, grids: Any, **given: Any) -> Any:
        looked.append(len(grids))
        return look(pixels, grids, **given)

    decoder = engine(model, encoder)
    monkeypatch.setattr(model.model.language_model, "forward", counted)
    monkeypatch.setattr(model.model, "get_image_features", watched)
    _, ((*replies,),) = play(decoder, count=1, turns=4)
    fed = [len(reply.new_prompt_ids or ()) + len(reply.token_ids or ()) for reply in replies]
    assert sum(read) == sum(fed) - 1  # all but the very last token, once
    assert looked == [1, 2, 1]


def test_a_dialogue_whose_row_was_taken_is_read_again_exactly(parts: Any) -> None:
    decoder = engine(*parts("qwen2_5_vl"), 2)
    dialogues, replies = play(decoder, count=5, turns=3, temperature=1.0)
    assert len(decoder._rows) == 2
    for dialogue, said in zip(dialogues, replies, strict=True):
        for reply, expected in zip(said, reference(*parts("qwen2_5_vl"), dialogue, said), strict=True):
            assert reply.logprobs == pytest.approx(expected, abs=1e-4)


def test_dialogues_that_come_one_by_one_keep_their_rows(parts: Any) -> None:
    model, encoder = parts("qwen2_5_vl")
    decoder = engine(model, encoder)
    dialogues = [opened(encoder, number) for number in range(5)]
    said: list[list[Reply]] = [[] for _ in dialogues]
    for turn in (1, 2):
        for number, dialogue in enumerate(dialogues):
            said[number].append(ask(decoder, dialogue, number, temperature=1.0, seed=number))
            if turn == 1:
                going_on(encoder, dialogue, said[number][0], number, turn)
    for dialogue, replies in zip(dialogues, said, strict=True):
        for reply, expected in zip(replies, reference(model, encoder, dialogue, replies), strict=True):
            assert reply.logprobs == pytest.approx(expected, abs=1e-4)


def test_rows_are_freed_and_memory_stays_bounded(decoder: Decoder) -> None:
    for number in range(6):
        play(decoder, count=2, turns=1, choices=("B",), seed=number)
    assert len(decoder._rows) == 2
    assert decoder._rows == [None, None]
    assert decoder._sequences == {}
    assert decoder._network.cache._keys[0] is not None
    assert decoder._network.cache._keys[0].shape[0] == 2


def test_the_cache_grows_with_a_dialogue(decoder: Decoder) -> None:
    dialogue = opened(decoder.encoder)
    said = [ask(decoder, dialogue, choices=("B",))]
    going_on(decoder.encoder, dialogue, said[0], 0, 1)
    dialogue.add("user", ["x y z " * 600])
    said.append(ask(decoder, dialogue, max_tokens=4))
    assert decoder._network.cache._tokens >= 1024
    expected = reference_of(decoder, dialogue, said)
    assert said[1].logprobs == pytest.approx(expected[1], abs=1e-4)


def reference_of(decoder: Decoder, dialogue: Dialogue, said: list[Reply]) -> list[list[float]]:
    body = decoder._network
    return reference(_Whole(body), decoder.encoder, dialogue, said)


class _Whole:
    """The model that a decoder runs, put together again."""

    def __init__(self, network: Any) -> None:
        self.model, self.head = network._body, network._head

    def __call__(self, **given: Any) -> Any:
        given.setdefault("use_cache", False)
        made = self.model(**given)
        made.logits = self.head(made.last_hidden_state)
        return made


def test_a_dialogue_that_was_changed_is_read_anew(decoder: Decoder) -> None:
    dialogue = opened(decoder.encoder)
    said = ask(decoder, dialogue, choices=("yes",))
    dialogue.add("assistant", ["no"])
    dialogue.add("user", ["?"])
    again = ask(decoder, dialogue)
    assert again.new_prompt_ids == decoder.encoder.opening(dialogue.messages).ids
    assert said.new_prompt_ids == again.new_prompt_ids[: len(said.new_prompt_ids or ())]
    assert ask(decoder, dialogue).new_prompt_ids == again.new_prompt_ids  # asked twice without an answer in between


def test_long_and_short_newcomers_are_read_apart(decoder: Decoder) -> None:
    for number, words in enumerate((1, 400, 2, 390)):
        dialogue = Dialogue()
        dialogue.add("user", ["look " * words])
        decoder.submit(asked(decoder, dialogue, number))
    joining = [decoder._opened(request) for request in decoder._queue]
    groups = decoder._groups([entry for entry in joining if entry])
    assert [[entry[0][1] for entry in group] for group in groups] == [["1", "3"], ["2", "0"]]


def test_pictures_go_through_the_tower_in_portions() -> None:
    images = [Patches(np.zeros((rows, 1), np.float32), (1, 1, rows)) for rows in (40_000, 20_000, 30_000, 70_000, 9)]
    assert [[len(image.rows) for image in part] for part in _portions(images)] == [
        [40_000, 20_000], [30_000], [70_000], [9],
    ]  # fmt: skip


# what a reply may be


def test_tokens_that_stand_for_pixels_are_never_sampled(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder = parts("qwen3_vl")
    barred = torch.zeros(model.lm_head.out_features)
    barred[list(encoder.forbidden)] = 1000.0
    head = model.lm_head.forward
    monkeypatch.setattr(model.lm_head, "forward", lambda hidden: head(hidden) + barred)
    for temperature in (0.0, 2.0):
        for reply in flat(play(engine(model, encoder), temperature=temperature)[1]):
            assert not set(reply.token_ids or ()) & set(encoder.forbidden)
            assert all(math.isfinite(value) for value in reply.logprobs or ())


def test_a_reply_ends_with_its_stop_string(decoder: Decoder) -> None:
    free = ask(decoder, max_tokens=30)
    assert free.finish == "length"
    assert len(free.token_ids or ()) == 30
    stop = free.text[4:9]
    at = free.text.index(stop) + len(stop)
    reply = ask(decoder, opened(decoder.encoder), 1, max_tokens=30, stop=("never", stop))
    ids = reply.token_ids or ()
    assert reply == replace(
        free, text=free.text[:at], token_ids=ids, logprobs=reply.logprobs, finish="stop", usage=reply.usage
    )
    assert ids == (free.token_ids or ())[: len(ids)]
    assert stop in decoder.encoder.text(ids)
    assert stop not in decoder.encoder.text(ids[:-1])


def test_an_end_token_ends_a_reply_and_is_one_of_its_ids(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder = parts("qwen3_vl")
    decoder = engine(model, encoder)
    for name, token in (("end", encoder.end), ("other", encoder.pad)):
        assert token in decoder.eos
        wanted = torch.zeros(model.lm_head.out_features)
        wanted[token] = 1000.0
        with monkeypatch.context() as patch:
            patch.setattr(model.lm_head, "forward", lambda hidden, wanted=wanted: wanted.expand(len(hidden), -1))
            dialogue = opened(encoder)
            reply = ask(decoder, dialogue, name)
            assert (reply.text, reply.token_ids, reply.finish) == ("", (token,), "stop")
            going_on(encoder, dialogue, reply, 0, 3)
            following = ask(decoder, dialogue, name).new_prompt_ids or ()
        assert (following[0] == encoder.end) == (name == "other")  # closed, unless the reply did it


def test_the_reply_is_one_of_the_choices(parts: Any, decoder: Decoder) -> None:
    choices = ("<answer>A</answer>", "<answer>B</answer>", "<answer>", "unknown <|im_end|>")
    said = {ask(decoder, name=seed, choices=choices, temperature=3.0, seed=seed, max_tokens=50) for seed in range(12)}
    texts = {reply.text for reply in said}
    assert len(texts) > 1
    assert texts <= set(choices)
    assert {(reply.token_ids or ())[-1] for reply in said} == {decoder.encoder.end}
    assert ask(decoder, choices=("B",), name="one").logprobs == (0.0, 0.0)
    assert ask(decoder, choices=("a long one",), max_tokens=2, name="cut").finish == "length"
    assert ask(decoder, choices=("",), name="empty").text == ""


def test_logprobs_of_choices_are_those_of_the_constrained_distribution(parts: Any, decoder: Decoder) -> None:
    greedy = ask(decoder, choices=("A", "B"))
    free = reference(*parts("qwen3_vl"), opened(decoder.encoder), [greedy])[0][0]
    other = "B" if greedy.text == "A" else "A"
    forced = ask(decoder, name=1, choices=(other,))
    raw = reference(*parts("qwen3_vl"), opened(decoder.encoder), [forced])[0][0]
    assert greedy.logprobs == pytest.approx((free - math.log(math.exp(free) + math.exp(raw)), 0.0), abs=1e-4)
    assert free > raw


def test_the_context_limit_cuts_and_then_ends_a_dialogue(parts: Any) -> None:
    model, encoder = parts("qwen3_vl")
    length = len(encoder.opening(opened(encoder).messages).ids)
    decoder = engine(model, encoder, max_context=length + 3)
    dialogue = opened(encoder)
    reply = ask(decoder, dialogue)
    assert (len(reply.token_ids or ()), reply.finish, reply.error) == (3, "length", "")
    going_on(encoder, dialogue, reply, 0, 3)
    assert ask(decoder, dialogue) == Reply("", finish="length", error=CONTEXT_FULL)
    assert decoder._sequences == {}


def test_seeds_make_replies_repeatable(decoder: Decoder) -> None:
    first, again, other = (
        ask(decoder, name=n, temperature=1.0, seed=seed).token_ids for n, seed in enumerate((1, 1, 2))
    )
    assert first == again != other


# faults


def test_a_broken_picture_is_an_error_reply_and_the_others_go_on(decoder: Decoder) -> None:
    broken, fine = Dialogue(), opened(decoder.encoder)
    broken.add("user", [picture(33, 32)])
    decoder.submit(asked(decoder, broken, "broken"))
    decoder.submit(asked(decoder, fine, "fine", choices=("B",)))
    replies = dict(decoder.poll())
    while len(replies) < 2:
        replies |= dict(decoder.poll())
    assert replies[key("fine")].text == "B"
    assert replies[key("broken")].finish == "error"
    assert replies[key("broken")].error.startswith("ValueError: view 0 is 33×32 pixels")


def test_a_group_that_fails_is_tried_one_by_one(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder = parts("qwen3_vl")
    words = model.model.language_model.forward

    def tight(**given: Any) -> Any:
        if given["inputs_embeds"].shape[0] > 1 and given["inputs_embeds"].shape[1] > 1:
            raise RuntimeError("out of memory")
        return words(**given)

    decoder = engine(model, encoder)
    monkeypatch.setattr(model.model.language_model, "forward", tight)
    dialogues, replies = play(decoder, count=3, turns=2, temperature=1.0)
    monkeypatch.undo()
    for dialogue, said in zip(dialogues, replies, strict=True):
        for reply, expected in zip(said, reference(model, encoder, dialogue, said), strict=True):
            assert reply.logprobs == pytest.approx(expected, abs=1e-4)


def test_a_failing_step_ends_its_dialogues_only(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder = parts("qwen3_vl")
    decoder = engine(model, encoder)
    decoder.submit(asked(decoder, name=0))
    decoder.submit(asked(decoder, name=1))
    with monkeypatch.context() as patch:
        patch.setattr(decoder._network, "write", lambda *given: 1 / 0)
        replies = decoder.poll()
    assert {reply.error for _, reply in replies} == {"ZeroDivisionError: division by zero"}
    assert ask(decoder, choices=("B",)).text == "B"


def test_logits_that_are_not_finite_are_an_error(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, encoder = parts("qwen3_vl")
    decoder = engine(model, encoder)
    with monkeypatch.context() as patch:
        head = model.lm_head.forward
        patch.setattr(model.lm_head, "forward", lambda hidden: head(hidden) * math.nan)
        for temperature in (0.0, 1.0):
            reply = ask(decoder, temperature=temperature)
            assert (reply.finish, reply.error) == ("error", "the model's logits are not finite")
    assert ask(decoder, choices=("B",)).text == "B"


def test_an_episode_may_be_released_at_any_time(decoder: Decoder) -> None:
    for name in range(3):
        decoder.submit(asked(decoder, name=name, choices=("B",) if name == 2 else ("B, I am sure",)))
    with pytest.raises(ValueError, match="already waits"):
        decoder.submit(asked(decoder, name=1))
    decoder.submit(asked(decoder, name="queued"))
    decoder.release(key("queued"))
    assert [name[1] for name, _ in decoder.poll()] == ["2"]
    decoder.release(key(0))  # half written
    assert [(name[1], reply.text) for name, reply in decoder.poll()] == [("1", "B, I am sure")]
    assert decoder.poll() == []


def test_new_prompt_ids_and_token_ids_make_the_context(decoder: Decoder) -> None:
    dialogues, replies = play(decoder, count=1, turns=3, choices=("B", "C"))
    ids, _ = sequence(replies[0])
    dialogue = dialogues[0]
    dialogue.add("assistant", [replies[0][-1].text])
    assert tuple(ids) == decoder.encoder.row(dialogue.messages)[0]
    assert shown(decoder.encoder, 50, 50).view.shown == (64, 64)
