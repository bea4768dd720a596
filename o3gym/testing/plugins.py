"""`check`: the conformance checks by the name of a plug-in, over one plug-in or over everything registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from o3gym.env_ids import ENVS, PLANNING_ENVS, RELEASED_ENVS
from o3gym.registry import (
    GENERATORS,
    REGISTRIES,
    MissingPackage,
    UnknownName,
    closest,
)
from o3gym.specs import build_plugin, find_entry, stands_alone
from o3gym.suites.base import make_suite
from o3gym.testing import acting, pictures, scoring
from o3gym.testing.episodes import FILM, LAKE, SCENE

ARGUMENTS: Mapping[tuple[str, str], Callable[[], Mapping[str, Any]]] = {
    ("generator", "synthetic"): lambda: SCENE.args,
    ("generator", "collage"): lambda: make_suite("collage?megapixels=0.6-1&share=0.002")[0].sources[0].args,
    ("generator", "synthetic_video"): lambda: {**FILM.args, "time": 0.5},
    ("generator", "planning"): lambda: LAKE.args,
    ("operation", "rotate"): lambda: {"angle": 30.0},
    ("operation", "draw"): lambda: {"boxes": [[0.1, 0.1, 0.4, 0.3]]},
}
"""Arguments of our own functions that draw; others are tried with the options of their spec."""


class Plugin(NamedTuple):
    """What a spec names: a registered entry or an attribute of a module, and how it is to be called."""

    kind: str
    name: str
    entry: Any
    argument: str = ""
    options: Mapping[str, Any] = {}

    def build(self, **options: Any) -> Any:
        """Calls the entry as the spec asks; `options` are defaults."""
        return build_plugin(self.kind, self.name, self.entry, self.argument, **{**options, **self.options})

    def value(self) -> Any:
        """Returns the entry itself. Raises TypeError if the spec has an argument or options."""
        if self.argument or self.options:
            raise TypeError(f'{self.kind} "{self.name}" takes no argument and no options')
        return self.entry

    def arguments(self) -> Mapping[str, Any]:
        """Returns the arguments of a function that draws."""
        kind = "generator" if self.kind == "generated_size" else self.kind
        sample = ARGUMENTS.get((kind, self.name))
        return self.options or (sample() if sample else {})


def _check_judge(plugin: Plugin) -> None:
    judge = plugin.build() if isinstance(plugin.entry, type) else plugin.value()
    scoring.check_judge(judge, plugin.name)


def _check_suite(plugin: Plugin) -> None:
    splits = getattr(plugin.entry, "splits", ("test",))
    pictures.check_suite(plugin.build(split=splits[0]))


def _check_generated_size(plugin: Plugin) -> None:
    if plugin.name not in GENERATORS:
        raise UnknownName(f'generated_size "{plugin.name}": there is no generator with this name')
    pictures.check_generated_size(plugin.entry, GENERATORS[plugin.name], **plugin.arguments())


CHECKS: Mapping[str, Callable[[Plugin], None]] = {
    "tool": lambda plugin: acting.check_tool(plugin.build()),
    "dialect": lambda plugin: acting.check_dialect(plugin.build()),
    "suite": _check_suite,
    "policy": lambda plugin: acting.check_policy(plugin.build()),
    "reward": lambda plugin: scoring.check_reward(plugin.value()),
    "judge": _check_judge,
    "size_rule": lambda plugin: acting.check_size_rule(plugin.value(), plugin.name),
    "time_rule": lambda plugin: acting.check_time_rule(plugin.value(), plugin.name),
    "code_rule": lambda plugin: acting.check_code_rule(plugin.value(), plugin.name),
    "control": lambda plugin: acting.check_control(plugin.build()),
    "measure": lambda plugin: scoring.check_measure(plugin.value()),
    "generator": lambda plugin: pictures.check_generator(plugin.entry, **plugin.arguments()),
    "generated_size": _check_generated_size,
    "operation": lambda plugin: pictures.check_operation(plugin.entry, **plugin.arguments()),
    "detector": lambda plugin: pictures.check_detector(plugin.build()),
    "demonstration": lambda plugin: pictures.check_demonstrations(plugin.build()),
    "export": lambda plugin: scoring.check_export(plugin.value()),
}
"""The check of each kind of plug-in."""


def check(plugin: str = "") -> Iterator[tuple[str, str]]:
    """Checks one plug-in, or everything registered that needs no argument, no download and no missing package.

    Args:
        plugin: "tool:crop", "suite:local:FILE", "dialect:my.module:Class", "env:ID", …; "" for everything.

    Yields:
        (name, problem) pairs; the problem is "" if the check passes.

    Raises:
        UnknownName: there is no such kind of plug-in; the message suggests the closest one.
    """
    for name, run in [_named(plugin)] if plugin else _everything():
        try:
            run()
            yield name, ""
        except AssertionError as error:
            yield name, str(error)
        except MissingPackage as error:
            if plugin:
                yield name, str(error)
        except Exception as error:
            yield name, f"{type(error).__name__}: {error}"


def _named(plugin: str) -> tuple[str, Callable[[], None]]:
    kind, _, spec = plugin.partition(":")
    kinds = (*CHECKS, "env")
    if kind not in kinds:
        raise UnknownName(f'unknown kind "{kind}"{closest(kind, kinds)} (known: {", ".join(kinds)})')
    return plugin, partial(acting.check_env, spec) if kind == "env" else partial(_run, kind, spec)


def _run(kind: str, spec: str) -> None:
    CHECKS[kind](Plugin(kind, *find_entry(REGISTRIES[kind], spec)))


def _everything() -> Iterator[tuple[str, Callable[[], None]]]:
    for kind in CHECKS:
        for name in REGISTRIES[kind]:
            if _needs_nothing(kind, name):
                yield f"{kind}:{name}", partial(_run, kind, name)
    for name in (*ENVS, *PLANNING_ENVS):
        yield f"env:{name}", partial(acting.check_env, name)


def _needs_nothing(kind: str, name: str) -> bool:
    """Whether a plug-in can be checked by its name alone; one whose import fails can, since its check reports that."""
    if kind == "suite":
        return name not in ("local", "mixed") and name not in {kwargs["suite"] for kwargs in RELEASED_ENVS.values()}
    try:
        entry = REGISTRIES[kind][name]
    except Exception:
        return True
    if kind in ("generator", "generated_size", "operation"):
        return bool(Plugin(kind, name, entry).arguments()) or stands_alone(entry, given=int(kind == "operation"))
    return not isinstance(entry, type) or stands_alone(entry)
