"""Argument types: what they return, and the texts they refuse."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import pytest

from o3gym.cli.values import (
    key_value_argument,
    positive_number_argument,
    range_argument,
    real_number_argument,
    seed_argument,
    shard_argument,
    sweep_argument,
    turn_budgets_argument,
    whole_number_argument,
)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (whole_number_argument, "0", 0),
        (whole_number_argument, "012", 12),
        (positive_number_argument, "1", 1),
        (real_number_argument, "0", 0.0),
        (real_number_argument, "0.7", 0.7),
        (turn_budgets_argument, "8,4", (4, 8)),
        (seed_argument, "9223372036854775807", 2**63 - 1),
        (range_argument, "2", (2, 2)),
        (range_argument, "0..3", (0, 3)),
        (shard_argument, "2/4", (2, 4)),
        (key_value_argument, "max_pixels=60000", ("max_pixels", 60000)),
        (key_value_argument, "focus = crop", ("focus", "crop")),
        (key_value_argument, "tools=crop+answer", ("tools", ["crop", "answer"])),
        (sweep_argument, "focus=crop,draw;max_pixels=1,2", {"focus": ["crop", "draw"], "max_pixels": [1, 2]}),
        (sweep_argument, "tools=crop+answer,answer;", {"tools": [["crop", "answer"], ["answer"]]}),
    ],
)
def test_values(parse: Callable[[str], Any], text: str, value: Any) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *((whole_number_argument, text) for text in ("", "-1", "1.5", "x", "²")),
        *((positive_number_argument, text) for text in ("", "0", "-1", "1.5", "x", "²")),
        *((real_number_argument, text) for text in ("", "-1", "-0.1", "x", "nan", "inf")),
        *((turn_budgets_argument, text) for text in ("1", "0,4", "4,", "²", "3,3", "8,4,8")),
        *((seed_argument, text) for text in ("-1", "x", "9223372036854775808", "1" * 5000)),
        *((range_argument, text) for text in ("", "..2", "1..", "a..b", "1..²")),
        *((shard_argument, text) for text in ("2", "/2", "1/", "a/b", "²/3")),
        *((key_value_argument, text) for text in ("key", "=value", "")),
        *((sweep_argument, text) for text in ("focus", "focus=", "focus=crop;draw")),
    ],
)
def test_other_texts_are_refused(parse: Callable[[str], Any], text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["tools=crop,answer", "tools=crop, answer", "tools=crop answer", 'tools=["crop", "answer"]']
)
def test_tools_are_joined_by_plus(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r'joined by "\+", like tools=crop\+answer, got'):
        key_value_argument(text)
