"""Replies of any image-text-to-text model through `generate` of transformers: every turn reads the whole dialogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

from o3gym.policies.dialogue import CONTEXT_FULL, Request
from o3gym.policies.local.encoding import EncodedImage, Encoder
from o3gym.policies.local.sampling import Draft, draw, trie_of
from o3gym.policies.local.token_sequences import TokenSequence
from o3gym.types import EpisodeKey, Reply

TYPE_IDS = ("token_type_ids", "mm_token_type_ids")
"""Arguments that some models take: 1 where a token stands for pixels."""


class WholeHistory:
    """Replies of one model, `slots` requests at a time; a batch takes as long as its longest reply.

    Ids are kept from turn to turn all the same, so a history is what was sampled and not what its text tokenises to.

    Args:
        model: in eval mode.
        encoder: of its processor.
        slots: dialogues per batch.
        max_context: tokens that a dialogue may have, replies included.
        eos: ids that end a reply.
    """

    def __init__(self, model: Any, encoder: Encoder, slots: int, max_context: int, eos: frozenset[int]) -> None:
        self.model, self.encoder, self.slots, self.max_context, self.eos = model, encoder, slots, max_context, eos
        self._device = model.get_input_embeddings().weight.device
        self._forbidden = torch.tensor(encoder.forbidden, device=self._device)
        self._contexts: dict[EpisodeKey, TokenSequence] = {}
        self._queue: list[Request] = []

    def submit(self, request: Request) -> None:
        """Accept a request; it is answered in a later `poll`."""
        self._queue.append(request)

    def release(self, key: EpisodeKey) -> None:
        """Forget a dialogue."""
        self._queue = [request for request in self._queue if request.key != key]
        self._contexts.pop(key, None)

    def poll(self) -> list[tuple[EpisodeKey, Reply]]:
        """Replies to the requests that have waited longest."""
        batch, self._queue = self._queue[: self.slots], self._queue[self.slots :]
        done, open_ = list[tuple[EpisodeKey, Reply]](), list[tuple[Request, TokenSequence, Draft]]()
        for request in batch:
            try:
                context = self._context(request)
                room = self.max_context - len(context.ids)
                trie = trie_of(request.sampling.choices, self.encoder)
            except Exception as error:
                done.append((request.key, self._failed(request, error)))
                continue
            if room < 1:
                self.release(request.key)
                done.append((request.key, Reply("", finish="length", error=CONTEXT_FULL)))
            else:
                open_.append((request, context, Draft(request.sampling, self.encoder, room, self.eos, trie)))
        return done + (self._answered(open_) if open_ else [])

    def _context(self, request: Request) -> TokenSequence:
        context = self._contexts.get(request.key)
        if context is None or not context.continues(request):
            context = self._contexts[request.key] = TokenSequence(request.dialogue)
        context.extend(self.encoder)
        return context

    def _failed(self, request: Request, error: Exception) -> Reply:
        self.release(request.key)
        return Reply("", finish="error", error=f"{type(error).__name__}: {error}"[:500])

    def _answered(self, batch: list[tuple[Request, TokenSequence, Draft]]) -> list[tuple[EpisodeKey, Reply]]:
        """Replies to a batch; where it fails, its members are tried alone."""
        try:
            self._generate([context for _, context, _ in batch], [draft for _, _, draft in batch])
        except Exception as error:
            if len(batch) > 1 and not any(draft.ids for _, _, draft in batch):
                return [reply for entry in batch for reply in self._answered([entry])]
            return [(request.key, self._failed(request, error)) for request, _, _ in batch]
        done = []
        for request, context, draft in batch:
            reply = draft.reply(context.prompt, len(context.ids))
            context.answer(draft.ids, reply.text)
            done.append((request.key, reply))
        return done

    def _generate(self, contexts: Sequence[TokenSequence], drafts: Sequence[Draft]) -> None:
        rows = [self.encoder.images(context.dialogue.messages) for context in contexts]
        judge = _Drafting(drafts, self._forbidden, self.encoder.end)
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, max_new_tokens=max(draft.limit for draft in drafts), pad_token_id=self.encoder.pad
        )
        with torch.inference_mode():
            self.model.generate(
                **self._inputs(contexts, rows),
                generation_config=settings,
                logits_processor=[judge],
                stopping_criteria=[_Over(judge)],
            )

    def _inputs(self, contexts: Sequence[TokenSequence], rows: Sequence[Sequence[EncodedImage]]) -> dict[str, Any]:
        """The dialogues padded on the left, and all their pictures."""
        longest = max(len(context.ids) for context in contexts)
        gaps = [longest - len(context.ids) for context in contexts]
        ids = torch.tensor([[self.encoder.pad] * gap + c.ids for gap, c in zip(gaps, contexts, strict=True)])
        seen = torch.tensor([[0] * gap + [1] * (longest - gap) for gap in gaps])
        given = {"input_ids": ids, "attention_mask": seen, **self.encoder.inputs(rows)}
        names = self.encoder.processor.model_input_names
        given |= {name: (ids == self.encoder.image_id).long() for name in TYPE_IDS if name in names}
        floating = self.model.dtype
        return {
            name: value.to(self._device, floating) if value.is_floating_point() else value.to(self._device)
            for name, value in given.items()
        }


class _Drafting(LogitsProcessor):
    """Takes each draft's next token itself, and leaves `generate` no other choice."""

    def __init__(self, drafts: Sequence[Draft], forbidden: torch.Tensor, end: int) -> None:
        self.drafts, self.forbidden, self.end = drafts, forbidden, end
        self.over = [False] * len(drafts)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        live = [row for row, over in enumerate(self.over) if not over]
        drawn = draw(scores[live].clone(), [self.drafts[row] for row in live], self.forbidden.to(scores.device))
        tokens = [self.end] * len(self.over)
        for row, (token, logprob) in zip(live, drawn, strict=True):
            self.over[row] = self.drafts[row].accept(token, logprob)
            tokens[row] = token
        only = torch.full_like(scores, -torch.inf)
        only[torch.arange(len(tokens)), torch.tensor(tokens)] = 0.0
        return only  # type: ignore[return-value]


class _Over(StoppingCriteria):
    """Tells `generate` which drafts are over."""

    def __init__(self, judge: _Drafting) -> None:
        self.judge = judge

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        return torch.tensor(self.judge.over, device=input_ids.device)  # type: ignore[return-value]
