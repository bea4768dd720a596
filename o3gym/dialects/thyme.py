"""`thyme`: the wire format of Thyme, whose code and output stand inside one message of the assistant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from o3gym.dialects.base import CODE_TAGS
from o3gym.dialects.code_blocks import CODE_TAG, blocks_of, without_body, write_source
from o3gym.dialects.coding import CODE_FORM, Coding
from o3gym.dialects.tags import TagBlock, disarm, keeps_shape
from o3gym.dialects.wording import in_own_numbers, opening_words
from o3gym.tools.base import Tool
from o3gym.types import Call, Task, View

SANDBOX_OUTPUT = "sandbox_output"
"""The tag of what the environment writes into the assistant's message."""
_PATH = re.compile(r"\S+\.(?:png|jpe?g|bmp|gif|tiff?|webp)", re.IGNORECASE)
_THINK = "<think>"
_TAGS = (CODE_TAG, "answer", SANDBOX_OUTPUT)


@dataclass(frozen=True)
class Thyme(Coding):
    """One message of the assistant, in which the environment continues after each block of code.

    ````text
    <think>The sign is small. <code>
    ```python
    …
    ```
    </code><sandbox_output>(a picture, or text)</sandbox_output>
    It reads STOP.</think> <answer>B</answer>
    ````

    A reply is what the model writes between two outputs. The first one opens the think block, the last one closes it
    and answers, and the others do neither. Of several actions in a reply, the first one counts, because the system
    stops at its closing tag and whatever follows was never generated there. An output that a model writes itself is
    therefore text without a meaning; it makes the reply ill-formed.

    In an output, pictures stand in place of their paths. Coordinates in code are pixels of the file `image_path`, whose
    size is written before the picture.

    The replies of an episode, joined without a separator, are the message without its outputs.

    Source: github.com/yfzhang114/Thyme (scripts/prompt.txt, eval/utils.py, swift/trainers/sandbox.py), arXiv
    2508.11630.
    """

    name: ClassVar[str] = "thyme"
    code_rule: ClassVar[str] = "thyme"
    inline: ClassVar[bool] = True
    stop: ClassVar[tuple[str, ...]] = (CODE_TAGS[1], "</answer>")

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the first block, or the last one if none is closed."""
        found = blocks_of(text, self.tags)
        return next((block for block in found if block.closed), found[-1] if found else None)

    def well_formed(self, text: str, block: TagBlock) -> bool:
        """Whether a reply is a part of a well-formed message: it ends in code without leaving its thought, or answers.

        Whether it opens the thought is not checked, because that depends on its place in the message.
        """
        if block.tag != CODE_TAG:
            return keeps_shape(text, block.tag, _TAGS, self.think)
        bare = without_body(text, block).strip()
        alone = keeps_shape(bare, CODE_TAG, _TAGS, think=False)
        return alone and "</think>" not in bare and bare.count(_THINK) == bare.startswith(_THINK)

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Writes a call as the first reply of a message; `continued` makes a later one of it."""
        thought = disarm(thought.strip(), (*_TAGS, "think"))
        if call.tool == CODE_TAG:
            return f"{_THINK}{thought}\n{write_source(call.args['source'])}"
        return super().format(call, views, thought)

    def continued(self, reply: str) -> str:
        """A reply written by `format` as it goes on after an output, inside the thought that is already open."""
        return "\n" + reply.removeprefix(_THINK)

    def lead(self, thought: str) -> str:
        """The reasoning before an answer, with exactly one white space after it, as the system demands."""
        return f"{_THINK}{thought}</think> "

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains what code finds, how its output comes back within the message, and the form of a message."""
        coding = CODE_TAG in tools
        end = self.ending(tools, task)
        form = self.grounded_form(task) if end == "answer_with_span" else self.answer_form(task)
        reply = f"Write your reply as <think>your reasoning</think> {self.close('…')}, with {form}."
        inside = (
            f"Wherever it helps, interrupt your reasoning with code:\n{CODE_FORM}\nIts output follows directly, as "
            f"<{SANDBOX_OUTPUT}>…</{SANDBOX_OUTPUT}>, and you continue from there. Never write an output yourself."
        )
        parts = [opening_words(self, task, coding), self.coding_section(tools), reply]
        return "\n\n".join(filter(None, [*parts, inside if coding else ""]))

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The question at reset; later what stands in the assistant's message: text, then pictures, in output tags."""
        if info.get("turn", 0) == 0:
            return super().show(views, text, info)
        known = info.get("views", views)
        text = disarm(self.rename(in_own_numbers(self, text, known), known), (SANDBOX_OUTPUT,))
        if info.get("error", "") not in ("", CODE_TAG):
            text = self.trouble(text)
        if views:  # the system shows a picture in place of its path
            text = "\n".join(line for line in text.split("\n") if not _PATH.fullmatch(line.strip()))
        line = "\n" if text and views else ""
        parts: list[str | View] = [f"<{SANDBOX_OUTPUT}>{text}{line}", *views, f"</{SANDBOX_OUTPUT}>"]
        return parts if views else ["".join(map(str, parts))]

    def label(self, view: View) -> str:
        """The variable with the path of a picture that is shown at the start, and its size, for coordinates in code."""
        return f"{self.called(view.index)} ({view.native[0]}x{view.native[1]} pixels):" if view.parent < 0 else ""
