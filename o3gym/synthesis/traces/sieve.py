"""Keeps the episodes that are worth imitating, and says of every other one why it is not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from o3gym.arguments import check_whole
from o3gym.rewards.videos import dimensions_agree
from o3gym.types import ENDING_TOOLS, Trajectory

LONGEST_REPLY = 8_000
"""Characters of the longest reply that is kept (ours): far more than any thought and call need."""
LOOK_GRID = 20
"""Boxes whose corners fall into the same cells of a grid of this size are the same look (ours)."""
LOOP = (12, 4)
"""Words of a phrase, and how often it must occur in one reply for the reply to count as caught in a loop (ours)."""
RIGHT = ("answer", "all-dimensions")
"""What must be right in an episode that is kept, see `Sieve.right`."""


@dataclass(frozen=True)
class Sieve:
    """Rules that an episode must pass. All of them are ours, but for the first: only right episodes are kept.

    Attributes:
        min_looks: smallest number of calls before the answer.
        max_turns: largest number of turns; 0 for any.
        refusals: whether calls that the environment refused are allowed; the demonstrations of trial and error have
            some, and whoever wants none drops those.
        per_task: largest number of episodes per task; 0 for any.
        right: what must be right: "answer", or "all-dimensions" for comparisons of two videos, whose judgement must be
            right overall and in each dimension that the task knows. The latter is VR-Thinker's rejection sampling
            (arXiv 2510.10518).
        thoughts: whether every turn must have a thought. Some models, such as `tiny`, act before they have seen
            anything to think about.

    Raises:
        ValueError: a number is negative, or `right` is something else.
    """

    min_looks: int = 1
    max_turns: int = 0
    refusals: bool = True
    per_task: int = 1
    right: str = "answer"
    thoughts: bool = True

    def __post_init__(self) -> None:
        for name in ("min_looks", "max_turns", "per_task"):
            check_whole(name, getattr(self, name), 0)
        if self.right not in RIGHT:
            raise ValueError(f"right: expected {' or '.join(RIGHT)}, got {self.right}")

    def flaw(self, trajectory: Trajectory) -> str:
        """Returns why an episode is not kept, in a few words, or ""."""
        outcome = outcome_flaw(trajectory) or (_dimension_flaw(trajectory) if self.right != RIGHT[0] else "")
        return outcome or self._course_flaw(trajectory) or self._text_flaw(trajectory)

    def _course_flaw(self, trajectory: Trajectory) -> str:
        made = look_keys(trajectory)
        if len(made) < self.min_looks:
            return f"fewer than {self.min_looks} looks"
        if self.max_turns and len(trajectory.turns) > self.max_turns:
            return f"more than {self.max_turns} turns"
        if not self.refusals and any(turn.error for turn in trajectory.turns):
            return "a refused call"
        return "the same look again" if len(set(made)) < len(made) else ""

    def _text_flaw(self, trajectory: Trajectory) -> str:
        texts = [turn.reply.text for turn in trajectory.turns]
        if any(len(text) > LONGEST_REPLY for text in texts):
            return "a reply too long"
        thoughts = [turn.parsed.thought.strip() for turn in trajectory.turns]
        if self.thoughts and not all(thoughts):
            return "a turn without a thought"
        if len(thoughts) > 2 and len(set(thoughts)) < len(thoughts) - 1:
            return "the same thought again"
        return "a reply caught in a loop" if any(map(_loops, texts)) else ""


def sift(trajectories: Iterable[Trajectory], sieve: Sieve) -> tuple[list[Trajectory], Counter[str]]:
    """Splits episodes into those that are kept, in their order, and counts of all others by reason.

    Of episodes of one task with the same looks, the first one is kept.
    """
    kept: list[Trajectory] = []
    rejected: Counter[str] = Counter()
    courses: dict[str, set[tuple[str, ...]]] = {}
    for trajectory in trajectories:
        known = courses.setdefault(trajectory.task.id, set())
        course = look_keys(trajectory)
        flaw = sieve.flaw(trajectory) or ("a duplicate" if course in known else "")
        flaw = flaw or ("more of a task than wanted" if sieve.per_task and len(known) >= sieve.per_task else "")
        if flaw:
            rejected[flaw] += 1
        else:
            known.add(course)
            kept.append(trajectory)
    return kept, rejected


def look_keys(trajectory: Trajectory) -> tuple[str, ...]:
    """Returns the calls of an episode but for those that end it, each as text, with boxes on a coarse grid."""
    calls = (turn.parsed.call for turn in trajectory.turns)
    return tuple(f"{call.tool} {_coarse(call.args)}" for call in calls if call.tool not in ENDING_TOOLS)


def _coarse(value: object) -> object:
    if isinstance(value, float) and math.isfinite(value):
        return round(value * LOOK_GRID)
    if isinstance(value, dict):
        return {key: _coarse(value[key]) for key in sorted(value)}
    return [_coarse(each) for each in value] if isinstance(value, list | tuple) else value


def outcome_flaw(trajectory: Trajectory) -> str:
    """Returns why an episode is not right, in a few words, or ""."""
    if trajectory.stop == "error":
        return "failed"
    if trajectory.verdict == "correct":
        return ""
    if trajectory.verdict == "wrong":
        return "wrong" if trajectory.stop in ("answered", "located") else f"no answer ({trajectory.stop})"
    return "not judged"


def _dimension_flaw(trajectory: Trajectory) -> str:
    if not trajectory.task.origin.get("dimensions"):
        return "a task without dimensions"
    return "" if dimensions_agree(trajectory) == 1.0 else "wrong in a dimension"


def _loops(text: str) -> bool:
    words, (length, often) = text.split(), LOOP
    phrases = Counter(tuple(words[at : at + length]) for at in range(len(words) - length + 1))
    return any(count >= often for count in phrases.values())
