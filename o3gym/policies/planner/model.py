"""The visual planner: a decoder-only transformer that writes the tokens of the next state, or the moves of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from o3gym.arguments import check_whole
from o3gym.policies.planner.cells import CellTokenizer
from o3gym.policies.planner.layout import PlannerForm, SequenceLayout, own_layout, read_sequence_layout, write_layout
from o3gym.policies.planner.sequence_reader import SequenceReader
from o3gym.policies.planner.tokenizer import PictureTokenizer
from o3gym.worlds.tiles import StatePicture

TOKENIZER_FILE, LAYOUT_FILE = "tokenizer.npz", "planner.json"
"""Files of a planner's folder, beside those of transformers."""
INITIALIZER_RANGE, ROPE_THETA = 0.1, 100.0
"""Standard deviation of the initial weights, and base of the rotary positions.

Llama's own, 0.02 and 10,000, are for wide models and long texts. With these, a small model learns several times faster
what is almost all that it has to learn: which place of the state to copy.
"""
MAX_MOVES = 40
"""The largest number of moves that a planner writes; optimal plans of released layouts have at most 14."""


class Drawn(NamedTuple):
    """Sampled continuations.

    Attributes:
        tokens: int64 (batch, length): what was written up to and including `end`, padded with `end`.
        logprobs: float32 (batch, length): log-probability of each token at the temperature at which it was sampled (at
            1 for greedy decoding); 0 where padded.
        mask: bool (batch, length): False where padded.
    """

    tokens: torch.Tensor
    logprobs: torch.Tensor
    mask: torch.Tensor


class Planner:
    """A model with its tokenizer.

    Attributes:
        model: a causal language model of transformers.
        tokenizer: the picture tokenizer; its ids are the first ones of the model's vocabulary.
        layout: the layout of a sequence.
    """

    def __init__(self, model: Any, tokenizer: PictureTokenizer, layout: SequenceLayout) -> None:
        self.model, self.tokenizer, self.layout = model, tokenizer, layout

    def prompts(self, states: torch.Tensor) -> torch.Tensor:
        """Adds `begin` and `separator` to the tokens of states of equal length: int64 (batch, T) → (batch, T + 0…2)."""
        return _with(self.layout.separator, _with(self.layout.begin, states, front=True))

    def endings(self, written: torch.Tensor) -> torch.Tensor:
        """Adds `end`, if the layout has one, to targets of equal length: int64 (batch, T) → (batch, T + 0…1)."""
        return _with(self.layout.end, written)

    def positions(self, state: int, first: int, count: int) -> dict[str, torch.Tensor]:
        """The positions of some tokens of a sequence, int64 (1, count), as an argument of the model.

        Empty if the model is to count by itself.

        Args:
            state: number of tokens of the state.
            first: index of the first of these tokens in the sequence, which begins with `begin`, if there is one.
            count: number of these tokens.
        """
        if not self.layout.restart:
            return {}
        marks = [[0] if mark is not None else [] for mark in (self.layout.begin, self.layout.separator)]
        prompt = [*marks[0], *range(1, state + 1), *marks[1]]
        places = [*prompt, *range(1, first + count - len(prompt) + 1)][first : first + count]
        return {"position_ids": torch.tensor([places], device=self.model.device)}

    def read_whole(self, prompts: torch.Tensor, written: torch.Tensor, state: int) -> torch.Tensor:
        """The logits of each written token, (batch, length, vocabulary), without a cache."""
        inputs = torch.cat((prompts, written[:, :-1]), 1)
        places = self.positions(state, 0, inputs.shape[1])
        # Positions that start again look like packed sequences, which transformers keeps apart unless it gets a mask.
        mask = {"attention_mask": torch.ones_like(inputs)} if places else {}
        options: dict[str, Any] = {"use_cache": False, "logits_to_keep": written.shape[1], **places, **mask}
        logits: torch.Tensor = self.model(input_ids=inputs, **options).logits
        return logits.float()

    def written_length(self, state: int) -> int:
        """The largest number of tokens that are written, with `end`, for a state of so many tokens."""
        if self.layout.form == "words":
            return MAX_MOVES + 1
        return state if self.layout.end is None else state + 1

    def log_probabilities(self, states: torch.Tensor, written: torch.Tensor, temperature: float = 1.0) -> torch.Tensor:
        """Returns the log-probability of each written token, float32 (batch, length), with gradients.

        Args:
            states: tokens of the states, int64 (batch, T), without `begin` and `separator`.
            written: what follows, int64 (batch, length), with `end` and possibly padding, as in `Drawn.tokens`.
            temperature: divisor of the logits.
        """
        logits = self.read_whole(self.prompts(states), written, states.shape[1])
        logprobs = (logits / temperature).log_softmax(-1)
        return logprobs.gather(-1, written[..., None])[..., 0]

    def sample(self, states: torch.Tensor, temperature: float = 0.0, generator: torch.Generator | None = None) -> Drawn:
        """Samples one continuation per state.

        Args:
            states: tokens of states with equally many tokens, int64 (batch, T), without `begin` and `separator`.
            temperature: divisor of the logits; 0 takes the most likely token.
            generator: source of random numbers on the CPU; None for torch's own.
        """
        shape = (len(states), self.written_length(states.shape[1]))
        numbers = torch.rand(shape, generator=generator, dtype=torch.float64)
        return self.sample_with(states, torch.full((len(states),), float(temperature)), numbers)

    @torch.no_grad()  # and not inference_mode: training computes gradients from these tensors
    def sample_with(self, states: torch.Tensor, temperatures: torch.Tensor, numbers: torch.Tensor) -> Drawn:
        """Samples with a temperature and random numbers of its own for each row.

        A row therefore depends on its own arguments only, whatever else is in the batch, up to rounding in the logits.

        Args:
            states: as in `sample`.
            temperatures: float (batch,).
            numbers: float64 (batch, length) in [0, 1): as many as tokens are to be written at most.
        """
        place = self.model.device
        reader = SequenceReader(self, states.to(place))
        done: torch.Tensor | None = None
        written: list[torch.Tensor] = []
        chances: list[torch.Tensor] = []
        temperatures, numbers = temperatures.to(place), numbers.to(place)
        for step in range(numbers.shape[1]):
            if step:
                reader.read(written[-1][:, None])
            chosen, chance = _choose(reader.logits[:, -1], temperatures, numbers[:, step])
            if done is not None:  # rows that have ended stay ended
                chosen, chance = chosen.where(~done, self._padding), chance.where(~done, 0.0)
            written.append(chosen)
            chances.append(chance)
            if self.layout.end is not None:
                done = chosen == self.layout.end
                if bool(done.all()):
                    break
        return _drawn(torch.stack(written, 1).cpu(), torch.stack(chances, 1).cpu(), self.layout.end)

    @property
    def _padding(self) -> int:
        return 0 if self.layout.end is None else self.layout.end

    def body(self, written: Sequence[int]) -> list[int] | None:
        """What was written before `end`; None if it did not end. Padding with `end` is ignored."""
        if self.layout.end is None:
            return list(written)
        return list(written[: list(written).index(self.layout.end)]) if self.layout.end in written else None

    def picture_of(self, written: Sequence[int]) -> StatePicture | None:
        """The picture that was written (a row of `Drawn.tokens`), or None if the tokens are not those of a picture.

        The picture's tokens come first, then `end`. An id outside of the picture codes is no token of a picture.
        """
        tokens = self.body(written)
        if tokens is None or not all(0 <= token < self.tokenizer.codes for token in tokens):
            return None
        return self.tokenizer.decode(tokens)

    def moves_of(self, written: Sequence[int]) -> list[str] | None:
        """The names of the moves that were written, or None if there is another id before `end`, or no `end`."""
        tokens = self.body(written)
        names = {token: move for move, token in self.layout.moves.items()}
        return None if tokens is None or not names.keys() >= set(tokens) else [names[token] for token in tokens]

    def move_tokens(self, moves: Sequence[str]) -> list[int]:
        """The ids of moves, without `end`."""
        return [self.layout.moves[move] for move in moves]

    def save(self, folder: str | Path) -> None:
        """Writes weights and configuration (`save_pretrained`), `planner.json` and, if it is ours, the tokenizer."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(place)
        write_layout(place / LAYOUT_FILE, self.layout)
        if isinstance(self.tokenizer, CellTokenizer):
            self.tokenizer.save(place / TOKENIZER_FILE)


def _with(token: int | None, rows: torch.Tensor, front: bool = False) -> torch.Tensor:
    if token is None:
        return rows
    column = rows.new_full((len(rows), 1), token)
    return torch.cat((column, rows) if front else (rows, column), 1)


def _choose(
    logits: torch.Tensor, temperatures: torch.Tensor, numbers: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Chooses a token per row by inverting the cumulative distribution; returns tokens and their log-probabilities."""
    greedy = temperatures == 0
    logprobs = (logits.float() / temperatures.where(~greedy, 1.0)[:, None]).log_softmax(-1)
    chosen = logprobs.argmax(-1)
    if not bool(greedy.all()):
        sums = logprobs.double().exp().cumsum(-1)
        # Scaling by the total makes up for rounding, and right=True skips tokens of probability 0.
        found = torch.searchsorted(sums, (numbers * sums[:, -1])[:, None], right=True)[:, 0]
        chosen = chosen.where(greedy | (found == logits.shape[1]), found)
    return chosen, logprobs.gather(1, chosen[:, None])[:, 0]


def _drawn(tokens: torch.Tensor, logprobs: torch.Tensor, end: int | None) -> Drawn:
    ended = torch.zeros_like(tokens) if end is None else (tokens == end).long()
    return Drawn(tokens, logprobs, ended.cumsum(1) - ended == 0)


def build_planner(
    tokenizer: PictureTokenizer,
    form: PlannerForm = "picture",
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
    seed: int = 0,
) -> Planner:
    """Builds a planner with random weights: a small Llama without dropout, in float32 on the CPU.

    The default has about 0.85 million parameters. The vocabulary is the same for both forms, so that both have the same
    number of parameters.

    Args:
        tokenizer: the picture tokenizer.
        form: what the planner writes.
        layers: number of layers.
        width: size of the hidden states; a multiple of twice the number of heads.
        heads: number of attention heads.
        seed: seed of the weights. torch's global generator is left as it was.
    """
    check_whole("layers", layers, 1)
    check_whole("heads", heads, 1)
    check_whole("width", width, 2 * heads)
    if width % (2 * heads):
        raise ValueError(f"width: expected a multiple of twice the number of heads ({2 * heads}), got {width}")
    layout = own_layout(form, tokenizer.codes)
    assert layout.begin is not None
    config = LlamaConfig(
        vocab_size=max(layout.moves.values()) + 1,
        hidden_size=width,
        intermediate_size=8 * width // 3,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=512,
        initializer_range=INITIALIZER_RANGE,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        bos_token_id=layout.begin,
        eos_token_id=layout.end,
        pad_token_id=layout.end,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
    return Planner(model.eval(), tokenizer, layout)


def load_planner(folder: str | Path, tokenizer: PictureTokenizer | None = None, device: str = "cpu") -> Planner:
    """Loads a planner from a folder: one of ours, or another causal language model with a tokenizer of its own.

    Args:
        folder: a folder with a model of transformers, and with `planner.json` unless sequences are just the tokens of
            the state and those of the next one.
        tokenizer: the picture tokenizer; None reads `tokenizer.npz` in the folder.
        device: where the model runs, for example "cpu" or "cuda".

    Raises:
        ValueError: something is missing, malformed, or does not fit together; the message names it.
    """
    place = Path(folder).expanduser()
    if not (place / "config.json").is_file():
        raise ValueError(f"{folder}: expected the folder of a planner, with a config.json")
    if tokenizer is None and not (place / TOKENIZER_FILE).is_file():
        raise ValueError(
            f"{folder}: there is no {TOKENIZER_FILE}; name a tokenizer: ?tokenizer=package.module:function"
        )
    reader = CellTokenizer.load(place / TOKENIZER_FILE) if tokenizer is None else tokenizer
    layout = read_sequence_layout(place / LAYOUT_FILE)
    try:
        where = torch.device(device)
        dtype = "float32" if where.type == "cpu" else "auto"
        model: Any = AutoModelForCausalLM.from_pretrained(str(place), local_files_only=True, dtype=dtype)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ValueError(f"{folder}: cannot load the model: {str(error).strip().splitlines()[0][:300]}") from error
    _check_vocabulary(str(folder), model.config.vocab_size, reader.codes, layout)
    return Planner(model.to(where).eval(), reader, layout)


def _check_vocabulary(folder: str, size: int, codes: int, layout: SequenceLayout) -> None:
    if size < codes:
        raise ValueError(f"{folder}: the model has {size} ids, fewer than the {codes} codes of the picture tokenizer")
    for name, token in layout.named().items():
        if not codes <= token < size:
            raise ValueError(f"{folder}: {LAYOUT_FILE}: {name}: expected an id from {codes} to {size - 1}, got {token}")
