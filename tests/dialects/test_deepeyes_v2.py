"""DeepEyesV2's replies: code, searches and answers; observations of a notebook and of a search."""

from __future__ import annotations

import json

import pytest

from o3gym.calls import answer, code
from o3gym.dialects.base import make_dialect
from o3gym.registry import TOOLS
from o3gym.types import Call, View
from tests.dialects.dialect_samples import CHOICE, VIEWS, said

V2 = make_dialect("deepeyes_v2")
FENCED = "<code>\n```python\nx = 1\n```\n</code>"
QUERY = '<tool_call>{"name": "search", "arguments": {"query": "tall towers"}}</tool_call>'
SIMILAR = '<tool_call>{"name": "image_search"}</tool_call>'
SEARCHED, COMPARED = Call("web_search", {"query": "tall towers"}), Call("image_search", {"view": 0})
TRACEBACK = 'Traceback (most recent call last):\n  File "<code>", line 1, in <module>\nNameError: x'


def result(stdout: str, stderr: str = "") -> str:
    return f"Code execution result:\nstdout:\n```\n{stdout}\n```\n\nstderr:\n```\n{stderr}\n```"


def test_the_system() -> None:
    assert (V2.inline, V2.stop, V2.code_tags) == (False, ("</code>", "</tool_call>"), ("<code>", "</code>"))
    assert V2.rules(videos=False) == {"size_rule": "o3gym", "code_rule": "deepeyes_v2"}
    assert V2.default_tools(["crop", "answer"], videos=False) == ["answer", "code"]


@pytest.mark.parametrize(
    ("text", "call", "well_formed"),
    [
        (f"<think>a</think>\n{FENCED}", code("x = 1"), True),
        (f"a</think>{FENCED}", code("x = 1"), True),
        (f"<think>a</think> {QUERY}", SEARCHED, True),
        (f"a</think> {SIMILAR}", COMPARED, True),
        ("<think>a</think> <answer>B</answer>", answer("B"), True),
        (FENCED, code("x = 1"), False),
        (f"<think>a {FENCED}</think>", code("x = 1"), False),
        (f"<think>a</think> {FENCED} {QUERY}", code("x = 1"), False),
        (f"<think>a</think> {FENCED} <answer>B</answer>", answer("B"), False),
        (f"<think>a</think> {SIMILAR} {QUERY}", SEARCHED, False),
        (SIMILAR.replace("}", ', "arguments": {}}'), COMPARED, False),
        (QUERY.replace('"search"', '"web_search"'), SEARCHED, False),
        (QUERY.replace('"', "'"), SEARCHED, False),
        (QUERY.replace("tall", "tall <code>"), Call("web_search", {"query": "tall <code> towers"}), False),
        ("<tool_call>x", None, False),
        (QUERY.replace("query", "words"), None, False),
        ('<tool_call>{"name": "crop", "arguments": {"bbox_2d": [0, 0, 1, 1]}}</tool_call>', None, False),
    ],
)
def test_replies_are_read(text: str, call: Call | None, well_formed: bool) -> None:
    parsed = V2.parse(text, VIEWS)
    assert parsed.call == call or (call is None and parsed.call.args["kind"] == "parse")
    assert parsed.well_formed == well_formed


def test_a_reply_without_any_action_is_void() -> None:
    assert V2.parse("B", VIEWS).call.args == {
        "kind": "void",
        "reason": "the reply has neither <code>…</code> nor <tool_call>…</tool_call> nor <answer>…</answer>",
    }


def test_calls_are_written_as_the_system_writes_them() -> None:
    assert V2.format(SEARCHED, VIEWS, "a") == f"<think>a</think>\n{QUERY}"
    assert V2.format(COMPARED, VIEWS, "a") == f"<think>a</think>\n{SIMILAR}"
    assert V2.format(code("x = 1"), VIEWS, "a") == f"<think>a</think>\n{FENCED}"
    with pytest.raises(ValueError, match="view 0 only"):
        V2.format(Call("image_search", {"view": 1}), VIEWS)


@pytest.mark.parametrize(
    ("new", "text", "info", "shown"),
    [
        ((), "12", {}, result("12")),
        (VIEWS[1:], "", {}, f"{result('')}\n\nImages:\n<image>"),
        (VIEWS, "12", {}, f"{result('12')}\n\nImages:\n<image><image>"),
        ((), TRACEBACK, {"error": "code"}, result("", TRACEBACK)),
        ((), f"1\n2\n{TRACEBACK}", {"error": "code"}, result("1\n2", TRACEBACK)),
        (VIEWS[1:], f"1\n{TRACEBACK}", {"error": "code"}, f"{result('1', TRACEBACK)}\n\nImages:\n<image>"),
        ((), f"{TRACEBACK}\nagain\n{TRACEBACK}", {"error": "code"}, result(f"{TRACEBACK}\nagain", TRACEBACK)),
        (
            (),
            'a\n  File "<code>", line 1\n    (\nSyntaxError: no',
            {"error": "code"},
            result("a", '  File "<code>", line 1\n    (\nSyntaxError: no'),
        ),
        ((), "1\nThe code was stopped after 30 s.", {"error": "code"}, result("1", "The code was stopped after 30 s.")),
        ((), "Stopped.", {"error": "code"}, result("", "Stopped.")),
        ((), "All used.", {"error": "budget"}, result("", "All used.")),
        ((), "1. Towers", {"tool": "web_search"}, "<tool_response>\n1. Towers\n</tool_response>"),
        (
            (),
            "no agent",
            {"tool": "image_search", "error": "bad_args"},
            "<tool_response>\nError: no agent\n</tool_response>",
        ),
        ((), "no call", {"tool": "noop", "error": "parse"}, "Error: no call"),
    ],
)
def test_observations(new: tuple[View, ...], text: str, info: dict[str, str], shown: str) -> None:
    assert said("deepeyes_v2", new, text, **{"tool": "code", "views": VIEWS, **info}) == shown


def test_the_question_follows_the_pictures() -> None:
    assert said("deepeyes_v2", VIEWS[:1], "Which?", turn=0) == "<image>\nWhich?"


def test_prompts_list_the_enabled_searches() -> None:
    tools = {name: TOOLS[name]() for name in ("code", "web_search", "image_search", "answer")}
    prompt = V2.prompt(tools, CHOICE)
    listed = [json.loads(line)["function"] for line in prompt.split("\n") if line.startswith('{"type"')]
    assert [function["name"] for function in listed] == ["search", "image_search"]
    assert [list(function["parameters"]["properties"]) for function in listed] == [["query"], []]
    assert "- code: <code>" in prompt
    assert "- a call: <tool_call>" in prompt
    for name, form in (("web_search", "<code>"), ("code", "<tool_call>")):
        assert form not in V2.prompt({"answer": tools["answer"], name: tools[name]}, CHOICE)
