"""The table of deliberate differences: it is complete, exact, and never out of date."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vectors import loading
from tests.vectors.differences import DIFFERENCES, Difference
from tests.vectors.loading import SOURCES, Compared, agree, vectors

FILES = sorted(path.stem for path in Path(__file__).parent.glob("*.jsonl"))


@pytest.mark.parametrize("name", FILES)
def test_every_file_has_a_source_and_vectors(name: str) -> None:
    assert any(name.startswith(system) for system in SOURCES)
    assert len(vectors(name)) >= 10


def test_every_difference_names_a_file_and_a_reason() -> None:
    assert {difference.vectors for difference in DIFFERENCES} <= set(FILES)
    assert all(difference.only and difference.reason for difference in DIFFERENCES)
    assert all(difference.ours != difference.theirs for difference in DIFFERENCES)


def test_results_differ_exactly_as_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = (Difference("x", ("odd", 3), "crop", "error", "because"),)
    monkeypatch.setattr(loading, "DIFFERENCES", listed)
    odd, third = Compared(1, "odd", ["crop", [1, 2]], ["error"]), Compared(3, "", "crop", "error")
    agree("x", [odd, third, Compared(2, "even", 1.0, 1.0)])
    with pytest.raises(AssertionError, match="do not differ any more"):
        agree("x", [odd])
    for other in (Compared(2, "even", ["crop"], ["error"]), Compared(1, "odd", ["end"], ["error"])):
        with pytest.raises(AssertionError, match="1 results of x differ"):
            agree("x", [odd, third, other])
