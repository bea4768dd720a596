"""Every plug-in by name: each entry is a "module:attribute" path that is imported on first use.

Each kind of plug-in (tools, suites, …) is one `Registry` below, filled from a table in this file. Other packages add
entries with `Registry.register` or by an entry point in the group `o3gym.<kinds>`. Listing names imports no plug-in.
"""

from __future__ import annotations

import difflib
import importlib
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from importlib.metadata import entry_points
from typing import Any

from o3gym.released_suites import RELEASED_SUITES

PIP = 'pip install "o3gym[{extra}]"'


class UnknownName(ValueError, KeyError):  # noqa: N818 - the name says it
    """No entry has this name; the message suggests the closest one. It is a KeyError so that `Mapping.get` works."""

    __str__ = ValueError.__str__


class MissingPackage(ImportError):  # noqa: N818 - the name says it
    """An optional package is not installed; the message gives the pip command."""


class BrokenPlugin(ImportError):  # noqa: N818 - the name says it
    """The plug-in of an installed package cannot be loaded; the message names both, and the reason, on one line."""


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
        self._packages: dict[str, str] = {}  # of the names that are entry points
        self._loaded: dict[str, Any] = {}
        self._has_entry_points = False

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            if name not in self:
                known = ", ".join(sorted(self._paths))
                raise UnknownName(f'unknown {self.kind} "{name}"{closest(str(name), self._paths)} (known: {known})')
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> Any:
        """Imports an entry. Raises `BrokenPlugin` if it is an entry point, whose module may raise anything."""
        path = self._paths[name]
        if name not in self._packages:
            return import_attribute(path)
        try:
            return import_attribute(path)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise BrokenPlugin(
                f'{self.kind} "{name}" of the installed package {self._packages[name]} cannot be loaded from {path}: '
                f"{type(error).__name__}: {reason:.300}"
            ) from error

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
            if point.name not in self._paths:
                self._paths[point.name] = point.value.partition("[")[0].strip()  # "module:attribute [extra]"
                self._packages[point.name] = point.dist.name if point.dist else "(unknown)"


def _named(module: str, *names: str, title: bool = False) -> dict[str, str]:
    """Entries with the names of a module's attributes; with `title`, of its classes, in small letters."""
    return {name: f"o3gym.{module}:{name.title() if title else name}" for name in names}


TOOLS = Registry(
    "tool",
    {
        name: f"o3gym.tools.{name}:{name.title()}"
        for name in (
            *("crop", "zoom", "reuse", "answer", "locate", "rotate", "draw", "search", "frames", "clip", "noop"),
            *("code", "move"),
        )
    }
    | {
        "locate_span": "o3gym.tools.locate_span:LocateSpan",
        "answer_with_span": "o3gym.tools.answer_with_span:AnswerWithSpan",
        "caption_clip": "o3gym.tools.caption_clip:CaptionClip",
        "ask_clip": "o3gym.tools.ask_clip:AskClip",
        "sampled_frames": "o3gym.tools.sampled_frames:SampledFrames",
        "frame_at": "o3gym.tools.frame_at:FrameAt",
        "web_search": "o3gym.tools.web_search:WebSearch",
        "image_search": "o3gym.tools.image_search:ImageSearch",
        "draw_state": "o3gym.tools.draw_state:DrawState",
    },
)
TIME_RULES = Registry(
    "time_rule",
    {
        name: f"o3gym.tools.time_rules:{name.upper()}_TIMES"
        for name in ("o3gym", "vital", "longvt", "paravt", "pixel_reasoner", "vr_thinker", "frame_thinker")
    },
)
"""How systems show videos, and which times they refuse."""
CODE_RULES = Registry(
    "code_rule",
    {
        name: f"o3gym.tools.code_rules:{name.upper()}_CODE_RULE"
        for name in ("o3gym", "thyme", "thyme_repaired", "pyvision", "deepeyes_v2")
    },
)
"""What model-written code finds in the sandbox, and which of its pictures are shown."""
SIZE_RULES = Registry(
    "size_rule",
    {
        name: f"o3gym.tools.size_rules:{name}_size"
        for name in ("o3gym", "mini_o3", "deepeyes", "insight_o3", "pixel_reasoner", "thyme")
    },
)
GENERATORS = Registry(
    "generator",
    {
        "synthetic": "o3gym.suites.synthetic:render_scene",
        "synthetic_video": "o3gym.suites.synthetic_video:render_film",
        "collage": "o3gym.suites.collages.drawing:render_collage",
        "planning": "o3gym.worlds.records:render_standing",
    },
)
GENERATED_SIZES = Registry(
    "generated_size",
    {
        "synthetic": "o3gym.suites.synthetic:scene_size",
        "synthetic_video": "o3gym.suites.synthetic_video:film_size",
        "collage": "o3gym.suites.collages.drawing:collage_size",
        "planning": "o3gym.worlds.records:standing_size",
    },
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
        "reel": "o3gym.dialects.reel:Reel",
        "vital": "o3gym.dialects.vital:Vital",
        "longvt": "o3gym.dialects.longvt:LongVT",
        "vr_thinker": "o3gym.dialects.vr_thinker:VRThinker",
        "frame_thinker": "o3gym.dialects.frame_thinker:FrameThinker",
        "thyme": "o3gym.dialects.thyme:Thyme",
        "pyvision": "o3gym.dialects.pyvision:PyVision",
        "deepeyes_v2": "o3gym.dialects.deepeyes_v2:DeepEyesV2",
        "plan": "o3gym.dialects.plan:Plan",
        "mgsd": "o3gym.dialects.mgsd:Mgsd",
        "vagen": "o3gym.dialects.vagen:Vagen",
        "next_state": "o3gym.dialects.next_state:NextState",
    },
)
SUITES = Registry(
    "suite",
    {
        "synthetic": "o3gym.suites.synthetic:Synthetic",
        "synthetic_video": "o3gym.suites.synthetic_video:SyntheticVideo",
        "collage": "o3gym.suites.collage:Collage",
        "local": "o3gym.suites.local:Local",
        "mixed": "o3gym.suites.mixed:MixedSuite",
        **{
            f"planning-{name.lower()}": f"o3gym.suites.planning:Planning{name}"
            for name in ("FrozenLake", "Maze", "MiniBehaviour")
        },
        **RELEASED_SUITES,
    },
)
REWARDS = Registry(
    "reward",
    {
        name: f"o3gym.rewards.recipes:{name.upper()}"
        for name in (
            *("outcome", "iou", "mini_o3", "mini_o3_code", "insight_o3", "insight_o3_code", "insight_o3_in_loop"),
            *("insight_o3_code_in_loop", "insight_o3_no_tool", "insight_o3_in_loop_no_tool"),
            *("insight_o3_in_loop_no_feedback", "insight_o3_in_loop_no_outcome", "deepeyes", "pixel_reasoner"),
            *("pixel_reasoner_paper", "thyme", "thyme_code", "vprl", "vprl_search", "vital", "vital_code"),
            *("vital_code_long", "longvt", "longvt_recall", "vr_thinker", "vr_thinker_code", "thyme_judged"),
            *("thyme_code_judged", "thyme_no_consistency", "thyme_with_code", "thyme_with_process"),
        )
    },
)
JUDGES = Registry(
    "judge",
    {
        **_named("judges.rules", "auto", "choice", "exact", "numeric", "yes_no", "relaxed", "anls", "box"),
        **_named("judges.released", "first_letter", "first_bare_letter", "leading_letter", "ranked_letter"),
        **_named("judges.released", "yes_no_prefix", "yes_unless_no", "verbatim", "relaxed_verbatim", "anls_verbatim"),
        **_named("judges.lmms_eval", "ranked_or_bare", "yes_anywhere"),
        **_named("judges.mathvista", "mathvista", "mathvista_released"),
        **_named("judges.chartqapro", "chartqapro", "chartqapro_released", "chartqapro_harness"),
        **_named("judges.golden", "golden"),
        **_named("judges.spans", "span"),
        **_named("judges.plans", "plan"),
        **_named("judges.videos", "mra", "vsi_bench_released", "first_capital"),
        "openai": "o3gym.judges.model:ModelJudge",
        "rubric": "o3gym.judges.rubric:RubricJudge",
        "reasoning": "o3gym.judges.reasoning:ReasoningJudge",
    },
)
MEASURES = Registry(
    "measure",
    {
        **_named("runs.suite_metrics", "hrbench", "treebench", "mme_realworld", "o3_bench", "charxiv", "mme", "pope"),
        **_named("runs.suite_metrics", "mmstar"),
        **_named("runs.graded_metrics", "zoombench", "hallusionbench", "mean_score", "refcoco", "visualtoolbench"),
        **_named("runs.video_metrics", "grounding"),
        **_named("runs.planning_metrics", "planning"),
        **_named("runs.video_suite_metrics", "category_mean", "vsi_bench", "next_gqa", "rextime", "preferences"),
    },
)
POLICIES = Registry(
    "policy",
    {
        **_named("policies.scripted", "random", "oracle", "asker", "sweep", "always", title=True),
        "detour": "o3gym.policies.detour:Detour",
        "observer": "o3gym.policies.observer:Observer",
        "reader": "o3gym.policies.reader:Reader",
        "optimal": "o3gym.policies.planning:Optimal",
        "random_walk": "o3gym.policies.planning:RandomWalk",
        "planner": "o3gym.policies.planner.policy:VisualPlanner",
        "planner_words": "o3gym.policies.planner.policy:WordPlanner",
        "two_agent": "o3gym.policies.two_agent:TwoAgent",
        "openai": "o3gym.policies.openai.policy:OpenAIPolicy",
        "tiny": "o3gym.policies.tiny:Tiny",
        "tiny_coder": "o3gym.policies.tiny.coder:TinyCoder",
        "tiny_film": "o3gym.policies.tiny.film:TinyFilm",
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
        "thyme": "o3gym.train.data.thyme_sft:ThymeSFT",
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
        *(TOOLS, DIALECTS, SUITES, POLICIES, REWARDS, JUDGES, SIZE_RULES, TIME_RULES, CODE_RULES, CONTROLS, MEASURES),
        *(GENERATORS, GENERATED_SIZES, OPERATIONS, DETECTORS, DEMONSTRATIONS, EXPORTS),
    )
}
"""Every kind of plug-in and its registry."""
