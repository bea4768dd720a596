"""Attacks on the sandbox: each works without it, where that is harmless, and none works inside."""

from __future__ import annotations

import json
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from o3gym.sandbox import Outcome
from tests.sandbox.attack_form import Attack, read_attacks
from tests.sandbox.escape_camp import BOMBS, HURRIED, Camp, open_camp, works
from tests.sandbox.escape_world import World, open_world
from tests.sandbox.plain_runner import PlainRunner, is_alive, plain_runner

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox and the attacks are for Linux")

ATTACKS = read_attacks()


def names(attack: Attack) -> str:
    return f"{attack.group}-{attack.name}"


@pytest.fixture(scope="module")
def plain_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(tmp_path_factory.mktemp("plain")) as world:
        yield world


@pytest.fixture(scope="module")
def runner(plain_world: World) -> Iterator[PlainRunner]:
    with plain_runner() as started:
        yield started


@pytest.fixture(scope="module", params=["bwrap", "seccomp"])
def camp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Camp]:
    with open_camp(request.param, tmp_path_factory.mktemp(request.param)) as camp:
        yield camp


def test_there_are_many_attacks_with_names_of_their_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60


@pytest.mark.parametrize("attack", [a for a in ATTACKS if not a.inside_only], ids=names)
def test_attack_works_without_a_sandbox(
    attack: Attack, plain_world: World, runner: PlainRunner, tmp_path: Path
) -> None:
    with runner.running(attack.code(plain_world.facts | BOMBS), tmp_path, 0.15 if attack.waits else 20) as result:
        text, parent = result
        succeeds = "ESCAPED" in text or plain_world.token in text
        succeeds |= attack.waits and not text.endswith(("FINISHED\n", "ENDED\n"))
        end = time.monotonic() + (0 if attack.needs else 5)
        while not succeeds:
            succeeds = bool(plain_world.seen()) or not is_alive(parent)
            if time.monotonic() > end:
                break
    plain_world.restore()
    if not succeeds:
        if attack.needs:
            pytest.skip(f"this machine lacks what the attack needs: {attack.needs}")
        raise AssertionError(text)


@pytest.mark.parametrize("attack", [a for a in ATTACKS if not a.waits], ids=names)
def test_attack_fails_inside(attack: Attack, camp: Camp) -> None:
    outcome = camp.attack(attack)
    camp.check(outcome)
    assert outcome.lost or attack.spoils or outcome.text.startswith("STARTED\n")
    assert works(camp.attacker)


def test_attacks_that_never_end_are_stopped(camp: Camp) -> None:
    """Runs them all at the same time, so that they disturb each other and the neighbour as much as possible."""

    def run(attack: Attack) -> tuple[Attack, Outcome, bool]:
        with camp.sandbox.worker(HURRIED) as worker:
            return attack, worker.run(attack.code(camp.facts)), works(worker)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(run, [attack for attack in ATTACKS if attack.waits]))
    camp.check(*(outcome for _, outcome, _ in found))
    assert [attack.name for attack, outcome, is_usable in found if not is_usable or outcome.seconds > 10] == []


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def forged_picture(data: bytes) -> bytes:
    """A message that hands back a picture."""
    return forged(shown=1, blobs=[len(data)]) + data


HEADER = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))
BOMB = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
END = chunk(b"IEND", b"")


def forged(**fields: object) -> bytes:
    """A message as a worker sends it, with other fields."""
    whole = {"text": "x", "error": "", "ended": "", "values": {}, "shown": 0, "stored": [], "blobs": []} | fields
    data = json.dumps(whole).encode()
    return struct.pack(">I", len(data)) + data


NONSENSE: dict[str, bytes] = {
    "nothing": b"\0\0\0\0",
    "oversized": b"\xff\xff\xff\xff",
    "not_json": b"\0\0\0\5hello",
    "not_utf8": b"\0\0\0\4\xff\xfe\xfd\xfc",
    "a_list": b"\0\0\0\2[]",
    "deep_list": struct.pack(">I", 10**5) + b"[" * 10**5,
    "pickle": struct.pack(">I", 60) + b"cos\nsystem\n(S'true'\ntR.".ljust(60),
    "long_number": struct.pack(">I", 10**5) + b"9" * 10**5,
    "sizes_that_cannot_be_printed": forged(blobs=[10**4299 * 9] * 2),
    "size_that_is_huge": forged(shown=1, blobs=[2**62]),
    "size_that_is_large": forged(shown=1, blobs=[2**21]),
    "many_sizes": forged(blobs=[0] * 10**5),
    "negative_size": forged(blobs=[-1, 1]),
    "size_that_is_true": forged(shown=1, blobs=[True]) + b"x",
    "size_that_is_a_fraction": forged(shown=1, blobs=[1.0]) + b"x",
    "sizes_that_are_text": forged(blobs="12"),
    "no_sizes": forged(blobs=None),
    "more_shown_than_sent": forged(shown=3, blobs=[1]) + b"x",
    "fewer_shown_than_sent": forged(shown=-1, stored=["a", "b"], blobs=[1]) + b"x",
    "shown_is_text": forged(shown="1"),
    "shown_is_huge": forged(shown=10**400),
    "paths_that_are_numbers": forged(stored=[5], blobs=[1]) + b"x",
    "paths_that_are_long": forged(stored=["x" * 10**5], blobs=[1]) + b"x",
    "stored_is_an_object": forged(stored={"a": 1}, blobs=[1]) + b"x",
    "text_is_a_list": forged(text=["x"] * 9),
    "text_is_missing": forged(text=None),
    "text_is_long": forged(text="x" * 10**6),
    "text_has_surrogates": forged(text="\udc80" * 9),
    "error_is_long": forged(error="x" * 10**6, ended="error"),
    "error_is_a_number": forged(error=5),
    "end_is_unknown": forged(ended="won"),
    "end_is_a_list": forged(ended=[]),
    "end_without_an_error": forged(ended="error"),
    "error_without_an_end": forged(error="x"),
    "values_are_a_list": forged(values=[]),
    "values_are_numbers": forged(values={"processed_path": 5}),
    "values_of_others": forged(values={"o3x": "x", "processed_path": "y"}),
    "values_are_long": forged(values={"processed_path": "x" * 10**6}),
    "picture_of_spaces": forged_picture(b"P6" + b" " * 10**5),
    "picture_with_metadata": forged_picture(HEADER + chunk(b"tEXt", b"a\0b") * 10**4 + END),
    "picture_without_an_end": forged_picture(HEADER + chunk(b"IDAT", b"")),
    "picture_in_many_pieces": forged_picture(HEADER + chunk(b"IDAT", b"") * 10**4 + END),
    "picture_with_a_long_piece": forged_picture(HEADER + b"\xff\xff\xff\xffIDAT" + END),
    "picture_with_an_appendix": forged_picture(HEADER + END + b"x" * 99),
    "picture_of_many_pixels": forged_picture(BOMB + chunk(b"IDAT", b"") + END),
    "picture_without_pixels": forged_picture(HEADER.replace(b"\0\0\0\x09", b"\0\0\0\0") + END),
    "picture_that_is_a_pickle": forged_picture(b"\x80\x04\x95cos\nsystem\n."),
    "a_good_one": forged(text="forged\n"),
}
"""Messages that code writes to the channel instead of its result."""
WRITE_TO_SOCKETS = """
import os, stat
for number in range(3, 256):
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            os.write(number, {data!r})
            print("sent")
    except OSError:
        pass
"""


@pytest.mark.parametrize("name", NONSENSE)
def test_forged_result_does_no_harm(name: str, camp: Camp) -> None:
    outcomes = [camp.attacker.run(WRITE_TO_SOCKETS.format(data=NONSENSE[name]))]
    assert not outcomes[0].shown, "nothing that is forged is a picture"
    outcomes += [camp.attacker.run("print('second')"), camp.attacker.run("print('third')")]
    camp.check(*outcomes)
    camp.attacker.close()
    camp.attacker = camp.sandbox.worker()
    assert works(camp.attacker)


SOURCES = [
    *("\0", "x = '\0'", "(" * 10**4, "-" * 10**5 + "1", "x = " + "9" * 10**5, "\udc80", "if 1:\n\t1\n        2"),
    *("\ufeff1", "[" * 99 + "]" * 99, "x\n" * 10**3, "#" * 10**6, "'''", "import o3gym", "return", "await x"),
    *("nonlocal x", "1" + "+1" * 10**5),
]


@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
def test_source_that_cannot_be_run_is_an_observation(source: str, camp: Camp) -> None:
    camp.check(camp.attacker.run(source))
    assert works(camp.attacker)


def test_next_episode_finds_nothing_of_all_this(camp: Camp) -> None:
    assert camp.first_look.count("\n") == 5
    assert camp.look() == camp.first_look
