"""From finished episodes to rows with advantages and weights: what one rollout gives a trainer to learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.local.encoding import Encoder
from o3gym.rollout.records import derive_seed
from o3gym.train.batches import BatchError, TrainingRow, portions, runs_of
from o3gym.train.data.demonstrations import picture_of
from o3gym.train.grpo.advantages import advantages, divisor, kept, uniform
from o3gym.train.grpo.recipe import GrpoRecipe
from o3gym.types import FULL, OVER_TURN, Trajectory, View


class EpisodeStats(NamedTuple):
    """What has to be known about an episode of any process to weigh all of them.

    Attributes:
        group: which are its siblings.
        reward, stop: of the episode.
        tokens: how many the policy wrote.
        update: which optimiser step of this rollout learns from it, from 0.
        in_loop: whether a reasoner asked for it.
    """

    group: str
    reward: float
    stop: str
    tokens: int
    update: int
    in_loop: bool = False


@dataclass(frozen=True)
class TrainingSample:
    """An episode that there is something to learn from.

    Attributes:
        trajectory: the episode.
        advantage: of all its tokens.
        update: as in `EpisodeStats`.
    """

    trajectory: Trajectory
    advantage: float
    update: int


@dataclass(frozen=True)
class Experience:
    """One process's share of a rollout.

    Attributes:
        lessons: the episodes that have a loss.
        totals: per update what the loss is divided by, over all processes: tokens, or rows where `mean` is "sequence".
    """

    lessons: tuple[TrainingSample, ...]
    totals: tuple[float, ...]


def usable(group: Sequence[Trajectory]) -> bool:
    """Whether every sibling has a reward and the exact tokens of its replies.

    A group with a failed judge or a broken environment is left out whole: its statistics would be those of a smaller,
    other group, and a failure must never count as a wrong answer.
    """
    return all(map(_counts, group))


def usable_searches(group: Sequence[Trajectory]) -> list[Trajectory]:
    """The searches for a task that have a reward and their exact tokens.

    Those of a reasoner that failed, or whose judge did, have none. Here the others stay: they are no group whose size
    was meant.
    """
    return [t for t in group if _counts(t)]


def _counts(trajectory: Trajectory) -> bool:
    return trajectory.reward is not None and trajectory.stop != "error" and tokens_written(trajectory) > 0


def informative(group: Sequence[Trajectory]) -> bool:
    """Whether the rewards of a group differ."""
    return not uniform([t.reward or 0.0 for t in group], ["" for _ in group]).all()


def tokens_written(trajectory: Trajectory) -> int:
    """Tokens that the policy wrote; 0 if those of any reply are not known."""
    counts = [len(turn.reply.token_ids or ()) for turn in trajectory.turns]
    return sum(counts) if all(counts) else 0


def experience(
    groups: Sequence[Sequence[Trajectory]],
    recipe: GrpoRecipe,
    seed: int,
    everyone: Callable[[list[EpisodeStats]], list[list[EpisodeStats]]] = lambda mine: [mine],
    rank: int = 0,
    searches: Sequence[Sequence[Trajectory]] = (),
) -> Experience:
    """Weigh the episodes of all processes, and keep this one's that have a loss.

    Args:
        groups: this process's settled groups, each of them `usable`.
        searches: those that a reasoner asked for, task by task, `usable_searches`.
        recipe: how they are weighed.
        seed: of the order in which groups are dealt out to updates.
        everyone: gathers the facts of all processes, in rank order.
        rank: this process's place in there.
    """
    updates = _dealt(len(groups), recipe.updates, derive_seed(seed, rank))
    updates += _dealt(len(searches), recipe.updates, derive_seed(seed, rank, "in_loop"))
    within = [False] * len(groups) + [True] * len(searches)
    dealt = list(zip([*groups, *searches], updates, within, strict=True))
    episodes = [(t, update) for group, update, _ in dealt for t in group]
    facts = [_facts(t, rank, update, inside) for group, update, inside in dealt for t in group]
    shares = everyone(facts)
    everything = [fact for share in shares for fact in share]
    pushes, heavy, totals = compute_advantages(everything, recipe)
    first = sum(len(share) for share in shares[:rank])
    mine = slice(first, first + len(facts))
    lessons = [
        TrainingSample(t, float(push), update)
        for (t, update), push, heavy in zip(episodes, pushes[mine], heavy[mine], strict=True)
        if heavy and (push or recipe.kl)
    ]
    return Experience(tuple(lessons), totals)


def _facts(trajectory: Trajectory, rank: int, update: int, in_loop: bool) -> EpisodeStats:
    group, reward = f"{rank}/{trajectory.group}", float(trajectory.reward or 0.0)
    return EpisodeStats(group, reward, trajectory.stop, tokens_written(trajectory), update, in_loop)


def compute_advantages(facts: Sequence[EpisodeStats], recipe: GrpoRecipe) -> tuple[Any, Any, tuple[float, ...]]:
    """Per episode its advantage and whether it has a loss; per update the total that the loss is divided by."""
    if not facts:
        return np.zeros(0), np.zeros(0, bool), (0.0,) * recipe.updates
    groups, rewards, stops, tokens, updates, in_loop = map(np.asarray, zip(*facts, strict=True))
    counted = kept(list(stops), recipe.over_turn_masking, recipe.void)
    pushes = np.zeros(len(facts))
    for rows, norm in ((~in_loop, recipe.norm), (in_loop, recipe.in_loop.norm)):
        statistics = counted[rows] if recipe.stats == "exclude" else None
        pushes[rows] = advantages(
            rewards[rows], list(groups[rows]), norm=norm, std=recipe.std, epsilon=recipe.epsilon, counted=statistics
        )
    totals = []
    for update in range(recipe.updates):
        rows = updates == update
        totals.append(divisor(tokens[rows], counted[rows], mean=recipe.mean, denominator=recipe.denominator))
    return pushes, counted, tuple(totals)


def _dealt(count: int, updates: int, seed: int) -> list[int]:
    """Which update each of `count` groups goes to: as evenly as can be, in random order."""
    return [int(place) % updates for place in np.random.default_rng(seed).permutation(count)]


def sample_row(trajectory: Trajectory, encoder: Encoder) -> TrainingRow:
    """The exact tokens of an episode, as they were sampled, and its pictures.

    Raises `BatchError` if tokens of a reply are not known or do not fit the views.
    """
    ids: list[int] = []
    mask: list[int] = []
    for number, turn in enumerate(trajectory.turns):
        new, said = turn.reply.new_prompt_ids, turn.reply.token_ids
        if new is None or not said:
            raise BatchError(f"episode {trajectory.key}: the tokens of reply {number} are not known")
        ids += [*new, *said]
        mask += [*[0] * len(new), *[1] * len(said)]
    array = np.asarray(ids, np.int64)
    shown = len(runs_of(array == encoder.image_id))
    views = trajectory.views[: len(trajectory.views) - len(trajectory.turns[-1].views)]
    if shown != len(views):
        raise BatchError(f"episode {trajectory.key}: pads of {shown} pictures, but {len(views)} views before a reply")
    pictures = tuple(picture_of(trajectory, view) for view in views)
    images = encoder.images([Message("user", pictures)]) if pictures else ()
    return TrainingRow(array, np.asarray(mask, np.int64), images)


def sampling_logprobs(trajectory: Trajectory) -> list[float]:
    """Log-probabilities under which each token was sampled, 0 where the policy did not write."""
    values: list[float] = []
    for turn in trajectory.turns:
        values += [0.0] * len(turn.reply.new_prompt_ids or ())
        values += turn.reply.logprobs or [0.0] * len(turn.reply.token_ids or ())
    return values


def blank_row(encoder: Encoder) -> TrainingRow:
    """A short row with a picture and no loss: every process makes as many forward passes, through all of the model."""
    size = encoder.vision_size(1, 1) if encoder.factor else (32, 32)
    view = View(0, 0, FULL, size, size)
    opening = encoder.opening([Message("user", (Picture(view, lambda: np.zeros((size[1], size[0], 3), np.uint8)),))])
    ids = np.asarray(opening.ids, np.int64)
    return TrainingRow(ids, np.zeros(len(ids), np.int64), opening.images)


def chunks(lessons: Sequence[TrainingSample], update: int, count: int, most: int = 0) -> list[Sequence[TrainingSample]]:
    """An update's lessons in `count` portions of similar length; no more are in use than portions of `most` rows need.

    With `most` = 0 all are in use, as far as there are lessons.
    """
    mine = sorted((lesson for lesson in lessons if lesson.update == update), key=_length)
    used = min(count, -(-len(mine) // most)) if most else count
    return [*portions(mine, max(used, 1)), *[()] * (count - max(used, 1))]


def _length(lesson: TrainingSample) -> int:
    replies = [turn.reply for turn in lesson.trajectory.turns]
    return sum(len(reply.new_prompt_ids or ()) + len(reply.token_ids or ()) for reply in replies)


def measures(groups: Sequence[Sequence[Trajectory]]) -> Mapping[str, float]:
    """How a rollout went, for logs: means over its settled episodes; NaN-free also without any."""
    flat = [t for group in groups for t in group]
    turns = [turn for t in flat for turn in t.turns]
    calls = [turn for turn in turns if turn.parsed.call.tool not in ("answer", "locate")]
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
        "tokens": _mean([tokens_written(t) for t in flat]),
    }


def in_loop_measures(tasks: Sequence[Trajectory], searches: Sequence[Sequence[Trajectory]]) -> Mapping[str, float]:
    """How the in-loop half of a rollout went: the reasoner's settled episodes, and the searches it asked for."""
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
