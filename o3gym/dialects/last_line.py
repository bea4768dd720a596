"""What the dialects of the models on board share: free text, then an action on a line that starts with its verb."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from o3gym.dialects.base import CUT, MAX_REPLY, Dialect, unreadable
from o3gym.dialects.wording import NO_VIEW, VIEW_NUMBER, numbering
from o3gym.types import Call, Parsed, Task, View


class ReadAction(NamedTuple):
    """A call that was read at the beginning of an action, and the number of characters that it takes."""

    call: Call
    end: int


@dataclass(frozen=True)
class LastLine(Dialect):
    """The last line that starts with an action counts; an answer extends to the end of the reply.

    Options are answered by their text, not by their letter.
    """

    actions: ClassVar[re.Pattern[str]]
    """Finds the beginning of every line that would be read as an action."""
    missing: ClassVar[str]
    """The reason why a reply without an action is unreadable."""
    lines: ClassVar[tuple[str, ...]]
    """The tools whose calls are complete with their line. An answer could have gone on, so a cut one never counts."""

    def options(self, task: Task) -> tuple[str, ...]:
        """The option texts."""
        return task.choices

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses the last line that starts with an action; an answer extends to the end of the reply."""
        text = text[-MAX_REPLY:]
        starts = self._starts(text)
        if not starts:
            return unreadable("void", self.missing, text.strip())
        thought, action = text[: starts[-1]].strip(), text[starts[-1] :].strip()
        found = self.read_action(action, views)
        if isinstance(found, str):
            return unreadable("parse", found, thought)
        return Parsed(found.call, len(starts) == 1 and found.end == len(action), thought)

    @abstractmethod
    def read_action(self, action: str, views: Sequence[View]) -> ReadAction | str:
        """Reads an action, or returns the reason why it cannot be read."""

    def parse_cut(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply that was cut by its token limit: only a finished line counts, and no answer in words."""
        parsed = self.parse(text, views)
        finished = parsed.call.tool in self.lines and "\n" in text[self._starts(text)[-1] :]
        return parsed if finished or parsed.call.tool == "noop" else unreadable("parse", CUT, parsed.thought)

    def _starts(self, text: str) -> list[int]:
        return [found.start() for found in self.actions.finditer(text)]

    def disarmed(self, text: str) -> str:
        """`text` with "- " before every line that would be read as an action."""
        return self.actions.sub(lambda match: f"- {match[0]}", text)


def answer_form(task: Task) -> str:
    """The sentence of a prompt that explains how to answer in words."""
    form = "the right option, word by word." if task.kind == "choice" else "a word, a number or a short phrase."
    return f'To answer, end your reply with a line like "answer TEXT", where TEXT is {form}'


def refused_view(text: str) -> str:
    """Feedback on a call that was refused, with views named "picture"."""
    text = NO_VIEW.sub(lambda match: f"there is no view {match[1]}; {numbering('picture', 0, int(match[2]))}", text)
    return VIEW_NUMBER.sub(r"picture \1", text)
