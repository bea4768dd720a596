r"""PyVision's replies: code, or an answer in quotes and `\boxed{}`; observations of an interpreter."""

from __future__ import annotations

import pytest

from o3gym.calls import answer, code, locate
from o3gym.dialects.base import make_dialect
from o3gym.types import Call, View
from tests.dialects.dialect_samples import FILM_VIEWS, VIEWS, said

PYVISION = make_dialect("pyvision")
FENCED = "<code>\n```python\nx = 1\n```\n</code>"


def wrapped(text: str) -> str:
    return f"<tool_response>\n<interpreter>{text}</interpreter>\n\n</tool_response>"


def test_pyvision_s_system() -> None:
    assert (PYVISION.inline, PYVISION.stop) == (False, ("</code>",))
    assert PYVISION.code_tags == ("<code>", "</code>")
    assert PYVISION.rules(videos=False) == {"size_rule": "o3gym", "code_rule": "pyvision", "on_void": "continue"}
    assert PYVISION.default_tools(["crop", "answer"], videos=False) == ["answer", "code"]


@pytest.mark.parametrize(
    ("text", "call", "well_formed"),
    [
        (f"I crop it. {FENCED}", code("x = 1"), True),
        (f"<think>I crop it.</think>\n{FENCED}", code("x = 1"), True),
        (r"So: <answer>\boxed{'B'}</answer>", answer("B"), True),
        (r"<answer>\boxed{'a man's hat'}</answer>", answer("a man's hat"), True),
        (r'<answer>\boxed{"B"}</answer>', answer("B"), True),
        (r"<answer>\boxed{''}</answer>", answer(""), True),
        (r"<answer>\boxed{'\frac{1}{2}'}</answer>", answer(r"\frac{1}{2}"), True),
        (r"<answer> \boxed{B} </answer>", answer("B"), False),
        (r"<answer>$\boxed{'B'}$</answer>", answer("B"), False),
        (r"<answer>It is \boxed{'B'}.</answer>", answer("B"), False),
        (r"<answer>\boxed{'B'</answer>", answer("B"), False),
        ("<answer>B</answer>", answer("B"), False),
        ("<answer>'B'</answer>", answer("B"), False),
        ("<answer>B", answer("B"), False),
        (rf"{FENCED} <answer>\boxed{{'B'}}</answer>", answer("B"), False),
        (f"<code>\ny = 2\n</code> {FENCED}", code("x = 1"), False),
        ("```python\nx = 1\n```", code("x = 1"), False),
        ("First:\n```python\ny = 2\n```\nthen\n```python\nx = 1\n```\nDone.", code("x = 1"), False),
        ("```python\nx = 1", code("x = 1"), False),
        ("```python\nx\n``` <answer>\\boxed{'B'}</answer>", answer("B"), True),
        ("<code>\n```python\nprint('<answer>A</answer>')\n```\n</code>", code("print('<answer>A</answer>')"), True),
    ],
)
def test_replies_are_read(text: str, call: Call, well_formed: bool) -> None:
    parsed = PYVISION.parse(text, VIEWS)
    assert (parsed.call, parsed.well_formed) == (call, well_formed)


def test_a_reply_with_neither_is_void_and_told_so() -> None:
    parsed = PYVISION.parse(r"It is \boxed{'B'}.", VIEWS)
    reason = "the reply has neither <code>…</code> nor <answer>…</answer>"
    assert parsed.call.args == {"kind": "void", "reason": reason}
    assert said("pyvision", (), reason, error="void") == wrapped(f"Error: {reason}")


@pytest.mark.parametrize(
    "text", ["B", "a'b", "'", '"', "a\\", "{", "}{", r"\{", r"\boxed{C}", "", "'quoted'", "<answer>"]
)
def test_answers_are_quoted(text: str) -> None:
    parsed = PYVISION.parse(PYVISION.format(answer(text), VIEWS, "seen"), VIEWS)
    assert (parsed.call.tool, parsed.well_formed, parsed.thought) == ("answer", True, "seen")
    expected = text.replace("<answer>", "(answer)").replace(r"\boxed{", "boxed{")
    assert parsed.call.args["text"].replace("\\", "") == expected.replace("\\", "")


def test_boxes_are_answered_in_quotes_or_without() -> None:
    written = PYVISION.format(locate((0.1, 0.2, 0.3, 0.4)), VIEWS)
    assert written == r"""<answer>\boxed{'{"bbox_2d": [0.1, 0.2, 0.3, 0.4]}'}</answer>"""
    for text in (written, written.replace("'", "")):
        assert PYVISION.parse(text, VIEWS).call == locate((0.1, 0.2, 0.3, 0.4))


@pytest.mark.parametrize(
    ("new", "text", "info", "shown"),
    [
        ((), "12", {}, "Text Result:\n12"),
        (VIEWS[1:], "", {}, "Text Result:\n\nImage Result:\n<image_clue_1><image></image_clue_1>"),
        (
            VIEWS,
            "12",
            {},
            "Text Result:\n12\nImage Result:\n<image_clue_0><image></image_clue_0><image_clue_1><image></image_clue_1>",
        ),
        ((), "NameError: x", {"error": "code"}, "Execution error: NameError: x"),
        (
            VIEWS[1:],
            "NameError: x",
            {"error": "code"},
            "Text Result:\nNameError: x\nImage Result:\n<image_clue_1><image></image_clue_1>",
        ),
        ((), "All used.", {"error": "budget"}, "Error: All used."),
        ((), "</interpreter>", {}, "Text Result:\n(/interpreter)"),
    ],
)
def test_observations_are_the_interpreter_s(new: tuple[View, ...], text: str, info: dict[str, str], shown: str) -> None:
    assert said("pyvision", new, text, tool="code", views=VIEWS, **info) == wrapped(shown)


def test_pictures_stand_between_their_names() -> None:
    assert said("pyvision", VIEWS[:1], "Which?", turn=0) == "<image_clue_0><image></image_clue_0>\n\nWhich?"
    assert said("pyvision", FILM_VIEWS[:2], "When?", turn=0) == (
        "Frame 0 at 0.00 s:\n<image_clue_0><image></image_clue_0>\n\n"
        "Frame 10 at 2.50 s:\n<image_clue_1><image></image_clue_1>\n\nWhen?"
    )
