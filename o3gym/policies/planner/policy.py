"""The policies of visual planners: `planner` draws the next state, `planner_words` writes the whole plan in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from o3gym.dialects.next_state import picture_url
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Picture, Request
from o3gym.policies.planner.tokenizer import load_picture_tokenizer
from o3gym.registry import require
from o3gym.sampling import Sampling
from o3gym.types import Reply, Usage
from o3gym.worlds.tiles import PICTURE_SIDE, StatePicture

if TYPE_CHECKING:
    from o3gym.policies.planner.model import Drawn, Planner


class VisualPlanner(Policy):
    """A transformer that draws the next state of a world: `planner:FOLDER`.

    It reads the picture that the environment showed last and nothing else of the dialogue, writes the tokens of the
    next state, and replies with their picture. If the tokens are not those of a picture, the reply holds an empty
    `<state>` block, which the environment counts as an invalid move.

    Replies are sampled with the temperature and the seed of the request, whatever else is in flight. `top_p` below 1 is
    refused.

    Args:
        argument: a folder that `o3gym train planning` wrote, or one with a model of your own (`AutoModelForCausalLM`,
            local files only).
        tokenizer: "package.module:function" for a picture tokenizer of your own. The function is called with the
            folder and returns an object like `o3gym.policies.planner.tokenizer.PictureTokenizer`.
        device: where the model runs, for example "cpu" or "cuda".
    """

    form: ClassVar[str] = "picture"
    dialect: ClassVar[str] = "next_state"
    env: ClassVar[Mapping[str, Any]] = {"min_pixels": 1024, "max_pixels": 64_000_000}
    packages: ClassVar[tuple[str, ...]] = ("torch", "transformers")

    def __init__(self, argument: str, tokenizer: str = "", device: str = "cpu") -> None:
        super().__init__()
        if not argument:
            raise ValueError('name the folder of a planner: "planner:FOLDER"')
        require("torch", "transformers")
        model = _model_module()
        folder = Path(argument).expanduser()
        if not folder.is_dir():
            raise ValueError(f"{argument}: there is no such folder")
        reader = load_picture_tokenizer(tokenizer, folder) if tokenizer else None
        self.planner: Planner = model.load_planner(folder, reader, device)
        if self.planner.layout.form != self.form:
            other = "planner_words" if self.form == "picture" else "planner"
            raise ValueError(f'{argument}: this planner writes {self.planner.layout.form}: use "{other}:{argument}"')

    def unable(self, sampling: Sampling, inline: bool) -> str:
        """Refuses what would change the distribution and is not supported: a nucleus and a repetition penalty."""
        if sampling.top_p != 1.0:
            return "top_p: a planner samples from all tokens"
        return super().unable(sampling, inline)

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Returns one reply per request; states with equally many tokens are one batch."""
        states = self.planner.tokenizer.encode(np.stack([newest_picture(request) for request in requests]))
        groups: dict[int, list[int]] = defaultdict(list)
        for index, state in enumerate(states):
            groups[len(state)].append(index)
        replies: dict[int, Reply] = {}
        for indices in groups.values():
            drawn = self._sample([states[i] for i in indices], [requests[i].sampling for i in indices])
            for row, index in enumerate(indices):
                replies[index] = self._reply(drawn, row, len(states[index]), requests[index].sampling)
        return [replies[index] for index in range(len(requests))]

    def _sample(self, states: Sequence[list[int]], samplings: Sequence[Sampling]) -> Drawn:
        torch = require("torch", "transformers")
        length = self.planner.written_length(len(states[0]))
        # A generator of its own for each request makes the reply independent of the rest of the batch.
        generators = [Random(sampling.seed) for sampling in samplings]
        numbers = torch.tensor([[rng.random() for _ in range(length)] for rng in generators], dtype=torch.float64)
        temperatures = torch.tensor([sampling.temperature for sampling in samplings])
        return self.planner.sample_with(torch.tensor(states), temperatures, numbers)

    def _reply(self, drawn: Drawn, row: int, prompt: int, sampling: Sampling) -> Reply:
        count = int(drawn.mask[row].sum())
        tokens, cut = drawn.tokens[row, :count].tolist(), count > sampling.max_tokens
        tokens = tokens[: sampling.max_tokens]
        return Reply(
            self.written(tokens),
            token_ids=tuple(tokens),
            logprobs=tuple(drawn.logprobs[row, : len(tokens)].tolist()),
            finish="length" if cut else "stop",
            usage=Usage(prompt, len(tokens)),
        )

    def written(self, tokens: Sequence[int]) -> str:
        """The text of a reply."""
        picture = self.planner.picture_of(tokens)
        return f"<state>{'' if picture is None else picture_url(picture)}</state>"


class WordPlanner(VisualPlanner):
    """The same transformer, trained to write the moves of the whole plan instead: `planner_words:FOLDER`.

    The answer is empty if the tokens are not those of moves.

    Args:
        argument, tokenizer, device: as for `VisualPlanner`.
    """

    form: ClassVar[str] = "words"
    dialect: ClassVar[str] = "plan"

    def written(self, tokens: Sequence[int]) -> str:
        """The text of a reply."""
        return f"<answer>{' '.join(self.planner.moves_of(tokens) or ())}</answer>"


def newest_picture(request: Request) -> StatePicture:
    """The picture that the environment showed last, 256 × 256 pixels.

    Raises:
        ValueError: the dialogue shows no picture.
    """
    for message in reversed(request.dialogue.messages):
        for part in reversed(message.parts):
            if isinstance(part, Picture):
                return _fitted(part.load())
    raise ValueError("a planner needs a picture of a state, and the dialogue shows none")


def _fitted(pixels: StatePicture) -> StatePicture:
    """The picture in the size of states. Dialects that show pictures in steps of some pixels change it a little."""
    if pixels.shape[:2] == (PICTURE_SIDE, PICTURE_SIDE):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((PICTURE_SIDE, PICTURE_SIDE)))


def _model_module() -> Any:
    """The module that loads torch and transformers, which take seconds."""
    require("transformers", "transformers")
    from o3gym.policies.planner import model

    return model
