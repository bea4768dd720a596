"""Reward terms and recipes, and when each can be computed.

A term looks at a `Trajectory` (the environment passes the one it is building). Its scope says when it is known:

| scope | looks at | computed |
|---|---|---|
| step | calls so far | by `env.step`, for the last turn |
| end | the finished episode and its task | by `env.step`, at the end |
| trajectory | the text of the replies, or a judge | by `settle` |
| group | all rollouts of the same task | by `settle` |
| parent | another episode's verdict | by `settle`, with the parents |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from o3gym.types import Trajectory

TermScope: TypeAlias = Literal["step", "end", "trajectory", "group", "parent"]
EpisodeTerm: TypeAlias = Callable[[Trajectory], float]
GroupTerm: TypeAlias = Callable[[Sequence[Trajectory]], Sequence[float]]
ParentTerm: TypeAlias = Callable[[Trajectory, Trajectory], float]


@dataclass(frozen=True)
class Term:
    """A named part of a reward.

    Attributes:
        name: key in `terms`.
        scope: when it can be computed, see the module docstring.
        compute: `(trajectory) -> float` for step (the value of the last turn), end and trajectory;
            `(siblings) -> floats` for group; `(trajectory, parent) -> float` for parent.
        source: paper section or repository file that the formula and its constants come from.
    """

    name: str
    scope: TermScope
    compute: EpisodeTerm | GroupTerm | ParentTerm
    source: str


@dataclass(frozen=True)
class RewardRecipe:
    """Terms and how they add up: a reward with a name.

    Attributes:
        name: the registered name.
        terms: all terms; the environment computes those with scope step and end.
        combine: total from the term values (every name of `terms` present).
        source: what it reproduces, with the constants' origin.
    """

    name: str
    terms: tuple[Term, ...]
    combine: Callable[[Mapping[str, float]], float]
    source: str

    @property
    def needs_parent(self) -> bool:
        """Whether it rests on the verdict of the episode that delegated, and not on the episode's own."""
        return any(term.scope == "parent" for term in self.terms)

    @property
    def pending(self) -> bool:
        """Whether the total is only known after `settle`: some term has scope trajectory, group or parent."""
        return any(term.scope in ("trajectory", "group", "parent") for term in self.terms)
