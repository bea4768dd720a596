"""The decoding loop of the Qwen families: a KV cache kept from turn to turn, and continuous batching.

`generate` of transformers cannot continue from a cache when new pictures arrive, and keeps one position offset for the
whole model. Here each dialogue has its own rotary positions and its own row of the cache, so the cost of a turn depends
on its new tokens only. If a dialogue is cut (`Dialogue.cut`), its row is kept up to the first changed message. Requests
join and leave the batch at any token.

The rows of the active dialogues, those whose replies are being sampled, are always 0, 1, …, n − 1, in the order of
`_active`. Rows behind them hold dialogues that wait for their next turn, or nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from o3gym.policies.base import error_reply
from o3gym.policies.dialogue import CONTEXT_FULL, Request
from o3gym.policies.local.drafts import Draft, Trie, trie_of
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.qwen import Qwen
from o3gym.policies.local.sampling import draw
from o3gym.policies.local.token_sequences import TokenSequence
from o3gym.types import EpisodeKey, Reply

Entry: TypeAlias = tuple[EpisodeKey, TokenSequence, Draft]
Ready: TypeAlias = list[tuple[EpisodeKey, Reply]]

PREFILL = 16_384
"""Maximum number of tokens, padding included, in one prefill pass, unless a single dialogue has more."""
KEPT_TRIES = 256
"""Maximum number of cached tries of choices; every task has its own set of choices."""


class Decoder:
    """Generates the replies of one model of the Qwen families.

    Args:
        model: a `…ForConditionalGeneration` of one of `QWEN_FAMILIES`, with full attention in all layers, in eval mode.
        encoder: the encoder for the model's processor.
        slots: number of dialogues whose keys and values are cached. If there are more, the least recently used one is
            dropped and read again in its next turn.
        max_context: maximum number of tokens in a dialogue, replies included.
        eos: ids that end a reply.
    """

    def __init__(self, model: Any, encoder: Encoder, slots: int, max_context: int, eos: frozenset[int]) -> None:
        self.encoder, self.slots, self.max_context, self.eos = encoder, slots, max_context, eos
        self._network = Qwen(model, encoder)
        self._cache = self._network.cache
        self._forbidden = torch.tensor(encoder.forbidden, device=self._network.device)
        self._rows: list[TokenSequence | None] = []
        self._sequences: dict[EpisodeKey, TokenSequence] = {}
        self._queue: list[Request] = []
        self._active: list[Entry] = []
        self._tries: dict[tuple[str, ...], Trie] = {}
        self._clock = 0

    def submit(self, request: Request) -> None:
        """Accepts a request, which joins the batch at the next `poll`.

        Raises:
            ValueError: the episode already waits for a reply.
        """
        if request.key in (*(r.key for r in self._queue), *(key for key, _, _ in self._active)):
            raise ValueError(f"{request.key} already waits for a reply")
        self._queue.append(request)

    @torch.inference_mode()
    def poll(self) -> Ready:
        """Returns the replies that are finished; decodes until there is one while any request is open."""
        done: Ready = []
        while not done and (self._queue or self._active):
            done += self._join()
            if not done:
                done += self._step()
        return done

    @torch.inference_mode()
    def release(self, key: EpisodeKey) -> None:
        """Discards a dialogue and frees its row, even in the middle of a reply."""
        self._queue = [request for request in self._queue if request.key != key]
        sequence = self._sequences.pop(key, None)
        if sequence is not None:
            for row in [row for row, entry in enumerate(self._active) if entry[1] is sequence]:
                self._leave(row)
            self._drop(sequence)

    # prefill

    def _join(self) -> Ready:
        """Admits queued requests while there are free rows, reads their new tokens, and samples a first token each."""
        done, joining = Ready(), list[Entry]()
        room = self.slots - len(self._active)
        batch, self._queue = self._queue[:room], self._queue[room:]
        for request in batch:
            try:
                entry = self._opened(request)
            except Exception as error:
                self.release(request.key)
                done.append((request.key, error_reply(error)))
                continue
            if entry is None:
                done.append((request.key, Reply("", finish="length", error=CONTEXT_FULL)))
            else:
                joining.append(entry)
        for group in self._groups(joining):
            done += self._read(group)
        return done

    def _opened(self, request: Request) -> Entry | None:
        """Appends the request's new messages to its sequence; None if that leaves no room for a reply."""
        sequence = self._sequences.get(request.key)
        if sequence is None or not sequence.continues(request):
            self.release(request.key)
            sequence = self._sequences[request.key] = TokenSequence(request.dialogue)
        sequence.extend(self.encoder)
        if sequence.row >= 0:  # a cut may have taken ids back
            self._cache.lengths[sequence.row] = sequence.cached
        room = self.max_context - len(sequence.ids)
        if room < 1:
            self.release(request.key)
            return None
        self._clock += 1
        sequence.last_used = self._clock
        choices = request.sampling.choices
        if choices not in self._tries:
            if len(self._tries) >= KEPT_TRIES:
                self._tries.clear()
            self._tries[choices] = trie_of(choices, self.encoder)
        draft = Draft(request.sampling, self.encoder, room, self.eos, self._tries[choices], sequence.ids)
        return request.key, sequence, draft

    @staticmethod
    def _groups(joining: list[Entry]) -> list[list[Entry]]:
        """Groups sequences for prefill, so that padding at most doubles a pass, each within `PREFILL` tokens.

        They are sorted by their number of new tokens, longest first, so the first of a group has the padded length.
        """
        groups: list[list[Entry]] = []
        longest = 0
        for entry in sorted(joining, key=lambda entry: entry[1].cached - len(entry[1].ids)):
            new = len(entry[1].ids) - entry[1].cached
            if groups and 2 * new >= longest and longest * (len(groups[-1]) + 1) <= PREFILL:
                groups[-1].append(entry)
            else:
                groups.append([entry])
                longest = new
        return groups

    def _read(self, group: list[Entry]) -> Ready:
        """Reads the new tokens of a group and samples. If the group fails, each of its members is retried alone."""
        try:
            for offset, entry in enumerate(group):
                self._place(entry[1], len(self._active) + offset)
            logits = self._network.read([sequence for _, sequence, _ in group], len(self._active))
            drawn = draw(logits, [draft for _, _, draft in group], self._forbidden)
        except Exception as error:
            if len(group) > 1:
                return [reply for entry in group for reply in self._read([entry])]
            self.release(group[0][0])
            return [(group[0][0], error_reply(error))]
        first = len(self._active)
        self._active += group
        return self._accept(drawn, first)

    # decoding

    def _step(self) -> Ready:
        """Samples one token for every active dialogue."""
        if not self._active:
            return []
        drafts = [draft for _, _, draft in self._active]
        sequences = [sequence for _, sequence, _ in self._active]
        try:
            logits = self._network.write(sequences, [draft.ids[-1] for draft in drafts])
            drawn = draw(logits, drafts, self._forbidden)
        except Exception as error:  # nothing tells which dialogue is at fault, so all of them fail
            keys = [key for key, _, _ in self._active]
            for key in keys:
                self.release(key)
            return [(key, error_reply(error)) for key in keys]
        return self._accept(drawn, 0)

    def _accept(self, drawn: Sequence[tuple[int, float]], first: int) -> Ready:
        """Appends a token to each active draft from row `first`; removes the drafts that are complete."""
        over = [row for row, (token, logprob) in enumerate(drawn, first) if self._active[row][2].accept(token, logprob)]
        # From the last row backwards: then the row that moves into the gap belongs to a draft that stays.
        return [self._finished(*self._leave(row)) for row in reversed(over)]

    def _leave(self, row: int) -> Entry:
        """Removes an active draft; the last one moves into its row, so that the active rows stay contiguous."""
        entry, last = self._active[row], self._active.pop()
        if row < len(self._active):
            self._active[row] = last
            self._swap(row, len(self._active))
        return entry

    def _finished(self, key: EpisodeKey, sequence: TokenSequence, draft: Draft) -> tuple[EpisodeKey, Reply]:
        reply = draft.reply(sequence.prompt, len(sequence.ids))
        if reply.finish == "error":
            self.release(key)
        else:
            # The last id is in the sequence but not yet in the cache; the next turn's prefill reads it first.
            sequence.answer(draft.ids, reply.text)
        return key, reply

    # cache rows

    def _place(self, sequence: TokenSequence, row: int) -> None:
        """Moves a sequence to this row, after giving it a row if it has none."""
        if sequence.row < 0:
            # Its row was taken by another dialogue, so everything is read again, earlier pictures included.
            if sequence.fresh:
                sequence.images = self.encoder.images(sequence.dialogue.messages)
            self._claim(sequence)
        self._swap(sequence.row, row)

    def _claim(self, sequence: TokenSequence) -> None:
        """Gives a sequence an empty row: a free one, a new one, or that of the least recently used idle dialogue."""
        if None not in self._rows and len(self._rows) < self.slots:
            count = min(self.slots, max(1, 2 * len(self._rows))) - len(self._rows)
            self._rows += [None] * count
            self._cache.add_rows(count)
        if None not in self._rows:
            busy = {id(entry[1]) for entry in self._active}
            idle = [owner for owner in self._rows if owner is not None and id(owner) not in busy]
            # The sequences about to be read have just been used, so they are not the minimum.
            self._drop(min(idle, key=lambda owner: owner.last_used))
        sequence.row = self._rows.index(None)
        self._rows[sequence.row] = sequence
        # the previous owner's keys and values stay in the row, where the mask hides them until they are overwritten
        self._cache.lengths[sequence.row] = sequence.cached = sequence.position = 0

    def _drop(self, sequence: TokenSequence) -> None:
        if sequence.row >= 0:
            self._rows[sequence.row] = None
            sequence.row, sequence.cached, sequence.position = -1, 0, 0

    def _swap(self, one: int, other: int) -> None:
        self._cache.swap(one, other)
        self._rows[one], self._rows[other] = self._rows[other], self._rows[one]
        for row in (one, other):
            if (sequence := self._rows[row]) is not None:
                sequence.row = row
