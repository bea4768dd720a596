from __future__ import annotations

import pytest

from o3gym.registry import UnknownName
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page, make_detector
from o3gym.synthesis.detectors.truth import Truth


class Halves(Detector):
    def __init__(self, label: str = "table") -> None:
        self.label = label

    def detect(self, page: Page) -> list[LayoutBlock]:
        return [LayoutBlock((0.0, 0.0, 0.5, 0.5), self.label)]


def test_by_name_and_by_place() -> None:
    assert isinstance(make_detector("truth"), Truth)
    own = make_detector(f"{__name__}:Halves?label=chart")
    assert type(own).__name__ == "Halves"
    assert vars(own) == {"label": "chart"}


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("thruth", UnknownName, 'did you mean "truth"'),
        ("no_such_module:Class", UnknownName, 'or "package.module:attribute"'),
        ("o3gym.synthesis.detectors.truth:Thruth", UnknownName, 'did you mean "Truth"'),
        (f"{__name__}:Halves?lable=chart", TypeError, 'did you mean "label"'),
        ("truth:x", TypeError, 'takes nothing after ":"'),
        (f"{__name__}:Halves:x", TypeError, 'takes nothing after ":"'),
    ],
)
def test_what_cannot_be_made(spec: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(")):
        make_detector(spec)
