"""Drawings of videos: the frames of an overview above a time line with the intervals that an agent looked at."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PIL import Image, ImageDraw

from o3gym.media.drawing import FAINT, GROUND, badge, colour, label_font, scaled, view_image
from o3gym.types import Size, Span, Trajectory, View

LINE_HEIGHT = 46
"""Height in pixels of a time line with its labels."""
SHEET_CELLS = 12
"""Maximum number of frames in a drawing of a video or of a look at one."""
SHEET_GAP = 3
"""Pixels between two frames."""


def film(trajectory: Trajectory, video: int, size: Size) -> Image.Image:
    """The video with that index among the task's sources, at `size`: frames shown at reset, and the time line."""
    first = [view for view in trajectory.views if view.video == video and view.parent < 0]
    canvas = Image.new("RGB", size, GROUND)
    sheet = contact_sheet(trajectory, first, (size[0], max(size[1] - LINE_HEIGHT, 1)))
    canvas.paste(sheet, ((size[0] - sheet.width) // 2, 0))
    _time_line(canvas, trajectory, video)
    return canvas


def contact_sheet(trajectory: Trajectory, views: Sequence[View], limit: Size) -> Image.Image:
    """At most `SHEET_CELLS` of the views, evenly chosen, in a grid that fits into `limit`, each with its time."""
    step = max(1, math.ceil(len(views) / SHEET_CELLS))
    chosen = views[::step]
    if not chosen:
        return Image.new("RGB", limit, GROUND)
    columns = _columns(len(chosen), chosen[0].shown, limit)
    rows = math.ceil(len(chosen) / columns)
    cell = ((limit[0] + SHEET_GAP) // columns - SHEET_GAP, (limit[1] + SHEET_GAP) // rows - SHEET_GAP)
    pictures = [scaled(view_image(trajectory, view), (max(cell[0], 1), max(cell[1], 1))) for view in chosen]
    width, height = (max(picture.size[side] for picture in pictures) + SHEET_GAP for side in (0, 1))
    sheet = Image.new("RGB", (columns * width - SHEET_GAP, rows * height - SHEET_GAP), GROUND)
    draw = ImageDraw.Draw(sheet)
    for place, (view, picture) in enumerate(zip(chosen, pictures, strict=True)):
        at = (place % columns * width, place // columns * height)
        sheet.paste(picture, at)
        if view.time is not None and picture.height >= 40:
            badge(draw, (at[0], at[1] + picture.height - 18), f"{view.time[0]:.1f}", FAINT)
    return sheet


def looks_in_time(trajectory: Trajectory, video: int) -> list[tuple[int, Span]]:
    """What was looked at in a video, as (number of the turn from 1, interval in seconds), in the order of turns.

    A clip is one interval, and single frames are as many.
    """
    looks = []
    for number, turn in enumerate(trajectory.turns, 1):
        views = [trajectory.views[index] for index in turn.views]
        times = [view.time for view in views if view.video == video and view.time is not None]
        if times and turn.parsed.call.tool == "clip":
            times = [(min(start for start, _ in times), max(end for _, end in times))]
        looks += [(number, time) for time in times]
    return looks


def _columns(count: int, shape: Size, limit: Size) -> int:
    """The number of columns for which `count` pictures of this shape are largest."""

    def scale(columns: int) -> float:
        rows = math.ceil(count / columns)
        return min(limit[0] / columns / shape[0], limit[1] / rows / shape[1])

    return max(range(1, count + 1), key=scale)


def _time_line(canvas: Image.Image, trajectory: Trajectory, video: int) -> None:
    """Draws the time line at the bottom: ticks at the first frames, looks by turn, targets and the answer as bands."""
    duration = trajectory.task.sources[video].duration or 1.0
    draw, top, wide = ImageDraw.Draw(canvas), canvas.height - LINE_HEIGHT, canvas.width - 9
    font = label_font(12)

    def x(time: float) -> float:
        return 4 + wide * min(max(time / duration, 0.0), 1.0)

    def band(span: Span, y0: int, y1: int, ink: tuple[int, int, int]) -> None:
        draw.rectangle((x(span[0]), y0, max(x(span[1]), x(span[0]) + 2), y1), outline=ink, width=2)

    draw.line((4, top + 26, 4 + wide, top + 26), fill=FAINT)
    for view in trajectory.views:
        if view.video == video and view.parent < 0 and view.time is not None:
            draw.line((x(view.time[0]), top + 24, x(view.time[0]), top + 28), fill=FAINT)
    for number, span in looks_in_time(trajectory, video):
        draw.rectangle((x(span[0]), top + 20, max(x(span[1]), x(span[0]) + 2), top + 23), fill=colour(number))
        badge(draw, (min(x(span[0]), canvas.width - 20), top + 3), str(number), colour(number))
    for target in trajectory.task.targets:
        if target.source == video and target.time is not None:
            band(target.time, top + 18, top + 32, (255, 255, 255))
    if trajectory.span is not None and video == first_video(trajectory):
        band(trajectory.span, top + 20, top + 30, (255, 90, 90))
    draw.text((4, top + 32), "0 s", font=font, fill=FAINT)
    end = f"{duration:.1f} s"
    draw.text((canvas.width - 5 - draw.textlength(end, font=font), top + 32), end, font=font, fill=FAINT)


def first_video(trajectory: Trajectory) -> int | None:
    """The index of the first video among the task's sources, which is where intervals are answered."""
    sources = enumerate(trajectory.task.sources)
    return next((place for place, source in sources if source.duration is not None), None)
