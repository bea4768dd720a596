"""Qwen3.5's XML calls in the dialect `qwen3_vl`."""

from __future__ import annotations

import time

import pytest

from o3gym.calls import crop, locate, zoom
from o3gym.dialects.base import make_dialect
from o3gym.types import Call
from tests.dialects.dialect_samples import VIEWS


def written(name: str, closed: bool = True, **arguments: str) -> str:
    """A call as the chat template of Qwen3.5 writes it."""
    end = "\n</parameter>\n" if closed else "\n"
    parameters = "".join(f"<parameter={key}>\n{value}{end}" for key, value in arguments.items())
    return f"<tool_call>\n<function={name}>\n{parameters}{'</function>' if closed else ''}\n</tool_call>"


CALLS: list[tuple[str, Call]] = [
    (
        written("image_zoom_in_tool", bbox_2d="[100, 200, 300, 400]", label="7", img_idx="1"),
        crop([0.1, 0.2, 0.3, 0.4], 1),
    ),
    (written("image_zoom_in_tool", bbox_2d="[100, 200, 300, 400]"), crop([0.1, 0.2, 0.3, 0.4])),
    (written("zoom", point_2d="[250, 500]", factor="4"), zoom((0.25, 0.5), 4)),
    (written("locate", bbox_2d="null"), locate(None)),
    (
        written("draw", bboxes_2d="[[0, 0, 500, 500], [500, 500, 1000, 1000]]"),
        Call("draw", {"view": 0, "boxes": [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]}),
    ),
    (written("telescope", power="7"), Call("telescope", {})),
]


@pytest.mark.parametrize(("text", "expected"), CALLS)
def test_values_have_the_declared_types(text: str, expected: Call) -> None:
    parsed = make_dialect("qwen3_vl").parse(f"The sign is far.\n\n{text}", VIEWS)
    assert parsed.call == expected
    assert parsed.well_formed == (expected.tool != "telescope")
    assert parsed.thought == "The sign is far."


def test_a_text_stays_a_text() -> None:
    text = written("search", description="19 <b>red</b>\n  cars")
    assert make_dialect("qwen3_vl").parse(text, VIEWS).call.args["description"] == "19 <b>red</b>\n  cars"


@pytest.mark.parametrize(
    "text",
    [
        written("image_zoom_in_tool", closed=False, bbox_2d="[100, 200, 300, 400]", img_idx="1"),
        written("image_zoom_in_tool", bbox_2d="[100, 200, 300, 400]", img_idx="1", angle="3"),
        written("image_zoom_in_tool", bbox_2d="[100, 200, 300, 400]", img_idx="1").replace("</function>", "ok"),
    ],
)
def test_loose_forms_are_read_but_not_well_formed(text: str) -> None:
    parsed = make_dialect("qwen3_vl").parse(text, VIEWS)
    assert parsed.call == crop([0.1, 0.2, 0.3, 0.4], 1)
    assert not parsed.well_formed


@pytest.mark.parametrize("text", [written(""), written("image_zoom_in_tool"), written("zoom", point_2d="left")])
def test_unreadable_calls(text: str) -> None:
    parsed = make_dialect("qwen3_vl").parse(text, VIEWS)
    assert (parsed.call.tool, parsed.call.args["kind"]) == ("noop", "parse")


def test_calls_are_written_as_json() -> None:
    assert '{"name": "image_zoom_in_tool"' in make_dialect("qwen3_vl").format(crop([0.1, 0.2, 0.3, 0.4]), VIEWS)


def test_reading_takes_linear_time() -> None:
    start = time.perf_counter()
    make_dialect("qwen3_vl").parse("<tool_call><function=zoom>" + "<parameter=a>" * 15_000 + "</tool_call>", VIEWS)
    assert time.perf_counter() - start < 1
