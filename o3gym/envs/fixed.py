"""Fixed shapes for trainers that need arrays: `FixedCanvas` for observations and `GridActions` for actions."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from numpy.typing import NDArray

from o3gym.arguments import check_whole
from o3gym.calls import answer, crop
from o3gym.envs.unwrapped import search_env
from o3gym.envs.visual_search import Observation
from o3gym.media.pixels import Pixels, resample
from o3gym.types import LETTERS, Call, Size

Arrays = dict[str, NDArray[Any]]


class FixedCanvas(gym.Wrapper[Any, Any, Observation, Any], RecordConstructorArgs):
    """Observations of fixed shapes: a `Dict` of `Box` spaces, for policies that cannot process text or varying sizes.

    ## Observation Space
    | key | shape and dtype | content |
    |---|---|---|
    | `overview` | (height, width, 3) uint8 | the task's first picture |
    | `view` | (height, width, 3) uint8 | the newest view; the overview until the first valid call |
    | `box` | (4,) float32 in 0..1 | the region shown by `view`, unit xyxy of its source |
    | `turns_left` | (1,) float32 in 0..1 | the remaining share of `max_turns` |
    | `question` | (words,) float32 in −1..1 | the question without its options, as a vector from `embed` |
    | `options` | (max_options · words,) float32 in −1..1 | the option vectors in letter order; zeros in unused slots |

    Pictures keep their aspect ratio: they are scaled to fit and centred on black. They are resampled a second time
    unless the environment's pixel budget already gives that size, so a `max_pixels` near width · height is fastest.
    After an invalid call, `view` and `box` keep their values.

    The conversion loses word order, the second and further pictures, earlier views, and the text of feedback (its kind
    is still in `info["error"]`). For language models, use `TextTurns`.

    ## Episode End
    An exhausted budget counts as `terminated` here (`info["stop"]` still gives the reason), because `turns_left` makes
    the budget part of the state. Trainers take `truncated` for an external cut and bootstrap from the value of the
    next state, which with Stable-Baselines3's PPO would reward a policy for never answering.

    ## Arguments
    * `env`: an o3gym environment, wrapped or not.
    * `size`: width and height of both pictures in pixels. Stable-Baselines3's own CNN needs at least 36 × 36.
    * `words`: length of a text's vector, from 1 to 256. Texts with different words differ at any useful length; longer
      vectors are easier to tell apart.
    * `max_options`: number of option slots. A task with more options raises ValueError at reset, because it could not
      be solved.

    ```python
    >>> import gymnasium as gym, o3gym
    >>> from o3gym.envs import FixedCanvas, GridActions
    >>> env = GridActions(FixedCanvas(gym.make("o3gym/Synthetic-hidden-easy-v0"), size=(64, 64)))
    >>> observation, info = env.reset(seed=0)
    >>> {key: array.shape for key, array in observation.items()}  # doctest: +NORMALIZE_WHITESPACE
    {'box': (4,), 'options': (192,), 'overview': (64, 64, 3), 'question': (32,), 'turns_left': (1,),
     'view': (64, 64, 3)}

    ```
    """

    def __init__(
        self, env: gym.Env[Observation, Any], size: Size = (96, 96), words: int = 32, max_options: int = 6
    ) -> None:
        RecordConstructorArgs.__init__(self, size=size, words=words, max_options=max_options)
        super().__init__(env)
        if not 1 <= words <= 256:
            raise ValueError(f"words: expected 1 to 256, got {words}")
        for name, value in (("max_options", max_options), ("width of size", size[0]), ("height of size", size[1])):
            check_whole(name, value, 1)
        self._base = search_env(env)
        self._size: Size = (size[0], size[1])
        self._words, self._max_options = words, max_options
        picture = spaces.Box(0, 255, (size[1], size[0], 3), np.uint8)
        self.observation_space = spaces.Dict(
            {
                "overview": picture,
                "view": picture,
                "box": spaces.Box(0.0, 1.0, (4,), np.float32),
                "turns_left": spaces.Box(0.0, 1.0, (1,), np.float32),
                "question": spaces.Box(-1.0, 1.0, (words,), np.float32),
                "options": spaces.Box(-1.0, 1.0, (max_options * words,), np.float32),
            }
        )
        self._kept: Arrays = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Arrays, dict[str, Any]]:
        """Starts an episode; `options` are passed to the environment."""
        observation, info = self.env.reset(seed=seed, options=options)
        task = self._base.episode.task
        if len(task.choices) > self._max_options:
            raise ValueError(f"max_options: task {task.id} has {len(task.choices)} options, got {self._max_options}")
        slots = [*task.choices, *[""] * (self._max_options - len(task.choices))]
        overview = letterbox(observation["images"][0], self._size)
        self._kept = {
            "overview": overview,
            "view": overview,
            "box": np.array([0.0, 0.0, 1.0, 1.0], np.float32),
            "question": embed(task.question, self._words),
            "options": np.concatenate([embed(slot, self._words) for slot in slots]),
        }
        return self._arrays(info), info

    def step(self, action: Any) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """Executes an action of the wrapped environment."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if observation["images"]:
            self._kept["view"] = letterbox(observation["images"][-1], self._size)
            self._kept["box"] = np.array(info["box"], np.float32)
        return self._arrays(info), float(reward), terminated or truncated, False, info

    def _arrays(self, info: dict[str, Any]) -> Arrays:
        """Copies of the current arrays, in the key order of the space."""
        left = np.array([info["turns_left"] / self._base.rules.max_turns], np.float32)
        kept = {**self._kept, "turns_left": left}
        return {key: array.copy() for key, array in sorted(kept.items())}


class GridActions(gym.Wrapper[Any, Any, Any, Call], RecordConstructorArgs):
    """Discrete actions: crop one cell of a grid over the first picture, or answer with one option.

    ## Action Space
    `Discrete(grid² + max_options)`. Action `i < grid²` crops cell `i` of the first picture, in reading order; action
    `grid² + j` answers with option `j`. The space is one `Discrete` and not a `MultiDiscrete`, because a turn has one
    effect: with separate heads for the kind, the cell and the option, two of the three would receive gradients for
    choices that had no effect.

    An option that the task does not have is an invalid call like any other: the turn counts and `info["error"]` is
    "bad_args". Only the first picture can be cropped, and its crops cannot be cropped again.

    ## Arguments
    * `env`: an o3gym environment, wrapped or not, with the tools crop and answer.
    * `grid`: number of cells per side.
    * `max_options`: number of options that can be answered with, from 1 to 26.

    ```python
    >>> import gymnasium as gym, o3gym
    >>> from o3gym.envs import GridActions
    >>> env = GridActions(gym.make("o3gym/Synthetic-hidden-easy-v0"), grid=4)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(5)
    >>> info["box"]
    (0.25, 0.25, 0.5, 0.5)
    >>> observation, reward, terminated, truncated, info = env.step(16)
    >>> info["stop"]
    'answered'

    ```
    """

    def __init__(self, env: gym.Env[Any, Call], grid: int = 4, max_options: int = 6) -> None:
        RecordConstructorArgs.__init__(self, grid=grid, max_options=max_options)
        super().__init__(env)
        if grid < 1 or not 1 <= max_options <= len(LETTERS):
            raise ValueError(f"grid, max_options: expected grid >= 1 and 1 to 26 options, got {grid} and {max_options}")
        self._base = search_env(env)
        for tool in ("crop", "answer"):
            if tool not in self._base.tools:
                raise ValueError(
                    f'tools: GridActions needs "{tool}"; this environment has {", ".join(self._base.tools)}'
                )
        self._grid = grid
        self.action_space = spaces.Discrete(grid * grid + max_options)

    def step(self, action: int | np.integer[Any]) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Executes the call for `action`."""
        return self.env.step(self.call(int(action)))

    def call(self, action: int) -> Call:
        """The call for `action` in this episode. Raises ValueError for a number outside the action space."""
        if action not in self.action_space:
            raise ValueError(f"action: expected a number in {self.action_space}, got {action}")
        option = action - self._grid**2
        if option < 0:
            y, x = divmod(action, self._grid)
            return crop([v / self._grid for v in (x, y, x + 1, y + 1)])
        if option < len(self._base.episode.task.choices):
            return answer(LETTERS[option])
        return Call("answer", {})  # invalid on purpose: the task has no such option


def letterbox(pixels: Pixels, size: Size) -> Pixels:
    """Scales `pixels` to fit into `size` (width, height), centred on black."""
    height, width = pixels.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    x, y = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[y : y + inner[1], x : x + inner[0]] = pixels if inner == (width, height) else resample(pixels, inner)
    return canvas


def embed(text: str, length: int) -> NDArray[np.float32]:
    """Embeds a text as a hashed bag of words: the mean of one fixed ±1 vector per word, or zeros if it has no words.

    The signs are the bits of the word's SHA-256. They are the same on every machine, need no vocabulary, and make
    vectors of different words nearly orthogonal, so that a linear layer can separate them. (With hash buckets instead,
    two words may share a bucket and become indistinguishable.)
    """
    words = re.findall(r"\w+", text.lower())
    if not words:
        return np.zeros(length, np.float32)
    digests = np.array([list(hashlib.sha256(word.encode()).digest()) for word in words], np.uint8)
    signs = 2.0 * np.unpackbits(digests, axis=1)[:, :length] - 1.0
    mean: NDArray[np.float32] = signs.mean(axis=0).astype(np.float32)
    return mean
