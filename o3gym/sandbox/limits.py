"""What a sandbox grants to code, what the code finds, and what comes back: `Limits`, `Workplace`, `Outcome`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from o3gym.arguments import check_real, check_whole
from o3gym.registry import closest

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits of one worker. Threads and child processes have no limit here because they cannot be started at all.

    Attributes:
        wall: seconds that a call may take; a workplace can ask for less.
        cpu: seconds of processor time of a worker, over all of its calls.
        memory: MiB of address space that code may add to that of the loaded libraries.
        file: MiB of one file.
        folder: MiB of all files in the private folder.
        output: characters of printed text per call; the rest is cut.
        pictures: number of pictures shown, and number of pictures stored, that one call hands back.
        picture_pixels: pixels of all pictures that one call hands back.
        picture: MiB of one picture that is handed back, as a PNG file.
    """

    wall: float = 60.0
    cpu: int = 300
    memory: int = 1024
    file: int = 128
    folder: int = 256
    output: int = 20_000
    pictures: int = 10
    picture_pixels: int = 2**25
    picture: int = 32

    @property
    def answer(self) -> int:
        """Bytes of all the pictures that one call hands back."""
        return 2 * self.picture * MIB

    def __post_init__(self) -> None:
        check_real("wall", self.wall, 0, 86_400, above=True)
        for name in ("cpu", "memory", "file", "folder", "picture_pixels", "picture"):
            check_whole(name, getattr(self, name), 1)
        for name in ("output", "pictures"):
            check_whole(name, getattr(self, name), 0)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Limits:
        """Builds limits from the options of a spec.

        Raises:
            ValueError: there is no such limit, or its value is out of range.
        """
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                raise ValueError(
                    f'a sandbox has no option "{name}"{closest(name, [*known, "packages"])} '
                    f"(known: packages, {', '.join(known)})"
                )
        return cls(**options)


@dataclass(frozen=True)
class Workplace:
    """What code finds in a worker, and what is reported about its variables.

    Attributes:
        variables: "variables" hands pictures in as PIL images in mode RGB, "files" as the paths of PNG files.
        modules: modules that are global variables from the start, by variable name, such as {"np": "numpy"}. Modules
            that are not installed, or not readable in the sandbox, are left out.
        values: names of variables whose value is reported after each call if it is text.
        seconds: wall limit of a call; the limits of the sandbox may be lower.
        last_expression: whether the value of a last line that is an expression is shown or printed, as in a notebook.
    """

    variables: Literal["variables", "files"] = "variables"
    modules: Mapping[str, str] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    seconds: float = 10.0
    last_expression: bool = True

    def __post_init__(self) -> None:
        if self.variables not in ("variables", "files"):
            raise ValueError(f'variables: expected "variables" or "files", got {self.variables!r:.60}')
        check_real("seconds", self.seconds, 0, 86_400, above=True)


@dataclass(frozen=True)
class Outcome:
    """What became of one call. Pictures are PNG files without metadata; whether they decode is not known.

    Attributes:
        text: what the code printed, with a note where it was cut.
        shown: the pictures that the code showed, in order.
        stored: the picture files that this call wrote into the working folder, whatever their format: their absolute
            paths in the sandbox, and the pictures.
        values: the variables of `Workplace.values` that hold text.
        error: "" if all is well; otherwise the last lines of the traceback, in the code's own line numbers, or a
            sentence that says why the code was stopped.
        ended: "" if the code ran through, "error" after an exception, "timeout" or "memory" at these limits, "died" if
            the process ended or answered nonsense.
        seconds: wall time of the call.
        lost: whether all variables and files are gone. The next call starts afresh, with the same pictures.
        folder: the absolute path of the working folder, as the code knows it.
    """

    text: str = ""
    shown: tuple[bytes, ...] = ()
    stored: tuple[tuple[str, bytes], ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    ended: Literal["", "error", "timeout", "memory", "died"] = ""
    seconds: float = 0.0
    lost: bool = False
    folder: str = ""
