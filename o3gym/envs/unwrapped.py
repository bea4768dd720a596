"""Finds the o3gym environment under a stack of Gymnasium wrappers."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from o3gym.envs.visual_search import VisualSearchEnv


def search_env(env: gym.Env[Any, Any]) -> VisualSearchEnv:
    """The `VisualSearchEnv` under the wrappers of `env`. Raises TypeError if the base environment is another one."""
    base: gym.Env[Any, Any] = env.unwrapped
    if not isinstance(base, VisualSearchEnv):
        raise TypeError(f"env: expected an o3gym environment, got {type(base).__name__}")
    return base
