"""The environment and its wrappers."""

from o3gym.envs.fixed import FixedCanvas, GridActions
from o3gym.envs.text_turns import TextTurns
from o3gym.envs.visual_search import VisualSearchEnv

__all__ = ["FixedCanvas", "GridActions", "TextTurns", "VisualSearchEnv"]
