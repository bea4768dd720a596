"""Reward terms for exploration: Pixel Reasoner's curiosity (group) and VPRL's progress reward in search (step)."""

from __future__ import annotations

from collections.abc import Sequence

from o3gym.geometry import iou, to_root
from o3gym.rewards.base import Term
from o3gym.rewards.terms import accuracy_term, tried
from o3gym.types import Target, Trajectory

PIXEL_CODE = "TIGER-AI-Lab/Pixel-Reasoner curiosity_driven_rl/openrlhf/trainer/ppo_utils/experience_maker.py"
PIXEL_PAPER = "Pixel Reasoner, arXiv 2505.15966, equations 3 to 5; alpha 0.5, beta 0.05, H 0.3, N 1 from appendix C.3"
VPRL_PAPER = "Visual Planning (VPRL), arXiv 2505.11409, progress reward; transferred from mazes to visual search"

CURIOSITY_RATE = 0.3
"""H: the share of rollouts with tool use from which on there is no bonus."""
CURIOSITY_PICTURE, CURIOSITY_VIDEO = 2.0, 1.5
"""d: the divisor of the released code's bonus, for pictures and for video."""
CURIOSITY_FACTOR = 0.25
"""Factor of the released code's bonus."""
CURIOSITY_ALPHA = 0.5
"""α: factor of the paper's bonus."""
CALL_COST = 0.05
"""β: cost of each call beyond the free ones."""
FREE_CALLS = 1
"""N: number of calls without a cost."""


def pixel_accuracy(trajectory: Trajectory) -> float:
    """1 if correct, 0 if wrong, −1 without an answer; 0 for a correct answer if the last tool call failed.

    For every group but the first, the released code looks up that failure in the wrong rollout; here it is looked up in
    the rollout itself.
    """
    if not trajectory.answer.strip():
        return -1.0
    calls = tried(trajectory)
    unresolved = bool(calls) and calls[-1].error not in ("", "budget")
    return 0.0 if unresolved else accuracy_term(trajectory)


def curiosity(siblings: Sequence[Trajectory]) -> list[float]:
    """The released code's bonus for rollouts that use a tool; rollouts without a call get 0.

    The bonus is `max(0.3 − RaPR, 0) / d / RaPR · 0.25 − 0.05·(calls − 1)`, with d = 2 (1.5 for video). RaPR is the
    share of siblings with a call; failed calls count in RaPR and in `calls`. For example, on a picture and with eight
    siblings, a single tool user gets +0.175, two get +0.025 each, and three or more get nothing; each further call
    costs 0.05.
    """
    rate = _rate(siblings)
    bonuses = []
    for sibling in siblings:
        divisor = CURIOSITY_VIDEO if _is_video(sibling) else CURIOSITY_PICTURE
        bonus = max(CURIOSITY_RATE - rate, 0.0) / divisor / rate * CURIOSITY_FACTOR if rate else 0.0
        bonuses.append(_for_users(sibling, bonus))
    return bonuses


def curiosity_paper(siblings: Sequence[Trajectory]) -> list[float]:
    """The paper's bonus for rollouts that use a tool: `0.5·max(0.3 − RaPR, 0) − 0.05·max(calls − 1, 0)`."""
    bonus = CURIOSITY_ALPHA * max(CURIOSITY_RATE - _rate(siblings), 0.0)
    return [_for_users(sibling, bonus) for sibling in siblings]


def _rate(siblings: Sequence[Trajectory]) -> float:
    return sum(bool(tried(sibling)) for sibling in siblings) / len(siblings) if siblings else 0.0


def _for_users(sibling: Trajectory, bonus: float) -> float:
    calls = len(tried(sibling))
    return bonus - CALL_COST * (calls - FREE_CALLS) if calls else 0.0


def _is_video(trajectory: Trajectory) -> bool:
    return any(source.duration is not None for source in trajectory.task.sources)


PIXEL_ACCURACY = Term("pixel_accuracy", "end", pixel_accuracy, PIXEL_CODE)
CURIOSITY = Term("curiosity", "group", curiosity, PIXEL_CODE)
CURIOSITY_PAPER = Term("curiosity_paper", "group", curiosity_paper, PIXEL_PAPER)


# ── VPRL ────────────────────────────────────────────────────────────────────────────────────────────────────────────

CLOSER, NOT_CLOSER, INVALID = 1.0, 0.0, -5.0
"""VPRL's rewards of an optimal, a non-optimal and an invalid move."""
FOUND_IOU = 0.5
"""IoU of a view with a target from which on the target counts as found and gives no more progress."""
GAIN = 1.1
"""Factor by which the best IoU with a target must grow to count as closer, so that trimming edges earns nothing."""


def progress(trajectory: Trajectory) -> float:
    """The reward of the last turn: −5 if its call was invalid, +1 if its views are closer to a target, else 0.

    VPRL's own task is a maze, where closer means fewer steps to the goal. Here, a view is closer if its IoU with a
    target exceeds that of every earlier view by more than a tenth, unless the target has been found already (an earlier
    view has an IoU of 0.5 with it). A call refused by a budget counts as valid, but earns nothing.
    """
    if not trajectory.turns:
        return NOT_CLOSER
    last = trajectory.turns[-1]
    if last.error:
        return NOT_CLOSER if last.error == "budget" else INVALID
    new = [index for index in last.views if index < len(trajectory.views)]
    earlier = range(min(new)) if new else range(0)
    for target in trajectory.task.targets:
        best = max((_overlap(trajectory, index, target) for index in earlier), default=0.0)
        now = max((_overlap(trajectory, index, target) for index in new), default=0.0)
        if best < FOUND_IOU and now > best * GAIN:
            return CLOSER
    return NOT_CLOSER


def _overlap(trajectory: Trajectory, index: int, target: Target) -> float:
    """IoU of a view with a target; 0 if it shows another picture or no affine map leads back to the picture."""
    view = trajectory.views[index]
    sources = trajectory.task.sources
    if view.source >= len(trajectory.sources) or target.source >= len(sources):
        return 0.0
    root = to_root(trajectory.sources[view.source], view.box)
    return iou(root[1], target.box) if root is not None and root[0] == sources[target.source] else 0.0


PROGRESS = Term("progress", "step", progress, VPRL_PAPER)
