"""Normalises rewards into advantages, masks over-turn rollouts, and weighs each rollout's tokens in the loss.

Pure functions over one batch of rollouts; arrays are aligned, one entry per rollout. Nothing here knows a model.

Over-turn masking has three meanings that papers and code mix up, so each is an argument of its own. `kept` decides
which rollouts have a loss. `advantages(counted=…)` decides whether the masked ones still count in the mean and
deviation that their siblings are compared with. `divisor(denominator=…)` decides whether they still count in what the
loss is divided by.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from o3gym.registry import DIALECTS
from o3gym.rewards.terms import tried
from o3gym.specs import parse_spec
from o3gym.types import OVER_TURN, Trajectory

Norm: TypeAlias = Literal["group", "global", "leave_one_out"]
Stats: TypeAlias = Literal["include", "exclude"]
Denominator: TypeAlias = Literal["all", "kept"]
Void: TypeAlias = Literal["penalise", "mask"]
OverTurn: TypeAlias = Literal["valid", "attempted"]
Mean: TypeAlias = Literal["token", "sequence"]
Floats: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]


def kept(stops: Sequence[str], over_turn_masking: bool, void: Void = "penalise") -> Flags:
    """Returns which rollouts have a loss; bool of shape (rollouts,).

    Over-turn masking removes the rollouts that still wanted to look when a budget ran out (`OVER_TURN`): they are
    neither right nor wrong, and punishing them would teach the policy to guess early. It removes no others: unreadable
    text is punished however long it runs. `void="mask"` also removes rollouts that ended with neither a call nor an
    answer.

    Source: M_i of Mini-o3 (arXiv 2509.07969, section 3.3). That the last call must be valid is ours; `masking_stop`
    offers the rule of Mini-o3's code. That code trains on void episodes unless `ignore_void` is set
    (github.com/Mini-o3/Mini-o3, vllm_async_engine.py, ray_trainer.py).
    """
    masked = set(OVER_TURN if over_turn_masking else ()) | ({"void"} if void == "mask" else set())
    return np.array([stop not in masked for stop in stops], bool)


def masking_stop(trajectory: Trajectory, over_turn: OverTurn = "valid") -> str:
    """Returns the stop by which `kept` decides about a rollout.

    With "valid", that is its own stop: a rollout whose last call was unreadable or refused is punished, because masking
    it would let a policy escape punishment by calls that cannot be carried out. "attempted" is the rule of Mini-o3's
    code: it sets "exceed" as soon as a closed grounding block occurs in the last round, before it parses the block
    (vllm_async_engine.py). A rollout that ended in its last round is therefore over-turn if its last reply has a closed
    call, readable or not, and "malformed" if it has none, although our parser may have completed an unclosed one.
    """
    if over_turn == "valid" or not trajectory.turns or trajectory.stop not in (*OVER_TURN, "malformed"):
        return trajectory.stop
    if not _closes_call(trajectory):
        return "malformed"
    return "over_turn" if trajectory.stop == "malformed" else trajectory.stop


def _closes_call(trajectory: Trajectory) -> bool:
    """Returns whether the last reply has a closed call; where calls have no tags, whether it has a call at all."""
    last = trajectory.turns[-1]
    tag = getattr(DIALECTS[parse_spec(trajectory.dialect)[0]], "call_tag", "") if trajectory.dialect else ""
    if not tag:
        return tried(trajectory)[-1:] == [last]
    return re.search(rf"<{re.escape(tag)}>.*?</{re.escape(tag)}>", last.reply.text, re.DOTALL) is not None


def advantages(
    rewards: Sequence[float] | Floats,
    groups: Sequence[str],
    *,
    norm: Norm = "group",
    std: bool = True,
    epsilon: float = 1e-6,
    counted: Flags | None = None,
    full_reward: float = 0.0,
) -> Floats:
    """Returns how much better each rollout was than those it is compared with: its normalised reward.

    Args:
        rewards: rewards, of shape (rollouts,).
        groups: group name of each rollout; rollouts of the same name are siblings.
        norm: "group": r − mean of its group (GRPO, arXiv 2402.03300, section 4.1.2). "global": r − mean of all
            rollouts, for groups of varying size (InSight-o3, `global_norm`). "leave_one_out": r − mean of the other
            siblings (RLOO, arXiv 2402.14740).
        std: whether to divide by the standard deviation of the same rollouts plus `epsilon`. The deviation is unbiased
            (n − 1), except with norm "global" (n), as in the released code. Mini-o3, DeepEyes and InSight-o3 (1e-6) and
            Thyme (1e-4) do; Pixel Reasoner and Dr. GRPO (arXiv 2503.20783) do not.
        epsilon: added to the standard deviation.
        counted: rollouts over which mean and deviation are taken; all others get an advantage of 0. None counts all.
        full_reward: if above 0, each advantage is multiplied by the weight of its group, see `difficulty_weights`.

    Returns:
        float64 of shape (rollouts,). A group with fewer than two counted rollouts allows no comparison and gets 0.
        verl, and with it Mini-o3, instead gives a lone rollout its reward as its advantage.

    Raises:
        ValueError: the arguments differ in length, or a counted reward is not finite.
    """
    values = np.asarray(rewards, np.float64)
    counts = np.ones(len(values), bool) if counted is None else counted
    if not len(values) == len(groups) == len(counts):
        raise ValueError(f"{len(values)} rewards, {len(groups)} groups, {len(counts)} flags: expected as many of each")
    if not np.isfinite(values[counts]).all():
        raise ValueError("a reward is not a number: drop rollouts whose judge failed before computing advantages")
    result = np.zeros(len(values))
    for rows in [np.flatnonzero(counts)] if norm == "global" else _rows(groups, counts):
        if len(rows) > 1:
            result[rows] = _centred(values[rows], norm == "leave_one_out")
            # InSight-o3's global norm takes the deviation of the population, all group norms that of a sample.
            result[rows] /= values[rows].std(ddof=0 if norm == "global" else 1) + epsilon if std else 1.0
    return result * difficulty_weights(values, groups, full_reward, counts) if full_reward > 0 else result


def difficulty_weights(
    rewards: Sequence[float] | Floats, groups: Sequence[str], full_reward: float, counted: Flags | None = None
) -> Floats:
    """Returns the weight of each rollout's advantage by the difficulty of its task: (1 + difficulty) / 2, in 1/2..1.

    The difficulty of a task is the distance of its group's mean reward from `full_reward`, the reward of a rollout that
    does everything right, clipped to 0..1. Dividing by the deviation gives easy and hard tasks the same pull; these
    weights give the hard ones, on which the policy has most to learn, up to twice the pull of the easy ones.

    Source: `dgrpo` in verl/verl/trainer/ppo/core_algos.py of Jamesding000/ThinkingWithVideos at 7e48586, where
    `full_reward` is fixed to 2 (format and answer); that it can be set is ours. VITAL (arXiv 2508.04416) also scales by
    the difficulty of the kind of task; the same code does so in the reward, which stretches the IoU by other bounds for
    long videos (`vital_code_long`).

    Args:
        rewards: rewards, of shape (rollouts,).
        groups: group name of each rollout.
        full_reward: the reward from which difficulty is measured.
        counted: rollouts over which the mean is taken, as in `advantages`; None counts all.

    Returns:
        float64 of shape (rollouts,); 1 for groups without a counted rollout.
    """
    values = np.asarray(rewards, np.float64)
    counts = np.ones(len(values), bool) if counted is None else counted
    result = np.ones(len(values))
    for rows in _rows(groups, np.ones(len(values), bool)):
        if counts[rows].any():
            difficulty = np.clip(full_reward - values[rows][counts[rows]].mean(), 0.0, 1.0)
            result[rows] = (1.0 + difficulty) / 2.0
    return result


def _rows(groups: Sequence[str], counts: Flags) -> list[NDArray[np.int64]]:
    names = np.asarray(groups, dtype=object)
    return [np.flatnonzero((names == name) & counts) for name in dict.fromkeys(groups)]


def _centred(values: Floats, leave_one_out: bool) -> Floats:
    centred: Floats = values - values.mean()
    # r − mean of the n − 1 others = (r − mean of all n) · n / (n − 1)
    return centred * len(values) / (len(values) - 1) if leave_one_out else centred


def uniform(rewards: Sequence[float] | Floats, groups: Sequence[str], least: float = 1e-4) -> Flags:
    """Returns which rollouts belong to a group of equal rewards (standard deviation below `least`); bool (rollouts,).

    Such a group gives nothing to learn: every reward equals the mean, so all advantages are 0, and so is the gradient
    of its policy loss. With `std` the check also matters numerically, because rounding errors in the rewards would be
    divided by a deviation near 0.

    Masked rollouts count here, because the filters of the released code do not know which rollouts are masked. Source:
    Mini-o3's `rejection_sample`, 1e-4; DAPO (arXiv 2503.14476, section 3.2) calls it dynamic sampling. Pixel Reasoner
    drops groups with a mean absolute deviation below 0.01, which for rewards of 0 and 1 are the same groups.
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
    """Returns what the loss of the batch is divided by: a number of tokens, or of rollouts if `mean` is "sequence".

    The arguments are those of `weights`. The divisor is counted over the whole optimiser step (all passes and
    processes) before any row is left out, so that the split into forward passes does not change the gradient.
    """
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
    """Returns the weight of one token of each rollout: the loss of the batch is Σ weight · token loss.

    This spells out what the loss amounts to. The trainer reaches the same weights through `divisor` and TRL's loss
    types.

    Args:
        tokens: number of tokens that the policy wrote, per rollout.
        counted: which rollouts have a loss (`kept`); the others weigh 0.
        mean: "token": every token weighs the same, 1 / number of tokens (DAPO, arXiv 2503.14476, section 3.3).
            "sequence": every rollout weighs the same, and its tokens share that weight (GRPO; Mini-o3's micro-batches
            of one row).
        denominator: which rollouts that number is counted over. "all": all of the batch (Mini-o3's code, which masks
            without re-normalising). "kept": those with a loss (the paper's 1 / Σ M_i, and our default, because then the
            size of a step does not depend on how many rollouts ran out of turns).

    Returns:
        float64 of shape (rollouts,); all 0 if no rollout is kept.
    """
    lengths = np.asarray(tokens, np.float64)
    total = divisor(tokens, counted, mean=mean, denominator=denominator)
    share = np.ones(len(lengths)) if mean == "token" else 1.0 / np.maximum(lengths, 1.0)
    return np.where(counted & (lengths > 0), share / max(total, 1.0), 0.0)
