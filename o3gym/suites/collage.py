"""`collage`: many pictures on one canvas, and a question about a small box in one of them (InSight-o3, appendix C.1).

Any suite with boxes can be the source: `collage` (synthetic scenes), `collage:local:photos/index.jsonl`,
`collage:visual-cot`. Each collage has its own random stream, so it can be generated on its own and is the same in every
process.
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
from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.registry import SUITES
from o3gym.specs import parse_spec
from o3gym.suites.base import BadTask, SelectedTasks, Suite, SuiteError, make_suite
from o3gym.suites.collages.composing import CollageCandidate, composed, corners
from o3gym.suites.collages.placement import CollageLayout, PlacementRules, Rejected, TilePicture, lay_out_collage
from o3gym.suites.collages.tally import CollageTally, reasons
from o3gym.types import Task

MAX_TARGET_SHARE = 0.04
"""A target box must cover less than this share of its own picture (paper)."""
POOL = 48
"""Number of pictures dealt to a collage, from which companions and fillers are chosen."""
LOOKED_AT = 1000
"""Maximum number of source tasks that are tried as targets of one collage."""
GIVEN_UP = 100
"""Maximum number of targets that may fail for one collage."""
SYNTHETIC: Mapping[str, Any] = {"family": "attribute+relation", "difficulty": "easy", "pixels": 500_000}
"""Options of the synthetic suite as a source. Its tasks stay legible at the smallest scale that placement may use."""


class _Skipped(Exception):  # noqa: N818 - not an error
    """A source task that cannot be used; the text gives the reason."""


class Collage(Suite):
    """Tasks of another suite, with the picture of each among others on one canvas, where its target box is tiny.

    Tiles are labelled "Image 1", "Image 2", … in reading order, and the question names its tile. Answer, options and
    kind are those of the source task, and targets are its boxes, mapped exactly. `origin` contains the source task, the
    tile's number (`tile`) and box (`tile_box`, unit xyxy of the canvas), and all cores with their questions.

    All pictures of the source form a deck that is dealt to the collages, so that each picture is offered as companion
    or filler equally often. Within a collage, a picture is repeated only where no other fits. The paper instead weights
    pictures by global usage counts, which would make a collage depend on all earlier ones.

    Args:
        argument: spec of the source, without options; "" for the synthetic suite.
        split: "test" or "train". The source is opened in the same split if it has it. The splits use different random
            streams in any case.
        source_args: options of the source, such as {"data": "/data/visual-cot"}. For the synthetic suite, they override
            the defaults in `SYNTHETIC`.
        n: number of collages; 0 for the number of tasks in the source.
        seed: seed of all random choices.
        megapixels: range of the canvas area in millions of pixels, such as "3-12".
        tiles: see `PlacementRules`; a number or a range such as "4-6".
        cores: see `PlacementRules`; a number or a range such as "4-6".
        share: largest share of the canvas that a target box may cover.

    Raises:
        BadTask: from `task`, if no task of the source could be placed; the message counts the reasons.
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
                f"n and share: expected a whole number from 0 up and a share between 0 and 1, got {n!r}, {share!r}"
            )
        self._n, self.seed = n, seed
        about = [self.source.name, Path(self.source.argument).name, self.source.split, seed, asdict(self.rules)]
        options = {key: value for key, value in (source_args or {}).items() if key not in ("data", "images", "only")}
        listed = [self.source.digest] if isinstance(self.source, SelectedTasks) else []
        settings = json.dumps([*about, options, *listed], sort_keys=True)
        self.prefix = f"{self.name}/{split}/{hashlib.sha256(settings.encode()).hexdigest()[:8]}/"
        self.warnings = self.source.warnings
        self.opened_files = self.source.opened_files

    def __len__(self) -> int:
        return self._n or len(self.source)

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds of the source."""
        return self.source.kinds

    def fingerprint(self) -> dict[str, str]:
        """The digests of the source's files."""
        return self.source.fingerprint()

    def task(self, index: int) -> Task:
        """Lay out the collage at `index` without drawing it."""
        return self.trial(index)[0]

    def trial(self, index: int) -> tuple[Task, CollageTally]:
        """The task at `index`, and a tally of the attempts to make it. Raises `BadTask`."""
        rng = Random(f"{self.name}/{self.seed}/{self.split}/{index}")
        tally = CollageTally(accepted=1)
        stream = self._stream(index, rng)
        pool = self._pool(index, tally)
        while tally.given_up < GIVEN_UP and (cores := self._next_cores(stream, rng.randint(*self.rules.cores), tally)):
            keys = {core.source.key for core in cores}
            pictures = [*cores, *(other for other in pool if other.source.key not in keys)]
            layout = self._lay_out(pictures, len(cores), rng, tally)
            if layout is not None:
                origin = self._origin(index, cores[0].task)
                return composed(f"{self.prefix}{index}", origin, pictures, layout), tally
            tally = replace(tally, given_up=tally.given_up + 1)
        reason = f"no task of {self.source.name} could be placed ({reasons(tally)})"
        raise BadTask(f"{self.prefix.rstrip('/')}, number {index}", "source", reason)

    # ── choosing pictures ───────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _order(self) -> list[int]:
        """Source indices in the order in which they become targets."""
        return self._shuffled("targets")

    @cached_property
    def _deck(self) -> list[int]:
        """Source indices in the order in which they are dealt as companions and fillers."""
        return self._shuffled("deck")

    def _shuffled(self, purpose: str) -> list[int]:
        order = list(range(len(self.source)))
        Random(f"{self.name}/{self.seed}/{self.split}/{purpose}").shuffle(order)
        return order

    def _stream(self, number: int, rng: Random) -> Iterator[int]:
        """Source indices to try as targets of a collage: its own first, then others, each at most once."""
        # A random stride that is coprime to the count visits every index once without storing a permutation.
        count = len(self._order)
        stride = next(s for s in iter(lambda: rng.randint(1, max(1, count)), 0) if math.gcd(s, count) == 1)
        return (self._order[(number + step * stride) % count] for step in range(min(count, LOOKED_AT)))

    def _next_cores(self, stream: Iterator[int], count: int, tally: CollageTally) -> list[CollageCandidate]:
        """The next `count` targets in different pictures; empty if fewer are left."""
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
        """The distinct pictures that the deck deals to a collage."""
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
            if task.sources[0].kind == "bytes":  # a stored task has only its hash, so it could not be drawn again
                raise _Skipped("a picture that is in memory only")
            size = shared_store().size(task.sources[0])
        except (SuiteError, PictureError) as problem:
            raise _Skipped("cannot be read") from problem
        return CollageCandidate(
            task, TilePicture(*size, max((area(target.box) for target in task.targets), default=0.0))
        )

    # ── laying out ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _lay_out(
        self, candidates: Sequence[CollageCandidate], cores: int, rng: Random, tally: CollageTally
    ) -> CollageLayout | None:
        """The first accepted canvas, or None if all attempts were rejected."""
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


def _open(spec: str, split: str, options: Mapping[str, Any]) -> Suite:
    """Open the source in the split of that name, or in its first split if it has none of that name."""
    source_options = {**SYNTHETIC, **options} if spec == "synthetic" else dict(options)
    splits: tuple[str, ...] = SUITES[parse_spec(spec)[0]].splits
    return make_suite(spec, split if split in splits else splits[0], **source_options)


def _check_target(candidate: CollageCandidate) -> None:
    """Raise `_Skipped` if a task cannot be the target of a collage."""
    if not candidate.task.targets:
        raise _Skipped("no box")
    if candidate.picture.share >= MAX_TARGET_SHARE:
        raise _Skipped(f"a box of {MAX_TARGET_SHARE:.0%} of its picture or more")


def _range(name: str, value: str | float, unit: float = 1.0) -> tuple[float, float]:
    """Parse a range such as "3-12", or a number, into both ends, in multiples of `unit`."""
    low, _, high = str(value).partition("-")
    try:
        ends = (float(low) * unit, float(high or low) * unit)
    except ValueError:
        ends = (0.0, 0.0)  # fails the check below
    if not 0 < ends[0] <= ends[1] < math.inf:
        raise ValueError(f'{name}: expected a number above 0 or a range like "3-12", got {value!r}')
    return ends


def _counts(name: str, value: str | int) -> tuple[int, int]:
    low, high = _range(name, value)
    if low != int(low) or high != int(high):
        raise ValueError(f'{name}: expected a whole number or a range like "4-6", got {value!r}')
    return (int(low), int(high))
