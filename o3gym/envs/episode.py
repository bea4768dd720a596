"""The state of one episode: views, turns and budgets, and how a call changes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from o3gym.envs.code_session import CodeSession
from o3gym.envs.controls import Control
from o3gym.geometry import fit, snap
from o3gym.media.images import shared_store
from o3gym.media.videos import frame_source, frame_under, timeline_of
from o3gym.registry import TOOLS, closest
from o3gym.rewards.base import RewardRecipe
from o3gym.sandbox import Outcome, Sandbox
from o3gym.tools.base import Invalid, SizeRule, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.tools.code_rules import CodeRule
from o3gym.tools.size_rules import Display
from o3gym.tools.time_rules import TimeRule
from o3gym.types import FULL, Call, Error, Parsed, Reply, Size, Source, Span, Stop, Task, Trajectory, Turn, View

EMPTY = Reply("")
LAST_TURN = "No turns are left; the call was not carried out."


@dataclass(frozen=True)
class EpisodeRules:
    """The rules of an episode: the environment's arguments, with registered names resolved.

    `sandbox` is None if the tool "code" is not enabled.
    """

    tools: Mapping[str, Tool]
    control: Control
    recipe: RewardRecipe
    size_rule: SizeRule
    focus: str
    on_void: str
    max_turns: int
    max_calls: int | None
    max_views: int | None
    min_pixels: int
    max_pixels: int
    display: Display
    time_rule: TimeRule
    code_rule: CodeRule
    sandbox: Sandbox | None

    @property
    def pixel_bounds(self) -> tuple[int, int]:
        """The least and greatest number of pixels of a picture that is shown."""
        low, high = self.display.bounds(self.min_pixels, self.max_pixels)
        frames = self.time_rule.frame_pixels or (low, high)
        return min(low, frames[0]), max(high, frames[1])


class CallResult(NamedTuple):
    """The response to a call: the tool's result (None if the call was refused), the error kind, and the feedback."""

    result: ToolResult | None
    error: Error
    text: str


class Episode:
    """One episode of a `VisualSearchEnv`.

    Attributes:
        task, sources, views, turns: the record so far.
        stop, terminated, truncated: how the episode ended; "" and False while it runs.
        error, feedback: the error kind ("" if none) and the feedback of the last call.
        answer, located: the answer, and in a region search the located box (unit xyxy of the task's first picture).
        span: the answered interval of the first video in seconds.
        calls: the number of valid calls that did not end the episode.
        terms, totals: values of the step and end terms in the last step, and their sums over the episode.
        gain, total: the recipe's total so far, and its increase in the last step, which is the step's reward.
    """

    def __init__(self, task: Task, rules: EpisodeRules, vision_size: Callable[[int, int], Size] | None = None) -> None:
        self.task = task
        self.rules = rules
        self.vision_size = vision_size
        self.sources: list[Source] = list(task.sources)
        self.views: list[View] = []
        self.turns: list[Turn] = []
        self.stop: Stop = ""
        self.terminated = self.truncated = False
        self.error: Error = ""
        self.feedback = task.text
        self.answer = ""
        self.located: tuple[float, float, float, float] | None = None
        self.span: Span | None = None
        self.calls = 0
        self.terms: Mapping[str, float] = {t.name: 0.0 for t in rules.recipe.terms if t.scope in ("step", "end")}
        self.totals: dict[str, float] = dict(self.terms)
        self.total = self.gain = 0.0
        self._session = None if rules.sandbox is None else CodeSession(rules.sandbox, rules.code_rule)
        for index, source in enumerate(task.sources):
            if source.duration is None:
                self._show(ViewRequest(index, FULL, -1))
            else:
                self._show_overview(source, index)

    def step(self, call: Call, rng: np.random.Generator) -> list[View]:
        """Executes `call`, updates the state, and returns the new views."""
        known = len(self.views)
        response = self._execute(call, rng)
        self.error, self.feedback = response.error, response.text
        if response.result is not None:
            self._accept(response.result)
        new = self.views[known:]
        self.turns.append(Turn(EMPTY, Parsed(call, True), self.error, tuple(v.index for v in new), self.feedback))
        self._end()
        self._reward()
        return new

    def subtask(self, call: Call) -> Task | None:
        """The subtask to delegate; None if the call needs no delegate or will be refused."""
        tool = self.rules.tools.get(call.tool)
        if tool is None or not tool.results or tool.accepts(call.args) or self._exhausted(1):
            return None
        try:
            return tool.subtask(self.context(), **tool.complete(call.args))
        except Invalid:
            return None

    @property
    def calls_left(self) -> int | None:
        """The remaining tool calls; None if their number is unlimited."""
        return None if self.rules.max_calls is None else self.rules.max_calls - self.calls

    def close(self) -> None:
        """Ends the sandbox worker, if there is one. No code can be run afterwards."""
        if self._session is not None:
            self._session.close()

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the rules, which the environment rebuilds from its arguments, and a running sandbox worker."""
        return {key: value for key, value in self.__dict__.items() if key != "rules"}

    def context(self) -> ToolContext:
        """The part of the state that tools can see."""
        rules = self.rules
        size_of = shared_store().size
        views, keeps_canvas = tuple(self.views), rules.display.keeps_canvas
        return ToolContext(
            *(self.task, tuple(self.sources), views, size_of, rules.size_rule, rules.time_rule),
            focus=rules.focus,
            keeps_canvas=keeps_canvas,
            run_code=None if self._session is None else self._run_code,
            code_rule=rules.code_rule,
        )

    def _run_code(self, source: str) -> Outcome:
        assert self._session is not None
        return self._session.run(source, self.sources, self.views)

    def trajectory(self) -> Trajectory:
        """The record so far."""
        return Trajectory(
            task=self.task,
            sources=tuple(self.sources),
            views=tuple(self.views),
            turns=tuple(self.turns),
            terminated=self.terminated,
            truncated=self.truncated,
            stop=self.stop,
            answer=self.answer,
            located=self.located,
            span=self.span,
            terms=self.totals,
        )

    def _execute(self, call: Call, rng: np.random.Generator) -> CallResult:
        """Checks a call and computes its result. Only a refusal that ends the episode changes the state (`stop`)."""
        tool = self.rules.tools.get(call.tool) if isinstance(call.tool, str) else None
        if tool is None:
            names = [name for name in self.rules.tools if name != "noop"]
            reason = (
                f'unknown tool "{call.tool!s:.40}"{closest(str(call.tool)[:40], names)} (tools: {", ".join(names)})'
            )
            return CallResult(None, "unknown_tool", reason)
        if wrong := tool.accepts(call.args):
            return CallResult(None, "bad_args", wrong)
        context = self.context()
        try:
            if call.tool != "noop":
                call = self.rules.control.call(call, context, rng)
                tool = self.rules.tools.get(call.tool) or TOOLS[call.tool]()
            if tool.results and call.args.keys().isdisjoint(tool.results):
                # The call was not delegated. If a budget is the reason, the refusal must say so, but an invalid call
                # is reported as invalid first, like that of any other tool.
                tool.subtask(context, **tool.complete(call.args))
                if refusal := self._over_budget(1):
                    return refusal
            if tool.slow and (refusal := self._over_budget(0)):  # nothing is run in vain
                return refusal
            result = self.rules.control.result(tool.apply(context, **tool.complete(call.args)), context)
        except Invalid as invalid:
            return CallResult(None, invalid.kind, invalid.reason)
        if result.error and (exhausted := self._exhausted(len(result.views), tool.may_end)):
            # A call that failed does not end the episode as over_views, which training would excuse as a search that
            # ran out of its budget. An invalid move stays in the record of the plan, which the sources are.
            sources = result.sources if tool.may_end else ()
            result = replace(result, views=(), sources=sources, text=f"{result.text}\n{exhausted[1]}".strip())
        # A call that ends the episode is free: it counts against no budget.
        refusal = None if result.stop else self._over_budget(len(result.views), tool.may_end)
        return refusal or CallResult(result, result.error, result.text)

    def _over_budget(self, new_views: int, last: bool = False) -> CallResult | None:
        """Refuses a call that shows `new_views` views if it exceeds a budget, which may set `stop`; else None."""
        exhausted = self._exhausted(new_views, last)
        if exhausted is None:
            return None
        self.stop, reason = exhausted
        return CallResult(None, "budget", reason)

    def _exhausted(self, new_views: int, last: bool = False) -> tuple[Stop, str] | None:
        """The budget that a call with `new_views` views would exceed, as (stop or "", feedback); None if none.

        `last` says whether the call is carried out in the last turn, too.
        """
        rules = self.rules
        if rules.max_calls is not None and self.calls >= rules.max_calls:
            if not any(tool.ends for tool in rules.tools.values()):
                return "over_turn", f"All {rules.max_calls} tool calls are used."
            return "", f"All {rules.max_calls} tool calls are used; give the final answer."
        if len(self.turns) + 1 >= rules.max_turns and not last:
            return "over_turn", LAST_TURN
        if rules.max_views is not None and len(self.views) + new_views > rules.max_views:
            return "over_views", f"No more than {rules.max_views} pictures can be shown."
        return None

    def _accept(self, result: ToolResult) -> None:
        self.sources.extend(result.sources)
        for request in result.views:
            self._show(request)
        self.stop, self.answer, self.located, self.span = result.stop, result.answer, result.located, result.span
        self.calls += not result.stop

    def _show_overview(self, video: Source, index: int) -> None:
        """Shows evenly spaced frames of a video, which has that index among the task's sources."""
        timeline = timeline_of(video)
        rule = self.rules.time_rule.of(timeline.duration)
        for number in rule.first_frames(timeline):
            self.sources.append(frame_source(video, number))
            self._show(ViewRequest(len(self.sources) - 1, FULL, -1, frame_pixels=rule.frame_pixels), index)

    def _show(self, request: ViewRequest, video: int | None = None) -> None:
        source = self.sources[request.source]
        width, height = shared_store().size(source)
        # The view's box is the region snapped to whole pixels, so it covers exactly the pixels that are shown.
        x0, y0, x1, y1 = snap(request.box, (width, height))
        native = (x1 - x0, y1 - y0)
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
        shown = self._shown(native, request)
        display, given = self.rules.display, request.parent < 0
        resampling = display.given if given else display.observed
        view = View(len(self.views), request.source, box, native, shown, request.parent, resampling=resampling)
        # A task may show the same video twice, so the view that the call named says which one this is.
        video = self.views[request.parent].video if request.parent >= 0 else video
        frame = frame_under(source)
        if video is not None and frame is not None and frame.parent is not None:
            number = frame.args["number"]
            view = replace(view, time=timeline_of(frame.parent).span(number), video=video, frame=number)
        self.views.append(view)

    def _shown(self, native: Size, request: ViewRequest) -> Size:
        """The displayed (width, height): magnified if requested, fitted to the pixel budget, rounded by the policy."""
        magnify = request.magnify
        size = native
        if magnify is not None and magnify[0] * magnify[1] > native[0] * native[1]:
            scale = (magnify[0] * magnify[1] / (native[0] * native[1])) ** 0.5
            size = (max(1, round(native[0] * scale)), max(1, round(native[1] * scale)))
        fitted = fit if request.parent < 0 else self.rules.display.fit
        size = fitted(size, *(request.frame_pixels or (self.rules.min_pixels, self.rules.max_pixels)))
        return size if self.vision_size is None else self.vision_size(*size)

    def _end(self) -> None:
        """Decides whether this turn ends the episode, and why."""
        out_of_turns = len(self.turns) >= self.rules.max_turns
        if self.error == "void" and self.rules.on_void == "end":
            self.stop = "void"
        elif not self.stop and out_of_turns:
            # "over_turn" is masked in training, so it requires a valid call: one that only a budget refused, or a move,
            # which is carried out in the last turn, too, because it may reach the goal.
            self.stop = "over_turn" if self.error in ("", "budget") else "malformed"
        self.terminated = self.stop in ("answered", "located", "void")
        self.truncated = bool(self.stop) and not self.terminated
        if self.stop:
            self.close()

    def _reward(self) -> None:
        """Computes the terms that are known now, and the increase of the total."""
        recipe, before = self.rules.recipe, self.totals
        wanted = ("step", "end") if self.stop else ("step",)
        record = self.trajectory()
        due = {term.name: term.value(record) for term in recipe.terms if term.scope in wanted}
        self.terms = {**dict.fromkeys(self.terms, 0.0), **due}
        self.totals = {name: before[name] + value for name, value in self.terms.items()}
        self.turns[-1] = replace(self.turns[-1], terms=due)
        total = 0.0 if recipe.pending else recipe.total(self.totals)
        self.gain, self.total = total - self.total, total
