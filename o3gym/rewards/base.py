"""Reward terms and recipes.

A term is a function of a `Trajectory`; inside `env.step` that is the record so far. The scope of a term says when it
can be computed:

| scope | depends on | computed |
|---|---|---|
| step | the calls so far | by `env.step`, for the last turn |
| end | the finished episode and its task | by `env.step`, at the end |
| trajectory | the text of the replies, or a judge | by `settle` |
| group | all rollouts of the same task | by `settle` |
| parent | the episode that delegated this one, and its verdict | by `settle`, given the parents |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from o3gym.types import Trajectory

TermScope: TypeAlias = Literal["step", "end", "trajectory", "group", "parent"]
EpisodeTerm: TypeAlias = Callable[[Trajectory], float]
GroupTerm: TypeAlias = Callable[[Sequence[Trajectory]], Sequence[float]]
ParentTerm: TypeAlias = Callable[[Trajectory, Trajectory], float]


@dataclass(frozen=True)
class Term:
    """A named part of a reward.

    Attributes:
        name: the key in `Trajectory.terms`.
        scope: when the term can be computed, see the module docstring.
        compute: `(trajectory) -> float` for the scopes step (the value of the last turn), end and trajectory;
            `(siblings) -> floats` for group; `(trajectory, parent) -> float` for parent.
        source: the paper section or repository file that defines the formula and its constants.
    """

    name: str
    scope: TermScope
    compute: EpisodeTerm | GroupTerm | ParentTerm
    source: str

    def __post_init__(self) -> None:
        if self.scope not in get_args(TermScope):
            raise ValueError(f'term "{self.name}": expected a scope of {get_args(TermScope)}, got "{self.scope}"')


@dataclass(frozen=True)
class RewardRecipe:
    """A named reward: terms and the formula that combines them.

    Attributes:
        name: the registered name.
        terms: all terms; the environment computes those with scope step and end.
        combine: computes the total from the term values, which include every name of `terms`.
        source: the published reward that the recipe reproduces, and the origin of its constants.
    """

    name: str
    terms: tuple[Term, ...]
    combine: Callable[[Mapping[str, float]], float]
    source: str

    @property
    def needs_parent(self) -> bool:
        """Whether the reward depends on the verdict of the delegating episode instead of the episode's own."""
        return any(term.scope == "parent" for term in self.terms)

    @property
    def pending(self) -> bool:
        """Whether the total is only known after `settle`, because a term has scope trajectory, group or parent."""
        return any(term.scope in ("trajectory", "group", "parent") for term in self.terms)
