"""`deepeyes_v2`: the wire format of DeepEyesV2, which writes code and searches the web."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.base import CODE_TAGS
from o3gym.dialects.code_blocks import CODE_TAG, FENCE
from o3gym.dialects.coding import Coding
from o3gym.dialects.functions import Functions, dump
from o3gym.dialects.lenient_json import read_json
from o3gym.dialects.tagged import Tagged
from o3gym.dialects.wording import compose_prompt, in_own_numbers
from o3gym.tools.base import Tool
from o3gym.types import Call, Task, View

SEARCHES: Mapping[str, str] = {"web_search": "search", "image_search": "image_search"}
"""The tools that search the web, and how they are written."""
_REPORT = re.compile(r"^Traceback \(most recent call last\):$|^ *File \"<code", re.MULTILINE)


@dataclass(frozen=True)
class DeepEyesV2(Coding, Functions):
    """A think block, then a block of code, a search or `<answer>…</answer>`.

    Searches are `<tool_call>{"name": "search", "arguments": {"query": "…"}}</tool_call>` and
    `<tool_call>{"name": "image_search"}</tool_call>`, which searches with the first picture. They are the tools
    `web_search` and `image_search`; both are carried out by another agent, and neither is enabled by default.

    If a reply has several actions, an answer counts before code, and code before a search; of each kind, the last one
    counts.

    The system begins the reply to an observation with `<think>`, so that models write the rest only. Here, this is left
    to the chat template: replies with and without the opening tag are well-formed.

    Source: github.com/Visual-Agent/DeepEyesV2 (evaluation/inference_demo/inference_demo.py).
    """

    name: ClassVar[str] = "deepeyes_v2"
    tools: ClassVar[tuple[str, ...]] = (
        *(CODE_TAG, "web_search", "image_search"),
        *("answer", "locate", "locate_span", "answer_with_span"),
    )
    code_rule: ClassVar[str] = "deepeyes_v2"
    call_tag: ClassVar[str] = "tool_call"
    names: ClassVar[Mapping[str, str]] = SEARCHES
    stop: ClassVar[tuple[str, ...]] = (CODE_TAGS[1], "</tool_call>")

    @property
    def tags(self) -> tuple[str, ...]:
        """The action tags, in order of precedence."""
        return ("answer", CODE_TAG, self.call_tag)

    def missing(self, text: str) -> str:
        """The feedback on a reply without code, a search or an answer."""
        return "the reply has neither <code>…</code> nor <tool_call>…</tool_call> nor <answer>…</answer>"

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads a search. That with a picture has no arguments in its strict form."""
        call, strict = super().read_call(body, views)
        return call, strict or read_json(body) == ({"name": "image_search"}, True)

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The body of a search."""
        written = super().write_call(call, views)  # refuses another view than the first
        return dump({"name": call.tool}) if call.tool == "image_search" else written

    def coordinates(self) -> str:
        """Nothing: no function takes a box."""
        return ""

    def call_forms(self, tools: Mapping[str, Tool]) -> list[str]:
        """The forms of code and of a search, as far as they are enabled."""
        searching = Tagged.call_forms(self, tools) if any(name in tools for name in SEARCHES) else []
        return [*super().call_forms(tools), *searching]

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains what code finds, lists the searches as JSON schemas, and gives the form of a reply."""
        searches = [dump(self.function_schema(tool)) for name, tool in tools.items() if name in SEARCHES]
        listed = ["Functions, one of which you can call in a reply without code:", "<tools>", *searches, "</tools>"]
        sections = [self.coding_section(tools), "\n".join(listed) if searches else ""]
        return compose_prompt(self, task, "\n\n".join(filter(None, sections)), tools)

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The pictures and the question at reset; later what code printed and showed, or what a search found."""
        tool = info.get("tool", "")
        if info.get("turn", 0) == 0 or tool not in (CODE_TAG, *SEARCHES):
            return super().show(views, text, info)
        known, error = info.get("views", views), info.get("error", "")
        text = self.rename(in_own_numbers(self, text, known), known)
        if tool != CODE_TAG:
            return [f"<tool_response>\n{self.trouble(text) if error else text}\n</tool_response>"]
        printed, report = _streams(text) if error == CODE_TAG else ("", text) if error else (text, "")
        said = f"Code execution result:\nstdout:\n{_fenced(printed)}\n\nstderr:\n{_fenced(report)}"
        return [f"{said}\n\nImages:\n", *views] if views else [said]


def _streams(text: str) -> tuple[str, str]:
    """What failed code printed, and the report on its failure, which is the last traceback or else the last line."""
    reports = [match.start() for match in _REPORT.finditer(text)]
    tracebacks = [at for at in reports if text.startswith("T", at)]
    at = tracebacks[-1] if tracebacks else reports[0] if reports else text.rstrip().rfind("\n") + 1
    return text[:at].rstrip("\n"), text[at:]


def _fenced(text: str) -> str:
    return f"{FENCE}\n{text}\n{FENCE}"
