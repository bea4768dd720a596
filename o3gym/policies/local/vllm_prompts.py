"""Dialogues in the form that vLLM expects: token ids, and pictures as pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from o3gym.policies.dialogue import Picture
from o3gym.policies.local.encoding import Encoder, Patches
from o3gym.policies.local.token_sequences import TokenSequence


class Places(Encoder):
    """An encoder that only counts the tokens of a picture: vLLM converts pixels to patches itself."""

    def _patches(self, pictures: Sequence[Picture]) -> tuple[Patches, ...]:
        return tuple(self._grid_only(picture) for picture in pictures)

    def _grid_only(self, picture: Picture) -> Patches:
        (width, height), patch = picture.view.shown, self.processor.image_processor.patch_size
        if (size := self.vision_size(width, height)) != (width, height):
            raise ValueError(
                f"view {picture.view.index} is {width}×{height} pixels and the model's processor would make it "
                f"{size[0]}×{size[1]}; show views at the size that `vision_size` gives"
            )
        return Patches(np.empty((0, 0), np.float32), (1, height // patch, width // patch))


@dataclass(eq=False)
class Thread(TokenSequence):
    """A dialogue as ids with all its pictures.

    vLLM expects the whole prompt in every request. Its prefix cache and its encoder cache recognise what they hold.

    Attributes:
        form: converts pixels to the form that vLLM receives.
        pictures: the pictures in the order of their image tokens.
    """

    form: Callable[[Any], Any] = Image.fromarray
    pictures: list[Any] = field(default_factory=list)
    _parts: list[Picture] = field(default_factory=list)  # the parts of the dialogue that `pictures` converts

    def extend(self, encoder: Encoder) -> None:
        """Appends the dialogue's new messages and their pictures, and drops pictures that a cut removed."""
        super().extend(encoder)
        parts = [part for message in self.dialogue.messages for part in message.parts if isinstance(part, Picture)]
        # A cut removes pictures from the middle; those that stay are the same objects and are not converted again.
        held = dict(zip(map(id, self._parts), self.pictures, strict=True))
        self.pictures = [held[id(part)] if id(part) in held else self.form(part.load()) for part in parts]
        self._parts = parts
