"""The words of the built-in coder: those of easy turned and dim tasks, of the dialect `thyme`, and of programs."""

from __future__ import annotations

import re
import string
from random import Random
from typing import Any

from o3gym.suites.scenes.labels import Label, ask_label
from o3gym.suites.scenes.turned import TURNS
from o3gym.train.tiny.programs import PROGRAM_NAMES
from o3gym.train.tiny.vocabulary import SPACE, SPECIAL, spaced, word_tokenizer

CODE_PIECE = (
    f"{SPACE}?(?:</?(?:think|code|answer|sandbox_output)>|```(?:python)?|image_path(?:_[0-9])?|[0-9]+|[A-Za-z]?[a-z]+)"
    f"|{SPACE}|[\\s\\S]"
)
"""Splits text into tokens: tags, fences, names of pictures, numbers and words, each with the space before it."""
TAGS = tuple(f"<{slash}{tag}>" for tag in ("think", "code", "answer", "sandbox_output") for slash in ("", "/"))
CODE_WORDS = ("from", "import", "Image", "Ops", "open", "rotate", "autocontrast", "save", "print", "png")
"""What programs say beside names, numbers and punctuation."""
CODE_NOTES = ("turned", "dim", "reads", "failed", "guess", "look")
"""What thoughts say beside numbers and codes."""
SHOWN_NOTES = ("x", "pixels", "Traceback", "most", "recent", "call", "last", "File", "line", "in", "module", "name")
FAULTS = ("Name", "Error", "is", "not", "defined", "Syntax", "was", "never", "closed", "invalid", "syntax")
"""Words of the errors that the model is most likely to see, with those of `SHOWN_NOTES`."""


def code_vocabulary() -> list[str]:
    """Returns all tokens; a token's id is its index in this list."""
    rng = Random(0)
    label = Label("AA-1A1", "red", (0.5, 0.5), 0.1)
    words = {word.strip(string.punctuation) for _ in range(60) for word in ask_label(rng, label, True).split()}
    words |= {*CODE_WORDS, *CODE_NOTES, *SHOWN_NOTES, *FAULTS, *PROGRAM_NAMES}
    plain = sorted(word for word in words if re.fullmatch(CODE_PIECE, word) and not re.fullmatch("[A-Z]", word))
    pictures = ["image_path", *(f"image_path_{number}" for number in range(1, 4))]
    angles = sorted({abs(angle) for angle in TURNS["easy"]})
    numbers = [*map(str, range(10)), *map(str, angles), "108"]
    marks = [*TAGS, "```", "```python", *pictures, *numbers]
    return [*SPECIAL, SPACE, "\n", *string.punctuation, *string.ascii_uppercase, *spaced([*marks, *plain])]


def code_tokenizer() -> Any:
    """Builds the tokenizer, a `PreTrainedTokenizerFast`."""
    return word_tokenizer(code_vocabulary(), CODE_PIECE, spaced_start=False)
