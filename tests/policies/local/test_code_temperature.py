"""Another temperature inside of code, and repetition penalties, in the loops that sample in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from o3gym.policies.code_tags import ends_inside
from o3gym.policies.dialogue import Request
from o3gym.policies.local.transformers import engine
from o3gym.sampling import Sampling
from tests.policies.local.talk import distributions, flat, key, opened, play, reference, sequence

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "qwen3_5", "idefics3")
Vlm = Callable[[str], str]
TAGS = ("e", "a")
"""Letters that a random model writes often enough to begin and end code."""
CODE: dict[str, Any] = {"code_tags": TAGS, "code_temperature": 0.0}


@pytest.mark.parametrize("family", FAMILIES)
def test_code_is_greedy_and_all_logprobs_are_those_of_the_text(parts: Any, family: str) -> None:
    model, encoder = parts(family)
    temperature = 1.6
    settings = {**CODE, "temperature": temperature, "max_tokens": 24}
    dialogues, replies = play(engine(model, encoder), count=2, turns=2, role="inline", **settings)
    code, text, surprises = 0, 0, 0
    for dialogue, said in zip(dialogues, replies, strict=True):
        likeliest = distributions(model, encoder, dialogue, said, temperature).argmax(dim=-1).tolist()
        ids, places = sequence(said)
        for reply, expected in zip(said, reference(model, encoder, dialogue, said, temperature), strict=True):
            assert reply.logprobs == pytest.approx(expected, abs=1e-4)
        for reply, place in zip(said, places, strict=True):
            own, inside = reply.token_ids or (), {n for start, end in reply.code for n in range(start, end)}
            assert inside == {n for n in range(len(own)) if ends_inside(encoder.text(own[:n]), TAGS)}
            assert all(ids[place.start + n] == likeliest[place.start + n - 1] for n in inside)
            surprises += sum(
                ids[place.start + n] != likeliest[place.start + n - 1] for n in range(len(own)) if n not in inside
            )
            code, text = code + len(inside), text + len(own) - len(inside)
    assert min(code, text, surprises) > 3


def test_replies_do_not_depend_on_who_shares_the_batch(parts: Any) -> None:
    settings = {**CODE, "repetition_penalty": 1.2, "temperature": 1.0, "max_tokens": 20}
    together = flat(play(engine(*parts("qwen3_vl")), count=3, turns=1, **settings)[1])
    apart = flat(play(engine(*parts("qwen3_vl"), 1), count=3, turns=1, **settings)[1])
    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in apart]
    assert [reply.code for reply in together] == [reply.code for reply in apart]
    assert any(reply.code for reply in together)


@pytest.mark.parametrize("penalty", [1.3, 0.8])
@pytest.mark.parametrize("family", FAMILIES)
def test_penalised_greedy_replies_are_those_of_generate(parts: Any, family: str, penalty: float) -> None:
    model, encoder = parts(family)
    dialogue, policy = opened(encoder, 2), engine(model, encoder)
    policy.submit(Request(key(0), dialogue, Sampling(max_tokens=16, repetition_penalty=penalty)))
    ((_, reply),) = policy.poll()
    row = torch.tensor([reply.new_prompt_ids])
    given = encoder.inputs([encoder.images(dialogue.messages)])
    if encoder.factor:
        given["mm_token_type_ids"] = (row == encoder.image_id).int()
    made = model.generate(
        input_ids=row, attention_mask=torch.ones_like(row), do_sample=False, max_new_tokens=16,
        suppress_tokens=list(encoder.forbidden), repetition_penalty=penalty, **given,
    )  # fmt: skip
    assert made[0, row.shape[1] :].tolist() == list(reply.token_ids or ())
    expected = reference(model, encoder, dialogue, [reply])[0]  # without the penalty
    assert reply.logprobs == pytest.approx(expected, abs=1e-4)
