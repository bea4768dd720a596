"""Tables of a report's metrics, for Markdown and for terminals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from o3gym.runs.metrics import ArmMetrics, Rate

NONE = "–"
"""The text of a missing value."""
NO_FAMILY = "no family"
"""The name of the tasks without a family in a run in which other tasks have one."""
FEW = 4
"""Maximum number of arms whose intervals fit side by side in a terminal."""
ALL_FAILED = "no episode without failure"
"""The text in place of the accuracy of an arm that has no numbers."""


def share(value: float | None) -> str:
    """Formats a share as per cent with one decimal."""
    return NONE if value is None else f"{value * 100:.1f}"


def rate(value: Rate | None) -> str:
    """Formats a rate and its interval as per cent."""
    if value is None or value.value is None:
        return NONE
    return f"{share(value.value)} [{share(value.low)}, {share(value.high)}]"


def _accuracy(arm: ArmMetrics) -> str:
    return ALL_FAILED if arm.only_failures else rate(arm.accuracy)


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _tenths(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _tokens(arm: ArmMetrics) -> str:
    return NONE if arm.tokens is None else f"{arm.tokens:,.0f}"


def _dollars(arm: ArmMetrics) -> str:
    return f"{arm.cost.dollars:.2f}" if arm.cost and arm.cost.dollars is not None else NONE


TableColumns: TypeAlias = tuple[tuple[str, Callable[[ArmMetrics], str]], ...]
TextRows: TypeAlias = list[list[str]]

RESULTS: TableColumns = (
    ("n", lambda m: str(m.episodes - m.failed)),
    ("k", lambda m: str(m.k) if m.k > 1 else NONE),
    ("accuracy % [95%]", _accuracy),
    ("pass@k %", lambda m: share(m.pass_at_k)),
    ("IoU", lambda m: _number(m.iou)),
    ("coverage %", lambda m: share(m.coverage)),
    ("reward", lambda m: _number(m.reward)),
    ("failed", lambda m: str(m.failed)),
    ("unjudged", lambda m: str(m.unsettled) if m.unsettled else NONE),
)
"""Columns for an arm's results, as (heading, text). A column is omitted if no arm has a value for it.

Failures have a column of their own and count in no other, as in the table of families.
"""
CONDUCT: TableColumns = (
    ("turns", lambda m: _number(m.turns)),
    ("invalid %", lambda m: share(m.invalid_calls)),
    ("over-turn %", lambda m: share(m.over_turn)),
    ("answered %", lambda m: share(m.answered)),
    ("searches", lambda m: _number(m.searches)),
    ("found %", lambda m: share(m.found)),
    ("code ran %", lambda m: share(m.code_ran)),
    ("tokens/episode", _tokens),
    ("cost $", _dollars),
)
"""Columns for an arm's conduct and cost, as (heading, text)."""


def metric_rows(arms: Sequence[ArmMetrics], columns: TableColumns) -> TextRows:
    """A heading row, then one row per arm."""
    shown = [(name, [text(arm) for arm in arms]) for name, text in columns]
    shown = [(name, cells) for name, cells in shown if any(cell != NONE for cell in cells)]
    body = [[arm.arm, *(cells[i] for _, cells in shown)] for i, arm in enumerate(arms)]
    return [["arm", *(name for name, _ in shown)], *body]


def family_rows(arms: Sequence[ArmMetrics]) -> TextRows:
    """Accuracy by family and arm, with the number of scored tasks.

    One column per arm if there are at most `FEW`, otherwise one row per arm.
    """
    families = sorted({family for arm in arms for family in arm.families})
    body = [
        [_family(family, len(families)), _tasks(arms, family), *(rate(arm.families.get(family)) for arm in arms)]
        for family in families
    ]
    rows = [["family", "n", *(arm.arm for arm in arms)], *body]
    return (
        rows
        if len(arms) <= FEW
        else [["arm", *(row[0] for row in body)], *map(list, list(zip(*rows, strict=True))[1:])]
    )


def _family(name: str, families: int) -> str:
    """The heading of a family. Tasks that have none are "all" only if no task has one."""
    return NO_FAMILY if name == "all" and families > 1 else name


def _tasks(arms: Sequence[ArmMetrics], family: str) -> str:
    """The number of scored tasks of a family: one number, or a range if arms differ because of failures."""
    counts = sorted({rate.n for arm in arms if (rate := arm.families.get(family)) is not None})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"


def measure_rows(arms: Sequence[ArmMetrics]) -> TextRows:
    """The metrics of the suite's measure: one row per metric, one column per arm; no rows if there are none."""
    names = list(dict.fromkeys(name for arm in arms for name in arm.measures))
    body = [[name, *(_tenths(arm.measures.get(name)) for arm in arms)] for name in names]
    return [["measure", *(arm.arm for arm in arms)], *body] if names else []


def stop_rows(arms: Sequence[ArmMetrics]) -> TextRows:
    """A heading row, then one row per arm with the number of episodes per `stop`."""
    stops = sorted({stop for arm in arms for stop in arm.stops})
    return [["arm", *stops], *([arm.arm, *(str(arm.stops.get(stop, 0)) for stop in stops)] for arm in arms)]


def flat_items(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """Flattens nested JSON to (dotted key, text) pairs; lists become one text."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from flat_items(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, (list, tuple)):
        yield where, ", ".join(map(str, value)) or NONE
    else:
        yield where, NONE if value is None or value == {} else str(value)


def protocol_items(protocol: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings of a run as (dotted key, text) pairs, without its warnings.

    The number of episodes is the one that was played: a run takes no more tasks than its suite has.
    """
    pairs = [(key, text) for key, text in flat_items(protocol) if not key.startswith("warnings")]
    return [(key, _episodes(protocol) if key == "episodes" else text) for key, text in pairs]


def _episodes(protocol: Mapping[str, Any]) -> str:
    asked, tasks = protocol["episodes"], protocol.get("tasks", protocol.get("items"))
    if not isinstance(tasks, int) or not isinstance(asked, int) or 0 < asked <= tasks:
        return str(asked)
    return f"{tasks} (all tasks{f'; {asked} were asked for' if asked else ''})"


def run_name(protocol: Mapping[str, Any]) -> str:
    """The title of a run: its suite and split."""
    return " ".join(str(protocol[key]) for key in ("suite", "split") if protocol.get(key)) or "run"


def markdown(protocol: Mapping[str, Any], arms: Sequence[ArmMetrics], warnings: Sequence[str]) -> str:
    """Formats the whole report as a Markdown page."""
    settings = [["setting", "value"], *map(list, protocol_items(protocol))]
    parts = [f"# Report: {_cell(run_name(protocol))}", *(f"> **Warning:** {_cell(text)}" for text in warnings)]
    for heading, rows in (
        ("Arms", metric_rows(arms, RESULTS)),
        ("Conduct", metric_rows(arms, CONDUCT)),
        ("Accuracy by family, % [95%]", family_rows(arms)),
        ("Measures of the suite", measure_rows(arms)),
        ("How episodes ended", stop_rows(arms)),
        ("Protocol", settings),
    ):
        if not rows:
            continue
        parts += [f"## {heading}", _markdown_table(rows)]
    return "\n\n".join(parts) + "\n"


def rich_tables(arms: Sequence[ArmMetrics], warnings: Sequence[str]) -> Group:
    """Tables of arms, families and suite metrics for a terminal, followed by the warnings."""
    tables = (
        ("Arms", metric_rows(arms, RESULTS)),
        ("Conduct", metric_rows(arms, CONDUCT)),
        ("Accuracy by family, % [95%]", family_rows(arms)),
        ("Measures of the suite", measure_rows(arms)),
    )
    parts = [_rich_table(title, rows) for title, rows in tables if rows]
    return Group(*parts, *(Text(f"warning: {text}", style="yellow") for text in warnings))


def _markdown_table(rows: TextRows) -> str:
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _rich_table(title: str, rows: TextRows) -> Table:
    head, *body = rows
    table = Table(title=title, title_justify="left", title_style="bold", header_style="", box=SIMPLE_HEAD)
    for place, name in enumerate(head):
        table.add_column(Text(name), justify="right" if place else "left", overflow="fold")
    for row in body:
        table.add_row(*map(Text, row))
    return table
