"""Checks of numeric arguments: a wrong one is refused before anything starts, and in the same words everywhere."""

from __future__ import annotations

import math
from numbers import Integral, Real

LARGEST_SEED = 2**63 - 1
"""The largest seed. Servers take signed integers of 64 bits."""


def check_whole(name: str, value: object, least: int) -> None:
    """Checks that an argument is a whole number of at least `least`.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name}: expected a whole number from {least} up, got {value!r:.60}")


def check_seed(value: object) -> None:
    """Checks that a seed is a whole number of at most 63 bits, which every generator and every server takes.

    Raises:
        ValueError: it is something else.
    """
    check_whole("seed", value, 0)
    if value > LARGEST_SEED:  # type: ignore[operator]
        raise ValueError(f"seed: expected a whole number up to {LARGEST_SEED} (63 bits), got {value!r:.60}")


def check_real(name: str, value: object, low: float, high: float = math.inf, *, above: bool = False) -> None:
    """Checks that an argument is a finite number from `low` (with `above`: greater than `low`) to `high`.

    Raises:
        ValueError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not _lies(float(value), low, high, above):
        least = f"above {low:g}" if above else f"from {low:g} up" if high == math.inf else f"from {low:g}"
        most = "" if high == math.inf else f" and at most {high:g}" if above else f" to {high:g}"
        raise ValueError(f"{name}: expected a number {least}{most}, got {value!r:.60}")


def _lies(value: float, low: float, high: float, above: bool) -> bool:
    return math.isfinite(value) and low <= value <= high and not (above and value == low)
