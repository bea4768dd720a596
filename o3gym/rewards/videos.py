"""Reward terms of videos: answered intervals, the last clip that was looked at, and judgements about pairs of videos.

The systems add up terms with a weight of 1 each. A task without an interval as its target, or an episode that gives
none, has an IoU of 0, so one sum serves every kind of task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from o3gym.geometry import disjoint, overlap, span_iou
from o3gym.judges.spans import true_spans
from o3gym.rewards.base import Term
from o3gym.rewards.terms import carried_out, format_kept, judged, tried
from o3gym.types import Span, Trajectory

VITAL_SCORING = "Jamesding000/ThinkingWithVideos at 7e48586, verl/verl/utils/reward_score/"
VITAL_SOURCE = "VITAL, arXiv 2508.04416; the rewards [format, iou] of its train_stage_4_dgrpo.sh, IoU as it is"
LONGVT_SOURCE = (
    "EvolvingLMMs-Lab/LongVT, arXiv 2511.20785: accuracy, format and temporal IoU of the last crop_video call"
)
VR_THINKER_SOURCE = (
    "VR-Thinker, arXiv 2510.10518: agreement in each dimension and overall, by which it selects its traces; the "
    "weights of 1 and the format term are o3gym's"
)
VR_THINKER_SCORING = (
    "qunzhongwang/VideoSearch-Reasoner at 7f6291a, grpo_train/openrlhf/trainer/ppo_utils/experience_maker.py"
)


def answered_iou(trajectory: Trajectory) -> float:
    """Temporal IoU of the answered interval with all target intervals of the first video together; 0 without either."""
    return span_iou([trajectory.span], true_spans(trajectory.task)) if trajectory.span is not None else 0.0


def answer_score(trajectory: Trajectory) -> float:
    """The judge's score of an answer in words or letters; 0 for a task that asks for an interval."""
    return 0.0 if trajectory.task.kind == "span" else judged(trajectory).score or 0.0


ANSWERED_IOU = Term("answered_iou", "end", answered_iou, VITAL_SOURCE)
ANSWER_SCORE = Term("answer_score", "end", answer_score, VITAL_SOURCE)


# ── VITAL ───────────────────────────────────────────────────────────────────────────────────────────────────────────

STRETCH_LOW, STRETCH_HIGH = 0.2, 0.8
"""IoU up to which the code gives 0, and IoU from which it gives 1 (Charades-STA, ActivityNet, NExT-GQA, ReXTime)."""
STRETCH_LOW_LONG, STRETCH_HIGH_LONG = 0.0, 0.5
"""The same bounds for the long videos of VidChapters, the harder task."""
CALL_BONUS = 0.5
"""The code's bonus for each call that was executed."""
REWARDED_CALLS = 2
"""Maximum number of calls that earn the bonus."""


def stretched_iou(trajectory: Trajectory) -> float:
    """`(IoU − 0.2) / 0.6` of the answered interval, in 0..1."""
    return _stretched(answered_iou(trajectory), STRETCH_LOW, STRETCH_HIGH)


def stretched_iou_long(trajectory: Trajectory) -> float:
    """`IoU / 0.5` of the answered interval, in 0..1: the bounds for long videos."""
    return _stretched(answered_iou(trajectory), STRETCH_LOW_LONG, STRETCH_HIGH_LONG)


def _stretched(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


def call_bonus(trajectory: Trajectory) -> float:
    """Half a point for each of the first two calls that were executed, whatever they showed."""
    return CALL_BONUS * min(len(carried_out(trajectory)), REWARDED_CALLS)


STRETCHED_IOU = Term(
    "stretched_iou", "end", stretched_iou, f"{VITAL_SCORING}charades_cutreward.py and gqa_cutreward.py"
)
STRETCHED_IOU_LONG = Term("stretched_iou_long", "end", stretched_iou_long, f"{VITAL_SCORING}vidchapter_cutreward.py")
VITAL_BONUS = Term("call_bonus", "end", call_bonus, f"{VITAL_SCORING}vidchapter_cutreward.py")


# ── LongVT ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def last_clip(trajectory: Trajectory) -> tuple[int, Span] | None:
    """The index of the video and the interval, inside the video, of the last executed `clip` call; None without one."""
    clips = [turn.parsed.call.args for turn in carried_out(trajectory) if turn.parsed.call.tool == "clip"]
    if not clips:
        return None
    video, (start, end) = clips[-1].get("video", 0), clips[-1]["span"]
    sources = trajectory.task.sources
    duration = sources[video].duration if 0 <= video < len(sources) else None
    return video, (max(float(start), 0.0), min(float(end), float(end) if duration is None else duration))


def last_clip_iou(trajectory: Trajectory) -> float:
    """Temporal IoU of the last clip with all target intervals of its video together; 0 without either."""
    seen, truths = _clip_and_truths(trajectory)
    return span_iou(seen, truths)


def last_clip_recall(trajectory: Trajectory) -> float:
    """Share of the target intervals of its video that the last clip covers; 0 without either."""
    seen, truths = _clip_and_truths(trajectory)
    length = sum(end - start for start, end in truths)
    return sum(overlap(clip, truth) for clip in seen for truth in truths) / length if length else 0.0


def _clip_and_truths(trajectory: Trajectory) -> tuple[list[Span], list[Span]]:
    """The last clip, if there is one, and the disjoint target intervals of the video that it is from."""
    looked = last_clip(trajectory)
    if looked is None:
        return [], []
    video, span = looked
    targets = trajectory.task.targets
    return [span], disjoint([target.time for target in targets if target.source == video and target.time is not None])


LAST_CLIP_IOU = Term("last_clip_iou", "end", last_clip_iou, LONGVT_SOURCE)
LAST_CLIP_RECALL = Term("last_clip_recall", "end", last_clip_recall, f"{LONGVT_SOURCE}; its ablation, recall for IoU")


# ── VR-Thinker ──────────────────────────────────────────────────────────────────────────────────────────────────────


def dimensions_agree(trajectory: Trajectory) -> float:
    """The share of the task's dimensions in which the last reply prefers the same video as the truth.

    The truth is `Task.origin["dimensions"]`, for example `{"video quality": "B"}`, and the reply's judgements are
    `Parsed.extras["dimensions"]` of the same form. Case, outer space, and underscores for blanks make no difference. A
    dimension that the reply leaves out counts as wrong. A task without dimensions gives 0.
    """
    truths = _judgements(trajectory.task.origin)
    given = _judgements(trajectory.turns[-1].parsed.extras) if trajectory.turns else {}
    return sum(given.get(name) == best for name, best in truths.items()) / len(truths) if truths else 0.0


def _judgements(record: Mapping[str, Any]) -> dict[str, str]:
    found = record.get("dimensions")
    pairs = found.items() if isinstance(found, Mapping) else ()
    return {_plain(name): _plain(best) for name, best in pairs}


def _plain(text: object) -> str:
    return " ".join(str(text).replace("_", " ").split()).casefold()


SECOND_LOOKS = 0.6
"""Share of siblings with more than one call up to which the code subtracts what is missing."""
LOOK_SCORES = (-1.0, 0.5, 1.0, 1.5)
"""The code's bonus for one call, two, three, and more."""


def look_bonus(siblings: Sequence[Trajectory]) -> list[float]:
    """The released code's bonus for rollouts with a call; rollouts without one get 0, whatever their format.

    The bonus is `min(RaPR − 0.6, 0) + looks + format`. RaPR is the share of siblings with more than one call, and
    `looks` is −1 for one call, 0.5 for two, 1 for three and 1.5 for more, failed ones included. The code multiplies the
    first two by 0.2 from step 30 on, which is left out here, because a reward does not know the step.
    """
    calls = [len(tried(sibling)) for sibling in siblings]
    shared = min(sum(count > 1 for count in calls) / len(calls) - SECOND_LOOKS, 0.0) if calls else 0.0
    bonuses = [shared + LOOK_SCORES[min(count, len(LOOK_SCORES)) - 1] for count in calls]
    pairs = zip(siblings, calls, bonuses, strict=True)
    return [bonus + format_kept(sibling) if count else 0.0 for sibling, count, bonus in pairs]


LOOK_BONUS = Term("look_bonus", "group", look_bonus, VR_THINKER_SCORING)
DIMENSIONS_AGREE = Term("dimensions_agree", "trajectory", dimensions_agree, VR_THINKER_SOURCE)
