"""What a policy is asked: a dialogue of text and pictures, and how to sample the next reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from o3gym.types import EpisodeKey, Sampling, Source, Task, View

if TYPE_CHECKING:
    from o3gym.dialects.base import Dialect
    from o3gym.media.images import Pixels
    from o3gym.tools.base import Tool


CONTEXT_FULL = "context"
"""`Reply.error` of a policy whose context has no room for a reply: the episode ends as over_context."""


@dataclass(frozen=True)
class Picture:
    """A picture in a message: which view it is, and how to get its pixels.

    `load()` returns a uint8 array of shape (shown height, shown width, 3). Pixels are made when they are asked for, so
    that a long dialogue costs no memory.
    """

    view: View
    load: Callable[[], Pixels] = field(compare=False, repr=False)


Part: TypeAlias = str | Picture


@dataclass(frozen=True)
class Message:
    """One message: its role and its parts in reading order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts, one after the other, with `<image>` for each picture."""
        return "".join(part if isinstance(part, str) else "<image>" for part in self.parts)


@dataclass
class Dialogue:
    """An append-only list of messages: backends may keep what they computed for a prefix of it."""

    messages: list[Message] = field(default_factory=list)

    def add(self, role: Literal["system", "user", "assistant"], parts: Sequence[Part]) -> None:
        """Append a message."""
        self.messages.append(Message(role, tuple(parts)))


@dataclass(frozen=True)
class Privileged:
    """The truth, for scripted policies that are built on it (an oracle). Models never get it.

    Attributes:
        task: the task with its answer and targets.
        sources, views: of the episode so far.
        tools: enabled tools by name.
        dialect: to write calls with.
        turn: number of replies so far; `turns_left`: replies that are still allowed, this one included.
        parent: the same of the episode that delegated this one, whose own task has no truth; None if nobody did.
        brought: indices of the views that each reply so far has brought.
    """

    task: Task
    sources: tuple[Source, ...]
    views: tuple[View, ...]
    tools: Mapping[str, Tool]
    dialect: Dialect
    turn: int
    turns_left: int
    parent: Privileged | None = None
    brought: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Request:
    """A reply is wanted: to which dialogue, sampled how.

    Attributes:
        key: which episode asks.
        dialogue: all messages so far.
        sampling: how to sample.
        privileged: the truth, only for policies that declare `privileged`.
        tools: function tools as JSON, of dialects that pass them to the server beside the dialogue; else empty.
    """

    key: EpisodeKey
    dialogue: Dialogue
    sampling: Sampling
    privileged: Privileged | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
