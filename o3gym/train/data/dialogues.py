"""Dialogues as other projects store them: a list of {role, text} with `<image>` placeholders, and a list of pictures.

This is what the two released formats share. Neither has an escape, so a text that happens to contain the placeholder is
changed when it is stored (`<image >`).
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from PIL import Image

from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.policies.dialogue import Message, Part, Picture, Role
from o3gym.suites.released.table import SURROGATE
from o3gym.train.data.sources import BadDemonstration
from o3gym.types import FULL, Source, View

PLACE = "<image>"
ROLES: Mapping[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "observation": "user",
    "tool": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "inline": "inline",
}
"""Role names in files (`from` in ShareGPT, `role` in chat messages) and the roles that they stand for.

"inline" is a name of our own. Other trainers refuse it, which is better than to learn from observations as if the model
had written them.
"""


def stored_turns(messages: Sequence[Message], names: Mapping[Role, str], keys: tuple[str, str]) -> list[dict[str, str]]:
    """Returns the messages as records with the given role names and (role, text) keys."""
    role, text = keys
    return [{role: names[message.role], text: "".join(map(_written, message.parts))} for message in messages]


def _written(part: Part) -> str:
    return part.replace(PLACE, "<image >") if isinstance(part, str) else PLACE


def pictures(messages: Sequence[Message]) -> list[Picture]:
    """Returns the pictures of a dialogue, in order."""
    return [part for message in messages for part in message.parts if isinstance(part, Picture)]


def read_turns(turns: Any, sources: Sequence[Source], where: str) -> list[Message]:
    """Builds messages from stored turns; the k-th `<image>` stands for the k-th source.

    Args:
        turns: a list of {"from", "value"} or {"role", "content"}.
        sources: the pictures of the dialogue.
        where: file and row, for error messages.

    Raises:
        BadDemonstration: the turns are malformed, or a picture cannot be opened; the message names the row and field,
            what was expected and what was found.
    """
    if not isinstance(turns, list) or not turns:
        raise BadDemonstration(f"{where}: expected a list of messages, got {turns!r:.80}")
    left = iter(enumerate(sources))
    messages = [_message(turn, left, f"{where}: message {number}") for number, turn in enumerate(turns)]
    if (spare := len(list(left))) > 0:
        raise BadDemonstration(f"{where}: {len(sources)} pictures, but {len(sources) - spare} {PLACE} placeholders")
    for number, message in enumerate(messages):
        if message.role == "inline" and (not number or messages[number - 1].role != "assistant"):
            raise BadDemonstration(f"{where}: message {number}: expected an inline message to follow the assistant's")
    if messages[-1].role != "assistant":
        raise BadDemonstration(f"{where}: expected the last message to be the assistant's, got {turns[-1]!r:.80}")
    return messages


def _message(turn: Any, left: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise BadDemonstration(f"{where}: expected an object, got {turn!r:.80}")
    role, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
    if not isinstance(role, str) or role not in ROLES:
        raise BadDemonstration(f"{where}: role: expected one of {', '.join(ROLES)}, got {role!r:.80}")
    if not isinstance(text, str):
        raise BadDemonstration(f"{where}: text: expected a string, got {type(text).__name__} {text!r:.80}")
    text = SURROGATE.sub("\ufffd", text)
    return Message(ROLES[role], tuple(part for part in _parts(text, left, where) if part != ""))


def _parts(text: str, left: Any, where: str) -> list[Part]:
    first, *rest = text.split(PLACE)
    parts: list[Part] = [first]
    for words in rest:
        index, source = next(left, (0, None))
        if source is None:
            raise BadDemonstration(f"{where}: more {PLACE} placeholders than pictures")
        parts += [whole_picture(source, index, where), words]
    return parts


def whole_picture(source: Source, index: int, where: str) -> Picture:
    """Returns a whole picture in its own size, as view `index`. Raises `BadDemonstration` if it cannot be opened."""
    try:
        size = shared_store().size(source)
    except PictureError as error:
        raise BadDemonstration(f"{where}: {error!s:.300}") from error
    return Picture(View(index, index, FULL, size, size), partial(shared_store().region, source))


def png(picture: Picture) -> bytes:
    """Returns the pixels as they were shown, as PNG."""
    file = io.BytesIO()
    Image.fromarray(picture.load()).save(file, "PNG")
    return file.getvalue()


def labels(messages: Sequence[Message], first: Callable[[int], str], later: Callable[[int], str]) -> list[str]:
    """Returns a name for each picture: `first(i)` in the first user message, then `later(1)`, `later(2)`, …."""
    given = len(pictures([message for message in messages if message.role == "user"][:1]))
    return [first(i) if i < given else later(i - given + 1) for i in range(len(pictures(messages)))]
