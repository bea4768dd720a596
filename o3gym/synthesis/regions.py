"""Region searches from any pictures: detects their layout, chooses regions worth a search, and has them described.

This is the out-of-loop training data of InSight-o3's searcher (arXiv 2512.18745, appendix C.2). The output folder:

    index.jsonl     one region search per line, in the format of the suite `local`; written whole at the end
    images/         the pictures of its rows
    journal.log     layouts and replies as they arrived, from which the same command resumes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from o3gym.geometry import snap
from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.synthesis.asking import AskedPolicy, Inquiry, Name, ReplyLedger, check_base_url, stream_replies
from o3gym.synthesis.collages import INDEX
from o3gym.synthesis.describing import RegionCandidate, description, region_inquiry
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page
from o3gym.synthesis.files import save, write_rows
from o3gym.synthesis.journal import Journal, key_of
from o3gym.synthesis.region_rules import choose

JOURNAL, IMAGES = "journal.log", "images"


@dataclass
class RegionTally:
    """Counts of everything that was found, dropped and skipped.

    Attributes:
        pages: pictures.
        blocks: boxes detected in them.
        dropped: boxes that the rules dropped, by reason.
        parts: boxes that the remaining regions were merged from.
        candidates: the remaining regions.
        regions: rows written.
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
    """A detector together with its spec, under which a journal keeps the layouts."""

    spec: str
    detector: Detector

    def blocks(self, page: Page, journal: Journal) -> tuple[Sequence[LayoutBlock], str]:
        """Returns (blocks, ""), or (nothing, reason): a detector that raises skips the picture."""
        key = key_of("layout", self.spec, page.source.key, [[t.box, t.label] for t in page.targets])
        if (known := journal.get(key)) is not None:
            return [LayoutBlock(tuple(box), label, score) for box, label, score in known], ""
        try:
            found = [_plain(block) for block in self.detector.detect(page)]
        except PictureError:
            return (), "unreadable picture"
        except Exception as error:  # a detector can fail in any way on one picture and still work on the next
            return (), f"the detector failed: {type(error).__name__}: {error}"[:200]
        journal.put(key, [[block.box, block.label, block.score] for block in found])
        return found, ""


def _plain(block: LayoutBlock) -> LayoutBlock:
    """Converts the numbers of a block, which a plug-in detector may give as NumPy's, to those that JSON can hold."""
    x0, y0, x1, y1 = map(float, block.box)
    return LayoutBlock((x0, y0, x1, y1), str(block.label), float(block.score))


def make_regions(
    pages: Sequence[Page],
    finder: LayoutFinder,
    describer: AskedPolicy,
    out: Path,
    progress: Callable[[int], None] | None = None,
) -> RegionTally:
    """Writes the region searches of some pictures into a folder. Resumable: the same call continues a stopped one.

    Args:
        pages: the pictures.
        finder: finds their layouts.
        describer: describes regions.
        out: the folder; only one process at a time can write to it.
        progress: called with the number of pictures whose layout is known.

    Returns:
        Counts that include the work of earlier calls.

    Raises:
        ValueError: there is a base URL, but the policy asks no server.
        RunError: another process writes to the folder, or it cannot be written.
    """
    check_base_url(describer.base_url, [describer.spec])
    tally = RegionTally()
    rows: dict[tuple[int, int], dict[str, Any]] = {}
    order = {page.name: number for number, page in enumerate(pages)}
    asked: dict[Name, RegionCandidate] = {}
    with Journal(out / JOURNAL) as journal:
        inquiries = _inquiries(describer, _candidates(pages, finder, journal, tally, progress), asked)
        ledger = ReplyLedger(journal, retry=True)  # the next call asks again what a server failed to answer
        with closing(stream_replies(describer, inquiries, ledger)) as replies:
            for inquiry, reply in replies:
                candidate = asked.pop(inquiry.name)
                text, reason = description(reply)
                if reason:
                    tally.skipped[f"{reason}: {reply.error}" if reply.error else reason] += 1
                else:
                    row = _row(candidate, text, finder, describer, out)
                    rows[order[candidate.page.name], candidate.number] = row
        tally.regions = len(rows)
        write_rows(out / INDEX, [rows[place] for place in sorted(rows)])
    return tally


def _inquiries(
    describer: AskedPolicy, candidates: Iterator[RegionCandidate], asked: dict[Name, RegionCandidate]
) -> Iterator[Inquiry]:
    """Yields the inquiry of each candidate, and puts the candidate into `asked` by the inquiry's name."""
    for candidate in candidates:
        inquiry = region_inquiry(describer, candidate)
        asked[inquiry.name] = candidate
        yield inquiry


def _candidates(
    pages: Sequence[Page],
    finder: LayoutFinder,
    journal: Journal,
    tally: RegionTally,
    progress: Callable[[int], None] | None,
) -> Iterator[RegionCandidate]:
    """Yields the regions of all pictures; a layout is found only when its first region is asked for."""
    for count, page in enumerate(pages, 1):
        yield from _candidates_of(page, finder, journal, tally)
        if progress is not None:
            progress(count)


def _candidates_of(page: Page, finder: LayoutFinder, journal: Journal, tally: RegionTally) -> Iterator[RegionCandidate]:
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
    candidate: RegionCandidate, text: str, finder: LayoutFinder, describer: AskedPolicy, out: Path
) -> dict[str, Any]:
    """Saves the picture of a region and returns the region's row of the index, its box in whole pixels."""
    page, region = candidate.page, candidate.region
    box = list(snap(region.box, shared_store().size(page.source)))
    return {
        "question_id": candidate.name,
        "image": f"{IMAGES}/{save(page.source, out / IMAGES)}",
        "question": text,
        "boxes": [{"box": box, "label": text}],
        "category": region.label,
        "origin": {
            "picture": page.name,
            "detector": finder.spec,
            "policy": describer.spec,
            "merged": [part.label for part in region.parts],
        },
    }
