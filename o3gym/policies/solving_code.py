"""The code that the oracle writes for tasks that are solved by a program: the same program under each system's rule."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from o3gym.calls import code
from o3gym.policies.dialogue import Privileged
from o3gym.registry import CODE_RULES
from o3gym.types import Call

if TYPE_CHECKING:
    from o3gym.tools.code_rules import CodeRule

_MAKES_PICTURE = re.compile(r"^picture = ", re.MULTILINE)
_MADE_FILE = "made.png"


def solving_call(privileged: Privileged) -> Call | None:
    """Returns the code that solves the task, or None if there is no program for it or the code cannot be run.

    The program of a task is `Task.origin["program"]`: it finds the first picture as the PIL image `image`, and prints
    the answer or assigns a legible picture to `picture`.
    """
    program = privileged.task.origin.get("program")
    enabled = "code" in privileged.tools and "code" in privileged.dialect.tools
    if not isinstance(program, str) or not enabled:
        return None
    return code(program_under(program, CODE_RULES[privileged.dialect.code_rule]))


def slipped(call: Call) -> Call:
    """Returns code without its first line, which opens the picture: it fails, because there is no `image`."""
    return code(call.args["source"].partition("\n")[2])


def program_under(program: str, rule: CodeRule) -> str:
    """Returns a task's program with the lines before and after it that a code rule needs."""
    files, name = rule.workplace.variables == "files", rule.name(0)
    lines = [f"image = Image.open({name})" if files else f"image = {name}", program]
    if _MAKES_PICTURE.search(program):
        lines += [f"picture.save({_MADE_FILE!r})", f"print({_MADE_FILE!r})"] if files else ["picture.show()"]
    return "\n".join(lines)
