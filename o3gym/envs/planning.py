"""`PlanningEnv`: plan a path in one of three small worlds, by naming moves or by drawing the next state."""

from __future__ import annotations

import operator
from numbers import Integral
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from o3gym.arguments import check_whole
from o3gym.envs.checks import check_known
from o3gym.envs.layouts import DrawnLayouts, FileLayouts
from o3gym.registry import closest
from o3gym.worlds import WORLDS, World, read_move
from o3gym.worlds.base import BLOCKED, INVALID_REWARD
from o3gym.worlds.drawing import check_world
from o3gym.worlds.tiles import PICTURE_SIDE, StatePicture

PLANNING_MODES = ("move", "image")
PLANNING_VIEWS = ("picture", "symbols")
SYMBOLS_LIMIT = 127
"""The largest value of a cell's flags."""

State = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


class PlanningEnv(gym.Env[State, Any]):
    """Visual planning: reach a goal in a small world, one move or one drawn picture at a time.

    ```python
    >>> import gymnasium as gym, o3gym
    >>> env = gym.make("o3gym/Planning-FrozenLake-v0", level=4, split="train")
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(1)

    ```

    ## Description
    Three worlds of VPRL ("Visual Planning: Let's Think Only with Images", arXiv 2505.11409). In "frozenlake", the agent
    walks over ice to a gift and must not step into a hole; nothing slips. In "maze", it walks through a perfect maze.
    In "minibehaviour", it picks up a printer from a neighbouring cell, and drops it on a table from a cell beside the
    table. Every layout can be solved, and the best plan is known: `env.unwrapped.world` has the rules, distances and
    optimal plans of the current layout.

    ## Action Space
    With `mode="move"`, a `Discrete` with the numbers of the moves:

    | action | move |
    |---|---|
    | 0, 1, 2, 3 | up, down, left, right |
    | 4, 5 | pick, drop ("minibehaviour" only) |

    With `mode="image"`, a `Box` of shape (256, 256, 3) and dtype uint8: a picture of the next state. The dynamics
    interpreter (`o3gym.worlds.read_move`) reads the move from the pictures of the current state and of the next one.

    A move is invalid if it is blocked, if the pictures show no move, or if the action is no picture of that shape and
    dtype. It leaves the state as it is; `info["error"]` gives the reason. With `mode="move"`, an action outside the
    space raises ValueError.

    ## Observation Space
    With `observation="picture"`, a `Box` of shape (256, 256, 3) and dtype uint8: the picture of the current state.

    With `observation="symbols"`, a `Box` of shape (side, side) and dtype uint8, where side is `level`, or the
    largest level of a layout if `level` is None. Each cell holds a sum of flags; cells outside a smaller layout are 0:

    | flag | meaning |
    |---|---|
    | 1 | free cell |
    | 2 | hole or table |
    | 4 | goal or printer |
    | 8 | agent |
    | 16 | the agent carries the printer |
    | 32, 64 | wall below, wall to the right |

    `info` has the same keys and types after every reset and step:

    | key | type | content |
    |---|---|---|
    | `level` | int | cells per side |
    | `state` | int | the state's number in `env.unwrapped.world` |
    | `moves` | int | moves so far |
    | `move` | int | the last move, −1 if it was invalid or at reset |
    | `error` | str | why the last move was invalid, "" if it was valid |
    | `optimal` | int | the least number of moves from the start to the goal |
    | `remaining` | int | the least number of moves from the current state to the goal |
    | `progress` | float | the share of the optimal path covered before the first move that came no closer |
    | `exact` | bool | whether the goal was reached in the optimal number of moves |

    ## Rewards
    VPRL's released rewards of a step: 1 if the move comes one step closer to the goal, 0 for another valid move, −5 for
    an invalid one.

    ## Starting State
    `reset(seed=s)` draws a layout of the split. Levels are equally likely if `level` is None; sizes, holes and lengths
    of optimal plans follow the released rows. No map, which is a layout without its start, lies in two splits. The same
    arguments, seed and actions give identical episodes.

    Layout i of a split is the one that `o3gym.worlds.draw_world` draws with seed i. With `layouts=N`, episodes take one
    of the layouts 0 to N − 1, each equally likely. They are drawn when they are first needed and then kept, which also
    makes resets faster. With `data=FILE`, layout i is that of the i-th row of the file, counted from 0, or of the i-th
    row of the level.

    Reset options:

    * `options={"layout": i}` takes layout i, and `options={"layout": world}` a given `o3gym.worlds.World`.

    ## Episode End
    `terminated` when the goal is reached; `truncated` after `max_moves` moves, valid or not.

    ## Arguments
    * `world`: "frozenlake", "maze" or "minibehaviour".
    * `level`: cells per side: 3 to 6, and 5 or 6 for "minibehaviour". None draws one for each episode.
    * `split`: "train", "val", "test" or None for all layouts. It does not apply to `data`.
    * `layouts`: number of layouts that episodes take, see above. None takes any layout, or all rows of `data`.
    * `data`: path of a JSONL file of released rows, whose layouts are taken instead of drawn ones. Paths and distances
      in the rows must agree with the rules. If more than 5% of the rows (and at least two) are bad, the constructor
      raises `o3gym.suites.base.SuiteError`, which names row and field. Fewer are skipped with a warning.
    * `mode`: "move" or "image", see above.
    * `observation`: "picture" or "symbols", see above.
    * `max_moves`: number of moves after which an episode is truncated. None means twice the optimal number, as in the
      longer of the two released evaluations.
    * `strict`: whether the interpreter refuses pictures that show anything besides the next state. The released
      parser does not.
    * `render_mode`: "rgb_array" or None. A rendered frame is the picture of the current state.

    ## Vectors
    `gym.make_vec(id, num_envs=64)` makes an `o3gym.envs.PlanningVectorEnv`, which shares the environments out among a
    few processes. Gymnasium's own modes "sync" and "async" give the same episodes.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 2}  # noqa: RUF012

    def __init__(
        self,
        world: str = "frozenlake",
        level: int | None = None,
        split: str | None = "test",
        layouts: int | None = None,
        data: str | None = None,
        mode: str = "move",
        observation: str = "picture",
        max_moves: int | None = None,
        strict: bool = True,
        render_mode: str | None = None,
    ) -> None:
        check_world(world, level, split)
        check_known("mode", mode, PLANNING_MODES)
        check_known("observation", observation, PLANNING_VIEWS)
        check_known("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        for name, value in (("max_moves", max_moves), ("layouts", layouts)):
            if value is not None:
                check_whole(name, value, 1)
        self._kind, self._level = WORLDS[world], level
        self._layouts: DrawnLayouts | FileLayouts = (
            DrawnLayouts(world, level, split, layouts) if data is None else FileLayouts(world, level, data, layouts)
        )
        self._mode, self._symbolic, self._max_moves, self._strict = mode, observation == "symbols", max_moves, strict
        self.render_mode = render_mode
        picture = spaces.Box(0, 255, (PICTURE_SIDE, PICTURE_SIDE, 3), np.uint8)
        self._side = self._layouts.largest
        symbols = spaces.Box(0, SYMBOLS_LIMIT, (self._side, self._side), np.uint8)
        self.observation_space = symbols if self._symbolic else picture
        self.action_space = spaces.Discrete(len(self._kind.moves)) if mode == "move" else picture
        self._world: World | None = None

    @property
    def world(self) -> World:
        """The current layout with its rules. Raises `ResetNeeded` before the first reset."""
        if self._world is None:
            raise ResetNeeded("call env.reset() first")
        return self._world

    @property
    def state(self) -> int:
        """The number of the current state. Raises `ResetNeeded` before the first reset."""
        if self._world is None:
            raise ResetNeeded("call env.reset() first")
        return self._state

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[State, dict[str, Any]]:
        """Starts an episode; the class docstring describes `options`. Raises ValueError for an unknown option."""
        super().reset(seed=seed)
        for key in options or {}:
            if key != "layout":
                raise ValueError(f'unknown reset option "{key}"{closest(key, ("layout",))}')
        self._world = world = self._pick((options or {}).get("layout"))
        self._state = world.start
        self._moves = self._forward = 0
        self._limit = self._max_moves or 2 * world.optimal_length
        self._ended = False
        return self._observe(), self._info(BLOCKED, "")

    def _pick(self, layout: object) -> World:
        if layout is None:
            return self._layouts.pick(self.np_random)
        if isinstance(layout, World):
            if not isinstance(layout, self._kind) or layout.level != (self._level or layout.level):
                expected = f"a layout of {self._kind.name} of level {self._level or 'any'}"
                raise ValueError(f"layout: expected {expected}, got {layout.name} of level {layout.level}")
            if self._symbolic and layout.level > self._side:
                raise ValueError(f"layout: expected at most {self._side} cells per side, got {layout.level}")
            return layout
        if isinstance(layout, bool) or not isinstance(layout, Integral) or layout < 0:
            raise ValueError(f"layout: expected a World or a whole number from 0 up, got {layout!r:.60}")
        return self._layouts[int(layout)]

    def step(self, action: Any) -> tuple[State, float, bool, bool, dict[str, Any]]:
        """Makes a move. Raises ValueError for a move that does not exist, `ResetNeeded` after the episode's end."""
        world = self.world
        if self._ended:
            raise ResetNeeded("the episode has ended: call env.reset()")
        move, error = self._read(action)
        reward = INVALID_REWARD
        if move != BLOCKED:
            reward = world.reward(self._state, move)
            self._state = world.graph[self._state][move]
        # Progress counts the moves up to the first one that comes no closer.
        self._forward += reward > 0 and self._forward == self._moves
        self._moves += 1
        terminated = world.goal(self._state)
        truncated = not terminated and self._moves >= self._limit
        self._ended = terminated or truncated
        return self._observe(), reward, terminated, truncated, self._info(move, error)

    def _read(self, action: Any) -> tuple[int, str]:
        """The move of an action, or `BLOCKED` and why it is invalid."""
        if self._mode == "image":
            reading = read_move(self.world, self._state, action, strict=self._strict)
            return reading.move, reading.reason
        try:
            move = operator.index(action)
        except TypeError:
            move = BLOCKED
        if not 0 <= move < len(self._kind.moves):
            raise ValueError(
                f"action: expected a whole number from 0 to {len(self._kind.moves) - 1}, got {action!r:.60}"
            )
        if self.world.graph[self._state][move] == BLOCKED:
            return BLOCKED, f"{self._kind.moves[move]} is not possible here"
        return move, ""

    def render(self) -> StatePicture | None:
        """Returns the picture of the current state, or None without a render mode."""
        return None if self.render_mode is None else self.world.render(self._state)

    def _observe(self) -> State:
        world = self.world
        if not self._symbolic:
            return world.render(self._state)
        grid: State = np.zeros((self._side, self._side), np.uint8)
        grid[: world.level, : world.level] = world.symbols(self._state)
        return grid

    def _info(self, move: int, error: str) -> dict[str, Any]:
        world = self.world
        return {
            "level": world.level,
            "state": self._state,
            "moves": self._moves,
            "move": move,
            "error": error,
            "optimal": world.optimal_length,
            "remaining": world.remaining[self._state],
            "progress": self._forward / world.optimal_length,
            "exact": self._forward == self._moves == world.optimal_length,
        }
