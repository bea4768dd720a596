"""The episode loop: the only place where environments and policies meet."""

from o3gym.rollout.loop import Agent, Arm, Job, collect, derive_seed, rollout

__all__ = ["Agent", "Arm", "Job", "collect", "derive_seed", "rollout"]
