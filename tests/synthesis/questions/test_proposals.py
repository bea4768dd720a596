from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.synthesis.questions.proposals import MAX_OBJECTS, Proposal, read_proposals

SIX = ["1", "2", "3", "4", "5", "No right choice"]
ROW: dict[str, Any] = {
    "question": "How many?",
    "options": SIX,
    "answer": "B",
    "explanation": "a [layout 1] b [layout 2]",
}
READ = Proposal("How many?", tuple(SIX), "B", ROW["explanation"], ("1", "2"))


@pytest.mark.parametrize(
    "reply",
    [
        json.dumps([ROW]),
        f"<think>[{{}}</think>Here they are:\n```json\n{json.dumps([ROW], indent=1)}\n```\nDone {{}}.",
        json.dumps({"questions": [ROW]}),
        json.dumps([ROW, ROW])[:-20],  # cut by the token limit
        json.dumps(
            {**ROW, "options": "\n".join(f"{letter}. {one}" for letter, one in zip("ABCDEF", SIX, strict=True))}
        ),
        json.dumps({**ROW, "options": [f"({letter}) {one}" for letter, one in zip("ABCDEF", SIX, strict=True)]}),
        json.dumps({**ROW, "options": dict(zip("ABCDEF", SIX, strict=True)), "answer": "(b)"}),
        json.dumps({**ROW, "options": [1, 2, 3, 4, 5, "No  right\u2028choice"], "question": " How\n many?\x00"}),
    ],
)
def test_questions_are_found_wherever_they_are(reply: str) -> None:
    assert read_proposals(reply, 5) == [READ]


@pytest.mark.parametrize(
    ("said", "layouts"),
    [
        ("[layout 3] then [Layout 10]", ("3", "10")),
        ("[layouts 3, 10 and key] [layout 3]", ("3", "10", "key")),
        ("[layout 3][layout 4; layout 5]", ("3", "4", "5")),
        ("layout 3 [3] (layout 4)", ()),
    ],
)
def test_citations(said: str, layouts: tuple[str, ...]) -> None:
    assert read_proposals(json.dumps({**ROW, "explanation": said}), 1)[0].layouts == layouts


def test_no_more_than_asked_for_and_fields_of_other_kinds_are_empty() -> None:
    assert len(read_proposals(json.dumps([ROW] * 9), 5)) == 5
    odd = {"question": ["?"], "options": {"A": 1}, "answer": {"B": 1}, "explanation": None}
    assert read_proposals(json.dumps(odd), 5) == [Proposal()]
    assert read_proposals(json.dumps({**ROW, "options": [[1], 2]}), 5)[0].options == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["question", "options", "answer", "A", "x"]), inner)
    ),
    max_leaves=20,
)


@given(JSON.map(json.dumps) | st.text(), st.text(max_size=5))
def test_no_reply_raises_and_what_is_read_can_be_written(reply: str, after: str) -> None:
    for proposal in read_proposals(reply + after, 3):
        json.dumps(proposal.question + "".join(proposal.options) + proposal.explanation).encode()
        (proposal.question + "".join(proposal.options) + proposal.explanation).encode()


@pytest.mark.parametrize(
    "filler",
    ['{"a":', "{", "[", '{"question":', '{"question": "', '"', '{"a":[', "9", "[layout ", "[layout" + " " * 2000, "\n"],
)
def test_a_hostile_reply_takes_bounded_time(filler: str) -> None:
    start = time.perf_counter()
    assert len(read_proposals(filler * (100_000 // len(filler)), MAX_OBJECTS)) <= MAX_OBJECTS
    read_proposals(json.dumps({**ROW, "explanation": filler * (50_000 // len(filler))}), 1)
    assert time.perf_counter() - start < 5
