"""Environments and their wrappers."""

from o3gym.envs.visual_search import VisualSearchEnv

__all__ = ["VisualSearchEnv"]
