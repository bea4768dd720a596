"""Thyme: rewards of one reply, with and without VQA_NORM, as the released code computes them.

The reply is a whole message: in `thyme`, whose messages may have several parts, and in another dialect.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.rewards.recipes import THYME, THYME_CODE
from o3gym.rewards.settle import settle
from tests.vectors.loading import Compared, agree, vectors
from tests.vectors.replay import Replay, play, rules_of


@pytest.mark.parametrize("dialect", ["mini_o3", "thyme"])
def test_rewards(dialect: str) -> None:
    compared = []
    for number, vector in enumerate(vectors("thyme_rewards")):
        replay = Replay(make_dialect(dialect), [1000, 750], rules_of(tools=("crop", "answer")), vector["answer"])
        trajectory = replace(play(replay, [vector["reply"]]), dialect=dialect)
        ((settled,),) = settle([[trajectory]], THYME_CODE if vector["norm"] else THYME)
        terms = settled.terms
        right = terms["signed_accuracy" if vector["norm"] else "accuracy"]
        ours = [right, 0.5 * terms["format"], 0.5 * terms["consistency"] * (right > 0), settled.reward]
        theirs = [vector["vqa"], vector["format"], vector["consistency"], vector["total"]]
        compared.append(Compared(number, "", ours, theirs))
    assert compared
    agree("thyme_rewards", compared)
