"""From pictures with layouts to questions for people to read, and from their marks to a suite. Everything goes on."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from o3gym.bench.run import Bench
from o3gym.codec import encode
from o3gym.registry import POLICIES, parse_spec
from o3gym.suites.released.rows import JsonTable
from o3gym.synthesis.difficulty import CONTROL, Filter, write_filter
from o3gym.synthesis.files import write_rows
from o3gym.synthesis.questions.asking import AskedPolicy, Name, ReplyLedger, answered
from o3gym.synthesis.questions.notes import PAGE, Note, note_asks, note_name, notes_of
from o3gym.synthesis.questions.page import write_page
from o3gym.synthesis.questions.prompts import CAPTION, QUESTIONS
from o3gym.synthesis.questions.proposals import Proposal, read_proposals, writer_ask, writer_name
from o3gym.synthesis.questions.review import read_review, write_review
from o3gym.synthesis.questions.rows import (
    QuestionRow,
    file_name,
    identity,
    question_row,
    shuffle_question,
    within_quota,
)
from o3gym.synthesis.questions.sheets import LayoutSheet
from o3gym.synthesis.questions.validation import FEWEST, normal, structural_flaw, wording_flaw
from o3gym.types import Reply

REPLIES, CANDIDATES, TABLE, PAGE_FILE = "replies.jsonl", "candidates.jsonl", "review.csv", "review.html"
SUITE = "metadata.jsonl"
"""The file of rows that the suite `o3-bench` looks for in a folder."""
OVER_QUOTA = "no right choice, beyond a tenth of all"

StageProgress: TypeAlias = Callable[[str, int, int], None]
"""Called with (what is going on, how many of it are done, how many there are)."""


@dataclass(frozen=True)
class QuestionRecipe:
    """How questions are made.

    Attributes:
        captioner, writer: who takes notes of layouts, and who writes questions from them.
        solvers: specs of policies that try the questions with the picture at first sight and no tools.
        solved: a question is kept when at most so many of them solve it.
        count: questions asked for per picture; the paper's is 5.
        layouts: pictures with fewer are skipped; the paper's is 8 for charts.
        picture: whether the writer sees the picture; in the paper it does not, so that it keeps to the layouts.
        seed: of the order of options, of which questions without a right choice stay, and of all sampling.
        caption_prompt, question_prompt: see `o3gym.synthesis.questions.prompts`.

    Raises:
        ValueError: a number does not fit, or a solver comes twice; `UnknownName` for one that there is not.
    """

    captioner: AskedPolicy
    writer: AskedPolicy
    solvers: tuple[str, ...] = ()
    solved: int = 0
    count: int = 5
    layouts: int = FEWEST
    picture: bool = False
    seed: int = 0
    caption_prompt: str = CAPTION
    question_prompt: str = QUESTIONS

    def __post_init__(self) -> None:
        most = max(len(self.solvers) - 1, 0)
        if not 0 <= self.solved <= most:
            raise ValueError(f"solved: expected 0 to {most}, one less than there are solvers, got {self.solved}")
        for solver in self.solvers:  # a bad name must not wait for captions and questions
            POLICIES[parse_spec(solver)[0]]
        if len(set(self.solvers)) < len(self.solvers):
            raise ValueError(f"solvers: expected different policies, got {', '.join(self.solvers)}")
        if self.count < 1 or self.layouts < FEWEST:
            raise ValueError(
                f"count and layouts: expected at least 1 and {FEWEST}, got {self.count} and {self.layouts}"
            )


@dataclass
class QuestionTally:
    """What became of everything.

    Attributes:
        pictures, proposed, kept: how many there were.
        skipped: layouts and pictures that nothing could be asked about, by reason.
        rejected: proposals by reason; with `kept` they add up to `proposed`.
        error: of the first policy that failed, "" if none did.
    """

    pictures: int = 0
    proposed: int = 0
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    error: str = ""

    def failed(self, reply: Reply) -> bool:
        """Whether a reply is an error, which is remembered."""
        self.error = self.error or reply.error
        return bool(reply.error)


def make_questions(
    sheets: Sequence[LayoutSheet],
    recipe: QuestionRecipe,
    out: Path,
    progress: StageProgress = lambda *_: None,
    *,
    retry: bool = False,
) -> QuestionTally:
    """Make questions about pictures: the files `candidates.jsonl`, `review.csv` and `review.html` in `out`.

    What was asked is kept in `out` and never asked again, so the same call goes on where it was stopped.

    Args:
        sheets: the pictures.
        recipe: how.
        out: folder; one process at a time.
        progress: see `StageProgress`.
        retry: whether what failed before is asked again.

    Raises:
        RunError: `out` cannot be written, or another process writes it.
        ValueError: `review.csv` has marks for other questions.
    """
    tally = QuestionTally(pictures=len(sheets))
    with ReplyLedger(out / REPLIES, retry=retry) as ledger:
        rows = _written(_noted(sheets, recipe, ledger, tally, progress), recipe, out, ledger, tally, progress)
    rows = _quota(_unsolved(rows, recipe, out, tally, progress), recipe.seed, tally)
    tally.kept = len(rows)
    write_review(out / TABLE, rows)
    write_rows(out / CANDIDATES, rows)
    write_page(out / PAGE_FILE, rows, TABLE)
    return tally


def finish_questions(out: Path, reviewed: Path, seed: int = 0) -> QuestionTally:
    """Write the suite of what people kept: `metadata.jsonl` in `out`, for "o3-bench:OUT".

    Args:
        out: folder that `make_questions` wrote.
        reviewed: the table with their marks.
        seed: as of `make_questions`.

    Raises:
        SuiteError: a mark is bad; the message has file and row.
        ValueError: nothing is left.
    """
    candidates = _rows(out / CANDIDATES)
    tally = QuestionTally(proposed=len(candidates))
    kept = read_review(reviewed, candidates)
    tally.rejected.update({"dropped by people": len(candidates) - len(kept)})
    rows = _quota(kept, seed, tally)
    tally.kept = len(rows)
    if not rows:
        raise ValueError(f"{reviewed}: no question is kept, so there is no suite to write")
    write_rows(out / SUITE, rows)
    return tally


def _noted(
    sheets: Sequence[LayoutSheet],
    recipe: QuestionRecipe,
    ledger: ReplyLedger,
    tally: QuestionTally,
    progress: StageProgress,
) -> list[tuple[LayoutSheet, dict[str, Note]]]:
    """Pictures with the notes of their layouts."""
    large = [sheet for sheet in sheets if len(sheet.layouts) >= recipe.layouts]
    tally.skipped.update({f"pictures with fewer than {recipe.layouts} layouts": len(sheets) - len(large)})
    asks = list(note_asks(large, recipe.caption_prompt))
    replies = answered(recipe.captioner, asks, ledger, lambda done: progress("captions", done, len(asks)))
    found = []
    for sheet in large:
        notes = _notes(sheet, replies, tally)
        if len(notes) > FEWEST:  # that of the whole is among them
            found.append((sheet, notes))
        else:
            tally.skipped[f"pictures with fewer than {FEWEST} captions of layouts"] += 1
    return found


def _notes(sheet: LayoutSheet, replies: Mapping[Name, Reply], tally: QuestionTally) -> dict[str, Note]:
    notes = notes_of(sheet, replies)
    for layout in (PAGE, *sheet.ids):
        what = "captions of layouts" if layout else "captions of whole pictures"
        if tally.failed(replies[note_name(sheet, layout)]):
            tally.skipped[f"{what} that failed"] += 1
        elif layout not in notes:
            tally.skipped[f"{what} that are empty"] += 1
    return notes


def _written(
    noted: Sequence[tuple[LayoutSheet, dict[str, Note]]],
    recipe: QuestionRecipe,
    out: Path,
    ledger: ReplyLedger,
    tally: QuestionTally,
    progress: StageProgress,
) -> list[QuestionRow]:
    """Rows of the proposals without flaws."""
    asks = [
        writer_ask(sheet, notes, recipe.question_prompt, recipe.count, picture=recipe.picture) for sheet, notes in noted
    ]
    replies = answered(recipe.writer, asks, ledger, lambda done: progress("questions", done, len(asks)))
    rows: list[QuestionRow] = []
    for sheet, notes in noted:
        reply = replies[writer_name(sheet)]
        proposals = [] if tally.failed(reply) else read_proposals(reply.text, recipe.count)
        if not proposals:
            tally.skipped[f"pictures whose questions {'failed' if reply.error else 'are no JSON'}"] += 1
        rows += _valid(sheet, notes, proposals, recipe, out, tally)
    return rows


def _valid(
    sheet: LayoutSheet,
    notes: dict[str, Note],
    proposals: Sequence[Proposal],
    recipe: QuestionRecipe,
    out: Path,
    tally: QuestionTally,
) -> list[QuestionRow]:
    rows: list[QuestionRow] = []
    asked: set[str] = set()
    ids = [layout for layout in notes if layout != PAGE]
    for proposal in proposals:
        tally.proposed += 1
        flaw = structural_flaw(proposal, ids) or wording_flaw(proposal, notes)
        flaw = flaw or ("asked already" if normal(proposal.question) in asked else "")
        if flaw:
            tally.rejected[flaw] += 1
            continue
        asked.add(normal(proposal.question))
        name = identity(file_name(sheet, out), proposal)
        rows.append(question_row(sheet, shuffle_question(proposal, f"{recipe.seed}/{name}"), name, out))
    return rows


def _unsolved(
    rows: list[QuestionRow], recipe: QuestionRecipe, out: Path, tally: QuestionTally, progress: StageProgress
) -> list[QuestionRow]:
    """Rows that few enough solvers solve; who failed to reply may have solved it."""
    if not rows or not recipe.solvers:
        return rows
    file = out / f"proposed-{_digest(rows)}.jsonl"
    write_rows(file, rows)
    found = [_tried(solver, file, recipe, progress) for solver in recipe.solvers]
    kept = []
    for number, row in enumerate(rows):
        passes = sum(tries[number]["passes"] for tries in found)
        failed = sum(tries[number].get("failed", 0) for tries in found)
        if passes + failed <= recipe.solved:
            kept.append(row)
        else:
            why = "solved by too many" if passes > recipe.solved else "a solver failed, so it may be solved by too many"
            tally.rejected[why] += 1
    return kept


def _tried(solver: str, file: Path, recipe: QuestionRecipe, progress: StageProgress) -> Sequence[Mapping[str, Any]]:
    """What the difficulty filter says of each row of a file: one run for each solver, so another asks no one twice.

    A run is of exactly these rows and settings, so its name has their hash.
    """
    bench = Bench(
        suite="o3-bench",
        suite_args={"data": str(file)},
        policies=(f"{solver}+{CONTROL}",),
        episodes=0,
        seed=recipe.seed,
        sampling=recipe.writer.sampling,
    )
    told = file.with_name(f"solved-{_digest([file.name, solver, encode(bench)])}.jsonl")
    write_filter(bench, Filter(k=1), told, progress, recipe.writer.in_flight)
    return JsonTable(told)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]


def _quota(rows: list[QuestionRow], seed: int, tally: QuestionTally) -> list[QuestionRow]:
    kept = within_quota(rows, seed)
    tally.rejected.update({OVER_QUOTA: len(rows) - len(kept)})
    return kept


def _rows(path: Path) -> list[QuestionRow]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the folder that this command wrote before the review")
    return [dict(row) for row in JsonTable(path)]
