"""Wording shared by the system prompts of all dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from o3gym.types import Task

if TYPE_CHECKING:
    from o3gym.dialects.tagged import Tagged


def opening_words(task: Task, looking: bool) -> str:
    """The first sentences of a prompt: the task and, with `looking`, the advice to look closer."""
    pictures = "a picture" if len(task.sources) == 1 else f"{len(task.sources)} pictures"
    goal = "Find a region in" if task.kind == "box" else "Answer a question about"
    hint = " What matters may be too small to make out at first sight: look closer before you commit yourself."
    return f"{goal} {pictures}.{hint if looking else ''}"


def compose_prompt(dialect: Tagged, task: Task, section: str, answered: bool = True) -> str:
    """Composes a system prompt: the opening, the `section` on tools ("" if there are none), and the form of a reply.

    `answered` is false if the episode ends with a tool call instead of an answer.
    """
    forms = []
    if section:
        forms.append(f"- a call: <{dialect.call_tag}>{dialect.call_form()}</{dialect.call_tag}>")
    if answered:
        forms.append(f"- once you are sure, the answer: {dialect.close('…')}, with {dialect.answer_form(task)}.")
    rule = f"Write every reply as {dialect.lead_form()}, followed by exactly one of these and nothing after it:"
    return "\n\n".join(filter(None, [opening_words(task, bool(section)), section, "\n".join([rule, *forms])]))
