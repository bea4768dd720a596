"""Argument types and default values that several commands share.

The functions named `*_argument` are values of argparse's `type`. They raise `argparse.ArgumentTypeError`, which becomes
a usage error that names the option.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from pathlib import Path
from typing import Any, TypeAlias

from o3gym.arguments import LARGEST_SEED, check_seed
from o3gym.specs import parse_value

SEED_DIGITS = 40
"""Number of digits beyond which a seed is not even converted."""

Subcommands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What `ArgumentParser.add_subparsers` returns; argparse has no public name for it."""


def whole_number_argument(text: str) -> int:
    """Parses a whole number, 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, got {text!r}")
    return int(text)


def seed_argument(text: str) -> int:
    """Parses a seed, a whole number of at most 63 bits."""
    seed = whole_number_argument(text) if len(text) <= SEED_DIGITS else -1  # Python converts at most 4300 digits
    try:
        check_seed(seed)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a whole number from 0 to {LARGEST_SEED}, got {text!r:.60}"
        ) from None
    return seed


def positive_number_argument(text: str) -> int:
    """Parses a whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 up, got {text!r}")
    return int(text)


def real_number_argument(text: str) -> float:
    """Parses a finite number, 0 or more: a temperature, or a share of a device."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number from 0 up, got {text!r}")
    return value


def turn_budgets_argument(text: str) -> tuple[int, ...]:
    """Parses turn budgets such as "4,8" into increasing numbers."""
    budgets = tuple(sorted(whole_number_argument(part) for part in text.split(",")))
    if budgets[0] < 1 or budgets[-1] < 2:
        raise argparse.ArgumentTypeError(f"expected budgets from 1 up, the largest at least 2, got {text!r}")
    if len(set(budgets)) < len(budgets):
        raise argparse.ArgumentTypeError(f"expected different budgets, got {text!r}")
    return budgets


def range_argument(text: str) -> tuple[int, int]:
    """Parses "LOW..HIGH", or a single number that is both bounds, into (low, high)."""
    low, dots, high = text.partition("..")
    if not low.isdecimal() or (dots and not high.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected a number or LOW..HIGH, got {text!r}")
    return int(low), int(high or low)


def shard_argument(text: str) -> tuple[int, int]:
    """Parses "I/N" into (number of the shard, number of shards). The bounds are checked by the run itself."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal()):
        raise argparse.ArgumentTypeError(f"expected I/N, two whole numbers, got {text!r}")
    return int(number), int(count)


def key_value_argument(text: str) -> tuple[str, Any]:
    """Parses "KEY=VALUE" for an argument of the environment."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    if key.strip() == "tools" and "+" not in value and re.search(r"[,;\s]", value.strip()):
        names = "+".join(re.findall(r"\w+", value))
        raise argparse.ArgumentTypeError(f'expected tools joined by "+", like tools={names}, got {text!r}')
    return key.strip(), _environment_value(key.strip(), value)


def sweep_argument(text: str) -> dict[str, list[Any]]:
    """Parses "KEY=VALUE,VALUE;KEY=VALUE" into the values of each swept argument of the environment."""
    swept: dict[str, list[Any]] = {}
    for part in filter(None, text.split(";")):
        key, equals, values = part.partition("=")
        if not equals or not values:
            raise argparse.ArgumentTypeError(f"expected KEY=VALUE,VALUE;…, got {part!r}")
        swept[key.strip()] = [_environment_value(key.strip(), value) for value in values.split(",")]
    return swept


def _environment_value(key: str, text: str) -> Any:
    """Parses the value of an environment argument; tools are a list joined by "+"."""
    return text.strip().split("+") if key == "tools" else parse_value(text.strip())


def timestamped_folder(name: str) -> Path:
    """Returns the default run folder, `runs/NAME-TIME`, for commands without `--out`."""
    return Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
