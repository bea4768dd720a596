"""Two chart types as SVG text: lines with error bars, and one interval per row.

Each chart has its own white background and dark ink, so it is legible on light and dark pages. The colours are Okabe
and Ito's, and each series also has its own marker, so that no information depends on colour alone. Series names are
beside the plot, never on it. Everything else that a plotting library offers is deliberately left out.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

CURVE_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F6000", "#444444")
MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
    "M-3.6 -3.6h7.2v7.2h-7.2z",
    "M0 -4.8L4.6 3.6H-4.6z",
    "M0 -5L5 0L0 5L-5 0z",
)
CHART_INK, QUIET, GRID = "#1f2328", "#57606a", "#e6e8eb"
FONT = 'font-family="system-ui, -apple-system, Segoe UI, Roboto, sans-serif"'
LETTER = 6.6
"""Estimated mean width in pixels of a letter at a font size of 12 px, because SVG text cannot be measured here."""
CROWDED = 40
"""Maximum number of points of a line with markers; more markers would hide the line."""
NARROW = 480
"""Width in pixels below which series names are under the plot instead of to its right."""


@dataclass(frozen=True)
class CurvePoint:
    """A value `y` at `x`, with the ends `low` and `high` of its interval if it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class _Scale:
    start: float
    end: float
    low: float
    high: float

    def __call__(self, value: float) -> float:
        span = (self.end - self.start) or 1.0
        return round(self.low + (value - self.start) / span * (self.high - self.low), 2)


def line_chart(
    series: Mapping[str, Sequence[CurvePoint]],
    title: str,
    x_label: str,
    y_label: str,
    *,
    percent: bool = False,
    width: int = 720,
    height: int = 400,
) -> str:
    """A chart of lines with a marker and an error bar at every point.

    Args:
        series: name → points. The name is written at the line's end, or below the plot if `width` is small.
        title: the chart's title, which screen readers read out, too.
        x_label: name of the x axis.
        y_label: name of the y axis.
        percent: whether y is a share, drawn over 0..1 in per cent.
        width: width of the whole chart in pixels.
        height: height of the chart in pixels, without names below the plot, which add to it.
    """
    narrow = width < NARROW
    longest = max((len(name) for name in series), default=0)
    right = 14 if narrow else min(width * 2 // 5, 36 + int(longest * LETTER))
    points = [point for line in series.values() for point in line]
    x_ticks = _x_ticks(points)
    y_ticks = [0, 0.2, 0.4, 0.6, 0.8, 1.0] if percent else _nice([v for p in points for v in _extent(p)])
    x = _Scale(x_ticks[0], x_ticks[-1], 78, width - right - 14)
    y = _Scale(y_ticks[0], y_ticks[-1], height - 54, 74)
    parts = _axes(x, y, x_ticks, y_ticks, percent, x_label, y_label)
    for place, line in enumerate(series.values()):
        parts += _line(place, len(series), line, x, y)
    total = height + 8 + 20 * len(series) if narrow else height
    wanted = [
        (height + 6 + 20 * i if narrow else y(line[-1].y) if line else 74) for i, line in enumerate(series.values())
    ]
    for place, (name, at) in enumerate(zip(series, _spread(wanted, 17, total - 10), strict=True)):
        left = 24 if narrow else width - right + 8
        parts.append(_marker(place, left, at) + _text(left + 12, at + 4, _cut(name, width - left - 16)))
    values = "; ".join(f"{name}: " + ", ".join(f"{p.x:g} → {p.y:.3g}" for p in line) for name, line in series.items())
    return _svg(width, total, title, values, parts)


def interval_chart(rows: Mapping[str, CurvePoint], title: str, x_label: str, *, width: int = 720) -> str:
    """A chart with one row per name: a dot at the share `y` and its interval, drawn over 0..1 in per cent.

    `CurvePoint.x` is not used.
    """
    longest = max((len(name) for name in rows), default=0)
    left = min(width // 2, 28 + int(longest * LETTER))
    height = 100 + 30 * len(rows)
    x = _Scale(0, 1, left, width - 24)
    parts = []
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(f'<path d="M{x(tick)} 46V{height - 50}" stroke="{GRID}"/>')
        parts.append(_text(x(tick), height - 32, _number(tick, True), QUIET, "middle"))
    parts.append(_text((left + width - 24) / 2, height - 10, x_label, QUIET, "middle"))
    for place, (name, point) in enumerate(rows.items()):
        at = 64 + 30 * place
        low, high = _extent(point)[1:]
        parts.append(f'<path d="M{x(low)} {at}H{x(high)}" stroke="{CURVE_COLOURS[0]}" stroke-width="2" opacity=".55"/>')
        parts.append(_marker(0, x(point.y), at) + _text(left - 12, at + 4, _cut(name, left - 20), CHART_INK, "end"))
    values = "; ".join(f"{name}: {point.y:.3g}" for name, point in rows.items())
    return _svg(width, height, title, values, parts)


def _svg(width: int, height: int, title: str, values: str, parts: Sequence[str]) -> str:
    heading = _safe(_cut(title, width - 60))
    head = f'<text x="20" y="28" font-size="15" font-weight="600" fill="{CHART_INK}">{heading}</text>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{_safe(title)}" {FONT} font-size="12">\n<title>{_safe(title)}</title>\n'
        f"<desc>{_safe(values)}</desc>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>\n{head}\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _axes(
    x: _Scale, y: _Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], percent: bool, x_label: str, y_label: str
) -> list[str]:
    parts = []
    for tick in y_ticks:
        parts.append(f'<path d="M{x.low - 14} {y(tick)}H{x.high + 14}" stroke="{GRID}"/>')
        parts.append(_text(x.low - 22, y(tick) + 4, _number(tick, percent), QUIET, "end"))
    for tick in x_ticks:
        parts.append(_text(x(tick), y.low + 20, _number(tick, False), QUIET, "middle"))
    parts.append(_text((x.low + x.high) / 2, y.low + 42, x_label, QUIET, "middle"))
    parts.append(_text(20, 48, y_label, QUIET))
    return parts


def _line(place: int, lines: int, line: Sequence[CurvePoint], x: _Scale, y: _Scale) -> list[str]:
    """One series. The series are offset by a few pixels, so that error bars at the same x do not hide each other."""
    colour = CURVE_COLOURS[place % len(CURVE_COLOURS)]
    aside = (place - (lines - 1) / 2) * min(5.0, 20 / lines)
    at = [(round(x(point.x) + aside, 2), y(point.y), point) for point in line]
    bars = "".join(f"M{px} {y(low)}V{y(high)}" for px, _, point in at for _, low, high in [_extent(point)])
    path = " ".join(f"{px},{py}" for px, py, _ in at)
    dash = ' stroke-dasharray="6 4"' if place >= len(CURVE_COLOURS) else ""
    return [
        f'<path d="{bars}" stroke="{colour}" stroke-width="1.5" opacity=".45"/>' if bars else "",
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>',
        *(_marker(place, px, py) for px, py, _ in at if len(at) <= CROWDED),
    ]


def _marker(place: int, x: float, y: float) -> str:
    shape, colour = MARKERS[place % len(MARKERS)], CURVE_COLOURS[place % len(CURVE_COLOURS)]
    return f'<path transform="translate({x} {round(y, 2)})" d="{shape}" fill="{colour}" stroke="#fff"/>'


def _text(x: float, y: float, text: str, fill: str = CHART_INK, anchor: str = "start") -> str:
    return f'<text x="{round(x, 2)}" y="{round(y, 2)}" fill="{fill}" text-anchor="{anchor}">{_safe(text)}</text>'


def _safe(text: str) -> str:
    """Escapes `text` and replaces the control characters and lone surrogates that XML forbids."""
    return escape(re.sub("[\x00-\x08\x0b-\x1f\ud800-\udfff￾￿]", "\N{REPLACEMENT CHARACTER}", text))


def _cut(text: str, width: float) -> str:
    letters = max(4, int(width / LETTER))
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _number(value: float, percent: bool) -> str:
    if percent:
        return f"{value * 100:g} %"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    return f"{value / 1e3:.4g}k" if abs(value) >= 1e4 else f"{value:g}"


def _extent(point: CurvePoint) -> tuple[float, float, float]:
    return (point.y, point.y if point.low is None else point.low, point.y if point.high is None else point.high)


def _x_ticks(points: Sequence[CurvePoint]) -> list[float]:
    """One tick per value if the labels fit, because the values are settings and not samples of a continuum.

    Otherwise the ticks are at round numbers. A letter of a label takes about 1.5% of the axis.
    """
    values = sorted({point.x for point in points})
    label_width = 0.015 * max((len(_number(value, False)) for value in values), default=0)
    span = values[-1] - values[0] if values else 0.0
    fits = all(high - low >= label_width * span for low, high in itertools.pairwise(values))
    return values if values and fits and len(values) <= 10 else _nice(values)


def _nice(values: Sequence[float]) -> list[float]:
    """Four to ten ticks at round numbers that cover all values."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    step = 10 ** math.floor(math.log10((high - low) / 4))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= 8)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [float(f"{i * step:.12g}") for i in range(first, last + 1)]


def _spread(wanted: Sequence[float], gap: float, bottom: float) -> list[float]:
    """Moves y positions so that they are at least `gap` apart and above `bottom`; the input's order is kept."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    at = [float(v) for v in wanted]
    for above, below in itertools.pairwise(order):
        at[below] = max(at[below], at[above] + gap)
    floor = bottom
    for i in reversed(order):
        at[i] = min(at[i], floor)
        floor = at[i] - gap
    return at
