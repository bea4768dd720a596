"""Asking a policy many things once: keys, what is sent, what is stored, and the order of replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from o3gym.media.images import shared_store
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Picture, Request
from o3gym.registry import POLICIES, UnknownName
from o3gym.sampling import Sampling
from o3gym.synthesis.asking import (
    AskedPolicy,
    Inquiry,
    ReplyLedger,
    Shown,
    answered,
    asks_server,
    check_base_url,
    stream_replies,
)
from o3gym.synthesis.journal import Journal
from o3gym.types import Reply, Source

BOX = (0.25, 0.5, 0.5, 0.75)
SOURCE = Source.generated("synthetic", family="chart", difficulty="easy", seed=0, pixels=40_000)
SAMPLING = Sampling(temperature=0.5, max_tokens=50, seed=7)
MODEL = AskedPolicy("openai:m", SAMPLING, 100_000, 4)


class Echo(Policy):
    """Answers a batch in reverse order, and fails where it is told to."""

    made = 0
    closed = 0
    batches: list[list[str]] = []  # noqa: RUF012 - shared on purpose
    broken = ""

    def __init__(self) -> None:
        super().__init__()
        Echo.made += 1

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        texts = [request.dialogue.messages[-1].text for request in requests]
        Echo.batches.append(texts)
        return [
            Reply("", finish="error", error="down") if text == Echo.broken else Reply(f"re {text}") for text in texts
        ]

    def poll(self) -> list[tuple[tuple[str, str, int, str], Reply]]:
        return super().poll()[::-1]

    def close(self) -> None:
        Echo.closed += 1


@pytest.fixture
def echo(register: Callable[..., str]) -> AskedPolicy:
    Echo.made, Echo.closed, Echo.batches, Echo.broken = 0, 0, [], ""
    register(POLICIES, "echo", Echo)
    return AskedPolicy("echo", SAMPLING, 100_000, 2)


def inquiries(*texts: str) -> list[Inquiry]:
    return [Inquiry((str(number),), text) for number, text in enumerate(texts)]


def test_keys_and_seeds_are_those_of_earlier_versions() -> None:
    plain, shown = Inquiry(("a",), "What?"), Inquiry(("b",), "What?", Shown(SOURCE, BOX))
    assert MODEL.key(plain) == "aafdcaeba3db41b4b51d04b26d65d5d6"
    assert MODEL.key(shown) == "9aa7e57aca43f20fc6c9ab02cab70bed"
    assert MODEL.request(plain, Policy()).sampling == replace(SAMPLING, seed=188007007888347)
    assert MODEL.request(shown, Policy()).sampling == replace(SAMPLING, seed=170045900245571)


def test_keys_tell_apart_what_changes_a_reply() -> None:
    plain, shown = Inquiry(("a",), "What?"), Inquiry(("b",), "What?", Shown(SOURCE, BOX))
    keys = [
        *(MODEL.key(one) for one in (plain, shown, replace(plain, text="Who?"), replace(plain, system="Be short."))),
        MODEL.key(replace(shown, look=Shown(SOURCE, BOX, frame=BOX))),
        replace(MODEL, max_pixels=50_000).key(shown),
        replace(MODEL, spec="openai:n").key(plain),
        replace(MODEL, sampling=replace(SAMPLING, stop=(".",))).key(plain),
        replace(MODEL, sampling=replace(SAMPLING, seed=8)).key(plain),
    ]
    assert len(set(keys)) == len(keys)
    same = (replace(MODEL, base_url="http://a/v1"), replace(MODEL, in_flight=9), replace(MODEL, max_pixels=50_000))
    assert {asker.key(plain) for asker in same} == {MODEL.key(plain)}
    assert MODEL.key(replace(plain, key="mine")) == "mine"


def test_a_request_shows_a_crop_and_enlarges_a_small_one() -> None:
    inquiry = Inquiry(("note", "1"), "What?", Shown(SOURCE, BOX), system="Be short.", seed=3)
    request = replace(MODEL, max_pixels=160_000).request(inquiry, Policy())
    assert (request.key[1], request.sampling.seed) == ("note/1", 3)
    system, user = request.dialogue.messages
    assert (system.role, system.text, user.text) == ("system", "Be short.", "<image>What?")
    picture = user.parts[0]
    assert isinstance(picture, Picture)
    width, height = picture.view.shown
    assert width * height == pytest.approx(40_000, rel=0.02)
    assert np.array_equal(picture.load(), shared_store().region(SOURCE, BOX, (width, height)))


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("oracle", ValueError, '"oracle" needs to know the answer'),
        ("tiny", ValueError, "speaks grid only"),
        ("two_agent(reasoner=openai:m, searcher=tiny)", ValueError, "speaks insight_o3_reasoner only"),
        ("orcale", UnknownName, 'did you mean "oracle"'),
    ],
)
def test_policies_that_write_no_free_text_are_refused(spec: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        AskedPolicy(spec, SAMPLING, 1, 1)


@pytest.mark.parametrize("option", ["max_pixels", "in_flight"])
def test_numbers_begin_at_one(option: str) -> None:
    with pytest.raises(ValueError, match=f"{option}: expected a whole number from 1 up, got 0"):
        replace(MODEL, **{option: 0})


def test_a_base_url_is_for_openai_policies(echo: AskedPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []

    class Server(Echo):
        def __init__(self, argument: str, base_url: str = "") -> None:
            super().__init__()
            given.append(base_url)

    monkeypatch.setitem(POLICIES._loaded, "openai", Server)
    replace(echo, base_url="http://a/v1").open()
    for spec in ("openai:m", "openai:m?base_url=http://b/v1"):
        replace(MODEL, spec=spec, base_url="http://a/v1").open()
    assert given == ["http://a/v1", "http://b/v1"]
    assert not asks_server("echo")
    assert asks_server("two_agent(reasoner=openai:m, searcher=tiny)")
    check_base_url("", ["echo"])
    check_base_url("http://a/v1", ["echo", "openai:m"])
    with pytest.raises(ValueError, match="none of the policies asks a server, http://a/v1 would not be used"):
        check_base_url("http://a/v1", ["echo", "tiny"])


def test_replies_come_as_they_arrive_and_nothing_is_asked_twice(echo: AskedPolicy, tmp_path: Path) -> None:
    with Journal(tmp_path / "replies.jsonl") as journal:
        ledger, drawn = ReplyLedger(journal), list[str]()
        ledger.put(echo.key(Inquiry((), "known")), Reply("stored"))

        def asked() -> Iterator[Inquiry]:
            for inquiry in inquiries("a", "known", "b", "a", "c"):
                drawn.append(inquiry.text)
                yield inquiry

        with closing(stream_replies(echo, asked(), ledger)) as stream:
            first = next(stream)
            assert (first[0].name, first[1].text, drawn) == (("1",), "stored", ["a", "known"])
            rest = [(inquiry.name[0], reply.text) for inquiry, reply in stream]
        assert rest == [("2", "re b"), ("0", "re a"), ("3", "re a"), ("4", "re c")]
        assert Echo.batches == [["a", "b"], ["c"]]
        assert (Echo.made, Echo.closed) == (1, 1)
        assert {name[0]: reply.text for name, reply in answered(echo, inquiries("a", "c"), ledger).items()} == {
            "0": "re a",
            "1": "re c",
        }
        assert Echo.made == 1, "nothing is missing, so no policy is opened"


def test_one_key_that_waits_twice_is_asked_once(echo: AskedPolicy, tmp_path: Path) -> None:
    counts: list[int] = []
    with Journal(tmp_path / "replies.jsonl") as journal:
        replies = answered(replace(echo, in_flight=9), inquiries("a", "a", "b"), ReplyLedger(journal), counts.append)
    assert {name[0]: reply.text for name, reply in replies.items()} == {"0": "re a", "1": "re a", "2": "re b"}
    assert Echo.batches == [["a", "b"]]
    assert counts == [0, 1, 2, 3]


def test_the_policy_is_closed_where_the_reader_stops(echo: AskedPolicy, tmp_path: Path) -> None:
    with Journal(tmp_path / "replies.jsonl") as journal:
        stream = stream_replies(echo, inquiries("a", "b", "c"), ReplyLedger(journal))
        next(stream)
        stream.close()
    assert (Echo.made, Echo.closed) == (1, 1)


def test_failures_are_stored_and_asked_again_on_demand(echo: AskedPolicy, tmp_path: Path) -> None:
    path, (inquiry, _) = tmp_path / "replies.jsonl", inquiries("a", "b")
    Echo.broken = "a"

    def error(*, retry: bool) -> str:
        with Journal(path) as journal:
            return answered(echo, [inquiry, replace(inquiry, name=("again",))], ReplyLedger(journal, retry=retry))[
                inquiry.name
            ].error

    assert error(retry=True) == "down"
    assert len(Echo.batches) == 1, "a failure of this process is not repeated"
    assert error(retry=False) == "down"
    assert len(Echo.batches) == 1
    Echo.broken = ""
    assert error(retry=True) == ""
    assert len(Echo.batches) == 2


def test_long_replies_are_cut_and_old_entries_are_read(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    old = {"described": {"text": "a chart", "finish": "stop"}, "cut": {"text": "a ch", "finish": "length"}}
    path.write_text("".join(json.dumps({"key": key, "value": value}) + "\n" for key, value in old.items()))
    with Journal(path) as journal:
        ledger = ReplyLedger(journal, retry=True)
        assert ledger.get("described") == Reply("a chart")
        assert ledger.get("cut") == Reply("a ch", finish="length")
        assert ledger.get("missing") is None
        kept = ledger.put("long", Reply("x" * 200_000))
        assert len(kept.text) == 100_000
        assert ledger.get("long") == kept
