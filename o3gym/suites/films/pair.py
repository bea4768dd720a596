"""Pair family: two clips for one prompt, of which one is better in more of three dimensions.

The dimensions are those of video reward models: whether the clip shows what the prompt asks for in its order (temporal
alignment), whether its frames are clean (video quality), and whether things move smoothly (motion quality). In each
dimension, one clip has a fault or none has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from PIL import Image, ImageFilter

from o3gym.suites.films.base import FILM_ASPECT, Film, FilmFamily, Moment, PaintFrame
from o3gym.suites.films.count import MOVERS, Pass, pass_box, pass_x
from o3gym.suites.films.order import TABLE_LINE, THING_SIDE
from o3gym.suites.films.room import LAMP_COLOURS, WALLS, Chapter, Lamp, Room, joined, lamp_places, paint_room
from o3gym.suites.films.sprites import icon_sprite, put
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.scenes.palette import COLOURS
from o3gym.types import Box

PAIR_DIMENSIONS = ("temporal alignment", "video quality", "motion quality")
CLIPS = ("the first clip", "the second clip")
_WHOLE: Box = (0.0, 0.0, FILM_ASPECT, 1.0)
_FAULTY: Mapping[str, float] = {"easy": 0.6, "medium": 0.4, "hard": 0.25}
"""Share of a clip, or of a movement, that has the fault."""
_BLOCK: Mapping[str, int] = {"easy": 5, "medium": 5, "hard": 4}
"""Side of the blocks, or strength of the blur, of faulty frames, in native pixels."""
_SHAKE: Mapping[str, float] = {"easy": 0.10, "medium": 0.07, "hard": 0.05}
_EARLY, _LATE = (0.06, 0.46), (0.58, 0.90)
_MISALIGNED = ("order", "way", "lamp")


@dataclass(frozen=True)
class _Clip:
    """One of the two clips.

    Attributes:
        room: the room with its lamps.
        passing: the thing that crosses it.
        shaken: frames in which the thing jumps about instead of moving on.
        soiled: frames of low quality.
        blocks: whether these are blocky and not blurred.
        seed: seed of the shaking.
    """

    room: Room
    passing: Pass
    seed: int
    shaken: tuple[int, int] = (0, 0)
    soiled: tuple[int, int] = (0, 0)
    blocks: bool = True


def build_pair(rng: Random, difficulty: str, frames: int) -> Film:
    """Make two clips for one prompt, decide which is worse in each dimension, and ask for the better one."""
    thing, rightwards, lamp_first = (
        (rng.choice(MOVERS), rng.choice(list(COLOURS))),
        rng.random() < 0.5,
        rng.random() < 0.5,
    )
    colours = rng.sample(LAMP_COLOURS, 2)
    dimensions = _dimensions(rng)
    takes, moments = [], []
    for take in range(2):
        worse = [name for name, better in dimensions.items() if better == "BA"[take]]
        clip = _clip(rng, frames, thing, rightwards, lamp_first, colours)
        clip, faults = _spoil(rng, clip, worse, difficulty, frames)
        takes.append(_painted(clip, difficulty))
        moments += [moment._replace(take=take) for moment in faults]
    wins = list(dimensions.values())
    better = 0 if wins.count("A") > wins.count("B") else 1
    prompt = _prompt(*thing, rightwards, lamp_first, colours[0])
    return Film(ask_better(prompt), CLIPS[better], (CLIPS[1 - better],), tuple(moments), tuple(takes), dimensions)


def _dimensions(rng: Random) -> dict[str, str]:
    """Which clip is better in each dimension, so that one of them is better in more dimensions than the other."""
    while True:
        better = {name: rng.choice(("A", "B", "same")) for name in PAIR_DIMENSIONS}
        wins = list(better.values())
        if wins.count("A") != wins.count("B"):
            return better


def _clip(
    rng: Random, frames: int, thing: tuple[str, str], rightwards: bool, lamp_first: bool, colours: list[str]
) -> _Clip:
    """A clip without a fault: the thing passes and a lamp is on, one after the other."""
    lit, moved = (_EARLY, _LATE) if lamp_first else (_LATE, _EARLY)
    places = lamp_places(rng, 2)
    lamps = (Lamp(colours[0], places[0], 0.8, (_interval(lit, frames),)), Lamp(colours[1], places[1], 0.8))
    if rng.random() < 0.5:
        lamps = (replace(lamps[0], x=places[1]), replace(lamps[1], x=places[0]))
    room = Room(rng.getrandbits(32), (Chapter(rng.choice(list(WALLS)), 0, frames),), lamps)
    return _Clip(room, Pass(*thing, rightwards, *_interval(moved, frames)), rng.getrandbits(32))


def _interval(share: tuple[float, float], frames: int) -> tuple[int, int]:
    return round(share[0] * frames), round(share[1] * frames)


def _spoil(rng: Random, clip: _Clip, worse: list[str], difficulty: str, frames: int) -> tuple[_Clip, list[Moment]]:
    """The clip with a fault in each of the dimensions in which it is worse, and where and when these show."""
    moments, side = [], THING_SIDE[difficulty]
    if "temporal alignment" in worse:
        clip, moment = _misalign(rng, clip, side)
        moments.append(moment)
    if "video quality" in worse:
        clip = replace(clip, soiled=_part(rng, 0, frames, _FAULTY[difficulty]), blocks=rng.random() < 0.5)
        moments.append(Moment("video quality", _WHOLE, *clip.soiled))
    if "motion quality" in worse:
        clip = replace(clip, shaken=_part(rng, clip.passing.start, clip.passing.end, _FAULTY[difficulty]))
        moments.append(Moment("motion quality", _shaken_box(side, difficulty), *clip.shaken))
    return clip, sorted(moments, key=lambda moment: moment.start)


def _misalign(rng: Random, clip: _Clip, side: float) -> tuple[_Clip, Moment]:
    """A clip that shows something else than the prompt says: another order, the other way, or the other lamp."""
    lamp, other = clip.room.lamps
    form = rng.choice(_MISALIGNED)
    if form == "way":
        passing = clip.passing._replace(rightwards=not clip.passing.rightwards)
        return replace(clip, passing=passing), Moment("temporal alignment", pass_box(side), passing.start, passing.end)
    (lit,) = lamp.lit
    if form == "lamp":
        lamps = (replace(lamp, lit=()), replace(other, lit=(lit,)))
        moment = Moment("temporal alignment", other.box, *lit)
        return replace(clip, room=replace(clip.room, lamps=lamps)), moment
    passing = clip.passing._replace(start=lit[0], end=lit[1])
    swapped = (clip.passing.start, clip.passing.end)
    lamps = (replace(lamp, lit=(swapped,)), other)
    moment = Moment(
        "temporal alignment", joined([pass_box(side), lamp.box]), min(lit[0], swapped[0]), max(lit[1], swapped[1])
    )
    return replace(clip, passing=passing, room=replace(clip.room, lamps=lamps)), moment


def _part(rng: Random, start: int, end: int, share: float) -> tuple[int, int]:
    """A random part of an interval of frames, at least three of them."""
    length = min(max(3, round(share * (end - start))), end - start)
    first = rng.randint(start, end - length)
    return first, first + length


def _shaken_box(side: float, difficulty: str) -> Box:
    x0, y0, x1, y1 = pass_box(side)
    return (x0, y0 - 2 * _SHAKE[difficulty], x1, y1)


def _painted(clip: _Clip, difficulty: str) -> PaintFrame:
    side, shake = THING_SIDE[difficulty], _SHAKE[difficulty]
    passing = clip.passing

    def paint(painter: Painter, frame: int) -> None:
        paint_room(painter, clip.room, frame)
        if passing.start <= frame < passing.end:
            x, y = pass_x(passing, frame, side), TABLE_LINE - side
            if clip.shaken[0] <= frame < clip.shaken[1]:
                # It jumps back and forth by half of its own width, and up and down.
                rng = Random(f"{clip.seed}/{frame}")
                x += (0.5 if frame % 2 else -0.5) * side * rng.uniform(0.7, 1.0)
                x, y = min(max(x, 0.05), FILM_ASPECT - side - 0.05), y - 2 * shake * rng.random()
            put(painter, icon_sprite(passing.kind, passing.colour, round(side * painter.image.height)), x, y)
        if clip.soiled[0] <= frame < clip.soiled[1]:
            painter.image.paste(_spoilt(painter.image, _BLOCK[difficulty], clip.blocks))

    return paint


def _spoilt(image: Image.Image, strength: int, blocks: bool) -> Image.Image:
    """A frame made of blocks, or a blurred one."""
    if blocks:
        return image.reduce(strength).resize(image.size, Image.Resampling.NEAREST)
    return image.filter(ImageFilter.BoxBlur(strength / 2))


def _prompt(kind: str, colour: str, rightwards: bool, lamp_first: bool, lamp: str) -> str:
    way = "from left to right" if rightwards else "from right to left"
    article = "An" if colour[0] in "aeiou" else "A"
    if lamp_first:
        first = f"The {lamp} lamp comes on and goes off again."
        return f"{first} Then {article.lower()} {colour} {kind} crosses the table {way}."
    return f"{article} {colour} {kind} crosses the table {way}. Then the {lamp} lamp comes on."


def ask_better(prompt: str) -> str:
    """The question which of two clips is better for a prompt."""
    return (
        f'Two clips were made for the prompt "{prompt}" Compare them in temporal alignment with the prompt, video '
        "quality and motion quality. Which clip is better in more of these three dimensions?"
    )


PAIR_FAMILY = FilmFamily(build_pair, seconds={"easy": 8.0, "medium": 10.0, "hard": 12.0}, fps=4.0)
