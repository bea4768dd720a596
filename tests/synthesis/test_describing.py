from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.media.images import shared_store
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Picture
from o3gym.synthesis.describing import FAILED, MAX_DESCRIPTION, Describer, RegionCandidate, description
from o3gym.synthesis.detectors.base import LayoutBlock, Page
from o3gym.synthesis.region_rules import Region
from o3gym.types import Reply, Sampling, Source

BOX = (0.25, 0.5, 0.5, 0.75)


def describer(spec: str, **options) -> Describer:
    return Describer(spec, **{"sampling": Sampling(temperature=1.0, max_tokens=50), "max_pixels": 10_000, **options})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the bar chart in the lower left corner", "the bar chart in the lower left corner"),
        (' "the table\n  titled “Sales 2003”"\n', "the table titled “Sales 2003”"),
        ("<think>A chart, red box …</think>\n**the chart**", "the chart"),
        ("the red kite in the middle", "the red kite in the middle"),
        ("das Diagramm über \ud800 Äpfel\x00", "das Diagramm über Äpfel"),
    ],
)
def test_what_a_reply_says(text: str, said: str) -> None:
    assert description(Reply(text)) == (said, "")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(" \n"), "empty description"),
        (Reply('""'), "empty description"),
        (Reply("<think>it never ends"), "empty description"),
        (Reply("a chart " * 30), f"more than {MAX_DESCRIPTION} characters"),
        (Reply("the chart in the red box"), "names the red frame"),
        (Reply("the chart inside the red bounding box"), "names the red frame"),
        (Reply("what the Bounding-Box has"), "names the red frame"),
        (Reply("the chart in th", finish="length"), "reply cut off"),
        (Reply("", finish="error", error="no server"), FAILED),
    ],
)
def test_what_is_of_no_use(reply: Reply, reason: str) -> None:
    assert description(reply) == ("", reason)


@given(st.text(alphabet=st.characters(), max_size=400))
def test_no_text_is_too_much(text: str) -> None:
    said, reason = description(Reply(text))
    assert bool(said) != bool(reason)
    assert len(said) <= MAX_DESCRIPTION
    assert said.isprintable()


def test_the_request_shows_the_picture_with_a_red_frame() -> None:
    source = Source.generated("synthetic", family="chart", difficulty="easy", seed=0, pixels=40_000)
    candidate = RegionCandidate(Page("page", source), Region(BOX, (LayoutBlock(BOX, "chart"),)), 3)
    request = describer("openai:m").request(candidate, Policy())
    system, user = request.dialogue.messages
    assert (system.role, user.role, request.key[1]) == ("system", "user", "page/3")
    picture = user.parts[0]
    assert isinstance(picture, Picture)
    width, height = picture.view.shown
    assert width * height <= 10_000
    pixels, plain = picture.load(), shared_store().region(source, size=picture.view.shown)
    assert pixels.shape == (height, width, 3)
    framed = (pixels == (255, 0, 0)).all(axis=2)
    rows, columns = np.nonzero(framed)
    assert (columns.min() / width, rows.min() / height) == pytest.approx(BOX[:2], abs=0.02)
    assert ((columns.max() + 1) / width, (rows.max() + 1) / height) == pytest.approx(BOX[2:], abs=0.02)
    assert np.array_equal(pixels[~framed], plain[~framed]), "nothing but the frame is drawn"


@pytest.mark.parametrize(
    ("spec", "words"),
    [("oracle", "needs to know the answer"), ("tiny", "speaks grid only"), ("orcale", 'did you mean "oracle"')],
)
def test_policies_that_cannot_describe(spec: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        describer(spec).open()
    with pytest.raises(ValueError, match="max_pixels: expected a whole number from 1 up, got 0"):
        describer("oracle", max_pixels=0)
