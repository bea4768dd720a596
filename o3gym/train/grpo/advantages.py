"""From rewards to what each row pushes: advantages, over-turn masking and the weight of each row's tokens.

Pure functions over one batch of rollouts; arrays are aligned, one entry per rollout. Nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from o3gym.types import OVER_TURN

Norm: TypeAlias = Literal["group", "global", "leave_one_out"]
Stats: TypeAlias = Literal["include", "exclude"]
Denominator: TypeAlias = Literal["all", "kept"]
Void: TypeAlias = Literal["penalise", "mask"]
Mean: TypeAlias = Literal["token", "sequence"]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]


def kept(stops: Sequence[str], over_turn_masking: bool, void: Void = "penalise") -> Flags:
    """Which rollouts have a loss.

    Over-turn masking takes out those that still wanted to look when a budget ran out (`OVER_TURN`), and only those:
    text that nobody can read is punished however long it goes on. `void="mask"` also takes out those that ended with
    neither a call nor an answer.

    Source: M_i of Mini-o3 (arXiv 2509.07969, section 3.3); the stops are those of its code, which sets "exceed" only
    after a valid call, and has void episodes trained unless `ignore_void` (github.com/Mini-o3/Mini-o3,
    vllm_async_engine.py, ray_trainer.py).
    """
    masked = set(OVER_TURN if over_turn_masking else ()) | ({"void"} if void == "mask" else set())
    return np.array([stop not in masked for stop in stops], bool)


def advantages(
    rewards: Sequence[float] | Floats,
    groups: Sequence[str],
    *,
    norm: Norm = "group",
    std: bool = True,
    epsilon: float = 1e-6,
    counted: Flags | None = None,
) -> Floats:
    """How much better than its like each rollout was.

    Args:
        rewards: of shape (rollouts,).
        groups: which rollouts are siblings.
        norm: "group": r − mean over its group (GRPO, arXiv 2402.03300, section 4.1.2). "global": over all rollouts, for
            groups of varying size (InSight-o3, `global_norm`). "leave_one_out": r − mean of the other siblings (RLOO,
            arXiv 2402.14740).
        std: divide by the unbiased standard deviation of the same rollouts plus `epsilon`. Mini-o3, DeepEyes and
            InSight-o3 (1e-6) and Thyme (1e-4) do; Pixel Reasoner and Dr. GRPO (arXiv 2503.20783) do not.
        epsilon: see `std`.
        counted: rollouts that mean and deviation are taken over; others have an advantage of 0. None: all.

    Returns:
        Shape (rollouts,). A group with fewer than two counted rollouts tells nothing: 0. Verl, and Mini-o3 with it,
        gives a lone rollout its reward as its advantage instead.
    """
    values = np.asarray(rewards, np.float64)
    counts = np.ones(len(values), bool) if counted is None else counted
    if not len(values) == len(groups) == len(counts):
        raise ValueError(f"{len(values)} rewards, {len(groups)} groups, {len(counts)} flags: expected as many of each")
    if not np.isfinite(values[counts]).all():
        raise ValueError("a reward is not a number: rollouts whose judge failed are to be dropped before")
    result = np.zeros(len(values))
    for rows in [np.flatnonzero(counts)] if norm == "global" else _rows(groups, counts):
        if len(rows) > 1:
            result[rows] = _centred(values[rows], norm == "leave_one_out")
            result[rows] /= values[rows].std(ddof=1) + epsilon if std else 1.0
    return result


def _rows(groups: Sequence[str], counts: Flags) -> list[NDArray[np.int64]]:
    names = np.asarray(groups, dtype=object)
    return [np.flatnonzero((names == name) & counts) for name in dict.fromkeys(groups)]


def _centred(values: Floats, leave_one_out: bool) -> Floats:
    centred: Floats = values - values.mean()
    return centred * len(values) / (len(values) - 1) if leave_one_out else centred


def uniform(rewards: Sequence[float] | Floats, groups: Sequence[str], least: float = 1e-4) -> Flags:
    """Rollouts of groups whose rewards are all alike, with a standard deviation under `least`: nothing to learn there.

    Masked rollouts count: the filters of the released code do not know which are masked. Source: Mini-o3's
    `rejection_sample`, 1e-4; DAPO (arXiv 2503.14476, section 3.2) calls it dynamic sampling. Pixel Reasoner drops a
    mean absolute deviation under 0.01, which for rewards of 0 and 1 is the same groups.
    """
    values = np.asarray(rewards, np.float64)
    result = np.zeros(len(values), bool)
    for rows in _rows(groups, np.ones(len(values), bool)):
        result[rows] = len(rows) < 2 or values[rows].std(ddof=1) < least
    return result


def divisor(
    tokens: Sequence[int] | NDArray[np.int64],
    counted: Flags,
    *,
    mean: Mean = "token",
    denominator: Denominator = "kept",
) -> float:
    """What the loss of the batch is divided by: tokens, or rollouts where `mean` is "sequence"; see `weights`."""
    lengths = np.asarray(tokens, np.float64)
    lengths = lengths[counted] if denominator == "kept" else lengths
    return float(lengths.sum() if mean == "token" else (lengths > 0).sum())


def weights(
    tokens: Sequence[int] | NDArray[np.int64],
    counted: Flags,
    *,
    mean: Mean = "token",
    denominator: Denominator = "kept",
) -> Floats:
    """The weight of each token of each rollout in the loss of the batch: the loss is Σ weight · token loss.

    Args:
        tokens: tokens that the policy wrote, per rollout.
        counted: rollouts with a loss (`kept`); the others weigh 0.
        mean: "token": every token weighs the same, 1 / all tokens (DAPO, arXiv 2503.14476, section 3.3). "sequence":
            every rollout weighs the same, and its tokens share it (GRPO; Mini-o3's micro-batches of one).
        denominator: what "all" is: "all" rollouts of the batch (Mini-o3's code, which masks and does not
            re-normalise), or those "kept" (the paper's 1 / Σ M_i, and our default: how strong a step is does not
            depend on how many rollouts ran out of turns).

    Returns:
        Shape (rollouts,). All 0 if nothing is kept.
    """
    lengths = np.asarray(tokens, np.float64)
    total = divisor(tokens, counted, mean=mean, denominator=denominator)
    share = np.ones(len(lengths)) if mean == "token" else 1.0 / np.maximum(lengths, 1.0)
    return np.where(counted & (lengths > 0), share / max(total, 1.0), 0.0)
