"""The words of the built-in watcher: those of the films of the synthetic suite and of the dialect `reel`."""

from __future__ import annotations

import re
import string
from random import Random
from typing import Any

from o3gym.dialects.reel import FRAME_GRID
from o3gym.suites.films.event import ask_when
from o3gym.suites.films.glimpse import ask_glimpse
from o3gym.suites.films.room import LAMP_COLOURS, WALLS
from o3gym.train.tiny.film_builder import FRAME_CELLS
from o3gym.train.tiny.vocabulary import SPACE, SPECIAL, spaced, word_tokenizer

MOST_FRAMES_NUMBERED = 100
"""Frames of an episode whose numbers are single tokens."""
FILM_PIECE = f"{SPACE}?(?:[1-9]x[1-9]|[a-i][1-9]|[0-9]{{1,2}}|[A-Za-z]?[a-z]+)|{SPACE}|[\\s\\S]"
"""Splits text into tokens: words and numbers of two digits, each with the space before it; else single characters."""
NOTES = ("on", "off", "no", "watch", "look", "in", "when", "answer")
"""What the replies say beside colours, cells and numbers."""
SHOWN_WORDS = ("every", "lamp", "card")
"""What is shown beside frames and questions."""
REFUSAL = ("unknown", "tool", "clip", "tools", "locate", "span", "there", "no", "picture")
"""Words of the refusals that the model is most likely to see."""


def film_vocabulary() -> list[str]:
    """Returns all tokens; a token's id is its index in this list."""
    rng = Random(0)
    sentences = [ask_when(rng, "red", "red") for _ in range(50)]
    sentences += [ask_glimpse(rng, "red", lamp) for lamp in ("", "red") for _ in range(50)]
    words = {word.strip(string.punctuation) for sentence in sentences for word in sentence.split()}
    words |= {*WALLS, *LAMP_COLOURS, *NOTES, *SHOWN_WORDS, *REFUSAL}
    said = sorted(word for word in words if re.fullmatch(FILM_PIECE, word))
    plain = [word for word in said if len(word) > 1 or word.islower()]
    cells = [f"{FRAME_GRID[0]}x{FRAME_GRID[1]}", *FRAME_CELLS]
    numbers = [str(number) for number in range(MOST_FRAMES_NUMBERED)]
    letters = [letter for letter in (*string.ascii_uppercase, "a") if letter not in plain]
    return [*SPECIAL, SPACE, "\n", *string.punctuation, *letters, *spaced([*cells, *numbers, *plain])]


def film_tokenizer() -> Any:
    """Builds the tokenizer, a `PreTrainedTokenizerFast`."""
    return word_tokenizer(film_vocabulary(), FILM_PIECE)
