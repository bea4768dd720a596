"""`VisualSearchEnv`: the one environment; suites, tools, rewards and controls are its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import gymnasium as gym
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from o3gym.envs.controls import Control
from o3gym.envs.episode import Episode, EpisodeRules
from o3gym.envs.spaces import CallSpace, ImageSpace, TextSpace
from o3gym.media.images import Pixels, shared_store
from o3gym.registry import CONTROLS, REWARDS, SIZE_RULES, TOOLS, closest
from o3gym.suites.base import Suite, make_suite
from o3gym.tools.base import Tool
from o3gym.types import FULL, Call, Size, Task, Trajectory, View

FOCUS = ("crop", "draw", "reuse")
ON_VOID = ("end", "continue")


class Observation(TypedDict):
    """What a step shows: the pictures that are new, and words."""

    images: tuple[Pixels, ...]
    text: str


class VisualSearchEnv(gym.Env[Observation, Call]):
    """Answer a question about a picture by looking closer.

    ## Description
    An agent gets a question and one or more pictures, shrunk to a pixel budget. It may look at parts of them in native
    resolution, step by step, and then answers. The evidence is usually too small to be seen in the first picture.

    ## Action Space
    A `CallSpace`: `o3gym.Call(tool, args)`, made with the constructors below. Boxes and points are fractions (0..1) of
    the named view, x to the right, y down; views are numbered by success, the pictures shown at reset first.

    | call | what it does |
    |---|---|
    | `crop(box, view=0)` | a new view of the box in native resolution (or what `focus` says) |
    | `zoom(center, factor=2, view=0)` | a new view around a point, as large as the view it magnifies |
    | `reuse(view=0)` | an earlier view again |
    | `Call("rotate", {"view": 0, "angle": 90})` | a derived picture, turned |
    | `Call("draw", {"view": 0, "boxes": [[…]]})` | a derived picture with boxes drawn on it |
    | `Call("search", {"view": 0, "description": "…"})` | a region that another agent finds, see `o3gym.tools.search` |
    | `answer(text)` | ends the episode |
    | `locate(box or None, view=0)` | ends a region search; None means "not in the picture" |

    A call that cannot be carried out is an observation, not an exception: the reason as text, no new view, the turn
    counted. Its kind stands in `info["error"]`: parse, void, unknown_tool, bad_args, bad_view, bad_box, too_small,
    aspect, budget. Anything but a `Call` raises TypeError: text belongs to `o3gym.envs.TextTurns`.

    ## Observation Space
    `Dict(images=Sequence(ImageSpace), text=TextSpace)`: the pictures that are new in this step (all sources at reset,
    none after an invalid call) as uint8 arrays of shape (height, width, 3), and the question or the feedback. A region
    whose size lies within `[min_pixels, max_pixels]` is not resampled. `AsyncVectorEnv` needs `shared_memory=False`.

    `info` has the same keys and types after every reset and step: `task_id` (str), `turn` (int, 0 at reset),
    `turns_left` (int), `view` (int, index of the newest view of this step, −1 if none), `n_new` (int), `box` (four
    floats: that view in units of its source, (0, 0, 1, 1) if none), `error` (str), `stop` (str), `reward_terms` (dict
    of floats), `reward_pending` (bool: the total needs `o3gym.rewards.settle`).

    ## Rewards
    `reward` names a recipe (`o3gym list --rewards`). The environment computes terms that follow from the calls and the
    task; a step's reward is what the recipe's total grew by, so the return is the total. Recipes with terms that need
    the reply's text, a judge, sibling rollouts or another episode are pending: the float stays 0.0 and `settle`
    computes them.

    ## Starting State
    `reset(seed=s)` draws a task from the split; `reset(options={"task": i})` takes the i-th, `options={"task":
    Task(…)}` any task. `options={"vision_size": f}` lets a policy's `f(width, height)` choose the exact size at which
    each view is shown, instead of the pixel budget. Same arguments, seed and calls give the same bytes.

    ## Episode End
    Terminated: answered, located, or void (`on_void="end"` and a reply with neither call nor answer). Truncated: a
    budget ran out. `info["stop"]` tells which: answered, located, void, over_turn, over_views, malformed (rollout adds
    over_context, length and error). The `over_*` only if the last reply was a valid call, so that over-turn masking
    never excuses gibberish. A call made in the last allowed turn is not carried out.

    ## Task Source
    A suite by name, see `o3gym list --suites`: "synthetic" needs no download, "local:FILE.jsonl" takes your own
    pictures.

    ## Arguments
    * `suite`: name, "name:argument" or "name?option=value"; `suite_args`: further options of the suite.
    * `split`: name of the split.
    * `tools`: enabled tools, in order. None takes crop, zoom and reuse, and answer or locate (or both) as the suite's
      tasks need. At least one must end the episode.
    * `reward`: name of a recipe. Default "outcome": 1 for a right answer, the IoU for a box.
    * `max_turns` (at least 2): replies, the answering one included. Default 6, as Mini-o3 trains with.
    * `max_calls`: valid tool calls; a further one is refused as `budget`. None: no limit.
    * `max_views`: pictures in all; a call that would exceed it truncates. None: no limit.
    * `min_pixels`, `max_pixels`: pixel budget of each shown picture, `4 * min_pixels <= max_pixels`. None takes what
      the suite recommends: 40,000 and 2,000,000 unless it says otherwise, as in Mini-o3, whose paper finds 2 megapixels
      best; the synthetic suite is made for smaller overviews.
    * `size_rule`: how boxes become pixels and which are refused: o3gym, mini_o3, deepeyes, insight_o3, pixel_reasoner,
      thyme. Default o3gym, which refuses nothing.
    * `focus`: what crop does: "crop", "draw" (Simple-o3's training data) or "reuse".
    * `on_void`: "end" (as Mini-o3 and DeepEyes) or "continue" (the reason as an observation).
    * `control`: None, no_tool, blank_crop, random_crop or oracle_crop: the same episode with the search taken away.
    * `render_mode`: "rgb_array", "human" (needs pygame) or None.

    ```python
    >>> import gymnasium as gym, o3gym
    >>> env = gym.make("o3gym/VisualSearch-v0", suite="synthetic", max_turns=8)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(o3gym.crop((0.0, 0.0, 0.5, 0.5)))

    ```

    ## Registered Configurations
    `o3gym/VisualSearch-v0`, one id per family and difficulty of the synthetic suite, and one per released data set
    (`gym.make("o3gym/VStar-v0", suite_args={"data": FOLDER})`): `o3gym list --envs` prints them.

    ## Version History
    * v0: first version.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array", "human"], "render_fps": 2}  # noqa: RUF012

    def __init__(
        self,
        suite: str = "synthetic",
        split: str = "test",
        suite_args: Mapping[str, Any] | None = None,
        tools: Sequence[str] | None = None,
        reward: str = "outcome",
        max_turns: int = 6,
        max_calls: int | None = None,
        max_views: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size_rule: str = "o3gym",
        focus: str = "crop",
        on_void: str = "end",
        control: str | None = None,
        render_mode: str | None = None,
    ) -> None:
        self._arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        for name in ("max_turns", "max_calls", "max_views", "min_pixels", "max_pixels"):
            value = self._arguments[name]
            _check(value is None or type(value) is int, name, "a whole number", repr(value))
        _check(max_turns >= 2, "max_turns", "at least 2 (one look, one answer)", max_turns)
        _check_name("focus", focus, FOCUS)
        _check_name("on_void", on_void, ON_VOID)
        _check_name("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        self.suite: Suite = make_suite(suite, split, **(suite_args or {}))
        low = self.suite.min_pixels if min_pixels is None else min_pixels
        high = self.suite.max_pixels if max_pixels is None else max_pixels
        _check(low >= 1, "min_pixels", "at least 1", low)
        _check(4 * low <= high, "max_pixels", f"at least 4 * min_pixels = {4 * low}", high)
        _check(bool(self.suite), "suite", "a suite with tasks", f"{suite} ({split}), which has none")
        replaced: Control = CONTROLS[control]() if control else Control()
        names = _tool_names(tools if tools is not None else default_tools(self.suite), replaced)
        self.rules = EpisodeRules(
            {name: TOOLS[name]() for name in (*names, "noop")},
            replaced,
            REWARDS[reward],
            SIZE_RULES[size_rule],
            focus,
            on_void,
            max_turns,
            max_calls,
            max_views,
            low,
            high,
        )
        self.render_mode = render_mode
        self.action_space = CallSpace(tuple(self.rules.tools.values()))
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {"images": spaces.Sequence(ImageSpace(low, high)), "text": TextSpace()}
        )
        self._episode: Episode | None = None
        self._window: Any = None

    @property
    def episode(self) -> Episode:
        """The running (or last) episode. Raises `ResetNeeded` before the first reset."""
        if self._episode is None:
            raise ResetNeeded("call env.reset() first")
        return self._episode

    @property
    def tools(self) -> dict[str, Tool]:
        """The enabled tools by name, without `noop`."""
        return {name: tool for name, tool in self.rules.tools.items() if name != "noop"}

    @property
    def views(self) -> tuple[View, ...]:
        """All views of the episode so far."""
        return tuple(self.episode.views)

    @property
    def trajectory(self) -> Trajectory:
        """The episode so far as a record; the replies are empty, because the environment knows no text."""
        return self.episode.trajectory()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Start an episode; see the class docstring for `options`. Raises ValueError for unknown options."""
        super().reset(seed=seed)
        options = options or {}
        for key in options:
            if key not in ("task", "vision_size"):
                raise ValueError(f'unknown reset option "{key}"{closest(key, ("task", "vision_size"))}')
        vision_size: Callable[[int, int], Size] | None = options.get("vision_size")
        self._episode = Episode(self._pick(options.get("task")), self.rules, vision_size)
        if self.render_mode == "human":
            self.render()
        return self._observe(self._episode.views, self._episode.task.text), self._info()

    def _pick(self, task: Task | int | None) -> Task:
        if isinstance(task, Task):
            return task
        return self.suite[int(self.np_random.integers(len(self.suite))) if task is None else task]

    def step(self, action: Call) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out one call. Raises TypeError for anything but a `Call`, `ResetNeeded` after the end."""
        if not isinstance(action, Call):
            raise TypeError(
                f"expected an o3gym.Call such as o3gym.crop((0, 0, 0.5, 0.5)), got {type(action).__name__} "
                f"{action!r:.60}; to act with text, wrap the environment in o3gym.envs.TextTurns"
            )
        episode = self.episode
        if episode.stop:
            raise ResetNeeded(f"the episode has ended ({episode.stop}): call env.reset()")
        new = episode.step(action, self.np_random)
        if self.render_mode == "human":
            self.render()
        observation = self._observe(new, episode.feedback)
        return observation, episode.gain, episode.terminated, episode.truncated, self._info(new)

    def _observe(self, views: Sequence[View], text: str) -> Observation:
        store, sources = shared_store(), self.episode.sources
        return {"images": tuple(store.region(sources[v.source], v.box, v.shown) for v in views), "text": text}

    def _info(self, new: Sequence[View] | None = None) -> dict[str, Any]:
        episode = self.episode
        shown = episode.views if new is None else new
        return {
            "task_id": episode.task.id,
            "turn": len(episode.turns),
            "turns_left": self.rules.max_turns - len(episode.turns),
            "view": shown[-1].index if shown else -1,
            "n_new": len(shown),
            "box": shown[-1].box if shown else FULL,
            "error": episode.error,
            "stop": episode.stop,
            "reward_terms": dict(episode.terms),
            "reward_pending": self.rules.recipe.pending,
        }

    def render(self) -> Pixels | None:
        """A fixed canvas: the newest view, the picture with all boxes so far, and the text.

        Returns:
            With "rgb_array" a uint8 array of shape (540, 960, 3); with "human" None, the canvas is shown in a window.
        """
        from o3gym.media.rendering import Window, frame

        if self.render_mode is None:
            gym.logger.warn('render() does nothing without render_mode="rgb_array" or "human" in gym.make')
            return None
        pixels = frame(self.trajectory, self.episode.feedback)
        if self.render_mode == "rgb_array":
            return pixels
        self._window = self._window or Window()
        self._window.show(pixels, self.metadata["render_fps"])
        return None

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        """The arguments and the running episode: suites, tools and windows are made again."""
        kept = {
            name: getattr(self, name) for name in ("_episode", "_np_random", "_np_random_seed", "action_space", "spec")
        }
        return {"arguments": self._arguments, "kept": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build the environment from its arguments and go on with the episode."""
        VisualSearchEnv.__init__(self, **state["arguments"])
        self.__dict__.update(state["kept"])
        if self._episode is not None:
            self._episode.rules = self.rules


def default_tools(suite: Suite) -> tuple[str, ...]:
    """crop, zoom and reuse, with answer or locate (or both) as the kinds of the suite's tasks need."""
    ends = [name for name, used in (("answer", suite.kinds - {"box"}), ("locate", suite.kinds & {"box"})) if used]
    return ("crop", "zoom", "reuse", *ends)


def _tool_names(tools: Sequence[str], control: Control) -> tuple[str, ...]:
    if isinstance(tools, str):
        raise TypeError(f'tools: expected a list of names, got the text "{tools}"; write ["{tools}"]')
    names = control.tools([name for name in dict.fromkeys(tools) if name != "noop"])
    if not any(TOOLS[name].ends for name in names):
        raise ValueError(f"tools: expected at least one that ends the episode (answer, locate), got {list(tools)}")
    return names


def _check(ok: bool, name: str, expected: str, got: object) -> None:
    if not ok:
        raise ValueError(f"{name}: expected {expected}, got {got}")


def _check_name(name: str, value: object, known: Sequence[object]) -> None:
    if value not in known:
        words = [k for k in known if isinstance(k, str)]
        raise ValueError(f'{name}: unknown "{value}"{closest(str(value), words)} (known: {", ".join(words)})')
