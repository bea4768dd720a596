"""Reward terms that depend on one finished episode: outcome, format, boxes and tool use.

InSight-o3's and Thyme's terms are in modules of their names, and terms that compare steps or siblings in
`o3gym.rewards.exploration`. No term raises on unusual episodes (no turns, no views, no targets); it is 0 for those.
"""

from __future__ import annotations

import re

from o3gym.geometry import iou, union
from o3gym.judges.base import Judgement
from o3gym.judges.rules import ABSENT_ANSWER, auto
from o3gym.rewards.base import Term
from o3gym.types import ENDING_TOOLS, Box, Trajectory, Turn

OWN_SOURCE = "o3gym"
DEEPEYES_SOURCE = "Visual-Agent/DeepEyes verl/utils/reward_score/vl_agent.py"


def judged(trajectory: Trajectory) -> Judgement:
    """The verdict written by `settle`, or the offline judge's while it is pending (inside `env.step`)."""
    verdict, score = trajectory.verdict, trajectory.score
    if not verdict:
        return auto(trajectory.task, trajectory.answer, trajectory.located)
    if verdict == "failed":
        return Judgement("failed", None)
    return Judgement(verdict, float(verdict == "correct") if score is None else score)


def outcome_term(trajectory: Trajectory) -> float:
    """The judge's score: 1 or 0 for choice and free answers, the IoU for a box, the ANLS with the judge "anls"."""
    return judged(trajectory).score or 0.0


def accuracy_term(trajectory: Trajectory) -> float:
    """1 if the answer is judged correct, else 0."""
    return float(judged(trajectory).verdict == "correct")


def tried(trajectory: Trajectory) -> list[Turn]:
    """The turns with a tool call, executed or not; answers and replies without a call do not count."""
    ended = trajectory.stop in ("answered", "located")
    turns = trajectory.turns[:-1] if ended else trajectory.turns
    return [turn for turn in turns if turn.error != "void" and turn.parsed.call.tool not in ENDING_TOOLS]


def carried_out(trajectory: Trajectory) -> list[Turn]:
    """The turns whose tool call was executed."""
    return [turn for turn in tried(trajectory) if not turn.error]


def used_tool(trajectory: Trajectory) -> float:
    """1 if at least one tool call was executed, else 0."""
    return float(bool(carried_out(trajectory)))


def well_formed(trajectory: Trajectory) -> bool:
    """Whether every reply keeps the format of its dialect; False if there are no replies."""
    return bool(trajectory.turns) and all(turn.parsed.well_formed for turn in trajectory.turns)


def format_kept(trajectory: Trajectory) -> float:
    """1 if every reply is well-formed and the last one answers, else 0."""
    return float(well_formed(trajectory) and trajectory.stop in ("answered", "located"))


def replies_of(trajectory: Trajectory) -> str:
    """The text of all replies, joined by blanks; "" inside `env.step`, which never sees text."""
    return " ".join(turn.reply.text for turn in trajectory.turns)


def first_answer(trajectory: Trajectory) -> str:
    """The first closed `<answer>` block of all replies, "" if none is closed.

    This is how the code of Mini-o3 and Thyme finds the answer: in thoughts and in replies that go on, too. Episodes
    whose replies have no such tag, because their dialect answers in another form, keep their own answer.
    """
    text = replies_of(trajectory)
    if "<answer>" not in text:
        return trajectory.answer
    found = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return found[1].strip() if found else ""


def target_boxes(trajectory: Trajectory) -> list[Box]:
    """The target boxes in the first picture, which is where boxes are located."""
    return [target.box for target in trajectory.task.targets if target.source == 0]


def absence(trajectory: Trajectory) -> float | None:
    """The box reward if the agent or the truth has no box; None if both have one.

    It is 1 if the agent reports the target of a region search without targets as absent, and 0 otherwise. An episode
    without an answer reports nothing.
    """
    if trajectory.task.targets:
        return None if trajectory.located is not None and target_boxes(trajectory) else 0.0
    reported = trajectory.located is None and trajectory.answer.strip() == ABSENT_ANSWER
    return float(reported and trajectory.task.kind == "box")


def box_iou(trajectory: Trajectory) -> float:
    """IoU of the located box with the box around all targets; `absence` decides if there is no box to compare."""
    rule = absence(trajectory)
    if rule is not None or trajectory.located is None:
        return rule or 0.0
    return iou(trajectory.located, union(target_boxes(trajectory)))


OUTCOME_TERM = Term("outcome", "end", outcome_term, OWN_SOURCE)
ACCURACY_TERM = Term("accuracy", "end", accuracy_term, OWN_SOURCE)
USED_TOOL_TERM = Term("used_tool", "end", used_tool, OWN_SOURCE)
FORMAT_TERM = Term("format", "trajectory", format_kept, OWN_SOURCE)
BOX_IOU_TERM = Term("iou", "end", box_iou, OWN_SOURCE)


# ── DeepEyes ────────────────────────────────────────────────────────────────────────────────────────────────────────

DEEPEYES_ANSWER_LENGTH = 1000
"""Length in characters from which on an answer is a format error and never correct."""


_PAIRED_TAGS = (("<think>", "</think>"), ("<|vision_start|>", "<|vision_end|>"))


def deepeyes_answer(trajectory: Trajectory) -> str:
    """The answer as DeepEyes' code reads it: after the last `<answer>`, closed or not, or else all that was written.

    Episodes that answered in another form than `<answer>` keep their own answer.
    """
    text = replies_of(trajectory)
    _, tag, tail = text.rpartition("<answer>")
    if tag:
        return tail.partition("</answer>")[0].strip()
    return trajectory.answer or text.strip()


def deepeyes_accuracy(trajectory: Trajectory) -> float:
    """1 if the answer is judged correct and shorter than 1000 characters, else 0."""
    return accuracy_term(trajectory) if len(deepeyes_answer(trajectory)) < DEEPEYES_ANSWER_LENGTH else 0.0


def deepeyes_format(trajectory: Trajectory) -> float:
    """−1 for an answer of 1000 or more characters, or unequal numbers of opening and closing tags; else 0.

    Think and vision tags are counted over all replies, answer tags only after the last `</think>`, so that thoughts may
    mention them; however untidy a reply is otherwise, it costs nothing. Text without `<answer>` is one answer. The
    released code also counts the words of observations there.
    """
    text = replies_of(trajectory)
    acted = text.rpartition("</think>")[2]
    balanced = all(text.count(opening) == text.count(closing) for opening, closing in _PAIRED_TAGS)
    balanced = balanced and acted.count("<answer>") == acted.count("</answer>")
    return 0.0 if balanced and len(deepeyes_answer(trajectory)) < DEEPEYES_ANSWER_LENGTH else -1.0


def deepeyes_tool(trajectory: Trajectory) -> float:
    """1 if the answer is correct and at least one call showed a picture, so that useless calls earn nothing; else 0."""
    return deepeyes_accuracy(trajectory) * float(any(turn.views for turn in carried_out(trajectory)))


DEEPEYES_ACCURACY_TERM = Term("deepeyes_accuracy", "end", deepeyes_accuracy, DEEPEYES_SOURCE)
DEEPEYES_FORMAT_TERM = Term("deepeyes_format", "trajectory", deepeyes_format, DEEPEYES_SOURCE)
DEEPEYES_TOOL_TERM = Term("deepeyes_tool", "end", deepeyes_tool, DEEPEYES_SOURCE)
