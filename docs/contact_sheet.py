"""Draw docs/synthetic.jpg: every family of the synthetic suite at every difficulty, with question, answer and targets.

Run `python docs/contact_sheet.py` after a change to the scenes, and look at the result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from o3gym import geometry
from o3gym.suites.synthetic import DIFFICULTIES, SCENES, Synthetic, render_scene
from o3gym.types import Size, Task

PICTURE: Size = (400, 300)
INSET: Size = (146, 146)
GAP = 8
TEXT = 98
CELL: Size = (PICTURE[0] + INSET[0] + 3 * GAP, PICTURE[1] + TEXT + 2 * GAP)
INK, PALE, MARK = (30, 34, 44), (110, 116, 128), (220, 30, 60)


def main(path: Path, ordinal: int = 4) -> None:
    """Write the sheet of the tasks number `ordinal` of each family and difficulty."""
    sheet = Image.new("RGB", (CELL[0] * len(DIFFICULTIES), CELL[1] * len(SCENES)), "white")
    for row, family in enumerate(SCENES):
        for column, difficulty in enumerate(DIFFICULTIES):
            task = Synthetic(family=family, difficulty=difficulty)[ordinal + row]
            sheet.paste(cell(task), (column * CELL[0], row * CELL[1]))
    sheet.save(path, quality=72, optimize=True, progressive=True)
    print(f"{path}: {sheet.width} × {sheet.height}, {path.stat().st_size / 1000:.0f} kB")


def cell(task: Task) -> Image.Image:
    """One picture with its targets marked, native crops of the first two, and the text below."""
    picture = render_scene(**task.sources[0].args)
    out = Image.new("RGB", CELL, "white")
    out.paste(overview(task, picture), (GAP, GAP))
    for i, target in enumerate(task.targets[:2]):
        crop = picture.crop(geometry.snap(geometry.pad(target.box, 1.25), picture.size))
        inset = ImageOps.contain(crop, INSET, Image.Resampling.LANCZOS)
        out.paste(inset, (PICTURE[0] + 2 * GAP, GAP + i * (INSET[1] + GAP)))
    draw = ImageDraw.Draw(out)
    for i, (line, colour) in enumerate(lines(task, picture.size)):
        draw.text((GAP, PICTURE[1] + 2 * GAP + i * 18), line, colour, ImageFont.load_default(14))
    return out


def overview(task: Task, picture: Image.Image) -> Image.Image:
    """The whole picture, small, with a red frame around each target."""
    small = ImageOps.contain(picture, PICTURE, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(small)
    for target in task.targets:
        x0, y0, x1, y1 = geometry.snap(target.box, small.size)
        draw.rectangle((x0 - 3, y0 - 3, x1 + 2, y1 + 2), outline=MARK, width=2)
    return small


def lines(task: Task, size: Size) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Question, options, and the correct answer, wrapped to the cell."""
    for line in wrap(task.question):
        yield line, INK
    if task.kind == "choice":
        for line in wrap("   ".join(f"{a}. {b}" for a, b in zip(task.letters, task.choices, strict=True))):
            yield line, INK
    answer = task.answer or ("not in the picture" if not task.targets else "the framed box")
    yield f"Answer: {answer}     {task.id}, {size[0]} x {size[1]}", PALE


def wrap(text: str) -> Iterator[str]:
    """Lines that fit the cell."""
    font, line = ImageFont.load_default(14), ""
    for word in text.split(" "):
        if font.getlength(f"{line} {word}") > CELL[0] - 2 * GAP:
            yield line
            line = ""
        line = f"{line} {word}".lstrip()
    yield line


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("synthetic.jpg"))
