"""`o3gym list`: the names that specs and options accept."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from o3gym import registry
from o3gym.cli.console import out
from o3gym.cli.values import Subcommands
from o3gym.env_ids import ENVS, PLANNING_ENVS, RELEASED_ENVS

LISTED_KINDS = (
    "envs",
    "suites",
    "dialects",
    "policies",
    "controls",
    "tools",
    "rewards",
    "judges",
    "size_rules",
    "time_rules",
    "code_rules",
    "exports",
    "detectors",
)


def add_list(commands: Subcommands) -> None:
    """Adds `list` to the commands of `o3gym`."""
    parser = commands.add_parser("list", help="list environments, suites, dialects, policies, …")
    for kind in LISTED_KINDS:
        words = kind.replace("_", " ")
        parser.add_argument(f"--{words.replace(' ', '-')}", action="store_true", help=f"list only {words}")
    parser.add_argument("--sizes", action="store_true", help="ask the hub for the download sizes of the suites")
    parser.set_defaults(run=_list)


def _list(args: argparse.Namespace) -> None:
    for kind in [kind for kind in LISTED_KINDS if getattr(args, kind)] or LISTED_KINDS:
        table = Table(title=kind.replace("_", " "), title_justify="left", box=None, show_header=False, padding=(0, 2))
        for name, about in _rows(kind, args.sizes):
            table.add_row(Text(name), Text(about))  # as Text, because a string's square brackets would be markup
        out.print(table)


def _rows(kind: str, sizes: bool) -> list[tuple[str, str]]:
    """Returns (name, description) of every entry of a kind."""
    if kind == "envs":
        return [(name, _settings(kwargs)) for name, kwargs in {**ENVS, **PLANNING_ENVS, **RELEASED_ENVS}.items()]
    entries: registry.Registry = getattr(registry, kind.upper())
    return [(name, _described(entries, name, sizes)) for name in entries if name != "noop"]


def _described(entries: registry.Registry, name: str, sizes: bool) -> str:
    """Returns the description of an entry, or what is wrong with it: importing a plug-in may raise anything."""
    try:
        entry = entries[name]
        parts = [_about(entry), entry.about(sizes) if entries is registry.SUITES else ""]
        return " ".join(filter(None, parts))
    except (Exception, SystemExit) as error:
        return f"broken: {type(error).__name__}: {error}"


def _settings(kwargs: Mapping[str, Any]) -> str:
    """Returns the arguments that an environment id fixes, as "key=value, …"."""
    settings = {**kwargs, **kwargs.get("suite_args", {})}
    return ", ".join(f"{key}={value}" for key, value in settings.items() if key != "suite_args") or "any suite"


def _about(entry: Any) -> str:
    """Returns the first paragraph of an entry's docstring, or its `source` if it is a value such as a recipe."""
    text = getattr(entry, "source", None) or entry.__doc__ or ""
    return " ".join(str(text).split("\n\n")[0].split())
