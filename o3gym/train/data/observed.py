"""Observations inside the text of an assistant's message, between tags, as in the single turns of Simple-o3.

    the reasoning <function>{…}</function><observation><image></observation>more of it <answer>B</answer>

Trainers that know nothing of the tags learn such a message as a whole. Here it becomes [assistant, inline, assistant]
again, so that only the words of the model have a loss.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from o3gym.policies.dialogue import Message, Part, Picture, Role, whole_turns
from o3gym.train.data.demonstrations import flattened
from o3gym.train.data.sources import BadDemonstration, SourceError


def check_tag(tag: str) -> None:
    """Raises `SourceError` if `tag` is not the name of a tag."""
    if not re.fullmatch(r"[A-Za-z][\w-]{0,39}", tag):
        raise SourceError(f'observed: expected the name of a tag, like "observation", got {tag!r:.60}')


def in_one_turn(messages: Sequence[Message], tag: str, where: str) -> list[Message]:
    """Returns a dialogue as a single turn of the assistant, in one message that contains the observations.

    Raises:
        BadDemonstration: `apart` would not return the observations again, because they do not stand between the tags,
            or because a reply or an observation contains a tag.
    """
    flat = [_tidy(message) for message in flattened(messages)]
    whole = [_tidy(message) for message in whole_turns(flat)]
    try:
        kept = apart(whole, tag, where) == [message for message in flat if message.parts]
    except BadDemonstration as problem:
        raise BadDemonstration(f"{where}: cannot be written as one turn with <{tag}> ({problem})") from problem
    if not kept:
        raise BadDemonstration(f"{where}: its observations are not what stands between <{tag}> and </{tag}>")
    return whole


def apart(messages: Sequence[Message], tag: str, where: str) -> list[Message]:
    """Splits every message of the assistant into its words and inline messages, which are the observations.

    Raises:
        BadDemonstration: the tags are not balanced, are nested, or leave no words before the first or after the last
            observation; or a picture stands outside of them.
    """
    split: list[Message] = []
    for number, message in enumerate(messages):
        at = f"{where}: message {number}"
        split += _apart(message.parts, tag, at) if message.role == "assistant" else [message]
    return split


def _apart(parts: Sequence[Part], tag: str, where: str) -> list[Message]:
    opening, closing = f"<{tag}>", f"</{tag}>"
    runs: list[tuple[Role, list[Part]]] = [("assistant", [])]
    for piece in _pieces(parts, opening, closing):
        inside = runs[-1][0] == "inline"
        if piece == opening:
            if inside:
                raise BadDemonstration(f"{where}: {opening} inside of {opening}")
            runs.append(("inline", []))
        elif not inside and (piece == closing or isinstance(piece, Picture)):
            what = closing if piece == closing else "a picture"
            raise BadDemonstration(f"{where}: {what} without {opening} before it")
        runs[-1][1].append(piece)
        if piece == closing:
            runs.append(("assistant", []))
    return _messages(runs, opening, closing, where)


def _pieces(parts: Iterable[Part], opening: str, closing: str) -> Iterator[Part]:
    """Yields the parts with every tag as a part of its own."""
    for part in parts:
        if isinstance(part, str):
            yield from filter(None, re.split(f"({opening}|{closing})", part))
        else:
            yield part


def _messages(runs: Sequence[tuple[Role, list[Part]]], opening: str, closing: str, where: str) -> list[Message]:
    if runs[-1][0] == "inline":
        raise BadDemonstration(f"{where}: {opening} without {closing} after it")
    if len(runs) > 1 and not (runs[0][1] and runs[-1][1]):
        raise BadDemonstration(f"{where}: expected words of the assistant before and after every {opening}")
    messages: list[Message] = []
    for role, parts in runs:
        if role == "inline" and messages[-1].role == "inline":  # the words between the two were empty
            messages[-1] = _tidy(Message(role, (*messages[-1].parts, *parts)))
        elif parts or role == "inline" or len(runs) == 1:
            messages.append(_tidy(Message(role, tuple(parts))))
    return messages


def _tidy(message: Message) -> Message:
    """Joins neighbouring texts of a message and drops empty ones."""
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        elif part != "":
            parts.append(part)
    return Message(message.role, tuple(parts))
