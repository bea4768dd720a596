"""Draw docs/synthetic_video.jpg: a film of every family with its overview, its moments, question and answer.

Run `python docs/film_sheet.py` after a change to the films, and look at the result.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from o3gym.geometry import snap
from o3gym.media.videos import timeline_of
from o3gym.suites.synthetic_video import FILM_DIFFICULTIES, FILM_FAMILIES, SyntheticVideo, render_film
from o3gym.types import Size, Source, Target, Task

SMALL: Size = (112, 63)
LARGE: Size = (256, 144)
COLUMNS, MOMENTS, GAP, MARGIN = 8, 3, 4, 18
LEFT = COLUMNS * (SMALL[0] + GAP)
BLOCK: Size = (LEFT + MOMENTS * (LARGE[0] + GAP) + 3 * MARGIN, 262)
INK, PALE, MARK, BAR, RULE = (30, 34, 44), (110, 116, 128), (220, 30, 60), (226, 229, 234), (208, 212, 220)


def main(path: Path, ordinal: int = 6) -> None:
    """Write the sheet of the task number `ordinal` of each family, the difficulties in turn."""
    sheet = Image.new("RGB", (BLOCK[0], BLOCK[1] * len(FILM_FAMILIES)), "white")
    for row, family in enumerate(FILM_FAMILIES):
        difficulty = FILM_DIFFICULTIES[row % len(FILM_DIFFICULTIES)]
        sheet.paste(block(SyntheticVideo(family=family, difficulty=difficulty)[ordinal]), (0, row * BLOCK[1]))
    sheet.save(path, quality=80, optimize=True, progressive=True)
    print(f"{path}: {sheet.width} × {sheet.height}, {path.stat().st_size / 1000:.0f} kB")


def block(task: Task) -> Image.Image:
    """The overview of a film above its time line, its first moments beside it, and the text above."""
    out = Image.new("RGB", BLOCK, "white")
    draw = ImageDraw.Draw(out)
    draw.line((MARGIN, 0, BLOCK[0] - MARGIN, 0), RULE)
    for i, (text, colour) in enumerate(lines(task)):
        draw.text((MARGIN, 10 + i * 20), text, colour, font(15))
    top = 80
    each = 2 * COLUMNS // len(task.sources)
    for number, source in enumerate(task.sources):
        for i in range(each):
            row, column = divmod(i + number * each, COLUMNS)
            at = (MARGIN + column * (SMALL[0] + GAP), top + row * (SMALL[1] + 18))
            time = i * (source.duration or 0.0) / each
            paste(out, source, time, at, SMALL, f"{time:.0f} s" if time == int(time) else f"{time:.1f} s")
        middle = top + 2 * (SMALL[1] + 18) + number * 9
        time_line(draw, task, number, (MARGIN, middle, MARGIN + LEFT - GAP, middle + 6))
    places = [(2 * MARGIN + LEFT + i * (LARGE[0] + GAP), top) for i in range(MOMENTS)]
    if len(task.targets) == 1:
        only_moment(out, task, task.targets[0], places)
    else:
        for target, at in zip(chosen(task), places, strict=False):
            moment(out, task, target, at)
    return out


def only_moment(out: Image.Image, task: Task, target: Target, places: list[tuple[int, int]]) -> None:
    """The frame before a moment, the moment, and the frame after it."""
    source, (start, end) = task.sources[target.source], target.time or (0.0, 0.0)
    before = start - 1 / source.args["fps"]
    paste(out, source, before, places[0], LARGE, f"{before:g} s")
    moment(out, task, target, places[1])
    paste(out, source, end, places[2], LARGE, f"{end:g} s")


def chosen(task: Task) -> list[Target]:
    """The moments that are drawn large: the first ones, of each film for a pair."""
    return sorted(task.targets, key=lambda target: target.time or (0.0, 0.0))[:MOMENTS]


def moment(out: Image.Image, task: Task, target: Target, at: tuple[int, int]) -> None:
    """A frame from the middle of a moment with its box, and its name and times below."""
    source, (start, end) = task.sources[target.source], target.time or (0.0, 0.0)
    timeline = timeline_of(source)
    time = timeline.span(timeline.number_at((start + end) / 2 - 1e-6))[0]
    clip = f"clip {'AB'[target.source]}: " if len(task.sources) > 1 else ""
    paste(out, source, time, at, LARGE, f"{clip}{target.label}, {start:g} s to {end:g} s", MARK)
    x0, y0, x1, y1 = snap(target.box, LARGE)
    ImageDraw.Draw(out).rectangle((at[0] + x0, at[1] + y0, at[0] + x1 - 1, at[1] + y1 - 1), outline=MARK, width=2)


def paste(
    out: Image.Image,
    source: Source,
    time: float,
    at: tuple[int, int],
    size: Size,
    label: str,
    colour: tuple[int, int, int] = PALE,
) -> None:
    """A frame of a film with a label below it."""
    timeline = timeline_of(source)
    frame = render_film(**source.args, time=timeline.span(timeline.number_at(time))[0])
    out.paste(frame.resize(size, Image.Resampling.LANCZOS), at)
    ImageDraw.Draw(out).text((at[0] + 1, at[1] + size[1] + 2), label, colour, font(12))


def time_line(draw: ImageDraw.ImageDraw, task: Task, number: int, box: tuple[int, int, int, int]) -> None:
    """The length of a film as a bar, on which its moments are marked."""
    draw.rectangle(box, fill=BAR)
    width, duration = box[2] - box[0], task.sources[number].duration or 1.0
    for target in task.targets:
        if target.source == number and target.time is not None:
            start, end = (box[0] + width * time / duration for time in target.time)
            draw.rectangle((round(start), box[1], max(round(end), round(start) + 2), box[3]), fill=MARK)


def lines(task: Task) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Question, options, and the correct answer."""
    yield task.question, INK
    if task.kind == "choice":
        yield "     ".join(f"{a}. {b}" for a, b in zip(task.letters, task.choices, strict=True)), INK
    span = task.targets[0].time or (0.0, 0.0)
    answer = task.answer or f"{span[0]:g} s to {span[1]:g} s"
    better = task.origin.get("dimensions", {})
    dimensions = f" ({', '.join(f'{name}: {best}' for name, best in better.items())})" if better else ""
    size = timeline_of(task.sources[0]).size
    length = f"{task.sources[0].duration:g} s, {size[0]} x {size[1]}"
    yield f"Answer: {answer}{dimensions}     {task.id}, {length}", PALE


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("synthetic_video.jpg"))
