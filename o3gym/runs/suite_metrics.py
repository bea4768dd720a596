"""Metrics that a suite's publication reports besides accuracy, aggregated in the same way.

A measure extracts what it needs from each episode (`read`), so that a run of any length is read once, and aggregates
that into named metrics (`total`). Shares are in per cent. Failures (episodes that stopped with an error, and those
whose judge failed) are left out unless a measure states otherwise. A metric is None if no episode contributes to it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, TypeAlias

from o3gym.geometry import coverage, from_pixels, iou, is_box
from o3gym.judges.answers import read_letter, read_yes_no
from o3gym.judges.released import read_unless_no
from o3gym.runs.coverage import looks
from o3gym.types import Box, Trajectory

Numbers: TypeAlias = dict[str, float | None]

SEEN_SHARE = 0.5
"""Share of a region's area that one view must cover for the region to count as seen. Ours; O3-Bench defines none."""
LOOKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Numbers of requested views after which the share of regions seen is reported."""
_BOX = re.compile(r"<box>\s*\[([-\d.,\s]{1,80})\]\s*</box>")
_AUTHORS_BOX = re.compile(r"<box>\s*\[(\d{1,9},\d{1,9},\d{1,9},\d{1,9})\]")
"""What TreeBench's authors read: whole numbers without spaces. Whatever follows them up to `</box>` is ignored."""


@dataclass(frozen=True)
class Measure:
    """The metrics of a suite, as a pair of functions.

    Attributes:
        read: extracts from a settled episode what `total` needs.
        total: aggregates the extracts of an arm's episodes into named metrics.
        unjudged: whether `total` also takes the episodes whose judge failed, because the publication counts them.
    """

    read: Callable[[Trajectory], Any]
    total: Callable[[Sequence[Any]], Numbers]
    unjudged: bool = False

    def counts(self, stop: str, verdict: str) -> bool:
        """Whether `total` takes an episode that ended in this way."""
        return stop != "error" and (self.unjudged or verdict != "failed")


def percent(values: Iterable[float | bool | None]) -> float | None:
    """The mean of the known values, times 100; None if no value is known."""
    known = [float(value) for value in values if value is not None]
    return 100 * fmean(known) if known else None


def _scoring(trajectory: Trajectory) -> str:
    """The owner of the released scoring rule that the suite was opened with; "" for its own."""
    return str(trajectory.task.origin.get("scoring", ""))


def tagged(*names: str) -> Callable[[Trajectory], tuple[Any, ...]]:
    """A `read` function that extracts the verdict and the task's tags with these names."""
    return lambda trajectory: (trajectory.right, *(trajectory.task.tags.get(name, "") for name in names))


# ── hrbench ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _over_orders(read: Sequence[tuple[bool | None, str, str]]) -> float | None:
    orders: dict[str, list[bool | None]] = defaultdict(list)
    for right, _, order in read:
        orders[order].append(right)
    means = [mean for mean in map(percent, orders.values()) if mean is not None]
    return fmean(means) if means else None


def _hrbench(read: Sequence[tuple[bool | None, str, str]]) -> Numbers:
    """The mean over the stored option orders, for single-instance tasks (FSP), cross-instance tasks (FCP) and all.

    Source: open-compass/VLMEvalKit, `HRBenchDataset`.
    """
    named = (("FSP %", "single"), ("FCP %", "cross"))
    parts: Numbers = {name: _over_orders([item for item in read if item[1] == kind]) for name, kind in named}
    return {**parts, "all %": _over_orders(read)}


hrbench = Measure(tagged("category", "cycle"), _hrbench)


# ── treebench ───────────────────────────────────────────────────────────────────────────────────────────────────────


def written_boxes(trajectory: Trajectory) -> list[Box]:
    """The boxes that the replies state as "<box>[x0, y0, x1, y1]</box>", in unit xyxy of the first picture.

    The written numbers are pixels of that picture as displayed to the model. With `scoring="authors"`, they must be
    whole and without spaces, as in Haochen-Wang409/TreeVGR@4823ad8, inference_treebench.py, `compute_box_iou`.
    """
    size, found = trajectory.views[0].shown, []
    pattern = _AUTHORS_BOX if _scoring(trajectory) == "authors" else _BOX
    for turn in trajectory.turns:
        for numbers in pattern.findall(turn.reply.text):
            try:
                box = [float(number) for number in numbers.split(",")]
            except ValueError:
                continue
            if is_box(box):
                found.append(from_pixels(box, size))
    return found


def _best(targets: Sequence[Box], boxes: Sequence[Box]) -> float | None:
    return fmean(max((iou(box, target) for box in boxes), default=0.0) for target in targets) if targets else None


def _treebench_read(trajectory: Trajectory) -> tuple[float | None, float | None]:
    targets = [target.box for target in trajectory.task.targets if target.source == 0]
    seen = [box for _, source, box in looks(trajectory) if source == 0]
    return _best(targets, written_boxes(trajectory)), _best(targets, seen)


def _treebench(read: Sequence[tuple[float | None, float | None]]) -> Numbers:
    """The mean over the evidence boxes of the best IoU with a box stated in the replies, and with a requested view.

    Superfluous boxes cost nothing. The first metric is the paper's; a policy that states no boxes has only the second.
    Source: Haochen-Wang409/TreeVGR@4823ad8, inference_treebench.py.
    """
    return {
        "mIoU of stated boxes %": percent(stated for stated, _ in read),
        "mIoU of looks %": percent(looked for _, looked in read),
    }


treebench = Measure(_treebench_read, _treebench)


# ── mme_realworld ───────────────────────────────────────────────────────────────────────────────────────────────────


def _mme_realworld_read(trajectory: Trajectory) -> tuple[bool | None, str, bool]:
    task = trajectory.task
    letter = read_letter(trajectory.answer, task.letters or "ABCDE", task.choices)[0]
    return trajectory.right, task.tags.get("ability", ""), letter == "E"


def _mme_realworld(read: Sequence[tuple[bool | None, str, bool]]) -> Numbers:
    """Accuracy on both abilities, and the share of answers E ("not in the picture").

    Source: EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/mme_realworld/utils.py.
    """
    abilities = ("perception", "reasoning")
    parts: Numbers = {f"{name} %": percent(right for right, kind, _ in read if kind == name) for name in abilities}
    return {**parts, "answered E %": percent(chose for _, _, chose in read)}


mme_realworld = Measure(_mme_realworld_read, _mme_realworld)


# ── o3_bench ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _o3_bench_read(trajectory: Trajectory) -> tuple[float, ...]:
    """The share of the task's regions seen after each requested view."""
    targets = [target.box for target in trajectory.task.targets if target.source == 0]
    found: set[int] = set()
    shares = []
    for _, source, box in looks(trajectory):
        if source == 0:
            found |= {i for i, target in enumerate(targets) if coverage(box, target) >= SEEN_SHARE}
        shares.append(len(found) / max(1, len(targets)))
    return tuple(shares)


def _o3_bench(read: Sequence[tuple[float, ...]]) -> Numbers:
    """The share of the question's regions seen within a number of requested views, mean over episodes.

    An episode that ended earlier counts with its final share.
    """
    most = max(map(len, read), default=0)
    steps = [step for step in LOOKS if step < most] + [most] * (most > 0)
    return {
        f"regions seen in {step} look{'s' * (step > 1)} %": percent(
            shares[:step][-1] if shares else 0.0 for shares in read
        )
        for step in steps
    }


o3_bench = Measure(_o3_bench_read, _o3_bench)


# ── charxiv ─────────────────────────────────────────────────────────────────────────────────────────────────────────


FAILED_SCORE = {"authors": 0.0, "lmms-eval": -1.0}
"""The score that each released scoring of CharXiv gives a failed verdict."""


def _charxiv_read(trajectory: Trajectory) -> float | None:
    if trajectory.verdict == "failed" and trajectory.stop != "error" and _scoring(trajectory) in FAILED_SCORE:
        return FAILED_SCORE[_scoring(trajectory)]
    right = trajectory.right
    return None if right is None else float(right)


def _charxiv(read: Sequence[float | None]) -> Numbers:
    """The mean score. Released scorings count a failed verdict: the authors as 0, lmms-eval as −1.

    Sources: princeton-nlp/CharXiv@54d3279, src/get_stats.py; EvolvingLMMs-Lab/lmms-eval 0.7.3,
    lmms_eval/tasks/charxiv/utils.py.
    """
    return {"score %": percent(read)}


charxiv = Measure(_charxiv_read, _charxiv, unjudged=True)


# ── mme ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mme_read(trajectory: Trajectory) -> tuple[bool | None, str, tuple[str, int]]:
    tags = trajectory.task.tags
    return trajectory.right, tags.get("category", ""), (tags.get("pair", ""), trajectory.sample)


def _mme(read: Sequence[tuple[bool | None, str, tuple[str, int]]]) -> Numbers:
    """Per category, 100 × (accuracy + share of pictures with both answers correct), at most 200; and their sum.

    A picture is left out if one of its two questions was not asked or has no verdict. The sum, at most 800, needs a
    picture in each of the four categories. Source: Fu et al. 2023, "MME", section 2.2; lmms-eval 0.7.3.
    """
    pairs: dict[str, dict[tuple[str, int], list[bool | None]]] = defaultdict(lambda: defaultdict(list))
    for right, category, pair in read:
        pairs[category][pair].append(right)
    scores = {category: _pair_score(list(found.values())) for category, found in sorted(pairs.items())}
    known = [score for score in scores.values() if score is not None]
    numbers: Numbers = {f"{category} (of 200)": score for category, score in scores.items()}
    return {**numbers, "acc + acc⁺ (of 800)": sum(known) if len(known) == 4 else None}


def _pair_score(pairs: Sequence[Sequence[bool | None]]) -> float | None:
    whole = [pair for pair in pairs if len(pair) == 2 and None not in pair]
    return 100 * fmean(sum(map(bool, pair)) / 2 + all(pair) for pair in whole) if whole else None


mme = Measure(_mme_read, _mme)


# ── pope ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pope_read(trajectory: Trajectory) -> tuple[bool | None, str, str, str]:
    scoring = _scoring(trajectory)
    read = read_unless_no if scoring == "authors" else read_yes_no
    predicted = trajectory.answer.strip().lower() if scoring == "lmms-eval" else read(trajectory.answer)
    return trajectory.right, trajectory.task.answer, predicted, scoring


def _pope(read: Sequence[tuple[bool | None, str, str, str]]) -> Numbers:
    """Precision, recall and F1 of the class "yes", and the share of "yes".

    An answer that is neither yes nor no counts as a false negative if the truth is "yes". lmms-eval counts it only
    against accuracy and not against recall, and its share of "yes" is that of the ground truth; the authors read every
    answer as one of the two. Sources: AoiDragon/POPE@f3ec604, evaluate.py; EvolvingLMMs-Lab/lmms-eval 0.7.3,
    lmms_eval/tasks/pope/utils.py.
    """
    kept = [
        (truth, predicted, scoring == "lmms-eval") for right, truth, predicted, scoring in read if right is not None
    ]
    hits = sum(truth == predicted == "yes" for truth, predicted, _ in kept)
    false_alarms = sum(truth == "no" and predicted == "yes" for truth, predicted, _ in kept)
    misses = sum(
        truth == "yes" and (predicted == "no" if harness else predicted != "yes") for truth, predicted, harness in kept
    )
    precision, recall = (hits / (hits + other) if hits + other else 0.0 for other in (false_alarms, misses))
    shares = [(truth if harness else predicted) == "yes" for truth, predicted, harness in kept]
    return {
        "precision %": 100 * precision if kept else None,
        "recall %": 100 * recall if kept else None,
        "F1 %": (200 * precision * recall / (precision + recall) if hits else 0.0) if kept else None,
        "yes %": percent(shares),
    }


pope = Measure(_pope_read, _pope)


# ── mmstar ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mmstar(read: Sequence[tuple[bool | None, str]]) -> Numbers:
    """The mean over subtasks of their accuracy, whereas the report's `accuracy` is the mean over questions.

    Source: EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/mmstar/utils.py.
    """
    subtasks: dict[str, list[bool | None]] = defaultdict(list)
    for right, subtask in read:
        subtasks[subtask].append(right)
    means: Mapping[str, float | None] = {name: percent(found) for name, found in subtasks.items()}
    known = [mean for mean in means.values() if mean is not None]
    return {"mean over subtasks %": fmean(known) if known else None}


mmstar = Measure(tagged("subtask"), _mmstar)
