"""What a suite's reports say besides accuracy: the published measures that accuracy alone does not give.

A measure reads what it needs of each episode (`read`, so that a run of any length is gone through once), and makes
named numbers of what it has read (`total`). Shares are per cent. Episodes without a verdict, whose judge failed, are
left out where the measure does not say otherwise; `None` stands for a number that no episode speaks of.
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
from o3gym.runs.coverage import looks
from o3gym.types import Box, Trajectory

Numbers: TypeAlias = dict[str, float | None]

SEEN_SHARE = 0.5
"""Share of a region's area that one look must cover for it to be seen. Ours: O3-Bench names none."""
LOOKS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Numbers of looks after which the regions seen are reported."""
_BOX = re.compile(r"<box>\s*\[([-\d.,\s]{1,80})\]\s*</box>")


@dataclass(frozen=True)
class Measure:
    """Two functions.

    Attributes:
        read: what is kept of a settled episode.
        total: named numbers from what was kept of all episodes of an arm.
    """

    read: Callable[[Trajectory], Any]
    total: Callable[[Sequence[Any]], Numbers]


def _percent(values: Iterable[float | bool | None]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return 100 * fmean(known) if known else None


def _official(trajectory: Trajectory) -> bool:
    return trajectory.task.origin.get("scoring") == "official"


def _tagged(*names: str) -> Callable[[Trajectory], tuple[Any, ...]]:
    """Reads the verdict and these tags."""
    return lambda trajectory: (trajectory.right, *(trajectory.task.tags.get(name, "") for name in names))


# ── hrbench ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _over_orders(read: Sequence[tuple[bool | None, str, str]]) -> float | None:
    orders: dict[str, list[bool | None]] = defaultdict(list)
    for right, _, order in read:
        orders[order].append(right)
    means = [mean for mean in map(_percent, orders.values()) if mean is not None]
    return fmean(means) if means else None


def _hrbench(read: Sequence[tuple[bool | None, str, str]]) -> Numbers:
    """The mean over the stored orders of the options, for single things (FSP), several (FCP) and all.

    Source: open-compass/VLMEvalKit, `HRBenchDataset`.
    """
    named = (("FSP %", "single"), ("FCP %", "cross"))
    parts: Numbers = {name: _over_orders([item for item in read if item[1] == kind]) for name, kind in named}
    return {**parts, "all %": _over_orders(read)}


hrbench = Measure(_tagged("category", "cycle"), _hrbench)


# ── treebench ───────────────────────────────────────────────────────────────────────────────────────────────────────


def written_boxes(trajectory: Trajectory) -> list[Box]:
    """Boxes that the replies state as "<box>[x0, y0, x1, y1]</box>", in pixels of the first picture as it was shown."""
    size, found = trajectory.views[0].shown, []
    for turn in trajectory.turns:
        for numbers in _BOX.findall(turn.reply.text):
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
    """The mean over the boxes of the evidence of the best IoU: of boxes that the replies state, and of looks.

    Extra boxes cost nothing. The first is the paper's; a policy that states no boxes has only the second.
    Source: Haochen-Wang409/TreeVGR, evaluation of TreeBench.
    """
    return {
        "mIoU of stated boxes %": _percent(stated for stated, _ in read),
        "mIoU of looks %": _percent(looked for _, looked in read),
    }


treebench = Measure(_treebench_read, _treebench)


# ── mme_realworld ───────────────────────────────────────────────────────────────────────────────────────────────────


def _mme_realworld_read(trajectory: Trajectory) -> tuple[bool | None, str, bool]:
    task = trajectory.task
    letter = read_letter(trajectory.answer, task.letters or "ABCDE", task.choices)[0]
    return trajectory.right, task.tags.get("ability", ""), letter == "E"


def _mme_realworld(read: Sequence[tuple[bool | None, str, bool]]) -> Numbers:
    """Accuracy of the two abilities, and how often E ("not in the picture") was answered.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme_realworld/utils.py.
    """
    abilities = ("perception", "reasoning")
    parts: Numbers = {f"{name} %": _percent(right for right, kind, _ in read if kind == name) for name in abilities}
    return {**parts, "answered E %": _percent(chose for _, _, chose in read)}


mme_realworld = Measure(_mme_realworld_read, _mme_realworld)


# ── o3_bench ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _o3_bench_read(trajectory: Trajectory) -> tuple[float, ...]:
    """Share of the regions seen after each look."""
    targets = [target.box for target in trajectory.task.targets if target.source == 0]
    found: set[int] = set()
    shares = []
    for _, source, box in looks(trajectory):
        if source == 0:
            found |= {i for i, target in enumerate(targets) if coverage(box, target) >= SEEN_SHARE}
        shares.append(len(found) / max(1, len(targets)))
    return tuple(shares)


def _o3_bench(read: Sequence[tuple[float, ...]]) -> Numbers:
    """Share of the regions that a question needs that were seen within so many looks, mean over episodes.

    An episode that ended sooner keeps what it had seen.
    """
    most = max(map(len, read), default=0)
    steps = [step for step in LOOKS if step < most] + [most] * (most > 0)
    return {
        f"regions seen in {step} look{'s' * (step > 1)} %": _percent(
            shares[:step][-1] if shares else 0.0 for shares in read
        )
        for step in steps
    }


o3_bench = Measure(_o3_bench_read, _o3_bench)


# ── charxiv ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _charxiv_read(trajectory: Trajectory) -> float | None:
    if _official(trajectory) and trajectory.verdict == "failed":
        return -1.0
    right = trajectory.right
    return None if right is None else float(right)


def _charxiv(read: Sequence[float | None]) -> Numbers:
    """The mean score; with official scoring a verdict that failed is −1 in it.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/charxiv/reasoning_utils.py.
    """
    return {"score %": _percent(read)}


charxiv = Measure(_charxiv_read, _charxiv)


# ── mme ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mme_read(trajectory: Trajectory) -> tuple[bool | None, str, tuple[str, int]]:
    tags = trajectory.task.tags
    return trajectory.right, tags.get("category", ""), (tags.get("pair", ""), trajectory.sample)


def _mme(read: Sequence[tuple[bool | None, str, tuple[str, int]]]) -> Numbers:
    """Per category 100 × (accuracy + share of pictures with both answers right), and their sum, of 800 in all.

    Pictures of which one question was not asked, or has no verdict, are left out; the sum stands only where each of the
    four categories has some. Source: Fu et al. 2023, "MME", section 2.2; lmms-eval, tasks/mme/utils.py.
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


def _pope_read(trajectory: Trajectory) -> tuple[bool | None, str, str, bool]:
    official = _official(trajectory)
    said = trajectory.answer.strip().lower() if official else read_yes_no(trajectory.answer)
    return trajectory.right, trajectory.task.answer, said, official


def _pope(read: Sequence[tuple[bool | None, str, str, bool]]) -> Numbers:
    """Precision, recall and F1 of "yes", and how often it was said.

    What is neither yes nor no misses what is there. With official scoring it does so only in accuracy, not in recall,
    and the share of "yes" is that of the right answers. Source: lmms-eval, tasks/pope/utils.py.
    """
    kept = [(truth, said, official) for right, truth, said, official in read if right is not None]
    hits = sum(truth == said == "yes" for truth, said, _ in kept)
    alarms = sum(truth == "no" and said == "yes" for truth, said, _ in kept)
    missed = sum(truth == "yes" and (said == "no" if official else said != "yes") for truth, said, official in kept)
    precision, recall = (hits / (hits + other) if hits + other else 0.0 for other in (alarms, missed))
    shares = [(truth if official else said) == "yes" for truth, said, official in kept]
    return {
        "precision %": 100 * precision if kept else None,
        "recall %": 100 * recall if kept else None,
        "F1 %": (200 * precision * recall / (precision + recall) if hits else 0.0) if kept else None,
        "yes %": _percent(shares),
    }


pope = Measure(_pope_read, _pope)


# ── mmstar ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mmstar(read: Sequence[tuple[bool | None, str]]) -> Numbers:
    """The mean over subtasks of their accuracies, beside the plain mean over questions that `accuracy` is.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mmstar/utils.py.
    """
    subtasks: dict[str, list[bool | None]] = defaultdict(list)
    for right, subtask in read:
        subtasks[subtask].append(right)
    means: Mapping[str, float | None] = {name: _percent(found) for name, found in subtasks.items()}
    known = [mean for mean in means.values() if mean is not None]
    return {"mean over subtasks %": fmean(known) if known else None}


mmstar = Measure(_tagged("subtask"), _mmstar)
