"""The host's side: whatever a worker answers, `run` returns an outcome, and a worker that breaks the rules is ended."""

from __future__ import annotations

import io
import json
import socket
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from o3gym.sandbox import Limits, SandboxWorker, Workplace
from o3gym.sandbox.bare_png import plain_pixels
from o3gym.sandbox.frames import pack_frame
from o3gym.sandbox.inside.pictures import plain_png
from o3gym.sandbox.zygotes import ZygoteLost

LIMITS = Limits(wall=0.02, output=50, pictures=2, picture=1)
GOOD = {"text": "hello", "error": "", "ended": "", "values": {}, "shown": 0, "stored": []}


class Puppets:
    """Stands in for a zygote: its workers greet, and are then played by the test."""

    is_alive = True
    folder: Path | None = None

    def __init__(self, greeting: dict[str, Any]) -> None:
        self.greeting, self.ended, self.ends = greeting, 0, []

    def fork(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        theirs.sendall(b"".join(map(bytes, pack_frame(self.greeting))))
        self.ends.append(theirs)
        return len(self.ends), ours

    def end(self, number: int) -> int:
        self.ended += 1
        self.ends[number - 1].close()
        return 0


class Puppet(SandboxWorker):
    """A worker whose answer to a call is given, and whose process, which is the test's own, is not stopped."""

    def __init__(self, answer: bytes, hang_up: bool = True, greeting: dict[str, Any] | None = None) -> None:
        self.puppets = Puppets(greeting or {"folder": "/sandbox"})
        self.answer, self.hang_up = answer, hang_up
        super().__init__(lambda: self.puppets, LIMITS, Workplace(values=("path",)))  # type: ignore[arg-type, return-value]

    def _write(self, header: dict[str, Any], blobs: Any, seconds: float) -> None:
        if header.get("op") == "put":
            self.puppets.ends[-1].sendall(message({}))
        if header.get("op") == "run":
            self.puppets.ends[-1].sendall(self.answer)
            if self.hang_up:
                self.puppets.ends[-1].close()

    def _signal(self, number: int) -> None:
        pass


PNG = plain_png(Image.new("L", (2, 3)))


def message(header: dict[str, Any], *blobs: bytes) -> bytes:
    return b"".join(map(bytes, pack_frame(header, blobs)))


def run(answer: bytes, **arguments: Any) -> tuple[Any, Puppet]:
    with Puppet(answer, **arguments) as worker:
        return worker.run("1"), worker


def test_an_answer_by_the_rules() -> None:
    header = {**GOOD, "values": {"path": "a.png", "other": "x"}, "shown": 1, "stored": ["/sandbox/a.png"]}
    outcome, _ = run(message(header, PNG, PNG))
    assert (outcome.text, outcome.ended, outcome.lost) == ("hello", "", False)
    assert (outcome.shown, outcome.stored) == ((PNG,), (("/sandbox/a.png", PNG),))
    assert outcome.values == {"path": "a.png"}


@pytest.mark.parametrize(
    ("header", "blobs"),
    [
        ({}, 0),
        ({**GOOD, "text": None}, 0),
        ({**GOOD, "error": 3}, 0),
        ({**GOOD, "ended": "escaped"}, 0),
        ({**GOOD, "ended": "error"}, 0),
        ({**GOOD, "error": "no end"}, 0),
        ({**GOOD, "ended": ["error"]}, 0),
        ({**GOOD, "values": []}, 0),
        ({**GOOD, "values": {"path": 3}}, 0),
        ({**GOOD, "shown": 1}, 0),
        ({**GOOD, "shown": -1, "stored": ["a"]}, 0),
        ({**GOOD, "shown": True}, 1),
        ({**GOOD, "shown": 3}, 3),
        ({**GOOD, "stored": ["a"] * 3}, 3),
        ({**GOOD, "stored": [3]}, 1),
        ({**GOOD, "stored": "a"}, 1),
    ],
)
def test_answers_against_the_rules_end_the_worker(header: dict[str, Any], blobs: int) -> None:
    outcome, worker = run(message(header, *[PNG] * blobs))
    assert (outcome.ended, outcome.lost, worker.puppets.ended) == ("died", True, 1)
    assert outcome.error.startswith("The process that ran the code answered nonsense")
    assert outcome.error.endswith("All variables and files are lost.")


@settings(max_examples=60)
@given(st.binary(max_size=60) | st.builds(lambda d: struct.pack(">I", len(d)) + d, st.binary(max_size=60)))
def test_random_answers_end_the_worker(answer: bytes) -> None:
    outcome, worker = run(answer)
    assert (outcome.ended, outcome.lost, worker.puppets.ended) == ("died", True, 1)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {}, optional={key: st.none() | st.integers() | st.text(max_size=3) for key in [*GOOD, "blobs"]}
    )
)
def test_answers_with_random_fields_never_raise(changes: dict[str, Any]) -> None:
    text = json.dumps({**GOOD, "blobs": [], **changes}).encode()
    outcome, _ = run(struct.pack(">I", len(text)) + text)
    assert outcome.ended in ("", "died")


def test_long_text_is_cut_by_the_host_too() -> None:
    outcome, _ = run(message({**GOOD, "text": "x" * 1000, "error": "y" * 9000, "ended": "error"}))
    assert len(outcome.text) == LIMITS.output + 300
    assert len(outcome.error) == 8000


def test_a_message_that_is_too_large_ends_the_worker() -> None:
    outcome, _ = run(struct.pack(">I", 2**30))
    assert "a message of 1073741824 bytes" in outcome.error


def test_silence_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.sandbox.worker.GRACE", 0.02)
    outcome, worker = run(b"", hang_up=False)
    assert (outcome.ended, outcome.lost, worker.puppets.ended) == ("timeout", True, 1)
    assert outcome.error.startswith("The code was stopped after 0.04 s because it did not end by itself.")


def test_an_answer_that_never_ends_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.sandbox.worker._TRANSFER", 0.05)
    begin = time.monotonic()
    outcome, _ = run(message(GOOD)[:-3], hang_up=False)
    assert (outcome.ended, outcome.lost) == ("timeout", True)
    assert time.monotonic() - begin < 2


def test_a_second_answer_is_found_at_the_next_call() -> None:
    with Puppet(message(GOOD) * 2, hang_up=False) as worker:
        assert worker.run("1").ended == ""
        assert "it spoke without being asked" in worker.run("1").error


def test_the_next_call_after_a_death_has_a_new_worker_and_the_same_pictures() -> None:
    with Puppet(b"nonsense") as worker:
        worker.put("image", np.zeros((2, 2, 3), np.uint8))
        assert worker.run("1").lost
        worker.answer = message(GOOD)
        assert worker._unsent == []
        assert not worker.run("1").lost
        assert len(worker.puppets.ends) == 2


def test_pixels_that_can_be_had_again_are_not_kept() -> None:
    calls = []

    def again() -> np.ndarray:
        calls.append(1)
        return np.ones((2, 2, 3), np.uint8)

    with Puppet(b"nonsense") as worker:
        worker.put("image", np.zeros((2, 2, 3), np.uint8), again)
        assert worker.run("1").lost
        assert not calls
        worker.run("1")
        assert calls == [1]


def test_a_worker_that_cannot_be_confined_is_an_error() -> None:
    with pytest.raises(ZygoteLost, match="cannot be confined: OSError: no landlock"):
        Puppet(b"", greeting={"failed": "OSError: no landlock"})


def png(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, (9, 7)).save(file, "PNG", **options)
    return file.getvalue()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_what_the_encoder_makes_is_plain(mode: str) -> None:
    image = Image.new(mode, (9, 7))
    image.info["icc_profile"] = b"profile"
    assert plain_pixels(plain_png(image)) == 63


NOISE = np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)


def test_a_large_picture_is_plain() -> None:
    assert plain_pixels(plain_png(Image.fromarray(NOISE))) == 10**6


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + bytes(50),
        png()[:-1],
        png() + b"x",
        png()[:40],
        png(dpi=(9, 9)),
        png(icc_profile=b"x"),
        png()[:33] + b"\0\0\0\0IDAT\0\0\0\0" * 1100 + png()[33:],
        png()[:16] + bytes(8) + png()[24:],
        png()[:33] + b"\xff\xff\xff\xffIDAT" + png()[41:],
    ],
)
def test_other_files_are_not(data: bytes) -> None:
    assert not plain_pixels(data)


@given(st.binary(max_size=40))
def test_random_files_are_not(data: bytes) -> None:
    assert not plain_pixels(png()[:33] + data)


def test_a_picture_that_is_not_plain_ends_the_worker() -> None:
    outcome, _ = run(message({**GOOD, "shown": 1}, png(dpi=(9, 9))))
    assert "a picture that is no plain PNG file" in outcome.error


def test_too_many_pixels_end_the_worker() -> None:
    header = bytearray(PNG)
    header[16:24] = (5000).to_bytes(4) + (4000).to_bytes(4)
    assert not run(message({**GOOD, "shown": 1}, bytes(header)))[0].lost
    assert "too many pixels" in run(message({**GOOD, "shown": 2}, bytes(header), bytes(header)))[0].error
