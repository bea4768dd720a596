"""What the calls of an episode looked at, in the coordinates of the task's pictures, and which targets they showed."""

from __future__ import annotations

from dataclasses import dataclass

from o3gym.geometry import area, around, clamp, compose, coverage, is_box, is_number, relative, to_root
from o3gym.policies.scripted import SHARP, SHOWN_SHARE
from o3gym.types import FULL, Box, Call, Target, Trajectory, View

WHOLE_SHARE = 0.9
"""Share of a picture's area from which a region counts as the whole picture, or of the whole view (ours)."""
WITHIN_SHARE = 0.8
"""Share of a region that must lie in another one for the region to count as a part of it (ours)."""


@dataclass(frozen=True)
class Look:
    """The region that a call looked at.

    Attributes:
        turn: the turn of the call; −1 for the first view of the episode.
        source: index of the picture among the task's sources.
        box: the region, in unit xyxy of that picture.
        outer: the region of the view that the call refers to, in the same units.
        scale: width at which the region was shown, as a share of its native width.
        marked: whether the region was only marked on a picture that was shown as before, because of the environment's
            argument `focus`. What it shows is then told by its place alone.
    """

    turn: int
    source: int
    box: Box
    outer: Box = FULL
    scale: float = 1.0
    marked: bool = False

    @property
    def whole(self) -> bool:
        """Whether the region is the whole picture."""
        return area(self.box) >= WHOLE_SHARE

    @property
    def relative(self) -> Box:
        """The region in units of the view that the call refers to."""
        return relative(self.outer, self.box)

    @property
    def narrows(self) -> bool:
        """Whether the region is smaller than the view that the call refers to."""
        return area(self.box) < WHOLE_SHARE * area(self.outer)

    def inside(self, other: Look) -> bool:
        """Whether most of the region lies in another one."""
        return self.source == other.source and coverage(other.box, self.box) >= WITHIN_SHARE

    def covers(self, target: Target, share: float = SHOWN_SHARE) -> bool:
        """Whether the region contains at least this share of a target's area."""
        return self.source == target.source and coverage(self.box, target.box) >= share

    def shows(self, target: Target, share: float = SHOWN_SHARE) -> bool:
        """Whether the region contains a target and is sharp; a whole picture is sharp at its full resolution only."""
        return self.covers(target, share) and (self.scale >= (1.0 if self.whole else SHARP) or self.marked)


def first_look(trajectory: Trajectory) -> Look | None:
    """Returns the first view of an episode as a look, or None if it has none, or is a frame of a video."""
    if not trajectory.views or not _usable(trajectory.views[0]):
        return None
    view = trajectory.views[0]
    root = _root(trajectory, view, view.box)
    return Look(-1, root[0], root[1], root[1], view.shown[0] / view.native[0]) if root else None


def looks_of(trajectory: Trajectory) -> dict[int, Look]:
    """Returns the looks of an episode by turn. Refused calls, and calls whose region is unknown, have none."""
    looks = {turn: look_of(trajectory, turn) for turn in range(len(trajectory.turns))}
    return {turn: look for turn, look in looks.items() if look is not None}


def all_told(trajectory: Trajectory) -> bool:
    """Whether every view of an episode is a known region of a picture: not so for videos, code and several views."""
    if first_look(trajectory) is None or any(source.duration is not None for source in trajectory.task.sources):
        return False
    return all(not done.views or look_of(trajectory, turn) for turn, done in enumerate(trajectory.turns))


def look_of(trajectory: Trajectory, turn: int) -> Look | None:
    """Returns what the call of a turn looked at, or None if it was refused, or showed no single known region."""
    done, views = trajectory.turns[turn], trajectory.views
    if done.error or len(done.views) != 1 or not 0 <= done.views[0] < len(views):
        return None
    view = views[done.views[0]]
    if not 0 <= view.parent < len(views) or not _usable(view) or not _usable(named := views[view.parent]):
        return None
    region = _region(done.parsed.call, named)
    outer = _root(trajectory, named, named.box)
    root = _root(trajectory, view, view.box) if region is None else _root(trajectory, named, region)
    if root is None or outer is None:
        return None
    marked = done.parsed.call.tool == "crop" and trajectory.env.get("focus", "crop") != "crop"
    return Look(turn, root[0], root[1], outer[1], view.shown[0] / view.native[0], marked)


def _usable(view: View) -> bool:
    """Whether a stored view has a size and an area to compute with."""
    return min(*view.native, *view.shown) > 0 and area(view.box) > 0


def _region(call: Call, view: View) -> Box | None:
    """The region of a crop or zoom in units of the view's source; None for other calls, whose views tell it."""
    box, middle, factor = call.args.get("box"), call.args.get("center"), call.args.get("factor", 2.0)
    if call.tool == "crop" and box is not None and is_box(box):
        return compose(view.box, clamp(box))
    if call.tool == "zoom" and isinstance(middle, list | tuple) and is_number(factor) and factor >= 1:
        x, y = (min(max(float(value), 0.0), 1.0) for value in middle)
        return compose(view.box, around((x, y), 1 / factor, 1 / factor))
    return None


def _root(trajectory: Trajectory, view: View, box: Box) -> tuple[int, Box] | None:
    found = to_root(trajectory.sources[view.source], box, trajectory.task.sources)
    if found is None or found[0] not in trajectory.task.sources:
        return None
    return trajectory.task.sources.index(found[0]), found[1]
