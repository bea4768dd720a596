"""`collage`: many pictures on one canvas, and a question about a small box in one of them (InSight-o3, appendix C.1).

Any suite with boxes is a source: `collage` (synthetic scenes), `collage:local:photos/index.jsonl`,
`collage:visual-cot`.
Collage i is made from a random stream of its own, so that any one of them is made alone, the same in every process.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from o3gym.geometry import area
from o3gym.media.images import PictureError, shared_store
from o3gym.registry import SUITES, parse_spec
from o3gym.suites.base import Suite, SuiteError, make_suite
from o3gym.suites.collages.composing import CollageCandidate, composed, corners
from o3gym.suites.collages.placement import CollageLayout, PlacementRules, Rejected, TilePicture, lay_out_collage
from o3gym.suites.collages.tally import CollageTally, reasons
from o3gym.suites.released.rows import JsonTable
from o3gym.types import Task

MAX_TARGET_SHARE = 0.04
"""Share of its own picture that a target box must stay below (paper)."""
POOL = 48
"""Pictures that are dealt to a collage to choose companions and fillers from."""
LOOKED_AT = 1000
"""Tasks of the source that are looked at for one collage, at most."""
GIVEN_UP = 100
"""Targets that are given up for one collage, at most."""
SYNTHETIC: Mapping[str, Any] = {"family": "attribute+relation", "difficulty": "easy", "pixels": 500_000}
"""Of the synthetic suite, what can still be made out when its picture is shrunk as far as placement may."""


class _Skipped(Exception):  # noqa: N818 - a task of the source that is of no use here; the text says why
    pass


class Collage(Suite):
    """Tasks of another suite, each with its picture among others on one canvas, where its target box is tiny.

    Tiles are labelled "Image 1", "Image 2", … in reading order, and the question names the tile it is about. Answer,
    options and kind are the source's; targets are its boxes, mapped exactly. `origin` has the source's task, the tile's
    number (`tile`) and its box (`tile_box`, unit xyxy of the canvas), and all cores with their questions.

    A deck of all pictures of the source is dealt to the collages, so that each is offered as companion or filler
    equally often; within a collage one comes again only where no other fits. The paper weights by global counts
    instead, which would make a collage depend on all before it.

    Args:
        argument: spec of the source, without options; "" for the synthetic suite.
        split: "test" or "train", as the source's where it has that, with other random streams either way.
        source_args: options of the source, like {"data": "/data/visual-cot"}; those in `SYNTHETIC` are set for the
            synthetic suite unless they are named here.
        n: number of collages; 0 for as many as the source has tasks.
        seed: of everything random.
        megapixels: least and greatest area of a canvas, "3-12" in millions of pixels.
        tiles, cores: see `PlacementRules`; a number or a range, "4-6".
        share: greatest share of the canvas that a target box takes.
        only: file that `o3gym synth filter` wrote for these collages; the others are left out.

    Raises:
        SuiteError: when a task is asked for and none of the source could be placed; the message counts the reasons.
    """

    name: ClassVar[str] = "collage"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("test", "train")
    licence: ClassVar[str] = "that of its source"

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        source_args: Mapping[str, Any] | None = None,
        n: int = 0,
        seed: int = 0,
        megapixels: str | float = "3-12",
        tiles: str | int = "1",
        cores: str | int = "1",
        share: float = 2e-4,
        only: str = "",
    ) -> None:
        super().__init__(argument, split)
        self.source = _open(argument or "synthetic", split, source_args or {})
        self.rules = PlacementRules(
            canvas=_range("megapixels", megapixels, 1e6),
            tiles=_counts("tiles", tiles),
            cores=_counts("cores", cores),
            share=share,
        )
        if type(n) is not int or n < 0 or not 0 < share < 1:
            raise ValueError(
                f"n and share: expected a whole number from 0 up and a share below 1, got {n!r}, {share!r}"
            )
        self._n, self.seed = n, seed
        about = [self.source.name, Path(self.source.argument).name, self.source.split, seed, asdict(self.rules)]
        told = {key: value for key, value in (source_args or {}).items() if key not in ("data", "images")}
        settings = json.dumps([*about, told], sort_keys=True)
        self.prefix = f"{self.name}/{split}/{hashlib.sha256(settings.encode()).hexdigest()[:8]}/"
        self._chosen = self._kept(Path(only)) if only else None

    def __len__(self) -> int:
        return (self._n or len(self.source)) if self._chosen is None else len(self._chosen)

    @property
    def kinds(self) -> frozenset[str]:
        """Those of the source."""
        return self.source.kinds

    def task(self, index: int) -> Task:
        """Lay out the collage at `index`; nothing is drawn."""
        return self.trial(index)[0]

    def trial(self, index: int) -> tuple[Task, CollageTally]:
        """The task at `index`, and what was tried to make it."""
        number = index if self._chosen is None else self._chosen[index]
        rng = Random(f"{self.name}/{self.seed}/{self.split}/{number}")
        tally = CollageTally(accepted=1)
        stream = self._stream(number, rng)
        pool = self._pool(number, tally)
        while tally.given_up < GIVEN_UP and (cores := self._cores(stream, rng.randint(*self.rules.cores), tally)):
            keys = {core.source.key for core in cores}
            pictures = [*cores, *(other for other in pool if other.source.key not in keys)]
            layout = self._laid_out(pictures, len(cores), rng, tally)
            if layout is not None:
                origin = self._origin(number, cores[0].task)
                return composed(f"{self.prefix}{number}", origin, pictures, layout), tally
            tally = replace(tally, given_up=tally.given_up + 1)
        raise SuiteError(f"{self.prefix}{number}: no task of {self.source.name} could be placed ({reasons(tally)})")

    # ── what goes in ────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _order(self) -> list[int]:
        """Indices of the source in the order in which they are targets."""
        return self._shuffled("targets")

    @cached_property
    def _deck(self) -> list[int]:
        """Indices of the source in the order in which they are dealt as companions and fillers."""
        return self._shuffled("deck")

    def _shuffled(self, what: str) -> list[int]:
        order = list(range(len(self.source)))
        Random(f"{self.name}/{self.seed}/{self.split}/{what}").shuffle(order)
        return order

    def _stream(self, number: int, rng: Random) -> Iterator[int]:
        """Indices of the source to try as targets: its own first, then any others, none twice."""
        count = len(self._order)
        stride = next(s for s in iter(lambda: rng.randint(1, max(1, count)), 0) if math.gcd(s, count) == 1)
        return (self._order[(number + step * stride) % count] for step in range(min(count, LOOKED_AT)))

    def _cores(self, stream: Iterator[int], count: int, tally: CollageTally) -> list[CollageCandidate]:
        """The next targets of different pictures; none where there are no more."""
        found: dict[str, CollageCandidate] = {}
        for index in stream:
            try:
                candidate = self._candidate(index)
                _check_target(candidate)
            except _Skipped as skipped:
                tally.skipped[str(skipped)] += 1
                continue
            found.setdefault(candidate.source.key, candidate)
            if len(found) == count:
                return list(found.values())
        return []

    def _pool(self, number: int, tally: CollageTally) -> list[CollageCandidate]:
        """The different pictures that the deck deals to a collage."""
        found: dict[str, CollageCandidate] = {}
        count = len(self._deck)
        for place in range(number * POOL, number * POOL + min(POOL, count)):
            try:
                candidate = self._candidate(self._deck[place % count])
                found.setdefault(candidate.source.key, candidate)
            except _Skipped as skipped:
                tally.skipped[str(skipped)] += 1
        return list(found.values())

    def _candidate(self, index: int) -> CollageCandidate:
        try:
            task: Task = self.source[index]
            if len(task.sources) != 1 or task.sources[0].duration is not None:
                raise _Skipped("not one picture")
            if task.sources[0].kind == "bytes":  # a record names it by its hash only, and could not be drawn again
                raise _Skipped("a picture that is in memory only")
            size = shared_store().size(task.sources[0])
        except (SuiteError, PictureError) as problem:
            raise _Skipped("cannot be read") from problem
        return CollageCandidate(
            task, TilePicture(*size, max((area(target.box) for target in task.targets), default=0.0))
        )

    # ── what comes out ──────────────────────────────────────────────────────────────────────────────────────────────

    def _laid_out(
        self, candidates: Sequence[CollageCandidate], cores: int, rng: Random, tally: CollageTally
    ) -> CollageLayout | None:
        """The first accepted canvas."""
        for _ in range(self.rules.attempts):
            try:
                layout = lay_out_collage([candidate.picture for candidate in candidates], cores, self.rules, rng)
            except Rejected as rejected:
                tally.rejected[rejected.reason] += 1
                continue
            if all(corners(layout, candidates)):
                return layout
            tally.rejected["label"] += 1
        return None

    def _origin(self, number: int, asked: Task) -> dict[str, Any]:
        source = {"task": asked.id, "suite": self.source.name, "version": self.source.version}
        return {
            "suite": self.name,
            "version": self.version,
            "split": self.split,
            "index": number,
            "seed": self.seed,
            "source": {**source, "split": self.source.split},
        }

    def _kept(self, file: Path) -> list[int]:
        """Numbers of the collages that a filter kept."""
        rows = JsonTable(file, lines=True)
        for index, row in enumerate(rows):
            identity = str(row.get("id"))
            if not identity.startswith(self.prefix) or not identity.removeprefix(self.prefix).isdigit():
                raise SuiteError(
                    f'{rows.where(index)}, field "id": expected {self.prefix}NUMBER, got {identity}; '
                    "it is of another suite, or of collages with other options"
                )
        return [int(row["id"].removeprefix(self.prefix)) for row in rows if row.get("kept", True)]


def _open(spec: str, split: str, options: Mapping[str, Any]) -> Suite:
    """The source, in the split of the same name if it has one, else in its first."""
    given = {**SYNTHETIC, **options} if spec == "synthetic" else dict(options)
    has: tuple[str, ...] = SUITES[parse_spec(spec)[0]].splits
    return make_suite(spec, split if split in has else has[0], **given)


def _check_target(candidate: CollageCandidate) -> None:
    """Raises `_Skipped` where a task cannot be what a collage asks about."""
    if not candidate.task.targets:
        raise _Skipped("no box")
    if candidate.picture.share >= MAX_TARGET_SHARE:
        raise _Skipped(f"a box of {MAX_TARGET_SHARE:.0%} of its picture or more")


def _range(name: str, value: str | float, unit: float = 1.0) -> tuple[float, float]:
    """Both ends of "3-12" or of 3, times `unit`."""
    low, _, high = str(value).partition("-")
    try:
        ends = (float(low) * unit, float(high or low) * unit)
    except ValueError:
        ends = (0.0, 0.0)
    if not 0 < ends[0] <= ends[1] < math.inf:
        raise ValueError(f'{name}: expected a number above 0 or a range like "3-12", got {value!r}')
    return ends


def _counts(name: str, value: str | int) -> tuple[int, int]:
    low, high = _range(name, value)
    if low != int(low) or high != int(high):
        raise ValueError(f'{name}: expected a whole number or a range like "4-6", got {value!r}')
    return (int(low), int(high))
