"""Which token is drawn from logits, and with what log-probability."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.sampling import Draft, draw, trie_of
from o3gym.types import Sampling

LOGITS = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
NONE = torch.tensor([], dtype=torch.int64)


@pytest.fixture(scope="module")
def encoder(vlm: Callable[[str], str]) -> Encoder:
    return Encoder(load_processor(vlm("qwen3_vl")))


@pytest.fixture
def draft(encoder: Encoder) -> Callable[..., Draft]:
    def make(room: int = 100, **sampling: Any) -> Draft:
        settings = Sampling(**sampling)
        return Draft(settings, encoder, room, encoder.eos, trie_of(settings.choices, encoder))

    return make


def drawn(drafts: list[Draft], logits: torch.Tensor = LOGITS, forbidden: torch.Tensor = NONE) -> list[Any]:
    return draw(logits.repeat(len(drafts), 1), drafts, forbidden)


def test_each_row_is_drawn_by_its_own_temperature(draft: Any) -> None:
    sharp = LOGITS.double() / 0.5
    sharp = (sharp - sharp.logsumexp(0)).tolist()
    rows = [draft(), draft(temperature=0.5, seed=3), draft(temperature=1.0, seed=4)]
    first, second, third = drawn(rows)
    assert first == (3, pytest.approx(math.log(0.4)))
    assert second[1] == pytest.approx(sharp[second[0]])
    assert third[1] == pytest.approx(LOGITS[third[0]].item())
    assert drawn([draft(temperature=1.0, seed=4)])[0] == third


def test_draws_follow_the_distribution(draft: Any) -> None:
    count = 4000
    tokens = [token for token, _ in drawn([draft(temperature=1.0, seed=seed) for seed in range(count)])]
    for token, said in Counter(tokens).items():
        assert said / count == pytest.approx(0.1 * (token + 1), abs=0.03)


def test_top_p_cuts_what_is_drawn_but_not_the_logprob(draft: Any) -> None:
    rows = [draft(temperature=1.0, top_p=p, seed=seed) for seed in range(300) for p in (0.5, 0.85, 1e-9)]
    made = drawn(rows)
    assert {token for token, _ in made[::3]} == {2, 3}
    assert {token for token, _ in made[1::3]} == {1, 2, 3}
    assert {token for token, _ in made[2::3]} == {3}
    assert all(logprob == pytest.approx(LOGITS[token].item()) for token, logprob in made)


def test_forbidden_tokens_have_no_share(draft: Any) -> None:
    rows = [draft(temperature=t, seed=seed) for seed in range(100) for t in (0.0, 1.0)]
    made = drawn(rows, forbidden=torch.tensor([3, 1]))
    assert {token for token, _ in made} == {0, 2}
    assert all(logprob == pytest.approx(math.log((0.25, 0, 0.75)[token])) for token, logprob in made)


def test_half_precision_logits_are_drawn_in_full(draft: Any) -> None:
    (made,) = drawn([draft()], LOGITS.bfloat16())
    assert made[1] == pytest.approx(math.log(0.4), abs=1e-2)


def test_choices_are_walked_token_by_token(draft: Any, encoder: Encoder) -> None:
    walker = draft(choices=("A", "AB"))
    a, b, end = (encoder.tokens("A")[0], encoder.tokens("B")[0], encoder.end)
    joined = encoder.tokens("AB")
    assert walker.allowed == sorted({a, joined[0]}, key=walker.allowed.index)
    assert not walker.accept(a, -1.0)
    if joined == (a, b):
        assert walker.allowed == [end, b]
    assert walker.accept(end, -0.5)
    reply = walker.reply((1, 2), 7)
    assert (reply.text, reply.token_ids, reply.logprobs, reply.finish) == ("A", (a, end), (-1.0, -0.5), "stop")
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 2)


@pytest.mark.parametrize(("room", "most"), [(3, 10), (10, 3)])
def test_a_reply_is_cut_at_the_nearer_limit(draft: Any, encoder: Encoder, room: int, most: int) -> None:
    cut = draft(room, max_tokens=most)
    assert [cut.accept(token, -1.0) for token in encoder.tokens("xyzxyz")[:3]] == [False, False, True]
    assert cut.reply((), 0).finish == "length"


def test_the_first_stop_string_ends_the_text_and_its_token_the_ids(draft: Any, encoder: Encoder) -> None:
    stopped = draft(stop=("</x>", "é!"))
    ids = encoder.tokens("<x>1é!?")
    over = [stopped.accept(token, -1.0) for token in ids]
    at = over.index(True)
    assert not any(over[:at])
    reply = stopped.reply((), 0)
    assert reply.text == "<x>1é!"
    assert reply.finish == "stop"
