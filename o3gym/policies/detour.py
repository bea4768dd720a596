"""`detour`: finds the answer by trial and error, as demonstrations for models that should learn to look again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from o3gym.calls import crop, reuse
from o3gym.geometry import area, around, center, clamp, coverage, pad, relative, surround
from o3gym.policies.detour_in_time import choose_clip
from o3gym.policies.dialogue import Privileged
from o3gym.policies.scripted import Oracle, true_call
from o3gym.types import FULL, Box, Call, Target, View

SHOWS = 0.9
"""Share of a target's area that a view must contain to show the target."""
CLOSE = 2.5
"""Maximum area of a close look at a target, as a multiple of the area that the oracle would look at."""
TRIALS = 20
"""Maximum number of random places drawn to find one without a target."""

SEEN_WORDS: Mapping[str, Sequence[str]] = {
    "start": (
        "The picture as a whole is too coarse for this.",
        "I cannot make this out at this size.",
        "Nothing can be read off the overview, so I have to search.",
    ),
    "wrong": (
        "{What} is not here.",
        "That was the wrong place: no {what} in it.",
        "I expected {what} here, but I see something else.",
        "Nothing that helps in this part.",
    ),
    "broad": (
        "{What} seems to be in this part, but it is still too small.",
        "This is the right area; the details are not clear yet.",
        "I think I see {what} here, though I cannot be sure of it.",
    ),
    "overview": (
        "Back at the whole picture.",
        "Here is everything again.",
    ),
    "close": (
        "This shows {what} clearly.",
        "Now I can make out {what}.",
    ),
    "refused": (
        "That call was refused.",
        "This did not work.",
    ),
}
"""Sentences that describe the last observation, by its kind."""
MEANT: Mapping[str, Sequence[str]] = {
    "elsewhere": (
        "Maybe it is at the {where}; let me check there.",
        "I will try the {where}.",
        "The {where} is worth a look.",
    ),
    "broad": (
        "I will look at the larger region at the {where} first.",
        "Let me narrow it down, beginning with the {where}.",
    ),
    "refine": (
        "I will go closer within this view.",
        "Let me zoom in further here.",
    ),
    "close": (
        "I will look closely at the {where}.",
        "Let me zoom in on the {where}.",
    ),
    "back": (
        "I will go back to the whole picture and think again.",
        "Let me look at the original once more.",
    ),
    "answer": (
        "That settles it.",
        "Now I can answer.",
        "I have seen what I need.",
    ),
}
"""Sentences that announce the next call, by its intent."""


class Detour(Oracle):
    """An oracle that makes detours before it gives the right answer.

    A detour looks at a wrong place, goes back to the whole picture, or looks at too large a region and then refines it.
    As long as there are turns to spare, each turn is a detour with probability `p`, at most `max_detours` times in an
    episode. The choice depends on the request alone: the views so far and the request's seed. The thoughts describe
    what the last view showed.

    In videos, a detour looks at a clip of a wrong time, or at a clip that is too long. Where there are no clips, or
    targets without times, the policy acts like the oracle.

    The policy can judge views of the task's own pictures only. If calls show something else (`focus="draw"`, blanked
    crops), it cannot tell what it has found, and answers in the last turn.

    This follows the spirit of Mini-o3, whose cold start imitates traces with trial and error, goal keeping and
    depth-first search (arXiv 2509.07969). Those traces and their exemplars were not released, so the sentences and
    probabilities here are our own.

    Args:
        p: probability of a detour, from 0 to 1.
        max_detours: maximum number of detours in an episode.
    """

    def __init__(self, p: float = 0.5, max_detours: int = 3) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p: expected a probability from 0 to 1, got {p}")
        if max_detours < 0:
            raise ValueError(f"max_detours: expected at least 0, got {max_detours}")
        self.p, self.max_detours = p, max_detours

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns a detour, a look at the next target, or the answer."""
        if any(source.duration is not None for source in privileged.task.sources):
            known = set(privileged.tools) & set(privileged.dialect.tools)
            timed = all(target.time is not None for target in privileged.task.targets)
            in_time = "clip" in known and timed
            return (
                choose_clip(privileged, rng, self.p, self.max_detours) if in_time else super().choose(privileged, rng)
            )
        missing = [target for target in privileged.task.targets if not _found(target, privileged.views)]
        last = _last(privileged)
        if "crop" not in privileged.tools or privileged.turns_left <= 1:
            return true_call(privileged), _thought(rng, last, "answer", _topic(privileged, missing, last), None)
        if self._strays(privileged, missing, last, rng):
            call, intent, box = self._detour(privileged, missing, last, rng)
        elif missing:
            call, intent, box = _approach(privileged, missing[0], last)
        else:
            call, intent, box = true_call(privileged), "answer", None
        return call, _thought(rng, last, intent, _topic(privileged, missing, last), box)

    def _strays(self, privileged: Privileged, missing: Sequence[Target], last: str, rng: np.random.Generator) -> bool:
        """Whether to make a detour now: never once all targets are seen or the last view leads to one."""
        if (privileged.task.targets and not missing) or last == "broad":
            return False
        needed = len(missing) + 1  # one look per missing target, and the answer
        wasted = privileged.turn - (len(privileged.task.targets) - len(missing))  # turns that found no target
        return privileged.turns_left > needed and wasted < self.max_detours and bool(rng.random() < self.p)

    def _detour(
        self, privileged: Privileged, missing: Sequence[Target], last: str, rng: np.random.Generator
    ) -> tuple[Call, str, Box | None]:
        """Returns the detour's call, its intent (a key of `MEANT`) and the box that the thought describes."""
        source = missing[0].source if missing else 0
        if (
            last == "wrong"
            and "reuse" in privileged.tools
            and "reuse" in privileged.dialect.tools
            and rng.random() < 0.5
        ):
            return reuse(source), "back", None
        if missing and rng.random() < 0.5:
            box = pad(surround(missing[0].box), float(rng.uniform(2.5, 5.0)))
            return crop(box, source), "broad", box
        box = _elsewhere(privileged, source, rng)
        return crop(box, source), "elsewhere", box


def _approach(privileged: Privileged, target: Target, last: str) -> tuple[Call, str, Box | None]:
    """Returns a close look at a target.

    It is a crop of the last view if that view shows the target and the dialect can refer to it; otherwise it is a crop
    of the whole picture.
    """
    box, view = surround(target.box), privileged.views[-1]
    if last == "broad" and view.source == target.source and coverage(view.box, box) > SHOWS:
        call = crop(clamp(relative(view.box, box)), view.index)
        if _can_say(privileged, call):
            return call, "refine", None
    return crop(box, target.source), "close", box


def _can_say(privileged: Privileged, call: Call) -> bool:
    try:
        privileged.dialect.format(call, privileged.views)
    except ValueError:  # the calls of some dialects work on view 0 only
        return False
    return True


def _elsewhere(privileged: Privileged, source: int, rng: np.random.Generator) -> Box:
    """Draws a box of a plausible size that holds no target of the picture.

    If all of `TRIALS` draws touch a target, the box that covers the smallest share of one is returned.
    """
    targets = [target.box for target in privileged.task.targets if target.source == source]
    drawn: list[tuple[float, Box]] = []
    for _ in range(TRIALS):
        side = float(rng.uniform(0.12, 0.4))
        box = around((float(rng.random()), float(rng.random())), side, side)
        drawn.append((max((coverage(box, target) for target in targets), default=0.0), box))
        if drawn[-1][0] == 0.0:
            break
    return min(drawn)[1]


def _last(privileged: Privileged) -> str:
    """Returns the kind of the last observation, a key of `SEEN_WORDS`."""
    if privileged.turn == 0:
        return "start"
    # every accepted call of this policy adds exactly one view
    if len(privileged.views) < privileged.turn + len(privileged.task.sources):
        return "refused"
    view = privileged.views[-1]
    if view.box == FULL:
        return "overview"
    kinds = {_shows(target, view) for target in privileged.task.targets}
    return "close" if "close" in kinds else "broad" if "broad" in kinds else "wrong"


def _shows(target: Target, view: View) -> str:
    if view.source != target.source or coverage(view.box, target.box) < SHOWS:
        return "wrong"
    return "close" if area(view.box) <= CLOSE * area(surround(target.box)) else "broad"


def _found(target: Target, views: Sequence[View]) -> bool:
    return any(view.parent >= 0 and _shows(target, view) == "close" for view in views)


def _topic(privileged: Privileged, missing: Sequence[Target], last: str) -> str:
    """Returns the label of the target that the last view shows closely, else the label of a missing target."""
    shown = [
        target
        for target in privileged.task.targets
        if last == "close" and _shows(target, privileged.views[-1]) == "close"
    ]
    return next((target.label for target in [*shown, *missing] if target.label), "what I am looking for")


def _thought(rng: np.random.Generator, last: str, intent: str, what: str, box: Box | None) -> str:
    """Writes a thought: a sentence about the last observation, then one about the next call."""
    words = " ".join(choice[int(rng.integers(len(choice)))] for choice in (SEEN_WORDS[last], MEANT[intent]))
    return words.format(what=what, What=what[:1].upper() + what[1:], where=ninth_of(box))


def ninth_of(box: Box | None) -> str:
    """Names the ninth of the picture that the box's centre lies in, such as "top left"; "middle" without a box."""
    if box is None:
        return "middle"
    x, y = center(box)
    row, column = ("top", "", "bottom")[min(int(y * 3), 2)], ("left", "", "right")[min(int(x * 3), 2)]
    return f"{row} {column}".strip() or "middle"
