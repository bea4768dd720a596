"""`code`: run Python in the episode's sandbox, and show the pictures that it makes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from o3gym.media.errors import PictureError
from o3gym.media.images import header_size, shared_store
from o3gym.sandbox import Outcome
from o3gym.tools.base import Arg, Invalid, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.code_rules import MAX_ASPECT
from o3gym.types import FULL, Source

MAX_MADE = 1 << 25
"""Maximum number of pixels of a picture that code hands back; larger ones are refused before they are decoded."""
MAX_PRINTED = 20_000
"""Maximum length of the printed text in an observation, in characters."""
MAX_ERROR = 4_000
"""Maximum length of the error in an observation, in characters; its end is kept."""
FIRST_PIXEL = (0.0, 0.0, 0.0, 0.0)
"""A box that becomes the pixel in the top left corner."""
NO_OUTPUT = "The code ran, but it returned neither text nor a picture."
"""The observation after code that printed nothing and handed back no picture."""


class Code(Tool):
    """Runs Python source, and shows the pictures that it hands back together with the text that it prints.

    The code runs in a sandbox (`o3gym.sandbox`), never in this process, and finds all views so far at native
    resolution. Its variables are kept until the episode ends. The episode's code rule (`o3gym.tools.code_rules`) says
    how the views are named and which pictures are handed back.

    Such a picture comes from a stranger: only the formats of `o3gym.media.images.FORMATS` are read, its size is checked
    before it is decoded, and it must decode. It becomes a view whose parent is the newest view before the call. A
    picture that is refused is named in the text.

    Code that fails is an observation with the error "code". What it printed and showed before it failed is shown, too.
    """

    name: ClassVar[str] = "code"
    doc: ClassVar[str] = "Run Python code on the pictures and see its output: printed text and new pictures."
    args: ClassVar[Mapping[str, Arg]] = {"source": Arg("text", "the Python code")}
    slow: ClassVar[bool] = True

    def apply(self, context: ToolContext, **args: Any) -> ToolResult:
        """Runs the code. Raises `Invalid("bad_args")` if there is no code or no sandbox."""
        run, rule = context.run_code, context.code_rule
        if run is None or rule is None:
            raise Invalid("bad_args", "code cannot be run, because this episode has no sandbox")
        if not args["source"].strip():
            raise Invalid("bad_args", "code needs Python source; this one is empty")
        outcome = run(rule.prepared(args["source"], context.views[0].native))
        sources, notes = _checked(rule.pictures(outcome), rule.most, context.task.sources[0])
        newest, first = len(context.views) - 1, len(context.sources)
        views = tuple(ViewRequest(first + i, FULL, newest) for i in range(len(sources)))
        text = "\n".join(filter(None, [_printed(outcome), _error(outcome), *notes]))
        failed = bool(outcome.ended or outcome.error)
        return ToolResult(views, sources, text or ("" if views else NO_OUTPUT), error="code" if failed else "")


def _checked(pictures: Sequence[bytes], most: int, parent: Source) -> tuple[tuple[Source, ...], list[str]]:
    """The pictures that can be shown, as sources, and what is said about the others.

    Of pictures with the same pixels only the first is shown: code often stores a picture and shows it as well.
    """
    made: dict[bytes, Source] = {}
    notes = [f"Only the first {most} of {len(pictures)} pictures are shown."] if len(pictures) > most else []
    for number, data in enumerate(pictures[:most], 1):
        source = Source.made(data, parent)
        try:
            _check(source)
            made.setdefault(_pixel_hash(source) if len(pictures) > 1 else b"", source)
        except PictureError as error:
            notes.append(f"Picture {number} cannot be shown: {error!s:.200}.")
    return tuple(made.values()), notes


def _check(source: Source) -> None:
    """Decodes a picture from a stranger. Raises `PictureError` if it cannot be shown; its header is read first."""
    width, height = header_size(source)
    if width * height > MAX_MADE:
        raise PictureError(f"its {width}×{height} pixels are more than {MAX_MADE}")
    if max(width, height) >= MAX_ASPECT * min(width, height):
        raise PictureError(f"the ratio of its sides, {width}×{height} pixels, is not below {MAX_ASPECT}")
    shared_store().region(source, FIRST_PIXEL)  # decodes all of it, and keeps it for the observation


def _pixel_hash(source: Source) -> bytes:
    pixels = shared_store().region(source)
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.data)
    return digest.digest()


def _printed(outcome: Outcome) -> str:
    text = _cleaned(outcome.text, outcome).rstrip()
    return text if len(text) <= MAX_PRINTED else f"{text[:MAX_PRINTED]}\n[output cut after {MAX_PRINTED} characters]"


def _error(outcome: Outcome) -> str:
    return _cleaned(outcome.error, outcome).strip()[-MAX_ERROR:]


def _cleaned(text: str, outcome: Outcome) -> str:
    """The text without lone surrogates, which no tokenizer and no file can encode, and with relative paths.

    The working folder has another name in every episode, and an episode must not depend on it. Relative paths are as
    good, because it is where the code runs.
    """
    text = text.encode("utf-8", "replace").decode()
    return text.replace(f"{outcome.folder}/", "") if outcome.folder else text
