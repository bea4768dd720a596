"""The request that a policy receives: a dialogue of text and pictures, and how to sample the next reply."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from o3gym.types import EpisodeKey, Sampling, Source, Task, View

if TYPE_CHECKING:
    from o3gym.dialects.base import Dialect
    from o3gym.media.pixels import Pixels
    from o3gym.tools.base import Tool


CONTEXT_FULL = "context"
"""`Reply.error` when the context has no room left for a reply; the episode then stops as over_context."""


@dataclass(frozen=True)
class Picture:
    """A picture in a message: the view that it shows, and a function that makes its pixels.

    `load()` returns a uint8 array of shape (shown height, shown width, 3). Pixels are made on demand, so that a long
    dialogue occupies no memory for them.
    """

    view: View
    load: Callable[[], Pixels] = field(compare=False, repr=False)


Part: TypeAlias = str | Picture


@dataclass(frozen=True)
class Message:
    """One message: a role, and text and pictures in reading order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts joined together, with `<image>` in place of each picture."""
        return "".join(part if isinstance(part, str) else "<image>" for part in self.parts)


@dataclass
class Dialogue:
    """An append-only list of messages, so that backends can cache what they computed for a prefix of it."""

    messages: list[Message] = field(default_factory=list)

    def add(self, role: Literal["system", "user", "assistant"], parts: Sequence[Part]) -> None:
        """Appends a message."""
        self.messages.append(Message(role, tuple(parts)))


@dataclass(frozen=True)
class Privileged:
    """Privileged information: the ground truth and the episode's state. Scripted policies act on it; models never do.

    Attributes:
        task: the task with its answer and targets.
        sources: the episode's sources so far.
        views: the episode's views so far.
        tools: the enabled tools by name.
        dialect: the dialect in which the policy writes its calls.
        turn: number of replies so far.
        turns_left: number of replies still allowed, including this one.
        parent: the privileged information of the episode that delegated this one, or None. A delegated task has no
            ground truth of its own, so its parent's is needed.
        brought: for each reply so far, the indices of the views that it added.
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
    """A request for the next reply to a dialogue.

    Attributes:
        key: the episode that sends the request.
        dialogue: all messages so far.
        sampling: how to sample the reply.
        privileged: the privileged information, for policies that set `Policy.privileged`; None for all others.
        tools: JSON schemas of the function tools, for dialects that send them to the server alongside the dialogue;
            otherwise empty.
    """

    key: EpisodeKey
    dialogue: Dialogue
    sampling: Sampling
    privileged: Privileged | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
