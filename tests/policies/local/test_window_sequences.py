"""Windowed dialogues in local policies: exact ids, the KV cache kept up to the cut, positions, and vLLM's prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from o3gym.policies.dialogue import Dialogue, Message, Picture, Request, Role
from o3gym.policies.local.decoding import Decoder
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.generate import WholeHistory
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.transformers import engine
from o3gym.policies.local.vllm_prompts import Places, Thread
from o3gym.policies.window import leaving
from o3gym.sampling import Sampling
from o3gym.types import Reply
from tests.policies.local.talk import going_on, key, opened

Vlm = Callable[[str], str]
TURNS = 6


class Played:
    """One dialogue: at each turn the messages that the policy read, the segment, and its reply."""

    def __init__(self, policy: Any, number: int, window: int | None, role: Role = "user") -> None:
        self.policy, self.number, self.window, self.role = policy, number, window, role
        self.dialogue = opened(policy.encoder, number)
        self.read: list[list[Message]] = []
        self.segments: list[int] = []
        self.replies: list[Reply] = []

    def ask(self) -> None:
        if changes := leaving(self.dialogue.messages, self.window):
            self.dialogue.cut(changes)
        self.read.append(list(self.dialogue.messages))
        self.segments.append(self.dialogue.segment)
        settings = {"max_tokens": 5 + 2 * self.number, "temperature": 1.0, "seed": 7 * self.number + len(self.read)}
        self.policy.submit(Request(key(self.number), self.dialogue, Sampling(**settings)))

    def take(self, reply: Reply) -> None:
        assert reply.finish != "error", reply.error
        self.replies.append(reply)
        going_on(self.policy.encoder, self.dialogue, reply, self.number, len(self.replies), self.role)

    def sequence(self, segment: int) -> tuple[list[int], list[slice]]:
        """The ids of a segment, and where its own replies are in them."""
        ids, places = list[int](), []
        for reply, where in zip(self.replies, self.segments, strict=True):
            if where == segment:
                ids += reply.new_prompt_ids or ()
                places.append(slice(len(ids), len(ids) + len(reply.token_ids or ())))
                ids += reply.token_ids or ()
        return ids, places


def play(policy: Any, count: int, window: int | None, turns: int = TURNS, role: Role = "user") -> list[Played]:
    games = [Played(policy, number, window, role) for number in range(count)]
    for game in games:
        game.ask()
    while any(len(game.replies) < turns for game in games):
        for name, reply in policy.poll():
            game = games[int(name[1])]
            game.take(reply)
            if len(game.replies) < turns:
                game.ask()
    return games


def fresh_pass(model: Any, encoder: Encoder, ids: Sequence[int], messages: Sequence[Message]) -> torch.Tensor:
    """Log-probabilities of every next token, by one forward pass without any cache."""
    row = torch.tensor([ids])
    given = encoder.inputs([encoder.images(messages)])
    if encoder.factor:
        given["mm_token_type_ids"] = (row == encoder.image_id).int()
        model.model.rope_deltas = None
    with torch.no_grad():
        logits = model(input_ids=row, attention_mask=torch.ones_like(row), **given).logits[0].float()
    logits[:, list(encoder.forbidden)] = -torch.inf
    return torch.log_softmax(logits, dim=-1)


@pytest.mark.parametrize(("window", "role"), [(1, "user"), (2, "user"), (1, "inline")])
@pytest.mark.parametrize("family", ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen3_5", "idefics3"])
def test_replies_after_a_cut_are_sampled_as_by_a_fresh_pass(parts: Any, family: str, window: int, role: Role) -> None:
    model, encoder = parts(family)
    policy = engine(model, encoder)
    for game in play(policy, 2, window, role=role):
        assert game.segments[-1] >= 1
        for segment in range(game.segments[-1] + 1):
            ids, places = game.sequence(segment)
            last = max(n for n, where in enumerate(game.segments) if where == segment)
            logprobs = fresh_pass(model, encoder, ids, game.read[last])
            own = [r for r, where in zip(game.replies, game.segments, strict=True) if where == segment]
            for reply, place in zip(own, places, strict=True):
                expected = [logprobs[at - 1, ids[at]].item() for at in range(place.start, place.stop)]
                assert reply.logprobs == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("role", ["user", "inline"])
def test_ids_are_those_of_a_dialogue_that_never_held_the_dropped_pictures(parts: Any, role: Role) -> None:
    """The prompt of a new segment is the dialogue encoded piece by piece, with the replies as they were sampled."""
    encoder = parts("qwen3_vl")[1]
    (game,) = play(engine(*parts("qwen3_vl")), 1, 1, role=role)
    for turn, (messages, reply) in enumerate(zip(game.read, game.replies, strict=True)):
        if turn and game.segments[turn] > game.segments[turn - 1]:
            ids = list(encoder.opening(messages[:2]).ids)
            for number, earlier in enumerate(game.replies[:turn]):
                ids += earlier.token_ids or ()
                ids += encoder.following(messages[: 4 + 2 * number], 3 + 2 * number, ids).ids
            assert list(reply.new_prompt_ids or ()) == ids


def test_the_cache_is_kept_up_to_the_cut(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what follows the first changed message is read again, at its place and position."""
    policy = engine(*parts("qwen3_vl"))
    assert isinstance(policy, Decoder)
    starts: list[tuple[int, int]] = []
    read = policy._network.read

    def spied(sequences: Any, start: int) -> Any:
        starts.extend((sequence.cached, len(sequence.ids)) for sequence in sequences)
        return read(sequences, start)

    monkeypatch.setattr(policy._network, "read", spied)
    (game,) = play(policy, 1, 1)
    for turn, (cached, length) in enumerate(starts[1:], 1):
        before = starts[turn - 1][1]
        if game.segments[turn] > game.segments[turn - 1]:
            changed = game.dialogue.cuts[game.segments[turn] - 1]
            opening = len(policy.encoder.opening(game.read[turn][:2]).ids)
            kept = opening + len(game.replies[0].token_ids or ()) if changed == 3 else None
            assert kept in (None, cached)
            assert 0 < cached < before
        else:
            assert cached == before + len(game.replies[turn - 1].token_ids or ()) - 1
        assert cached < length


def test_a_dialogue_that_lost_its_row_is_read_again_as_it_is_now(parts: Any) -> None:
    """With one row for three dialogues, each is evicted between its turns, also right before a cut."""
    alone = play(engine(*parts("qwen3_vl")), 3, 1)
    crowded = play(engine(*parts("qwen3_vl"), slots=1), 3, 1)
    for one, other in zip(alone, crowded, strict=True):
        for reply, again in zip(one.replies, other.replies, strict=True):
            assert (reply.token_ids, reply.new_prompt_ids) == (again.token_ids, again.new_prompt_ids)
            assert reply.logprobs == pytest.approx(again.logprobs, abs=1e-4)


@pytest.mark.parametrize("kind", ["cached", "whole"])
def test_a_wide_window_changes_nothing(parts: Any, kind: str) -> None:
    def policy() -> Any:
        model, encoder = parts("qwen3_vl")
        return engine(model, encoder) if kind == "cached" else WholeHistory(model, encoder, 4, 4096, encoder.eos)

    wide, without = play(policy(), 2, TURNS), play(policy(), 2, None)
    assert [game.replies for game in wide] == [game.replies for game in without]
    assert all(game.segments == [0] * TURNS for game in wide)


def test_both_engines_agree_on_windowed_dialogues(parts: Any) -> None:
    model, encoder = parts("qwen3_vl")
    ours, whole = play(engine(model, encoder), 1, 1), play(WholeHistory(model, encoder, 4, 4096, encoder.eos), 1, 1)
    for one, other in zip(ours[0].replies, whole[0].replies, strict=True):
        assert (one.token_ids, one.new_prompt_ids) == (other.token_ids, other.new_prompt_ids)


def test_a_dialogue_first_seen_after_a_cut_is_encoded_whole(parts: Any) -> None:
    encoder = parts("qwen3_vl")[1]
    dialogue = opened(encoder)
    for turn in (0, 3):
        going_on(encoder, dialogue, Reply("B"), 1, turn)
    dialogue.cut(leaving(dialogue.messages, 1))
    policy = engine(*parts("qwen3_vl"))
    policy.submit(Request(key(0), dialogue, Sampling(max_tokens=3)))
    ((_, reply),) = policy.poll()
    assert reply.new_prompt_ids == encoder.opening(dialogue.messages).ids


def test_vllm_gets_the_pictures_that_are_left_and_converts_none_twice(vlm: Vlm) -> None:
    encoder = Places(load_processor(vlm("qwen3_vl")))
    dialogue, converted = opened(encoder), []

    def form(pixels: Any) -> int:
        converted.append(1)
        return len(converted)

    thread = Thread(dialogue, form=form)
    for turn in (0, 3, 6, 9):  # one picture each
        if changes := leaving(dialogue.messages, 2):
            dialogue.cut(changes)
        thread.extend(encoder)
        places = encoder.opening(dialogue.messages[:2]).ids.count(encoder.image_id)
        shown = [part for message in dialogue.messages for part in message.parts if isinstance(part, Picture)]
        assert len(thread.pictures) == len(shown)
        assert thread.ids.count(encoder.image_id) > places or turn == 0
        if turn < 9:
            reply = encoder.tokens("look")
            thread.answer((*reply, encoder.end), "look")
            going_on(encoder, dialogue, Reply("look"), 1, turn)
    assert thread.pictures == [1, 3, 4]  # the opening's and the last two rounds'
    assert len(converted) == 4
    assert list(thread.prompt) == thread.ids


def test_only_the_last_reply_and_new_messages_continue_a_dialogue(parts: Any) -> None:
    """An edited reply is encoded anew even if the dialogue was cut as well."""
    encoder = parts("qwen3_vl")[1]
    policy = engine(*parts("qwen3_vl"))
    game = Played(policy, 0, 1)
    for _ in range(2):
        game.ask()
        ((_, reply),) = policy.poll()
        game.take(reply)
    game.dialogue.messages[4] = Message("assistant", ("edited",))
    game.ask()
    ((_, reply),) = policy.poll()
    assert reply.new_prompt_ids == encoder.opening(game.dialogue.messages).ids
    assert isinstance(game.dialogue, Dialogue)
