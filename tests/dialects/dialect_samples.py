"""Views, calls and tasks that the dialect tests share."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from o3gym.calls import answer, answer_with_span, clip, code, crop, frames, locate, locate_span, reuse, search, zoom
from o3gym.dialects.base import make_dialect
from o3gym.dialects.moves import EVERY_MOVE
from o3gym.envs import VisualSearchEnv
from o3gym.envs.text_turns import TextTurns
from o3gym.registry import TOOLS
from o3gym.types import FULL, Call, Source, Task, View

SPECS = (
    "mini_o3",
    "deepeyes",
    "deepeyes?frame=native",
    "insight_o3",
    "insight_o3?frame=grid1000",
    "insight_o3_reasoner",
    "insight_o3_reasoner?feedback=true",
    "simple_o3",
    "pixel_reasoner",
    "pixel_reasoner?frame=released",
    "qwen3_vl",
    "openai",
    "grid",
    "vital",
    "longvt",
    "vr_thinker",
    "frame_thinker",
    "reel",
    "thyme",
    "pyvision",
    "deepeyes_v2",
    "plan",
    "mgsd",
    "vagen",
    "next_state",
)
PLANNING = ("plan", "mgsd", "vagen", "next_state")
"""The dialects for visual planning alone, whose replies hold moves or a picture whatever the task asks for."""
VIEWS = (
    View(0, 0, FULL, (4000, 3000), (1000, 750)),
    View(1, 0, (0.1, 0.1, 0.3, 0.4), (800, 900), (400, 450), 0),
)
TOOLSET = {name: TOOLS[name]() for name in ("crop", "zoom", "reuse", "answer", "locate", "rotate", "draw", "search")}
VIDEO_TOOLS = (
    "sampled_frames",
    "frame_at",
    "frames",
    "clip",
    "caption_clip",
    "ask_clip",
    "locate_span",
    "answer_with_span",
)
CHOICE = Task("c", (Source.file("a.png"),), "Which colour?", "B", ("red", "blue"), kind="choice")
FREE = Task("f", (Source.file("a.png"), Source.file("b.png")), "What does the sign say?", "stop")
BOX = Task("b", (Source.file("a.png"),), "the sign", kind="box")


def film(count: int, step: int, fps: float, first: int = 0) -> tuple[View, ...]:
    """Frames 0, `step`, 2 · `step`, … of a video, shown at reset as the pictures from number `first` on."""
    return tuple(
        View(first + i, 9, FULL, (640, 480), (320, 240), time=(i * step / fps, (i * step + 1) / fps))
        for i in range(count)
    )


def framed(views: tuple[View, ...], step: int, video: int) -> tuple[View, ...]:
    return tuple(replace(view, video=video, frame=i * step) for i, view in enumerate(views))


FILM_VIEWS = framed(film(16, 10, 4.0), 10, 0)
"""Sixteen frames of a video of 40 seconds with four frames a second."""
PAIR_VIEWS = (
    *framed(film(4, 12, 4.0), 12, 0),
    *framed(film(4, 12, 4.0, first=4), 12, 1),
)
"""Four frames of each of two videos of 12 seconds."""
FILM = Source("file", "a.mp4", duration=40.0)
GROUNDING = Task("g", (FILM,), "When does the lamp light up?", kind="span")
WATCH = Task("w", (FILM,), "What lights up?", "the lamp")
PAIR = Task(
    "p",
    (Source("file", "a.mp4", duration=12.0), Source("file", "b.mp4", duration=12.0)),
    "Which is better?",
    "B",
    ("clip A", "clip B"),
    kind="choice",
)

unit = st.floats(0, 1)
indices = st.integers(0, 5)


@st.composite
def boxes(draw: st.DrawFn) -> list[float]:
    """Boxes inside the picture with an area, down to slivers."""
    x0, x1 = sorted((draw(unit), draw(unit)))
    y0, y1 = sorted((draw(unit), draw(unit)))
    x0, y0 = min(x0, 1 - 1e-9), min(y0, 1 - 1e-9)
    return [x0, y0, max(x1, x0 + 1e-9), max(y1, y0 + 1e-9)]


@st.composite
def views(draw: st.DrawFn) -> tuple[View, ...]:
    """One to three pictures of the task, then looks of any shown size, six views in all."""
    n_sources = draw(st.integers(1, 3))
    sides = st.integers(1, 8000)
    return tuple(
        View(i, 0, FULL, (draw(sides), draw(sides)), (draw(sides), draw(sides)), -1 if i < n_sources else 0)
        for i in range(6)
    )


texts = st.text(max_size=40).map(str.strip).filter(lambda text: not any(mark in text for mark in "<>{}\\"))
angles = st.floats(-360, 360).map(lambda value: round(value, 4))
seconds = st.floats(0, 40)
spans = st.tuples(seconds, seconds).map(lambda ends: (min(ends), max(ends)))
PIECES = (
    *(
        "x = 1",
        "print('a')",
        "\n",
        "\n\n",
        "    ",
        "\r\n",
        "```",
        "```python",
        "~~~",
        '"""',
        "\\",
        "{}",
        "\\boxed{'a'}",
    ),
    *(
        "<code>",
        "<answer>A</answer>",
        "<think>",
        "</think>",
        "<tool_call>{}</tool_call>",
        "<sandbox_output>",
        "</",
        "é",
    ),
)
sources = (st.lists(st.sampled_from(PIECES), max_size=8).map("".join) | st.text(max_size=40)).filter(
    lambda source: bool(source.strip()) and "</code>" not in source
)
"""Every source of code that a reply can hold."""
factors = st.floats(1, 16).map(lambda value: round(value, 4))
plans = st.lists(st.sampled_from((*EVERY_MOVE, "invalid")), min_size=1, max_size=5).map(" ".join)
CALLS: dict[str, st.SearchStrategy[Call]] = {
    "move": st.builds(lambda moves: Call("move", {"moves": moves}), plans),
    "draw_state": st.builds(
        lambda data: Call("draw_state", {"picture": f"data:image/png;base64,{b64encode(data).decode()}"}), st.binary()
    ),
    "crop": st.builds(crop, boxes(), indices),
    "zoom": st.builds(zoom, st.tuples(unit, unit), factors, indices),
    "code": st.builds(code, sources),
    "web_search": st.builds(lambda query: Call("web_search", {"query": query}), texts),
    "image_search": st.just(Call("image_search", {"view": 0})),
    "reuse": st.builds(reuse, indices),
    "answer": st.builds(answer, texts),
    "search": st.builds(search, texts.filter(bool), indices),
    "frames": st.builds(frames, st.lists(st.integers(0, 159), min_size=1, max_size=8, unique=True).map(sorted)),
    "sampled_frames": st.builds(
        lambda numbers: Call("sampled_frames", {"numbers": numbers}),
        st.lists(st.integers(0, 95), min_size=1, max_size=8, unique=True).map(sorted),
    ),
    "frame_at": st.builds(lambda time: Call("frame_at", {"time": time, "video": 0}), seconds),
    "clip": st.builds(lambda span: clip(*span), spans),
    "caption_clip": st.builds(lambda span: Call("caption_clip", {"span": list(span), "video": 0}), spans),
    "ask_clip": st.builds(
        lambda span, text: Call("ask_clip", {"span": list(span), "video": 0, "question": text}), spans, texts
    ),
    "locate_span": st.builds(lambda span: locate_span(*span), spans),
    "answer_with_span": st.builds(lambda text, span: answer_with_span(text, *span), texts, spans),
    "locate": st.builds(locate, st.none() | boxes(), indices),
    "rotate": st.builds(lambda view, angle: Call("rotate", {"view": view, "angle": angle}), indices, angles),
    "draw": st.builds(
        lambda view, many: Call("draw", {"view": view, "boxes": many}),
        indices,
        st.lists(boxes(), min_size=1, max_size=4),
    ),
}


def said(spec: str, new: Sequence[View], text: str, **info: Any) -> str:
    """The text of a message, with <image> for each picture."""
    parts = make_dialect(spec).show(new, text, {"turn": 1, "error": "", **info})
    return "".join(part if isinstance(part, str) else "<image>" for part in parts)


def told(video: Source, spec: str, reply: str, tools: Sequence[str]) -> tuple[str, str]:
    """The kind of error and the message after a reply to the overview of a video."""
    rule = make_dialect(spec).time_rule
    inner = VisualSearchEnv(tools=[*tools, "locate_span"], time_rule=rule, min_pixels=1, max_pixels=5000)
    env = TextTurns(inner, spec)
    env.reset(options={"task": Task("t", (video,), "When?", kind="span")})
    observation, _, _, _, info = env.step(reply)
    return info["error"], observation["text"]
