"""Numbers that are refused before anything starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from o3gym.arguments import check_real, check_whole
from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.registry import REWARDS, UnknownName
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm
from o3gym.sampling import Sampling


def test_whole_numbers() -> None:
    check_whole("k", 1, 1)
    for value in (0, -1, 1.0, "1", None, True):
        with pytest.raises(ValueError, match=r"^k: expected a whole number from 1 up, got "):
            check_whole("k", value, 1)


def test_real_numbers() -> None:
    for number in (0, 0.5, 1):
        check_real("share", number, 0.0, 1.0)
    for value in (-0.1, 1.1, float("nan"), "1", None, True):
        with pytest.raises(ValueError, match=r"^share: expected a number from 0 to 1, got "):
            check_real("share", value, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"^share: expected a number above 0 and at most 1, got 0"):
        check_real("share", 0, 0.0, 1.0, above=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"temperature": -1}, "temperature: expected a number from 0 up, got -1"),
        ({"temperature": float("inf")}, "temperature: .* got inf"),
        ({"top_p": 0.0}, "top_p: expected a number above 0 and at most 1, got 0.0"),
        ({"top_p": 1.5}, "top_p: .* got 1.5"),
        ({"max_tokens": 0}, "max_tokens: expected a whole number from 1 up, got 0"),
        (
            {"seed": 2**63},
            r"seed: expected a whole number up to 9223372036854775807 \(63 bits\), got 9223372036854775808",
        ),
        ({"seed": -1}, "seed: expected a whole number from 0 up, got -1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty: expected a number above 0, got 0.0"),
        ({"code_temperature": -0.5}, "code_temperature: expected a number from 0 up, got -0.5"),
        ({"code_tags": ("<code>",)}, r"code_tags: expected an opening and a closing tag, or none, got \('<code>',\)"),
        ({"code_tags": ("<code>", "")}, "code_tags: expected an opening and a closing tag"),
    ],
)
def test_sampling(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**fields)
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(Sampling(), **fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"k": 0}, "k: expected a whole number from 1 up, got 0"),
        ({"episodes": -1}, "episodes: expected a whole number from 0 up, got -1"),
        ({"seed": -1}, "seed: expected a whole number from 0 up, got -1"),
        (
            {"seed": 2**70},
            r"seed: expected a whole number up to 9223372036854775807 \(63 bits\), got 118",
        ),
        ({"turns": (3, 3)}, "turns: expected different budgets, got 3, 3"),
        ({"turns": (0, 4)}, "turns: expected a whole number from 1 up, got 0"),
        ({"turns": (1,)}, "the largest of turns: expected a whole number from 2 up, got 1"),
        ({"turns": 6}, "turns: expected a sequence with at least one entry, got 6"),
        ({"policies": "oracle"}, "policies: expected a sequence with at least one entry, got 'oracle'"),
        ({"policies": ()}, r"policies: expected a sequence with at least one entry, got \(\)"),
        ({"turns": []}, r"turns: expected a sequence with at least one entry, got \[\]"),
    ],
)
def test_a_benchmark(fields: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        Bench(**fields)


def test_no_episode_in_flight(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="in_flight: expected a whole number from 1 up, got 0"):
        run(Bench(episodes=1), tmp_path / "run", in_flight=0)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=r"in_flight: .* got -1"):
        next(rollout([], make_policy("oracle"), make_dialect("qwen3_vl"), Arm("arm"), in_flight=-1))


def test_specs_and_names_are_texts() -> None:
    for make in (make_policy, make_dialect):
        with pytest.raises(TypeError, match=r"expected a spec as text, like .*, got 3"):
            make(3)  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match='unknown reward "3"'):
        REWARDS[3]  # type: ignore[index]
