"""The system prompt for a teacher that writes observe-reason-act chains in the dialect of Simple-o3."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from o3gym.dialects.functions import dump
from o3gym.dialects.simple_o3 import SimpleO3
from o3gym.registry import TOOLS
from o3gym.tools.base import Tool
from o3gym.types import ENDING_TOOLS, Task

PROMPT = """\
You answer a question about a picture step by step. What matters may be too small to make out at first sight.

Functions, one of which you can call in each reply:
<tools>
{functions}
</tools>
{coordinates}

Every reply is one step, in plain sentences without headings:
1. See: say what the newest picture shows that bears on the question, and where. Claim no detail that it does not show.
2. Missing: say what you still need in order to answer, in the words of the question; or that you need nothing more.
3. Act: say what you will look at, and call the function that shows it. The region must hold the thing that you named.
What the function shows then comes between <observation> and </observation>, and the next step begins. Never \
write these tags or describe a picture before it has come.

Look at least once before you answer. Do not repeat a look that has shown what it can. If a look shows something else \
than you expected, say so, and look elsewhere.

End every reply with exactly one of these and write nothing after it:
- a call: <function>{{"name": "…", "arguments": {{…}}}}</function>
- once you need nothing more, the answer: <answer>…</answer>, with {answer}."""
"""The prompt (ours; Simple-o3's was not released)."""
EFFECTS: Mapping[str, Mapping[str, str]] = {
    "draw": {"crop": "Show the whole picture with a red box around a part of it; nothing is enlarged."},
    "crop": {"crop": "Show a part of the picture alone, in full resolution."},
}
"""Descriptions of tools that depend on the environment's `focus`, by its value and by the name of the tool."""
ANSWERS: Mapping[str, str] = {
    "choice": "the letter of the right option and nothing else",
    "free": "a short text: a word, a number or a phrase",
}
"""The form of an answer, by the kind of the task. The dialect describes that of a region search."""


def chain_prompt(tools: Iterable[str], focus: str, kinds: Collection[str]) -> str:
    """Returns the prompt for the enabled tools.

    Args:
        tools: names of tools.
        focus: the environment's `focus`, "draw" or "crop".
        kinds: the kinds of the suite's tasks: "choice", "free" or "box".
    """
    dialect = SimpleO3()
    looks: list[Tool] = [TOOLS[name]() for name in tools if name in dialect.tools and name not in ENDING_TOOLS]
    forms = [ANSWERS[kind] for kind in ANSWERS if kind in kinds]
    forms += [dialect.answer_form(Task("", (), "", kind="box"))] if "box" in kinds else []
    return PROMPT.format(
        functions="\n".join(_described(dialect, tool, focus) for tool in looks),
        coordinates=dialect.coordinates(),
        answer="; or, if there are no options, ".join(forms),
    )


def _described(dialect: SimpleO3, tool: Tool, focus: str) -> str:
    schema = dialect.function_schema(tool)
    schema["function"]["description"] = EFFECTS[focus].get(tool.name, schema["function"]["description"])
    return dump(schema)
