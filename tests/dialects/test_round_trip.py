"""What a dialect writes, it reads: the same call up to the dialect's own rounding."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o3gym.calls import answer, crop, noop
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.dialects.pixel_reasoner import PixelReasoner
from o3gym.geometry import is_empty
from o3gym.types import Call, Size, View
from tests.dialects.dialect_samples import CALLS, SPECS, VIEWS, boxes, texts, views

UNNUMBERED = ("deepeyes", "insight_o3", "simple_o3")
NUMBERED_ANSWERS = ("qwen3_vl", "openai")
COARSE = (("grid", "crop"), ("grid", "locate"))
PAIRS = [(spec, tool) for spec in SPECS for tool in make_dialect(spec).tools if (spec, tool) not in COARSE]
"""All but the looks and the boxes of `grid`, which rounds to cells and places: tests/dialects/test_grid.py."""


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


def assert_close(read: list[float], written: list[float], size: Size) -> None:
    """Half a step off at most; a whole one for a box that had to grow."""
    assert len(read) == len(written)
    for i, (a, b) in enumerate(zip(read, written, strict=True)):
        collapses = len(written) == 4 and (written[i % 2 + 2] - written[i % 2]) * size[i % 2] <= 1
        assert abs(a - b) * size[i % 2] <= (1 if collapses else 0.5) + 1e-6


@pytest.mark.parametrize(("spec", "tool"), PAIRS)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), shown=views(), thought=texts)
def test_parse_reads_what_format_writes(
    spec: str, tool: str, data: st.DataObject, shown: tuple[View, ...], thought: str
) -> None:
    dialect = make_dialect(spec)
    call = data.draw(CALLS[tool])
    if "view" in call.args and (
        dialect.name in UNNUMBERED or (tool == "locate" and dialect.name not in NUMBERED_ANSWERS)
    ):
        call = Call(tool, {**call.args, "view": 0})
    parsed = dialect.parse(dialect.format(call, shown, thought), shown)
    assert parsed.call.tool == call.tool
    assert parsed.thought == thought
    assert parsed.well_formed
    assert set(parsed.call.args) == set(call.args)
    for key, value in call.args.items():
        read = parsed.call.args[key]
        if key in ("box", "center") and value is not None:
            assert_close(read, value, steps(dialect, call, shown, value))
        elif key == "boxes":
            for one, other in zip(read, value, strict=True):
                assert_close(one, other, steps(dialect, call, shown, other))
        else:
            assert read == value


@pytest.mark.parametrize("spec", [spec for spec in SPECS if "crop" in make_dialect(spec).tools])
@settings(max_examples=150, deadline=None)
@given(box=boxes(), shown=views())
def test_a_box_with_an_area_keeps_one_and_stays_inside(spec: str, box: list[float], shown: tuple[View, ...]) -> None:
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


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith("insight")])
@pytest.mark.parametrize("text", ["", *HOSTILE])
def test_tags_in_thoughts_and_answers_do_no_harm(spec: str, text: str) -> None:
    dialect = make_dialect(spec)
    parsed = dialect.parse(dialect.format(answer(text), VIEWS, thought=text), VIEWS)
    assert parsed.call.tool == "answer"
    assert parsed.well_formed
    plain = str.maketrans("", "", "<>()\\")
    assert parsed.call.args["text"].translate(plain) == text.translate(plain)
