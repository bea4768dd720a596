"""Rendering of episodes: the fixed-size frame of `render()`, and a strip that shows a whole episode."""

from __future__ import annotations

import textwrap
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from o3gym.geometry import to_pixels, to_root
from o3gym.media.images import shared_store
from o3gym.media.pixels import Pixels
from o3gym.registry import require
from o3gym.types import Box, Size, Trajectory, View

CANVAS: Size = (960, 540)
PICTURE: Size = (474, 400)
CANVAS_MARGIN = 4
GROUND, CANVAS_INK, FAINT = (24, 26, 31), (232, 234, 238), (148, 153, 163)
PALETTE = ((86, 180, 233), (230, 159, 0), (0, 200, 150), (240, 228, 66), (213, 94, 0), (204, 121, 167))
"""Okabe and Ito's colours, distinguishable with colour blindness and visible on dark and light pictures."""


def colour(index: int) -> tuple[int, int, int]:
    """The colour of view `index`, which is the same wherever the view is drawn."""
    return PALETTE[index % len(PALETTE)]


@cache
def label_font(size: int) -> Any:
    """The font that ships with Pillow."""
    return ImageFont.load_default(size=size)


def frame(trajectory: Trajectory, text: str) -> Pixels:
    """One frame of an episode: the first picture with all boxes so far, the newest view, and `text`.

    Returns:
        A uint8 array of shape (540, 960, 3), whatever the sizes of the pictures.
    """
    canvas = Image.new("RGB", CANVAS, GROUND)
    canvas.paste(_centred(overview(trajectory, PICTURE), PICTURE), (CANVAS_MARGIN, CANVAS_MARGIN))
    newest = trajectory.views[-1]
    shown = _centred(_scaled(_pixels(trajectory, newest), PICTURE), PICTURE)
    canvas.paste(shown, (CANVAS[0] - PICTURE[0] - CANVAS_MARGIN, CANVAS_MARGIN))
    draw = ImageDraw.Draw(canvas)
    name = "the original" if newest.index < len(trajectory.task.sources) else f"view {newest.index}"
    status = f"turn {len(trajectory.turns)} · {name}" + (f" · {trajectory.stop}" if trajectory.stop else "")
    draw.text((CANVAS_MARGIN + 4, PICTURE[1] + 12), status, font=label_font(15), fill=FAINT)
    question = text if text == trajectory.task.text else f"{trajectory.task.question}\n{text}"
    _write(draw, (CANVAS_MARGIN + 4, PICTURE[1] + 36), question, 15, CANVAS[0] - 16, lines=5)
    return np.array(canvas)


def strip(trajectory: Trajectory, height: int = 260) -> Image.Image:
    """A whole episode as one picture: the original with numbered boxes, all new views, and question and answer."""
    looks = [view for view in trajectory.views if view.parent >= 0]
    first = overview(trajectory, (3 * height, height))
    panels = [first, *(_scaled(_pixels(trajectory, view), (2 * height, height)) for view in looks)]
    width = max(sum(panel.width + CANVAS_MARGIN for panel in panels) + CANVAS_MARGIN, 2 * height)
    canvas = Image.new("RGB", (width, height + 92), GROUND)
    draw, x = ImageDraw.Draw(canvas), CANVAS_MARGIN
    for index, panel in zip((0, *(view.index for view in looks)), panels, strict=True):
        canvas.paste(panel, (x, CANVAS_MARGIN))
        if index:
            draw.rectangle(
                (x, CANVAS_MARGIN, x + panel.width - 1, CANVAS_MARGIN + panel.height - 1),
                outline=colour(index),
                width=3,
            )
            _badge(draw, (x + 3, CANVAS_MARGIN + 3), str(index), colour(index))
        x += panel.width + CANVAS_MARGIN
    _write(draw, (CANVAS_MARGIN + 6, height + 12), trajectory.task.question, 17, width - 20, lines=2)
    draw.text((CANVAS_MARGIN + 6, height + 64), _answer_line(trajectory), font=label_font(16), fill=FAINT)
    return canvas


def _answer_line(trajectory: Trajectory) -> str:
    """The answer in words, with its verdict."""
    task, answer = trajectory.task, trajectory.answer or trajectory.stop
    if task.choices and answer in tuple(task.letters):
        answer = f"{answer}. {task.choices[task.letters.index(answer)]}"
    if trajectory.stop == "located":
        answer = "a box" if trajectory.located else "not in the picture"
    return f"answer: {answer}" + (f"  ({trajectory.verdict})" if trajectory.verdict else "")


def overview(trajectory: Trajectory, size: Size) -> Image.Image:
    """The first picture as the agent saw it, scaled to fit `size`, with the numbered boxes of all views."""
    source = trajectory.sources[0]
    image = _scaled(_pixels(trajectory, trajectory.views[0]), size)
    draw = ImageDraw.Draw(image)
    for view in trajectory.views:
        root = to_root(trajectory.sources[view.source], view.box, trajectory.task.sources)
        if view.parent >= 0 and root is not None and root[0] == source:
            outline(draw, root[1], image.size, view.index)
    return image


def outline(draw: ImageDraw.ImageDraw, box: Box, size: Size, index: int) -> None:
    """Draw a numbered box. Boxes less than 8 pixels wide or high are enlarged to 8 so that they are visible."""
    x0, y0, x1, y1 = to_pixels(box, (size[0] - 1, size[1] - 1))
    grow_x, grow_y = max(0.0, 8 - (x1 - x0)) / 2, max(0.0, 8 - (y1 - y0)) / 2
    draw.rectangle((x0 - grow_x, y0 - grow_y, x1 + grow_x, y1 + grow_y), outline=colour(index), width=3)
    _badge(draw, (min(x0, size[0] - 18), max(y0 - 18, 0)), str(index), colour(index))


def _badge(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, fill: tuple[int, int, int]) -> None:
    draw.rectangle((at[0], at[1], at[0] + 8 + 9 * len(text), at[1] + 17), fill=fill)
    draw.text((at[0] + 4, at[1] + 1), text, font=label_font(14), fill=(0, 0, 0))


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, width: int, lines: int) -> None:
    """Draw wrapped text, truncated with an ellipsis after `lines` lines."""
    columns = max(8, int(width / (size * 0.52)))
    wrapped = [part for line in text.splitlines() for part in (textwrap.wrap(line, columns) or [""])]
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], wrapped[lines - 1][: columns - 1] + "…"]
    draw.multiline_text(at, "\n".join(wrapped), font=label_font(size), fill=CANVAS_INK, spacing=4)


def _pixels(trajectory: Trajectory, view: View) -> Image.Image:
    source = trajectory.sources[view.source]
    return Image.fromarray(shared_store().region(source, view.box, view.shown, view.resampling))


def _inside(size: Size, limit: Size) -> Size:
    """The largest size with the aspect ratio of `size` that fits into `limit`."""
    scale = min(limit[0] / size[0], limit[1] / size[1])
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


def _scaled(image: Image.Image, limit: Size) -> Image.Image:
    return image.resize(_inside(image.size, limit), Image.Resampling.BICUBIC)


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
