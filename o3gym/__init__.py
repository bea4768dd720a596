"""o3gym: visual search ("thinking with images") as Gymnasium environments.

```python
import gymnasium as gym
import o3gym

env = gym.make("o3gym/Synthetic-hidden-easy-v0")
observation, info = env.reset(seed=0)
observation, reward, terminated, truncated, info = env.step(o3gym.crop((0.5, 0.0, 1.0, 0.5)))
```

Importing this package registers the environments and imports neither torch nor transformers. Other entry points are
`o3gym.envs` (environments and wrappers), `o3gym.dialects`, `o3gym.policies`, `o3gym.rollout.loop` and `o3gym.rewards`.
"""

from __future__ import annotations

import gymnasium as _gymnasium

from o3gym.calls import answer, answer_with_span, clip, code, crop, frames, locate, locate_span, noop, reuse, zoom
from o3gym.env_ids import ENVS as _ENVS
from o3gym.env_ids import PLANNING_ENVS as _PLANNING
from o3gym.env_ids import RELEASED_ENVS as _RELEASED
from o3gym.sampling import Sampling
from o3gym.types import Box, Call, Parsed, Reply, Segment, Source, Target, Task, Trajectory, Turn, View

__version__ = "0.1.0"
__all__ = [
    "Box",
    "Call",
    "Parsed",
    "Reply",
    "Sampling",
    "Segment",
    "Source",
    "Target",
    "Task",
    "Trajectory",
    "Turn",
    "View",
    "answer",
    "answer_with_span",
    "clip",
    "code",
    "crop",
    "frames",
    "locate",
    "locate_span",
    "noop",
    "reuse",
    "zoom",
]

# Gymnasium's passive checker would keep each environment's first pictures in memory until its second step. The tests
# run the full checker on every id instead.
for _id, _kwargs in {**_ENVS, **_RELEASED}.items():
    _gymnasium.register(_id, "o3gym.envs.visual_search:VisualSearchEnv", kwargs=dict(_kwargs), disable_env_checker=True)
for _id, _kwargs in _PLANNING.items():
    _gymnasium.register(
        _id,
        "o3gym.envs.planning:PlanningEnv",
        vector_entry_point="o3gym.envs.planning_vector:PlanningVectorEnv",
        kwargs=dict(_kwargs),
        disable_env_checker=True,
    )
