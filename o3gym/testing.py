"""Conformance checks: run them on your own tools, dialects, suites, policies and environments.

Each `check_*` raises AssertionError with what was expected. The package's own tests run them over its registries, and
`o3gym check KIND:NAME` runs them on a plug-in by name or by "package.module:Class".
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.env_checker import check_env as check_gymnasium

from o3gym import registry
from o3gym.codec import encode
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.geometry import fit
from o3gym.media.images import shared_store
from o3gym.policies.base import Policy, make_policy
from o3gym.registry import DIALECTS, ENVS, POLICIES, TOOLS, parse_spec
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.suites.base import Suite, make_suite
from o3gym.tools.base import Invalid, Tool, ToolContext, ToolResult
from o3gym.types import FULL, Call, Sampling, Source, Task, Trajectory, View

SCENE = Source.generated("synthetic", family="attribute", difficulty="easy", seed=0, pixels=160_000)
HOSTILE = (
    "",
    "\x00",
    "<" * 5000,
    "{" * 5000,
    '<tool_call>{"name": 1, "arguments": []}</tool_call>',
    "<answer>" * 500,
    "<grounding>{</grounding>",
    '{"bbox_2d": [1e999, NaN, -1, "x"]}',
    "漢字 😀 \ud800",
)
"""Replies that a dialect must survive."""


def check(plugin: str = "") -> Iterator[tuple[str, str]]:
    """Check one plug-in ("tool:crop", "suite:local:FILE", "dialect:my.module:Class"), or everything registered.

    Yields:
        (name, problem) pairs; the problem is "" where all is well.
    """
    for name, run in _checks(plugin):
        try:
            run()
            yield name, ""
        except AssertionError as error:
            yield name, str(error)
        except Exception as error:
            yield name, f"{type(error).__name__}: {error}"


def _checks(plugin: str) -> Iterator[tuple[str, Callable[[], None]]]:
    kinds: Mapping[str, Callable[[str], None]] = {
        "tool": lambda spec: check_tool(_found(TOOLS, spec)()),
        "dialect": lambda spec: check_dialect(_dialect(spec)),
        "suite": lambda spec: check_suite(make_suite(spec)),
        "policy": lambda spec: check_policy(make_policy(spec)),
        "env": check_env,
    }
    if plugin:
        kind, _, spec = plugin.partition(":")
        if kind not in kinds:
            raise registry.UnknownName(
                f'unknown kind "{kind}"{registry.closest(kind, kinds)} (known: {", ".join(kinds)})'
            )
        yield plugin, partial(kinds[kind], spec)
        return
    policies = [name for name in POLICIES if registry.stands_alone(POLICIES[name])]
    names = {"tool": TOOLS, "dialect": DIALECTS, "suite": ("synthetic", "collage"), "policy": policies, "env": ENVS}
    for kind, known in names.items():
        for name in known:
            yield f"{kind}:{name}", partial(kinds[kind], name)


def check_env(name: str) -> None:
    """Gymnasium's own checker, then twenty random steps that two instances must repeat bit by bit."""
    check_gymnasium(gym.make(name).unwrapped, skip_render_check=True)
    first, second = (random_steps(gym.make(name)) for _ in range(2))
    _expect(first == second, f"{name}: two runs with the same seed and calls differ")


def check_tool(tool: Tool) -> None:
    """A tool declares its arguments, accepts what it samples, refuses what it does not declare, and stays in bounds."""
    _expect(bool(tool.name and tool.doc), f"{type(tool).__name__}: name and doc must say something")
    rng = np.random.default_rng(0)
    scene = _scene("box" if tool.name == "locate" else "free")
    for _ in range(20):
        args = {key: arg.sample(rng, len(scene.views)) for key, arg in {**tool.args, **tool.results}.items()}
        _expect(not tool.accepts(args), f"{tool.name} refuses what it samples: {tool.accepts(args)}")
        _expect(bool(tool.accepts({**args, "unheard_of": 1})), f"{tool.name} accepts an argument it does not declare")
        try:
            _check_outcome(tool.name, tool.apply(scene, **tool.complete(args)), scene)
        except Invalid as invalid:
            _expect(bool(invalid.reason), f"{tool.name}: an Invalid needs a reason")


def _check_outcome(name: str, outcome: ToolResult, scene: ToolContext) -> None:
    sources = (*scene.sources, *outcome.sources)
    for source in outcome.sources:
        _expect(bool(json.dumps(encode(source))), f"{name}: a derived source must be JSON")
        shared_store().region(source)
    for look in outcome.looks:
        _expect(0 <= look.source < len(sources), f"{name}: looks at source {look.source} of {len(sources)}")
        low, high = min(look.box), max(look.box)
        _expect(low >= -1e-9 and high <= 1 + 1e-9, f"{name}: looks at {look.box}, outside of its source")


def check_dialect(dialect: Dialect) -> None:
    """A dialect reads back what it writes, for each of its tools, and survives hostile replies."""
    rng, scene = np.random.default_rng(0), _scene("free" if "answer" in dialect.tools else "box")
    for name in dialect.tools:
        tool = TOOLS[name]()
        _expect(bool(dialect.prompt({name: tool}, scene.task)), f"{dialect.name}: empty prompt")
        for _ in range(20):
            args = {key: arg.sample(rng, 1) for key, arg in tool.args.items()}
            text = dialect.format(Call(name, args), scene.views, "thinking")
            back = dialect.parse(text, scene.views)
            _expect(back.call.tool == name, f"{dialect.name}: wrote {name} as {text!r} and read {back.call}")
            _expect(back.well_formed, f"{dialect.name}: does not take its own {text!r} as well-formed")
    for text in HOSTILE:
        _expect(isinstance(dialect.parse(text, scene.views).call, Call), f"{dialect.name}: no Call for {text[:40]!r}")
        dialect.parse(text, ())


def check_suite(suite: Suite, count: int = 20) -> None:
    """The first tasks are well-formed, repeatable and unique, and their pictures can be read."""
    _expect(len(suite) > 0, f"{suite.name} has no tasks")
    tasks = [suite[i] for i in range(min(count, len(suite)))]
    _expect(len({task.id for task in tasks}) == len(tasks), f"{suite.name}: task ids are not unique")
    for index, task in enumerate(tasks):
        _expect(encode(suite.task(index)) == encode(task), f"{task.id} is not the same when made again")
        _check_task(task)
        for source in task.sources:
            shared_store().size(source)


def _check_task(task: Task) -> None:
    _expect(bool(task.sources and task.question), f"{task.id}: needs a picture and a question")
    if task.kind == "choice":
        known = task.letters
        _expect(len(task.choices) >= 2 and task.answer in tuple(known), f"{task.id}: answer {task.answer!r} of {known}")
    for target in task.targets:
        x0, y0, x1, y1 = target.box
        inside = 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1 and 0 <= target.source < len(task.sources)
        _expect(inside, f"{task.id}: target {target.box} is not inside picture {target.source}")


def check_policy(policy: Policy, episodes: int = 2) -> None:
    """Episodes on the synthetic suite end without an error, each with one reply per turn."""
    for trajectory in play(policy, episodes):
        last = trajectory.turns[-1].reply
        _expect(trajectory.stop != "error", f"the policy failed: {last.error}")
        _expect(isinstance(last.text, str), f"expected a text, got {type(last.text).__name__}")


def play(policy: Policy, episodes: int, **env: Any) -> list[Trajectory]:
    """A few small synthetic episodes of `policy`, unsettled, for tests and first looks."""
    suite_args = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
    arguments = {"suite": "synthetic", "suite_args": suite_args, "min_pixels": 1000, "max_pixels": 40_000}
    arguments |= {**policy.env, **env}
    arm = Arm("play", arguments, sampling=Sampling(max_tokens=256))
    jobs = [Job(index, str(index)) for index in range(episodes)]
    return sorted(rollout(jobs, policy, make_dialect(policy.dialect or "qwen3_vl"), arm), key=lambda t: int(t.group))


def random_steps(env: gym.Env[Any, Any], count: int = 20, seed: int = 0) -> list[Any]:
    """Everything that `count` random steps show, pixels as bytes; starts anew where an episode ends, then closes."""
    env.action_space.seed(seed)
    observation, info = env.reset(seed=seed)
    seen: list[Any] = []
    for _ in range(count):
        seen.append(([p.tobytes() for p in observation["images"]], observation["text"], info))
        observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
        seen.append((reward, terminated, truncated))
        if terminated or truncated:
            observation, info = env.reset()
    env.close()
    return seen


def _scene(kind: str) -> ToolContext:
    size_of = shared_store().size
    task = Task("check", (SCENE,), "What is it?", "x", kind=kind)  # type: ignore[arg-type]
    native = size_of(SCENE)
    first = View(0, 0, FULL, native, fit(native, 1000, 40_000))
    return ToolContext(task, task.sources, (first,), size_of, registry.SIZE_RULES["o3gym"])


def _found(known: registry.Registry, spec: str) -> Any:
    """An entry by name, or "package.module:attribute" of somebody's plug-in."""
    if ":" not in spec:
        return known[spec]
    module, _, attribute = spec.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _dialect(spec: str) -> Dialect:
    dialect: Dialect = make_dialect(spec) if parse_spec(spec)[0] in DIALECTS else _found(DIALECTS, spec)()
    return dialect


def _expect(ok: bool, otherwise: str) -> None:
    if not ok:
        raise AssertionError(otherwise)
