"""Which token is drawn from logits, and with what log-probability."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from o3gym.policies.local.drafts import CodeSpans, Draft, trie_of
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.sampling import _penalised, draw
from o3gym.sampling import Sampling

LOGITS = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4]))
NONE = torch.tensor([], dtype=torch.int64)


@pytest.fixture(scope="module")
def encoder(vlm: Callable[[str], str]) -> Encoder:
    return Encoder(load_processor(vlm("qwen3_vl")))


@pytest.fixture
def draft(encoder: Encoder) -> Callable[..., Draft]:
    def make(room: int = 100, context: Sequence[int] = (), **sampling: Any) -> Draft:
        settings = Sampling(**sampling)
        return Draft(settings, encoder, room, encoder.eos, trie_of(settings.choices, encoder), context)

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


CODE: dict[str, Any] = {"code_tags": ("<code>", "</code>"), "code_temperature": 0.0}


def code_flags(draft: Any, encoder: Encoder, ids: Sequence[int], **sampling: Any) -> tuple[list[bool], Any]:
    """Whether each token was sampled as code, and the spans that the reply reports."""
    made, flags = draft(temperature=1.0, **CODE, **sampling), []
    for token in ids:
        flags.append(made.temperature == 0.0)
        made.accept(token, -1.0)
    return flags, made.reply((), 0).code


def inside_by_definition(text: str) -> bool:
    """Whether a text ends inside of code, by another way than the draft's."""
    pieces, inside = text, False
    while (tag := ("<code>", "</code>")[inside]) in pieces:
        pieces, inside = pieces.partition(tag)[2], not inside
    return inside


TEXTS = [
    "a <code>b</code> c <code>dd</code>",
    "no code, only </code> and < code >",
    "<code></code><code>x",
    "<code>a<code>b</code>c</code>d",
    "é<code>é€</code>é" * 3,
    "<code>",
    "<co<code>de></code",
]


@pytest.mark.parametrize("text", TEXTS)
def test_code_is_what_lies_between_the_tags(draft: Any, encoder: Encoder, text: str) -> None:
    ids = encoder.tokens(text)
    flags, spans = code_flags(draft, encoder, ids)
    assert flags == [inside_by_definition(encoder.text(ids[:n])) for n in range(len(ids))]
    assert [n for start, end in spans for n in range(start, end)] == [n for n, flag in enumerate(flags) if flag]
    for start, end in spans:
        assert start < end
        assert not flags[start - 1]
        assert end == len(ids) or encoder.text(ids[:end]).count("</code>")


class Words:
    """Decodes ids as whole words, some of which hold a tag and more."""

    words = ("a", "<code>", "x<code>y", "</code>", "</code><", "code>", "<code>1</code>", "\n")

    def text(self, ids: Sequence[int]) -> str:
        return "".join(self.words[number] for number in ids)


@pytest.mark.parametrize(
    ("words", "spans"),
    [
        ((0, 2, 0, 3, 0), ((2, 4),)),  # what a token holds behind the tag that it completes is text, sampled as text
        ((1, 0, 4, 5, 0, 3, 0), ((1, 3), (4, 6))),  # a tag that a code token begins and a text token completes
        ((0, 6, 0), ()),  # both tags in one token
        ((1, 6, 0), ((1, 2),)),  # an opening tag inside of code is code
        ((1,), ()),
        ((1, 7), ((1, 2),)),
    ],
)
def test_a_token_with_a_tag_and_more(words: Sequence[int], spans: Any) -> None:
    code = CodeSpans(CODE["code_tags"], Words())  # type: ignore[arg-type]
    for count in range(1, len(words) + 1):
        code.accept(words[:count])
    assert code.spans(len(words)) == spans


def test_a_reply_without_a_temperature_for_code_has_no_spans(draft: Any, encoder: Encoder) -> None:
    for sampling in ({}, {"code_tags": CODE["code_tags"]}, {"code_temperature": 0.0}):
        made = draft(temperature=1.0, **sampling)
        for token in encoder.tokens("<code>x</code>"):
            made.accept(token, -1.0)
            assert made.temperature == 1.0
        assert made.reply((), 0).code == ()


def test_code_is_greedy_and_its_logprobs_are_those_of_the_text(draft: Any, encoder: Encoder) -> None:
    """A trainer divides all logits by one temperature, and finds these log-probabilities."""
    rows = [draft(temperature=2.0, seed=seed, **CODE) for seed in range(200)]
    for row in rows:
        for token in encoder.tokens("<code>"):
            row.accept(token, -1.0)
    tempered = torch.log_softmax(LOGITS / 2.0, dim=-1)
    assert set(drawn(rows)) == {(3, tempered[3].item())}
    for row in rows:
        for token in encoder.tokens("x</code>"):
            row.accept(token, -1.0)
    made = drawn(rows)
    assert {token for token, _ in made} == {0, 1, 2, 3}
    assert all(logprob == pytest.approx(tempered[token].item()) for token, logprob in made)


def test_code_may_be_sampled_at_any_temperature(draft: Any, encoder: Encoder) -> None:
    rows = [draft(seed=seed, code_tags=CODE["code_tags"], code_temperature=0.5) for seed in range(2000)]
    for row in rows:
        for token in encoder.tokens("<code>"):
            row.accept(token, -1.0)
    sharp, made = torch.softmax(LOGITS / 0.5, dim=-1), drawn(rows)
    for token, said in Counter(token for token, _ in made).items():
        assert said / len(rows) == pytest.approx(sharp[token].item(), abs=0.04)
    assert all(logprob == pytest.approx(LOGITS[token].item()) for token, logprob in made)


def test_text_after_code_does_not_depend_on_who_shares_the_batch(draft: Any, encoder: Encoder) -> None:
    logits = torch.zeros(len(encoder.tokenizer))

    def play(others: int) -> list[int]:
        rows = [draft(temperature=1.0, seed=seed, **CODE) for seed in range(1 + others)]
        for token in encoder.tokens("<code>"):
            rows[0].accept(token, -1.0)
        for _ in range(3):
            for row, (token, logprob) in zip(rows, drawn(rows, logits), strict=True):
                row.accept(token, logprob)
        for token in encoder.tokens("</code>"):
            rows[0].accept(token, -1.0)
        return [drawn(rows, logits)[0][0] for _ in range(5)]

    assert play(0) == play(3)


@pytest.mark.parametrize("penalty", [1.3, 0.7])
def test_the_penalty_is_that_of_transformers(draft: Any, penalty: float) -> None:
    torch.manual_seed(0)
    logits, forbidden = torch.randn(5, 40) * 4, torch.tensor([7, 9])
    contexts = torch.randint(0, 40, (5, 12))
    rows = [draft(context=c.tolist(), repetition_penalty=penalty) for c in contexts]
    for row in rows:
        for token in (1, 2, 2, 3):
            row.accept(token, -1.0)
    ids = torch.cat([contexts, torch.tensor([[1, 2, 2, 3]] * 5)], dim=1)
    plain = logits.clone()
    plain[:, forbidden] = -torch.inf
    expected = RepetitionPenaltyLogitsProcessor(penalty)(ids, plain)
    made = draw(logits.clone(), rows, forbidden)
    assert [token for token, _ in made] == expected.argmax(dim=-1).tolist()
    assert torch.equal(_penalised(plain, rows), expected)
    reported = torch.log_softmax(plain, dim=-1)
    assert [value for _, value in made] == pytest.approx([reported[n, t].item() for n, (t, _) in enumerate(made)])


def test_the_penalty_comes_before_temperature_and_top_p_as_in_transformers(draft: Any) -> None:
    count, ids = 4000, torch.tensor([[3, 0]])
    logits = LOGITS + 2.0
    scores = RepetitionPenaltyLogitsProcessor(1.6)(ids, logits[None])
    scores = TopPLogitsWarper(0.9)(ids, TemperatureLogitsWarper(0.8)(ids, scores))  # type: ignore[no-untyped-call]
    expected = torch.softmax(scores[0], dim=-1)
    settings = {"temperature": 0.8, "top_p": 0.9, "repetition_penalty": 1.6, "context": [3, 0, 3, 10**6]}
    made = drawn([draft(seed=seed, **settings) for seed in range(count)], logits)
    for token, share in enumerate(expected.tolist()):
        assert Counter(t for t, _ in made)[token] / count == pytest.approx(share, abs=0.03)
    reported = torch.log_softmax(logits / 0.8, dim=-1)
    assert all(value == pytest.approx(reported[token].item()) for token, value in made)


def test_only_rows_with_a_penalty_remember_what_occurs(draft: Any, encoder: Encoder) -> None:
    plain, penalised = draft(context=[1, 2]), draft(context=[5, 5, 2], repetition_penalty=1.1)
    for token in (2, 3, 3):
        plain.accept(token, -1.0)
        penalised.accept(token, -1.0)
    assert plain.seen.size == 0
    assert sorted(penalised.seen.tolist()) == [2, 3, 5]
