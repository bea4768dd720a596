"""Views, calls and tasks that the dialect tests share."""

from __future__ import annotations

from hypothesis import strategies as st

from o3gym.calls import answer, crop, locate, reuse, search, zoom
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
)
VIEWS = (
    View(0, 0, FULL, (4000, 3000), (1000, 750)),
    View(1, 0, (0.1, 0.1, 0.3, 0.4), (800, 900), (400, 450), 0),
)
TOOLSET = {name: TOOLS[name]() for name in ("crop", "zoom", "reuse", "answer", "locate", "rotate", "draw", "search")}
CHOICE = Task("c", (Source.file("a.png"),), "Which colour?", "B", ("red", "blue"), kind="choice")
FREE = Task("f", (Source.file("a.png"), Source.file("b.png")), "What does the sign say?", "stop")
BOX = Task("b", (Source.file("a.png"),), "the sign", kind="box")

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
factors = st.floats(1, 16).map(lambda value: round(value, 4))
CALLS: dict[str, st.SearchStrategy[Call]] = {
    "crop": st.builds(crop, boxes(), indices),
    "zoom": st.builds(zoom, st.tuples(unit, unit), factors, indices),
    "reuse": st.builds(reuse, indices),
    "answer": st.builds(answer, texts),
    "search": st.builds(search, texts.filter(bool), indices),
    "locate": st.builds(locate, st.none() | boxes(), indices),
    "rotate": st.builds(lambda view, angle: Call("rotate", {"view": view, "angle": angle}), indices, angles),
    "draw": st.builds(
        lambda view, many: Call("draw", {"view": view, "boxes": many}),
        indices,
        st.lists(boxes(), min_size=1, max_size=4),
    ),
}
