"""`noop`: stands for a reply without a usable call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.types import Error


class Noop(Tool):
    """Does nothing but use up a turn. It is always enabled and never sampled."""

    name: ClassVar[str] = "noop"
    doc: ClassVar[str] = "No usable call."
    args: ClassVar[Mapping[str, Arg]] = {
        "kind": Arg("text", '"parse" (a call that cannot be read) or "void" (neither call nor answer)'),
        "reason": Arg("text", "what was wrong, in words"),
    }

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Always raises `Invalid`, with the given kind and reason."""
        kind = args["kind"] if args["kind"] in ("parse", "void") else "parse"
        raise Invalid(cast(Error, kind), args["reason"])
