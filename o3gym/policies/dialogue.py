"""The request that a policy receives: a dialogue of text and pictures, and how to sample the next reply."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from o3gym.sampling import Sampling
from o3gym.types import EpisodeKey, Source, Task, View

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
Role: TypeAlias = Literal["system", "user", "assistant", "inline"]
"""The author of a message.

"inline" is the environment again, inside the assistant's turn: the messages [assistant, inline, assistant, …] are one
turn of the assistant, in which the policy reads the inline messages and writes the rest.
"""

OBSERVING: frozenset[Role] = frozenset({"user", "inline"})
"""The roles of messages that the environment writes."""


@dataclass(frozen=True)
class Message:
    """One message: a role, and text and pictures in reading order."""

    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text parts joined together, with `<image>` in place of each picture."""
        return "".join(part if isinstance(part, str) else "<image>" for part in self.parts)


def observing_role(dialect: Dialect, stop: Sequence[str], reply: str) -> Role:
    """Returns the role of the message that shows what a reply led to.

    In a dialect with inline observations, a reply that paused at a stop string, such as the tag that closes code, is
    continued in the same message. A reply that the policy ended itself has closed that message, so a user message
    follows, as in any other dialect.

    Args:
        dialect: the dialect of the episode.
        stop: the strings at which generation stops; empty for those of the dialect.
        reply: the text of the reply.
    """
    paused = reply.rstrip().endswith(tuple(stop) or dialect.stop)
    return "inline" if dialect.inline and paused else "user"


def turn_start(messages: Sequence[Message], index: int) -> int:
    """Returns the index of the first message of the assistant's turn that holds the reply at `index`."""
    while index and messages[index - 1].role == "inline":
        index = max(i for i in range(index) if messages[i].role == "assistant")
    return index


def whole_turns(messages: Iterable[Message]) -> list[Message]:
    """Returns a dialogue in which each turn of the assistant, inline messages included, is one assistant message."""
    whole: list[Message] = []
    before = ""
    for message in messages:
        if message.role == "inline" or (message.role == "assistant" and before == "inline"):
            whole[-1] = Message("assistant", (*whole[-1].parts, *message.parts))
        else:
            whole.append(message)
        before = message.role
    return whole


@dataclass
class Dialogue:
    """A list of messages to which messages are appended, so that backends can cache what they computed for a prefix.

    The only other change is a cut, which replaces observations and starts a new segment. Messages before the first
    changed one are the same objects as before, and replies never change.

    Attributes:
        messages: all messages so far.
        cuts: for each cut so far, the index of the first message that it changed.
    """

    messages: list[Message] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)

    @property
    def segment(self) -> int:
        """Number of the current segment, from 0."""
        return len(self.cuts)

    def add(self, role: Role, parts: Sequence[Part]) -> None:
        """Appends a message."""
        self.messages.append(Message(role, tuple(parts)))

    def cut(self, changes: Mapping[int, Sequence[Part]]) -> None:
        """Replaces the parts of user and inline messages, given by index, and starts a new segment.

        Raises:
            ValueError: there are no changes, or one is to a message of another role.
        """
        if not changes or any(self.messages[index].role not in OBSERVING for index in changes):
            raise ValueError(f"a cut changes user messages, got {[(i, self.messages[i].role) for i in changes]}")
        for index, parts in changes.items():
            self.messages[index] = replace(self.messages[index], parts=tuple(parts))
        self.cuts.append(min(changes))


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
