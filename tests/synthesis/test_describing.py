from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.media.images import shared_store
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Picture
from o3gym.sampling import Sampling
from o3gym.synthesis.asking import AskedPolicy
from o3gym.synthesis.describing import FAILED, MAX_DESCRIPTION, RegionCandidate, description, region_inquiry
from o3gym.synthesis.detectors.base import LayoutBlock, Page
from o3gym.synthesis.region_rules import Region
from o3gym.types import Reply, Source

BOX = (0.25, 0.5, 0.5, 0.75)


SOURCE = Source.generated("synthetic", family="chart", difficulty="easy", seed=0, pixels=40_000)
CANDIDATE = RegionCandidate(Page("page", SOURCE), Region(BOX, (LayoutBlock(BOX, "chart"),)), 3)
DESCRIBER = AskedPolicy("openai:m", Sampling(temperature=1.0, max_tokens=50), 10_000, 16)


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
    request = DESCRIBER.request(region_inquiry(DESCRIBER, CANDIDATE), Policy())
    system, user = request.dialogue.messages
    assert (system.role, user.role, request.key[1]) == ("system", "user", "page/3")
    picture = user.parts[0]
    assert isinstance(picture, Picture)
    width, height = picture.view.shown
    assert width * height <= 10_000
    pixels, plain = picture.load(), shared_store().region(SOURCE, size=picture.view.shown)
    assert pixels.shape == (height, width, 3)
    framed = (pixels == (255, 0, 0)).all(axis=2)
    rows, columns = np.nonzero(framed)
    assert (columns.min() / width, rows.min() / height) == pytest.approx(BOX[:2], abs=0.02)
    assert ((columns.max() + 1) / width, (rows.max() + 1) / height) == pytest.approx(BOX[2:], abs=0.02)
    assert np.array_equal(pixels[~framed], plain[~framed]), "nothing but the frame is drawn"


def test_keys_and_seeds_are_those_of_earlier_versions() -> None:
    inquiry = region_inquiry(DESCRIBER, CANDIDATE)
    assert DESCRIBER.key(inquiry) == "c73e06c81a9ff907dfd0b4e54e2cdbbc"
    assert DESCRIBER.request(inquiry, Policy()).sampling == Sampling(1.0, 1.0, 50, (), 156424546)


def test_a_small_picture_is_not_enlarged() -> None:
    small = Source.generated("synthetic", family="chart", difficulty="easy", seed=0, pixels=4_000)
    candidate = RegionCandidate(Page("small", small), CANDIDATE.region, 0)
    picture = DESCRIBER.request(region_inquiry(DESCRIBER, candidate), Policy()).dialogue.messages[1].parts[0]
    assert isinstance(picture, Picture)
    assert picture.view.shown == shared_store().size(small)
