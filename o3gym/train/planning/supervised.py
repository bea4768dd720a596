"""One step of supervised learning: the log-probability of what follows each state rises."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from o3gym.policies.planner.model import Planner
from o3gym.registry import require
from o3gym.train.planning.data import PlannerExample, StateTokens

torch = require("torch", "train")


def by_length(lengths: Sequence[int], most: int = 0) -> Iterator[list[int]]:
    """Yields the positions of equal lengths together, at most `most` at a time (0: all of them)."""
    groups: dict[int, list[int]] = defaultdict(list)
    for position, length in enumerate(lengths):
        groups[length].append(position)
    for length in sorted(groups):
        group = groups[length]
        size = most or len(group)
        yield from (group[first : first + size] for first in range(0, len(group), size))


def learn_examples(
    planner: Planner, tokens: StateTokens, examples: Sequence[PlannerExample], micro_batch: int = 0
) -> dict[str, float]:
    """Adds the gradient of the mean loss over all tokens of a batch.

    Args:
        planner: the planner.
        tokens: the tokens of states.
        examples: the batch.
        micro_batch: greatest number of examples per forward pass; 0 for no limit.

    Returns:
        "loss", in nats per token, and "tokens", the number of tokens that it is a mean of.
    """
    states = [tokens(example.world, example.state) for example in examples]
    targets = [target_tokens(planner, tokens, example) for example in examples]
    total = sum(map(len, targets))
    loss = 0.0
    for group in by_length([len(state) for state in states], micro_batch):
        written, mask = _padded([targets[i] for i in group], planner.model.device)
        given = torch.tensor([states[i] for i in group], device=planner.model.device)
        part = -(planner.log_probabilities(given, written) * mask).sum() / total
        part.backward()
        loss += float(part.detach())
    return {"loss": loss, "tokens": float(total)}


def target_tokens(planner: Planner, tokens: StateTokens, example: PlannerExample) -> list[int]:
    """Returns what the planner learns to write after the state of an example, with the id that ends it."""
    if planner.layout.form == "words":
        written = planner.move_tokens([example.world.moves[move] for move in example.plan])
    else:
        written = list(tokens(example.world, example.following))
    return [*written, *([] if planner.layout.end is None else [planner.layout.end])]


def _padded(targets: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    """Pads targets on the right, where padding is invisible to what comes before, and returns them with their mask."""
    longest = max(map(len, targets))
    rows = [[*target, *[target[-1]] * (longest - len(target))] for target in targets]
    mask = [[1.0] * len(target) + [0.0] * (longest - len(target)) for target in targets]
    return torch.tensor(rows, device=device), torch.tensor(mask, device=device)
