"""`TextTurns`: an environment whose actions are what a model writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from o3gym.dialects.base import Dialect, make_dialect
from o3gym.envs.spaces import TextSpace
from o3gym.envs.unwrapped import search_env
from o3gym.envs.visual_search import Observation
from o3gym.types import Call, Parsed, Reply, Trajectory

IMAGE = "<image>"


class TextTurns(gym.Wrapper[Observation, Any, Observation, Call], RecordConstructorArgs):
    """Act with text: each action is a model's whole reply, read by a dialect.

    ## Action Space
    A `TextSpace`: any Unicode text. A reply without a usable call is an observation, not an exception: the reason as
    text, `info["error"]` "parse" or "void", the turn counted. (By default a void reply, with neither call nor answer,
    also ends the episode; see `on_void` of the environment.)

    ## Observation Space
    That of the environment, with other words: `text` is the dialect's next user message, one `<image>` for each of
    `images`, in order. At reset it holds the question; the system prompt stands apart from it, in `info["system"]`.

    `info` has the environment's keys and `system` (str): the system prompt, the same after every reset and step of an
    episode.

    ## Rewards
    The environment's. Recipes that look at the replies stay pending: settle `env.trajectory`, which has them.

    ## Arguments
    * `env`: an o3gym environment, wrapped or not.
    * `dialect`: its name, with options ("deepeyes?frame=native"), or a `Dialect`. Its own system's `size_rule` is an
      argument of the environment and not set here.

    ```python
    >>> import gymnasium as gym, o3gym
    >>> from o3gym.envs import TextTurns
    >>> env = TextTurns(gym.make("o3gym/Synthetic-hidden-easy-v0"), "mini_o3")
    >>> observation, info = env.reset(seed=0)
    >>> reply = '<think>Closer.</think><grounding>{"bbox_2d": [0, 0, 0.5, 0.5], "source": "original_image"}</grounding>'
    >>> observation, reward, terminated, truncated, info = env.step(reply)
    >>> info["error"], observation["text"].count("<image>")
    ('', 1)

    ```
    """

    def __init__(self, env: gym.Env[Observation, Call], dialect: str | Dialect) -> None:
        RecordConstructorArgs.__init__(self, dialect=dialect)
        super().__init__(env)
        self.dialect = make_dialect(dialect) if isinstance(dialect, str) else dialect
        self.action_space = TextSpace()
        self._spec = dialect if isinstance(dialect, str) else dialect.name
        self._base = search_env(env)
        self._system = ""
        self._replies: list[tuple[Reply, Parsed]] = []

    @property
    def trajectory(self) -> Trajectory:
        """The episode so far as a record, replies included: what `o3gym.rewards.settle` takes."""
        record = self._base.trajectory
        turns = (
            replace(turn, reply=reply, parsed=parsed)
            for turn, (reply, parsed) in zip(record.turns, self._replies, strict=False)
        )
        return replace(record, turns=tuple(turns), dialect=self._spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; `options` are the environment's."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._replies = []
        self._system = self.dialect.system(self._base.tools, self._base.episode.task)
        return self._worded(observation, info), {**info, "system": self._system}

    def step(self, action: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out a reply. Raises TypeError for anything but a text."""
        if not isinstance(action, str):
            raise TypeError(f"expected a reply as text, got {type(action).__name__} {action!r:.60}")
        parsed = self.dialect.parse(action, self._base.views)
        self._replies.append((Reply(action), parsed))
        observation, reward, terminated, truncated, info = self.env.step(parsed.call)
        info = {**info, "system": self._system}
        return self._worded(observation, info), float(reward), terminated, truncated, info

    def _worded(self, observation: Observation, info: Mapping[str, Any]) -> Observation:
        """The observation with the dialect's words."""
        views = self._base.views
        shown = self.dialect.show(views[len(views) - info["n_new"] :], observation["text"], info)
        text = "".join(part if isinstance(part, str) else IMAGE for part in shown)
        return {"images": observation["images"], "text": text}
