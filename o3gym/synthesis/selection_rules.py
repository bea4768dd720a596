"""Rules that decide which tasks are selected: the form of a task, and how often policies answer it correctly."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from o3gym.geometry import area
from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.types import Stop, Task, TaskKind, Trajectory

NO_TOOL = "no_tool"
"""The control under which a policy has no tools and sees only the pictures that are shown at reset."""
ANSWERED_STOPS: tuple[Stop, ...] = ("answered", "located")
"""How episodes stop that ended with an answer."""
SelectionOutcome: TypeAlias = Literal["kept", "dropped", "unsure"]


@dataclass(frozen=True)
class Tries:
    """How the tries of one policy at one task ended.

    Attributes:
        right, wrong: number of tries with a verdict.
        failed: number of tries without one, because the judge or the policy's server failed.
        looked: number of tries in which a call showed something.
        unanswered: number of wrong tries that ended without an answer, for example because all turns went into calls
            that the control forbids. Such a try says little about whether the policy could see the answer.
    """

    right: int = 0
    wrong: int = 0
    failed: int = 0
    looked: int = 0
    unanswered: int = 0

    @classmethod
    def of(cls, trajectories: Iterable[Trajectory]) -> Tries:
        """Counts the episodes of one task."""
        played = list(trajectories)
        right, wrong = (sum(one.verdict == verdict for one in played) for verdict in ("correct", "wrong"))
        looked = sum(any(turn.views for turn in one.turns) for one in played)
        unanswered = sum(one.verdict == "wrong" and one.stop not in ANSWERED_STOPS for one in played)
        return cls(right, wrong, len(played) - right - wrong, looked, unanswered)

    @property
    def tries(self) -> int:
        """The number of tries."""
        return self.right + self.wrong + self.failed

    @property
    def pattern(self) -> str:
        """Returns "right" or "wrong" if every try is, "mixed" if some are right and some wrong, otherwise "unsure"."""
        if self.right and self.wrong:
            return "mixed"
        if self.failed or not self.right + self.wrong:
            return "unsure"
        return "right" if self.right else "wrong"


@dataclass(frozen=True)
class ArmRule:
    """Keeps tasks that an arm answers correctly in `low` to `high` of its tries.

    Attributes:
        arm: spec of the policy, with its control: "openai:MODEL+no_tool".
        low, high: smallest and largest number of correct tries.
    """

    arm: str
    low: int
    high: int

    def outcome(self, tries: Tries) -> SelectionOutcome:
        """Returns whether a task is kept; "unsure" if that depends on tries that failed."""
        most = tries.right + tries.failed
        if most < self.low or tries.right > self.high:
            return "dropped"
        return "kept" if self.low <= tries.right and most <= self.high else "unsure"


@dataclass(frozen=True)
class TaskForm:
    """Keeps tasks of a form.

    The rules are ours. A smallest side of 28 pixels suits Qwen2.5-VL, whose visual tokens cover 28 × 28 pixels; data
    that DeepEyes (arXiv 2505.14362) released has smaller pictures, of which verl's recipe warns. Open-ended questions
    are selected by their kind; no question is rewritten.

    Attributes:
        kinds: kinds of tasks; empty for all.
        min_side, max_side: shortest and longest side in pixels that a picture may have; 0 for any.

    Raises:
        ValueError: `min_side` is above `max_side`.
    """

    kinds: tuple[TaskKind, ...] = ()
    min_side: int = 0
    max_side: int = 0

    def __post_init__(self) -> None:
        if self.max_side and self.min_side > self.max_side:
            raise ValueError(f"min_side: expected at most max_side, {self.max_side}, got {self.min_side}")

    @property
    def restricts(self) -> bool:
        """Whether any task could be left out."""
        return self != TaskForm()

    def flaw(self, task: Task) -> str:
        """Returns why a task does not have the form, in a few words, or ""."""
        if self.kinds and task.kind not in self.kinds:
            return f"kind {task.kind}"
        if not self.min_side and not self.max_side:
            return ""
        try:
            sizes = [shared_store().size(source) for source in task.sources if source.duration is None]
        except PictureError:
            return "a picture that cannot be read"
        if any(min(size) < self.min_side for size in sizes):
            return f"a side below {self.min_side} px"
        too_long = self.max_side and any(max(size) > self.max_side for size in sizes)
        return f"a side above {self.max_side} px" if too_long else ""


@dataclass(frozen=True)
class Selection:
    """Keeps the tasks that have a form and fulfil the rules of all arms.

    Attributes:
        rules: the rules, with a different arm each.
        k: number of tries of each arm.
        form: see `TaskForm`.

    Raises:
        ValueError: there is nothing to select by, an arm occurs twice, or the numbers of a rule do not fit k.
    """

    rules: tuple[ArmRule, ...] = ()
    k: int = 1
    form: TaskForm = TaskForm()

    def __post_init__(self) -> None:
        if not self.rules and not self.form.restricts:
            raise ValueError("expected at least one rule or a form to select by, got none")
        arms = [rule.arm for rule in self.rules]
        for rule in self.rules:
            if arms.count(rule.arm) > 1:
                raise ValueError(f"{rule.arm}: expected one rule per arm, got {arms.count(rule.arm)}")
            if not 0 <= rule.low <= rule.high <= self.k:
                raise ValueError(f"{rule.arm}: expected 0 ≤ LOW ≤ HIGH ≤ k = {self.k}, got {rule.low}..{rule.high}")

    def outcome(self, tries: Iterable[Tries]) -> SelectionOutcome:
        """Returns what becomes of a task, given the tries of each arm in the order of the rules."""
        outcomes = [rule.outcome(found) for rule, found in zip(self.rules, tries, strict=True)]
        if "dropped" in outcomes:
            return "dropped"
        return "unsure" if "unsure" in outcomes else "kept"


def target_share(task: Task) -> float | None:
    """Returns the share of its picture that the smallest target box of a task covers; None without boxes."""
    return min((area(target.box) for target in task.targets), default=None)
