"""The environments and their wrappers."""

from o3gym.envs.fixed import FixedCanvas, GridActions
from o3gym.envs.planning import PlanningEnv
from o3gym.envs.planning_vector import PlanningVectorEnv
from o3gym.envs.text_turns import TextTurns
from o3gym.envs.visual_search import VisualSearchEnv

__all__ = ["FixedCanvas", "GridActions", "PlanningEnv", "PlanningVectorEnv", "TextTurns", "VisualSearchEnv"]
