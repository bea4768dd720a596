"""Describing regions: a policy sees a picture with a red frame and says in a few words what to look for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from PIL import Image

from o3gym.geometry import fit
from o3gym.media.images import Pixels, pixels_of, shared_store
from o3gym.policies.base import Policy, make_policy, replies_to
from o3gym.policies.dialogue import Dialogue, Picture, Request
from o3gym.registry import OPERATIONS
from o3gym.synthesis.detectors.base import Page
from o3gym.synthesis.journal import Journal, key_of
from o3gym.synthesis.region_rules import Region
from o3gym.types import FULL, Reply, Sampling, Size, View

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
"""Own words for what the paper asks of GPT-5-nano (arXiv 2512.18745, appendix C.2): simple and short, nothing of the
content, visually grounded; place and title are optional, ordinals and the red box are barred."""
DESCRIBE_USER = "Describe the framed region."
MAX_DESCRIPTION = 200
"""Characters of a description (ours; the paper asks for "super simple and short")."""
QUOTES = "\"'`*“”„"
"""What may stand around a description."""
FRAME_MENTION = re.compile(
    r"\bred(?:[ -]\w+)?[ -](?:box|frame|rectangle|outline|border)\b|\bbounding[ -]box\b", re.IGNORECASE
)
"""What gives away that a description was made from a picture with a frame."""
FAILED = "the policy failed"
"""Why there is no description, where asking again may help."""


@dataclass(frozen=True)
class RegionCandidate:
    """A region that is to be described: the `number`-th of its page."""

    page: Page
    region: Region
    number: int

    @property
    def name(self) -> str:
        """Unique within a run."""
        return f"{self.page.name}/{self.number}"


@dataclass(frozen=True)
class Describer:
    """Who describes regions, and how they are asked.

    Attributes:
        spec: the policy.
        sampling: of replies.
        max_pixels: of the picture as it is shown.
        in_flight: requests that are open at once.
        base_url: the policy's server, if it has one and the spec does not name it.
    """

    spec: str
    sampling: Sampling
    max_pixels: int
    in_flight: int = 16
    base_url: str = ""

    def __post_init__(self) -> None:
        for option, value in (("max_pixels", self.max_pixels), ("in_flight", self.in_flight)):
            if value < 1:
                raise ValueError(f"{option}: expected a whole number from 1 up, got {value}")

    def open(self) -> Policy:
        """The policy. Raises ValueError for one that does not write free text."""
        policy = make_policy(self.spec, **({"base_url": self.base_url} if self.base_url else {}))
        if policy.privileged or policy.dialect:
            policy.close()
            why = "needs to know the answer" if policy.privileged else f"speaks {policy.dialect} only"
            raise ValueError(f'policy: expected one that describes pictures, like openai:MODEL; "{self.spec}" {why}')
        return policy

    def replies(
        self, policy: Policy, candidates: Iterable[RegionCandidate], journal: Journal
    ) -> Iterator[tuple[RegionCandidate, Reply]]:
        """Each candidate with its reply, as they come; what the journal has is not asked again.

        A reply that the policy failed to give is not kept, so that the next run asks for it.
        """
        known: list[tuple[RegionCandidate, Reply]] = []
        asked: dict[str, RegionCandidate] = {}
        for key, reply in replies_to(policy, self._requests(policy, candidates, journal, known, asked), self.in_flight):
            candidate = asked.pop(key[1])
            if reply.finish != "error":
                journal.put(self._key(candidate), {"text": reply.text, "finish": reply.finish})
            yield candidate, reply
        yield from known

    def _requests(
        self,
        policy: Policy,
        candidates: Iterable[RegionCandidate],
        journal: Journal,
        known: list[tuple[RegionCandidate, Reply]],
        asked: dict[str, RegionCandidate],
    ) -> Iterator[Request]:
        """What the journal does not have; puts what it has into `known`, and the others into `asked` by name."""
        for candidate in candidates:
            if (said := journal.get(self._key(candidate))) is not None:
                known.append((candidate, Reply(said["text"], finish=said["finish"])))
            else:
                asked[candidate.name] = candidate
                yield self.request(candidate, policy)

    def request(self, candidate: RegionCandidate, policy: Policy) -> Request:
        """What the policy is asked."""
        native = shared_store().size(candidate.page.source)
        shown = policy.vision_size(*fit(native, 1, self.max_pixels))
        view = View(0, 0, FULL, native, shown)
        dialogue = Dialogue()
        dialogue.add("system", [DESCRIBE_SYSTEM])
        dialogue.add("user", [Picture(view, lambda: framed(candidate, shown)), DESCRIBE_USER])
        seed = int(key_of(self.sampling.seed, candidate.name)[:7], 16)
        return Request(("regions", candidate.name, 0, "describer"), dialogue, replace(self.sampling, seed=seed))

    def _key(self, candidate: RegionCandidate) -> str:
        asked = [DESCRIBE_SYSTEM, DESCRIBE_USER, self.spec, asdict(self.sampling), self.max_pixels]  # a server may move
        return key_of("described", asked, candidate.page.source.key, candidate.region.box)


def framed(candidate: RegionCandidate, shown: Size) -> Pixels:
    """The picture with a red frame around the region, drawn at the size at which it is shown.

    Returns:
        A uint8 array of shape (shown height, shown width, 3).
    """
    image = Image.fromarray(shared_store().region(candidate.page.source, FULL, shown))
    return pixels_of(OPERATIONS["draw"](image, boxes=[list(candidate.region.box)]))


def description(reply: Reply) -> tuple[str, str]:
    """What a reply says, and ""; or "" and why it is of no use. Never raises, whatever a model wrote."""
    if reply.finish == "error":
        return "", FAILED
    if reply.finish == "length":
        return "", "reply cut off"
    _, _, said = reply.text.rpartition("</think>")
    line = " ".join("".join(c if c.isprintable() else " " for c in said).split())
    while len(line) > 1 and line[0] in QUOTES and line[-1] in QUOTES:
        line = line[1:-1].strip()
    if not any(map(str.isalnum, line)) or line.startswith("<think>"):
        return "", "empty description"
    if len(line) > MAX_DESCRIPTION:
        return "", f"more than {MAX_DESCRIPTION} characters"
    return ("", "names the red frame") if FRAME_MENTION.search(line) else (line, "")
