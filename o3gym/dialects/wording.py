"""The words that the system prompts of all dialects share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from o3gym.types import Task

if TYPE_CHECKING:
    from o3gym.dialects.tagged import Tagged


def opening_words(task: Task, looking: bool) -> str:
    """What the task is; with `looking`, that details can be looked at."""
    pictures = "a picture" if len(task.sources) == 1 else f"{len(task.sources)} pictures"
    goal = "Find a region in" if task.kind == "box" else "Answer a question about"
    hint = " What matters may be too small to make out at first sight: look closer before you commit yourself."
    return f"{goal} {pictures}.{hint if looking else ''}"


def compose_prompt(dialect: Tagged, task: Task, section: str, answered: bool = True) -> str:
    """A system prompt: the opening, the `section` on tools ("" without any), and the form of a reply.

    With `answered` false, the way to end is one of the tools.
    """
    forms = []
    if section:
        forms.append(f"- a call: <{dialect.call_tag}>{dialect.call_form()}</{dialect.call_tag}>")
    if answered:
        forms.append(f"- once you are sure, the answer: {dialect.close('…')}, with {dialect.answer_form(task)}.")
    rule = f"Write every reply as {dialect.lead_form()}, followed by exactly one of these and nothing after it:"
    return "\n\n".join(filter(None, [opening_words(task, bool(section)), section, "\n".join([rule, *forms])]))
