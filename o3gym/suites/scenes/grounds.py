"""Backgrounds for scattered things: pale, textured, and unlike any of the named colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import RGB, WHITE, mix

_BLACK: RGB = (0, 0, 0)
_TONES: Mapping[str, tuple[RGB, ...]] = {
    "slabs": ((176, 180, 184), (186, 180, 170), (170, 182, 178)),
    "planks": ((206, 184, 154), (190, 172, 150), (216, 200, 176)),
    "cloth": ((204, 210, 220), (216, 206, 210), (206, 214, 202)),
    "felt": ((178, 194, 178), (184, 190, 204), (200, 190, 204)),
}


@dataclass(frozen=True)
class Ground:
    """A background: pattern, main tone and noise seed."""

    pattern: str
    tone: RGB
    seed: int


def choose_ground(rng: Random) -> Ground:
    """A random pattern in one of its tones."""
    pattern = rng.choice(list(_TONES))
    return Ground(pattern, rng.choice(_TONES[pattern]), rng.getrandbits(32))


def paint_ground(painter: Painter, ground: Ground) -> None:
    """Fill the whole picture with a background."""
    tone = ground.tone
    painter.backdrop([mix(tone, WHITE, 0.15), tone, tone, mix(tone, _BLACK, 0.10)], ground.seed, grain=6)
    _PATTERNS[ground.pattern](painter, ground)


def _slabs(painter: Painter, ground: Ground) -> None:
    """Square concrete slabs with narrow joints."""
    dark, light = mix(ground.tone, _BLACK, 0.14), mix(ground.tone, WHITE, 0.25)
    step, width = 0.125, 0.0016
    for i in range(1, round(painter.aspect / step) + 1):
        painter.rule((i * step, 0), (i * step, 1), width, dark)
        painter.rule((i * step + width, 0), (i * step + width, 1), width, light)
    for i in range(1, 8):
        painter.rule((0, i * step), (painter.aspect, i * step), width, dark)
        painter.rule((0, i * step + width), (painter.aspect, i * step + width), width, light)


def _planks(painter: Painter, ground: Ground) -> None:
    """Horizontal boards with staggered butt joints and a few lines of grain."""
    rng, dark = Random(ground.seed), mix(ground.tone, _BLACK, 0.22)
    rows = 9
    for i in range(rows):
        top = i / rows
        painter.rule((0, top), (painter.aspect, top), 0.002, dark)
        for _ in range(4):
            y, x = top + rng.uniform(0.1, 0.9) / rows, rng.uniform(-0.3, painter.aspect)
            painter.rule((x, y), (x + rng.uniform(0.2, 0.7), y), 0.0008, mix(ground.tone, _BLACK, 0.09))
        for x in (rng.uniform(0.1, 0.6), rng.uniform(0.7, 1.3)):
            painter.rule((x, top), (x, top + 1 / rows), 0.002, dark)


def _cloth(painter: Painter, ground: Ground) -> None:
    """A woven check: translucent stripes in both directions."""
    shade, step = mix(ground.tone, _BLACK, 0.45), 0.11
    for i in range(round(painter.aspect / step) + 1):
        painter.box((i * step, 0, i * step + step / 2, 1), shade, alpha=0.10)
    for i in range(round(1 / step) + 1):
        painter.box((0, i * step, painter.aspect, i * step + step / 2), shade, alpha=0.10)


def _felt(painter: Painter, ground: Ground) -> None:
    """Large soft spots."""
    rng = Random(ground.seed)
    for _ in range(26):
        middle = (rng.uniform(0, painter.aspect), rng.random())
        painter.disc(middle, rng.uniform(0.03, 0.09), rng.choice((WHITE, _BLACK)), 0.045)


_PATTERNS: Mapping[str, Callable[[Painter, Ground], None]] = {
    "slabs": _slabs,
    "planks": _planks,
    "cloth": _cloth,
    "felt": _felt,
}
