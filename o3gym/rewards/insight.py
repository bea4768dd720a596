"""Reward terms of InSight-o3's searcher: tool conditions, shaped IoU, and the reasoner's feedback.

The paper and the released training code differ, and both are implemented. In the code, the tool condition also forbids
two consecutive calls for nearly the same region, and the IoU counts only for boxes that cover the target. The code
judges boxes as they are written: a call that is refused, for example because its box is too narrow, counts in the tool
condition like one that is executed, and a located box is rounded to whole native pixels.
"""

from __future__ import annotations

from typing import Any

from o3gym.geometry import clamp, compose, coverage, from_pixels, iou, is_box, to_pixels, to_root, union
from o3gym.rewards.base import Term
from o3gym.rewards.terms import absence, target_boxes, tried
from o3gym.types import FULL, Box, Source, Trajectory

PAPER = "InSight-o3 paper, section 4.1, equation 1; constants in the training details of the appendix"
CODE = "m-Just/verl-public verl/utils/reward_score/vsearch_batch.py and verl/utils/vsearch.py"

ALPHA = 0.25
"""α: IoU up to which a box earns nothing; the rest is rescaled to 0..1."""
SAME_REGION = 0.6
"""IoU above which two consecutive regions count as the same region."""
COVERED = 0.95
"""Share of a target's area that a box must exceed for its IoU to count."""


def stretch(value: float) -> float:
    """`max(0, IoU − α) / (1 − α)`."""
    return max(0.0, value - ALPHA) / (1.0 - ALPHA)


def shaped_iou(trajectory: Trajectory) -> float:
    """IoU' of equation 1: the stretched IoU with the target; 1 for a target correctly reported as absent."""
    rule = absence(trajectory)
    if rule is not None or trajectory.located is None:
        return rule or 0.0
    return stretch(iou(trajectory.located, union(target_boxes(trajectory))))


def covering_iou(trajectory: Trajectory) -> float:
    """The code's IoU: the minimum over targets of the best IoU of a covering box (full picture or located box).

    The located box is first rounded to native pixels of the picture, as in the code. The result is stretched as in the
    paper, where α mostly removes the baseline that the full picture provides. The original data has no absent targets;
    here they follow the same rule as in `shaped_iou`.
    """
    rule = absence(trajectory)
    if rule is not None or trajectory.located is None:
        return rule or 0.0
    guesses = (FULL, _in_whole_pixels(trajectory, trajectory.located))
    return stretch(min(max(_covered(guess, truth) for guess in guesses) for truth in target_boxes(trajectory)))


def _covered(guess: Box, truth: Box) -> float:
    return iou(guess, truth) if coverage(guess, truth) > COVERED else 0.0


def _in_whole_pixels(trajectory: Trajectory, box: Box) -> Box:
    if not trajectory.views:
        return box
    size = trajectory.views[0].native
    return from_pixels([round(edge) for edge in to_pixels(box, size)], size)


def regions(trajectory: Trajectory) -> list[tuple[Source, Box]]:
    """The regions that calls asked for, in order, mapped to the pictures that derived sources come from (unit xyxy).

    The region of a crop is the box in the call, even if a size rule enlarged or refused it. The regions of other tools
    are the views that they showed.
    """
    found: list[tuple[Source, Box]] = []
    for turn in tried(trajectory):
        call = turn.parsed.call
        box: Any = call.args.get("box") if call.tool == "crop" else None
        asked = [(call.args.get("view", 0), clamp(box))] if is_box(box) else [(index, FULL) for index in turn.views]
        for index, part in asked:
            if 0 <= index < len(trajectory.views) and trajectory.views[index].source < len(trajectory.sources):
                view = trajectory.views[index]
                source, region = trajectory.sources[view.source], compose(view.box, part)
                found.append(to_root(source, region) or (source, region))
    return found


def fresh_looks(trajectory: Trajectory) -> float:
    """The code's tool condition: 1 if there is a call and no two consecutive regions have an IoU above 0.6.

    The first region is compared with the full picture, so that "zooming" into the whole picture earns nothing.
    """
    seen = regions(trajectory)
    if not seen:
        return 0.0
    before = [(seen[0][0], FULL), *seen]
    pairs = zip(before, seen, strict=False)
    return float(not any(a[0] == b[0] and iou(a[1], b[1]) > SAME_REGION for a, b in pairs))


def pseudo_iou(trajectory: Trajectory, parent: Trajectory) -> float:
    """`1[s = c = 1]`: the reasoner rated this search "helpful" (s) and its own final answer is correct (c)."""
    return rated_helpful(trajectory, parent) * parent_correct(trajectory, parent)


def rated_helpful(trajectory: Trajectory, parent: Trajectory) -> float:
    """`s`: 1 if the reasoner rated this search "helpful"."""
    return float(rating(trajectory, parent) == "helpful")


def parent_correct(trajectory: Trajectory, parent: Trajectory) -> float:
    """`c`: 1 if the final answer of the delegating reasoner is correct."""
    return float(parent.verdict == "correct")


def rating(trajectory: Trajectory, parent: Trajectory) -> str:
    """The rating that `parent` gave this child's search, or "NA" if it gave none.

    It is the first `extras["feedback"]` in the parent's turns after the delegating one and up to the next delegating
    one. It need not be in the turn right after, because the reasoner is asked again after a reply without a rating.
    """
    found = False
    for turn in parent.turns:
        if found and "feedback" in turn.parsed.extras:
            return str(turn.parsed.extras["feedback"])
        asked = [parent.children[index].key for index in turn.children if index < len(parent.children)]
        found = trajectory.key in asked or (found and not asked)
    return "NA"


SHAPED_IOU = Term("shaped_iou", "end", shaped_iou, PAPER)
COVERING_IOU = Term("covering_iou", "end", covering_iou, CODE)
FRESH_LOOKS = Term("fresh_looks", "end", fresh_looks, CODE)
PSEUDO_IOU = Term("pseudo_iou", "parent", pseudo_iou, PAPER)
RATED_HELPFUL = Term("rated_helpful", "parent", rated_helpful, PAPER)
PARENT_CORRECT = Term("parent_correct", "parent", parent_correct, PAPER)
