"""Region search of any pictures: find their layout, choose what is worth searching for, have it described.

What InSight-o3 trains its searcher with outside of the reasoner's loop (arXiv 2512.18745, appendix C.2). A folder:

    index.jsonl     one region search a line, as the suite `local` reads it; written whole at the end
    images/         the pictures of its rows
    journal.log     layouts and replies as they came; the same command goes on from there
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from o3gym.geometry import snap
from o3gym.media.images import PictureError, shared_store
from o3gym.synthesis.collages import INDEX
from o3gym.synthesis.describing import Describer, RegionCandidate, description
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page
from o3gym.synthesis.files import save, write_rows
from o3gym.synthesis.journal import Journal, key_of
from o3gym.synthesis.region_rules import choose

JOURNAL, IMAGES = "journal.log", "images"


@dataclass
class RegionTally:
    """What became of everything.

    Attributes:
        pages: pictures that were looked at.
        blocks: boxes that were detected in them.
        dropped: boxes that the rules left out, by reason.
        parts: boxes that the remaining regions were merged from.
        candidates: those regions.
        regions: rows that were written.
        skipped_pages: pictures without a candidate, by reason.
        skipped: candidates without a description, by reason.
    """

    pages: int = 0
    blocks: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    parts: int = 0
    candidates: int = 0
    regions: int = 0
    skipped_pages: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class LayoutFinder:
    """A detector and the spec that it was made of, which says whose layouts a journal has."""

    spec: str
    detector: Detector

    def blocks(self, page: Page, journal: Journal) -> tuple[Sequence[LayoutBlock], str]:
        """The layout of a picture and "", or nothing and why. A detector that raises skips the picture."""
        key = key_of("layout", self.spec, page.source.key, [[t.box, t.label] for t in page.targets])
        if (known := journal.get(key)) is not None:
            return [LayoutBlock(tuple(box), label, score) for box, label, score in known], ""
        try:
            found = [_plain(block) for block in self.detector.detect(page)]
        except PictureError:
            return (), "unreadable picture"
        except Exception as error:  # a model may trip over anything; the next picture is another one
            return (), f"the detector failed: {type(error).__name__}: {error}"[:200]
        journal.put(key, [[block.box, block.label, block.score] for block in found])
        return found, ""


def _plain(block: LayoutBlock) -> LayoutBlock:
    """A block of somebody's detector with plain numbers, such as a journal keeps."""
    x0, y0, x1, y1 = map(float, block.box)
    return LayoutBlock((x0, y0, x1, y1), str(block.label), float(block.score))


def make_regions(
    pages: Sequence[Page],
    finder: LayoutFinder,
    describer: Describer,
    out: Path,
    progress: Callable[[int], None] | None = None,
) -> RegionTally:
    """Write the region searches of some pictures into a folder, or go on with a folder that was begun.

    Args:
        pages: the pictures.
        finder: finds their layouts.
        describer: describes regions.
        out: the folder.
        progress: called with the number of pictures whose layout is known.

    Returns:
        What became of pictures, boxes and regions, those of earlier calls included.

    Raises:
        ValueError: the policy cannot describe pictures.
        RunError: another process writes the folder, or it cannot be written.
    """
    tally, rows = RegionTally(), {}
    order = {page.name: number for number, page in enumerate(pages)}
    policy = describer.open()
    try:
        with Journal(out / JOURNAL) as journal:
            candidates = _candidates(pages, finder, journal, tally, progress)
            for candidate, reply in describer.replies(policy, candidates, journal):
                said, reason = description(reply)
                if reason:
                    tally.skipped[f"{reason}: {reply.error}" if reply.error else reason] += 1
                else:
                    row = _row(candidate, said, finder, describer, out)
                    rows[order[candidate.page.name], candidate.number] = row
            tally.regions = len(rows)
            write_rows(out / INDEX, [rows[place] for place in sorted(rows)])
    finally:
        policy.close()
    return tally


def _candidates(
    pages: Sequence[Page],
    finder: LayoutFinder,
    journal: Journal,
    tally: RegionTally,
    progress: Callable[[int], None] | None,
) -> Iterator[RegionCandidate]:
    """The regions of all pictures, found when they are asked for."""
    for count, page in enumerate(pages, 1):
        yield from _found(page, finder, journal, tally)
        if progress is not None:
            progress(count)


def _found(page: Page, finder: LayoutFinder, journal: Journal, tally: RegionTally) -> Iterator[RegionCandidate]:
    tally.pages += 1
    try:
        width, height = shared_store().size(page.source)
    except PictureError:
        tally.skipped_pages["unreadable picture"] += 1
        return
    blocks, reason = finder.blocks(page, journal)
    regions, dropped = choose(blocks, width / height)
    tally.blocks += len(blocks)
    tally.dropped += dropped
    tally.candidates += len(regions)
    tally.parts += sum(len(region.parts) for region in regions)
    if not regions:
        tally.skipped_pages[reason or ("no box is left" if blocks else "nothing detected")] += 1
    for number, region in enumerate(regions):
        yield RegionCandidate(page, region, number)


def _row(
    candidate: RegionCandidate, said: str, finder: LayoutFinder, describer: Describer, out: Path
) -> dict[str, Any]:
    """A line of the index; its picture is saved, its box in whole pixels."""
    page, region = candidate.page, candidate.region
    box = list(snap(region.box, shared_store().size(page.source)))
    return {
        "question_id": candidate.name,
        "image": f"{IMAGES}/{save(page.source, out / IMAGES)}",
        "question": said,
        "boxes": [{"box": box, "label": said}],
        "category": region.label,
        "origin": {
            "picture": page.name,
            "detector": finder.spec,
            "policy": describer.spec,
            "merged": [part.label for part in region.parts],
        },
    }
