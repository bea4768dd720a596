"""Generates questions for human review from pictures with layouts, and builds a suite from the accepted questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from o3gym.bench.definition import Bench
from o3gym.registry import JUDGES, POLICIES
from o3gym.specs import parse_spec
from o3gym.suites.released.rows import JsonTable
from o3gym.synthesis.asking import AskedPolicy, Name, ReplyLedger, answered, asks_server, check_base_url
from o3gym.synthesis.files import write_rows
from o3gym.synthesis.journal import Journal
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
from o3gym.synthesis.questions.solving import StageProgress, unsolved
from o3gym.synthesis.questions.validation import FEWEST, normal, structural_flaw, wording_flaw
from o3gym.synthesis.selection_rules import NO_TOOL
from o3gym.types import Reply

REPLIES, CANDIDATES, TABLE, PAGE_FILE = "replies.jsonl", "candidates.jsonl", "review.csv", "review.html"
SUITE = "metadata.jsonl"
"""The file of rows that the suite `o3-bench` looks for in a folder."""
OVER_QUOTA = "no right choice, beyond a tenth of all"


@dataclass(frozen=True)
class QuestionRecipe:
    """Settings for generating questions.

    Attributes:
        captioner: the policy that takes notes of layouts.
        writer: the policy that writes questions from the notes.
        solvers: specs of policies that try the questions at first sight, without tools.
        solved: a question is kept if at most this many solvers solve it.
        count: questions requested per picture; 5 in the paper.
        layouts: pictures with fewer layouts are skipped; 8 for charts in the paper.
        picture: whether the writer sees the picture; in the paper it does not, so that it relies on the layouts.
        seed: seed of the order of options, of which questions without a right choice are kept, and of all sampling.
        caption_prompt, question_prompt: see `o3gym.synthesis.questions.prompts`.
        base_url: the server of those policies that are named openai and whose specs name none.
        judge: spec of the judge of the solvers' answers, or "" for the rules that fit each question.

    Raises:
        ValueError: a number does not fit, a solver occurs twice, or no policy would use the base URL.
        UnknownName: a solver or the judge does not exist.
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
    base_url: str = ""
    judge: str = ""

    def __post_init__(self) -> None:
        most = max(len(self.solvers) - 1, 0)
        if not 0 <= self.solved <= most:
            raise ValueError(f"solved: expected 0 to {most}, one less than there are solvers, got {self.solved}")
        self._check_names()
        if len(set(self.solvers)) < len(self.solvers):
            raise ValueError(f"solvers: expected different policies, got {', '.join(self.solvers)}")
        if self.count < 1 or self.layouts < FEWEST:
            raise ValueError(
                f"count and layouts: expected at least 1 and {FEWEST}, got {self.count} and {self.layouts}"
            )
        check_base_url(self.base_url, (self.captioner.spec, self.writer.spec, *self.solvers))

    def _check_names(self) -> None:
        """Looks up the names that are needed only after all captions and questions, which cost time and money."""
        for solver in self.solvers:
            POLICIES[parse_spec(solver)[0]]
        if self.judge:
            JUDGES[parse_spec(self.judge)[0]]

    def served(self, asker: AskedPolicy) -> AskedPolicy:
        """Returns the captioner or the writer with the recipe's server, unless it has one of its own."""
        return replace(asker, base_url=asker.base_url or self.base_url)

    def solver_benches(self) -> dict[str, Bench]:
        """Returns the benchmark of each solver, still without the questions."""
        return {
            solver: Bench(
                policies=(f"{solver}+{NO_TOOL}",),
                episodes=0,
                seed=self.seed,
                judge=self.judge,
                sampling=self.writer.sampling,
                base_url=self.base_url if asks_server(solver) else "",
            )
            for solver in self.solvers
        }


@dataclass
class QuestionTally:
    """Counts of everything that was made, skipped and rejected.

    Attributes:
        pictures, proposed, kept: number of pictures, of proposals and of questions that are kept.
        skipped: layouts and pictures about which nothing could be asked, by reason.
        rejected: proposals by reason; together with `kept` they add up to `proposed`.
        error: the error of the first policy that failed, or "".
    """

    pictures: int = 0
    proposed: int = 0
    kept: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    error: str = ""

    def failed(self, reply: Reply) -> bool:
        """Whether a reply is an error; the first error is remembered."""
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
    """Generates questions about pictures: the files `candidates.jsonl`, `review.csv` and `review.html` in `out`.

    Every reply is kept in `out` and never asked for again, so the same call continues a stopped one.

    Args:
        sheets: the pictures.
        recipe: how questions are generated.
        out: the folder; only one process at a time can write to it.
        progress: see `StageProgress`.
        retry: whether failed requests of earlier calls are repeated.

    Raises:
        RunError: `out` cannot be written, or another process writes to it.
        ValueError: `review.csv` has marks for other questions.
    """
    tally = QuestionTally(pictures=len(sheets))
    with Journal(out / REPLIES) as journal:
        ledger = ReplyLedger(journal, retry=retry)
        noted = _noted(sheets, recipe, ledger, tally, progress)
        rows = _written(noted, recipe, out, ledger, tally, progress)
    rows, rejected = unsolved(rows, recipe.solver_benches(), recipe.solved, out, recipe.writer.in_flight, progress)
    tally.rejected += rejected
    rows = _within_quota(rows, recipe.seed, tally)
    tally.kept = len(rows)
    write_review(out / TABLE, rows)
    write_rows(out / CANDIDATES, rows)
    write_page(out / PAGE_FILE, rows, TABLE)
    return tally


def finish_questions(out: Path, reviewed: Path, seed: int = 0) -> QuestionTally:
    """Writes the suite of the questions that the review keeps: `metadata.jsonl` in `out`, for "o3-bench:OUT".

    Args:
        out: the folder that `make_questions` wrote.
        reviewed: the table with the marks.
        seed: the seed of the recipe.

    Raises:
        SuiteError: a mark is bad; the message has file and row.
        ValueError: no question is left.
    """
    candidates = _candidate_rows(out / CANDIDATES)
    tally = QuestionTally(proposed=len(candidates))
    kept = read_review(reviewed, candidates)
    tally.rejected.update({"dropped by people": len(candidates) - len(kept)})
    rows = _within_quota(kept, seed, tally)
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
    """Returns the pictures with the notes of their layouts."""
    large = [sheet for sheet in sheets if len(sheet.layouts) >= recipe.layouts]
    tally.skipped.update({f"pictures with fewer than {recipe.layouts} layouts": len(sheets) - len(large)})
    asks = list(note_asks(large, recipe.caption_prompt))
    captioner = recipe.served(recipe.captioner)
    replies = answered(captioner, asks, ledger, lambda done: progress("captions", done, len(asks)))
    found = []
    for sheet in large:
        notes = _notes(sheet, replies, tally)
        if len(notes) > FEWEST:  # one of them is the note of the whole picture
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
    """Returns the rows of the proposals without flaws."""
    asks = [
        writer_ask(sheet, notes, recipe.question_prompt, recipe.count, picture=recipe.picture) for sheet, notes in noted
    ]
    writer = recipe.served(recipe.writer)
    replies = answered(writer, asks, ledger, lambda done: progress("questions", done, len(asks)))
    rows: list[QuestionRow] = []
    for sheet, notes in noted:
        reply = replies[writer_name(sheet)]
        proposals = [] if tally.failed(reply) else read_proposals(reply.text, recipe.count)
        if not proposals:
            tally.skipped[f"pictures whose questions {'failed' if reply.error else 'are no JSON'}"] += 1
        rows += _valid(sheet, notes, proposals, recipe.seed, out, tally)
    return rows


def _valid(
    sheet: LayoutSheet,
    notes: dict[str, Note],
    proposals: Sequence[Proposal],
    seed: int,
    out: Path,
    tally: QuestionTally,
) -> list[QuestionRow]:
    """Returns the rows of one picture's proposals without flaws; the others are counted by their flaw."""
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
        rows.append(question_row(sheet, shuffle_question(proposal, f"{seed}/{name}"), name, out))
    return rows


def _within_quota(rows: list[QuestionRow], seed: int, tally: QuestionTally) -> list[QuestionRow]:
    kept = within_quota(rows, seed)
    tally.rejected.update({OVER_QUOTA: len(rows) - len(kept)})
    return kept


def _candidate_rows(path: Path) -> list[QuestionRow]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected the folder that this command wrote before the review")
    return [dict(row) for row in JsonTable(path)]
