"""Detours in videos: clips at a wrong time, or clips that are too long, before the one that shows a target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from o3gym.calls import clip
from o3gym.geometry import overlap
from o3gym.policies.dialogue import Privileged
from o3gym.policies.looks_in_time import SHORTEST_LOOK
from o3gym.policies.scripted import true_call
from o3gym.types import Call, Span, Target

CLOSE_CLIP = 2.5
"""Maximum length of a close clip of a target, as a multiple of the target's own length."""
CLIP_TRIALS = 20
"""Maximum number of random clips drawn to find one without a target."""

CLIP_WORDS: Mapping[str, Sequence[str]] = {
    "start": (
        "These frames are too far apart for this.",
        "The overview does not show the moment that I need.",
        "Whatever happens between these frames, I have not seen it yet.",
    ),
    "wrong": (
        "{What} is not in this clip.",
        "That was the wrong time: no {what} here.",
        "Nothing that helps between these times.",
    ),
    "broad": (
        "{What} seems to be in this part, but the frames are too far apart.",
        "It is somewhere in this clip; I cannot tell exactly when.",
    ),
    "close": (
        "This shows {what} clearly.",
        "Now I have seen {what}.",
    ),
    "refused": (
        "That call was refused.",
        "This did not work.",
    ),
}
"""Sentences that describe the last clip, by its kind."""
CLIP_MEANT: Mapping[str, Sequence[str]] = {
    "elsewhere": (
        "Maybe it happens around {when}; let me check there.",
        "I will try the part around {when}.",
    ),
    "broad": (
        "I will look at a longer part around {when} first.",
        "Let me narrow it down, beginning around {when}.",
    ),
    "close": (
        "I will look closely at the time around {when}.",
        "Let me watch what happens around {when}.",
    ),
    "answer": (
        "That settles it.",
        "Now I can answer.",
        "I have seen what I need.",
    ),
}
"""Sentences that announce the next call, by its intent."""


def choose_clip(privileged: Privileged, rng: np.random.Generator, p: float, max_detours: int) -> tuple[Call, str]:
    """A clip at a wrong time or a clip that is too long, with probability `p`; else a target's clip, or the answer."""
    targets = [target for target in privileged.task.targets if target.time is not None]
    clips = [_shown(privileged, turn) for turn in range(privileged.turn)]
    missing = [target for target in targets if "close" not in (_kind_of(shown, [target]) for shown in clips)]
    last = _kind_of(clips[-1], targets) if clips else "start"
    intent, span = "answer", None
    if missing and privileged.turns_left > 1:
        spare = privileged.turns_left > len(missing) + 1 and last != "broad"
        wasted = privileged.turn - (len(targets) - len(missing))
        strays = spare and wasted < max_detours and bool(rng.random() < p)
        intent, span = _detour_clip(privileged, missing[0], rng) if strays else ("close", _look(privileged, missing[0]))
    call = true_call(privileged) if span is None else clip(*span, missing[0].source)
    topic = next((target.label for target in [*missing, *targets] if target.label), "what I am looking for")
    return call, _said(rng, last, intent, topic, span)


def _shown(privileged: Privileged, turn: int) -> tuple[int, Span] | None:
    """The video and the interval of the frames that a turn added; None if it added none."""
    views = [privileged.views[index] for index in privileged.brought[turn]]
    timed = [(view.video, view.time) for view in views if view.video is not None and view.time is not None]
    if not timed:
        return None
    return timed[0][0], (min(time[0] for _, time in timed), max(time[1] for _, time in timed))


def _kind_of(shown: tuple[int, Span] | None, targets: Sequence[Target]) -> str:
    """What a clip shows of the targets, a key of `CLIP_WORDS`."""
    if shown is None:
        return "refused"
    video, span = shown
    times = [t.time for t in targets if t.source == video and t.time is not None and overlap(t.time, span) > 0]
    if not times:
        return "wrong"
    lengths = [max(time[1] - time[0], SHORTEST_LOOK) for time in times]
    return "close" if any(span[1] - span[0] <= CLOSE_CLIP * length for length in lengths) else "broad"


def _look(privileged: Privileged, target: Target) -> Span:
    """The interval of a target, or one of `SHORTEST_LOOK` seconds around its middle."""
    time, duration = target.time or (0.0, 0.0), _duration(privileged, target)
    return _placed((time[0] + time[1]) / 2, max(time[1] - time[0], SHORTEST_LOOK), duration)


def _detour_clip(privileged: Privileged, target: Target, rng: np.random.Generator) -> tuple[str, Span]:
    """A detour's intent, a key of `CLIP_MEANT`, and its clip."""
    start, end = _look(privileged, target)
    duration = _duration(privileged, target)
    if rng.random() < 0.5 and CLOSE_CLIP * (end - start) < duration:
        wide = (end - start) * float(rng.uniform(1.2 * CLOSE_CLIP, 2 * CLOSE_CLIP))
        return "broad", _placed((start + end) / 2 + float(rng.uniform(-0.2, 0.2)) * wide, wide, duration)
    length = min((end - start) * float(rng.uniform(1.0, 3.0)), duration / 2)
    drawn = [_placed(float(rng.random()) * duration, length, duration) for _ in range(CLIP_TRIALS)]
    times = [t.time for t in privileged.task.targets if t.source == target.source and t.time is not None]
    return "elsewhere", min(drawn, key=lambda span: sum(overlap(span, time) for time in times))


def _placed(middle: float, length: float, duration: float) -> Span:
    """An interval around `middle`, moved into the video."""
    length = min(length, duration)
    start = min(max(middle - length / 2, 0.0), duration - length)
    return start, start + length


def _duration(privileged: Privileged, target: Target) -> float:
    return privileged.task.sources[target.source].duration or 0.0


def _said(rng: np.random.Generator, last: str, intent: str, what: str, span: Span | None) -> str:
    """A sentence about the last clip, then one about the next call."""
    words = " ".join(choice[int(rng.integers(len(choice)))] for choice in (CLIP_WORDS[last], CLIP_MEANT[intent]))
    when = f"{sum(span) / 2:.0f} seconds" if span is not None else ""
    return words.format(what=what, What=what[:1].upper() + what[1:], when=when)
