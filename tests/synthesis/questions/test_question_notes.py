from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.synthesis.questions.notes import MAX_NOTE, Note, read_note


@pytest.mark.parametrize(
    ("reply", "note"),
    [
        ("CAPTION\nA table.\nTEXT\nOslo 14\n", Note("A table.", "Oslo 14")),
        (
            "<think>TEXT\nno</think>\n## CAPTION:\nA table.\n\n**TEXT**\n| a |\nCAPTION\n",
            Note("A table.", "| a |\nCAPTION"),
        ),
        ("CAPTION\nA photo.\nTEXT\nNone.", Note("A photo.", "")),
        ("A table of cities.", Note("A table of cities.", "")),
        ("TEXT\nOslo", Note("", "Oslo")),
        ("", Note()),
    ],
)
def test_sections_of_a_reply(reply: str, note: Note) -> None:
    assert read_note(reply) == note


@given(st.text() | st.lists(st.sampled_from(["CAPTION\n", "TEXT\n", "\n", "#", "x", "</think>"])).map("".join))
def test_no_reply_raises(reply: str) -> None:
    assert max(map(len, (read_note(reply).caption, read_note(reply).text))) <= MAX_NOTE


@pytest.mark.parametrize("filler", ["\n", "#", "CAPTION\n", " \n", "x"])
def test_a_long_reply_takes_no_long_time(filler: str) -> None:
    start = time.perf_counter()
    note = read_note(filler * 100_000)
    assert len(note.words) <= 2 * MAX_NOTE + 1
    assert time.perf_counter() - start < 1
