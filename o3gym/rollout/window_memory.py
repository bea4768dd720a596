"""The window memory of one episode: it cuts old pictures out of the dialogue and records the segments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from o3gym.policies.dialogue import Dialogue, Message, Picture
from o3gym.policies.window import leaving
from o3gym.types import Segment, Turn


class WindowMemory:
    """Applies a window to a dialogue.

    Args:
        dialogue: the dialogue, to which its owner appends messages.
        window: number of rounds whose pictures stay, see `o3gym.policies.window`; None for all.
        start: index of the first message of the episode itself. Messages before it, which are the system prompt and
            exemplars, are never cut, and their pictures are no views of the episode.
    """

    def __init__(self, dialogue: Dialogue, window: int | None, start: int = 0) -> None:
        self._dialogue, self._window, self._start = dialogue, window, start
        self._segments: list[Segment] = [Segment()]
        self._turns = 0
        self._incomplete = False

    def shown(self, left_out: bool = False) -> None:
        """Cuts the dialogue if an observation that was just appended moves older pictures out of the window.

        `left_out` says whether the dialect left views of the observation out of the dialogue.
        """
        self._incomplete |= left_out
        own = self._dialogue.messages[self._start :]
        if changes := leaving(own, self._window):
            dropped = _views(own[index] for index in sorted(changes))
            self._dialogue.cut({index + self._start: parts for index, parts in changes.items()})
            self._segments.append(Segment(dropped=dropped))

    def replied(self) -> None:
        """Notes that a reply to the dialogue has arrived, which is not among the messages yet."""
        last = self._segments[-1]
        self._segments[-1] = replace(
            last, turns=(*last.turns, self._turns), views=_views(self._dialogue.messages[self._start :])
        )
        self._turns += 1

    def segments(self) -> tuple[Segment, ...]:
        """Returns the segments with turns as `Trajectory.segments` holds them: unless the only one has all views."""
        found = tuple(segment for segment in self._segments if segment.turns)
        return found if len(found) > 1 or self._incomplete else ()

    def assigned(self, turns: Sequence[Turn]) -> list[Turn]:
        """Returns the turns with the numbers of their segments."""
        where = {turn: number for number, segment in enumerate(self.segments()) for turn in segment.turns}
        return [replace(turn, segment=where[n]) if where.get(n) else turn for n, turn in enumerate(turns)]


def _views(messages: Iterable[Message]) -> tuple[int, ...]:
    parts = (part for message in messages for part in message.parts)
    return tuple(part.view.index for part in parts if isinstance(part, Picture))
