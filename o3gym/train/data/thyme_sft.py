"""Reads the released form of Thyme's supervised data (Kwai-Keye/Thyme-SFT): code and its output in one response.

    image      list of pictures, base64 text
    question   text
    response   text: <think>… <code>…</code><sandbox_output>…</sandbox_output> …</think> <answer>…</answer>

The files are parquet, and their names begin with their split: wo_thinking_thyme_single_round, 2round or computation. A
response becomes the messages of an inline episode: the assistant's words, and between them what the sandbox wrote,
which has no loss. The pictures of the outputs follow those of the question in the row's list.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from o3gym.dialects.base import Dialect, make_dialect
from o3gym.media.embedded import cell, decoded_base64
from o3gym.policies.dialogue import Message, Part, Picture, Role
from o3gym.registry import TOOLS, require
from o3gym.suites.base import BadRow
from o3gym.suites.released.rows import parquet_rows
from o3gym.train.data.dialogues import PLACE, whole_picture
from o3gym.train.data.sources import BadDemonstration, SourceError
from o3gym.types import Source, Task

THYME_SFT_COLUMNS = ("image", "question", "response")
"""Columns that a file must have."""
THYME_TOOLS = ("code", "answer")
"""Tools that the system prompt describes."""
OPENING, CLOSING = "<sandbox_output>", "</sandbox_output>"
"""The tags around what the sandbox wrote."""


class ThymeSFT:
    """The dialogues of one parquet file, or of the splits in a folder. Texts are held in memory, pictures are not.

    Args:
        argument: path of a file or of a folder; in a folder, files lie in it, in `data/` or in a folder of their split.
        split: splits to read from a folder, joined by "+"; "" for all files.
        dialect: spec of the dialect that writes the system prompt and shows the question; "" for no system prompt and
            the question as it is stored.

    Attributes:
        replaced: number of rows in which U+FFFD stands for lone surrogates.

    Raises:
        SourceError: the files are not as expected; the message names the file and column.
    """

    def __init__(self, argument: str, split: str = "", dialect: str = "thyme") -> None:
        self._files = _files(Path(argument), split)
        self._dialect: Dialect | None = make_dialect(dialect) if dialect else None
        self._rows: list[tuple[Path, int, Mapping[str, Any] | BadRow]] = []
        self.replaced = 0
        for file in self._files:
            rows, replaced = _texts(file)
            self._rows += [(file, number, row) for number, row in enumerate(rows)]
            self.replaced += replaced
        self.size = len(self._rows)
        if not self.size:
            raise SourceError(f"{argument}: the files have no rows")
        texts = [None if isinstance(row, BadRow) else row for _, _, row in self._rows]
        self.fingerprint = hashlib.sha256(json.dumps(texts).encode()).hexdigest()

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue of row `index`. Raises `BadDemonstration` if it is not as expected."""
        file, number, row = self._rows[index]
        where = f"{file}: row {number}"
        if isinstance(row, BadRow):
            raise BadDemonstration(f"{where}: {row}")
        for column in THYME_SFT_COLUMNS[1:]:
            if not isinstance(row[column], str) or not row[column].strip():
                raise BadDemonstration(f"{where}: {column}: expected a text, got {row[column]!r:.80}")
        sources = [_source(image, where) for image in _images(file, number, where)]
        return self._dialogue(row["question"], row["response"], sources, where)

    def _dialogue(self, question: str, response: str, sources: Sequence[Source], where: str) -> list[Message]:
        pieces = _pieces(response, where)
        asked, made = question.count(PLACE), sum(text.count(PLACE) for role, text in pieces if role == "inline")
        given = len(sources) - made
        # A question without places has its pictures in front of it. How many these are is known only if the outputs
        # have a place for each of theirs.
        unknown = asked == 0 and given > 1 and made == 0 and len(pieces) > 1
        if given < 1 or asked not in (0, given) or unknown:
            raise BadDemonstration(
                f"{where}: image: {len(sources)} pictures, but {asked} {PLACE} placeholders in the question and {made} "
                "in the outputs"
            )
        pictures = [whole_picture(source, number, where) for number, source in enumerate(sources)]
        left = iter(pictures[given:])
        return [
            *self._opening(question, sources[:given], pictures[:given]),
            *(Message(role, _filled(text, left) if role == "inline" else (text,)) for role, text in pieces),
        ]

    def _opening(self, question: str, sources: Sequence[Source], pictures: Sequence[Picture]) -> list[Message]:
        """Returns the system prompt and the question, as a rollout in the dialect shows them."""
        if self._dialect is None:
            text = question if PLACE in question else PLACE * len(pictures) + question
            return [Message("user", _filled(text, iter(pictures)))]
        text = question.replace(PLACE, "").strip()
        system = self._dialect.system({name: TOOLS[name]() for name in THYME_TOOLS}, Task("", tuple(sources), text))
        shown = self._dialect.show([picture.view for picture in pictures], text, {"turn": 0, "error": ""})
        parts = tuple(part if isinstance(part, str) else pictures[part.index] for part in shown)
        return [Message("system", (system,)), Message("user", parts)]


def _files(path: Path, split: str) -> list[Path]:
    """Returns the files of the splits, in order. Raises `SourceError` if a split has none."""
    if not path.is_dir():
        if split:
            raise SourceError(f"{path}: split: expected a folder to choose a split from, got a file")
        return [path]
    found: list[Path] = []
    for name in split.split("+"):
        patterns = (
            (f"{name}-*.parquet", f"{name}.parquet", f"{name}/*.parquet") if name else ("*.parquet", "*/*.parquet")
        )
        files = sorted({file for folder in (path, path / "data") for each in patterns for file in folder.glob(each)})
        if not files:
            raise SourceError(f'{path}: expected parquet files of the split "{name}", found none')
        found += files
    return found


def _texts(file: Path) -> tuple[list[dict[str, Any] | BadRow], int]:
    """Returns the questions and responses of a file, and in how many rows lone surrogates were replaced."""
    parquet = require("pyarrow.parquet", "train")
    try:
        names = parquet.read_schema(file).names
        for column in THYME_SFT_COLUMNS:
            if column not in names:
                raise SourceError(f'{file}: expected a column "{column}", got {", ".join(names)}')
        table = parquet.read_table(file, columns=list(THYME_SFT_COLUMNS[1:]))
    except SourceError:
        raise
    except (OSError, ValueError) as error:
        raise SourceError(f"{file}: not a parquet file that can be read ({error})") from error
    return parquet_rows(table)


def _images(file: Path, row: int, where: str) -> list[Any]:
    try:
        images = cell(file, "image", row)
    except (OSError, ValueError) as error:
        raise BadDemonstration(f"{where}: image: cannot be read ({error!s:.300})") from error
    if not isinstance(images, list):
        raise BadDemonstration(f"{where}: image: expected a list of pictures, got {type(images).__name__}")
    return images


def _source(image: Any, where: str) -> Source:
    value = image.get("bytes") if isinstance(image, Mapping) else image
    try:
        data = decoded_base64(value.encode()) if isinstance(value, str) else value
    except ValueError as error:
        raise BadDemonstration(f"{where}: image: not base64 text ({error})") from error
    if not isinstance(data, bytes):
        raise BadDemonstration(f"{where}: image: expected base64 text, got {type(value).__name__} {value!r:.80}")
    return Source.of_bytes(data)


def _pieces(response: str, where: str) -> list[tuple[Role, str]]:
    """Splits a response into the assistant's words and the sandbox's outputs, as (role, text) in turns."""
    pieces: list[tuple[Role, str]] = []
    at = 0
    while (start := response.find(OPENING, at)) >= 0 and (end := response.find(CLOSING, start)) >= 0:
        before, after = response[at:start], end + len(CLOSING)
        words = before.rstrip()
        # White space behind the code is the sandbox's, too: a model that plays stops at </code>.
        pieces += [("assistant", words), ("inline", before[len(words) :] + response[start:after])]
        at = after
    pieces.append(("assistant", response[at:]))
    for role, text in pieces:
        if role == "assistant" and (OPENING in text or CLOSING in text):
            raise BadDemonstration(f"{where}: response: a {OPENING} is not closed or not opened: {text!r:.80}")
        if role == "assistant" and not text.strip():
            raise BadDemonstration(f"{where}: response: expected words of the assistant around each output")
    return pieces


def _filled(text: str, pictures: Iterator[Picture]) -> tuple[Part, ...]:
    """Returns a text as parts, with a picture in each of its places."""
    first, *rest = text.split(PLACE)
    parts: list[Part] = [first]
    for words in rest:
        parts += [next(pictures), words]
    return tuple(part for part in parts if part != "")
