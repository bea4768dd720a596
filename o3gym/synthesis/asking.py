"""Asks a policy many things, each once: every reply is kept in a journal, under a key that follows from the request."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TypeAlias

from PIL import Image

from o3gym.geometry import fit, snap
from o3gym.media.images import shared_store
from o3gym.media.pixels import Pixels, pixels_of
from o3gym.policies.base import Policy, checked_reply, make_policy
from o3gym.policies.dialogue import Dialogue, Part, Picture, Request
from o3gym.policies.two_agent import agents
from o3gym.registry import OPERATIONS, POLICIES
from o3gym.sampling import Sampling
from o3gym.specs import parse_spec
from o3gym.synthesis.journal import Journal, key_of
from o3gym.types import FULL, Box, Reply, Source, View

Name: TypeAlias = tuple[str, ...]
"""Identifies an inquiry among the others of a call."""

MAX_KEPT = 100_000
"""Characters kept of a reply (ours): several times what the default token limit allows, whatever a server sends."""
LEAST_PIXELS = 40_000
"""Smaller crops are enlarged to this size, the least that Mini-o3 shows (Mini-o3/Mini-o3, README)."""


@dataclass(frozen=True)
class Shown:
    """The picture that goes with an inquiry.

    Attributes:
        source: the picture.
        box: the part of it that is shown, in unit xyxy of `source`.
        frame: a box to draw on it in red, in unit xyxy of the shown part. A picture with a frame is never enlarged.
    """

    source: Source
    box: Box = FULL
    frame: Box | None = None

    def pixels(self, width: int, height: int) -> Pixels:
        """The shown part at the given size: a uint8 array of shape (height, width, 3)."""
        pixels = shared_store().region(self.source, self.box, (width, height))
        if self.frame is None:
            return pixels
        return pixels_of(OPERATIONS["draw"](Image.fromarray(pixels), boxes=[list(self.frame)]))


@dataclass(frozen=True)
class Inquiry:
    """One thing to ask.

    Attributes:
        name: identifies the reply; different for all inquiries of a call.
        text: the user message.
        look: the picture in front of the text, or None.
        system: the system message, or "" for none.
        key: the journal's key of the reply, or "" for the hash that `AskedPolicy.key` computes.
        seed: the sampling seed, or None for one that follows from the key.
    """

    name: Name
    text: str
    look: Shown | None = None
    system: str = ""
    key: str = ""
    seed: int | None = None


@dataclass(frozen=True)
class AskedPolicy:
    """A policy that writes free text, and how it is asked.

    Attributes:
        spec: the policy's spec.
        sampling: how replies are sampled; the seed of a request follows from this seed and from the inquiry.
        max_pixels: maximum pixels of a shown picture.
        in_flight: maximum number of open requests.
        base_url: the server of an openai policy whose spec names none; other policies ignore it. Replies do not depend
            on it, because a server may move.

    Raises:
        ValueError: a number is below 1, the policy needs the ground truth, or it speaks a dialect of its own.
        UnknownName: no policy has this name.
    """

    spec: str
    sampling: Sampling
    max_pixels: int
    in_flight: int
    base_url: str = ""

    def __post_init__(self) -> None:
        for option, value in (("max_pixels", self.max_pixels), ("in_flight", self.in_flight)):
            if value < 1:
                raise ValueError(f"{option}: expected a whole number from 1 up, got {value}")
        factory = POLICIES[parse_spec(self.spec)[0]]
        privileged, dialect = getattr(factory, "privileged", False), getattr(factory, "dialect", "")
        if privileged or dialect:
            why = "needs to know the answer" if privileged else f"speaks {dialect} only"
            raise ValueError(f'policy: expected one that writes free text, like openai:MODEL; "{self.spec}" {why}')

    def open(self) -> Policy:
        """Builds the policy."""
        return make_policy(self.spec, **({"base_url": self.base_url} if asks_server(self.spec) else {}))

    def key(self, inquiry: Inquiry) -> str:
        """The journal's key of a reply: 32 hex digits for everything that the reply depends on.

        Journals of earlier versions have these keys, so new parts enter the hash only where they are not empty.
        """
        if inquiry.key:
            return inquiry.key
        look, sampling = inquiry.look, self.sampling
        shown = [look.source.key, look.box, self.max_pixels, *([look.frame] if look.frame else [])] if look else []
        how = [sampling.temperature, sampling.top_p, sampling.max_tokens, sampling.seed, *sampling.stop]
        parts = [self.spec, how, inquiry.text, shown, *([inquiry.system] if inquiry.system else [])]
        return key_of(*parts)

    def request(self, inquiry: Inquiry, policy: Policy) -> Request:
        """Builds the request: its key holds the inquiry's name and, in place of an agent, the journal's key."""
        key, dialogue = self.key(inquiry), Dialogue()
        if inquiry.system:
            dialogue.add("system", [inquiry.system])
        parts: list[Part] = [self._picture(inquiry.look, policy)] if inquiry.look else []
        dialogue.add("user", [*parts, inquiry.text])
        seed = int(key[:12], 16) if inquiry.seed is None else inquiry.seed
        return Request(("asking", "/".join(inquiry.name), 0, key), dialogue, replace(self.sampling, seed=seed))

    def _picture(self, look: Shown, policy: Policy) -> Picture:
        """The picture at the size at which the policy's processor takes it in."""
        x0, y0, x1, y1 = snap(look.box, shared_store().size(look.source))
        native = (x1 - x0, y1 - y0)
        least = 1 if look.frame else min(LEAST_PIXELS, self.max_pixels // 4)
        shown = policy.vision_size(*fit(native, least, self.max_pixels))
        return Picture(View(0, 0, look.box, native, shown), lambda: look.pixels(*shown))


class ReplyLedger:
    """Replies by their keys, kept in a journal.

    Args:
        journal: an open journal; it may hold other things, too.
        retry: whether stored failures count as missing, so that they are asked again. A failure of this process is not.
    """

    def __init__(self, journal: Journal, *, retry: bool = False) -> None:
        self._journal, self._retry = journal, retry
        self._fresh: set[str] = set()

    def get(self, key: str) -> Reply | None:
        """Returns the stored reply, or None if there is none."""
        found = self._journal.get(key)
        if found is None:
            return None
        reply = Reply(found["text"], finish=found["finish"], error=found.get("error", ""))
        failed = reply.finish == "error" or bool(reply.error)
        return None if failed and self._retry and key not in self._fresh else reply

    def put(self, key: str, reply: Reply) -> Reply:
        """Stores a reply with at most `MAX_KEPT` characters of its text, and returns what is stored."""
        kept = Reply(reply.text[:MAX_KEPT], finish=reply.finish, error=reply.error)
        self._journal.put(key, {"text": kept.text, "finish": kept.finish, "error": kept.error})
        self._fresh.add(key)
        return kept


def stream_replies(
    asker: AskedPolicy, inquiries: Iterable[Inquiry], ledger: ReplyLedger
) -> Generator[tuple[Inquiry, Reply], None, None]:
    """Yields each inquiry with its reply: stored replies at once, the others as they arrive.

    An inquiry is drawn only when there is room for its request. Inquiries with one key are asked once. The policy is
    opened at the first missing reply and closed together with the generator.

    Args:
        asker: the policy.
        inquiries: what to ask.
        ledger: the stored replies; new ones are stored before they are yielded.
    """
    policy: Policy | None = None
    waiting: dict[str, list[Inquiry]] = {}
    try:
        for inquiry in inquiries:
            key = asker.key(inquiry)
            if key in waiting:
                waiting[key].append(inquiry)
            elif (reply := ledger.get(key)) is not None:
                yield inquiry, reply
            else:
                policy = asker.open() if policy is None else policy
                policy.submit(asker.request(inquiry, policy))
                waiting[key] = [inquiry]
                while len(waiting) >= asker.in_flight:
                    yield from _arrived(policy, waiting, ledger)
        while policy is not None and waiting:
            yield from _arrived(policy, waiting, ledger)
    finally:
        if policy is not None:
            policy.close()


def _arrived(policy: Policy, waiting: dict[str, list[Inquiry]], ledger: ReplyLedger) -> Iterator[tuple[Inquiry, Reply]]:
    """Waits for at least one reply, and yields those that have arrived with their inquiries."""
    for request_key, reply in policy.poll():
        policy.release(request_key)
        key = request_key[-1]
        kept = ledger.put(key, checked_reply(reply, policy))
        for inquiry in waiting.pop(key):
            yield inquiry, kept


def answered(
    asker: AskedPolicy,
    inquiries: Iterable[Inquiry],
    ledger: ReplyLedger,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[Name, Reply]:
    """Returns the reply to every inquiry by its name; a reply that failed has `error` set.

    Args:
        asker: see `stream_replies`, as for `inquiries` and `ledger`.
        inquiries: what to ask, with a different name each.
        ledger: the stored replies.
        progress: called with the number of replies so far.
    """
    replies: dict[Name, Reply] = {}
    progress(0)
    with closing(stream_replies(asker, inquiries, ledger)) as stream:
        for inquiry, reply in stream:
            replies[inquiry.name] = reply
            progress(len(replies))
    return replies


def asks_server(spec: str) -> bool:
    """Whether a policy, or one of the two of a `two_agent` spec, is an openai policy, which asks a server."""
    return any(parse_spec(one)[0] == "openai" for one in agents(spec))


def check_base_url(base_url: str, specs: Iterable[str]) -> None:
    """Raises ValueError if there is a server that none of the policies would ask."""
    if base_url and not any(map(asks_server, specs)):
        raise ValueError(f"base_url: none of the policies asks a server, {base_url} would not be used")
