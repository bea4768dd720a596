"""Measures what a frame of a generated film costs: `python benchmarks/films.py [--json FILE]`.

For each family: a frame at a random time of a film that has been seen before, against decoding the same frame from a
JPEG, and in milliseconds; and the first frame of a film, for which its room is drawn.
"""

from __future__ import annotations

import io
import itertools
import statistics
import time
from random import Random

from figures import Figure, in_turn, show
from PIL import Image

from o3gym.suites.synthetic_video import FILM_DIFFICULTIES, FILM_FAMILIES, SyntheticVideo, film_size, render_film
from o3gym.types import Source

ROUNDS, FILMS = 40, 12
MOST_MS, MOST_RATIO, MOST_FIRST_MS = 5.0, 1.5, 40.0


def main() -> None:
    """Measures every family at every difficulty, and shows the slowest difficulty of each."""
    figures = []
    for family in FILM_FAMILIES:
        costs = [_costs(family, difficulty) for difficulty in FILM_DIFFICULTIES]
        ratio, frame, first = (max(values) for values in zip(*costs, strict=True))
        figures += [
            _figure(f"{family}: a frame / decoding it from a JPEG", ratio, "×", MOST_RATIO),
            _figure(f"{family}: a frame", 1000 * frame, "ms", MOST_MS),
            _figure(f"{family}: the first frame of a film", 1000 * first, "ms", MOST_FIRST_MS),
        ]
    show("Frames of generated films, the slowest difficulty of each family", figures)


def _figure(name: str, value: float, unit: str, most: float) -> Figure:
    return Figure(name, value, unit, f"at most {most:g} {unit}", value <= most)


def _costs(family: str, difficulty: str) -> tuple[float, float, float]:
    """A frame against a JPEG, a frame in seconds, and the first frame of a film in seconds."""
    suite = SyntheticVideo(family=family, difficulty=difficulty)
    starts = []
    for index in range(FILMS):
        source = suite[index].sources[0]
        begin = time.perf_counter()
        render_film(**source.args, time=0.0)
        starts.append(time.perf_counter() - begin)
    source = suite[FILMS].sources[0]
    times = itertools.cycle(_times(source))
    for moment in itertools.islice(times, ROUNDS):
        render_film(**source.args, time=moment)  # every wall is drawn now
    encoded = io.BytesIO()
    render_film(**source.args, time=next(times)).save(encoded, "JPEG", quality=90)
    assert Image.open(encoded).size == film_size(difficulty=difficulty)
    ours, jpeg = in_turn(
        lambda: render_film(**source.args, time=next(times)), lambda: Image.open(encoded).convert("RGB").load(), ROUNDS
    )
    return ours / jpeg, ours, statistics.median(starts)


def _times(source: Source) -> list[float]:
    """The times of random frames of a film."""
    frames = round((source.duration or 0.0) * source.args["fps"])
    return [number / source.args["fps"] for number in Random(0).choices(range(frames), k=ROUNDS)]


if __name__ == "__main__":
    main()
