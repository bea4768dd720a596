"""Picture tokenizers: pictures of states as short sequences of whole numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from o3gym.registry import import_attribute
from o3gym.worlds.tiles import StatePicture

PictureBatch: TypeAlias = np.ndarray[tuple[int, int, int, int], np.dtype[np.uint8]]
"""RGB pixels of shape (pictures, 256, 256, 3)."""


@runtime_checkable
class PictureTokenizer(Protocol):
    """Turns pictures of 256 × 256 pixels into ids from 0 to `codes` − 1, and back."""

    @property
    def codes(self) -> int:
        """The number of ids."""

    def encode(self, pictures: PictureBatch) -> list[list[int]]:
        """Returns the ids of each picture."""

    def decode(self, ids: Sequence[int]) -> StatePicture | None:
        """Returns the picture, uint8 (256, 256, 3), or None if the ids are not those of a picture."""


def load_picture_tokenizer(path: str, folder: Path) -> PictureTokenizer:
    """Calls a user's function "package.module:function" with a folder; it returns a `PictureTokenizer`.

    Raises:
        ValueError: there is no such function, or it returns something else; the message names it.
    """
    try:
        function = import_attribute(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"tokenizer: cannot import {path!r:.100}: {error!s:.200}") from error
    if not callable(function):
        raise ValueError(f"tokenizer: expected a function, got {path} = {function!r:.80}")
    tokenizer = function(folder)
    if not isinstance(tokenizer, PictureTokenizer) or type(tokenizer.codes) is not int or tokenizer.codes < 1:
        raise ValueError(f"tokenizer: expected {path} to return codes, encode and decode, got {tokenizer!r:.80}")
    return tokenizer
