"""Every plug-in by name: each entry is a "module:attribute" path that is imported on first use.

Each kind of plug-in (tools, dialects, suites, …) is one `Registry` below, filled from a table in this file. Third
parties add entries with `Registry.register`, or without any code of ours through an entry point of their package in the
group `o3gym.<kinds>`. Listing names imports no plug-in.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from importlib.metadata import entry_points
from typing import Any

PIP = 'pip install "o3gym[{extra}]"'


class UnknownName(ValueError, KeyError):  # noqa: N818 - the name says it
    """No entry has this name; the message suggests the closest one. It is a KeyError so that `Mapping.get` works."""

    __str__ = ValueError.__str__


class MissingPackage(ImportError):  # noqa: N818 - the name says it
    """An optional package is not installed; the message gives the pip command."""


def closest(name: str, names: Iterable[str]) -> str:
    """Returns '; did you mean "x"?' for the nearest of `names`, or "" if none is near."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f'; did you mean "{near[0]}"?' if near else ""


def require(module: str, extra: str) -> Any:
    """Imports an optional `module`.

    Raises:
        MissingPackage: the package is not installed; the message names the extra of o3gym that installs it.
        ImportError: the package is installed and broken; its own error is passed on.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not is_missing(module, error):
            raise
        raise MissingPackage(f"{module} is not installed; run {PIP.format(extra=extra)}") from error


def is_missing(module: str, error: ModuleNotFoundError) -> bool:
    """Whether importing `module` failed because it does not exist, and not because one of its own imports does not."""
    return f"{module}.".startswith(f"{error.name}.")


def build_plugin(kind: str, name: str, factory: Any, argument: str = "", **options: Any) -> Any:
    """Calls `factory` as the spec "name:argument?option=value" asks.

    The factory receives the argument only if it has a parameter with the name `argument`.

    Raises:
        TypeError: the factory takes no argument, or has no such option; the message gives the closest option.
    """
    parameters = _parameters(factory)
    if argument and "argument" not in parameters:
        raise TypeError(f'{kind} "{name}" takes nothing after ":", got "{argument}"')
    for option in options:
        if option not in parameters:
            known = ", ".join(p for p in parameters if p != "argument") or "none"
            raise TypeError(f'{kind} "{name}" has no option "{option}"{closest(option, parameters)} (known: {known})')
    return factory(**({"argument": argument} if "argument" in parameters else {}), **options)


def _parameters(factory: Any) -> list[str]:
    """Returns the parameter names; where a class passes `**options` on, those of its base class follow."""
    signature = inspect.signature(factory).parameters.values()
    names = [p.name for p in signature if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if isinstance(factory, type) and any(p.kind is p.VAR_KEYWORD for p in signature):
        names += [name for name in _parameters(factory.__mro__[1]) if name not in names]
    return names


def stands_alone(factory: Any, given: int = 0) -> bool:
    """Whether a factory needs no arguments, such as a model's name or a file, beyond the first `given` ones."""
    parameters = list(inspect.signature(factory).parameters.values())[given:]
    return all(p.default is not p.empty for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL))


def import_attribute(path: str) -> Any:
    """Imports "package.module:attribute"; the attribute may be dotted.

    Raises:
        ValueError: `path` does not have this form.
        ImportError, AttributeError: there is no such module or attribute, or the import fails.
    """
    module, _, attribute = path.partition(":")
    if not module or not attribute:
        raise ValueError(f'expected "package.module:attribute", got "{path}"')
    return reduce(getattr, attribute.split("."), importlib.import_module(module))


class Registry(Mapping[str, Any]):
    """Lazy mapping from name to object.

    The entry points of installed packages belong to the mapping. They are read once, when names are listed or when a
    name is not in the table, because reading them takes 10 ms; a name of the table cannot be taken over by one.

    Args:
        kind: singular noun for errors and for the entry-point group ("tool" → `o3gym.tools`).
        table: name to "module:attribute".
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._paths: dict[str, str] = dict(table)
        self._loaded: dict[str, Any] = {}
        self._has_entry_points = False

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in self:
                known = ", ".join(sorted(self._paths))
                raise UnknownName(f'unknown {self.kind} "{name}"{closest(name, self._paths)} (known: {known})')
            self._loaded[name] = import_attribute(self._paths[name])
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        self._read_entry_points()
        return iter(self._paths)

    def __len__(self) -> int:
        self._read_entry_points()
        return len(self._paths)

    def __contains__(self, name: object) -> bool:
        if name not in self._paths:
            self._read_entry_points()
        return name in self._paths

    def register(self, name: str, target: Any) -> None:
        """Adds an entry: "module:attribute" or the object itself. Raises ValueError if the name is taken."""
        if name in self._paths:
            raise ValueError(f'{self.kind} "{name}" is already registered as {self._paths[name]}')
        if isinstance(target, str):
            self._paths[name] = target
        else:
            self._paths[name] = f"{target.__module__}:{getattr(target, '__qualname__', name)}"
            self._loaded[name] = target

    def _read_entry_points(self) -> None:
        """Adds the entry points of installed packages by name; nothing of theirs is imported."""
        if self._has_entry_points:
            return
        self._has_entry_points = True
        group = f"o3gym.{self.kind.removesuffix('y')}ies" if self.kind.endswith("y") else f"o3gym.{self.kind}s"
        try:
            points = list(entry_points(group=group))
        except Exception as error:  # one installed package with damaged metadata must not hide our own names
            warnings.warn(f"the entry points of group {group} cannot be read: {error!r}", stacklevel=3)
            return
        for point in points:
            self._paths.setdefault(point.name, point.value.partition("[")[0].strip())  # "module:attribute [extra]"


TOOLS = Registry(
    "tool",
    {
        "crop": "o3gym.tools.crop:Crop",
        "zoom": "o3gym.tools.zoom:Zoom",
        "reuse": "o3gym.tools.reuse:Reuse",
        "answer": "o3gym.tools.answer:Answer",
        "locate": "o3gym.tools.locate:Locate",
        "rotate": "o3gym.tools.rotate:Rotate",
        "draw": "o3gym.tools.draw:Draw",
        "search": "o3gym.tools.search:Search",
        "noop": "o3gym.tools.noop:Noop",
    },
)
SIZE_RULES = Registry(
    "size_rule",
    {
        name: f"o3gym.tools.size_rules:{name}_size"
        for name in ("o3gym", "mini_o3", "deepeyes", "insight_o3", "pixel_reasoner", "thyme")
    },
)
GENERATORS = Registry(
    "generator",
    {"synthetic": "o3gym.suites.synthetic:render_scene", "collage": "o3gym.suites.collages.drawing:render_collage"},
)
GENERATED_SIZES = Registry(
    "generated_size",
    {"synthetic": "o3gym.suites.synthetic:scene_size", "collage": "o3gym.suites.collages.drawing:collage_size"},
)
"""For generators whose picture size follows from their arguments without drawing: the function that returns it."""
OPERATIONS = Registry(
    "operation",
    {
        "rotate": "o3gym.tools.rotate:rotate_pixels",
        "draw": "o3gym.tools.draw:draw_boxes",
        "blank": "o3gym.envs.controls:blank_pixels",
    },
)
CONTROLS = Registry(
    "control",
    {
        "no_tool": "o3gym.envs.controls:NoTool",
        "blank_crop": "o3gym.envs.controls:BlankCrop",
        "random_crop": "o3gym.envs.controls:RandomCrop",
        "oracle_crop": "o3gym.envs.controls:OracleCrop",
    },
)
DIALECTS = Registry(
    "dialect",
    {
        "mini_o3": "o3gym.dialects.mini_o3:MiniO3",
        "deepeyes": "o3gym.dialects.deepeyes:DeepEyes",
        "insight_o3": "o3gym.dialects.insight_o3:InsightO3",
        "insight_o3_reasoner": "o3gym.dialects.insight_o3_reasoner:InsightO3Reasoner",
        "simple_o3": "o3gym.dialects.simple_o3:SimpleO3",
        "pixel_reasoner": "o3gym.dialects.pixel_reasoner:PixelReasoner",
        "qwen3_vl": "o3gym.dialects.qwen3_vl:Qwen3VL",
        "openai": "o3gym.dialects.openai:OpenAIFunctions",
        "grid": "o3gym.dialects.grid:Grid",
    },
)
SUITES = Registry(
    "suite",
    {
        "synthetic": "o3gym.suites.synthetic:Synthetic",
        "collage": "o3gym.suites.collage:Collage",
        "local": "o3gym.suites.local:Local",
        "vstar": "o3gym.suites.released.vstar:VStar",
        "hrbench-4k": "o3gym.suites.released.hrbench:HRBench4K",
        "hrbench-8k": "o3gym.suites.released.hrbench:HRBench8K",
        "infovqa": "o3gym.suites.released.infovqa:InfoVQA",
        "chartqa": "o3gym.suites.released.chartqa:ChartQA",
        "visualprobe-easy": "o3gym.suites.released.visualprobe:VisualProbeEasy",
        "visualprobe-medium": "o3gym.suites.released.visualprobe:VisualProbeMedium",
        "visualprobe-hard": "o3gym.suites.released.visualprobe:VisualProbeHard",
        "visualprobe-train": "o3gym.suites.released.visualprobe:VisualProbeTrain",
        "treebench": "o3gym.suites.released.treebench:TreeBench",
        "mme-realworld": "o3gym.suites.released.mme_realworld:MMERealWorld",
        "mme-realworld-lite": "o3gym.suites.released.mme_realworld:MMERealWorldLite",
        "o3-bench": "o3gym.suites.released.o3bench:O3Bench",
        "charxiv-reasoning": "o3gym.suites.released.charxiv:CharXivReasoning",
        "mme-reasoning": "o3gym.suites.released.mme:MMEReasoning",
        "pope": "o3gym.suites.released.pope:POPE",
        "mmstar": "o3gym.suites.released.mmstar:MMStar",
        "visual-cot": "o3gym.suites.released.visual_cot:VisualCoT",
        "vstar-train": "o3gym.suites.released.vstar_train:VStarTrain",
        "deepeyes-47k": "o3gym.suites.released.deepeyes_47k:DeepEyes47k",
        "infovqa-regions": "o3gym.suites.released.infovqa_regions:InfoVQARegions",
    },
)
REWARDS = Registry(
    "reward",
    {
        name: f"o3gym.rewards.recipes:{name.upper()}"
        for name in (
            *("outcome", "iou", "mini_o3", "insight_o3", "insight_o3_code", "insight_o3_in_loop"),
            *("insight_o3_code_in_loop", "insight_o3_no_tool", "insight_o3_in_loop_no_tool"),
            *("insight_o3_in_loop_no_feedback", "insight_o3_in_loop_no_outcome", "deepeyes", "pixel_reasoner"),
            *("pixel_reasoner_paper", "thyme", "thyme_code", "vprl"),
        )
    },
)
JUDGES = Registry(
    "judge",
    {
        **{
            name: f"o3gym.judges.rules:{name}"
            for name in ("auto", "choice", "exact", "numeric", "yes_no", "relaxed", "anls", "box")
        },
        **{
            name: f"o3gym.judges.released:{name}"
            for name in ("first_letter", "leading_letter", "yes_no_prefix", "verbatim")
        },
        "openai": "o3gym.judges.model:ModelJudge",
    },
)
MEASURES = Registry(
    "measure",
    {
        name: f"o3gym.runs.suite_metrics:{name}"
        for name in ("hrbench", "treebench", "mme_realworld", "o3_bench", "charxiv", "mme", "pope", "mmstar")
    },
)
POLICIES = Registry(
    "policy",
    {
        "random": "o3gym.policies.scripted:Random",
        "oracle": "o3gym.policies.scripted:Oracle",
        "asker": "o3gym.policies.scripted:Asker",
        "detour": "o3gym.policies.detour:Detour",
        "sweep": "o3gym.policies.scripted:Sweep",
        "always": "o3gym.policies.scripted:Always",
        "two_agent": "o3gym.policies.two_agent:TwoAgent",
        "openai": "o3gym.policies.openai.policy:OpenAIPolicy",
        "tiny": "o3gym.policies.tiny:Tiny",
        "transformers": "o3gym.policies.local.transformers:Transformers",
        "vllm": "o3gym.policies.local.vllm:Vllm",
        "vllm_server": "o3gym.policies.local.vllm_server:VllmServer",
    },
)
DETECTORS = Registry(
    "detector",
    {
        "rapid_layout": "o3gym.synthesis.detectors.rapid_layout:RapidLayout",
        "truth": "o3gym.synthesis.detectors.truth:Truth",
    },
)
DEMONSTRATIONS = Registry(
    "demonstration",
    {
        "policy": "o3gym.train.data.sources:PolicySource",
        "run": "o3gym.train.data.sources:RunSource",
        "sharegpt": "o3gym.train.data.sharegpt:ShareGPT",
        "mini_o3": "o3gym.train.data.cold_start:ColdStart",
    },
)
EXPORTS = Registry(
    "export",
    {
        "lmms-eval": "o3gym.runs.exports.lmms_eval:write_lmms_eval",
        "vlmevalkit": "o3gym.runs.exports.vlmevalkit:write_vlmevalkit",
        "inspect": "o3gym.runs.exports.inspect_log:write_inspect",
    },
)

REGISTRIES: Mapping[str, Registry] = {
    registry.kind: registry
    for registry in (
        *(TOOLS, DIALECTS, SUITES, POLICIES, REWARDS, JUDGES, SIZE_RULES, CONTROLS, MEASURES, GENERATORS),
        *(GENERATED_SIZES, OPERATIONS, DETECTORS, DEMONSTRATIONS, EXPORTS),
    )
}
"""Every kind of plug-in and its registry."""


def parse_spec(spec: str) -> tuple[str, str, dict[str, Any]]:
    """Splits "name:argument?key=value&key=value" into (name, argument, options).

    Option values are parsed as JSON where they are JSON (numbers, true, lists) and are text otherwise:
    `parse_spec("local:photos/index.jsonl?split=test")` gives `("local", "photos/index.jsonl", {"split": "test"})`.

    A name that is composed of others is written "name(key=spec, key=spec)"; its options are those specs, as text.
    """
    if composed := re.match(r"\s*(\w+)\(", spec):
        return composed[1], "", _parts(spec, composed.end())
    head, _, tail = spec.partition("?")
    name, _, argument = head.partition(":")
    options: dict[str, Any] = {}
    for item in filter(None, tail.split("&")):
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError(f'"{item}" in "{spec}": expected key=value')
        options[key] = parse_value(value)
    return name, argument, options


def _parts(spec: str, start: int) -> dict[str, str]:
    """Returns the parts of a composed spec by key; `start` is the place behind its opening bracket."""
    parts: dict[str, str] = {}
    for part in _split_parts(spec, start):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or key in parts:
            raise ValueError(f'"{part.strip()}" in "{spec}": expected key=value, each key once')
        parts[key] = value
    return parts


def _split_parts(spec: str, start: int) -> list[str]:
    """Splits at commas that a "key=" follows, outside of inner brackets, up to the closing bracket of the spec."""
    depth, marks = 1, [start]
    for at in range(start, len(spec)):
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(spec[at], 0)
        if depth == 1 and spec[at] == "," and re.match(r"\s*\w+\s*=", spec[at + 1 :]):
            marks.append(at + 1)
        if depth == 0:
            break
    if depth or spec[at + 1 :].strip():
        raise ValueError(f'"{spec}": expected one closing bracket for each opening one, and nothing after the last')
    return [spec[begin:end] for begin, end in zip(marks, [*(mark - 1 for mark in marks[1:]), at], strict=True)]


def parse_value(text: str) -> Any:
    """Returns a command-line value: parsed if it is JSON, otherwise the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text
