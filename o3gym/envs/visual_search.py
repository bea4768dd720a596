"""`VisualSearchEnv`, the environment; suites, tools, rewards and controls are its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypedDict

import gymnasium as gym
from gymnasium import spaces
from gymnasium.error import ResetNeeded

from o3gym.envs.checks import (
    check_arguments,
    check_known,
    check_that,
    default_tools,
    sandbox_for,
    time_rule_named,
    tool_names,
)
from o3gym.envs.controls import Control
from o3gym.envs.episode import Episode, EpisodeRules
from o3gym.envs.spaces import CallSpace, ImageSpace, TextSpace
from o3gym.media.images import RegionRequest, shared_store
from o3gym.media.pixels import Pixels
from o3gym.registry import CODE_RULES, CONTROLS, REWARDS, SIZE_RULES, TOOLS, closest
from o3gym.suites.base import Suite, make_suite
from o3gym.suites.drawing import GoodTasks
from o3gym.tools.base import Tool
from o3gym.tools.size_rules import DISPLAYS, Display
from o3gym.types import FULL, Call, Size, Task, Trajectory, View


class Observation(TypedDict):
    """The observation of a step: the new pictures and a text."""

    images: tuple[Pixels, ...]
    text: str


class VisualSearchEnv(gym.Env[Observation, Call]):
    """Visual search: answer a question about a picture or video by looking at parts of it more closely.

    ```python
    >>> import gymnasium as gym, o3gym
    >>> env = gym.make("o3gym/VisualSearch-v0", suite="synthetic", max_turns=8)
    >>> observation, info = env.reset(seed=0)
    >>> observation, reward, terminated, truncated, info = env.step(o3gym.crop((0.0, 0.0, 0.5, 0.5)))

    ```

    ## Description
    The agent receives a question and one or more pictures, each downscaled to a pixel budget. The evidence is usually
    too small to recognise at that size. In each turn the agent makes one call: it views a region of an earlier view at
    native resolution, or it ends the episode with an answer or with a located box. Of a video, evenly spaced frames are
    shown first, and calls then show other frames of it, or regions of frames. In the suites of visual planning, the
    picture shows a small world, and calls make moves in it or answer with a plan.

    Tasks come from a suite. "synthetic" needs no download, "local:FILE.jsonl" reads your own pictures, and
    `o3gym list --suites` prints the rest.

    ## Action Space
    A `CallSpace`. An action is an `o3gym.Call(tool, args)`; the common calls have constructors in `o3gym`:

    | call | effect |
    |---|---|
    | `crop(box, view=0)` | shows the box at native resolution (`focus` can change this) |
    | `zoom(center, factor=2, view=0)` | shows a region around a point, enlarged to the size of the named view |
    | `reuse(view=0)` | shows an earlier view again |
    | `Call("rotate", {"view": 0, "angle": 90})` | shows the view rotated counter-clockwise by degrees |
    | `Call("draw", {"view": 0, "boxes": [[…]]})` | shows the view with boxes drawn on it |
    | `Call("search", {"view": 0, "description": "…"})` | shows a region found by another agent (`o3gym.tools.search`) |
    | `frames(numbers, video=0)` | shows frames of a video by their numbers |
    | `clip(start, end, video=0)` | shows evenly spaced frames of an interval of a video |
    | `code(source)` | runs Python in a sandbox and shows its output: printed text and pictures (`o3gym.tools.code`) |
    | `Call("move", {"moves": "right down"})` | makes moves in a world of visual planning and shows the new state |
    | `Call("draw_state", {"picture": "data:…"})` | makes the move that a drawn picture of the next state shows |
    | `answer(text)` | ends the episode with an answer: an option letter or a short text |
    | `locate(box or None, view=0)` | ends a region search with a box; None means "not in the picture" |
    | `locate_span(start, end)` | ends a temporal grounding with an interval of the first video |
    | `answer_with_span(text, start, end)` | ends the episode with an answer and the interval that shows it |

    Boxes are `(x0, y0, x1, y1)` and points `(x, y)`, in fractions (0..1) of the named view's width and height, from its
    top left corner. Views are numbered from 0: first the task's pictures, then one view per picture shown since. Each
    frame of a video is a view of its own. Times are seconds from the first frame, intervals are [start, end), and
    frames and videos are numbered from 0.

    A call that cannot be executed leads to an observation, not to an exception: `text` gives the reason, there is no
    new view, and the turn counts. `info["error"]` is the kind of error:

    | `error` | reason |
    |---|---|
    | `""` | none: the call was executed |
    | `"parse"`, `"void"` | a dialect could not read the reply, or found neither a call nor an answer in it |
    | `"unknown_tool"` | the tool does not exist or is not enabled |
    | `"bad_args"` | an argument is missing, unknown or of the wrong shape, or does not fit the task |
    | `"bad_view"` | the named view does not exist, or the tool does not work on it |
    | `"bad_box"` | the box has no area inside the view |
    | `"bad_time"` | `time_rule` refuses the interval or the frames |
    | `"too_small"`, `"aspect"` | `size_rule` refuses the box |
    | `"budget"` | `max_turns`, `max_calls` or `max_views` does not allow the call |
    | `"code"` | the code ran and failed; what it printed and showed before is in the observation |
    | `"bad_move"` | the move is not possible or cannot be read; the unchanged state is in the observation |

    An action that is not a `Call` raises TypeError. To act with a model's text, use the wrapper `o3gym.envs.TextTurns`.

    ## Observation Space
    `Dict(images=Sequence(ImageSpace), text=TextSpace)`:

    * `images`: the new pictures of this step as uint8 RGB arrays of shape (height, width, 3): the task's pictures and
      the first frames of its videos at reset, none after an invalid call. The policy keeps the history. A region with
      between `min_pixels` and `max_pixels` pixels is shown without resampling.
    * `text`: the question with its options at reset, and feedback afterwards ("" if there is none).

    Because sizes vary, `AsyncVectorEnv` needs `shared_memory=False`.

    `info` has the same keys and types after every reset and step:

    | key | type | content |
    |---|---|---|
    | `task_id` | str | the task's id, unique within its suite and split |
    | `turn`, `turns_left` | int | turns made so far (0 at reset) and turns remaining |
    | `view` | int | index of the newest view of this step, −1 if there is none |
    | `n_new` | int | number of new views in this step |
    | `box` | 4 floats | region of that newest view, unit xyxy of its source; (0, 0, 1, 1) if there is none |
    | `error` | str | kind of error of the last call, see above |
    | `stop` | str | reason for the end of the episode, "" while it runs, see below |
    | `reward_terms` | dict of floats | values of the recipe's step and end terms in this step |
    | `reward_pending` | bool | whether the total is only known after `o3gym.rewards.settle` |

    ## Rewards
    `reward` names a recipe, a formula over reward terms; `o3gym list --rewards` prints all recipes. The default,
    "outcome", is the judge's score at the end: 1 or 0 for an answer, the IoU with the target for a box or an interval.

    The environment computes the terms that depend only on the calls and the task. The reward of a step is the increase
    of the recipe's total, so the return equals the total. A recipe is *pending* if it has a term that depends on the
    text of replies, on other rollouts of the task, on another episode, or on a judge called after the rollout. Its
    rewards are 0.0 here, and `o3gym.rewards.settle` computes the total.

    ## Starting State
    The task's pictures are views 0, 1, …, and `text` is its question. `reset(seed=s)` draws the task uniformly from the
    split; a bad row of the suite's file is skipped. The same arguments, seed and calls give bit-identical episodes.

    Reset options:

    * `options={"task": i}` selects the i-th task of the split, and `options={"task": Task(…)}` any task. Raises
      `o3gym.suites.base.BadTask` if row i is bad.
    * `options={"vision_size": f}`: a policy's `f(width, height)` gives the exact (width, height) at which each view is
      shown, after the pixel budget has been applied. A policy passes it to account for its own image processor.

    ## Episode End
    The episode ends for one of these reasons, given by `info["stop"]`:

    | `stop` | flag | reason |
    |---|---|---|
    | `"answered"`, `"located"` | terminated | the agent gave its answer, its box or its interval |
    | `"void"` | terminated | a reply had neither a call nor an answer, and `on_void="end"` |
    | `"over_turn"` | truncated | the last reply of `max_turns` was a valid call |
    | `"over_views"` | truncated | a valid call would have exceeded `max_views` |
    | `"malformed"` | truncated | the last reply of `max_turns` was not a valid call |

    The rollout adds `"over_context"`, `"length"` and `"error"`. Over-turn masking in training selects on the `over_*`
    reasons and not on `truncated`, so that replies without a valid call are never masked. In the last turn, only a call
    that ends the episode is executed, or a move, which may reach the goal. A call with the error "code" or "bad_move"
    is executed, and counts against `max_calls`, but it is not a valid call here. A picture of it that would exceed
    `max_views` is not shown, and the episode goes on.

    ## Arguments
    * `suite`: the source of tasks: "name", "name:argument" or "name?option=value".
    * `split`: the suite's split, "test" by default.
    * `suite_args`: further options of the suite.
    * `tools`: names of the enabled tools, in order. At least one must end the episode, as reaching the goal with `move`
      or `draw_state` does. None enables the suite's own (move, draw_state and answer for visual planning), or crop,
      zoom and reuse, with clip and frames for videos, and answer, locate or another that ends the suite's tasks.
    * `reward`: name of the recipe.
    * `max_turns`: number of replies, including the one with the answer; at least 2. None uses the suite's
      recommendation: 32 for visual planning, and 6, Mini-o3's training setting, for all others.
    * `max_calls`: number of valid calls other than the answer. A further call is refused, but the agent may still
      answer. None means no limit.
    * `max_views`: total number of pictures shown. A call that would exceed it ends the episode. None means no limit.
    * `min_pixels`, `max_pixels`: pixel budget of each picture shown; requires `4 * min_pixels <= max_pixels`. None uses
      the suite's recommendation, which is 40,000 and 2,000,000 for most suites, as in Mini-o3, whose paper finds 2
      megapixels best. The synthetic suite is designed for smaller overviews.
    * `size_rule`: how boxes are converted to pixels, and which boxes are refused: "o3gym" (refuses none), "mini_o3",
      "deepeyes", "insight_o3", "pixel_reasoner" or "thyme". With "mini_o3", pictures are resized as in that system;
      with "deepeyes", `rotate` keeps the canvas. See `o3gym.tools.size_rules`.
    * `time_rule`: the frames of videos that are shown, at what size, and which times are refused: "o3gym" (16 frames
      first, clips of 2 frames per second and at most 16, moved into the video), "vital", "longvt", "paravt",
      "pixel_reasoner", "vr_thinker" or "frame_thinker". See `o3gym.tools.time_rules`.
    * `sandbox`: how code is isolated if the tool "code" is enabled: "auto" (as well as this machine can), "bwrap",
      "seccomp" or "trust" (not at all), with options such as "bwrap?memory=2048", see `o3gym.sandbox`. The constructor
      raises `SandboxUnavailable` if it cannot be had. An episode's first code starts a process, which ends with the
      episode or with `close()`. A pickled or copied environment starts another one, without the code's variables.
    * `code_rule`: the names of the pictures in code, what code finds besides, and how it hands pictures back: "o3gym",
      "thyme", "thyme_repaired", "pyvision" or "deepeyes_v2". See `o3gym.tools.code_rules`.
    * `overview_frames`: the number of evenly spaced frames of each video that are shown first, instead of the rule's.
    * `focus`: the effect of `crop`: "crop", "draw" (shows the view with the box drawn on it, as in Simple-o3's training
      data) or "reuse" (shows the view again).
    * `on_void`: the effect of a reply with neither a call nor an answer: "end" (as in Mini-o3 and DeepEyes) or
      "continue" (the reason becomes an observation).
    * `control`: an ablation of the search: "no_tool", "blank_crop", "random_crop" or "oracle_crop", see
      `o3gym.envs.controls`; None for none.
    * `render_mode`: "rgb_array", "human" (needs pygame) or None.

    `o3gym list --envs` prints the registered ids: `o3gym/VisualSearch-v0`, one id per family and difficulty of the
    synthetic suite, `o3gym/Collage-v0`, and one id per released data set, whose files you provide:
    `gym.make("o3gym/VStar-v0", suite_args={"data": FOLDER})`. The ids `o3gym/Planning-…-v0` are of
    `o3gym.envs.planning.PlanningEnv`; here, its worlds are the suites "planning-frozenlake", "planning-maze" and
    "planning-minibehaviour".

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
        max_turns: int | None = None,
        max_calls: int | None = None,
        max_views: int | None = None,
        min_pixels: int | None = None,
        max_pixels: int | None = None,
        size_rule: str = "o3gym",
        time_rule: str = "o3gym",
        focus: str = "crop",
        on_void: str = "end",
        control: str | None = None,
        overview_frames: int | None = None,
        sandbox: str = "auto",
        code_rule: str = "o3gym",
        render_mode: str | None = None,
    ) -> None:
        self._arguments = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        check_arguments(self._arguments)
        check_known("render_mode", render_mode, (None, *self.metadata["render_modes"]))
        self.suite: Suite = make_suite(suite, split, **(suite_args or {}))
        self._good = GoodTasks(self.suite)
        low = self.suite.min_pixels if min_pixels is None else min_pixels
        high = self.suite.max_pixels if max_pixels is None else max_pixels
        check_that(4 * low <= high, "max_pixels", f"at least 4 * min_pixels = {4 * low}", high)
        check_that(bool(self.suite), "suite", "a suite with tasks", f"{suite} ({split}), which has none")
        ablation: Control = CONTROLS[control]() if control else Control()
        names = tool_names(tools if tools is not None else default_tools(self.suite), ablation)
        self.rules = EpisodeRules(
            {name: TOOLS[name]() for name in (*names, "noop")},
            ablation,
            REWARDS[reward],
            SIZE_RULES[size_rule],
            focus,
            on_void,
            self.suite.turns if max_turns is None else max_turns,
            max_calls,
            max_views,
            low,
            high,
            DISPLAYS.get(size_rule, Display()),
            time_rule_named(time_rule, overview_frames),
            CODE_RULES[code_rule],
            sandbox_for(names, sandbox),
        )
        self.render_mode = render_mode
        self.action_space = CallSpace(tuple(self.rules.tools.values()), duration=self.suite.shortest_video)
        self.observation_space = spaces.Dict(  # type: ignore[assignment]
            {"images": spaces.Sequence(ImageSpace(*self.rules.pixel_bounds)), "text": TextSpace()}
        )
        self._episode: Episode | None = None
        self._window: Any = None

    @property
    def episode(self) -> Episode:
        """The current episode, which may have ended. Raises `ResetNeeded` before the first reset."""
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
        """The record of the episode so far. Its replies are empty, because the environment never sees their text."""
        return self.episode.trajectory()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode; the class docstring describes `options`. Raises ValueError for an unknown option."""
        super().reset(seed=seed)
        options = options or {}
        for key in options:
            if key not in ("task", "vision_size"):
                raise ValueError(f'unknown reset option "{key}"{closest(key, ("task", "vision_size"))}')
        vision_size: Callable[[int, int], Size] | None = options.get("vision_size")
        if self._episode is not None:
            self._episode.close()
        self._episode = Episode(self._pick(options.get("task")), self.rules, vision_size)
        if self.render_mode == "human":
            self.render()
        return self._observe(self._episode.views, self._episode.task.text), self._info()

    def _pick(self, task: Task | int | None) -> Task:
        if isinstance(task, Task):
            return task
        return self._good.draw(self.np_random) if task is None else self.suite[task]

    def step(self, action: Call) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Executes one call. Raises TypeError if `action` is not a `Call`, `ResetNeeded` after the episode's end."""
        if not isinstance(action, Call):
            raise TypeError(
                f"action: expected an o3gym.Call such as o3gym.crop((0, 0, 0.5, 0.5)), got {type(action).__name__} "
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
        sources = self.episode.sources
        shown = [RegionRequest(sources[view.source], view.box, view.shown, view.resampling) for view in views]
        return {"images": tuple(shared_store().regions(shown)), "text": text}

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
        """Renders a canvas with the newest view, the picture with all boxes so far, and the text.

        Returns:
            For "rgb_array", a uint8 array of shape (540, 960, 3). For "human", None; a window shows the canvas.
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
        """Closes the window and ends the sandbox of the episode, if there are any."""
        if self._episode is not None:
            self._episode.close()
        if self._window is not None:
            self._window.close()
            self._window = None

    def __getstate__(self) -> dict[str, Any]:
        """Keeps the arguments and the running episode; suites, tools and windows are rebuilt on unpickling."""
        kept = {
            name: getattr(self, name) for name in ("_episode", "_np_random", "_np_random_seed", "action_space", "spec")
        }
        return {"arguments": self._arguments, "kept": kept}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuilds the environment from its arguments and restores the running episode."""
        VisualSearchEnv.__init__(self, **state["arguments"])
        self.__dict__.update(state["kept"])
        if self._episode is not None:
            self._episode.rules = self.rules
