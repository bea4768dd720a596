"""Notes of layouts: a caption and the text in the layout, written by a policy that sees the crop."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from o3gym.synthesis.asking import Inquiry, Shown
from o3gym.synthesis.questions.prompts import filled
from o3gym.synthesis.questions.sheets import LayoutSheet
from o3gym.types import FULL, Reply

MAX_NOTE = 6_000
"""Maximum characters of a caption and of a text (ours): about 1,500 tokens each, so that 20 layouts fit a context."""
PAGE = ""
"""The key of the whole picture among the notes of its layouts."""
_HEADING = re.compile(r"^[^\w\n]{0,8}(CAPTION|TEXT)[^\w\n]{0,8}$", re.MULTILINE)


@dataclass(frozen=True)
class Note:
    """A description of a picture or a layout and the text in it; both may be empty."""

    caption: str = ""
    text: str = ""

    @property
    def words(self) -> str:
        """Caption and text, one after the other."""
        return f"{self.caption}\n{self.text}"


def read_note(reply: str) -> Note:
    """Reads the sections of a reply, each cut at `MAX_NOTE`. A reply without headings is a caption. Never raises."""
    after_thought = reply.rpartition("</think>")[2]
    parts = _HEADING.split(after_thought, maxsplit=2)  # further headings may be text of the picture
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    text = found.get("TEXT", "").strip()
    caption = found.get("CAPTION", "" if found else parts[0]).strip()
    return Note(caption[:MAX_NOTE], "" if text.lower().strip(".") == "none" else text[:MAX_NOTE])


def note_asks(sheets: Sequence[LayoutSheet], template: str) -> Iterator[Inquiry]:
    """Yields the inquiries for notes of every picture and of its layouts, named by `note_name`."""
    for sheet in sheets:
        whole = filled(template, {"kind": f"a whole {sheet.subset}, which has several parts"})
        yield Inquiry(note_name(sheet), whole, Shown(sheet.image, FULL))
        for layout in sheet.layouts:
            kind = f" ({layout.label})" if layout.label else ""
            text = filled(template, {"kind": f"one part of a larger picture{kind}"})
            yield Inquiry(note_name(sheet, layout.id), text, Shown(sheet.image, layout.box))


def note_name(sheet: LayoutSheet, layout: str = PAGE) -> tuple[str, ...]:
    """The name of the inquiry about a layout, or about the whole picture."""
    return ("note", sheet.image.key, layout)


def notes_of(sheet: LayoutSheet, replies: Mapping[tuple[str, ...], Reply]) -> dict[str, Note]:
    """Returns the notes by layout id; the note of the whole picture is under `PAGE`, and may be empty.

    Layouts whose reply was an error or empty are left out, because nothing can be asked about them.
    """
    found = {layout: read_note(replies[note_name(sheet, layout)].text) for layout in (PAGE, *sheet.ids)}
    return {layout: note for layout, note in found.items() if layout == PAGE or note.words.strip()}
