r"""`pyvision`: the wire format of PyVision and PyVision-RL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.base import CODE_TAGS
from o3gym.dialects.code_blocks import CODE_TAG, FENCE
from o3gym.dialects.coding import Coding
from o3gym.dialects.tags import TagBlock, disarm
from o3gym.dialects.wording import in_own_numbers
from o3gym.latex import BOXED, escape_boxed, last_boxed, unescape_braces
from o3gym.types import Call, View

_QUOTES = ("'", '"')


@dataclass(frozen=True)
class PyVision(Coding):
    r"""Reasoning, then a block of code or `<answer>\boxed{'…'}</answer>`.

    If a reply has both an answer and code, the answer counts; of several, the last one. Python between fences counts
    even without `<code>` tags, if there is no block with tags and no answer. In an answer, the box and the quotes may
    be missing.

    A reply with neither code nor an answer gets an error message, and the episode continues (`on_void`).

    Pictures stand between tags with the names under which code finds them: `<image_clue_0>`, `<image_clue_1>`, …

    Source: github.com/agents-x-project/PyVision-RL (verl_agents/verl/workers/agent/envs/agents_x), whose observations
    these are; github.com/agents-x-project/PyVision, arXiv 2507.07998.
    """

    name: ClassVar[str] = "pyvision"
    code_rule: ClassVar[str] = "pyvision"
    on_void: ClassVar[str] = "continue"
    wins: ClassVar[str] = "answer"
    think: ClassVar[bool] = False
    stop: ClassVar[tuple[str, ...]] = (CODE_TAGS[1],)

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the last answer, else the last block of code, else the last fenced Python."""
        return super().choose(text) or _bare_fence(text)

    def read_answer(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        r"""Reads an answer without its `\boxed{}` and its quotes."""
        boxed = last_boxed(body)
        if boxed is None:
            return super().read_answer(_unquoted(body.strip()), views)[0], False
        text = unescape_braces(boxed.body).strip()
        call, strict = super().read_answer(_unquoted(text), views)
        alone = body.strip() == f"{BOXED}{boxed.body}}}"
        return call, strict and alone and _unquoted(text) != text

    def close(self, text: str) -> str:
        r"""Wraps an answer in quotes, `\boxed{…}` and its tags."""
        quoted = escape_boxed(f"'{text}'")
        return f"<answer>{BOXED}{quoted}}}</answer>"

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The pictures between their tags and the question at reset; later what the interpreter returned."""
        known = info.get("views", views)
        if info.get("turn", 0) == 0:
            opening = [part for view in views for part in self._opening(view, known)]
            return joined_texts([*opening, text])
        text = self.rename(in_own_numbers(self, text, known), known)
        text = disarm(text, ("interpreter", "tool_response", *(self.called(view.index) for view in views)))
        pictures = [part for view in views for part in self._between_tags(view)]
        error = info.get("error", "")
        if error and not views:
            parts: list[str | View] = [f"{'Execution error' if error == CODE_TAG else 'Error'}: {text}"]
        else:
            parts = [f"Text Result:\n{text}", *(["\nImage Result:\n", *pictures] if views else [])]
        return joined_texts(["<tool_response>\n<interpreter>", *parts, "</interpreter>\n\n</tool_response>"])

    def _opening(self, view: View, views: Sequence[View]) -> list[str | View]:
        label = self.headline(view, views)
        return [f"{label}\n" if label else "", *self._between_tags(view), "\n\n"]

    def _between_tags(self, view: View) -> list[str | View]:
        name = self.called(view.index)
        return [f"<{name}>", view, f"</{name}>"]


def joined_texts(parts: Sequence[str | View]) -> list[str | View]:
    """Message parts with neighbouring texts joined."""
    result: list[str | View] = []
    for part in parts:
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        else:
            result.append(part)
    return [part for part in result if part != ""]


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] in _QUOTES and text[0] == text[-1] else text


def _bare_fence(text: str) -> TagBlock | None:
    """The last Python between fences that stands outside of any tags, as a block of code; None if there is none."""
    start = text.rfind(f"{FENCE}python")
    if start < 0:
        return None
    end = text.find(f"\n{FENCE}", start)
    return TagBlock(CODE_TAG, start, text[start : len(text) if end < 0 else end + 1 + len(FENCE)], end >= 0)
