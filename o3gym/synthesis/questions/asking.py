"""Asking a policy many things once: every reply is kept in a file, under what was asked, and never asked for again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from o3gym.geometry import fit, snap
from o3gym.media.images import shared_store
from o3gym.policies.base import Policy, make_policy, replies_to
from o3gym.policies.dialogue import Dialogue, Part, Picture, Request
from o3gym.registry import POLICIES, parse_spec
from o3gym.synthesis.journal import Journal
from o3gym.types import Box, Reply, Sampling, Source, View

Name: TypeAlias = tuple[str, ...]

MAX_KEPT = 100_000
"""Characters kept of a reply (ours): several times what the default token limit allows, whatever a server sends."""
LEAST_PIXELS = 40_000
"""Smaller crops are enlarged to it: the least that Mini-o3 shows (Mini-o3/Mini-o3, README)."""


@dataclass(frozen=True)
class Shown:
    """A part of a picture that goes with a question: `box` in unit xyxy of `source`."""

    source: Source
    box: Box


@dataclass(frozen=True)
class Inquiry:
    """One thing to ask: a name to find the reply by, the text, and what to show before it."""

    name: Name
    text: str
    look: Shown | None = None


@dataclass(frozen=True)
class AskedPolicy:
    """Who is asked, and how.

    Attributes:
        spec: of the policy; its replies must not need the truth.
        sampling: of replies; its seed is replaced by one that follows from it and from what is asked.
        max_pixels: pixels of a picture that is shown, at most.
        in_flight: requests open at once.
    """

    spec: str
    sampling: Sampling
    max_pixels: int
    in_flight: int

    def __post_init__(self) -> None:
        if getattr(POLICIES[parse_spec(self.spec)[0]], "privileged", False):
            raise ValueError(f'policy "{self.spec}" only plays tasks whose answers it is told; name a model')

    def digest(self, ask: Inquiry) -> str:
        """What a reply depends on, as 32 hex digits: policy, sampling, text and what is shown."""
        shown = [ask.look.source.key, ask.look.box, self.max_pixels] if ask.look else []
        how = [self.sampling.temperature, self.sampling.top_p, self.sampling.max_tokens, self.sampling.seed]
        return hashlib.sha256(json.dumps([self.spec, how, ask.text, shown]).encode()).hexdigest()[:32]

    def request(self, ask: Inquiry, digest: str, policy: Policy) -> Request:
        """The dialogue of one message; pixels are made when they are asked for."""
        dialogue = Dialogue()
        parts: list[Part] = [self._picture(ask.look, policy)] if ask.look else []
        dialogue.add("user", [*parts, ask.text])
        seed = int(digest[:12], 16)
        sampling = Sampling(self.sampling.temperature, self.sampling.top_p, self.sampling.max_tokens, (), seed)
        return Request(("questions", digest, 0, ""), dialogue, sampling)

    def _picture(self, look: Shown, policy: Policy) -> Picture:
        x0, y0, x1, y1 = snap(look.box, shared_store().size(look.source))
        native = (x1 - x0, y1 - y0)
        shown = policy.vision_size(*fit(native, min(LEAST_PIXELS, self.max_pixels // 4), self.max_pixels))
        view = View(0, 0, look.box, native, shown)
        return Picture(view, lambda: shared_store().region(look.source, look.box, shown))


class ReplyLedger:
    """Replies by what was asked, in a journal.

    Args:
        path: of the journal; it is made if it is not there.
        retry: whether replies that are errors count as not there, and are asked for again.

    Raises:
        RunError: another process writes the file, it cannot be written, or a line of it is not one of a journal.
    """

    def __init__(self, path: Path, *, retry: bool = False) -> None:
        self._journal, self._retry = Journal(path), retry
        self._fresh: set[str] = set()

    def __enter__(self) -> ReplyLedger:
        return self

    def __exit__(self, *error: object) -> None:
        self._journal.close()

    def get(self, digest: str) -> Reply | None:
        """The reply, None if there is none."""
        found = self._journal.get(digest)
        if found is None or (self._retry and found["error"] and digest not in self._fresh):
            return None
        return Reply(found["text"], finish=found["finish"], error=found["error"])

    def put(self, digest: str, reply: Reply) -> None:
        """Keep a reply, its text cut at `MAX_KEPT`."""
        self._journal.put(digest, {"text": reply.text[:MAX_KEPT], "finish": reply.finish, "error": reply.error})
        self._fresh.add(digest)


def answered(
    asker: AskedPolicy,
    asks: Iterable[Inquiry],
    ledger: ReplyLedger,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[Name, Reply]:
    """The reply to every ask, from the ledger or from the policy, which is made only if something is missing.

    Args:
        asker: who is asked.
        asks: each with a name of its own.
        ledger: where replies are kept, at once.
        progress: called with how many are there.

    Returns:
        Replies by name; those that failed have `error` set.
    """
    wanted = {ask.name: (asker.digest(ask), ask) for ask in asks}
    missing = {digest: ask for digest, ask in wanted.values() if ledger.get(digest) is None}
    done = len(wanted) - len(missing)
    progress(done)
    for digest, reply in _asked(asker, missing) if missing else ():
        ledger.put(digest, reply)
        done += 1
        progress(done)
    return {name: _known(ledger, digest) for name, (digest, _) in wanted.items()}


def _known(ledger: ReplyLedger, digest: str) -> Reply:
    found = ledger.get(digest)
    assert found is not None
    return found


def _asked(asker: AskedPolicy, asks: Mapping[str, Inquiry]) -> Iterator[tuple[str, Reply]]:
    """Each digest with its reply, in the order in which they come."""
    policy = make_policy(asker.spec)
    try:
        requests = (asker.request(ask, digest, policy) for digest, ask in asks.items())
        for key, reply in replies_to(policy, requests, asker.in_flight):
            yield key[1], reply
    finally:
        policy.close()
