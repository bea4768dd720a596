"""A policy whose replies are given, with exact token ids: episodes for the tests of reinforcement learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from o3gym.dialects.base import Dialect
from o3gym.dialects.grid import Grid
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.token_sequences import TokenSequence
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import EpisodeKey, Reply, Trajectory

ENV: Mapping[str, Any] = {
    "suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 60_000},
    "split": "train",
    "tools": ["crop", "answer"],
    "min_pixels": 1024,
    "max_pixels": 4096,
}


class Spelled(Policy):
    """Writes the texts given for an episode, one per turn, then "answer nothing"."""

    def __init__(self, encoder: Encoder, texts: Mapping[tuple[str, int], Sequence[str]]) -> None:
        super().__init__()
        self.encoder, self.texts = encoder, texts
        self.sequences: dict[EpisodeKey, TokenSequence] = {}

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        sequence = self.sequences.setdefault(request.key, TokenSequence(request.dialogue))
        sequence.extend(self.encoder)
        turn = sum(message.role == "assistant" for message in request.dialogue.messages)
        texts = self.texts[request.key[1], request.key[2]]
        text = texts[turn] if turn < len(texts) else "answer nothing"
        ids = (*self.encoder.tokens(text), self.encoder.end)
        prompt = sequence.prompt
        sequence.answer(ids, text)
        return Reply(text, ids, (-1.5,) * len(ids), prompt)

    def vision_size(self, width: int, height: int) -> tuple[int, int]:
        return self.encoder.vision_size(width, height)


class Listener(Policy):
    """Keeps what it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        self.heard += [message.text for request in requests for message in request.dialogue.messages]
        return [Reply("answer nothing") for _ in requests]


def prompts(dialect: Dialect, env: Mapping[str, Any] = ENV) -> list[str]:
    """The texts that open an episode, for a tokenizer that spells them in few tokens."""
    listener = Listener()
    list(
        rollout(
            [Job(task, f"{task}", 0, seed=0) for task in range(4)], listener, dialect, Arm("", {**env, "max_turns": 2})
        )
    )
    return listener.heard


LOOKS = ["look 2x2 a1", "look 2x2 b2", "look 3x3 b2"]


def played(
    encoder: Encoder, groups: int = 2, samples: int = 3, max_turns: int = 4, window: int | None = None
) -> list[list[Trajectory]]:
    """Groups of episodes of different lengths: sample 0 answers at once, 1 after one look, and so on."""
    texts = {(f"g{g}", s): [*LOOKS[:s], f"answer {'red' * (g + 1)}"] for g in range(groups) for s in range(samples)}
    jobs = [Job(g, f"g{g}", s, seed=s) for g in range(groups) for s in range(samples)]
    arm = Arm("train", {**ENV, "max_turns": max_turns}, window=window)
    return collect(rollout(jobs, Spelled(encoder, texts), Grid(), arm))


def rewarded(groups: list[list[Trajectory]], rewards: Sequence[Sequence[float]]) -> list[list[Trajectory]]:
    """The episodes with these rewards."""
    return [
        [replace(t, reward=float(r), verdict="correct" if r else "wrong") for t, r in zip(group, row, strict=True)]
        for group, row in zip(groups, rewards, strict=True)
    ]
