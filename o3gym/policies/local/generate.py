"""Replies of any image-text-to-text model with transformers' `generate`, which reads the whole dialogue each turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from o3gym.policies.base import error_reply
from o3gym.policies.dialogue import CONTEXT_FULL, Request
from o3gym.policies.local.drafts import Draft, trie_of
from o3gym.policies.local.encoding import EncodedImage, Encoder
from o3gym.policies.local.sampling import draw
from o3gym.policies.local.token_sequences import TokenSequence
from o3gym.types import EpisodeKey, Reply

TYPE_IDS = ("token_type_ids", "mm_token_type_ids")
"""Arguments of some models, 1 where a token stands for pixels and 0 elsewhere."""


class WholeHistory:
    """Generates the replies of one model, `slots` requests at a time; a batch takes as long as its longest reply.

    Nothing is cached between turns but the token ids, so that a history consists of the ids that were sampled and not
    of those that its text would tokenise to.

    Args:
        model: the model, in eval mode.
        encoder: the encoder for the model's processor.
        slots: number of dialogues per batch.
        max_context: maximum number of tokens in a dialogue, replies included.
        eos: ids that end a reply.
    """

    def __init__(self, model: Any, encoder: Encoder, slots: int, max_context: int, eos: frozenset[int]) -> None:
        self.model, self.encoder, self.slots, self.max_context, self.eos = model, encoder, slots, max_context, eos
        self._device = model.get_input_embeddings().weight.device
        self._forbidden = torch.tensor(encoder.forbidden, device=self._device)
        self._sequences: dict[EpisodeKey, TokenSequence] = {}
        self._queue: list[Request] = []

    def submit(self, request: Request) -> None:
        """Accepts a request; a later `poll` returns its reply."""
        self._queue.append(request)

    def release(self, key: EpisodeKey) -> None:
        """Discards a dialogue."""
        self._queue = [request for request in self._queue if request.key != key]
        self._sequences.pop(key, None)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Returns the replies to the requests that have waited longest."""
        batch, self._queue = self._queue[: self.slots], self._queue[self.slots :]
        done, open_ = list[tuple[EpisodeKey, Reply]](), list[tuple[Request, TokenSequence, Draft]]()
        for request in batch:
            try:
                sequence = self._sequence(request)
                room = self.max_context - len(sequence.ids)
                trie = trie_of(request.sampling.choices, self.encoder)
            except Exception as error:
                done.append((request.key, self._failed(request, error)))
                continue
            if room < 1:
                self.release(request.key)
                done.append((request.key, Reply("", finish="length", error=CONTEXT_FULL)))
            else:
                draft = Draft(request.sampling, self.encoder, room, self.eos, trie, sequence.ids)
                open_.append((request, sequence, draft))
        return done + (self._answered(open_) if open_ else [])

    def _sequence(self, request: Request) -> TokenSequence:
        sequence = self._sequences.get(request.key)
        if sequence is None or not sequence.continues(request):
            sequence = self._sequences[request.key] = TokenSequence(request.dialogue)
        sequence.extend(self.encoder)
        return sequence

    def _failed(self, request: Request, error: Exception) -> Reply:
        self.release(request.key)
        return error_reply(error)

    def _answered(self, batch: list[tuple[Request, TokenSequence, Draft]]) -> list[tuple[EpisodeKey, Reply]]:
        """Answers a batch. If it fails before a token was sampled, each of its members is retried alone."""
        try:
            self._generate([sequence for _, sequence, _ in batch], [draft for _, _, draft in batch])
        except Exception as error:
            # A draft that holds tokens has used up part of its random numbers, so it cannot be sampled again as it was.
            if len(batch) > 1 and not any(draft.ids for _, _, draft in batch):
                return [reply for entry in batch for reply in self._answered([entry])]
            return [(request.key, self._failed(request, error)) for request, _, _ in batch]
        done = []
        for request, sequence, draft in batch:
            reply = draft.reply(sequence.prompt, len(sequence.ids))
            sequence.answer(draft.ids, reply.text)
            done.append((request.key, reply))
        return done

    def _generate(self, sequences: Sequence[TokenSequence], drafts: Sequence[Draft]) -> None:
        rows = [self.encoder.images(sequence.dialogue.messages) for sequence in sequences]
        drafting = _Drafting(drafts, self._forbidden, self.encoder.end)
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, max_new_tokens=max(draft.limit for draft in drafts), pad_token_id=self.encoder.pad
        )
        with torch.inference_mode():
            self.model.generate(
                **self._inputs(sequences, rows),
                generation_config=settings,
                logits_processor=[drafting],
                stopping_criteria=[_Over(drafting)],
            )

    def _inputs(self, sequences: Sequence[TokenSequence], rows: Sequence[Sequence[EncodedImage]]) -> dict[str, Any]:
        """Builds the model's arguments: the dialogues, padded on the left, and all their pictures.

        Padding is on the left because `generate` appends new tokens on the right, where they must follow each
        dialogue's last token directly. The attention mask does nothing but hide that padding; it is not a loss mask.
        """
        longest = max(len(sequence.ids) for sequence in sequences)
        gaps = [longest - len(sequence.ids) for sequence in sequences]
        pad = self.encoder.pad
        ids = torch.tensor([[pad] * gap + sequence.ids for gap, sequence in zip(gaps, sequences, strict=True)])
        mask = torch.tensor([[0] * gap + [1] * (longest - gap) for gap in gaps])
        inputs = {"input_ids": ids, "attention_mask": mask, **self.encoder.inputs(rows)}
        names = self.encoder.processor.model_input_names
        inputs |= {name: (ids == self.encoder.image_id).long() for name in TYPE_IDS if name in names}
        dtype = self.model.dtype
        return {
            name: value.to(self._device, dtype) if value.is_floating_point() else value.to(self._device)
            for name, value in inputs.items()
        }


class _Drafting(LogitsProcessor):
    """Draws each draft's next token itself, and leaves `generate` no other choice.

    So replies are sampled by the same code as everywhere else: the draw of a row depends on its own seed, choices and
    stop strings work, and log-probabilities are those of the distribution that was sampled from.
    """

    def __init__(self, drafts: Sequence[Draft], forbidden: torch.Tensor, end: int) -> None:
        self.drafts, self.forbidden, self.end = drafts, forbidden, end
        self.over = [False] * len(drafts)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        unfinished = [row for row, over in enumerate(self.over) if not over]
        drafts = [self.drafts[row] for row in unfinished]
        drawn = draw(scores[unfinished].clone(), drafts, self.forbidden.to(scores.device))
        # rows that are finished get end tokens, which `generate` expects and nobody reads
        tokens = [self.end] * len(self.over)
        for row, (token, logprob) in zip(unfinished, drawn, strict=True):
            self.over[row] = self.drafts[row].accept(token, logprob)
            tokens[row] = token
        only = torch.full_like(scores, -torch.inf)
        only[torch.arange(len(tokens)), torch.tensor(tokens)] = 0.0
        return only  # type: ignore[return-value]


class _Over(StoppingCriteria):
    """Tells `generate` which drafts are complete."""

    def __init__(self, drafting: _Drafting) -> None:
        self.drafting = drafting

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        return torch.tensor(self.drafting.over, device=input_ids.device)  # type: ignore[return-value]
