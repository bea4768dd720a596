"""The decoding loop of the Qwen families: keys and values stay from turn to turn, requests join and leave at any token.

`generate` of transformers cannot go on from a kept cache when new pictures come, and keeps one position offset for the
whole model. Here each dialogue has its own rotary positions and its own row of the cache, so a turn costs what is new
in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

from o3gym.policies.dialogue import CONTEXT_FULL, Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.qwen import Qwen
from o3gym.policies.local.sampling import Draft, Trie, draw, trie_of
from o3gym.policies.local.token_sequences import TokenSequence
from o3gym.types import EpisodeKey, Reply

Entry: TypeAlias = tuple[EpisodeKey, TokenSequence, Draft]
Ready: TypeAlias = list[tuple[EpisodeKey, Reply]]

PREFILL = 16_384
"""Padded tokens that are read in one forward pass, unless a single dialogue has more."""


KEPT_TRIES = 256
"""Sets of choices whose tries are kept: every task has its own."""


class Decoder:
    """Replies of one model of the Qwen families.

    Args:
        model: `…ForConditionalGeneration` of one of `FAMILIES`, full attention in all layers, in eval mode.
        encoder: of its processor.
        slots: dialogues whose keys and values are kept; beyond that the one longest unused is read anew.
        max_context: tokens that a dialogue may have, replies included.
        eos: ids that end a reply.
    """

    def __init__(self, model: Any, encoder: Encoder, slots: int, max_context: int, eos: frozenset[int]) -> None:
        self.encoder, self.slots, self.max_context, self.eos = encoder, slots, max_context, eos
        self._network = Qwen(model, encoder)
        self._cache = self._network.cache
        self._forbidden = torch.tensor(encoder.forbidden, device=self._network.device)
        self._rows: list[TokenSequence | None] = []
        self._contexts: dict[EpisodeKey, TokenSequence] = {}
        self._queue: list[Request] = []
        self._active: list[Entry] = []
        self._tries: dict[tuple[str, ...], Trie] = {}
        self._clock = 0

    def submit(self, request: Request) -> None:
        """Accept a request; it joins at the next `poll`. Raises ValueError if its dialogue waits for one already."""
        if request.key in (*(r.key for r in self._queue), *(key for key, _, _ in self._active)):
            raise ValueError(f"{request.key} already waits for a reply")
        self._queue.append(request)

    @torch.inference_mode()
    def poll(self) -> Ready:
        """Replies that are finished; waits for one while any request is open."""
        done: Ready = []
        while not done and (self._queue or self._active):
            done += self._join()
            if not done:
                done += self._step()
        return done

    @torch.inference_mode()
    def release(self, key: EpisodeKey) -> None:
        """Forget a dialogue; its row is free."""
        self._queue = [request for request in self._queue if request.key != key]
        context = self._contexts.pop(key, None)
        if context is not None:
            for row in [row for row, entry in enumerate(self._active) if entry[1] is context]:
                self._leave(row)
            self._drop(context)

    # joining

    def _join(self) -> Ready:
        """Let queued requests in as far as there are rows; read what is new to them; sample a first token each."""
        done, joining = Ready(), list[Entry]()
        room = self.slots - len(self._active)
        batch, self._queue = self._queue[:room], self._queue[room:]
        for request in batch:
            try:
                entry = self._opened(request)
            except Exception as error:
                self.release(request.key)
                done.append((request.key, failure(error)))
                continue
            if entry is None:
                done.append((request.key, Reply("", finish="length", error=CONTEXT_FULL)))
            else:
                joining.append(entry)
        for group in self._groups(joining):
            done += self._read(group)
        return done

    def _opened(self, request: Request) -> Entry | None:
        """The request's context with what is new taken in; None if it leaves no room for a reply."""
        context = self._contexts.get(request.key)
        if context is None or not context.continues(request):
            self.release(request.key)
            context = self._contexts[request.key] = TokenSequence(request.dialogue)
        context.extend(self.encoder)
        room = self.max_context - len(context.ids)
        if room < 1:
            self.release(request.key)
            return None
        self._clock += 1
        context.used = self._clock
        choices = request.sampling.choices
        if choices not in self._tries:
            if len(self._tries) >= KEPT_TRIES:
                self._tries.clear()
            self._tries[choices] = trie_of(choices, self.encoder)
        draft = Draft(request.sampling, self.encoder, room, self.eos, self._tries[choices])
        return request.key, context, draft

    @staticmethod
    def _groups(joining: list[Entry]) -> list[list[Entry]]:
        """Groups whose padding at most doubles what is read, each within `PREFILL` tokens."""
        groups: list[list[Entry]] = []
        longest = 0
        for entry in sorted(joining, key=lambda entry: entry[1].kept - len(entry[1].ids)):
            new = len(entry[1].ids) - entry[1].kept
            if groups and 2 * new >= longest and longest * (len(groups[-1]) + 1) <= PREFILL:
                groups[-1].append(entry)
            else:
                groups.append([entry])
                longest = new
        return groups

    def _read(self, group: list[Entry]) -> Ready:
        """Read what is new to a group and sample. Where a group fails its members are tried alone."""
        try:
            for entry in group:
                self._settle(entry[1], len(self._active) + group.index(entry))
            logits = self._network.read([context for _, context, _ in group], len(self._active))
            drawn = draw(logits, [draft for _, _, draft in group], self._forbidden)
        except Exception as error:
            if len(group) > 1:
                return [reply for entry in group for reply in self._read([entry])]
            self.release(group[0][0])
            return [(group[0][0], failure(error))]
        first = len(self._active)
        self._active += group
        return self._taken(drawn, first)

    # going on

    def _step(self) -> Ready:
        """One token for every active dialogue."""
        if not self._active:
            return []
        drafts = [draft for _, _, draft in self._active]
        contexts = [context for _, context, _ in self._active]
        try:
            logits = self._network.write(contexts, [draft.ids[-1] for draft in drafts])
            drawn = draw(logits, drafts, self._forbidden)
        except Exception as error:  # nothing tells whose fault it is
            keys = [key for key, _, _ in self._active]
            for key in keys:
                self.release(key)
            return [(key, failure(error)) for key in keys]
        return self._taken(drawn, 0)

    def _taken(self, drawn: Sequence[tuple[int, float]], first: int) -> Ready:
        """Give the active drafts from `first` on their tokens; those that are over leave."""
        over = [row for row, (token, chance) in enumerate(drawn, first) if self._active[row][2].accept(token, chance)]
        return [self._finished(*self._leave(row)) for row in reversed(over)]

    def _leave(self, row: int) -> Entry:
        """Take an active draft out; the last one moves to its row, so that all stay next to each other."""
        entry, last = self._active[row], self._active.pop()
        if row < len(self._active):
            self._active[row] = last
            self._swap(row, len(self._active))
        return entry

    def _finished(self, key: EpisodeKey, context: TokenSequence, draft: Draft) -> tuple[EpisodeKey, Reply]:
        reply = draft.reply(context.prompt, len(context.ids))
        if reply.finish == "error":
            self.release(key)
        else:
            context.answer(draft.ids, reply.text)
        return key, reply

    # rows

    def _settle(self, context: TokenSequence, row: int) -> None:
        """Bring a context to this row; one without a row gets a free one, or that of the idle one longest unused."""
        if context.row < 0:
            if len(context.prompt) < len(context.ids):  # read before, let go since
                context.images = self.encoder.images(context.dialogue.messages)
            self._claim(context)
        self._swap(context.row, row)

    def _claim(self, context: TokenSequence) -> None:
        if None not in self._rows and len(self._rows) < self.slots:
            count = min(self.slots, max(1, 2 * len(self._rows))) - len(self._rows)
            self._rows += [None] * count
            self._cache.add_rows(count)
        if None not in self._rows:
            busy = {id(entry[1]) for entry in self._active}
            waiting = [kept for kept in self._rows if kept is not None and id(kept) not in busy]
            self._drop(min(waiting, key=lambda kept: kept.used))
        context.row = self._rows.index(None)
        self._rows[context.row] = context
        self._cache.lengths[context.row] = context.kept = context.position = 0

    def _drop(self, context: TokenSequence) -> None:
        if context.row >= 0:
            self._rows[context.row] = None
            context.row, context.kept, context.position = -1, 0, 0

    def _swap(self, one: int, other: int) -> None:
        self._cache.swap(one, other)
        self._rows[one], self._rows[other] = self._rows[other], self._rows[one]
        for row in (one, other):
            if (context := self._rows[row]) is not None:
                context.row = row


def failure(error: Exception) -> Reply:
    """The reply where there is none."""
    return Reply("", finish="error", error=f"{type(error).__name__}: {error}"[:500])
