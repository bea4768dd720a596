"""Wrong looks by rule: for a right look of an episode, a look at a place, a size or a time that does not help."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from o3gym.geometry import area, around, center, clamp, compose, coverage, overlap, pad, relative, surround
from o3gym.media.videos import timeline_of
from o3gym.policies.detour import CLOSE, SHOWS, ninth_of
from o3gym.synthesis.traces.editing import EditError
from o3gym.tools.time_rules import SAMPLED
from o3gym.types import FULL, Box, Call, Span, Target, Trajectory, View

MISSED = 0.1
"""Maximum share of a target's area in a view that does not show the target (ours)."""
LARGER = 2.0
"""Minimum area of a too large look, as a multiple of the area of the right look (ours)."""
LONGEST_ZOOM = 1.2
"""Minimum factor of a zoom that is a mistake: with less, it shows the whole picture again (ours)."""
ROOM = 2.0
"""A wrong region enlarged by this factor should miss the targets, too (ours)."""
LOOK_DRAWS = 40
"""Number of random places and times that are drawn to find one without a target (ours)."""
UNKNOWN_TOPIC = "what the question asks about"
"""Stands for a target that the question does not name."""
REGION_LOOKS, TIME_LOOKS = ("crop", "zoom"), ("clip", "frames", "sampled_frames")
"""Tools whose looks can be wrong by rule: at regions, and at times of a video."""

ANNOUNCED: Mapping[str, Sequence[str]] = {
    "wrong region": (
        "{What} may be at the {where}; let me check there.",
        "I will look at the {where} first.",
        "The {where} is worth a look.",
    ),
    "too large region": (
        "I will look at the larger region around the {where}.",
        "A wide view of the {where} may be enough.",
    ),
    "wrong time": (
        "It may happen around {where}; let me check there.",
        "I will look at the part around {where} first.",
    ),
}
"""Thoughts before a wrong look, by its kind."""
CORRECTED: Mapping[str, Sequence[str]] = {
    "wrong region": (
        "{What} is not in this part, so that was the wrong place. I will look at the {next} instead.",
        "This view does not show {what}: I looked in the wrong place. The {next} comes next.",
        "Nothing here helps to answer. I will leave this part and look at the {next}.",
    ),
    "too large region": (
        "This view is too wide: {what} is too small in it to be sure. I will go closer, at the {next}.",
        "I chose too large a region, and the details are still not clear. I need a closer look at the {next}.",
    ),
    "wrong time": (
        "These frames do not show {what}, so that was the wrong time. I will look around {next} instead.",
        "Nothing in this part of the video helps. I will look around {next}.",
    ),
}
"""Thoughts after a wrong look, by its kind: why it does not help, and what comes next."""
KINDS = tuple(ANNOUNCED)
"""The kinds of wrong looks."""


@dataclass(frozen=True)
class WrongLook:
    """A look that is a mistake.

    Attributes:
        kind: one of `KINDS`.
        call: the call.
        where: the looked-at place or time in words.
        what: what was looked for, in words.
    """

    kind: str
    call: Call
    where: str
    what: str


@dataclass(frozen=True)
class _Look:
    """A right look of an episode and the evidence that a wrong look must miss."""

    call: Call
    base: View
    region: Box
    boxes: tuple[Box, ...]
    topic: str


def look_turns(trajectory: Trajectory) -> list[int]:
    """Returns the turns with an accepted look before which a wrong look can be inserted."""
    return [
        number
        for number, turn in enumerate(trajectory.turns)
        if turn.parsed.call.tool in (*REGION_LOOKS, *TIME_LOOKS) and turn.views and not turn.error
    ]


def seen_before(trajectory: Trajectory, turn: int) -> bool:
    """Returns whether an earlier look has closely shown what a right look shows, so that a mistake comes too late."""
    call, earlier = trajectory.turns[turn].parsed.call, look_turns(trajectory)
    earlier = [other for other in earlier if other < turn]
    if call.tool in TIME_LOOKS:
        video, span = _interval(trajectory, call)
        times = [time for time in _spans(trajectory, video) if overlap(time, span) > 0]
        clips = [
            _interval(trajectory, trajectory.turns[other].parsed.call)
            for other in earlier
            if trajectory.turns[other].parsed.call.tool in TIME_LOOKS
        ]
        return any(other == video and overlap(time, shown) > 0 for other, shown in clips for time in times)
    look = _look(trajectory, turn)
    sought = [box for box in look.boxes if coverage(look.region, box) >= SHOWS]
    views = [trajectory.views[index] for other in earlier for index in trajectory.turns[other].views]
    regions = [clamp(relative(look.base.box, view.box)) for view in views if view.source == look.base.source]
    # Where size rules enlarge small crops, even the right look is not close; as close as the right look is enough.
    return any(
        _is_close(region, box) or (coverage(region, box) >= SHOWS and area(region) < LARGER * area(look.region))
        for region in regions
        for box in sought
    )


def wrong_look(
    trajectory: Trajectory, turn: int, kinds: Sequence[str], rng: np.random.Generator, earlier: Sequence[str] = ()
) -> WrongLook:
    """Draws a wrong look to be inserted before a right look.

    The wrong look uses the same tool, on the whole picture, frame or video. What it must miss are the task's targets
    in that picture; without any, the regions that the episode looked at.

    Args:
        trajectory: an episode.
        turn: the turn of the right look, one of `look_turns`.
        kinds: the allowed kinds. The first one that is possible here is taken, in an order drawn from `rng`.
        rng: source of all random choices.
        earlier: places and times, in words, of the mistakes just before. Where possible, the wrong look is elsewhere,
            and not where the right look is, because the words of the correction would contradict themselves.

    Raises:
        EditError: no allowed kind is possible for this look.
    """
    tool = trajectory.turns[turn].parsed.call.tool
    fitting = [kind for kind in kinds if (kind == "wrong time") == (tool in TIME_LOOKS)]
    if not fitting:
        raise EditError(f"no mistake of the wanted kinds fits a {tool}")
    problem = ""
    for index in rng.permutation(len(fitting)):
        try:
            return _BUILDERS[fitting[int(index)]](trajectory, turn, rng, (*earlier, look_place(trajectory, turn)))
        except EditError as error:
            problem = problem or str(error)
    raise EditError(problem)


def was_wrong(trajectory: Trajectory, turn: int, kind: str) -> bool:
    """Returns whether an inserted look of a performed episode is really wrong, as its views show."""
    views = [trajectory.views[index] for index in trajectory.turns[turn].views]
    if not views:
        return False
    if kind == "wrong time":
        spans = _spans(trajectory, views[0].video)
        return all(overlap(view.time, span) == 0 for view in views if view.time is not None for span in spans)
    look = _look(trajectory, turn)
    if kind == "wrong region":
        return all(coverage(look.region, box) <= MISSED for box in look.boxes)
    shown = [box for box in look.boxes if coverage(look.region, box) >= SHOWS]
    return bool(shown) and not any(_is_close(look.region, box) for box in shown)


def look_place(trajectory: Trajectory, turn: int) -> str:
    """Returns the place or time of a look in words, such as "top left" or "second 12"; "" for any other call."""
    call = trajectory.turns[turn].parsed.call
    if call.tool in REGION_LOOKS:
        return ninth_of(_look(trajectory, turn).region)
    if call.tool in TIME_LOOKS:
        video, (start, end) = _interval(trajectory, call)
        return _when(trajectory, video, (start, end))
    return ""


# ── regions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrong_region(trajectory: Trajectory, turn: int, rng: np.random.Generator, avoided: Sequence[str]) -> WrongLook:
    look, sides = _look(trajectory, turn), rng.uniform(0.12, 0.4, LOOK_DRAWS)
    drawn = [around((float(rng.random()), float(rng.random())), float(side), float(side)) for side in sides]
    empty = [box for box in drawn if all(coverage(box, target) == 0.0 for target in look.boxes)]
    if not empty:
        raise EditError("no place without a target")
    # Size rules may enlarge what is shown, so places with room around them come first.
    roomy = [box for box in empty if all(coverage(pad(box, ROOM), target) == 0.0 for target in look.boxes)] or empty
    return _at_region(look, "wrong region", next((box for box in roomy if ninth_of(box) not in avoided), roomy[0]))


def _large_region(trajectory: Trajectory, turn: int, rng: np.random.Generator, avoided: Sequence[str]) -> WrongLook:
    look = _look(trajectory, turn)
    held = [box for box in look.boxes if coverage(look.region, box) >= SHOWS]
    if not held:
        raise EditError("the right look shows no target")
    box = pad(surround(held[0]), float(rng.uniform(2.5, 5.0)))
    if area(box) <= max(CLOSE * area(surround(held[0])), LARGER * area(look.region)):
        raise EditError("no room for a larger region")
    return _at_region(look, "too large region", box)


def _at_region(look: _Look, kind: str, box: Box) -> WrongLook:
    call, where = look.call, ninth_of(box)
    args: dict[str, Any] = {**call.args, "view": look.base.index}
    if call.tool == "crop":
        args["box"] = list(box)
    else:
        factor = 1.0 / max(box[2] - box[0], box[3] - box[1])
        if factor < LONGEST_ZOOM:
            raise EditError("no room for a larger region")
        args |= {"center": list(center(box)), "factor": min(factor, 16.0)}
    return WrongLook(kind, Call(call.tool, args), where, look.topic)


def _is_close(region: Box, target: Box) -> bool:
    return coverage(region, target) >= SHOWS and area(region) <= CLOSE * area(surround(target))


def _look(trajectory: Trajectory, turn: int) -> _Look:
    """Returns a look at a region, in units of the whole picture or frame that it lies in."""
    call = trajectory.turns[turn].parsed.call
    view = trajectory.views[int(call.args.get("view", 0))]
    base = _base(trajectory, view)
    region = clamp(relative(base.box, compose(view.box, _asked(call))))
    shown = trajectory.views[trajectory.turns[turn].views[0]] if trajectory.turns[turn].views else None
    if shown is not None and shown.source == base.source and shown.box != base.box:
        region = clamp(relative(base.box, shown.box))
    evidence = _evidence(trajectory, base)
    topic = _topic(trajectory, [target for target, box in evidence if coverage(region, box) >= SHOWS])
    return _Look(call, base, region, tuple(box for _, box in evidence) or _looked_at(trajectory, base), topic)


def _asked(call: Call) -> Box:
    if call.tool == "crop":
        x0, y0, x1, y1 = call.args["box"]
        return clamp((x0, y0, x1, y1))
    side = 1.0 / float(call.args.get("factor", 2.0))
    x, y = call.args["center"]
    return around((float(x), float(y)), side, side)


def _base(trajectory: Trajectory, view: View) -> View:
    """Returns the first view that shows the whole of the same source; the view itself if there is none."""
    same = (one for one in trajectory.views if one.source == view.source and one.box == FULL)
    return next((one for one in same if one.index <= view.index), view)


def _evidence(trajectory: Trajectory, base: View) -> list[tuple[Target, Box]]:
    """Returns the targets in a picture or frame, with their boxes in units of it."""
    found: list[tuple[Target, Box]] = []
    for target in trajectory.task.targets:
        at_time = target.time is None or base.time is None or overlap(target.time, base.time) > 0
        if (target.source == base.source or target.source == base.video) and at_time:
            found.append((target, clamp(relative(base.box, target.box))))
    return [(target, box) for target, box in found if area(box) > 0]


def _looked_at(trajectory: Trajectory, base: View) -> tuple[Box, ...]:
    views = (view for view in trajectory.views if view.source == base.source and view.box != base.box)
    return tuple(clamp(relative(base.box, view.box)) for view in views)


# ── times ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _wrong_time(trajectory: Trajectory, turn: int, rng: np.random.Generator, avoided: Sequence[str]) -> WrongLook:
    call = trajectory.turns[turn].parsed.call
    video, (start, end) = _interval(trajectory, call)
    spans, duration = _spans(trajectory, video), trajectory.task.sources[video].duration or 0.0
    if not spans:
        raise EditError("no time is known to be right")
    begins = rng.random(LOOK_DRAWS) * max(duration - (end - start), 0.0)
    drawn = [_moved_call(trajectory, call, video, (float(begin), float(begin) + end - start)) for begin in begins]
    shown = [(moved, _interval(trajectory, moved)[1]) for moved in drawn]
    empty = [
        (moved, _when(trajectory, video, own)) for moved, own in shown if all(overlap(own, span) == 0 for span in spans)
    ]
    if not empty:
        raise EditError("no time without a target")
    moved, when = next((pair for pair in empty if pair[1] not in avoided), empty[0])
    seen = [target for target in trajectory.task.targets if target.time and overlap(target.time, (start, end)) > 0]
    return WrongLook("wrong time", moved, when, _topic(trajectory, seen))


def _interval(trajectory: Trajectory, call: Call) -> tuple[int, Span]:
    """Returns the video and the interval that a look at times shows."""
    if call.tool == "clip":
        start, end = call.args["span"]
        return int(call.args.get("video", 0)), (float(start), float(end))
    numbers = [int(number) for number in call.args["numbers"]]
    if call.tool == "frames":
        video = int(call.args.get("video", 0))
        timeline = timeline_of(trajectory.task.sources[video])
        return video, (timeline.span(min(numbers))[0], timeline.span(min(max(numbers), len(timeline) - 1))[1])
    videos = _videos(trajectory)
    rank = min(numbers) // SAMPLED
    own = [number - rank * SAMPLED for number in numbers if number // SAMPLED == rank]
    step = (trajectory.task.sources[videos[rank]].duration or 0.0) / SAMPLED
    return videos[rank], (min(own) * step, (max(own) + 1) * step)


def _moved_call(trajectory: Trajectory, call: Call, video: int, span: Span) -> Call:
    """Returns the same look at another interval of the video, with as many frames."""
    start, end = span
    if call.tool == "clip":
        return Call(call.tool, {**call.args, "span": [start, end]})
    count = len(call.args["numbers"])
    times = [start + (end - start) * number / count for number in range(count)]
    if call.tool == "frames":
        timeline = timeline_of(trajectory.task.sources[video])
        return Call(call.tool, {**call.args, "numbers": sorted({timeline.number_at(time) for time in times})})
    step = (trajectory.task.sources[video].duration or 0.0) / SAMPLED
    first = _videos(trajectory).index(video) * SAMPLED
    return Call(call.tool, {"numbers": sorted({first + min(int(time / step), SAMPLED - 1) for time in times})})


def _videos(trajectory: Trajectory) -> list[int]:
    return [index for index, source in enumerate(trajectory.task.sources) if source.duration is not None]


def _spans(trajectory: Trajectory, video: int | None) -> list[Span]:
    return [target.time for target in trajectory.task.targets if target.source == video and target.time is not None]


def _when(trajectory: Trajectory, video: int, span: Span) -> str:
    which = f" of video {_videos(trajectory).index(video) + 1}" if len(_videos(trajectory)) > 1 else ""
    return f"second {sum(span) / 2:.0f}{which}"


def _topic(trajectory: Trajectory, shown: Sequence[Target]) -> str:
    """Returns what a right look shows in words: a target that the question names, so that nothing is given away."""
    asked = trajectory.task.question.casefold()
    labels = (target.label.strip() for target in shown)
    return next((f"the {label}" for label in labels if label and label.casefold() in asked), UNKNOWN_TOPIC)


_BUILDERS: Mapping[str, Callable[[Trajectory, int, np.random.Generator, Sequence[str]], WrongLook]] = {
    "wrong region": _wrong_region,
    "too large region": _large_region,
    "wrong time": _wrong_time,
}
