"""`noop`: what a dialect sends for a reply that holds no usable call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult
from o3gym.types import Error


class Noop(Tool):
    """Does nothing but cost a turn; always enabled, never sampled."""

    name: ClassVar[str] = "noop"
    doc: ClassVar[str] = "No usable call."
    args: ClassVar[Mapping[str, Arg]] = {
        "kind": Arg("text", '"parse" (a call that cannot be read) or "void" (neither call nor answer)'),
        "reason": Arg("text", "what was wrong, in words"),
    }

    def apply(self, scene: ToolContext, **args: Any) -> ToolResult:
        """Always `Invalid`, with the given kind and reason."""
        kind = args["kind"] if args["kind"] in ("parse", "void") else "parse"
        raise Invalid(cast(Error, kind), args["reason"])
