"""Named recipes: the rewards that published systems trained with, as terms and a formula. See `docs/rewards.md`.

If a paper and its released code disagree, both are implemented under different names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from o3gym.registry import REWARDS
from o3gym.rewards import exploration, insight, planning, terms, thyme, videos
from o3gym.rewards.base import RewardRecipe

Values: TypeAlias = Mapping[str, float]


def make_recipe(name: str) -> RewardRecipe:
    """The recipe with a registered name. Raises `UnknownName`, which suggests the closest name."""
    recipe: RewardRecipe = REWARDS[name]
    return recipe


def _outcome(values: Values) -> float:
    return values["outcome"]


def _iou(values: Values) -> float:
    return values["iou"]


def _accuracy(values: Values) -> float:
    return values["accuracy"]


OUTCOME = RewardRecipe("outcome", (terms.OUTCOME_TERM,), _outcome, "o3gym: the judge's score")
IOU = RewardRecipe("iou", (terms.BOX_IOU_TERM,), _iou, "o3gym: IoU of region search")
MINI_O3_SOURCE = (
    "Mini-o3/Mini-o3 verl/workers/reward_manager/naive_multithreads_tool.py; its recipe sets all other weights to 0"
)
MINI_O3 = RewardRecipe("mini_o3", (terms.ACCURACY_TERM,), _accuracy, MINI_O3_SOURCE)
MINI_O3_CODE = RewardRecipe(
    "mini_o3_code",
    (terms.ACCURACY_TERM,),
    _accuracy,
    f"{MINI_O3_SOURCE}; its strict tags take the first closed <answer> of all turns",
    terms.first_answer,
)


# ── InSight-o3 ──────────────────────────────────────────────────────────────────────────────────────────────────────

FORMAT_WEIGHT, IOU_WEIGHT = 0.2, 0.8


def insight_o3_total(values: Values) -> float:
    """`1[n_tool > 0] · (0.2·format + 0.8·IoU')`."""
    return values["used_tool"] * (FORMAT_WEIGHT * values["format"] + IOU_WEIGHT * values["shaped_iou"])


def insight_o3_code_total(values: Values) -> float:
    """`tool · (0.2·format + 0.8·IoU)`, or 0 if the format is broken."""
    return values["fresh_looks"] * values["format"] * (FORMAT_WEIGHT + IOU_WEIGHT * values["covering_iou"])


def insight_o3_in_loop_total(values: Values) -> float:
    """`1[n_tool > 0] · (0.2·format + 0.8·1[s = c = 1])`."""
    return values["used_tool"] * (FORMAT_WEIGHT * values["format"] + IOU_WEIGHT * values["pseudo_iou"])


def insight_o3_code_in_loop_total(values: Values) -> float:
    """`tool · (0.2·format + 0.8·1[s = c = 1])`, or 0 if the format is broken."""
    return values["fresh_looks"] * values["format"] * (FORMAT_WEIGHT + IOU_WEIGHT * values["pseudo_iou"])


def insight_o3_no_tool_total(values: Values) -> float:
    """`0.2·format + 0.8·IoU'`."""
    return FORMAT_WEIGHT * values["format"] + IOU_WEIGHT * values["shaped_iou"]


def insight_o3_in_loop_no_tool_total(values: Values) -> float:
    """`0.2·format + 0.8·1[s = c = 1]`."""
    return FORMAT_WEIGHT * values["format"] + IOU_WEIGHT * values["pseudo_iou"]


def insight_o3_in_loop_no_feedback_total(values: Values) -> float:
    """`1[n_tool > 0] · (0.2·format + 0.8·1[c = 1])`."""
    return values["used_tool"] * (FORMAT_WEIGHT * values["format"] + IOU_WEIGHT * values["parent_correct"])


def insight_o3_in_loop_no_outcome_total(values: Values) -> float:
    """`1[n_tool > 0] · (0.2·format + 0.8·1[s = 1])`."""
    return values["used_tool"] * (FORMAT_WEIGHT * values["format"] + IOU_WEIGHT * values["rated_helpful"])


INSIGHT_O3 = RewardRecipe(
    "insight_o3", (terms.USED_TOOL_TERM, terms.FORMAT_TERM, insight.SHAPED_IOU), insight_o3_total, insight.PAPER
)
INSIGHT_O3_CODE = RewardRecipe(
    "insight_o3_code",
    (insight.FRESH_LOOKS, terms.FORMAT_TERM, insight.COVERING_IOU),
    insight_o3_code_total,
    insight.CODE,
)
INSIGHT_O3_IN_LOOP = RewardRecipe(
    "insight_o3_in_loop",
    (terms.USED_TOOL_TERM, terms.FORMAT_TERM, insight.PSEUDO_IOU),
    insight_o3_in_loop_total,
    insight.PAPER,
)
INSIGHT_O3_CODE_IN_LOOP = RewardRecipe(
    "insight_o3_code_in_loop",
    (insight.FRESH_LOOKS, terms.FORMAT_TERM, insight.PSEUDO_IOU),
    insight_o3_code_in_loop_total,
    insight.CODE,
)
ABLATED = "InSight-o3 paper, section 5.2, table 3"
INSIGHT_O3_NO_TOOL = RewardRecipe(
    "insight_o3_no_tool", (terms.FORMAT_TERM, insight.SHAPED_IOU), insight_o3_no_tool_total, ABLATED
)
INSIGHT_O3_IN_LOOP_NO_TOOL = RewardRecipe(
    "insight_o3_in_loop_no_tool", (terms.FORMAT_TERM, insight.PSEUDO_IOU), insight_o3_in_loop_no_tool_total, ABLATED
)
INSIGHT_O3_IN_LOOP_NO_FEEDBACK = RewardRecipe(
    "insight_o3_in_loop_no_feedback",
    (terms.USED_TOOL_TERM, terms.FORMAT_TERM, insight.PARENT_CORRECT),
    insight_o3_in_loop_no_feedback_total,
    ABLATED,
)
INSIGHT_O3_IN_LOOP_NO_OUTCOME = RewardRecipe(
    "insight_o3_in_loop_no_outcome",
    (terms.USED_TOOL_TERM, terms.FORMAT_TERM, insight.RATED_HELPFUL),
    insight_o3_in_loop_no_outcome_total,
    ABLATED,
)


# ── DeepEyes, Pixel Reasoner, Thyme, VPRL ───────────────────────────────────────────────────────────────────────────


def deepeyes_total(values: Values) -> float:
    """`0.8·acc + 0.2·format + 1.2·tool` with format in {0, −1}."""
    return 0.8 * values["deepeyes_accuracy"] + 0.2 * values["deepeyes_format"] + 1.2 * values["deepeyes_tool"]


def pixel_reasoner_total(values: Values) -> float:
    """`acc + curiosity`, as in the released code."""
    return values["pixel_accuracy"] + values["curiosity"]


def pixel_reasoner_paper_total(values: Values) -> float:
    """`acc + 0.5·curiosity − 0.05·extra calls`, as in the paper."""
    return values["accuracy"] + values["curiosity_paper"]


def thyme_total(values: Values) -> float:
    """`acc + 0.5·format + 0.5·consistency`, where consistency counts only for correct answers."""
    return values["accuracy"] + 0.5 * values["format"] + 0.5 * values["consistency"] * (values["accuracy"] > 0)


def thyme_code_total(values: Values) -> float:
    """The same as `thyme_total`, with accuracy in {−1, 0, 1}."""
    right = values["signed_accuracy"]
    return right + 0.5 * values["format"] + 0.5 * values["consistency"] * (right > 0)


def thyme_judged_total(values: Values) -> float:
    """The same as `thyme_total`, with the consistency that a model judges."""
    return values["accuracy"] + 0.5 * values["format"] + 0.5 * values["judged_consistency"] * (values["accuracy"] > 0)


def thyme_code_judged_total(values: Values) -> float:
    """The same as `thyme_code_total`, with the consistency that a model judges."""
    right = values["signed_accuracy"]
    return right + 0.5 * values["format"] + 0.5 * values["judged_consistency"] * (right > 0)


def thyme_no_consistency_total(values: Values) -> float:
    """`acc + 0.5·format`."""
    return values["accuracy"] + 0.5 * values["format"]


def thyme_with_code_total(values: Values) -> float:
    """The same as `thyme_total`, and `0.5·code`, whether or not the answer is right."""
    return thyme_total(values) + 0.5 * values["code_ran"]


def thyme_with_process_total(values: Values) -> float:
    """The same as `thyme_judged_total`, and `0.5·process`, whether or not the answer is right."""
    return thyme_judged_total(values) + 0.5 * values["judged_process"]


def vprl_total(values: Values) -> float:
    """The rewards of the moves alone."""
    return values["move_reward"]


def vprl_search_total(values: Values) -> float:
    """`progress + outcome`: a correct answer counts as the last optimal move."""
    return values["progress"] + values["outcome"]


DEEPEYES = RewardRecipe(
    "deepeyes",
    (terms.DEEPEYES_ACCURACY_TERM, terms.DEEPEYES_FORMAT_TERM, terms.DEEPEYES_TOOL_TERM),
    deepeyes_total,
    terms.DEEPEYES_SOURCE,
    terms.deepeyes_answer,
)
PIXEL_REASONER = RewardRecipe(
    "pixel_reasoner", (exploration.PIXEL_ACCURACY, exploration.CURIOSITY), pixel_reasoner_total, exploration.PIXEL_CODE
)
PIXEL_REASONER_PAPER = RewardRecipe(
    "pixel_reasoner_paper",
    (terms.ACCURACY_TERM, exploration.CURIOSITY_PAPER),
    pixel_reasoner_paper_total,
    exploration.PIXEL_PAPER,
)
THYME = RewardRecipe(
    "thyme",
    (terms.ACCURACY_TERM, thyme.THYME_FORMAT_TERM, thyme.CONSISTENCY_TERM),
    thyme_total,
    f"{thyme.THYME_SOURCE} with VQA_NORM=0",
    terms.first_answer,
)
THYME_CODE = RewardRecipe(
    "thyme_code",
    (thyme.SIGNED_ACCURACY_TERM, thyme.THYME_FORMAT_TERM, thyme.CONSISTENCY_TERM),
    thyme_code_total,
    f"{thyme.THYME_SOURCE} with its default VQA_NORM=1",
    terms.first_answer,
)
THYME_JUDGED = RewardRecipe(
    "thyme_judged",
    (terms.ACCURACY_TERM, thyme.THYME_FORMAT_TERM, thyme.JUDGED_CONSISTENCY_TERM),
    thyme_judged_total,
    f"{thyme.THYME_SOURCE} with VQA_NORM=0",
    terms.first_answer,
)
THYME_CODE_JUDGED = RewardRecipe(
    "thyme_code_judged",
    (thyme.SIGNED_ACCURACY_TERM, thyme.THYME_FORMAT_TERM, thyme.JUDGED_CONSISTENCY_TERM),
    thyme_code_judged_total,
    f"{thyme.THYME_SOURCE} with its default VQA_NORM=1",
    terms.first_answer,
)
THYME_NO_CONSISTENCY = RewardRecipe(
    "thyme_no_consistency",
    (terms.ACCURACY_TERM, thyme.THYME_FORMAT_TERM),
    thyme_no_consistency_total,
    "Thyme, arXiv 2508.11630: outcome and format, the first row of its reward ablation",
    terms.first_answer,
)
THYME_WITH_CODE = RewardRecipe(
    "thyme_with_code",
    (terms.ACCURACY_TERM, thyme.THYME_FORMAT_TERM, thyme.CONSISTENCY_TERM, thyme.CODE_RAN_TERM),
    thyme_with_code_total,
    f"the code reward {thyme.OWN_FORMULA}",
    terms.first_answer,
)
THYME_WITH_PROCESS = RewardRecipe(
    "thyme_with_process",
    (terms.ACCURACY_TERM, thyme.THYME_FORMAT_TERM, thyme.JUDGED_CONSISTENCY_TERM, thyme.JUDGED_PROCESS_TERM),
    thyme_with_process_total,
    f"the process reward {thyme.OWN_FORMULA}",
    terms.first_answer,
)
VPRL = RewardRecipe("vprl", (planning.MOVE_REWARD_TERM,), vprl_total, planning.VPRL_RELEASED)
VPRL_SEARCH = RewardRecipe(
    "vprl_search", (exploration.PROGRESS, terms.OUTCOME_TERM), vprl_search_total, exploration.VPRL_PAPER
)


# ── VITAL, LongVT, VR-Thinker: videos ───────────────────────────────────────────────────────────────────────────────


def vital_total(values: Values) -> float:
    """`format + answer + IoU`: one of the two, or both for a grounded question, depending on the task."""
    return values["format"] + values["answer_score"] + values["answered_iou"]


def vital_code_total(values: Values) -> float:
    """`format + 0.5·calls + answer + stretched IoU`, with at most two calls."""
    return values["format"] + values["call_bonus"] + values["answer_score"] + values["stretched_iou"]


def vital_code_long_total(values: Values) -> float:
    """The same as `vital_code_total`, with the IoU stretched as for long videos."""
    return values["format"] + values["call_bonus"] + values["answer_score"] + values["stretched_iou_long"]


def longvt_total(values: Values) -> float:
    """`accuracy + format + IoU of the last clip`."""
    return values["outcome"] + values["format"] + values["last_clip_iou"]


def longvt_recall_total(values: Values) -> float:
    """`accuracy + format + recall of the last clip`."""
    return values["outcome"] + values["format"] + values["last_clip_recall"]


def vr_thinker_total(values: Values) -> float:
    """`overall agreement + share of the dimensions that agree + format`."""
    return values["accuracy"] + values["dimensions_agree"] + values["format"]


def vr_thinker_code_total(values: Values) -> float:
    """`acc + bonus for looks`, as in the released code, which judges the overall preference alone."""
    return values["pixel_accuracy"] + values["look_bonus"]


VITAL = RewardRecipe(
    "vital", (terms.FORMAT_TERM, videos.ANSWER_SCORE, videos.ANSWERED_IOU), vital_total, videos.VITAL_SOURCE
)
VITAL_CODE = RewardRecipe(
    "vital_code",
    (terms.FORMAT_TERM, videos.VITAL_BONUS, videos.ANSWER_SCORE, videos.STRETCHED_IOU),
    vital_code_total,
    f"{videos.VITAL_SCORING}charades_cutreward.py, gqa_cutreward.py",
)
VITAL_CODE_LONG = RewardRecipe(
    "vital_code_long",
    (terms.FORMAT_TERM, videos.VITAL_BONUS, videos.ANSWER_SCORE, videos.STRETCHED_IOU_LONG),
    vital_code_long_total,
    f"{videos.VITAL_SCORING}vidchapter_cutreward.py",
)
LONGVT = RewardRecipe(
    "longvt", (terms.OUTCOME_TERM, terms.FORMAT_TERM, videos.LAST_CLIP_IOU), longvt_total, videos.LONGVT_SOURCE
)
LONGVT_RECALL = RewardRecipe(
    "longvt_recall",
    (terms.OUTCOME_TERM, terms.FORMAT_TERM, videos.LAST_CLIP_RECALL),
    longvt_recall_total,
    f"{videos.LONGVT_SOURCE}; its ablation, recall for IoU",
)
VR_THINKER = RewardRecipe(
    "vr_thinker",
    (terms.ACCURACY_TERM, videos.DIMENSIONS_AGREE, terms.FORMAT_TERM),
    vr_thinker_total,
    videos.VR_THINKER_SOURCE,
)
VR_THINKER_CODE = RewardRecipe(
    "vr_thinker_code",
    (exploration.PIXEL_ACCURACY, videos.LOOK_BONUS),
    vr_thinker_code_total,
    videos.VR_THINKER_SCORING,
)
