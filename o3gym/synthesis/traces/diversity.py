"""How different episodes are from one another: their length, their tools, and the moves of their searches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from o3gym.geometry import area, coverage, to_root
from o3gym.types import ENDING_TOOLS, FULL, Box, Source, Trajectory, View

MOSTLY = 0.9
"""Share of a region that must lie in another one to count as inside of it, share of a picture that counts as the whole
of it, and largest ratio of two areas for the smaller one to be a closer look (ours)."""
PATTERNS = ("deeper", "elsewhere", "back", "after a refusal")
"""The moves that are counted. Mini-o3's traces are said to show depth-first search (deeper), trial and error (elsewhere
and back) and goal keeping; see `moves` for what each of them is here."""


@dataclass
class Diversity:
    """Counts over episodes.

    Attributes:
        episodes: number of episodes.
        turns: number of episodes by number of turns.
        tools: number of calls by tool.
        patterns: number of episodes by the moves of `PATTERNS` that occur in them.
        courses: number of episodes by course, which is the sequence of their moves and tools.
        thoughts: number of turns by thought.
    """

    episodes: int = 0
    turns: Counter[int] = field(default_factory=Counter)
    tools: Counter[str] = field(default_factory=Counter)
    patterns: Counter[str] = field(default_factory=Counter)
    courses: Counter[tuple[str, ...]] = field(default_factory=Counter)
    thoughts: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The counts and shares as JSON. Shares are of episodes, or of turns for thoughts."""
        return {
            "episodes": self.episodes,
            "turns": {str(turns): self.turns[turns] for turns in sorted(self.turns)},
            "mean_turns": round(self.turns_in_all / self.episodes, 3) if self.episodes else 0.0,
            "tools": dict(self.tools.most_common()),
            "patterns": {name: self.patterns[name] for name in PATTERNS},
            "distinct_courses": round(len(self.courses) / self.episodes, 3) if self.episodes else 0.0,
            "distinct_thoughts": round(len(self.thoughts) / self.turns_in_all, 3) if self.turns_in_all else 0.0,
        }

    @property
    def turns_in_all(self) -> int:
        """Number of turns of all episodes."""
        return sum(turns * count for turns, count in self.turns.items())

    def lines(self) -> list[str]:
        """The report as lines of text."""
        if not self.episodes:
            return []
        data = self.to_json()
        turns = ", ".join(f"{turns}: {count}" for turns, count in data["turns"].items())
        share = {name: f"{name} {100 * count / self.episodes:.0f}%" for name, count in data["patterns"].items()}
        return [
            f"turns     {turns} (mean {data['mean_turns']:.2f})",
            f"tools     {', '.join(f'{tool}: {count}' for tool, count in data['tools'].items())}",
            f"patterns  {', '.join(share.values())} of the episodes",
            f"distinct  courses {100 * data['distinct_courses']:.0f}% of the episodes, "
            f"thoughts {100 * data['distinct_thoughts']:.0f}% of the turns",
        ]


def diversity(trajectories: Iterable[Trajectory]) -> Diversity:
    """Counts how different episodes are."""
    found = Diversity()
    for trajectory in trajectories:
        course = tuple(moves(trajectory))
        found.episodes += 1
        found.turns[len(trajectory.turns)] += 1
        found.courses[course] += 1
        found.tools.update(turn.parsed.call.tool for turn in trajectory.turns)
        found.patterns.update({name for name in PATTERNS if any(name in step for step in course)})
        found.thoughts.update(turn.parsed.thought.strip() for turn in trajectory.turns)
    return found


def moves(trajectory: Trajectory) -> Iterator[str]:
    """Yields the move of every turn as text: the tool, how its view lies to the one before, and whether it is refused.

    "deeper": a smaller part of the part that was seen last. "back": the whole picture, or a larger part around the one
    that was seen last. "elsewhere": another part, another picture or another time of a video. A look from the whole
    picture at a part of it is none of these. A call after a refused one is "after a refusal" as well.
    """
    last = _look(trajectory, [view for view in trajectory.views if view.parent < 0])
    refused = False
    for turn in trajectory.turns:
        words = [turn.parsed.call.tool]
        if turn.views:
            look = _look(trajectory, [trajectory.views[index] for index in turn.views])
            words += filter(None, [_relation(last, look)])
            last = look
        if refused and turn.parsed.call.tool not in ENDING_TOOLS:
            words.append("after a refusal")
        refused = bool(turn.error)
        yield " ".join([*words, *(["refused"] if refused else [])])


class _Look(NamedTuple):
    """What a turn shows: a part of a picture, or an interval of a video. `where` is None if it cannot be told."""

    where: Source | int | None
    box: Box
    whole: bool


def _look(trajectory: Trajectory, views: Sequence[View]) -> _Look:
    """The place of the views of one turn: that of the last one, or for frames, the interval around all of them."""
    frames = [view for view in views if view.time is not None and view.video is not None]
    if frames:
        video = frames[-1].video
        length = trajectory.task.sources[video or 0].duration or 1.0
        start, end = min(view.time[0] for view in frames if view.time), max(v.time[1] for v in frames if v.time)
        box = (start / length, 0.0, end / length, 1.0)
        return _Look(video, box, end - start >= MOSTLY * length)
    if not views:
        return _Look(None, FULL, True)
    view = views[-1]
    place = to_root(trajectory.sources[view.source], view.box, trajectory.task.sources)
    return _Look(None, FULL, False) if place is None else _Look(*place, area(place[1]) >= MOSTLY)


def _relation(last: _Look, look: _Look) -> str:
    if look.where is None or last.where != look.where:
        return "elsewhere"
    if look.whole:
        return "back"
    if last.whole:
        return ""
    if area(look.box) <= MOSTLY * area(last.box) and coverage(last.box, look.box) >= MOSTLY:
        return "deeper"
    return "back" if coverage(look.box, last.box) >= MOSTLY and area(look.box) > area(last.box) else "elsewhere"
