"""The state of one episode: views, turns, budgets, and what a call does to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, cast

import numpy as np

from o3gym.envs.controls import Control
from o3gym.geometry import fit, snap
from o3gym.media.images import shared_store
from o3gym.registry import TOOLS, closest
from o3gym.rewards.base import EpisodeTerm, RewardRecipe
from o3gym.tools.base import Invalid, SizeRule, Tool, ToolContext, ToolResult, ViewRequest
from o3gym.types import FULL, Call, Error, Parsed, Reply, Size, Source, Stop, Task, Trajectory, Turn, View

EMPTY = Reply("")
LAST_TURN = "No turns are left; the call was not carried out."


@dataclass(frozen=True)
class EpisodeRules:
    """What an episode goes by: the environment's arguments, with names resolved."""

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


class CallResult(NamedTuple):
    """What came of a call: its outcome (None if it was not carried out), the error kind and the words."""

    outcome: ToolResult | None
    error: Error
    text: str


class Episode:
    """One episode of a `VisualSearchEnv`, from its task to its end.

    Attributes:
        task, sources, views, turns: the record so far.
        stop, terminated, truncated: how it ended, "" and False while it runs.
        error, feedback: of the last call.
        terms: reward terms of the last step; `total`: the recipe's total so far; `gain`: what the last step added.
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
        self.calls = 0
        self.terms: Mapping[str, float] = {t.name: 0.0 for t in rules.recipe.terms if t.scope in ("step", "end")}
        self.totals: dict[str, float] = dict(self.terms)
        self.total = self.gain = 0.0
        for index in range(len(task.sources)):
            self._show(ViewRequest(index, FULL, -1))

    def step(self, call: Call, rng: np.random.Generator) -> list[View]:
        """Carry out `call`, update everything, and return the new views."""
        known = len(self.views)
        happened = self._carry_out(call, rng)
        self.error, self.feedback = happened.error, happened.text
        if happened.outcome is not None:
            self._accept(call, happened.outcome)
        new = self.views[known:]
        self.turns.append(Turn(EMPTY, Parsed(call, True), self.error, tuple(v.index for v in new), self.feedback))
        self._end()
        self._reward()
        return new

    def subtask(self, call: Call) -> Task | None:
        """What a call asks of another agent; None if `step` can carry it out, or will refuse it, without one."""
        tool = self.rules.tools.get(call.tool)
        if tool is None or not tool.results or tool.accepts(call.args) or self._refused(1):
            return None
        try:
            return tool.subtask(self.scene(), **tool.complete(call.args))
        except Invalid:
            return None

    @property
    def calls_left(self) -> int | None:
        """Tool calls that may still be made; None where their number has no limit."""
        return None if self.rules.max_calls is None else self.rules.max_calls - self.calls

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the rules, which the environment makes again from its arguments."""
        return {key: value for key, value in self.__dict__.items() if key != "rules"}

    def scene(self) -> ToolContext:
        """What tools may see."""
        rules = self.rules
        size_of = shared_store().size
        return ToolContext(self.task, tuple(self.sources), tuple(self.views), size_of, rules.size_rule, rules.focus)

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
            terms=self.totals,
        )

    def _carry_out(self, call: Call, rng: np.random.Generator) -> CallResult:
        """Check a call and find what it would do; nothing changes yet."""
        tool = self.rules.tools.get(call.tool) if isinstance(call.tool, str) else None
        if tool is None:
            names = [name for name in self.rules.tools if name != "noop"]
            reason = (
                f'unknown tool "{call.tool!s:.40}"{closest(str(call.tool)[:40], names)} (tools: {", ".join(names)})'
            )
            return CallResult(None, "unknown_tool", reason)
        if wrong := tool.accepts(call.args):
            return CallResult(None, "bad_args", wrong)
        scene = self.scene()
        try:
            if call.tool != "noop":
                call = self.rules.control.call(call, scene, rng)
                tool = self.rules.tools.get(call.tool) or TOOLS[call.tool]()
            if tool.results and call.args.keys().isdisjoint(tool.results):  # nobody was sent: a budget may be why
                tool.subtask(scene, **tool.complete(call.args))
                if refusal := self._over_budget(1):
                    return refusal
            outcome = self.rules.control.outcome(tool.apply(scene, **tool.complete(call.args)), scene)
        except Invalid as invalid:
            return CallResult(None, invalid.kind, invalid.reason)
        return self._within_budgets(outcome)

    def _within_budgets(self, outcome: ToolResult) -> CallResult:
        refusal = None if outcome.stop else self._over_budget(len(outcome.looks))
        return refusal or CallResult(outcome, "", outcome.text)

    def _over_budget(self, looks: int) -> CallResult | None:
        """The refusal of a call that shows `looks` views, which may end the episode; None if the budgets allow it."""
        refused = self._refused(looks)
        if refused is None:
            return None
        self.stop, reason = refused
        return CallResult(None, "budget", reason)

    def _refused(self, looks: int) -> tuple[Stop, str] | None:
        """Why a call that shows `looks` views is refused, after the stop that this means ("" for none); None if not."""
        rules = self.rules
        if rules.max_calls is not None and self.calls >= rules.max_calls:
            return "", f"All {rules.max_calls} tool calls are used; give the final answer."
        if len(self.turns) + 1 >= rules.max_turns:
            return "over_turn", LAST_TURN
        if rules.max_views is not None and len(self.views) + looks > rules.max_views:
            return "over_views", f"No more than {rules.max_views} pictures can be shown."
        return None

    def _accept(self, call: Call, outcome: ToolResult) -> None:
        self.sources.extend(outcome.sources)
        for look in outcome.looks:
            self._show(look)
        self.stop, self.answer, self.located = outcome.stop, outcome.answer, outcome.located
        self.calls += not outcome.stop

    def _show(self, look: ViewRequest) -> None:
        source = self.sources[look.source]
        width, height = shared_store().size(source)
        x0, y0, x1, y1 = snap(look.box, (width, height))
        native = (x1 - x0, y1 - y0)
        box = (x0 / width, y0 / height, x1 / width, y1 / height)
        shown = self._shown(native, look.magnify)
        self.views.append(View(len(self.views), look.source, box, native, shown, look.parent))

    def _shown(self, native: Size, magnify: Size | None) -> Size:
        """The size at which a region is shown: magnified if asked, within the budget, then as the policy rounds it."""
        size = native
        if magnify is not None and magnify[0] * magnify[1] > native[0] * native[1]:
            scale = (magnify[0] * magnify[1] / (native[0] * native[1])) ** 0.5
            size = (max(1, round(native[0] * scale)), max(1, round(native[1] * scale)))
        size = fit(size, self.rules.min_pixels, self.rules.max_pixels)
        return size if self.vision_size is None else self.vision_size(*size)

    def _end(self) -> None:
        """Decide whether this turn was the last one, and why."""
        out_of_turns = len(self.turns) >= self.rules.max_turns
        if self.error == "void" and self.rules.on_void == "end":
            self.stop = "void"
        elif not self.stop and out_of_turns:
            self.stop = "over_turn" if self.error == "budget" else "malformed"
        self.terminated = self.stop in ("answered", "located", "void")
        self.truncated = bool(self.stop) and not self.terminated

    def _reward(self) -> None:
        """Compute the terms that are known now, and what the total grew by."""
        recipe, before = self.rules.recipe, self.totals
        wanted = ("step", "end") if self.stop else ("step",)
        record = self.trajectory()
        due = {t.name: float(cast(EpisodeTerm, t.compute)(record)) for t in recipe.terms if t.scope in wanted}
        self.terms = {**dict.fromkeys(self.terms, 0.0), **due}
        self.totals = {name: before[name] + value for name, value in self.terms.items()}
        self.turns[-1] = replace(self.turns[-1], terms=due)
        total = 0.0 if recipe.pending else float(recipe.combine(self.totals))
        self.gain, self.total = total - self.total, total
