"""From episodes to rows: exact tokens, who has a loss, and what the loss is divided by."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from o3gym.policies.local.encoding import Encoder
from o3gym.train.grpo.advantages import advantages
from o3gym.train.grpo.experience import (
    EpisodeStats,
    chunks,
    compute_advantages,
    experience,
    informative,
    measures,
    sampling_logprobs,
    tokens_learnt,
    tokens_written,
    unusable,
    usable,
)
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.grpo.trl_batch import blank_row, to_trl
from o3gym.train.loss_mask import BatchError, sample_row
from o3gym.types import Trajectory
from tests.train.grpo.spelled import LOOKS, played, rewarded
from tests.train.tiny_folder import processor

Groups = list[list[Trajectory]]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(processor())


@pytest.fixture(scope="module")
def groups(encoder: Encoder) -> Groups:
    return rewarded(played(encoder), [[1, 0, 0.5], [1, 1, 1]])


def recipe(**more: Any) -> GrpoRecipe:
    return GrpoRecipe(model="", steps=1, prompts=2, samples=3, **more)


def test_a_row_is_the_dialogue_as_it_was_sampled(encoder: Encoder, groups: Groups) -> None:
    row = sample_row(groups[0][2], encoder)
    said = encoder.tokenizer.decode(row.ids[row.mask == 1])
    assert said == "".join(f"{text}<|im_end|>" for text in (*LOOKS[:2], "answer red"))
    text = encoder.tokenizer.decode(row.ids)
    assert text.startswith("<|im_start|>system")
    assert text.endswith("answer red<|im_end|>")
    assert len(row.images) == 3
    assert len(sampling_logprobs(groups[0][2])) == len(row.ids)
    assert all((value != 0) == on for value, on in zip(sampling_logprobs(groups[0][2]), row.mask, strict=True))


def test_code_may_be_left_out_of_the_loss(encoder: Encoder, groups: Groups) -> None:
    spans = [((1, 3),), (), ((0, 1), (2, 4))]
    turns = zip(groups[0][2].turns, spans, strict=True)
    coded = replace(
        groups[0][2], turns=tuple(replace(turn, reply=replace(turn.reply, code=code)) for turn, code in turns)
    )
    whole, text = (sample_row(coded, encoder, code_loss=on) for on in (True, False))
    assert (whole.mask == sample_row(groups[0][2], encoder).mask).all()
    assert (whole.ids == text.ids).all()
    at, left_out = 0, set[int]()
    for turn in coded.turns:
        at += len(turn.reply.new_prompt_ids or ())
        left_out |= {at + n for start, end in turn.reply.code for n in range(start, end)}
        at += len(turn.reply.token_ids or ())
    assert set(np.flatnonzero(whole.mask != text.mask)) == left_out
    assert len(left_out) == 5
    assert tokens_learnt(coded) == whole.mask.sum() == tokens_written(coded)
    assert tokens_learnt(coded, code_loss=False) == text.mask.sum()
    episodes = [[*groups[0][:2], coded], groups[1]]
    totals = [experience(episodes, recipe(code_loss=on), 0).totals[0] for on in (True, False)]
    assert totals[0] - totals[1] == 5


def test_a_look_that_the_budget_forbids_shows_nothing(encoder: Encoder) -> None:
    cut = played(encoder, groups=1, samples=4, max_turns=2)[0]
    assert [t.stop for t in cut] == ["answered", "answered", "over_turn", "over_turn"]
    row = sample_row(cut[3], encoder)
    assert len(row.images) == 2
    to_trl([row], encoder)


def test_only_rows_with_something_to_learn_are_kept(groups: Groups) -> None:
    uneven = [[*groups[0][:1], replace(groups[0][1], stop="over_turn"), *groups[0][2:]], groups[1]]
    keys = lambda made: [sample.trajectory.sample for sample in made.samples]  # noqa: E731
    assert keys(experience(uneven, recipe(), 0)) == [0, 1]  # the mean of the first group is its third reward
    assert keys(experience(uneven, recipe(over_turn_masking=True), 0)) == [0]
    assert keys(experience(uneven, recipe(over_turn_masking=True, kl=0.1), 0)) == [0, 2, 0, 1, 2]
    assert keys(experience(groups[1:], recipe(), 0)) == []


def test_the_loss_is_divided_by_what_the_recipe_says(groups: Groups) -> None:
    uneven = [[*groups[0][:2], replace(groups[0][2], stop="over_turn")], groups[1]]
    tokens = [tokens_written(t) for group in uneven for t in group]
    masked = {"over_turn_masking": True}
    assert experience(uneven, recipe(), 0).totals == (sum(tokens),)
    assert experience(uneven, recipe(**masked), 0).totals == pytest.approx((sum(tokens) - tokens[2],))
    assert experience(uneven, recipe(**masked, denominator="all"), 0).totals == pytest.approx((sum(tokens),))
    assert experience(uneven, recipe(**masked, mean="sequence"), 0).totals == pytest.approx((5,))
    assert experience([], recipe(updates=2), 0).totals == (0.0, 0.0)


def test_two_processes_weigh_as_one_does(groups: Groups) -> None:
    """Statistics over all, groups that keep their process, and totals that are those of the whole."""
    made = recipe(norm="global", mean="sequence")
    stats = [
        [EpisodeStats(f"{r}/{t.group}", float(t.reward or 0), t.stop, tokens_written(t), 0) for t in groups[r]]
        for r in (0, 1)
    ]
    shares = [experience([groups[rank]], made, 0, lambda mine: stats, rank) for rank in (0, 1)]
    expected, _, totals = compute_advantages([stat for share in stats for stat in share], made)
    got = [sample.advantage for share in shares for sample in share.samples]
    assert got == pytest.approx([advantage for advantage in expected if advantage])
    assert shares[0].totals == shares[1].totals == totals
    rewards = [t.reward or 0 for group in groups for t in group]
    assert expected == pytest.approx(advantages(rewards, [t.group for g in groups for t in g], norm="global"))


def test_updates_share_the_groups_evenly(groups: Groups) -> None:
    many = [[replace(t, group=f"{n}") for t in groups[0]] for n in range(8)]
    dealt = [sample.update for sample in experience(many, recipe(updates=4), 3).samples]
    assert sorted(dealt) == [update for update in range(4) for _ in range(4)]  # two of three rows in each of two groups
    assert dealt != [sample.update for sample in experience(many, recipe(updates=4), 4).samples]


def test_portions_hold_rows_of_similar_length_and_may_be_empty(groups: Groups) -> None:
    samples = experience(groups[:1], recipe(std=False, kl=1.0), 0).samples
    portions = chunks(samples, 0, 2)
    assert [[sample.trajectory.sample for sample in portion] for portion in portions] == [[0, 1], [2]]
    assert [len(portion) for portion in chunks(samples, 0, 5)] == [1, 0, 1, 0, 1]
    assert chunks(samples, 1, 2) == [[], []]


def test_a_group_with_a_failure_is_left_out_whole(groups: Groups) -> None:
    assert usable(groups[0])
    assert informative(groups[0])
    assert not informative(groups[1])
    assert not usable([replace(groups[0][0], reward=None), *groups[0][1:]])
    assert not usable([replace(groups[0][0], stop="error"), *groups[0][1:]])
    reply = replace(groups[0][0].turns[0].reply, token_ids=None)
    unknown = replace(groups[0][0], turns=(replace(groups[0][0].turns[0], reply=reply),))
    assert not usable([unknown, *groups[0][1:]])
    assert not usable([replace(groups[0][0], reward=math.nan), *groups[0][1:]])
    assert "its reward is inf" in unusable(replace(groups[0][0], reward=math.inf))


def test_a_blank_row_goes_through_the_vision_tower_and_has_no_loss(encoder: Encoder) -> None:
    batch = to_trl([blank_row(encoder)], encoder)
    assert batch["tool_mask"].sum() == 0
    assert batch["num_images"] == [1]
    assert len(batch["pixel_values"]) > 0


def _change(turn: int, **fields: Callable[[Any], Any]) -> Callable[[Trajectory], Trajectory]:
    def changed(t: Trajectory) -> Trajectory:
        reply = t.turns[turn].reply
        reply = replace(reply, **{name: change(getattr(reply, name)) for name, change in fields.items()})
        return replace(t, turns=(*t.turns[:turn], replace(t.turns[turn], reply=reply), *t.turns[turn + 1 :]))

    return changed


@pytest.mark.parametrize(
    ("logprobs", "said"),
    [
        (lambda known: None, r"g0.*reply 1 has \d+ tokens and no log-probabilities"),
        (lambda known: known[1:], r"g0.*reply 1 has (\d+) tokens and \d+ log-probabilities"),
        (lambda known: (), r"reply 1 has \d+ tokens and 0 log-probabilities"),
        (lambda known: (math.nan, *known[1:]), r"g0.*reply 1: the log-probability of token 0 is nan"),
        (lambda known: (*known[:-1], -math.inf), r"reply 1: the log-probability of token \d+ is -inf"),
        (
            lambda known: (0.9, *known[1:]),
            r"the log-probability of token 0 is 0.9, expected a finite number of at most 0",
        ),
    ],
)
def test_log_probabilities_that_are_not_known_are_no_zeros(groups: Groups, logprobs: Any, said: str) -> None:
    assert sampling_logprobs(_change(1, logprobs=lambda known: (1e-7, *known[1:]))(groups[0][2]))
    with pytest.raises(BatchError, match=said):
        sampling_logprobs(_change(1, logprobs=logprobs)(groups[0][2]))


FAULTS: dict[str, tuple[Callable[[Encoder], Callable[[Trajectory], Trajectory]], str]] = {
    "a sampled pad": (
        lambda e: _change(1, token_ids=lambda ids: (ids[0], e.image_id, *ids[1:])),
        "pads of 4 pictures, but 3 views",
    ),
    "a sampled pad where views are left": (
        lambda e: (
            lambda t: replace(
                _change(1, token_ids=lambda ids: (ids[0], e.image_id, *ids[1:]))(t), views=(*t.views, t.views[-1])
            )
        ),
        "label .* at token|1 pads, but a grid",
    ),
    "a picture whose pads were lost": (
        lambda e: _change(1, new_prompt_ids=lambda ids: tuple(i for i in ids if i != e.image_id)),
        "pads of 2 pictures, but 3 views",
    ),
    "one pad too few": (
        lambda e: _change(0, new_prompt_ids=lambda ids: _without_one(ids, e.image_id)),
        "pads, but a grid",
    ),
    "no prompt": (lambda e: _change(0, new_prompt_ids=lambda ids: ()), "pads of 2 pictures, but 3 views"),
    "unknown tokens": (lambda e: _change(1, token_ids=lambda ids: None), "tokens of reply 1 are not known"),
}


def _without_one(ids: tuple[int, ...], token: int) -> tuple[int, ...]:
    at = ids.index(token)
    return (*ids[:at], *ids[at + 1 :])


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_loud(encoder: Encoder, groups: Groups, fault: str) -> None:
    plant, problem = FAULTS[fault]
    to_trl([sample_row(groups[0][2], encoder)], encoder)
    with pytest.raises(BatchError, match=problem):
        to_trl([sample_row(plant(encoder)(groups[0][2]), encoder)], encoder)


def test_a_row_that_begins_with_a_reply_has_no_prompt(encoder: Encoder, groups: Groups) -> None:
    row = sample_row(groups[0][0], encoder)
    with pytest.raises(BatchError, match="it has no prompt"):
        to_trl([row._replace(mask=np.concatenate([[1], row.mask[1:]]))], encoder)


def test_measures_of_a_rollout(groups: Groups) -> None:
    said = measures([[*groups[0][:2], replace(groups[0][2], stop="over_turn", reward=None)], groups[1]])
    assert said["reward"] == pytest.approx(4 / 5)
    assert said["turns"] == 2
    assert said["over_turn"] == pytest.approx(1 / 6)
    assert said["failed"] == pytest.approx(1 / 6)
    assert said["uniform_groups"] == 0.5
    assert said["unusable_groups"] == 0.5
    assert said["valid_calls"] == 1
    assert measures([])["reward"] == 0
