"""The form of an attack, and the lines that run before each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NUMBERS = {
    "x86_64": {
        "add_key": 248, "bpf": 321, "capget": 125, "chroot": 161, "clone": 56, "execveat": 322, "fanotify_init": 300,
        "ioprio_set": 251, "iopl": 172, "kcmp": 312, "keyctl": 250, "memfd_secret": 447, "mount": 165, "mq_open": 240,
        "name_to_handle_at": 303, "open_by_handle_at": 304, "perf_event_open": 298, "process_vm_readv": 310,
        "process_vm_writev": 311, "ptrace": 101, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297, "setns": 308,
        "sethostname": 170, "shmat": 30, "shmget": 29, "syslog": 103, "tgkill": 234, "tkill": 200, "unshare": 272,
        "userfaultfd": 323, "socket": 41, "gettid": 186, "setsockopt": 54, "mq_unlink": 241,
    },
    "aarch64": {
        "add_key": 217, "bpf": 280, "capget": 90, "chroot": 51, "clone": 220, "execveat": 281, "fanotify_init": 262,
        "ioprio_set": 30, "kcmp": 272, "keyctl": 219, "memfd_secret": 447, "mount": 40, "mq_open": 180,
        "name_to_handle_at": 264, "open_by_handle_at": 265, "perf_event_open": 241, "process_vm_readv": 270,
        "process_vm_writev": 271, "ptrace": 117, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240, "setns": 268,
        "sethostname": 161, "shmat": 196, "shmget": 194, "syslog": 116, "tgkill": 131, "tkill": 130, "unshare": 97,
        "userfaultfd": 282, "socket": 198, "gettid": 178, "setsockopt": 208, "mq_unlink": 181,
    },
}  # fmt: skip
"""Numbers of system calls by architecture."""
COMMON = {"pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "fsopen": 430, "pidfd_open": 434}
COMMON |= {"clone3": 435, "pidfd_getfd": 438, "process_madvise": 440}
"""Numbers that all architectures share."""

PRELUDE = """
import ctypes, os, platform, signal, socket, struct, sys, time
world = {facts!r}
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
numbers = {numbers!r}
def syscall(name, *arguments):
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(numbers[platform.machine()][name]), *wide)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def escaped(*words):
    print("ESCAPED", *words)
kept = []
print("STARTED")
"""


@dataclass(frozen=True)
class Attack:
    """A piece of Python that succeeds by printing ESCAPED or the world's token, or by changing the world.

    Attributes:
        group: The file that it stands in.
        source: The code. Its variable `world` holds the targets, see `escape_world`.
        needs: What the attack needs to succeed without a sandbox, where not every machine has it.
        inside_only: The reason for not running it without a sandbox; empty if it is run.
        spoils: Whether its worker is of no use to the next attack.
        waits: Whether it runs until something ends it.
    """

    name: str
    group: str
    source: str
    needs: str = ""
    inside_only: str = ""
    spoils: bool = False
    waits: bool = False

    def code(self, facts: dict[str, object]) -> str:
        """The lines to run."""
        numbers = {machine: table | COMMON for machine, table in NUMBERS.items()}
        return PRELUDE.format(facts=facts, numbers=numbers) + self.source


def read_attacks() -> list[Attack]:
    """Reads `attacks/*.txt`: "### name | needs: … | inside only: … | spoils | waits", and the code below each head."""
    return [
        _parsed(path.stem, part)
        for path in sorted(Path(__file__).with_name("attacks").glob("*.txt"))
        for part in path.read_text().removeprefix("### ").split("\n### ")
    ]


def _parsed(group: str, part: str) -> Attack:
    head, source = part.split("\n", 1)
    name, *tags = head.split(" | ")
    known = {key: value for key, _, value in (tag.partition(": ") for tag in tags)}
    assert known.keys() <= {"needs", "inside only", "spoils", "waits"}, head
    needs, inside_only = known.get("needs", ""), known.get("inside only", "")
    return Attack(name, group, source.strip() + "\n", needs, inside_only, "spoils" in known, "waits" in known)
