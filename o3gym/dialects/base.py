"""The dialect interface: a wire format that translates between a model's text and the core action language.

Dialects are frozen values that hold no episode state: whatever they need to know about an episode is passed in as
views. Pixels of the displayed picture, 0–1000 grids, yxyx order and names such as `observation_2` occur only here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from o3gym.calls import noop
from o3gym.registry import DIALECTS
from o3gym.specs import build_plugin, parse_spec
from o3gym.tools.base import Tool
from o3gym.types import Call, Error, Parsed, Reply, Task, View

MAX_REPLY = 200_000
"""Maximum number of characters read, taken from the end of a reply, so that parsing takes bounded time."""

FRAME_NUMBERS = ("sampled_frames", "frame_at")
"""Tools for videos that only single systems have, by whose dialects they are enabled by default."""
OWN_RULE = "o3gym"
"""The name of o3gym's own size, time and code rules, which the environment uses unless told otherwise."""
CODE_TAGS = ("<code>", "</code>")
"""The strings around model-written code in the systems whose models write code into their replies."""


@dataclass(frozen=True)
class Dialect:
    """Base of all dialects. Subclass and implement `prompt`, `show`, `parse` and `format`.

    Attributes:
        prompt_file: a file whose text replaces the system prompt, such as the exact prompt of a released model.
        name: the registered name.
        tools: the tools that the format can express.
        size_rule: the size rule of the system that uses this format (`o3gym.tools.size_rules`). `bench` uses it by
            default for this dialect.
        time_rule: the same for times and frames of videos (`o3gym.tools.time_rules`).
        code_rule: the same for model-written code (`o3gym.tools.code_rules`): the names under which code finds the
            pictures, and which of the pictures that it makes are shown. The dialects of systems that work by code have
            a rule of their own, and only these enable the tool "code" by default.
        on_void: the environment's `on_void` in the system of this format; "" if the environment's default applies.
        inline: whether an observation continues the assistant's message, so that an episode after its first message is
            a single assistant turn. `show` then returns text to be written directly behind the reply.
        code_tags: the strings around code in a reply, whose tokens a policy may sample at another temperature
            (`Sampling.code_temperature`); None if the format has no such part.
        stop: strings after which generation may stop; they are kept in the reply.
    """

    prompt_file: str = ""
    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]]
    size_rule: ClassVar[str] = OWN_RULE
    time_rule: ClassVar[str] = OWN_RULE
    code_rule: ClassVar[str] = OWN_RULE
    on_void: ClassVar[str] = ""
    inline: ClassVar[bool] = False
    code_tags: ClassVar[tuple[str, str] | None] = None
    stop: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def rules(cls, videos: bool) -> dict[str, str]:
        """The environment's arguments that follow from the system of this format; `videos`: whether a suite has any.

        Only systems with videos, with code or with a treatment of void replies of their own add to the size rule.
        """
        rules = {"size_rule": cls.size_rule}
        rules |= {"time_rule": cls.time_rule} if videos else {}
        rules |= {"code_rule": cls.code_rule} if cls.code_rule != OWN_RULE else {}
        return rules | ({"on_void": cls.on_void} if cls.on_void else {})

    def default_tools(self, names: Sequence[str], videos: bool) -> list[str]:
        """The tools to enable by default: those of `names` that the format can express, and its own for videos.

        "code" is added for the systems whose models write code; elsewhere it is enabled only by name.
        """
        added = (*(FRAME_NUMBERS if videos else ()), *(("code",) if self.code_rule != OWN_RULE else ()))
        return [name for name in (*names, *added) if name in self.tools]

    def system(self, tools: Mapping[str, Tool], task: Task) -> str:
        """The system prompt: the text of `prompt_file` if it is set, else `prompt(tools, task)`."""
        return Path(self.prompt_file).read_text("utf-8") if self.prompt_file else self.prompt(tools, task)

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """The system prompt in o3gym's own words, for the enabled tools and the task's kind."""
        raise NotImplementedError

    def options(self, task: Task) -> tuple[str, ...]:
        """The answers that name each option of a choice task: option letters unless a dialect overrides this."""
        return tuple(task.letters)

    def schema(self, tools: Mapping[str, Tool]) -> list[dict[str, Any]]:
        """The value of `tools=` in a chat completion request; empty for formats that describe tools in the prompt."""
        return []

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The parts of the next user message: text and pictures in reading order.

        Args:
            views: the new views of this step: the task's pictures at reset, none after an invalid call.
            text: the environment's text: the question at reset, feedback later.
            info: the environment's info. `info["turn"]` is 0 at reset, and `info["error"]` is "" after a valid call.
                The rollout adds `info["calls_left"]`, the remaining tool calls, or None if there is no limit, and
                `info["views"]`, all views so far, so that a refused box can be explained in the dialect's own numbers,
                and `info["tool"]`, the tool of the last call.
        """
        raise NotImplementedError

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply. Never raises: a reply without a usable call becomes `noop("parse" | "void", reason)`.

        "void" means that the reply has neither a call nor an answer, "parse" that it attempts one that is unreadable.
        """
        raise NotImplementedError

    def parse_cut(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply that was cut by its token limit, which must count only if its call or answer is complete.

        Whatever the cut reply was about to say is unknown: `[100, 20, 600, 75` may have become 750. The default is
        `parse`, so dialects whose `parse` completes unfinished text override this.
        """
        return self.parse(text, views)

    def read(self, reply: Reply, views: Sequence[View]) -> Parsed:
        """Parses a policy's reply, with `parse_cut` if its token limit cut it."""
        return (self.parse_cut if reply.finish == "length" else self.parse)(reply.text, views)

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Writes a call as a model would. `parse(format(call)) == call` holds up to the dialect's own rounding."""
        raise NotImplementedError

    def continued(self, reply: str) -> str:
        """A reply written by `format`, as it continues an assistant's message that has begun, if the dialect is inline.

        `format` cannot know whether a message has begun: code that shows no picture leaves no trace in the views.
        """
        return reply

    def rated(self, reply: str, rating: str) -> str:
        """A reply written by `format`, with its rating of the last search replaced, if the dialect has ratings."""
        return reply

    def compared(self, reply: str, dimensions: Mapping[str, str]) -> str:
        """A reply written by `format` with the better of two videos in each dimension, if the dialect has judgements.

        `dimensions` gives "A", "B" or "same" by the name of the dimension.
        """
        return reply


def unreadable(kind: Error, reason: str, thought: str = "") -> Parsed:
    """A `Parsed` for a reply without a usable call."""
    return Parsed(noop(kind, reason[:500]), well_formed=False, thought=thought)


CUT = "the reply was cut by its token limit before a call or an answer was complete"
"""The reason given for a cut reply without a complete call or answer."""


def make_dialect(spec: str, **options: Any) -> Dialect:
    """Builds a dialect from its name and options, such as `make_dialect("deepeyes?frame=native")`.

    Raises:
        UnknownName: no such dialect.
        ValueError: `prompt_file` does not exist.
    """
    name, argument, inline = parse_spec(spec)
    dialect: Dialect = build_plugin("dialect", name, DIALECTS[name], argument, **{**inline, **options})
    if dialect.prompt_file and not Path(dialect.prompt_file).is_file():
        raise ValueError(f"prompt_file: no file at {dialect.prompt_file}")
    return dialect
