"""Turns settled episodes into training samples: which have a loss, their advantages, and what the loss is divided by.

Advantages are normalised in `o3gym.train.grpo.advantages`; token rows and loss masks are made in
`o3gym.train.loss_mask`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from o3gym.rollout.records import derive_seed
from o3gym.train.batches import portions
from o3gym.train.grpo.advantages import advantages, divisor, kept, masking_stop, uniform
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.train.loss_mask import BatchError, only_segment, segments_of
from o3gym.types import ENDING_TOOLS, OVER_TURN, Segment, Trajectory

LOGPROB_TOLERANCE = 1e-3
"""Log-probabilities above this are refused: they are something else, such as probabilities."""


class EpisodeStats(NamedTuple):
    """What every process needs to know about an episode to compute advantages over the episodes of all processes.

    Attributes:
        group: name of its group, unique over all processes; episodes of the same group are siblings.
        reward: its reward.
        stop: why it ended, see `o3gym.types.Stop`.
        tokens: number of tokens that the policy wrote and that have a loss.
        update: index of the optimiser step of this rollout that learns from it, from 0.
        in_loop: whether it is a search that a reasoner asked for.
    """

    group: str
    reward: float
    stop: str
    tokens: int
    update: int
    in_loop: bool = False


@dataclass(frozen=True)
class TrainingSample:
    """A segment of an episode that contributes to the loss; without a window memory, an episode is one segment.

    Attributes:
        trajectory: the episode.
        advantage: the episode's advantage, the same for each token of each of its segments.
        update: index of the optimiser step that learns from it, see `EpisodeStats`.
        segment: the segment.
    """

    trajectory: Trajectory
    advantage: float
    update: int
    segment: Segment


@dataclass(frozen=True)
class Experience:
    """One process's share of a rollout.

    Attributes:
        samples: the segments of episodes that contribute to the loss.
        totals: what the loss of each update is divided by, over all processes: tokens, or episodes if `mean` is
            "sequence".
    """

    samples: tuple[TrainingSample, ...]
    totals: tuple[float, ...]


def usable(group: Sequence[Trajectory]) -> bool:
    """Returns whether every sibling has a finite reward and the exact tokens of its replies.

    A group with a failed judge, a reward that cannot be computed or a crashed environment is left out whole. A failure
    must never count as a wrong answer, and without it the others would be compared within a smaller group than the
    recipe asks for.
    """
    return not any(map(unusable, group))


def usable_searches(group: Sequence[Trajectory]) -> list[Trajectory]:
    """Returns the in-loop searches of a task that have a reward and their exact tokens.

    Searches for a reasoner that failed, or whose judge failed, have no reward. Unlike in `usable` the others are kept,
    because in-loop groups have no fixed size.
    """
    return [t for t in group if not unusable(t)]


def unusable(trajectory: Trajectory) -> str:
    """Returns why nothing can be learnt from an episode, which the text names; "" if something can."""
    reason = ""
    if trajectory.stop == "error":
        reason = (trajectory.turns[-1].reply.error if trajectory.turns else "") or "it ended with an error"
    elif trajectory.reward is None:
        reason = "its verdict failed" if trajectory.verdict == "failed" else "its reward could not be computed"
    elif not math.isfinite(trajectory.reward):
        reason = f"its reward is {trajectory.reward}"
    elif not tokens_written(trajectory):
        reason = "the tokens of its replies are not known"
    return reason and f"episode {trajectory.key}: {reason}"


def informative(group: Sequence[Trajectory]) -> bool:
    """Returns whether the rewards of a group differ, so that it has non-zero advantages (see `uniform`)."""
    return not uniform([t.reward or 0.0 for t in group], ["" for _ in group]).all()


def tokens_written(trajectory: Trajectory) -> int:
    """Returns the number of tokens that the policy wrote; 0 if the tokens of any reply are unknown."""
    counts = [len(turn.reply.token_ids or ()) for turn in trajectory.turns]
    return sum(counts) if all(counts) else 0


def tokens_learnt(trajectory: Trajectory, code_loss: bool = True) -> int:
    """Returns the number of tokens that the policy wrote, without those of code unless they have a loss.

    It is above 0 if `tokens_written` is: the first token of a reply is never code.
    """
    spans = [] if code_loss else [span for turn in trajectory.turns for span in turn.reply.code]
    return tokens_written(trajectory) - sum(end - start for start, end in spans)


def experience(
    groups: Sequence[Sequence[Trajectory]],
    recipe: GrpoRecipe,
    seed: int,
    everyone: Callable[[list[EpisodeStats]], list[list[EpisodeStats]]] = lambda mine: [mine],
    rank: int = 0,
    searches: Sequence[Sequence[Trajectory]] = (),
) -> Experience:
    """Computes advantages over the episodes of all processes and returns this process's samples.

    Args:
        groups: this process's settled groups, each of them `usable`.
        recipe: decides how advantages and denominators are computed.
        seed: seed of the order in which groups are assigned to updates.
        everyone: gathers the `EpisodeStats` of all processes, in rank order.
        rank: this process's index in what `everyone` returns.
        searches: the in-loop searches of this process's tasks, `usable_searches` of each.
    """
    updates = _assign_updates(len(groups), recipe.updates, derive_seed(seed, rank))
    updates += _assign_updates(len(searches), recipe.updates, derive_seed(seed, rank, "in_loop"))
    in_loop = [False] * len(groups) + [True] * len(searches)
    assigned = list(zip([*groups, *searches], updates, in_loop, strict=True))
    episodes = [(t, update) for group, update, _ in assigned for t in group]
    stats = [_stats(t, rank, update, inside, recipe) for group, update, inside in assigned for t in group]
    # Only these small tuples travel between processes, never trajectories or pictures. Every process then computes the
    # same advantages and totals for all episodes, and picks its own.
    shares = everyone(stats)
    advantages_of_all, counted, totals = compute_advantages([stat for share in shares for stat in share], recipe)
    first = sum(len(share) for share in shares[:rank])
    mine = slice(first, first + len(stats))
    # All segments of an episode go to the same update, as if they were one sequence: the totals count its tokens, or
    # the episode, once. An episode without advantage has no gradient unless there is a KL term, so it is spared its
    # forward pass. The totals were computed before and still count it: leaving it out makes a step faster and not
    # larger.
    samples = [
        TrainingSample(t, float(advantage), update, segment)
        for (t, update), advantage, has_loss in zip(episodes, advantages_of_all[mine], counted[mine], strict=True)
        if has_loss and (advantage or recipe.kl)
        for segment in segments_of(t)
    ]
    return Experience(tuple(samples), totals)


def _stats(trajectory: Trajectory, rank: int, update: int, in_loop: bool, recipe: GrpoRecipe) -> EpisodeStats:
    group, reward = f"{rank}/{trajectory.group}", float(trajectory.reward or 0.0)
    stop = masking_stop(trajectory, recipe.over_turn)
    return EpisodeStats(group, reward, stop, tokens_learnt(trajectory, recipe.code_loss), update, in_loop)


def compute_advantages(stats: Sequence[EpisodeStats], recipe: GrpoRecipe) -> tuple[Any, Any, tuple[float, ...]]:
    """Returns each episode's advantage, whether it has a loss, and each update's total that the loss is divided by.

    Searches in a reasoner's loop are normalised apart from the other episodes, with `in_loop.norm`, because they are
    rewarded by another formula.
    """
    if not stats:
        return np.zeros(0), np.zeros(0, bool), (0.0,) * recipe.updates
    groups, rewards, stops, tokens, updates, in_loop = map(np.asarray, zip(*stats, strict=True))
    counted = kept(list(stops), recipe.over_turn_masking, recipe.void)
    values = np.zeros(len(stats))
    full = recipe.full_reward if recipe.difficulty_weights else 0.0
    for rows, norm, full_reward in ((~in_loop, recipe.norm, full), (in_loop, recipe.in_loop.norm, 0.0)):
        # With "include", masked episodes have no loss and yet count in the mean and deviation of their siblings.
        statistics = counted[rows] if recipe.stats == "exclude" else None
        values[rows] = advantages(
            rewards[rows],
            list(groups[rows]),
            norm=norm,
            std=recipe.std,
            epsilon=recipe.epsilon,
            counted=statistics,
            full_reward=full_reward,
        )
    totals = []
    for update in range(recipe.updates):
        rows = updates == update
        totals.append(divisor(tokens[rows], counted[rows], mean=recipe.mean, denominator=recipe.denominator))
    return values, counted, tuple(totals)


def _assign_updates(count: int, updates: int, seed: int) -> list[int]:
    """Returns the update that each of `count` groups goes to: as evenly as possible, in random order."""
    return [int(place) % updates for place in np.random.default_rng(seed).permutation(count)]


def sampling_logprobs(trajectory: Trajectory, segment: Segment | None = None) -> list[float]:
    """Returns the log-probability at which each token of `sample_row` was sampled; 0 where no token has a loss.

    Raises:
        BatchError: a reply does not have one log-probability per token, or one of them is not finite or above 0. A 0 in
            place of an unknown one would claim that the token was certain, and the ratio in the loss would be wrong.
    """
    values: list[float] = []
    for number in (segment or only_segment(trajectory)).turns:
        reply = trajectory.turns[number].reply
        ids, logprobs = reply.token_ids or (), reply.logprobs
        if logprobs is None or len(logprobs) != len(ids):
            count = "no" if logprobs is None else len(logprobs)
            raise BatchError(
                f"episode {trajectory.key}: reply {number} has {len(ids)} tokens and {count} log-probabilities; "
                'set old_logprobs = "compute" if the sampler cannot report them'
            )
        for token, value in enumerate(logprobs):
            # A softmax in float32 may round to slightly more than 1.
            if not (math.isfinite(value) and value < LOGPROB_TOLERANCE):
                raise BatchError(
                    f"episode {trajectory.key}: reply {number}: the log-probability of token {token} is {value}, "
                    "expected a finite number of at most 0"
                )
        values += [0.0] * len(reply.new_prompt_ids or ())
        values += logprobs
    return values


def chunks(samples: Sequence[TrainingSample], update: int, count: int, most: int = 0) -> list[Sequence[TrainingSample]]:
    """Splits an update's samples into `count` chunks, one per forward pass, each of rows of similar length.

    Only as many chunks are filled as are needed for at most `most` rows each; the others stay empty. With `most` = 0
    all are filled as far as the samples go.
    """
    mine = sorted((sample for sample in samples if sample.update == update), key=_length)
    used = min(count, -(-len(mine) // most)) if most else count
    return [*portions(mine, max(used, 1)), *[()] * (count - max(used, 1))]


def _length(sample: TrainingSample) -> int:
    replies = [sample.trajectory.turns[number].reply for number in sample.segment.turns]
    return sum(len(reply.new_prompt_ids or ()) + len(reply.token_ids or ()) for reply in replies)


def measures(groups: Sequence[Sequence[Trajectory]]) -> Mapping[str, float]:
    """Returns statistics of a rollout for the log: means over its settled episodes, 0 if there are none."""
    flat = [t for group in groups for t in group]
    turns = [turn for t in flat for turn in t.turns]
    calls = [turn for turn in turns if turn.parsed.call.tool not in ENDING_TOOLS]
    rewards = [t.reward for t in flat if t.reward is not None]
    judged = [t for t in flat if t.verdict in ("correct", "wrong")]
    return {
        "reward": _mean(rewards),
        "accuracy": _mean([t.verdict == "correct" for t in judged]),
        "turns": _mean([len(t.turns) for t in flat]),
        "over_turn": _mean([t.stop in OVER_TURN for t in flat]),
        "answered": _mean([t.stop in ("answered", "located") for t in flat]),
        "valid_calls": _mean([not turn.error and turn.parsed.call.tool != "noop" for turn in calls]),
        "failed": _mean([t.reward is None for t in flat]),
        "uniform_groups": _mean([not informative(group) for group in groups]),
        "unusable_groups": _mean([not usable(group) for group in groups]),
        "tokens": _mean([tokens_written(t) for t in flat]),
    }


def in_loop_measures(tasks: Sequence[Trajectory], searches: Sequence[Sequence[Trajectory]]) -> Mapping[str, float]:
    """Returns statistics of a rollout's in-loop half: the reasoner's settled episodes, and the searches in them."""
    flat = [t for group in searches for t in group]
    judged = [t for t in tasks if t.verdict in ("correct", "wrong")]
    rewards = [t.reward for t in flat if t.reward is not None]
    return {
        "in_loop/reward": _mean(rewards),
        "in_loop/accuracy": _mean([t.verdict == "correct" for t in judged]),
        "in_loop/searches": _mean([len(t.children) for t in tasks]),
        "in_loop/found": _mean([t.located is not None for t in flat]),
        "in_loop/turns": _mean([len(t.turns) for t in flat]),
        "in_loop/failed": _mean([t.reward is None for t in flat]),
    }


def _mean(values: Sequence[float | bool]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
