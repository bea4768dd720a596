"""Reward terms of Thyme: format, consistency of thought and answer, and the terms of its ablation.

Thyme writes code and reads its output inside a single message, which reaches o3gym as several replies. Its terms judge
the message: the replies joined, without the outputs between them.
"""

from __future__ import annotations

import re

from o3gym.judges.answers import mentions, normalise, read_letter, unwrap
from o3gym.judges.base import JudgesReasoning, ReasoningAspect
from o3gym.judges.rules import DRAWN_LETTERS
from o3gym.registry import DIALECTS
from o3gym.rewards.base import NoVerdict, Term
from o3gym.rewards.terms import accuracy_term, first_answer, format_kept, tried
from o3gym.types import Trajectory

THYME_SOURCE = "yfzhang114/Thyme examples/train/grpo/plugin/agent_rm.py"
OWN_FORMULA = "named in the reward ablation of Thyme, arXiv 2508.11630; the formula is o3gym's"

THYME_TAIL = 500
"""Number of characters at the end of the thought that are searched for the conclusion."""
_SHAPE = re.compile(r"<think>.*?</think>\s<answer>.*?</answer>", re.DOTALL)
_THOUGHT = re.compile(r"<think>(.*?)(?:</think>|<answer>|$)", re.DOTALL)
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")


def in_one_message(trajectory: Trajectory) -> bool:
    """Whether the replies are parts of a single message, because the episode's dialect is inline."""
    name = trajectory.dialect.partition("?")[0]
    return name in DIALECTS and bool(getattr(DIALECTS[name], "inline", False))


def message_of(trajectory: Trajectory) -> str:
    """The last message of an episode with turns: the last reply or, in an inline dialect, all replies joined."""
    if in_one_message(trajectory):
        return "".join(turn.reply.text for turn in trajectory.turns)
    return trajectory.turns[-1].reply.text


def last_thought(trajectory: Trajectory) -> str:
    """The thought of the last message, without its tags; "" without turns."""
    if not trajectory.turns:
        return ""
    if not in_one_message(trajectory):
        return trajectory.turns[-1].parsed.thought
    found = _THOUGHT.search(message_of(trajectory))
    return found[1] if found else ""


def thyme_format(trajectory: Trajectory) -> float:
    """1 if the format is kept and a last message with a think block has exactly one white space before its answer.

    Thyme's own regular expression demands that single white space, and nothing around the two blocks. In an inline
    dialect, the whole message must have exactly one think block and one answer, whichever reply opens and closes them.
    Replies without think tags, in other dialects that have none, are held to their dialect's format only.
    """
    if not format_kept(trajectory):
        return 0.0
    message = message_of(trajectory)
    if in_one_message(trajectory):
        return float(all(message.count(tag) == 1 for tag in _TAGS) and _SHAPE.fullmatch(message) is not None)
    return float("<think>" not in message or _SHAPE.fullmatch(message) is not None)


def signed_accuracy(trajectory: Trajectory) -> float:
    """1 if correct, −1 if wrong, 0 without an answer (`VQA_NORM=1`)."""
    if not first_answer(trajectory).strip():
        return 0.0
    return 2.0 * accuracy_term(trajectory) - 1.0


def consistency(trajectory: Trajectory) -> float:
    """1 if the last message's reasoning concludes with the answer that was given, else 0.

    Thyme asks a model, see `judged_consistency`. This offline substitute requires that the answer (or the letter or the
    text of the option it names) occurs as whole words in the last 500 characters of the reasoning.
    """
    given = first_answer(trajectory)
    if not trajectory.turns or not given.strip():
        return 0.0
    tail = last_thought(trajectory)[-THYME_TAIL:]
    if trajectory.task.kind != "choice":
        return float(_occurs(given, tail))
    letters = trajectory.task.letters or DRAWN_LETTERS
    letter, _ = read_letter(given, letters, trajectory.task.choices)
    if not letter:
        return 0.0
    text = dict(zip(letters, trajectory.task.choices, strict=False)).get(letter, "")
    return float(letter in {mention for mention, _ in mentions(unwrap(tail), letters)} or _occurs(text, tail))


def _occurs(part: str, text: str) -> bool:
    """Whether `part` is a run of whole words of `text`, after normalisation."""
    words = normalise(part)
    return bool(words) and f" {words} " in f" {' '.join(map(normalise, text.split()))} "


THYME_FORMAT_TERM = Term("format", "trajectory", thyme_format, THYME_SOURCE)
SIGNED_ACCURACY_TERM = Term("signed_accuracy", "end", signed_accuracy, THYME_SOURCE)
CONSISTENCY_TERM = Term("consistency", "trajectory", consistency, THYME_SOURCE)


# ── what a model is asked ───────────────────────────────────────────────────────────────────────────────────────────


def judged_consistency(trajectory: Trajectory, judge: JudgesReasoning) -> float:
    """1 if the judge says that the end of the last message's thought agrees with the answer, else 0.

    The judge is asked only about correct answers, because the reward counts consistency for no others.
    """
    if not accuracy_term(trajectory):
        return 0.0
    return _ask("consistency", trajectory, last_thought(trajectory), judge)


def judged_process(trajectory: Trajectory, judge: JudgesReasoning) -> float:
    """1 if the judge says that the reasoning of all replies is sound, whether or not the answer is right; else 0."""
    glue = "" if in_one_message(trajectory) else "\n\n"
    return _ask("process", trajectory, glue.join(turn.reply.text for turn in trajectory.turns), judge)


def _ask(aspect: ReasoningAspect, trajectory: Trajectory, thought: str, judge: JudgesReasoning) -> float:
    """Asks the judge. A missing thought or answer gets 0 without a question. Raises `NoVerdict` if the judge fails."""
    answer = first_answer(trajectory)
    if not thought.strip() or not answer.strip():
        return 0.0
    judgement = judge.reasoning(aspect, trajectory.task, thought, answer)
    if judgement.verdict == "failed":
        raise NoVerdict(judgement.reason)
    return float(judgement.verdict == "correct")


def code_ran(trajectory: Trajectory) -> float:
    """The share of the episode's calls of code that ran without an error; 0 without any.

    Calls that a budget refused are not counted.
    """
    calls = [t for t in tried(trajectory) if t.parsed.call.tool == "code" and t.error != "budget"]
    return sum(not turn.error for turn in calls) / len(calls) if calls else 0.0


JUDGED_CONSISTENCY_TERM = Term("judged_consistency", "judge", judged_consistency, THYME_SOURCE)
JUDGED_PROCESS_TERM = Term("judged_process", "judge", judged_process, OWN_FORMULA)
CODE_RAN_TERM = Term("code_ran", "end", code_ran, OWN_FORMULA)
