from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.synthesis.questions.notes import PAGE, Note
from o3gym.synthesis.questions.proposals import Proposal
from o3gym.synthesis.questions.validation import normal, structural_flaw, wording_flaw

GOOD = Proposal(
    'Which station is after the stop in "Zone B" on the "Red Line"?',
    ("Nørre Gate", "12", "Old Mill", '"Quay 4" pier', "38.9%", "No right choice"),
    "A",
    "Step 1: … [layout 1] Step 2: … [layout key]",
    ("1", "key"),
)
NOTES = {
    PAGE: Note("A map of trams.", "City trams"),
    "1": Note("A line with stops.", "Red   Line\nNørre Gate"),
    "key": Note("A legend.", "Zone B"),
    "far": Note("An index.", "Old Mill\nQuay 4"),
}


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("1,200.0 km.", "1200 KM", True),
        ("38.9%", "38.90 %", True),
        ("5", "-5", False),
        ("−5", "-5", True),
        ("Red  line", "“red line”", True),
        ("May–June", "May-June", True),
        ("1.5", "15", False),
        ("C", "C++", False),
        ("0.10", ".10", False),
    ],
)
def test_options_that_are_the_same(a: str, b: str, same: bool) -> None:
    assert (normal(a) == normal(b)) is same


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({}, ""),
        ({"answer": "F"}, ""),
        ({"question": ""}, "no question"),
        ({"options": GOOD.options[1:]}, "not six options"),
        ({"options": ("", *GOOD.options[1:])}, "not six options"),
        ({"options": (*GOOD.options[:5], "None")}, 'F is not "No right choice"'),
        ({"options": (*GOOD.options[:5], "no right choice.")}, ""),
        ({"options": ("12.0", *GOOD.options[1:])}, "options that are alike"),
        ({"options": ("No right choice", *GOOD.options[1:])}, "options that are alike"),
        ({"options": ("All of the above", *GOOD.options[1:])}, "an option about other options"),
        ({"answer": "A, B"}, "not exactly one right option"),
        ({"answer": "G"}, "not exactly one right option"),
        ({"answer": ""}, "not exactly one right option"),
        ({"answer": "AB"}, "not exactly one right option"),
        ({"question": "x" * 1501}, "too long"),
        ({"options": ("x" * 301, *GOOD.options[1:])}, "too long"),
        ({"explanation": "x" * 6001}, "too long"),
        ({"layouts": ("1",)}, "fewer than two layouts cited"),
        ({"layouts": ()}, "fewer than two layouts cited"),
        ({"layouts": ("1", "2")}, "cites a layout that is not there"),
        ({"layouts": ("1", "")}, "cites a layout that is not there"),
    ],
)
def test_form(change: dict[str, Any], flaw: str) -> None:
    assert structural_flaw(replace(GOOD, **change), ("1", "key", "far")) == flaw


ABSENT, WRONG = (
    "a label of the question that is not in the notes of what it cites",
    "a label of an option that is not in the notes",
)


@pytest.mark.parametrize(
    ("question", "option", "flaw"),
    [
        (GOOD.question, "Nørre Gate", ""),
        ("What follows “Red Line” on 'x'?", "Nørre Gate", ""),
        ('In "City trams", what is it?', "7 stops", ""),
        ('Where is "red line"?', "Nørre Gate", ABSENT),
        ('Where is "Old Mill"?', "Nørre Gate", ABSENT),  # it is in a layout that is not cited
        (GOOD.question, "Norre Gate", WRONG),
        (GOOD.question, "Old Mill.", ""),
        (GOOD.question, 'stop "Quay 5"', WRONG),
        (GOOD.question, "Quay 5", ""),  # may be calculated
        ("Which is in layout 3?", "Nørre Gate", "speaks of layouts"),
        ("How many red boxes?", "Nørre Gate", "speaks of layouts"),
    ],
)
def test_labels(question: str, option: str, flaw: str) -> None:
    proposal = replace(GOOD, question=question, options=(option, *GOOD.options[1:]))
    assert wording_flaw(proposal, NOTES) == flaw


def test_words_for_layouts_that_the_picture_has_are_labels() -> None:
    asked = replace(GOOD, question='Which "Region" has most boxes?')
    notes = {**NOTES, "1": Note("", "Region\nNørre Gate\nPost box")}
    assert wording_flaw(asked, notes) == ""
    assert wording_flaw(asked, {**notes, "1": Note("Region, box", "Nørre Gate")}) == "speaks of layouts"


TEXT = st.text(max_size=20)


@given(
    st.builds(Proposal, TEXT, st.lists(TEXT, max_size=7).map(tuple), TEXT, TEXT, st.lists(TEXT, max_size=3).map(tuple))
)
def test_nothing_raises(proposal: Proposal) -> None:
    structural_flaw(proposal, ("1",))
    wording_flaw(replace(proposal, options=(*proposal.options, "x"), layouts=("1", "key")), NOTES)
