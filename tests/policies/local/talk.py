"""Dialogues with random pictures, played against a policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from o3gym.policies.dialogue import Dialogue, Message, Picture, Request, Role
from o3gym.policies.local.encoding import Encoder
from o3gym.sampling import Sampling
from o3gym.types import FULL, EpisodeKey, Reply, View


def picture(width: int = 40, height: int = 30, index: int = 0, loads: list[int] | None = None) -> Picture:
    pixels = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)

    def load() -> np.ndarray:
        if loads is not None:
            loads.append(index)
        return pixels

    return Picture(View(index, 0, FULL, (width, height), (width, height)), load)


def shown(encoder: Encoder, width: int, height: int, index: int = 0) -> Picture:
    """A picture at the size the model takes it."""
    return picture(*encoder.vision_size(width, height), index)


def key(name: object) -> EpisodeKey:
    return ("arm", str(name), 0, "main")


def opened_with(*parts: Any) -> Dialogue:
    dialogue = Dialogue()
    dialogue.add("system", ["You look."])
    dialogue.add("user", parts or ("What is it?",))
    return dialogue


def opened(encoder: Encoder, number: int = 0) -> Dialogue:
    """A dialogue that differs from others in its picture's size and its question's length."""
    dialogue = Dialogue()
    dialogue.add("system", ["You look."])
    dialogue.add("user", [shown(encoder, 60 + 40 * number, 90, number), "What is it? " * (5 * number + 1)])
    return dialogue


def going_on(encoder: Encoder, dialogue: Dialogue, reply: Reply, number: int, turn: int, role: Role = "user") -> None:
    """The reply and the next observation: one picture, then two, then none."""
    dialogue.add("assistant", [reply.text])
    count = (1, 2, 0)[turn % 3]
    pictures = [shown(encoder, 40 + 30 * n, 50 + 25 * number, 100 * number + 10 * turn + n) for n in range(count)]
    dialogue.add(role, ["Here: ", *pictures, "Next."])


def play(
    policy: Any, count: int = 3, turns: int = 3, role: Role = "user", **sampling: Any
) -> tuple[list[Dialogue], list[list[Reply]]]:
    """Several dialogues side by side: all of them, and the replies of each."""
    dialogues = [opened(policy.encoder, number) for number in range(count)]
    replies: list[list[Reply]] = [[] for _ in dialogues]

    def ask(number: int) -> None:
        # replies of different lengths, so that rows come and go
        settings = {"max_tokens": 5 + 4 * number, "seed": 10 * number + len(replies[number]), **sampling}
        policy.submit(Request(key(number), dialogues[number], Sampling(**settings)))

    for number in range(count):
        ask(number)
    while sum(map(len, replies)) < count * turns:
        for name, reply in policy.poll():
            assert reply.finish != "error", reply.error
            number = int(name[1])
            replies[number].append(reply)
            if len(replies[number]) < turns:
                going_on(policy.encoder, dialogues[number], reply, number, len(replies[number]), role)
                ask(number)
    for number in range(count):
        policy.release(key(number))
    return dialogues, replies


def flat(replies: Sequence[Sequence[Reply]]) -> list[Reply]:
    return [reply for said in replies for reply in said]


def sequence(replies: Sequence[Reply]) -> tuple[list[int], list[slice]]:
    """The ids of a dialogue, and where each reply is in them."""
    ids, places = list[int](), []
    for reply in replies:
        ids += reply.new_prompt_ids or ()
        places.append(slice(len(ids), len(ids) + len(reply.token_ids or ())))
        ids += reply.token_ids or ()
    return ids, places


def reference(
    model: Any, encoder: Encoder, dialogue: Dialogue, replies: Sequence[Reply], temperature: float = 1.0
) -> list[list[float]]:
    """Log-probabilities of the replies by one forward pass over everything."""
    ids, places = sequence(replies)
    logprobs = distributions(model, encoder, dialogue, replies, temperature)
    return [[logprobs[at - 1, ids[at]].item() for at in range(place.start, place.stop)] for place in places]


def distributions(
    model: Any, encoder: Encoder, dialogue: Dialogue, replies: Sequence[Reply], temperature: float = 1.0
) -> torch.Tensor:
    """Log-probabilities (tokens, vocabulary) of every next token, by one forward pass over everything."""
    ids, _ = sequence(replies)
    row = torch.tensor([ids])
    given = encoder.inputs([encoder.images(dialogue.messages)])
    if encoder.factor:
        given["mm_token_type_ids"] = (row == encoder.image_id).int()
        model.model.rope_deltas = None
    with torch.no_grad():
        logits = model(input_ids=row, attention_mask=torch.ones_like(row), **given).logits[0].float()
    logits[:, list(encoder.forbidden)] = -torch.inf
    return torch.log_softmax(logits / temperature, dim=-1)


def messages(*parts: tuple[str, Sequence[Any]]) -> list[Message]:
    return [Message(role, tuple(said)) for role, said in parts]  # type: ignore[arg-type]
