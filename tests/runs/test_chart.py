from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import pytest

from o3gym.runs.chart import CURVE_COLOURS, MARKERS, CurvePoint, interval_chart, line_chart

SVG = "{http://www.w3.org/2000/svg}"
RISING = [CurvePoint(t, t / 10, t / 10 - 0.05, t / 10 + 0.05) for t in range(1, 7)]


def draw(series: dict[str, list[CurvePoint]], **options: object) -> ET.Element:
    return ET.fromstring(line_chart(series, "A title", "turns", "accuracy", percent=True, **options))  # type: ignore[arg-type]


def texts(svg: ET.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def numbers(svg: ET.Element, line: int = 0) -> list[tuple[float, float]]:
    points = list(svg.iter(f"{SVG}polyline"))[line].get("points", "")
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in points.split())]


def test_a_chart_names_its_axes_and_series_and_is_read_out() -> None:
    svg = draw({"oracle": RISING, "random": RISING[:3]})
    assert {"A title", "turns", "accuracy", "oracle", "random", "0 %", "100 %", "1", "6"} <= set(texts(svg))
    assert svg.get("role") == "img"
    assert svg.findtext(f"{SVG}title") == "A title"
    assert "oracle: 1 → 0.1" in (svg.findtext(f"{SVG}desc") or "")
    rect = svg.find(f"{SVG}rect")
    assert rect is not None
    assert rect.get("fill") == "#ffffff"


def test_points_lie_where_their_values_say() -> None:
    at = numbers(draw({"one": [CurvePoint(0, 0.0), CurvePoint(1, 0.5), CurvePoint(4, 1.0)]}))
    (x0, y0), (x1, y1), (x2, y2) = at
    assert (x1 - x0) / (x2 - x0) == pytest.approx(0.25, abs=0.01)
    assert (y1 - y0) / (y2 - y0) == pytest.approx(0.5, abs=0.01)
    assert y2 < y0


def test_names_never_lie_on_the_plot_or_on_each_other() -> None:
    same = {f"arm number {i}": RISING for i in range(6)}
    svg = draw(same)
    right = max(x for line in range(6) for x, _ in numbers(svg, line))
    labels = [e for e in svg.iter(f"{SVG}text") if (e.text or "").startswith("arm")]
    heights = sorted(float(e.get("y", 0)) for e in labels)
    assert min(float(e.get("x", 0)) for e in labels) > right + 5
    assert all(b - a >= 15 for a, b in itertools.pairwise(heights))
    assert heights[-1] < float(svg.get("height", 0))


def test_series_differ_by_more_than_colour() -> None:
    assert len(set(CURVE_COLOURS)) == len(CURVE_COLOURS)
    assert len(set(MARKERS)) == len(MARKERS)
    svg = line_chart({str(i): RISING for i in range(10)}, "t", "x", "y")
    assert "stroke-dasharray" in svg


def test_a_narrow_chart_has_its_names_below() -> None:
    svg = draw({"a": RISING, "b": RISING}, width=340)
    height = float(svg.get("height", 0))
    below = [float(e.get("y", 0)) for e in svg.iter(f"{SVG}text") if e.text in ("a", "b")]
    assert min(below) > 400
    assert max(below) < height


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"empty": []},
        {"one": [CurvePoint(3, 0.5)]},
        {"flat": [CurvePoint(1, 2.0), CurvePoint(2, 2.0)]},
        {"wide": [CurvePoint(10.0**i, -(10.0**i)) for i in range(8)]},
        {"many": [CurvePoint(i, i * i) for i in range(500)]},
    ],
)
def test_odd_series_still_draw(series: dict[str, list[CurvePoint]]) -> None:
    svg = line_chart(series, "t", "x", "y")
    ET.fromstring(svg)
    assert "nan" not in svg
    assert "inf" not in svg


def test_large_numbers_are_short() -> None:
    svg = ET.fromstring(line_chart({"a": [CurvePoint(250_000, 1), CurvePoint(4_000_000, 2)]}, "t", "pixels", "y"))
    assert {"250k", "4M"} <= set(texts(svg))


def test_hostile_names_stay_text() -> None:
    name = '</text><script>alert(1)</script>\x00\ud800 & "quotes" ' + "long " * 40
    for svg in (
        line_chart({name: RISING}, name, name, name),
        interval_chart({name: RISING[0]}, name, name),
    ):
        assert "<script" not in svg
        svg.encode()
        ET.fromstring(svg)


def test_rows_of_intervals() -> None:
    svg = interval_chart({"oracle": CurvePoint(0, 0.9, 0.8, 0.95), "random": CurvePoint(0, 0.2)}, "By arm", "accuracy")
    assert {"oracle", "random", "By arm", "accuracy", "20 %"} <= set(texts(ET.fromstring(svg)))
