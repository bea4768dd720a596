"""Window memory: which pictures leave a dialogue as it grows, and what stays in their place.

A round is what the environment shows after a reply. The pictures of the last `window` rounds stay in the dialogue, and
so do those of the opening. Older pictures are removed. What the model wrote about them stays, above all the text that
it wrote as a `<Snapshot>` of them. Source: VR-Thinker (arXiv 2510.10518, section 3.2), whose context is thereby bounded
by the opening and `window` rounds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from o3gym.policies.dialogue import OBSERVING, Message, Part, Picture

_SNAPSHOT = re.compile(r"< ?snapshot ?>", re.IGNORECASE)


def leaving(messages: Sequence[Message], window: int | None) -> Mapping[int, tuple[Part, ...]]:
    """Returns the observations whose pictures leave the window: their new parts by index; empty if none do.

    Args:
        messages: a dialogue whose newest round is in it already.
        window: number of rounds whose pictures stay; None for all.
    """
    rounds: dict[int, list[int]] = {}  # number of replies so far → indices of messages with pictures
    replies = 0
    for index, message in enumerate(messages):
        replies += message.role == "assistant"
        if replies and message.role in OBSERVING and _pictures(message):
            rounds.setdefault(replies, []).append(index)
    if window is None or len(rounds) <= window:
        return {}
    old = [index for indices in list(rounds.values())[:-window] for index in indices]
    return {index: without_pictures(messages[index], _reply_after(messages, index)) for index in old}


def without_pictures(message: Message, reply: str) -> tuple[Part, ...]:
    """Returns the parts of a message without its pictures.

    Args:
        message: a message with pictures.
        reply: the reply to it. If it holds a `<Snapshot>`, that text replaces the pictures. Otherwise a note in the
            place of the first one says what is no longer shown.
    """
    pictures = _pictures(message)
    texts = [part for part in message.parts if isinstance(part, str)]
    if _SNAPSHOT.search(reply) and any(text.strip() for text in texts):
        return tuple(texts)
    note = f"[no longer shown: {_listed(pictures)}]"
    first = message.parts.index(pictures[0])
    parts = [note if index == first else part for index, part in enumerate(message.parts)]
    return tuple(part for part in parts if isinstance(part, str))


def segmented(messages: Sequence[Message], window: int | None) -> list[tuple[list[Message], int]]:
    """Splits a demonstration, which holds all its pictures, into the segments that a rollout with `window` would have.

    Returns:
        For each segment, the dialogue through its last reply, and the number of replies at its end that belong to it.
    """
    dialogue, segments, start, own = list[Message](), list[tuple[list[Message], int]](), 0, 0
    for message in messages:
        if message.role == "assistant":
            if changes := leaving(dialogue, window):
                if own:
                    segments.append((dialogue[:start], own))
                dialogue = [
                    replace(m, parts=changes[index]) if index in changes else m for index, m in enumerate(dialogue)
                ]
                own = 0
            own, start = own + 1, len(dialogue) + 1
        dialogue.append(message)
    return [*segments, (dialogue, own)]


def most_segments(turns: int, window: int | None) -> int:
    """Returns the largest number of segments of an episode with that many turns: a cut before each further round."""
    return 1 if window is None else max(1, turns - window)


def _pictures(message: Message) -> list[Picture]:
    return [part for part in message.parts if isinstance(part, Picture)]


def _reply_after(messages: Sequence[Message], index: int) -> str:
    return next((message.text for message in messages[index:] if message.role == "assistant"), "")


def _listed(pictures: Sequence[Picture]) -> str:
    """Describes pictures in words: frames by their times, other pictures by their number."""
    times = [_time(picture) for picture in pictures if picture.view.time is not None]
    others = len(pictures) - len(times)
    words = [f"{others} picture{'s' if others > 1 else ''}"] if others else []
    return " and ".join([*words, *([f"frames at {', '.join(times)}"] if times else [])])


def _time(picture: Picture) -> str:
    seconds = f"{picture.view.time[0]:.2f}".rstrip("0").rstrip(".") if picture.view.time else ""
    return f"{seconds} s" + (f" of video {picture.view.video + 1}" if picture.view.video else "")
