"""Reward terms and recipes.

A term is a function of a `Trajectory`; inside `env.step` that is the record so far. The scope of a term says when it
can be computed:

| scope | depends on | computed |
|---|---|---|
| step | the calls so far | by `env.step`, for the last turn |
| end | the finished episode and its task | by `env.step`, at the end |
| trajectory | the text of the replies, or a judge | by `settle` |
| judge | the reasoning, which a judge is asked about | by `settle`, given a judge that reads reasoning |
| group | all rollouts of the same task | by `settle` |
| parent | the episode that delegated this one, and its verdict | by `settle`, given the parents |
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast, get_args

from o3gym.judges.base import JudgesReasoning
from o3gym.types import Trajectory

TermScope: TypeAlias = Literal["step", "end", "trajectory", "judge", "group", "parent"]
EpisodeTerm: TypeAlias = Callable[[Trajectory], float]
GroupTerm: TypeAlias = Callable[[Sequence[Trajectory]], Sequence[float]]
ParentTerm: TypeAlias = Callable[[Trajectory, Trajectory], float]
JudgedTerm: TypeAlias = Callable[[Trajectory, JudgesReasoning], float]


class RewardError(ValueError):
    """A reward term or formula raised, or its value is not a finite number; the message names it."""


class NoVerdict(Exception):  # noqa: N818 - the name says it
    """Raised by a term with scope "judge" whose judge reached no verdict; the message is the judge's reason."""


@dataclass(frozen=True)
class Term:
    """A named part of a reward.

    Attributes:
        name: the key in `Trajectory.terms`.
        scope: when the term can be computed, see the module docstring.
        compute: `(trajectory) -> float` for the scopes step (the value of the last turn), end and trajectory;
            `(siblings) -> floats` for group; `(trajectory, parent) -> float` for parent; `(trajectory, judge) -> float`
            for judge, which raises `NoVerdict` if the judge fails.
        source: the paper section or repository file that defines the formula and its constants.
    """

    name: str
    scope: TermScope
    compute: EpisodeTerm | GroupTerm | ParentTerm | JudgedTerm
    source: str

    def __post_init__(self) -> None:
        if self.scope not in get_args(TermScope):
            raise ValueError(f'term "{self.name}": expected a scope of {get_args(TermScope)}, got "{self.scope}"')

    def value(self, trajectory: Trajectory, *more: Trajectory | JudgesReasoning) -> float:
        """Computes the term of an episode, given its parent or a judge if the scope says so. Raises `RewardError`."""
        return _finite(cast(Callable[..., float], self.compute), f'reward term "{self.name}"', trajectory, *more)

    def values(self, siblings: Sequence[Trajectory]) -> list[float]:
        """Computes a term with scope group, one value per sibling. Raises `RewardError`."""
        try:
            values = list(cast(GroupTerm, self.compute)(siblings))
        except Exception as error:
            raise RewardError(f'reward term "{self.name}" raised {type(error).__name__}: {error}') from error
        if len(values) != len(siblings):
            raise RewardError(f'reward term "{self.name}" has {len(values)} values for {len(siblings)} siblings')
        return [_finite(lambda v=value: v, f'reward term "{self.name}"') for value in values]


@dataclass(frozen=True)
class RewardRecipe:
    """A named reward: terms and the formula that combines them.

    Attributes:
        name: the registered name.
        terms: all terms; the environment computes those with scope step and end.
        combine: computes the total from the term values, which include every name of `terms`.
        source: the published reward that the recipe reproduces, and the origin of its constants.
        answer: reads the answer that `settle` has judged from an episode with its replies; None judges the episode's
            own answer. Released systems read it from the text of all replies, which an episode may have ended without.
    """

    name: str
    terms: tuple[Term, ...]
    combine: Callable[[Mapping[str, float]], float]
    source: str
    answer: Callable[[Trajectory], str] | None = None

    def judged_answer(self, trajectory: Trajectory) -> str:
        """The answer to judge: `answer` of the episode, or its own. A box or an interval is never read from text."""
        own = self.answer is None or trajectory.task.kind in ("box", "span")
        return trajectory.answer if own or self.answer is None else self.answer(trajectory)

    @property
    def needs_parent(self) -> bool:
        """Whether the reward depends on the verdict of the delegating episode instead of the episode's own."""
        return any(term.scope == "parent" for term in self.terms)

    @property
    def needs_reasoning_judge(self) -> bool:
        """Whether a term asks a judge about the reasoning."""
        return any(term.scope == "judge" for term in self.terms)

    @property
    def needs_siblings(self) -> bool:
        """Whether a term compares the episodes of a group."""
        return any(term.scope == "group" for term in self.terms)

    @property
    def pending(self) -> bool:
        """Whether the total is only known after `settle`.

        That is so if a term has scope trajectory, judge, group or parent, or if the answer is read from the replies.
        """
        scopes = {term.scope for term in self.terms}
        return self.answer is not None or not scopes.isdisjoint(("trajectory", "judge", "group", "parent"))

    def total(self, terms: Mapping[str, float]) -> float:
        """Combines the values of all terms. Raises `RewardError` if that fails or gives no finite number."""
        return _finite(self.combine, f'reward "{self.name}"', terms)


def _finite(compute: Callable[..., Any], what: str, *arguments: Any) -> float:
    try:
        value = float(compute(*arguments))
    except NoVerdict as error:
        raise RewardError(f"{what} has no verdict: {error}") from error
    except Exception as error:
        raise RewardError(f"{what} raised {type(error).__name__}: {error}") from error
    if not math.isfinite(value):
        raise RewardError(f"{what} is {value}, expected a finite number")
    return value
