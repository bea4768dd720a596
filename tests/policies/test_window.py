"""The window memory as a rule over messages: which pictures leave, what stays, and where segments begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from o3gym.policies.dialogue import Dialogue, Message, Part, Picture
from o3gym.policies.window import leaving, most_segments, segmented, without_pictures
from o3gym.types import FULL, Span, View


def picture(index: int, time: Span | None = None, video: int | None = None) -> Picture:
    view = View(index, 0, FULL, (8, 8), (8, 8), time=time, video=video)
    return Picture(view, lambda: np.zeros((8, 8, 3), np.uint8))


def dialogue(replies: Sequence[str], opening: Sequence[Part] = ("?",), rounds: Sequence[Any] | None = None) -> Any:
    """System, opening, reply, one picture, reply, one picture, …, reply."""
    messages = [Message("system", ("You look.",)), Message("user", (picture(0), *opening))]
    for number, reply in enumerate(replies, 1):
        messages.append(Message("assistant", (reply,)))
        if number < len(replies):
            parts = rounds[number - 1] if rounds else (f"look {number}", picture(number))
            messages.append(Message("user", tuple(parts)))
    return messages


def views(messages: Sequence[Message]) -> list[int]:
    return [part.view.index for message in messages for part in message.parts if isinstance(part, Picture)]


def test_nothing_leaves_without_a_window_or_within_it() -> None:
    messages = dialogue("abc")[:-1]
    assert leaving(messages, None) == leaving(messages, 2) == leaving(messages, 9) == {}
    assert list(leaving(messages, 1)) == [3]


def test_observations_inside_the_turn_of_the_assistant_leave_as_others_do() -> None:
    whole = dialogue("abcd")
    inline = [replace(m, role="inline") if n > 1 and m.role == "user" else m for n, m in enumerate(whole)]
    assert leaving(inline[:-1], 1) == leaving(whole[:-1], 1)
    for (one, own), (other, count) in zip(segmented(whole, 1), segmented(inline, 1), strict=True):
        assert [m.parts for m in one] == [m.parts for m in other]
        assert {m.role for m in other[2:]} == {"assistant", "inline"}
        assert own == count
    cut = Dialogue(inline[:-1])
    cut.cut(leaving(inline[:-1], 1))
    assert [m.role for m in cut.messages] == [m.role for m in inline[:-1]]
    assert views(cut.messages) == [0, 3]


def test_a_round_without_pictures_takes_no_place_in_the_window() -> None:
    messages = dialogue("abcd", rounds=[[picture(1)], ["Error: no such view."], [picture(2)]])[:-1]
    assert leaving(messages, 2) == {}
    assert list(leaving(messages, 1)) == [3]


def test_messages_after_the_same_reply_are_one_round() -> None:
    messages = [*dialogue("ab")[:-1], Message("user", (picture(7),))]
    assert leaving(messages, 1) == {}


def test_the_place_of_a_picture_says_what_was_there() -> None:
    message = Message("user", ("first ", picture(1), "second ", picture(2), "done"))
    assert without_pictures(message, "I see.") == ("first ", "[no longer shown: 2 pictures]", "second ", "done")
    assert without_pictures(Message("user", (picture(1),)), "") == ("[no longer shown: 1 picture]",)
    frames = Message("user", (picture(1, (2.0, 2.5), 0), picture(2, (4.25, 4.5), 1), picture(3)))
    assert without_pictures(frames, "") == ("[no longer shown: 1 picture and frames at 2 s, 4.25 s of video 2]",)


def test_a_snapshot_takes_the_place_of_pictures() -> None:
    reply = "<Snapshot>a red car</Snapshot> next"
    for opened in (reply, reply.lower(), reply.replace("<Snapshot>", "< snapshot >")):
        assert without_pictures(Message("user", ("frames: ", picture(1), picture(2))), opened) == ("frames: ",)
    alone = without_pictures(Message("user", (picture(1),)), reply)
    assert alone == ("[no longer shown: 1 picture]",)  # a message is never empty


def test_a_cut_replaces_user_messages_only_and_counts_segments() -> None:
    made = Dialogue(dialogue("abc")[:-1])
    before = list(made.messages)
    assert made.segment == 0
    made.cut(leaving(made.messages, 1))
    assert (made.segment, made.cuts) == (1, [3])
    assert [one is other for one, other in zip(made.messages, before, strict=True)] == [n != 3 for n in range(6)]
    for wrong in ({}, {2: ("x",)}):
        with pytest.raises(ValueError, match="a cut changes user messages"):
            made.cut(wrong)
    assert made.segment == 1


@pytest.mark.parametrize("window", [None, 1, 2, 9])
def test_segments_of_a_demonstration_are_those_of_the_dialogue_as_it_grows(window: int | None) -> None:
    messages = dialogue("abcdef")
    grown, seen = Dialogue(), []
    for message in messages:
        if message.role == "assistant":
            if changes := leaving(grown.messages, window):
                grown.cut(changes)
            seen.append((grown.segment, [*grown.messages, message]))
        grown.messages.append(message)
    found = segmented(messages, window)
    assert [own for _, own in found] == [
        sum(segment == number for segment, _ in seen) for number in range(grown.segment + 1)
    ]
    lasts = [[said for segment, said in seen if segment == number][-1] for number in range(grown.segment + 1)]
    assert [said for said, _ in found] == lasts
    assert len(found) == most_segments(6, window)
    assert views(found[-1][0]) == [0, *list(range(1, 6))[-(window or 9) :]]


def test_a_demonstration_without_rounds_is_one_segment() -> None:
    messages = dialogue("a")
    assert segmented(messages, 1) == [(messages, 1)]
