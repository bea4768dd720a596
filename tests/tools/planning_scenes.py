"""What tools of visual planning see of an episode, and pictures as a model writes them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from o3gym.media.images import shared_store
from o3gym.registry import SIZE_RULES, TIME_RULES
from o3gym.tools.base import Tool, ToolContext, ToolResult
from o3gym.types import FULL, Source, View
from o3gym.worlds import World
from tests.worlds.planning_episodes import planning_task


def planning_scene(world: World, *sources: Source) -> ToolContext:
    """An episode on a layout, whose further sources have been shown one by one."""
    task = planning_task(world)
    shown = (*task.sources, *sources)
    views = tuple(View(i, i, FULL, (256, 256), (256, 256), parent=i - 1) for i in range(len(shown)))
    return ToolContext(task, shown, views, shared_store().size, SIZE_RULES["o3gym"], TIME_RULES["o3gym"])


def apply(tool: Tool, scene: ToolContext, text: str) -> ToolResult:
    """The result of a call that passes the shape check."""
    (key,) = tool.args
    assert tool.accepts({key: text}) == ""
    return tool.apply(scene, **{key: text})


def encoded(pixels: np.ndarray | Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, form, **options)
    return file.getvalue()


def data_url(data: bytes, form: str = "png") -> str:
    return f"data:image/{form};base64,{base64.b64encode(data).decode()}"
