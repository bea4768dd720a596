"""What runs are estimated to cost, beside what they cost."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.policies.detour import Detour
from o3gym.policies.dialogue import Message, Picture, Request
from o3gym.registry import POLICIES, Registry
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.synthesis.traces.pricing import Price, price, prompt_tokens, text_tokens
from o3gym.types import Reply, Usage
from tests.bench.exemplar_rows import PHOTO, bench, written

ROOT = "tests.synthesis.traces.test_pricing"
PIECE = re.compile(r"[^\W\d_]+|\d|[^\w\s]+|_")
"""Words, digits and runs of other signs: as Qwen's tokenizer cuts a text before it looks for longer tokens. Common
English words are single tokens, so the number of pieces is about that of tokens."""


def counted(messages: Sequence[Message]) -> int:
    """Tokens of a dialogue as a server would count them: pieces, pictures in whole patches, a frame per message."""
    tokens = 0
    for message in messages:
        for part in message.parts:
            if isinstance(part, Picture):
                tokens += math.prod(max(1, round(side / 28)) for side in part.view.shown) + 2
            else:
                tokens += len(PIECE.findall(part))
        tokens += 5
    return tokens


class Metered(Detour):
    """`detour` behind a server that states its usage."""

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._stated(request) for request in requests]

    def _stated(self, request: Request) -> Reply:
        reply = Detour._reply(self, request)
        return replace(reply, usage=Usage(counted(request.dialogue.messages), len(PIECE.findall(reply.text))))


def usage(folder: Path, bench: Bench) -> Price:
    """What a run really cost."""
    run(bench, folder, thumbnails=False)
    before = [part for m in bench.open_exemplars(bench.arms()[0]) for part in m.parts if isinstance(part, Picture)]
    total = Price()
    for trajectory in open_run(folder).records():
        shown = len([view for view in trajectory.views if view.parent < 0]) + len(before)
        for turn in trajectory.turns:
            assert turn.reply.usage is not None
            total += Price(1, shown, turn.reply.usage.prompt_tokens, turn.reply.usage.completion_tokens)
            shown += len(turn.views)
    return total


def factors(expected: Price, real: Price) -> dict[str, float]:
    return {name: getattr(expected, name) / getattr(real, name) for name in vars(real)}


@pytest.mark.parametrize("dialect", ["mini_o3", "qwen3_vl"])
def test_the_expected_price_is_within_a_fifth_of_what_a_scripted_teacher_uses(
    dialect: str, tmp_path: Path, photos: Path, register: Callable[[Registry, str, Any], str]
) -> None:
    policy = register(POLICIES, "metered", f"{ROOT}:Metered")
    exemplars = written(tmp_path, PHOTO, photos=photos)
    teacher = bench(exemplars, policy, dialect, episodes=12)
    expected, most = price(teacher, sample=6)
    found = factors(expected, usage(tmp_path / "run", teacher))
    assert all(0.8 <= factor <= 1.2 for factor in found.values()), found
    assert all(value < getattr(most, name) for name, value in vars(expected).items())


def test_for_a_model_a_detour_stands_in_and_replies_are_as_long_as_those_of_the_exemplars(
    tmp_path: Path, photos: Path, register: Callable[[Registry, str, Any], str]
) -> None:
    policy = register(POLICIES, "metered", f"{ROOT}:Metered")
    exemplars = written(tmp_path, PHOTO, photos=photos)
    model, scripted = bench(exemplars, "openai:m", episodes=12), bench(exemplars, policy, episodes=12)
    expected, _ = price(model)
    real = usage(tmp_path / "run", scripted)
    assert (expected.requests, expected.pictures) == (real.requests, real.pictures)
    replies = [m for m in model.open_exemplars(model.arms()[0]) if m.role == "assistant"]
    mean = round(sum(text_tokens(reply.text) for reply in replies) / len(replies))
    assert expected.completion_tokens == mean * expected.requests


def test_samples_and_arms_are_multiplied_and_nothing_is_asked(tmp_path: Path) -> None:
    one = price(bench("", "openai:m?base_url=http://127.0.0.1:9/v1", episodes=4))
    more = price(Bench(**{**vars(bench("", "openai:m", episodes=4)), "policies": ("openai:m", "openai:n"), "k": 3}))
    assert [each.requests for each in more] == [6 * each.requests for each in one]
    assert not list(tmp_path.iterdir())


def test_at_most_is_every_turn_at_the_longest() -> None:
    teacher = bench("", "openai:m", episodes=2, turns=(3,), sampling=Sampling(max_tokens=100))
    _, most = price(teacher)
    view = math.ceil(128 * 128 / 784) + 8
    assert (most.requests, most.pictures, most.completion_tokens) == (6, 2 * (1 + 2 + 3), 600)
    longest = 2 * (3 * (100 + view + 100))
    assert longest < most.prompt_tokens < longest + 6 * 2000


def test_a_pair_is_priced_with_its_searches() -> None:
    pair = bench("", "two_agent(reasoner=openai:a, searcher=openai:b)", dialect="", episodes=2)
    expected, most = price(pair)
    assert expected.requests > 2 * 2
    assert most.requests > expected.requests


def test_a_task_that_cannot_be_opened_is_an_error_and_not_a_price_of_nothing(tmp_path: Path, photos: Path) -> None:
    row = '{"image": "x.png", "question": "?", "answer": "a"}\n'
    (tmp_path / "i.jsonl").write_text(row)
    (tmp_path / "x.png").write_bytes((photos / "street.png").read_bytes())
    teacher = Bench(suite=f"local:{tmp_path / 'i.jsonl'}", policies=("openai:m",), dialect="mini_o3")
    teacher.jobs()
    (tmp_path / "x.png").write_bytes(b"none")
    with pytest.raises(ValueError, match="none of 1 tasks can be opened"):
        price(teacher)


def test_prices_add_up_and_are_printed() -> None:
    total = Price(1, 2, 3_000, 4) + Price(1, 0, 0, 1).scaled(2.5)
    assert total == Price(4, 2, 3_000, 7)
    assert [line.split() for line in total.lines()] == [
        ["requests", "4"],
        ["pictures", "2"],
        ["prompt", "tokens", "3,000"],
        ["completion", "tokens", "7"],
    ]
    assert prompt_tokens([Message("user", ("word " * 8,)), Message("assistant", ("x" * 999,))], 20) == 8 + 10 + 8 + 20
