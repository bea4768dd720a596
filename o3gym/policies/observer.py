"""`observer`: says what it sees and what is missing, then acts, as demonstrations of Simple-o3's cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from o3gym.calls import crop, reuse, zoom
from o3gym.geometry import apply_affine, area, center, coverage, pad, surround
from o3gym.policies.detour import ninth_of
from o3gym.policies.dialogue import Privileged
from o3gym.policies.scripted import SHARP, Oracle, true_call, wanted
from o3gym.types import FULL, Box, Call, Target, Task, View

CONTAINED = 0.9
"""Share of a target's area that a view must contain to show the target."""
SMALL_SHARE = 0.02
"""Share of the picture below which a target is called small (ours)."""
READABLE_SIDE = 24
"""Minimum length, in shown pixels, of the shorter side of a target whose details can be told (ours)."""
SNUG, SNUG_LIMIT = 1.1, 0.1
"""Size of a region with a narrow margin, as a multiple of its target's, and share of the picture from which a region
with a wide one would be too large (ours)."""
MOST_ZOOM = 16.0
"""Largest factor of the tool."""
UNNAMED = "the spot in question"
"""Stands for a target that the question does not name, if there is only one."""
ORDINALS = ("first", "second", "third", "fourth", "fifth")
"""Tell several such targets apart."""
OTHER = "the next spot in question"
"""Stands for such a target after those."""

SIGHTS: Mapping[str, Sequence[str]] = {
    "start": (
        "I see the whole picture; {it} is {where}, but small.",
        "This is the whole picture. {It} takes up only a small part of it, {where}.",
        "{Where}, I make out {it}, though not in detail.",
    ),
    "start large": (
        "I see the whole picture; {it} is {where}.",
        "This is the whole picture, with {it} {where}.",
    ),
    "overview": ("I see the whole picture.", "This is the whole picture as it was given."),
    "marked": (
        "The red box is around {it}, which has kept its size.",
        "I see the same picture with a box around {it}.",
    ),
    "part": ("Now I see the area of {it} alone.", "This is the part of the picture that holds {it}."),
    "clear": ("{It} is clear now.", "Here I can make out {it} in detail.", "Now the details of {it} can be told."),
    "again": ("Here is the whole picture once more.", "The original picture is before me again."),
    "missed": ("This does not show {it}.", "I do not see {it} here."),
    "refused": ("That call was refused, so it has shown me nothing.", "The call did not work."),
}
"""Sentences about the last observation, by its kind."""
NEEDS: Mapping[str, Sequence[str]] = {
    "focus": ("I still need a view of {it}.", "What I need next is {it} itself."),
    "zoom": ("I still need its details, for which it is too small here.", "I still need the details of {it}."),
    "reuse": ("I still need to know how this lies in its surroundings.", "I still need to compare this with the rest."),
    "answer": ("I need nothing more.", "That is everything that the question needs."),
}
"""Sentences about what is missing, by the act that provides it."""
ACTS: Mapping[str, Sequence[str]] = {
    "focus": ("Let me focus on the area of {it} {where}.", "I will focus on {it}, {where}."),
    "zoom": ("Let me zoom in on {it}.", "I will enlarge the picture around {it}."),
    "reuse": ("Let me look at the original picture again.", "I will show the original once more."),
    "answer": ("The answer is {reading}.", "So the answer is {reading}."),
}
"""Sentences that announce an act."""


class _Step(NamedTuple):
    """The next act, a key of `ACTS`, and the target that it is about, as an index; beyond the last one for none."""

    act: str
    target: int


class _Spot(NamedTuple):
    """How thoughts name a target, and its place, such as "at the top left"."""

    name: str
    where: str


class Observer(Oracle):
    """An oracle that says what it sees, what is missing, and what it does about it, before each of its calls.

    It takes the targets in order. It focuses on the area of each (`crop`), and zooms in if no view shows the target in
    detail: at half its native width or more, and with 24 pixels on its shorter side. Where turns are short, it zooms in
    at once. If there are several targets, or nothing to look with, it shows the original picture again (`reuse`) before
    it answers. Tools that are not enabled are left out. It names a target only if the question does, because the label
    of another one may be what has to be read.

    Unlike `detour`, it can judge views with a box drawn on them (`focus="draw"`), where focusing shows no detail and
    the zoom has to. In videos it acts like the oracle.

    The sentences and the choice of tools are our own: no chains of Simple-o3 (arXiv 2508.12109) were released.
    """

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns the next act of the cycle, or the answer."""
        if any(source.duration is not None for source in privileged.task.sources):
            return super().choose(privileged, rng)
        targets = [target for target in wanted(privileged) if target.source == 0]
        steps = _steps(privileged, targets)
        if privileged.turns_left <= 1:
            steps[-1] = steps[-1]._replace(act="answer")  # with a target of its own: something may be missing
        return _call(privileged, targets, steps[-1]), _thought(privileged, targets, steps, rng)


def _steps(privileged: Privileged, targets: Sequence[Target]) -> list[_Step]:
    """Returns the steps of the turns so far and the one after them, replayed from the views that each turn added."""
    steps = [_approach(privileged, targets, 0, 0)]
    for turn in range(privileged.turn):
        shown = [privileged.views[index] for indices in privileged.brought[: turn + 1] for index in indices]
        steps.append(_following(privileged, targets, steps, shown))
    return steps


def _following(privileged: Privileged, targets: Sequence[Target], steps: Sequence[_Step], shown: list[View]) -> _Step:
    act, at = steps[-1]
    if act in ("reuse", "answer"):
        return _Step("answer", len(targets))
    if act == "focus" and _has(privileged, "zoom") and not any(_detailed(privileged, targets[at], v) for v in shown):
        return _Step("zoom", at)
    return _approach(privileged, targets, at + 1, len(steps))


def _approach(privileged: Privileged, targets: Sequence[Target], at: int, turn: int) -> _Step:
    """Returns the first step towards a target in a given turn; after the last target, the step before the answer."""
    looks = [act for act, tool in (("focus", "crop"), ("zoom", "zoom")) if _has(privileged, tool)]
    left = privileged.turn + privileged.turns_left - turn
    if at < len(targets) and looks:
        needed = len(targets) - at + 1  # one look for each target that is left, and the answer
        return _Step(looks[0] if left > needed else looks[-1], at)
    back = (len(targets) > 1 or not turn) and _has(privileged, "reuse") and left > 1
    return _Step("reuse" if back else "answer", len(targets))


def _has(privileged: Privileged, tool: str) -> bool:
    return tool in privileged.tools and tool in privileged.dialect.tools


def _call(privileged: Privileged, targets: Sequence[Target], step: _Step) -> Call:
    if step.act == "reuse":
        return reuse()
    if step.act == "answer":
        return true_call(privileged)
    box = _frame(privileged, targets[step.target].box)
    return crop(box) if step.act == "focus" else zoom(center(box), _factor(box))


def _frame(privileged: Privileged, box: Box) -> Box:
    """Returns the region to look at for a target: with a wide margin, unless it is large or a zoom shows no detail."""
    wide, overview = surround(box), privileged.views[0]
    sharp = overview.shown[0] * _factor(wide) >= SHARP * overview.native[0]
    return wide if sharp and area(wide) < SNUG_LIMIT else pad(box, SNUG)


def _factor(box: Box) -> float:
    """Returns the largest factor, to a tenth, with which a zoom on the middle of a box still shows all of it."""
    fits = 1.0 / max(box[2] - box[0], box[3] - box[1])
    return float(np.floor(min(max(fits, 1.0), MOST_ZOOM) * 10) / 10)


def _detailed(privileged: Privileged, target: Target, view: View) -> bool:
    """Whether a view shows a target whole and in detail."""
    region = _region(privileged, view)
    if region is None or coverage(region, target.box) < CONTAINED:
        return False
    sides = (target.box[2] - target.box[0], target.box[3] - target.box[1])
    spans = (region[2] - region[0], region[3] - region[1])
    pixels = min(side / span * shown for side, span, shown in zip(sides, spans, view.shown, strict=True))
    return pixels >= READABLE_SIDE and view.shown[0] >= SHARP * view.native[0]


def _region(privileged: Privileged, view: View) -> Box | None:
    """Returns what a view shows, as unit xyxy of the task's first picture; None if it shows something else.

    Pictures with a box drawn on them show what they were drawn on; other derived pictures, such as blanked ones, do
    not.
    """
    source, box, first = privileged.sources[view.source], view.box, privileged.sources[0]
    while source != first:
        if source.parent is None or source.affine is None or source.ref != "draw":
            return None
        box, source = apply_affine(source.affine, box), source.parent
    return box


def _thought(
    privileged: Privileged, targets: Sequence[Target], steps: Sequence[_Step], rng: np.random.Generator
) -> str:
    """Writes a thought: the last observation, what is missing, and the next act."""
    (act, at), reading = steps[-1], _reading(privileged.task)
    spots = _spots(targets, privileged.task)
    sight, seen = _sight(privileged, targets, steps)
    sentences = [_about(rng, SIGHTS[sight], spots[seen], reading)]
    if act != "answer" or at == len(targets):
        first = act == "zoom" and steps[-2:-1] != [_Step("focus", at)]
        sentences.append(_about(rng, NEEDS["focus" if first else act], spots[at], reading))
    sentences.append(_about(rng, ACTS[act], spots[at], reading))
    return " ".join(sentences)


def _sight(privileged: Privileged, targets: Sequence[Target], steps: Sequence[_Step]) -> tuple[str, int]:
    """Returns the kind of the last observation, a key of `SIGHTS`, and the index of the target that it is about."""
    if privileged.turn == 0:
        small = area(targets[0].box) < SMALL_SHARE if targets else False
        return ("start" if small else "start large" if targets else "overview"), 0
    act, at = steps[-2]
    if not privileged.brought[-1]:
        return "refused", at
    if act == "reuse":
        return "again", at
    view, target = privileged.views[privileged.brought[-1][-1]], targets[at]
    if _detailed(privileged, target, view):
        return "clear", at
    region = _region(privileged, view)
    if region is None or coverage(region, target.box) < CONTAINED:
        return "missed", at
    return ("marked" if view.source else "again" if region == FULL else "part"), at


def _about(rng: np.random.Generator, choice: Sequence[str], spot: _Spot, reading: str) -> str:
    text, it = choice[int(rng.integers(len(choice)))], spot.name
    values = {"it": it, "It": it[:1].upper() + it[1:], "where": spot.where, "Where": spot.where.capitalize()}
    return text.format(**values, reading=reading)


def _spots(targets: Sequence[Target], task: Task) -> list[_Spot]:
    """Returns name and place of each target, and after the last one those of the picture as a whole."""
    unnamed = [at for at, target in enumerate(targets) if not _name(target, task)]
    ordinals = dict(zip(unnamed, (f"the {word} spot in question" for word in ORDINALS), strict=False))
    names = [
        _name(t, task) or (ordinals.get(at, OTHER) if len(unnamed) > 1 else UNNAMED) for at, t in enumerate(targets)
    ]
    places = [ninth_of(target.box) for target in targets]
    spots = [
        _Spot(name, f"{'in' if at == 'middle' else 'at'} the {at}") for name, at in zip(names, places, strict=True)
    ]
    return [*spots, _Spot(UNNAMED, "in the picture")]


def _name(target: Target, task: Task) -> str:
    """Returns a target's label with an article, or in quotes if it is a proper name; "" if the question lacks it."""
    label = target.label
    if not label or label.casefold() not in task.question.casefold():
        return ""
    if label.startswith(("the ", "a ", "an ")):
        return label
    return f"the {label}" if label[0].islower() else f'"{label}"'


def _reading(task: Task) -> str:
    """Returns the answer in words: of an option, its text and its letter."""
    if task.kind == "box":
        return "its box"
    if task.kind == "choice" and task.answer in task.letters:
        return f"{task.choices[list(task.letters).index(task.answer)]}, option {task.answer}"
    return task.answer or "known"
