"""`TextTurns`: a wrapper whose actions are a model's replies."""

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
    """Takes a model's whole reply as the action, which a dialect parses into a call.

    ## Action Space
    A `TextSpace`: any Unicode text. A reply without a usable call leads to an observation, not to an exception: `text`
    gives the reason, `info["error"]` is "parse" or "void", and the turn counts. By default, a void reply (one with
    neither a call nor an answer) also ends the episode; see the environment's `on_void`.

    ## Observation Space
    The same as the environment's, but `text` is the dialect's next user message, with one `<image>` for each of
    `images`, in order. At reset it contains the question. The system prompt is not part of it. Pictures that the
    dialect leaves out, as `next_state` does with what the model itself has drawn, are not among `images`.

    `info` has the environment's keys and `system` (str), the system prompt, which is the same after every reset and
    step of an episode.

    ## Rewards
    The same as the environment's. Recipes that depend on the text of replies stay pending; pass `env.trajectory`, which
    includes the replies, to `o3gym.rewards.settle`.

    ## Arguments
    * `env`: an o3gym environment, wrapped or not.
    * `dialect`: a name with options, such as "deepeyes?frame=native", or a `Dialect`. The wrapper does not set the size
      rule of the dialect's system; that is the environment's argument `size_rule`.

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
        """The record of the episode so far, including the replies, as `o3gym.rewards.settle` needs it."""
        record = self._base.trajectory
        turns = (
            replace(turn, reply=reply, parsed=parsed)
            for turn, (reply, parsed) in zip(record.turns, self._replies, strict=False)
        )
        return replace(record, turns=tuple(turns), dialect=self._spec)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; `options` are passed to the environment."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._replies = []
        self._system = self.dialect.system(self._base.tools, self._base.episode.task)
        return self._worded(observation, info), {**info, "system": self._system}

    def step(self, action: str) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Parses a reply and executes its call. Raises TypeError if `action` is not a string."""
        if not isinstance(action, str):
            raise TypeError(f"action: expected a reply as text, got {type(action).__name__} {action!r:.60}")
        parsed = self.dialect.parse(action, self._base.views)
        self._replies.append((Reply(action), parsed))
        observation, reward, terminated, truncated, info = self.env.step(parsed.call)
        info = {**info, "system": self._system}
        return self._worded(observation, info), float(reward), terminated, truncated, info

    def _worded(self, observation: Observation, info: Mapping[str, Any]) -> Observation:
        """The observation with its text in the dialect's format."""
        views = self._base.views
        new = views[len(views) - info["n_new"] :]
        tool = self._replies[-1][1].call.tool if self._replies else ""
        shown = self.dialect.show(new, observation["text"], {**info, "views": views, "tool": tool})
        text = "".join(part if isinstance(part, str) else IMAGE for part in shown)
        pixels = {view.index: image for view, image in zip(new, observation["images"], strict=True)}
        images = tuple(pixels[part.index] for part in shown if not isinstance(part, str))  # dialects may leave some out
        return {"images": images, "text": text}
