"""The checks of the arguments of `VisualSearchEnv`, and the values that depend on other arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from o3gym.arguments import check_whole
from o3gym.envs.controls import Control
from o3gym.registry import TIME_RULES, TOOLS, closest
from o3gym.sandbox import Sandbox, open_sandbox
from o3gym.suites.base import Suite
from o3gym.tools.time_rules import TimeRule

EXAMPLES = {
    **{"suite": "synthetic", "split": "test", "reward": "outcome", "control": "no_tool"},
    **{"size_rule": "mini_o3", "time_rule": "vital", "sandbox": "auto", "code_rule": "thyme"},
}
"""A valid value of each argument that is a name, for error messages."""
FOCUS = ("crop", "draw", "reuse")
ON_VOID = ("end", "continue")
LEAST = {
    **{"max_turns": 2, "max_calls": 0, "max_views": 1, "overview_frames": 1},
    **{"min_pixels": 1, "max_pixels": 1},
}
"""The least value of each numeric argument."""
ENDS = {"box": "locate", "span": "locate_span"}
"""The tool that ends tasks of a kind, apart from those that ask for words."""


def default_tools(suite: Suite) -> tuple[str, ...]:
    """The suite's own tools, or else crop, zoom and reuse, with clip and frames for videos, and what ends its tasks."""
    if suite.own_tools:
        return suite.own_tools
    looks = (*(("clip", "frames") if suite.has_videos else ()), "crop", "zoom", "reuse")
    answer = "answer_with_span" if suite.grounded else "answer"
    ends = dict.fromkeys(ENDS.get(kind, answer) for kind in sorted(suite.kinds, reverse=True))
    return (*looks, *sorted(ends))


def tool_names(tools: Sequence[str], control: Control) -> tuple[str, ...]:
    """The names of the enabled tools, in order. Raises TypeError or ValueError if they are no such list."""
    if isinstance(tools, str):
        raise TypeError(
            f'tools: expected a list of names, got the string "{tools}"; write {json.dumps(tools.split("+"))}'
        )
    if not isinstance(tools, Sequence) or not all(isinstance(name, str) for name in tools):
        raise TypeError(f'tools: expected a list of names, like ["crop", "answer"], got {tools!r:.60}')
    names = control.tools([name for name in dict.fromkeys(tools) if name != "noop"])
    if not any(TOOLS[name].ends or TOOLS[name].may_end for name in names):
        raise ValueError(f"tools: expected one that ends the episode, such as answer or locate, got {list(tools)}")
    return names


def check_arguments(arguments: Mapping[str, Any]) -> None:
    """Checks the arguments that can be checked without opening the suite."""
    _check_names_are_texts(arguments)
    for name, least in LEAST.items():
        if arguments[name] is not None:
            check_whole(name, arguments[name], least)
    check_known("focus", arguments["focus"], FOCUS)
    check_known("on_void", arguments["on_void"], ON_VOID)


def _check_names_are_texts(arguments: Mapping[str, Any]) -> None:
    """Checks that names are texts. Their values are checked where they are looked up."""
    for name in ("suite", "split", "reward", "size_rule", "time_rule", "sandbox", "code_rule", "control"):
        value = arguments[name]
        if not isinstance(value, str) and not (name == "control" and value is None):
            raise ValueError(f"{name}: expected a name as text, like {EXAMPLES[name]!r}, got {value!r:.60}")
    if not isinstance(arguments["suite_args"], Mapping | None):
        raise ValueError(f"suite_args: expected a mapping of options, got {arguments['suite_args']!r:.60}")


def check_that(ok: bool, name: str, expected: str, got: object) -> None:
    """Raises ValueError that names the argument, unless `ok`."""
    if not ok:
        raise ValueError(f"{name}: expected {expected}, got {got}")


def check_known(name: str, value: object, known: Sequence[object]) -> None:
    """Raises ValueError with the closest name if `value` is not one of `known`."""
    if value not in known:
        words = [k for k in known if isinstance(k, str)]
        raise ValueError(f'{name}: unknown "{value}"{closest(str(value), words)} (known: {", ".join(words)})')


def sandbox_for(tools: Sequence[str], spec: str) -> Sandbox | None:
    """The sandbox for the tool "code", or None if it is not enabled. Raises `SandboxUnavailable`."""
    return open_sandbox(spec) if "code" in tools else None


def time_rule_named(name: str, overview_frames: int | None) -> TimeRule:
    """The registered time rule, with another number of overview frames if one is given."""
    rule: TimeRule = TIME_RULES[name]
    return rule if overview_frames is None else rule.with_overview(overview_frames)
