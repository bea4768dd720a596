"""Rewards: terms, named recipes, and `settle`, which computes them after the rollout. See `docs/rewards.md`."""

from o3gym.rewards.base import RewardRecipe, Term, TermScope
from o3gym.rewards.recipes import make_recipe
from o3gym.rewards.settle import parents_of, settle

__all__ = ["RewardRecipe", "Term", "TermScope", "make_recipe", "parents_of", "settle"]
