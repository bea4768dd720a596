"""From any stack of Gymnasium wrappers to the environment under it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from o3gym.envs.visual_search import VisualSearchEnv


def search_env(env: gym.Env[Any, Any]) -> VisualSearchEnv:
    """The `VisualSearchEnv` under `env`'s wrappers. Raises TypeError if something else is there."""
    base: gym.Env[Any, Any] = env.unwrapped
    if not isinstance(base, VisualSearchEnv):
        raise TypeError(f"expected an o3gym environment, got {type(base).__name__}")
    return base
