"""Chart family: a wall of bar, line and pie panels, and a question that needs two of them."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from o3gym.suites.scenes.base import Family, Scene, levels, progression
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import RGB
from o3gym.suites.scenes.panels import PANEL_KINDS, Panel, paint_panel, panel_blocks, random_panel
from o3gym.types import Box

CHART_ASPECT = 4 / 3
_CELLS: Mapping[str, tuple[int, int]] = {"easy": (2, 2), "medium": (3, 3), "hard": (5, 5)}
_EM: Mapping[str, float] = {"easy": 0.016, "medium": 0.0104, "hard": 0.0064}
_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "month": ("Jan", "Mar", "May", "Jul", "Sep", "Nov"),
    "city": ("Oslo", "Lima", "Cairo", "Seoul", "Quito", "Turin"),
    "fruit": ("Apple", "Pear", "Plum", "Kiwi", "Mango", "Lemon"),
    "weekday": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat"),
}
_TOPICS = (
    "Sales", "Visitors", "Complaints", "Deliveries", "Returns", "Bookings", "Refunds", "Orders", "Repairs", "Surveys",
    "Calls", "Tickets", "Inspections", "Loans",
)  # fmt: skip
_WALLS: tuple[RGB, ...] = ((214, 222, 232), (226, 220, 210), (212, 224, 218), (222, 216, 228))


def grid_boxes(rows: int, columns: int, gap: float, aspect: float = CHART_ASPECT) -> list[Box]:
    """Equal boxes that cover the board, `gap` apart, in reading order."""
    width, height = (aspect - gap) / columns, (1 - gap) / rows
    return [
        (
            gap + (i % columns) * width,
            gap + i // columns * height,
            (i % columns + 1) * width,
            (i // columns + 1) * height,
        )
        for i in range(rows * columns)
    ]


def titles(rng: Random, count: int) -> list[str]:
    """Distinct titles "topic year" from few topics and years, so that many of them differ in only one part."""
    topics = rng.sample(_TOPICS, min(len(_TOPICS), 3 + count // 6))
    years = rng.sample(range(1995, 2025), 2 + count // 4)
    return rng.sample([f"{topic} {year}" for topic in topics for year in years], count)


def build_chart(rng: Random, difficulty: str) -> Scene:
    """Lay out the wall and ask a question about two of its panels."""
    rows, columns = _CELLS[difficulty]
    noun = rng.choice(list(_CATEGORIES))
    chosen = set(rng.sample(_CATEGORIES[noun], 5))
    names = tuple(name for name in _CATEGORIES[noun] if name in chosen)
    boxes = grid_boxes(rows, columns, 0.024 if difficulty == "easy" else 0.014)
    panels = [
        random_panel(rng, box, title, rng.choice(PANEL_KINDS), names)
        for box, title in zip(boxes, titles(rng, len(boxes)), strict=True)
    ]
    wall, seed, em = rng.choice(_WALLS), rng.getrandbits(32), _EM[difficulty]

    def paint(painter: Painter) -> None:
        painter.backdrop([wall] * 4, seed)
        for panel in panels:
            paint_panel(painter, panel, em)

    first, second = rng.sample(panels, 2)
    question, answer, wrong = rng.choice((ask_chain, ask_chain, ask_difference, ask_sum))(rng, noun, first, second)
    targets = ((first.title, first.box), (second.title, second.box))
    layouts = tuple((f"{panel.kind} chart", panel.box) for panel in panels)
    parts = tuple(block for panel in panels for block in panel_blocks(panel, em))
    return Scene(question, str(answer), tuple(map(str, wrong)), targets, paint, layouts=layouts, blocks=parts)


def ask_chain(rng: Random, noun: str, first: Panel, second: Panel) -> tuple[str, int, list[int]]:
    """Ask for the value in the second panel of the category that has the highest or lowest value in the first."""
    highest = rng.random() < 0.5
    rank, share = ("highest", "largest") if highest else ("lowest", "smallest")
    most = f"the {share} slice" if first.kind == "pie" else f"the {rank} value"
    question = rng.choice(
        (
            f'Take the {noun} with {most} in "{first.title}". What number does "{second.title}" show for it?',
            f'Which number is printed in "{second.title}" for the {noun} that has {most} in "{first.title}"?',
        )
    )
    answer = second.value(first.extreme(highest))
    wrong = [value for value in second.values if value != answer]
    return question, answer, rng.sample(wrong, rng.choice((3, 4)))


def ask_difference(rng: Random, noun: str, first: Panel, second: Panel) -> tuple[str, int, list[int]]:
    """Ask for the difference between a number in one panel and a number in the other."""
    pairs = [(a, b) for a in first.names for b in second.names if first.value(a) - second.value(b) >= 3]
    if not pairs:
        return ask_sum(rng, noun, first, second)
    a, b = rng.choice(pairs)
    question = (
        f'By how much is the number for {a} in "{first.title}" greater than the number for {b} in "{second.title}"?'
    )
    return question, first.value(a) - second.value(b), progression(rng, first.value(a) - second.value(b))


def ask_sum(rng: Random, noun: str, first: Panel, second: Panel) -> tuple[str, int, list[int]]:
    """Ask for the sum of a category's numbers in both panels."""
    name = rng.choice(first.names)
    question = rng.choice(
        (
            f'Add the numbers shown for {name} in "{first.title}" and in "{second.title}". What is the sum?',
            f'What do the numbers for {name} in "{first.title}" and "{second.title}" add up to?',
        )
    )
    answer = first.value(name) + second.value(name)
    return question, answer, progression(rng, answer)


CHART_FAMILY = Family(
    aspect=CHART_ASPECT,
    levels=levels(1_500_000, _EM),
    build=build_chart,
)
