"""What a dialect writes, it reads: the same call up to the dialect's own rounding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o3gym.calls import answer, crop, noop
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.dialects.pixel_reasoner import PixelReasoner
from o3gym.geometry import is_empty
from o3gym.types import Call, Size, View
from tests.dialects.dialect_samples import CALLS, FILM_VIEWS, SPECS, VIDEO_TOOLS, VIEWS, boxes, texts, views

UNNUMBERED = ("deepeyes", "insight_o3", "simple_o3")
NUMBERED_ANSWERS = ("qwen3_vl", "openai")
COARSE = (
    *(("grid", "crop"), ("grid", "locate"), ("reel", "crop"), ("reel", "clip"), ("reel", "locate_span")),
    *(("plan", "answer"), ("mgsd", "answer")),
)
PAIRS = [(spec, tool) for spec in SPECS for tool in make_dialect(spec).tools if (spec, tool) not in COARSE]
"""All but the looks and boxes of `grid`, which rounds to cells and places (tests/dialects/test_grid.py), the looks
and intervals of `reel`, which rounds to cells and frames (tests/dialects/test_reel.py), and the answers of dialects for
whole plans, which read a text such as "L" as a move (tests/dialects/test_moves_in_replies.py)."""


def steps(dialect: Dialect, call: Call, shown: tuple[View, ...], box: list[float]) -> Size:
    """How many steps the dialect has over the width and height of the view that `call` names."""
    frame = getattr(dialect, "frame", "")
    if dialect.name in ("deepeyes", "insight_o3") and frame == "shown":
        return shown[0].shown
    if frame == "native":
        return shown[0].native
    if dialect.name in ("simple_o3", "qwen3_vl") or frame == "grid1000":
        return (1000, 1000)
    if isinstance(dialect, PixelReasoner) and frame == "released" and max(box) > 1 - 1e-4:
        pixels = dialect.pixels_of(shown, call.args["view"])  # fractions that reach 1 would be read as pixels
        return pixels.width, pixels.height
    return (10_000, 10_000)


def between(numbers: list[int], count: int = 16) -> list[int]:
    """`count` frames evenly spaced inside the interval around `numbers`, which has more frames than that."""
    start, end = numbers[0] - 1, numbers[-1] + 1
    start = max(0, start - max(0, count + 1 - (end - start)) // 2)
    end = max(end, start + count + 1)
    return sorted({int(number) for number in np.linspace(start + 1, end - 1, count)})


def written_frames(dialect: Dialect, numbers: list[int]) -> list[int]:
    """The frames that a dialect can name instead of these: any, or only those that have been shown."""
    if dialect.name == "frame_thinker":
        return between(numbers)
    if dialect.name != "pixel_reasoner":
        return numbers
    shown = [view.frame for view in FILM_VIEWS if view.frame is not None]
    return sorted({min(shown, key=lambda frame: abs(frame - number)) for number in numbers})


def assert_close(read: list[float], written: list[float], size: Size) -> None:
    """Half a step off at most; a whole one for a box that had to grow."""
    assert len(read) == len(written)
    for i, (a, b) in enumerate(zip(read, written, strict=True)):
        collapses = len(written) == 4 and (written[i % 2 + 2] - written[i % 2]) * size[i % 2] <= 1
        assert abs(a - b) * size[i % 2] <= (1 if collapses else 0.5) + 1e-6


@pytest.mark.parametrize("tool", sorted({tool for _, tool in PAIRS}))
@settings(max_examples=100, deadline=None)
@given(data=st.data(), shown=views(), thought=texts)
def test_parse_reads_what_format_writes(tool: str, data: st.DataObject, shown: tuple[View, ...], thought: str) -> None:
    """Every example goes through every dialect that has the tool: most of the time goes into drawing examples."""
    call = data.draw(CALLS[tool])
    shown = FILM_VIEWS if tool in VIDEO_TOOLS else shown
    for spec in (spec for spec, known in PAIRS if known == tool):
        with named(spec):
            assert_read_as_written(make_dialect(spec), call, shown, thought)


@contextmanager
def named(spec: str) -> Iterator[None]:
    """Adds the dialect to what fails."""
    try:
        yield
    except BaseException as error:
        error.add_note(f"dialect: {spec}")
        raise


def assert_read_as_written(dialect: Dialect, call: Call, shown: tuple[View, ...], thought: str) -> None:
    if "view" in call.args and (
        dialect.name in UNNUMBERED or (call.tool == "locate" and dialect.name not in NUMBERED_ANSWERS)
    ):
        call = Call(call.tool, {**call.args, "view": 0})
    parsed = dialect.parse(dialect.format(call, shown, thought), shown)
    assert parsed.call.tool == call.tool
    assert parsed.thought == thought
    assert parsed.well_formed
    assert set(parsed.call.args) == set(call.args)
    for key, value in call.args.items():
        read = parsed.call.args[key]
        if key in ("box", "center") and value is not None:
            assert_close(read, value, steps(dialect, call, shown, value))
        elif key == "span":
            assert all(abs(a - b) <= 0.01 + 1e-6 for a, b in zip(read, value, strict=True))
            assert read[0] < read[1] or value[0] == value[1]
        elif key == "numbers":
            assert read == written_frames(dialect, value)
        elif key == "time":
            assert 0 <= value - read < 1 + 1e-6
        elif key == "boxes":
            for one, other in zip(read, value, strict=True):
                assert_close(one, other, steps(dialect, call, shown, other))
        else:
            assert read == value


@settings(max_examples=150, deadline=None)
@given(box=boxes(), shown=views())
def test_a_box_with_an_area_keeps_one_and_stays_inside(box: list[float], shown: tuple[View, ...]) -> None:
    for spec in (spec for spec in SPECS if "crop" in make_dialect(spec).tools):
        with named(spec):
            dialect = make_dialect(spec)
            read = dialect.parse(dialect.format(crop(box), shown), shown).call.args["box"]
            assert not is_empty(read)
            assert all(0 <= v <= 1 for v in read)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("tool", ["crop", "zoom", "reuse", "answer", "locate", "rotate", "draw"])
def test_what_a_dialect_cannot_say_is_an_error_with_its_name_and_tools(spec: str, tool: str) -> None:
    dialect = make_dialect(spec)
    if tool in dialect.tools:
        return
    with pytest.raises(ValueError, match=f"{dialect.name} cannot express .*{dialect.tools[0]}"):
        dialect.format(Call(tool, {}), VIEWS)


@pytest.mark.parametrize("spec", ["deepeyes", "insight_o3", "simple_o3"])
def test_dialects_without_picture_numbers_refuse_other_views(spec: str) -> None:
    with pytest.raises(ValueError, match="view 0 only"):
        make_dialect(spec).format(crop((0, 0, 1, 1), view=1), VIEWS)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("thought", ["", "hmm <answer>A</answer>", r"\boxed{A} <tool_call>{}</tool_call>", "</think>"])
def test_noop_is_text_without_a_call(spec: str, thought: str) -> None:
    dialect = make_dialect(spec)
    parsed = dialect.parse(dialect.format(noop("void", "nothing"), VIEWS, thought), VIEWS)
    assert parsed.call.tool == "noop"
    assert parsed.call.args["kind"] in ("void", "parse")


HOSTILE = ("<answer>", "</answer>", "<tool_call>{}</tool_call>", r"\boxed{C}", "</think>", "{", "}", "a{b}c", "}{")


@pytest.mark.parametrize(
    "spec", [spec for spec in SPECS if not spec.startswith("insight") and "answer" in make_dialect(spec).tools]
)
@pytest.mark.parametrize("text", ["", *HOSTILE])
def test_tags_in_thoughts_and_answers_do_no_harm(spec: str, text: str) -> None:
    dialect = make_dialect(spec)
    parsed = dialect.parse(dialect.format(answer(text), VIEWS, thought=text), VIEWS)
    assert parsed.call.tool == "answer"
    assert parsed.well_formed
    plain = str.maketrans("", "", "<>()\\")
    assert parsed.call.args["text"].translate(plain) == text.translate(plain)
