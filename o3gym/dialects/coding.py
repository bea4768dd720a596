"""Base class of the dialects whose calls are blocks of Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from o3gym.calls import code
from o3gym.dialects.base import CODE_TAGS
from o3gym.dialects.code_blocks import (
    CODE_TAG,
    FENCE,
    blocks_of,
    quote_outside_code,
    read_source,
    without_body,
    write_source,
)
from o3gym.dialects.tagged import Tagged
from o3gym.dialects.tags import TagBlock, disarm
from o3gym.dialects.wording import code_words, compose_prompt
from o3gym.registry import CODE_RULES
from o3gym.tools.base import Tool
from o3gym.types import Call, Task, View

if TYPE_CHECKING:
    from o3gym.tools.code_rules import CodeRule

CODE_FORM = f"{CODE_TAGS[0]}\n{FENCE}python\n…\n{FENCE}\n{CODE_TAGS[1]}"
"""A block of code as prompts show it."""
_PURPOSE = (
    "You can write Python, and it is run for you: to crop, enlarge, turn or sharpen a picture, or to measure, count "
    "and calculate."
)


@dataclass(frozen=True)
class Coding(Tagged):
    """Base of the dialects with `<code>` blocks, which hold Python between the fences "```python" and "```".

    Code counts wherever it stands, in thoughts as well, where an answer does not. Tags inside code are part of it. Code
    finds the pictures under the names of the dialect's code rule. Its source may have any text but "</code>", and at
    most `o3gym.tools.base.MAX_TEXT` characters.

    A box is answered in fractions of the first picture, as in `Tagged`.
    """

    tools: ClassVar[tuple[str, ...]] = (CODE_TAG, "answer", "locate", "locate_span", "answer_with_span")
    code_tags: ClassVar[tuple[str, str] | None] = CODE_TAGS
    call_tag: ClassVar[str] = CODE_TAG

    @property
    def rule(self) -> CodeRule:
        """The code rule of the system, which names the pictures."""
        rule: CodeRule = CODE_RULES[self.code_rule]
        return rule

    def actionable(self, text: str, cut: bool = False) -> str:
        """`text` with the answers in its thoughts quoted, except for those inside code."""
        return text if self.thought_answers else quote_outside_code(text, "answer", cut)

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the last block of the tag that takes precedence."""
        found = blocks_of(text, self.tags)
        return max(found, key=lambda block: (-self.tags.index(block.tag), block.start), default=None)

    def read_block(self, block: TagBlock, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads a block of code, and other blocks as other dialects do."""
        if block.tag != CODE_TAG:
            return super().read_block(block, views)
        source, strict = read_source(block.body)
        return code(source), strict

    def well_formed(self, text: str, block: TagBlock) -> bool:
        """Whether the text around a readable block keeps the format; tags inside of code do not matter."""
        return super().well_formed(without_body(text, block) if block.tag == CODE_TAG else text, block)

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Writes a call. Raises ValueError for what the format cannot express, such as code with "</code>" in it."""
        if call.tool != CODE_TAG:
            return super().format(call, views, thought)
        return self.lead(disarm(thought.strip(), (*self.tags, "think"))) + write_source(call.args["source"])

    def coding_section(self, tools: Mapping[str, Tool]) -> str:
        """The paragraph of the prompt on code; "" if code is not enabled."""
        return f"{_PURPOSE} {code_words(self.rule)}" if CODE_TAG in tools else ""

    def call_forms(self, tools: Mapping[str, Tool]) -> list[str]:
        """The form of a block of code."""
        return [f"- code: {CODE_FORM}"] if CODE_TAG in tools else []

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains what code finds and what comes back from it, and the form of a reply."""
        return compose_prompt(self, task, self.coding_section(tools), tools)

    def answer_form(self, task: Task) -> str:
        """Describes what to write as the answer, with the frame of a box, which no call explains."""
        form = super().answer_form(task)
        return f"{form}; all four are fractions (0 to 1) of its width and height" if task.kind == "box" else form

    def called(self, index: int) -> str:
        """The name under which code finds the picture."""
        return self.rule.name(index)
