"""Writes episodes with code as rows in the released form of Thyme's supervised data.

A row has a list of pictures, a question, and one response that holds code and its outputs; see
`o3gym.train.data.thyme_sft`, which reads them. The splits are those of Kwai-Keye/Thyme-SFT: a single round of code that
works on a picture, two rounds of which the second one mends an error of the first, and computation, which is code that
shows no picture.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from o3gym.append_log import replacing, write_whole
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.policies.dialogue import Message, Picture
from o3gym.registry import require
from o3gym.runs.store import open_run
from o3gym.specs import parse_spec
from o3gym.suites.released.table import SURROGATE
from o3gym.synthesis.files import encoded_bytes
from o3gym.synthesis.traces.sieve import outcome_flaw
from o3gym.synthesis.traces.writing import REPORT, check_folders
from o3gym.train.data.demonstrations import dialogue_of, encodable, has_surrogate
from o3gym.train.data.dialogues import PLACE, png
from o3gym.train.data.thyme_sft import CLOSING, OPENING, THYME_SFT_COLUMNS
from o3gym.types import FULL, Source, Trajectory, View

SINGLE_ROUND, TWO_ROUNDS, COMPUTATION = "wo_thinking_thyme_single_round", "2round", "computation"
THYME_SPLITS = (SINGLE_ROUND, TWO_ROUNDS, COMPUTATION)
"""The splits, by which the names of their files begin."""
LONGEST_RESPONSE = 100_000
"""Maximum number of characters of a response (ours): more than ten times the context of Thyme's training."""
FILE_NAME = "{}-00000-of-00001.parquet"
"""The name of a split's file."""


class NoRowError(ValueError):
    """An episode makes no row; the message says why, in words that do not depend on the episode."""


@dataclass
class ThymeTally:
    """Counts of what became of the episodes of a run.

    Attributes:
        played: number of episodes of the run.
        rows: numbers of rows, by split.
        rejected: numbers of episodes that make no row, by reason.
        replaced: number of rows in which U+FFFD stands for lone surrogates.
    """

    played: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    replaced: int = 0

    @property
    def kept(self) -> int:
        """Number of rows."""
        return self.rows.total()

    def report(self) -> dict[str, Any]:
        """Returns the counts as JSON values."""
        counts = {"rows": dict(self.rows), "rejected": dict(self.rejected), "replaced": self.replaced}
        return {"command": "thyme", "played": self.played, "kept": self.kept, **counts}


def write_thyme_rows(folder: Path, out: Path) -> ThymeTally:
    """Writes a parquet file per split, and the counts as `REPORT`. A split without rows has no file.

    Everything follows from the run, so that the same call writes the same files.
    """
    check_folders(folder, out)
    tally = thyme_rows(folder, out)
    write_whole(out / REPORT, (json.dumps(tally.report(), indent=2) + "\n").encode())
    return tally


def thyme_rows(folder: Path, out: Path | None) -> ThymeTally:
    """Makes a row of every episode of a run that fits the form, and counts the others by reason.

    Args:
        folder: the run.
        out: folder of the files; None only counts.
    """
    run, tally = open_run(folder), ThymeTally()
    prompt = run.protocol.get("prompt_file")
    options = {"prompt_file": prompt} if prompt else {}
    with ExitStack() as stack:
        writers: dict[str, Any] = {}
        for trajectory in run:
            tally.played += 1
            try:
                split = split_of(trajectory)
                row, replaced = row_of(trajectory, make_dialect(trajectory.dialect, **options))
            except NoRowError as error:
                tally.rejected[str(error)] += 1
                continue
            tally.rows[split] += 1
            tally.replaced += replaced
            if out is not None:
                if split not in writers:
                    writers[split] = _writer(stack, out / FILE_NAME.format(split))
                _write(writers[split], row)
    if out is not None:
        for split in set(THYME_SPLITS) - set(tally.rows):
            (out / FILE_NAME.format(split)).unlink(missing_ok=True)  # of an earlier run
    return tally


def split_of(trajectory: Trajectory) -> str:
    """Returns the split that an episode belongs to.

    Raises:
        NoRowError: it belongs to none.
    """
    if flaw := outcome_flaw(trajectory):
        raise NoRowError(flaw)
    if parse_spec(trajectory.dialect)[0] != "thyme":
        raise NoRowError("another dialect than thyme")
    rounds = [turn for turn in trajectory.turns if turn.parsed.call.tool == "code"]
    if not rounds:
        raise NoRowError("no code")
    if len(rounds) != len(trajectory.turns) - 1:
        raise NoRowError("a reply without code before the answer")
    if len(rounds) > 2:
        raise NoRowError("more than two rounds of code")
    if not all(turn.parsed.well_formed for turn in trajectory.turns):
        raise NoRowError("a reply that is not well-formed")
    if rounds[-1].error:
        raise NoRowError("an error that is not corrected")
    if len(rounds) == 2:
        if not rounds[0].error:
            raise NoRowError("two rounds without an error")
        return TWO_ROUNDS
    return SINGLE_ROUND if rounds[0].views else COMPUTATION


def row_of(trajectory: Trajectory, dialect: Dialect) -> tuple[dict[str, Any], bool]:
    """Returns the row of an episode, and whether U+FFFD stands for lone surrogates in it.

    A text that happens to hold the placeholder of pictures is changed, since the form has no escape (`<image >`); tags
    of outputs inside an output are disarmed by the dialect.

    Raises:
        NoRowError: the form cannot hold the episode.
    """
    messages = dialogue_of(trajectory, dialect)
    texts = [message.parts for message in messages[1:]]
    replaced = any(map(has_surrogate, (part for parts in texts for part in parts)))
    replaced |= SURROGATE.search(trajectory.task.text) is not None
    question = SURROGATE.sub("\ufffd", trajectory.task.text)
    if not question.strip():
        raise NoRowError("no question")
    given = sum(isinstance(part, Picture) for part in messages[1].parts)
    places = PLACE * given if given > 1 else ""
    row = {
        "image": [_image(trajectory, part.view) for parts in texts for part in parts if isinstance(part, Picture)],
        "question": places + _escaped(question),
        "response": _response(encodable(messages[2:])),
    }
    return row, replaced


def _response(messages: Sequence[Message]) -> str:
    """Joins the replies and the outputs of an episode."""
    pieces: list[str] = []
    for number, message in enumerate(messages):
        if message.role == "inline":
            text = "".join(PLACE if isinstance(part, Picture) else _escaped(part) for part in message.parts)
            if (text.count(OPENING), text.count(CLOSING)) != (1, 1) or not text.startswith(OPENING):
                raise NoRowError("an output that has no form")
            pieces.append(text)
            continue
        if message.role != "assistant":
            raise NoRowError("a reply that does not stop at its code")
        text = message.text
        if any(mark in text for mark in (OPENING, CLOSING, PLACE)):
            raise NoRowError("a reply with tags of outputs or pictures")
        # White space behind the code belongs to the output when the row is read.
        pieces.append(text.rstrip() if number < len(messages) - 1 else text)
    response = "".join(pieces)
    if len(response) > LONGEST_RESPONSE:
        raise NoRowError(f"a response of more than {LONGEST_RESPONSE} characters")
    return response


def _escaped(text: str) -> str:
    return text.replace(PLACE, "<image >")


def _image(trajectory: Trajectory, view: View) -> str:
    """Returns a view in its native size, to which the coordinates in code refer, as base64 text."""
    source = trajectory.sources[view.source]
    try:
        data = encoded_bytes(source) if view.box == FULL else None
        if data is None:
            data = png(Picture(view, lambda: shared_store().region(source, view.box, view.native)))
        shared_store().size(Source.of_bytes(data))
    except (PictureError, OSError, ValueError) as error:
        raise NoRowError("a picture that cannot be read") from error
    return base64.b64encode(data).decode()


def _writer(stack: ExitStack, path: Path) -> Any:
    parquet = require("pyarrow.parquet", "train")
    return stack.enter_context(parquet.ParquetWriter(stack.enter_context(replacing(path)), _schema()))


def _write(writer: Any, row: dict[str, Any]) -> None:
    """Writes a row as a row group of its own, so that pictures are read one row at a time."""
    writer.write_table(require("pyarrow", "train").Table.from_pylist([row], schema=_schema()))


def _schema() -> Any:
    pyarrow = require("pyarrow", "train")
    text = pyarrow.string()
    types = (pyarrow.list_(text), text, text)
    return pyarrow.schema(list(zip(THYME_SFT_COLUMNS, types, strict=True)))
