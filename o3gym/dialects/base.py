"""What a dialect is: the wire format between a model's text and the core action language.

Dialects are frozen values without state of an episode: everything they need comes in as views. They are the only place
that knows pixels of the picture as shown, 0–1000 grids, yxyx order or names such as `observation_2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from o3gym.registry import DIALECTS, build_plugin, parse_spec
from o3gym.tools.base import Tool
from o3gym.types import Call, Error, Parsed, Task, View, noop

MAX_REPLY = 200_000
"""Characters of a reply that are looked at (the last ones): model text must not cost unbounded time."""


@dataclass(frozen=True)
class Dialect:
    """Base of all dialects. Subclass and implement `prompt`, `show`, `parse` and `format`.

    Attributes:
        prompt_file: a file whose text replaces the system prompt, for the exact prompt of a released model.
        name: the registered name.
        tools: tools that the format can express.
        size_rule: the size rule its own system uses (`o3gym.tools.size_rules`); the default of bench for this dialect.
        stop: strings after which generation may stop (kept in the reply).
    """

    prompt_file: str = ""
    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]]
    size_rule: ClassVar[str] = "o3gym"
    stop: ClassVar[tuple[str, ...]] = ()

    def system(self, tools: Mapping[str, Tool], task: Task) -> str:
        """The system prompt: the text of `prompt_file` if one was given, else `prompt(tools, task)`."""
        return Path(self.prompt_file).read_text("utf-8") if self.prompt_file else self.prompt(tools, task)

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """The system prompt in o3gym's own words, for the enabled tools and the kind of the task."""
        raise NotImplementedError

    def options(self, task: Task) -> tuple[str, ...]:
        """How the options of a choice task are named in answers: by their letters unless a dialect says otherwise."""
        return tuple(task.letters)

    def schema(self, tools: Mapping[str, Tool]) -> list[dict[str, Any]]:
        """Tools that travel beside the dialogue, as JSON for `tools=` of a chat completion; most formats have none."""
        return []

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The parts of the next user message: text and pictures in reading order.

        Args:
            views: the views that are new in this step (the sources at reset; none after an invalid call).
            text: the environment's text: the question at reset, feedback later.
            info: the environment's info; `info["turn"]` is 0 at reset, `info["error"]` is "" after a valid call.
                Rollout adds `info["calls_left"]`: the tool calls that may still be made, None where there is no limit.
        """
        raise NotImplementedError

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Read a reply. Never raises: what cannot be understood becomes `noop("parse" | "void", reason)`.

        "void" is a reply with neither a call nor an answer; "parse" is one that attempts a call that cannot be read.
        """
        raise NotImplementedError

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Write a call as a model would; `parse(format(call)) == call` up to the dialect's own rounding."""
        raise NotImplementedError

    def rated(self, reply: str, rating: str) -> str:
        """A reply that `format` wrote, with a rating of what the last search brought, where the dialect has ratings."""
        return reply


def unreadable(kind: Error, reason: str, thought: str = "") -> Parsed:
    """A `Parsed` without a usable call."""
    return Parsed(noop(kind, reason[:500]), well_formed=False, thought=thought)


def make_dialect(spec: str, **options: Any) -> Dialect:
    """A dialect by name, with options: `make_dialect("deepeyes?frame=native")`."""
    name, argument, inline = parse_spec(spec)
    dialect: Dialect = build_plugin("dialect", name, DIALECTS[name], argument, **{**inline, **options})
    if dialect.prompt_file and not Path(dialect.prompt_file).is_file():
        raise ValueError(f"prompt_file: no file at {dialect.prompt_file}")
    return dialect
