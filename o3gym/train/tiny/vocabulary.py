"""The tokenizer and the chat template of the tiny model: one token per word, so that sequences are short."""

from __future__ import annotations

import re
import string
from random import Random
from typing import Any

from o3gym.dialects.grid import GRID_SHAPES, PLACES, cell_name
from o3gym.registry import require
from o3gym.suites.scenes import attribute, hidden, text
from o3gym.suites.scenes.icons import ICONS
from o3gym.suites.scenes.outlines import SHAPES as MARKS
from o3gym.suites.scenes.palette import COLOURS

SPECIAL = (
    "<|endoftext|>",
    "<|user|>",
    "<|assistant|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<unk>",
)
SPACE = "▁"
PIECE = f"{SPACE}?(?:@?[a-i][1-9]|[1-9]x[1-9]|[A-Za-z]?[a-z]+)|{SPACE}|[\\s\\S]"
"""Splits text into tokens: words, cells and grids, each with the space before it; all else is single characters."""

TEMPLATE = (
    "{%- for message in messages %}{%- if message.role != 'system' %}"
    "{{- '<|' + message.role + '|>' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}"
    "{%- for part in message.content %}"
    "{%- if part.type == 'image' %}{{- '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- else %}{{- part.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{{- '<|im_end|>' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
)
"""Two tokens frame each message. System prompts are left out, since the format is learnt in training."""


def vocabulary() -> list[str]:
    """Returns all tokens: special ones, single characters, and the words of the synthetic suite and the grid dialect.

    A token's id is its index in this list.
    """
    cells = [cell_name(column, row) for row in range(6) for column in range(4)]
    cells += [f"@{cell_name(column, row)}" for row in range(PLACES[1]) for column in range(PLACES[0])]
    grids = [f"{columns}x{rows}" for columns, rows in GRID_SHAPES]
    said = [*COLOURS, *ICONS, *MARKS, *cells, *grids, "sign", "picture", "look", "answer", "in"]
    words = {word for sentence in _sentences() for word in sentence.replace("-", " ").split()}
    words |= {word.strip(string.punctuation + string.digits) for word in words}
    plain = sorted({w for w in [*said, *words] if w and _whole(w)})
    return [
        *SPECIAL,
        SPACE,
        "\n",
        *string.punctuation,
        *string.digits,
        *string.ascii_uppercase,
        *spaced([*plain, "nothing"]),
    ]


def _whole(word: str) -> bool:
    return re.fullmatch(PIECE, word) is not None and not (len(word) == 1 and not word.islower())


def spaced(words: list[str]) -> list[str]:
    """Returns each word without and with the space before it."""
    return [form for word in words for form in (word, SPACE + word)]


def _sentences() -> list[str]:
    """Returns questions of the three families, enough of them that every word that they use occurs."""
    rng = Random(0)
    asked = [attribute.ask_colour(rng, kind) for kind in (*ICONS, "sign") for _ in range(20)]
    asked += [hidden.ask_hidden(rng, level, "star") for level in ("easy", "medium") for _ in range(50)]
    for way in ("colour", "emblem", "position"):
        for place in range(9):
            asked += [
                text.ask_code(rng, text.describe_container("red", "star", way, divmod(place, 3))) for _ in range(20)
            ]
    return asked


def make_tokenizer() -> Any:
    """Builds the tokenizer, a `PreTrainedTokenizerFast`; it splits "A. red" into A, ., ▁red."""
    return word_tokenizer(vocabulary(), PIECE)


def word_tokenizer(tokens: list[str], piece: str, spaced_start: bool = True) -> Any:
    """Builds a `PreTrainedTokenizerFast` that splits text by the regular expression `piece` and knows `tokens`.

    With `spaced_start`, a space is put before every text, so that its first word has the token that it has elsewhere.
    """
    tokenizers, transformers = require("tokenizers", "transformers"), require("transformers", "transformers")
    model = tokenizers.models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>")
    inner = tokenizers.Tokenizer(model)
    normal, decode = tokenizers.normalizers, tokenizers.decoders
    inner.normalizer = normal.Sequence([*([normal.Prepend(SPACE)] * spaced_start), normal.Replace(" ", SPACE)])
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex(piece), "isolated")
    inner.decoder = decode.Sequence([decode.Replace(SPACE, " "), decode.Fuse()])
    inner.add_special_tokens([tokenizers.AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<unk>",
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
        padding_side="right",
    )
