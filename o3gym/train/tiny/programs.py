"""Short programs that make a picture legible, in the many ways in which people write them, and slips in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageOps

OPENED, MADE, PATHS = ("im", "img", "pic", "x"), ("new", "out", "res", "y"), ("path", "file", "p", "f")
"""Names of variables for the picture that is opened, the picture that is made, and the path of its file."""
PROGRAM_NAMES = (*OPENED, *MADE, *PATHS)
FILES = "123456789"
"""Names of the files that programs write, without their ending."""


@dataclass(frozen=True)
class Remedy:
    """What makes a picture legible: turning it back by an angle in degrees or, for angle 0, stretching its contrast."""

    angle: int = 0

    @property
    def words(self) -> str:
        """What is wrong with the picture."""
        return f"turned {self.angle}" if self.angle else "dim"

    def expression(self, picture: str) -> str:
        """The expression that computes the legible picture."""
        return f"{picture}.rotate({-self.angle})" if self.angle else f"ImageOps.autocontrast({picture})"

    def apply(self, picture: Image.Image) -> Image.Image:
        """Returns the picture that the program makes."""
        return picture.rotate(-self.angle) if self.angle else ImageOps.autocontrast(picture)


def write_program(remedy: Remedy, picture: str, rng: Random) -> tuple[str, str]:
    """Returns a program and what it prints: the path of the file that it writes.

    Args:
        remedy: what the program does.
        picture: the variable with the path of the picture.
        rng: decides on names and style, so that the next word of a program is often open.
    """
    before, after, path = map(rng.choice, (OPENED, MADE, PATHS))
    printed = f"{rng.choice(FILES)}.png"
    opened, named = f"Image.open({picture})", f'{path} = "{printed}"'
    lines = ["from PIL import ImageOps"] * (not remedy.angle)
    style = rng.randrange(3)
    if style == 0:
        lines += [named, f"{remedy.expression(opened)}.save({path})"]
    elif style == 1:
        lines += [f"{after} = {remedy.expression(opened)}", named, f"{after}.save({path})"]
    else:
        lines += [f"{before} = {opened}", f"{after} = {remedy.expression(before)}", named, f"{after}.save({path})"]
    return "\n".join([*lines, f"print({path})"]), printed


@dataclass(frozen=True)
class Slip:
    """A program in which one use of a variable has another name, and the error that Python then reports."""

    source: str
    error: str


def slip(source: str, rng: Random) -> Slip:
    """Replaces a random use of a variable in a program by a name that is not defined."""
    uses = list(re.finditer(rf"\b(?:{'|'.join(PROGRAM_NAMES)})\b(?! =)", source))
    use = rng.choice([use for use in uses if source[use.start() - 1] not in '".'])
    name = rng.choice([name for name in PROGRAM_NAMES if not re.search(rf"\b{name}\b", source)])
    source = source[: use.start()] + name + source[use.end() :]
    number = source.count("\n", 0, use.start())
    line = source.split("\n")[number]
    column = use.start() - sum(len(earlier) + 1 for earlier in source.split("\n")[:number])
    return Slip(
        source,
        f'Traceback (most recent call last):\n  File "<code>", line {number + 1}, in <module>\n    {line}\n'
        f"    {' ' * column}{'^' * len(name)}\nNameError: name '{name}' is not defined",
    )
