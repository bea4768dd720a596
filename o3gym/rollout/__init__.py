"""The episode loop, the only place where environments and policies meet."""

from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Agent, Arm, Job, derive_seed

__all__ = ["Agent", "Arm", "Job", "collect", "derive_seed", "rollout"]
