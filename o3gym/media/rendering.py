"""Rendering of episodes: the fixed-size frame of `render()`, and a strip that shows a whole episode."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from o3gym.geometry import to_pixels, to_root
from o3gym.media.drawing import CANVAS_INK, FAINT, GROUND, badge, colour, label_font, scaled, view_image
from o3gym.media.films import contact_sheet, film
from o3gym.media.pixels import Pixels
from o3gym.registry import require
from o3gym.types import Box, Size, Trajectory, View

CANVAS: Size = (960, 540)
PICTURE: Size = (474, 400)
CANVAS_MARGIN = 4


def frame(trajectory: Trajectory, text: str) -> Pixels:
    """One frame of an episode: the first picture with all boxes so far, the newest view, and `text`.

    A video is drawn as the frames shown first, above a time line with the intervals looked at so far.

    Returns:
        A uint8 array of shape (540, 960, 3), whatever the sizes of the pictures.
    """
    canvas = Image.new("RGB", CANVAS, GROUND)
    canvas.paste(_centred(overview(trajectory, PICTURE), PICTURE), (CANVAS_MARGIN, CANVAS_MARGIN))
    newest = trajectory.views[-1]
    shown = _centred(_newest(trajectory, PICTURE), PICTURE)
    canvas.paste(shown, (CANVAS[0] - PICTURE[0] - CANVAS_MARGIN, CANVAS_MARGIN))
    draw = ImageDraw.Draw(canvas)
    name = "the original" if newest.parent < 0 else f"view {newest.index}"
    status = f"turn {len(trajectory.turns)} · {name}" + (f" · {trajectory.stop}" if trajectory.stop else "")
    draw.text((CANVAS_MARGIN + 4, PICTURE[1] + 12), status, font=label_font(15), fill=FAINT)
    question = text if text == trajectory.task.text else f"{trajectory.task.question}\n{text}"
    _write(draw, (CANVAS_MARGIN + 4, PICTURE[1] + 36), question, 15, CANVAS[0] - 16, lines=5)
    return np.array(canvas)


def _newest(trajectory: Trajectory, size: Size) -> Image.Image:
    """The views of the last turn that had any, or what was shown at reset."""
    last = next((turn.views for turn in reversed(trajectory.turns) if turn.views), ())
    views = [trajectory.views[index] for index in last] or trajectory.views[-1:]
    return _look(trajectory, views, size)


def _look(trajectory: Trajectory, views: Sequence[View], size: Size) -> Image.Image:
    """One view, or the several frames of a clip as a contact sheet."""
    if len(views) > 1:
        return contact_sheet(trajectory, views, size)
    return scaled(view_image(trajectory, views[0]), size)


def strip(trajectory: Trajectory, height: int = 260) -> Image.Image:
    """A whole episode as one picture: what was shown first, all looks by their numbers, and question and answer.

    Looks at pictures have the numbers of their views, which are drawn as boxes on the first picture. Looks at videos
    have the numbers of their turns, as on the time line.
    """
    numbered = _looks(trajectory)
    panels = [overview(trajectory, (3 * height, height))]
    panels += [_look(trajectory, views, (2 * height, height)) for _, views in numbered]
    width = max(sum(panel.width + CANVAS_MARGIN for panel in panels) + CANVAS_MARGIN, 2 * height)
    canvas = Image.new("RGB", (width, height + 92), GROUND)
    draw, x = ImageDraw.Draw(canvas), CANVAS_MARGIN
    for number, panel in zip((None, *(number for number, _ in numbered)), panels, strict=True):
        canvas.paste(panel, (x, CANVAS_MARGIN))
        if number is not None:
            corner = (x + panel.width - 1, CANVAS_MARGIN + panel.height - 1)
            draw.rectangle((x, CANVAS_MARGIN, *corner), outline=colour(number), width=3)
            badge(draw, (x + 3, CANVAS_MARGIN + 3), str(number), colour(number))
        x += panel.width + CANVAS_MARGIN
    _write(draw, (CANVAS_MARGIN + 6, height + 12), trajectory.task.question, 17, width - 20, lines=2)
    draw.text((CANVAS_MARGIN + 6, height + 64), _answer_line(trajectory), font=label_font(16), fill=FAINT)
    return canvas


def _looks(trajectory: Trajectory) -> list[tuple[int, list[View]]]:
    """The views that the agent asked for with their numbers; those of one turn together if they are frames."""
    looks: list[tuple[int, list[View]]] = []
    asked = [view for view in trajectory.views if view.parent >= 0]
    if not any(source.duration is not None for source in trajectory.task.sources):
        return [(view.index, [view]) for view in asked]
    for number, turn in enumerate(trajectory.turns, 1):
        views = [view for view in asked if view.index in turn.views]
        looks += [(number, views)] if views else []
    return looks


def _answer_line(trajectory: Trajectory) -> str:
    """The answer in words, with its verdict."""
    task, answer = trajectory.task, trajectory.answer or trajectory.stop
    if task.choices and answer in tuple(task.letters):
        answer = f"{answer}. {task.choices[task.letters.index(answer)]}"
    if trajectory.stop == "located" and trajectory.span is None:
        answer = "a box" if trajectory.located else "not in the picture"
    if trajectory.span is not None:
        interval = f"{trajectory.span[0]:.1f} to {trajectory.span[1]:.1f} s"
        answer = interval if trajectory.stop == "located" else f"{answer} ({interval})"
    return f"answer: {answer}" + (f"  ({trajectory.verdict})" if trajectory.verdict else "")


def overview(trajectory: Trajectory, size: Size) -> Image.Image:
    """The first picture as the agent saw it, scaled to fit `size`, with the numbered boxes of all views.

    If the task has videos, they are drawn instead, one below the other.
    """
    videos = [place for place, source in enumerate(trajectory.task.sources) if source.duration is not None]
    if videos:
        return _films(trajectory, videos, size)
    source = trajectory.sources[0]
    image = scaled(view_image(trajectory, trajectory.views[0]), size)
    draw = ImageDraw.Draw(image)
    for view in trajectory.views:
        root = to_root(trajectory.sources[view.source], view.box, trajectory.task.sources)
        if view.parent >= 0 and root is not None and root[0] == source:
            outline(draw, root[1], image.size, view.index)
    return image


def _films(trajectory: Trajectory, videos: Sequence[int], size: Size) -> Image.Image:
    canvas, height = Image.new("RGB", size, GROUND), size[1] // len(videos)
    for row, video in enumerate(videos):
        canvas.paste(film(trajectory, video, (size[0], height)), (0, row * height))
    return canvas


def outline(draw: ImageDraw.ImageDraw, box: Box, size: Size, index: int) -> None:
    """Draw a numbered box. Boxes less than 8 pixels wide or high are enlarged to 8 so that they are visible."""
    x0, y0, x1, y1 = to_pixels(box, (size[0] - 1, size[1] - 1))
    grow_x, grow_y = max(0.0, 8 - (x1 - x0)) / 2, max(0.0, 8 - (y1 - y0)) / 2
    draw.rectangle((x0 - grow_x, y0 - grow_y, x1 + grow_x, y1 + grow_y), outline=colour(index), width=3)
    badge(draw, (min(x0, size[0] - 18), max(y0 - 18, 0)), str(index), colour(index))


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, width: int, lines: int) -> None:
    """Draw wrapped text, truncated with an ellipsis after `lines` lines."""
    columns = max(8, int(width / (size * 0.52)))
    wrapped = [part for line in text.splitlines() for part in (textwrap.wrap(line, columns) or [""])]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], wrapped[lines - 1][: columns - 1] + "…"]
    draw.multiline_text(at, "\n".join(wrapped), font=label_font(size), fill=CANVAS_INK, spacing=4)


def _centred(image: Image.Image, size: Size) -> Image.Image:
    canvas = Image.new("RGB", size, GROUND)
    canvas.paste(image, ((size[0] - image.width) // 2, (size[1] - image.height) // 2))
    return canvas


class Window:
    """The window of `render_mode="human"`. Needs pygame."""

    def __init__(self) -> None:
        self.pygame = require("pygame", "human")
        self.pygame.display.init()
        self.screen = self.pygame.display.set_mode(CANVAS)
        self.pygame.display.set_caption("o3gym")
        self.clock = self.pygame.time.Clock()

    def show(self, pixels: Pixels, fps: int) -> None:
        """Show a frame and wait for its duration."""
        self.pygame.event.pump()
        self.screen.blit(self.pygame.surfarray.make_surface(np.swapaxes(pixels, 0, 1)), (0, 0))
        self.pygame.display.flip()
        self.clock.tick(fps)

    def close(self) -> None:
        """Close the window."""
        self.pygame.display.quit()
