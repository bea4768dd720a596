"""Checks of what acts in an episode: tools, their rules, controls, dialects, policies and environments."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, get_args

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env as check_gymnasium

from o3gym.codec import encode
from o3gym.dialects.base import Dialect
from o3gym.dialects.tagged import WORLD_TOOLS
from o3gym.envs.controls import Control
from o3gym.media.images import shared_store
from o3gym.media.timeline import Timeline
from o3gym.media.videos import timeline_of
from o3gym.policies.base import Policy
from o3gym.registry import TOOLS
from o3gym.sandbox import Outcome, Workplace
from o3gym.testing.episodes import (
    HOSTILE,
    LAKE,
    SCENE,
    expect,
    expect_type,
    play,
    random_steps,
    sample_context,
)
from o3gym.tools.base import Invalid, SizeRule, Tool, ToolContext, ToolResult, sample_box
from o3gym.tools.code_rules import CodeRule
from o3gym.tools.time_rules import TimeRule
from o3gym.types import Call, Error, TaskKind

SIZES = ((1, 1), (7, 400), (400, 7), (640, 480), (4000, 3000))
"""Native sizes of views, in pixels, that a size rule is tried on."""
FILMS_TRIED = ((1, 0.04), (10, 2.0), (450, 15.0), (1500, 750.0))
"""(frames, seconds) of the videos that a time rule is tried on."""
ENDING_KINDS: dict[str, TaskKind] = {"locate": "box", "locate_span": "span"}
"""The kind of the tasks that a tool ends, apart from tasks that ask for words."""


def check_env(name: str) -> None:
    """Runs Gymnasium's own checker, then twenty random steps that two instances must repeat bit by bit."""
    check_gymnasium(gym.make(name).unwrapped, skip_render_check=True)
    first, second = (random_steps(gym.make(name)) for _ in range(2))
    expect(first == second, f"{name}: two runs with the same seed and calls differ")


def check_tool(tool: Tool) -> None:
    """A tool declares its arguments, accepts its own samples, refuses undeclared arguments and stays in bounds."""
    expect_type(tool, Tool, "tool")
    expect(bool(tool.name and tool.doc), f"{type(tool).__name__}: name and doc must not be empty")
    scene = _scene_for(tool)
    for args in _sample_calls(tool, scene):
        expect(not tool.accepts(args), f"{tool.name} refuses its own sample: {tool.accepts(args)}")
        expect(
            bool(tool.accepts({**args, "unheard_of": 1})), f"{tool.name} accepts an argument that it does not declare"
        )
        try:
            _check_result(tool.name, tool.apply(scene, **tool.complete(args)), scene)
        except Invalid as invalid:
            _check_refusal(tool.name, invalid)


def _scene_for(tool: Tool) -> ToolContext:
    """An episode in which calls of the tool can be carried out."""
    video = any(arg.kind in ("video", "span", "numbers") for arg in tool.args.values())
    return sample_context(ENDING_KINDS.get(tool.name, "free"), video, LAKE if tool.name in WORLD_TOOLS else SCENE)


def _sample_calls(tool: Tool, scene: ToolContext, count: int = 20) -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    duration = scene.task.sources[0].duration
    frames = 1 if duration is None else len(timeline_of(scene.task.sources[0]))
    for _ in range(count):
        arguments = {**tool.args, **tool.results}.items()
        yield {key: arg.sample(rng, len(scene.views), duration or 1.0, frames) for key, arg in arguments}


def _check_result(name: str, result: ToolResult, scene: ToolContext) -> None:
    sources = (*scene.sources, *result.sources)
    for source in result.sources:
        expect(bool(json.dumps(encode(source))), f"{name}: a derived source must be JSON")
        shared_store().region(source)
    for view in result.views:
        expect(0 <= view.source < len(sources), f"{name}: requests a view of source {view.source} of {len(sources)}")
        low, high = min(view.box), max(view.box)
        expect(low >= -1e-9 and high <= 1 + 1e-9, f"{name}: requests the view {view.box}, which is not in its source")


def _check_refusal(name: str, invalid: Invalid) -> None:
    expect(invalid.kind in get_args(Error), f"{name}: Invalid has the unknown kind {invalid.kind!r}")
    expect(bool(invalid.reason), f"{name}: Invalid needs a reason")


def check_size_rule(rule: SizeRule, name: str = "size rule") -> None:
    """A size rule returns whole pixels inside the view or raises `Invalid`, and accepts at least one box."""
    rng, accepted = np.random.default_rng(0), 0
    for width, height in SIZES:
        for _ in range(20):
            try:
                pixels = rule(sample_box(rng), (width, height))
            except Invalid as invalid:
                _check_refusal(name, invalid)
                continue
            accepted += 1
            whole = len(pixels) == 4 and all(isinstance(value, int) for value in pixels)
            expect(whole, f"{name}: expected four whole numbers, got {pixels!r}")
            x0, y0, x1, y1 = pixels
            inside = 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            expect(inside, f"{name}: {pixels} is empty or not inside a view of {width}×{height} pixels")
    expect(accepted > 0, f"{name} refuses every box")


def check_time_rule(rule: TimeRule, name: str = "time rule") -> None:
    """A time rule shows existing frames in the order of time, never too many, or refuses; and it accepts some requests.

    Every video has an overview, every clip that a rule accepts shows at least one frame, and the interval of a clip
    lies inside the video.
    """
    expect_type(rule, TimeRule, name)
    rng, accepted = np.random.default_rng(0), {"clip": 0, "numbered": 0}
    for frames, seconds in FILMS_TRIED:
        timeline = Timeline(np.arange(frames, dtype=np.float64) * (seconds / frames), seconds, (640, 360))
        own = rule.of(seconds)
        _check_frames(f"{name}.first_frames", own.first_frames(timeline), timeline, own.overview)
        for _ in range(20):
            span = sorted(float(value) for value in rng.uniform(-0.2, 1.2, 2) * seconds)
            numbers = [int(number) for number in rng.integers(-1, frames + 1, size=int(rng.integers(1, 4)))]
            shown = own.first_frames(timeline)
            some = [shown[int(rng.integers(len(shown)))]]
            accepted["clip"] += _check_request(f"{name}.clip", own.clip, span, timeline, own.most)
            for asked in (numbers, some):
                accepted["numbered"] += _check_request(f"{name}.numbered", own.numbered, asked, timeline, own.most)
    for method, count in accepted.items():
        expect(count > 0, f"{name}.{method} refuses every request")


def check_code_rule(rule: CodeRule, name: str = "code rule") -> None:
    """A code rule gives every view a variable of its own, survives all code, and takes only pictures that came back."""
    expect_type(rule, CodeRule, name)
    names = [rule.name(index) for index in range(20)]
    expect(all(one.isidentifier() for one in names), f"{name}.name: {names[:3]} are not names of variables")
    expect(len(set(names)) == len(names), f"{name}.name: two views have the same name, as in {names[:3]}")
    expect_type(rule.workplace, Workplace, f"{name}.workplace")
    expect(rule.most >= 1, f"{name}.most: expected at least 1 picture, got {rule.most}")
    for source in HOSTILE:
        expect(isinstance(rule.prepared(source, (640, 480)), str), f"{name}.prepared: expected text")
    outcome = Outcome(shown=(b"shown",), stored=(("/w/a.png", b"stored"),), values={"processed_path": "/w/a.png"})
    taken = rule.pictures(outcome)
    expect({*taken} <= {b"shown", b"stored"}, f"{name}.pictures: {taken!r:.80} did not come back from the code")
    expect(rule.pictures(Outcome()) == (), f"{name}.pictures: expected none where none came back")


def _check_request(
    name: str, method: Callable[[Any, Timeline], list[int]], asked: Any, timeline: Timeline, most: int
) -> bool:
    """Returns whether a request was accepted, and checks its frames or its refusal."""
    try:
        frames = method(asked, timeline)
    except Invalid as invalid:
        _check_refusal(name, invalid)
        return False
    _check_frames(name, frames, timeline, most)
    return True


def _check_frames(name: str, frames: list[int], timeline: Timeline, most: int) -> None:
    expect(0 < len(frames) <= most, f"{name}: expected 1 to {most} frames, got {len(frames)}")
    expect(all(type(number) is int for number in frames), f"{name}: expected whole numbers, got {frames!r:.60}")
    expect(frames == sorted(set(frames)), f"{name}: the frames are not in the order of time, or one is repeated")
    inside = 0 <= frames[0] <= frames[-1] < len(timeline)
    expect(inside, f"{name}: frames {frames[0]} to {frames[-1]} of a video with frames 0 to {len(timeline) - 1}")


def check_control(control: Control) -> None:
    """A control enables a subset of the tools, and its calls and results are ones that the tools could give."""
    expect_type(control, Control, "control")
    name = type(control).__name__
    enabled = tuple(control.tools(tuple(TOOLS)))
    expect(set(enabled) <= set(TOOLS), f"{name}.tools adds {sorted(set(enabled) - set(TOOLS))}")
    expect(any(TOOLS[tool].ends for tool in enabled), f"{name}.tools leaves no tool that ends an episode")
    for tool_name in enabled:
        tool = TOOLS[tool_name]()
        scene = _scene_for(tool)
        for args in _sample_calls(tool, scene, count=5):
            _check_controlled(control, Call(tool_name, tool.complete(args)), scene)


def _check_controlled(control: Control, call: Call, scene: ToolContext) -> None:
    name = type(control).__name__
    first, second = (control.call(call, scene, np.random.default_rng(0)) for _ in range(2))
    expect(first == second, f"{name}.call: the same generator state gives {first} and {second}")
    tool = TOOLS[first.tool]()
    expect(not tool.accepts(first.args), f"{name}.call: {first} is not a valid call: {tool.accepts(first.args)}")
    try:
        result = tool.apply(scene, **tool.complete(first.args))
    except Invalid:
        return
    _check_result(name, control.result(result, scene), scene)


def check_dialect(dialect: Dialect) -> None:
    """A dialect reads back its own replies, for each of its tools, and survives hostile ones."""
    expect_type(dialect, Dialect, "dialect")
    for name in dialect.tools:
        tool = TOOLS[name]()
        scene = _scene_for(tool)
        if "answer" not in dialect.tools:  # for region search only
            scene = replace(scene, task=replace(scene.task, kind="box"))
        expect(bool(dialect.prompt({name: tool}, scene.task)), f"{dialect.name}: empty prompt")
        for sampled in _sample_calls(tool, replace(scene, views=scene.views[:1])):
            args = {key: value for key, value in sampled.items() if key in tool.args}
            text = dialect.format(Call(name, args), scene.views, "thinking")
            back = dialect.parse(text, scene.views)
            expect(back.call.tool == name, f"{dialect.name}: wrote {name} as {text!r} and read {back.call}")
            expect(back.well_formed, f"{dialect.name}: its own reply {text!r} is not well-formed")
    for text in HOSTILE:
        expect(isinstance(dialect.parse(text, scene.views).call, Call), f"{dialect.name}: no Call for {text[:40]!r}")
        dialect.parse(text, ())


def check_policy(policy: Policy, episodes: int = 2) -> None:
    """Episodes on the synthetic suite end without an error, each with one reply per turn."""
    expect_type(policy, Policy, "policy")
    for trajectory in play(policy, episodes):
        last = trajectory.turns[-1].reply
        expect(trajectory.stop != "error", f"the policy failed: {last.error}")
        expect(isinstance(last.text, str), f"expected a text, got {type(last.text).__name__}")
