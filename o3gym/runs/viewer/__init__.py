"""Renders a run as one HTML page with the views, replies and rewards of every episode.

The page contains its data, styles and script, needs no server and works from the file system. Text written by a model
is always data and never markup: it is stored as escaped JSON, displayed through `textContent` only, and the page's
content security policy allows no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

from o3gym.append_log import replacing
from o3gym.media.images import ImageStore, shared_store
from o3gym.runs import tables
from o3gym.runs.report import Report, curve_chart, make_report, sweep_chart
from o3gym.runs.store import open_run
from o3gym.runs.viewer.episodes import episode_values, index_row
from o3gym.runs.viewer.thumbnails import THUMBS, Thumbnails
from o3gym.types import Trajectory

SCRIPTS = ("viewer.js", "episode.js", "code.js", "film.js")
"""The parts of the page's script, in order."""
PHONE = 340
"""Width in pixels of the charts for phones, which replace the wide ones there."""


def write_viewer(
    run_dir: str | Path,
    out_html: str | Path | None = None,
    *,
    embed: bool = False,
    store: ImageStore | None = None,
    cuts: Sequence[int] | None = None,
    episodes: Callable[[], Iterable[Trajectory]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Writes the HTML page of a run.

    Args:
        run_dir: the run folder.
        out_html: path of the page; `view.html` in the run folder by default. The page shows thumbnails in `thumbs/`
            beside it. Those that lie there or in the run folder's `thumbs/` are used; only the others are made, from
            the pictures.
        embed: whether to embed the thumbnails in the page, so that it is a single file.
        store: the source of pixels; the process's shared store by default.
        cuts: turn limits of the curve, see `make_report`.
        episodes: yields the run's episodes anew at each call, if they were settled again after they were stored (for
            group terms).
        progress: called with (episodes done, total episodes) after each episode.

    Returns:
        The path of the page.

    Raises:
        RunError: `run_dir` is not a run folder.
    """
    run = open_run(run_dir)
    page = Path(out_html) if out_html is not None else run.path / "view.html"
    episodes = episodes or run.records
    report = make_report(episodes(), run.protocol, cuts)
    folder = None if embed else page.parent / THUMBS
    with (
        closing(Thumbnails(store or shared_store(), run.path / THUMBS, folder, run.with_data)) as thumbnails,
        replacing(page) as partial,
        partial.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(_page(report, _counted(episodes(), report, progress), thumbnails))
    return page


def _counted(
    episodes: Iterable[Trajectory], report: Report, progress: Callable[[int, int], None] | None
) -> Iterator[Trajectory]:
    total = sum(arm.episodes for arm in report.arms)
    for number, trajectory in enumerate(episodes, 1):
        yield trajectory
        if progress is not None:
            progress(number, max(number, total))


def _page(report: Report, episodes: Iterable[Trajectory], thumbnails: Thumbnails) -> Iterator[str]:
    """Yields the page in pieces, one episode at a time, so that a long run is never in memory as a whole."""
    before, after = _template(report).split("<!--DATA-->")
    yield before
    rows = []
    yield '<script type="application/x-ndjson" id="episodes">'
    for line, trajectory in enumerate(episodes):
        yield ("\n" if line else "") + inline(episode_values(trajectory, thumbnails))
        rows.append([*index_row(trajectory), line])
    yield '</script>\n<script type="application/json" id="index">'
    yield inline(sorted(rows, key=lambda row: row[:4]))
    yield '</script>\n<script type="application/json" id="summary">'
    yield inline(_summary(report))
    yield '</script>\n<script type="text/plain" id="thumbs">'
    yield from thumbnails.embedded()
    yield "</script>\n"
    yield after


def inline(value: Any) -> str:
    """JSON that is safe inside a script element: with "<" escaped, no text can end the element or start a comment."""
    return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _finite(value: Any) -> Any:
    """Replaces non-finite numbers by strings, because browsers refuse NaN in JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value


def _summary(report: Report) -> dict[str, Any]:
    return {
        "warnings": report.warnings,
        "rates": [[arm.accuracy.value, arm.accuracy.low, arm.accuracy.high] for arm in report.arms],
        "arms": tables.metric_rows(report.arms, tables.RESULTS),
        "conduct": tables.metric_rows(report.arms, tables.CONDUCT),
        "families": tables.family_rows(report.arms),
        "stops": tables.stop_rows(report.arms),
        "protocol": tables.protocol_items(report.protocol),
    }


def _template(report: Report) -> str:
    css, script = _asset("viewer.css"), "".join(map(_asset, SCRIPTS))
    charts = [curve_chart(report), curve_chart(report, PHONE)]
    sweep = sweep_chart(report), sweep_chart(report, PHONE)
    pictures = [*charts, *(chart for chart in sweep if chart)]
    figures = [f'<figure class="{("wide", "slim")[i % 2]}">{svg}</figure>' for i, svg in enumerate(pictures)]
    parts = {
        "TITLE": html.escape(tables.run_name(report.protocol)),
        "HASH": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "CHARTS": "\n".join(figures),
        "CSS": css,
        "JS": script,
    }
    page = _asset("viewer.html")
    for name, text in parts.items():
        page = page.replace(f"<!--{name}-->", text)
    return page


def _asset(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")
