"""Descriptions of regions: a policy sees a picture with a red frame and says in a few words what to look for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from o3gym.codec import encode
from o3gym.synthesis.asking import AskedPolicy, Inquiry, Shown
from o3gym.synthesis.detectors.base import Page
from o3gym.synthesis.journal import key_of
from o3gym.synthesis.region_rules import Region
from o3gym.types import Reply

DESCRIBE_SYSTEM = """\
A partner will search a picture for one region, and has nothing to go by but your description. You see the region in a \
red frame; your partner sees the picture without it.

Describe the region the way somebody would who looks at the picture from far away and cannot read what is in it:
- Name the kind of thing: a chart, a table, a block of text, a group of icons, an object.
- You may say roughly where it is: in the upper left corner, right of the map, in the middle column.
- You may give the heading of the region, if it has one.
- Leave out everything that is found only by looking closely: figures, readings, small print, what the text says.
- Do not number things (the third bar, the second row).
- Do not mention the frame.

Reply with the description alone, in one line of at most twenty words."""
"""Our wording of what the paper asks of GPT-5-nano (arXiv 2512.18745, appendix C.2): simple and short, nothing of the
content, visually grounded; place and title are optional, ordinals and the red box are forbidden."""
DESCRIBE_USER = "Describe the framed region."
MAX_DESCRIPTION = 200
"""Maximum characters of a description (ours; the paper asks for "super simple and short")."""
QUOTES = "\"'`*“”„"
"""Characters that are removed around a description."""
FRAME_MENTION = re.compile(
    r"\bred(?:[ -]\w+)?[ -](?:box|frame|rectangle|outline|border)\b|\bbounding[ -]box\b", re.IGNORECASE
)
"""Words that reveal that the describing policy saw a frame, which the searcher does not see."""
FAILED = "the policy failed"
"""The reason for a missing description if asking again may help."""


@dataclass(frozen=True)
class RegionCandidate:
    """A region to describe; `number` counts the regions of its page from 0."""

    page: Page
    region: Region
    number: int

    @property
    def name(self) -> str:
        """The region's name, unique within a run."""
        return f"{self.page.name}/{self.number}"


def region_inquiry(asker: AskedPolicy, candidate: RegionCandidate) -> Inquiry:
    """Builds the inquiry for the description of a region: the whole picture with a red frame around the region.

    Key and seed are derived as in earlier versions, so that their journals stay valid.
    """
    source, box = candidate.page.source, candidate.region.box
    asked = [DESCRIBE_SYSTEM, DESCRIBE_USER, asker.spec, encode(asker.sampling), asker.max_pixels]
    return Inquiry(
        name=(candidate.name,),
        text=DESCRIBE_USER,
        look=Shown(source, frame=box),
        system=DESCRIBE_SYSTEM,
        key=key_of("described", asked, source.key, box),
        seed=int(key_of(asker.sampling.seed, candidate.name)[:7], 16),
    )


def description(reply: Reply) -> tuple[str, str]:
    """Reads a reply: returns (description, "") or ("", reason why it is unusable). Never raises, whatever it says."""
    if reply.finish == "error":
        return "", FAILED
    if reply.finish == "length":
        return "", "reply cut off"
    _, _, text = reply.text.rpartition("</think>")
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    while len(line) > 1 and line[0] in QUOTES and line[-1] in QUOTES:
        line = line[1:-1].strip()
    if not any(map(str.isalnum, line)) or line.startswith("<think>"):
        return "", "empty description"
    if len(line) > MAX_DESCRIPTION:
        return "", f"more than {MAX_DESCRIPTION} characters"
    return ("", "names the red frame") if FRAME_MENTION.search(line) else (line, "")
