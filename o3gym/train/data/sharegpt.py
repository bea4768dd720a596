"""Reads and writes ShareGPT-style demonstrations, the format of LLaMA-Factory, ms-swift and most other trainers.

    [{"conversations": [{"from": "system", "value": "…"}, {"from": "human", "value": "<image>…"}, {"from": "gpt", …}],
      "images": ["FILE.images/0-0.png", …]}, …]

It also reads `messages` with `role` and `content`, and JSON lines. Pictures are paths, either relative to the file,
absolute, or with `file://`. They must lie below the folder of the file, or below a folder that `roots` names: nobody
else's file should choose which pictures of this machine a model learns from.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from o3gym.policies.dialogue import Message, Role
from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import check_below, folders
from o3gym.suites.released.table import with_surrogates, without_surrogates
from o3gym.train.data.dialogues import pictures, png, read_turns, stored_turns
from o3gym.train.data.observed import apart, check_tag, in_one_turn
from o3gym.train.data.sources import BadDemonstration, RunSource, SourceError
from o3gym.types import Source

NAMES: Mapping[Role, str] = {"system": "system", "user": "human", "assistant": "gpt", "inline": "inline"}
"""Values of `from`: those that LLaMA-Factory's sharegpt format expects by default, and ours for inline messages."""


class ShareGPT:
    """The dialogues of a .json or .jsonl file. Pictures are opened on demand.

    Args:
        argument: path of the file.
        roots: further folders, joined by "+", below which pictures may lie.
        observed: name of a tag. What stands between such tags in the assistant's messages is an observation, which has
            no loss; "" if these hold nothing but their own words.

    Attributes:
        replaced: number of rows in which U+FFFD stands for lone surrogates, or for bytes that are not UTF-8.

    Raises:
        SourceError: the file is not as expected; the message names the file.
    """

    def __init__(self, argument: str, roots: str = "", observed: str = "") -> None:
        self.path, self._observed = Path(argument), observed
        if observed:
            check_tag(observed)
        self._roots = (self.path.parent, *folders(roots))
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read: {error.strerror}") from error
        self.fingerprint = hashlib.sha256(data).hexdigest()
        found = _rows(_text(data.removeprefix(codecs.BOM_UTF8)), self.path)
        self.rows = [without_surrogates(row) for row in found]
        self.replaced = sum(row != old for row, old in zip(self.rows, found, strict=True))
        self.size = len(self.rows)
        if not self.rows:
            raise SourceError(f"{self.path}: the file has no rows")

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue of row `index`. Raises `BadDemonstration` if it is not as expected."""
        row, where = self.rows[index], f"{self.path}: row {index}"
        if isinstance(row, BadDemonstration):
            raise row.with_traceback(None)  # otherwise the traceback would grow with every request
        if not isinstance(row, dict):
            raise BadDemonstration(f"{where}: expected an object, got {row!r:.80}")
        images = row.get("images") or []
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            raise BadDemonstration(f"{where}: images: expected a list of paths, got {images!r:.80}")
        turns = row.get("conversations", row.get("messages"))
        if turns is None:
            raise BadDemonstration(
                f'{where}: expected "conversations" or "messages", got {", ".join(row) or "nothing"}'
            )
        messages = read_turns(turns, [self._source(image, where) for image in images], where)
        return apart(messages, self._observed, where) if self._observed else messages

    def _source(self, name: str, where: str) -> Source:
        path = self.path.parent / name.removeprefix("file://")
        try:
            check_below(self._roots, path, "images")
        except BadRow as problem:
            raise BadDemonstration(f"{where}: {problem}") from problem
        return Source.file(str(path))


def _text(data: bytes) -> str:
    """Decodes a file. Every byte that is not UTF-8 becomes a lone surrogate, for `without_surrogates` to replace."""
    try:
        return with_surrogates(data)
    except UnicodeDecodeError:
        return data.decode("utf-8", "surrogateescape")


def _rows(text: str, path: Path) -> list[Any]:
    """Parses JSON or, if the file's suffix is .jsonl, JSON lines, where a `BadDemonstration` stands for a bad line."""
    if path.suffix == ".jsonl":
        lines = enumerate(text.split("\n"), 1)  # splitlines would split at U+2028, too
        rows = [_line(line, f"{path}:{number}") for number, line in lines if line.strip()]
        if rows and all(isinstance(row, BadDemonstration) for row in rows):
            raise SourceError(str(rows[0]))
        return rows
    data = _json(text, str(path))
    if not isinstance(data, list):
        raise SourceError(f"{path}: expected a list of rows, got {type(data).__name__}")
    return data


def _line(text: str, where: str) -> Any:
    try:
        return _json(text, where)
    except SourceError as error:
        return BadDemonstration(str(error))


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}: not JSON ({error})") from error


def export_sharegpt(source: RunSource, file: Path, observed: str = "") -> int:
    """Writes the demonstrations of a run to `file` and their pictures as PNG to `file.images`. Returns their number.

    Args:
        source: the run.
        file: the file; with the suffix .jsonl, one row per line.
        observed: the tag between which the dialect writes observations; each demonstration then becomes a single turn
            of the assistant that contains them. "" keeps the turns.

    Raises:
        BadDemonstration: a demonstration cannot be written as a single turn, see `o3gym.train.data.observed`.
    """
    folder = file.with_name(f"{file.name}.images")
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index in range(source.size):
        messages = source.example(index, 0)
        if observed:
            messages = in_one_turn(messages, observed, f"demonstration {index}")
        paths = [f"{folder.name}/{index}-{number}.png" for number in range(len(pictures(messages)))]
        for path, picture in zip(paths, pictures(messages), strict=True):
            (file.parent / path).write_bytes(png(picture))
        rows.append({"conversations": stored_turns(messages, NAMES, ("from", "value")), "images": paths})
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n"
    whole = json.dumps(rows, ensure_ascii=False, indent=1) + "\n"
    file.write_text(lines if file.suffix == ".jsonl" else whole, "utf-8")
    return len(rows)
