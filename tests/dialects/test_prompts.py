"""Prompts tell of the enabled tools only; messages show the numbers that `parse` takes."""

from __future__ import annotations

import hashlib
import json

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.dialects.functions import Functions
from o3gym.types import Call, Task, View
from tests.dialects.dialect_samples import BOX, CHOICE, FREE, PLANNING, SPECS, TOOLSET, VIEWS

NAMES = [spec for spec in SPECS if "?" not in spec]
CALL_MARKS = ("<tool_call>", "<grounding>", "<function>", "<tools>")


def written(spec: str, tool: str) -> str:
    """How a dialect's prompt names a tool."""
    dialect = make_dialect(spec)
    if isinstance(dialect, Functions):
        return dialect.written(tool) if spec == "openai" else f'"{dialect.written(tool)}"'
    return {"grid": "look 4x4", "reel": "look 2x2"}.get(spec, "grounding")


@pytest.mark.parametrize("spec", NAMES)
@pytest.mark.parametrize("enabled", [("crop",), ("reuse",), ("zoom", "draw"), ("rotate",), ()])
def test_only_enabled_tools_are_mentioned(spec: str, enabled: tuple[str, ...]) -> None:
    dialect = make_dialect(spec)
    prompt = dialect.prompt({name: TOOLSET[name] for name in (*enabled, "answer", "locate")}, BOX)
    for tool in ("crop", "zoom", "reuse", "rotate", "draw"):
        if tool in dialect.tools and spec != "openai":
            assert (written(spec, tool) in prompt) == (tool in enabled), tool
    if not set(enabled) & set(dialect.tools) and spec != "qwen3_vl":
        assert not any(mark in prompt for mark in CALL_MARKS)


DIGESTS = {
    "mini_o3": "737612c48e1f",
    "deepeyes": "2d0608d9708b",
    "insight_o3": "666c9a802a46",
    "insight_o3_reasoner": "30553fcb6331",
    "simple_o3": "4e3e36ab1354",
    "pixel_reasoner": "d1a7e0c2c5c6",
    "qwen3_vl": "d59113d76a23",
    "openai": "bf1fb53190b4",
    "grid": "f45b4a8b311d",
}
"""The start of the SHA-256 of prompts and schemas for tasks about pictures, as they were before there were videos."""


@pytest.mark.parametrize(("spec", "digest"), DIGESTS.items())
def test_the_prompts_of_pictures_stay_byte_for_byte(spec: str, digest: str) -> None:
    dialect = make_dialect(spec)
    tasks = (BOX,) if spec == "insight_o3" else (CHOICE, FREE, BOX)
    texts = [dialect.prompt(tools, task) for task in tasks for tools in (TOOLSET, {})]
    assert hashlib.sha256(json.dumps([*texts, dialect.schema(TOOLSET)]).encode()).hexdigest()[:12] == digest


def test_openai_names_the_enabled_functions() -> None:
    prompt = make_dialect("openai").prompt({name: TOOLSET[name] for name in ("crop", "answer", "locate")}, CHOICE)
    assert "You have crop, answer." in prompt


@pytest.mark.parametrize("spec", [name for name in NAMES if name not in ("insight_o3", "grid", "reel", *PLANNING)])
def test_the_form_of_the_answer_follows_the_task(spec: str) -> None:
    dialect = make_dialect(spec)
    assert "letter" in dialect.prompt(TOOLSET, CHOICE)
    assert "A, B" in dialect.prompt(TOOLSET, CHOICE)
    assert "short text" in dialect.prompt(TOOLSET, FREE)
    assert "null" in dialect.prompt(TOOLSET, BOX)
    assert "letter" not in dialect.prompt(TOOLSET, BOX)


@pytest.mark.parametrize("spec", NAMES)
@pytest.mark.parametrize("word", ["turns left", "budget", "remaining"])
def test_the_budget_is_not_told(spec: str, word: str) -> None:
    assert word not in make_dialect(spec).prompt(TOOLSET, BOX)


def test_insight_o3_is_for_region_search_only() -> None:
    dialect = make_dialect("insight_o3")
    assert "[0, 0, 0, 0]" in dialect.prompt(TOOLSET, BOX)
    with pytest.raises(ValueError, match="region search"):
        dialect.prompt(TOOLSET, CHOICE)


def test_a_prompt_file_replaces_the_prompt(tmp_path: object) -> None:
    path = f"{tmp_path}/prompt.txt"
    with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - a plain write
        file.write("exact words")
    assert make_dialect("mini_o3", prompt_file=path).system(TOOLSET, CHOICE) == "exact words"


@pytest.mark.parametrize("spec", NAMES)
def test_pictures_and_texts_are_shown_in_order(spec: str) -> None:
    dialect = make_dialect(spec)
    first = dialect.show(VIEWS[:1], "Which colour?", {"turn": 0, "error": ""})
    assert [part for part in first if isinstance(part, View)] == [VIEWS[0]]
    assert str(first[-1]).endswith("\nWhich colour?")
    later = dialect.show(VIEWS[1:], "", {"turn": 1, "error": ""})
    assert [part for part in later if isinstance(part, View)] == [VIEWS[1]]
    assert all(str(part).strip() for part in later)
    trouble = dialect.show((), "the box is too small", {"turn": 1, "error": "too_small"})
    assert len(trouble) == 1
    assert "the box is too small" in str(trouble[0])


NUMBERS = [
    ("mini_o3", "observation_1", '<grounding>{"bbox_2d": [0, 0, 1, 1], "source": "observation_1"}</grounding>'),
    (
        "pixel_reasoner",
        "Image 2",
        '<tool_call>{"name": "crop_image_normalized", "arguments": {"bbox_2d": [0,0,1,1], "target_image": 2}}'
        "</tool_call>",
    ),
    (
        "qwen3_vl",
        "img_idx 1",
        '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [0,0,9,9], "img_idx": 1}}</tool_call>',
    ),
    ("openai", "View 1", '<tool_call>{"name": "crop", "arguments": {"box": [0,0,1,1], "view": 1}}</tool_call>'),
]


@pytest.mark.parametrize(("spec", "label", "reply"), NUMBERS)
def test_the_number_shown_is_the_number_read(spec: str, label: str, reply: str) -> None:
    dialect = make_dialect(spec)
    assert label in str(dialect.show(VIEWS[1:], "", {"turn": 1, "error": ""})[0])
    assert dialect.parse(reply, VIEWS).call.args["view"] == 1


def test_feedback_names_views_as_the_dialect_does() -> None:
    info = {"turn": 2, "error": "bad_view"}
    reason = "there is no view 7; views are numbered 0 to 1"
    assert make_dialect("pixel_reasoner").show((), reason, info) == [
        "Execution error: there is no image 8; images are numbered 1 to 2"
    ]
    assert "no observation_7" in str(make_dialect("mini_o3").show((), reason, info)[0])


def test_mini_o3_names_several_pictures() -> None:
    dialect = make_dialect("mini_o3")
    views = (*(View(i, i, (0, 0, 1, 1), (9, 9), (9, 9)) for i in range(2)), View(2, 0, (0, 0, 1, 1), (9, 9), (9, 9), 0))
    task: Task = FREE
    assert '"original_image", "original_image_2"' in dialect.prompt(TOOLSET, task)
    shown = [part for part in dialect.show(views, "Q", {"turn": 0}) if isinstance(part, str)]
    assert shown == ["original_image:", "\noriginal_image_2:", "\nObservation 2 (observation_2):", "\nQ"]
    for view in range(3):
        call = Call("crop", {"view": view, "box": [0.0, 0.0, 0.5, 0.5]})
        assert dialect.parse(dialect.format(call, views), views).call == call


def test_messages_read_well_without_separators() -> None:
    parts = make_dialect("deepeyes").show(VIEWS[1:], "Turned.", {"turn": 1, "error": ""})
    text = "".join(part if isinstance(part, str) else "<image>" for part in parts)
    assert text == "<tool_response><image>\nTurned.\n</tool_response>\nThink on, then call a function or answer."
    parts = make_dialect("qwen3_vl").show(VIEWS, "Which colour?", {"turn": 0, "error": ""})
    text = "".join(part if isinstance(part, str) else "<image>" for part in parts)
    assert text == "Picture 0 (img_idx 0):<image>\nPicture 1 (img_idx 1):<image>\nWhich colour?"
