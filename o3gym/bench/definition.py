"""The definition of a benchmark run, and its protocol.

One JSON object, the protocol, defines a run. Two runs with equal protocols are the same run, so an interrupted run can
be resumed; and a report always states its protocol, because a number is meaningless without it.
"""

from __future__ import annotations

import hashlib
import itertools
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from o3gym.arguments import check_seed, check_whole
from o3gym.bench.exemplars.reading import exemplar_digest, read_exemplars
from o3gym.bench.exemplars.staging import stage_exemplars
from o3gym.codec import encode
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.envs.checks import default_tools
from o3gym.envs.visual_search import VisualSearchEnv
from o3gym.policies.base import Policy, make_policy, playing, split_control
from o3gym.policies.dialogue import Message
from o3gym.policies.two_agent import agents
from o3gym.registry import JUDGES, POLICIES, TOOLS, UnknownName, closest
from o3gym.rewards.reasoning import require_reasoning_judge
from o3gym.rollout.delegation import check_reasoner, delegates, delegates_protocol, is_pair, reasoning_tools
from o3gym.rollout.records import Arm, Job, check_code_temperature, derive_seed
from o3gym.runs.report import VARIANT
from o3gym.sampling import Sampling
from o3gym.sandbox import open_sandbox
from o3gym.specs import parse_spec
from o3gym.suites.base import BadTask, Suite, make_suite, recommended_turns, some_of
from o3gym.suites.drawing import take_tasks
from o3gym.types import Size, Task

DEFAULT_DIALECT = "qwen3_vl"
"""Default dialect for policies without a fixed one."""

FIXED = ("suite", "split", "suite_args", "max_turns", "control", "reward", "render_mode")
"""Arguments of the environment that `--env` and `--sweep` may not set, because the benchmark sets them itself."""


@dataclass(frozen=True)
class Bench:
    """The definition of a benchmark run.

    Attributes:
        suite, split, suite_args: the source of the tasks.
        policies: policy specs. "P+control" runs P under a control, "two_agent(reasoner=P, searcher=Q)" runs a pair of
            policies as one arm.
        dialect: dialect spec; "" selects each policy's own dialect, or `DEFAULT_DIALECT` if it has none.
        prompt_file: a file with the system prompt, which replaces the dialect's own; "" for none.
        exemplars: a file of exemplars, or the name of ours, that stand before each task as earlier dialogue; "" for
            none. Not in the protocol then.
        episodes: number of tasks, drawn by `seed`; 0 takes all tasks. Bad rows of the suite are skipped, and other rows
            take their places.
        strict: whether the first bad row is an error.
        turns: turn budgets. Episodes run with the largest one, and the report cuts them at the others. Without any, the
            suite's recommendation is the only one.
        k: number of samples per task.
        seed: seed of the task draw and of every episode.
        env: further arguments of the environment, shared by all arms.
        sweep: environment argument, or "window", → values; every combination of values becomes an arm of each policy.
        reward: name of the reward recipe.
        judge: judge spec; "" for the offline judge that fits each task.
        force_answer: whether the last turn allows only an answer, see `Arm`.
        window: number of rounds whose pictures stay in the dialogue, see `Arm`; None for all. Not in the protocol then.
        sampling: how replies are sampled.
        base_url: the server for policies named "openai" whose spec gives none.
    """

    suite: str = "synthetic"
    split: str = "test"
    suite_args: Mapping[str, Any] = field(default_factory=dict)
    policies: Sequence[str] = ("oracle",)
    dialect: str = ""
    prompt_file: str = ""
    exemplars: str = field(default="", metadata={"json": "if set"})
    episodes: int = 100
    strict: bool = False
    turns: Sequence[int] = ()
    k: int = 1
    seed: int = 0
    env: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    reward: str = "outcome"
    judge: str = ""
    force_answer: bool = False
    window: int | None = field(default=None, metadata={"json": "if set"})
    sampling: Sampling = field(default_factory=Sampling)
    base_url: str = ""

    def __post_init__(self) -> None:
        for name, least in (("episodes", 0), ("k", 1)):
            check_whole(name, getattr(self, name), least)
        check_seed(self.seed)
        if self.window is not None:
            check_whole("window", self.window, 1)
        if self.turns == ():
            object.__setattr__(self, "turns", (recommended_turns(self.suite),))
        for name in ("policies", "turns"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise TypeError(f"{name}: expected a sequence with at least one entry, got {values!r:.60}")
        for turns in self.turns:
            check_whole("turns", turns, 1)
        check_whole("the largest of turns", max(self.turns), 2)  # one call and the answer
        if len(set(self.turns)) < len(self.turns):
            raise ValueError(f"turns: expected different budgets, got {', '.join(map(str, self.turns))}")

    def open_suite(self) -> Suite:
        """Builds the suite."""
        return make_suite(self.suite, self.split, **self.suite_args)

    def dialect_of(self, policy: str) -> str:
        """The spec of the dialect for the policy with the given spec."""
        return self.dialect or _policy_class(policy).dialect or DEFAULT_DIALECT

    def open_dialect(self, spec: str) -> Dialect:
        """Builds a dialect, with `prompt_file` if it is set."""
        return make_dialect(spec, **({"prompt_file": self.prompt_file} if self.prompt_file else {}))

    def open_policy(self, spec: str) -> Policy:
        """Builds a policy, with `base_url` if it is set and the policy uses a server."""
        remote = self.base_url and _is_remote(spec)
        return make_policy(spec, **({"base_url": self.base_url} if remote else {}))

    def open_exemplars(self, arm: Arm, vision_size: Callable[[int, int], Size] | None = None) -> tuple[Message, ...]:
        """Performs the exemplars in an arm, as its policy, whose `vision_size` this is, is shown them.

        Raises:
            ExemplarError: an exemplar cannot be read, or not be performed in this arm.
        """
        if not self.exemplars:
            return ()
        return stage_exemplars(read_exemplars(self.exemplars), arm, self.open_dialect(arm.dialect), vision_size)

    def arms(self) -> list[Arm]:
        """One arm per policy and combination of swept arguments, with a label that names both.

        Raises:
            ValueError: an argument is unknown or does not fit, `base_url` is set but no policy uses a server, or the
                reward asks the judge about reasoning, which it does not read.
        """
        require_reasoning_judge(self.reward, self.judge)
        suite = self.open_suite()
        for key in (*self.env, *(key for key in self.sweep if key != "window")):
            _check_argument(key)
        if self.base_url and not any(map(_is_remote, self.policies)):
            raise ValueError(f"base_url: none of the policies asks a server, {self.base_url} would not be used")
        variants = [dict(zip(self.sweep, values, strict=True)) for values in itertools.product(*self.sweep.values())]
        return [self._arm(spec, variant, suite) for spec in self.policies for variant in variants]

    def _arm(self, spec: str, variant: Mapping[str, Any], suite: Suite) -> Arm:
        settings = ", ".join(f"{key}={_short(value)}" for key, value in variant.items())
        label = f"{spec}{VARIANT}{settings}" if settings else spec
        variant = dict(variant)
        window = variant.pop("window", self.window)
        named, control = split_control(spec)
        policy = playing(named, suite.has_videos)
        dialect_spec = self.dialect_of(policy)
        dialect = self.open_dialect(dialect_spec)
        # Later entries override earlier ones: the dialect's defaults, the policy's needs, then the user's choices.
        env: dict[str, Any] = {
            "suite": self.suite,
            "split": self.split,
            "suite_args": dict(self.suite_args),
            "max_turns": max(self.turns),
            "reward": self.reward,
            **dialect.rules(suite.has_videos),
            "control": control,
            **_policy_class(agents(policy)[0]).env,
            **_policy_class(policy).env,
            **self.env,
            **variant,
        }
        if is_pair(policy):
            check_reasoner(policy, dialect_spec)
            env["tools"] = env.get("tools") or reasoning_tools(default_tools(suite))
        env["tools"] = expressible(env.get("tools"), dialect, suite)
        arm = Arm(label, env, policy, dialect_spec, self.sampling, self.force_answer, window)
        check_code_temperature(arm, dialect, _policy_class(agents(policy)[0]).privileged)
        return arm

    def jobs(self) -> list[Job]:
        """The episodes of an arm: `k` samples of each drawn task, each with its own seed. All arms share them.

        Raises:
            SuiteError: more than 5% of the rows are bad, or, if `strict`, any row.
        """
        return [
            Job(index, group, sample, derive_seed(self.seed, group, sample))
            for index, group in self.draw().tasks
            for sample in range(self.k)
        ]

    def draw(self) -> TaskDraw:
        """The tasks of the run, and the rows that were skipped. Raises `SuiteError` as `jobs` does."""
        suite = self.open_suite()
        return _drawn(suite, self.episodes or len(suite), self.seed, self.strict)

    def protocol(self) -> dict[str, Any]:
        """Everything that the results depend on, as JSON."""
        suite, arms = self.open_suite(), self.arms()
        draw, files = self.draw(), suite.fingerprint()
        delegated = {arm.label: others for arm in arms if (others := delegates(arm))}
        return {
            **{key: value for key, value in encode(self).items() if key != "strict"},  # it changes no result
            "prompt_sha256": self._prompt_hashes(arms, delegated, suite.first_task()),
            **({"exemplars_sha256": exemplar_digest(self.exemplars)} if self.exemplars else {}),
            **self._judge_prompt(),
            "suite_name": suite.name,
            "suite_version": suite.version,
            **({"suite_revision": suite.revision} if suite.revision else {}),
            **({"suite_files": files} if files else {}),
            "licence": suite.licence,
            **({"measure": suite.measure} if suite.measure else {}),
            "items": len(suite),
            "tasks": len(draw.tasks),
            **({"skipped": len(draw.bad), "skipped_indices": [index for index, _ in draw.bad]} if draw.bad else {}),
            "arms": {arm.label: encode(arm.env) for arm in arms},
            **({"delegates": delegates_protocol(delegated)} if delegated else {}),
            **({"sandboxes": sandboxes} if (sandboxes := _sandboxes(arms)) else {}),
            "warnings": [*suite.warnings, *draw.warnings(), *self._unjudged(suite)],
            "packages": packages(*(name for a in arms for one in policy_classes(a.policy) for name in one.packages)),
        }

    def _unjudged(self, suite: Suite) -> list[str]:
        """A warning if rules judge a suite whose published numbers come from a model judge."""
        rules = not self._judge_attribute("blocks", False)
        return [f"{suite.name} is scored by rules: {suite.wants_judge}"] if suite.wants_judge and rules else []

    def _judge_prompt(self) -> dict[str, str]:
        """The hash of the judge's prompt, if the judge has one; the judge computes it if options replace the prompt."""
        computed = self._judge_attribute("prompt_digest", None)
        digest = computed(**parse_spec(self.judge)[2]) if computed else self._judge_attribute("prompt_sha256", "")
        return {"judge_prompt_sha256": digest} if digest else {}

    def _judge_attribute(self, name: str, default: Any) -> Any:
        """An attribute of the judge's registry entry, which is not instantiated."""
        return getattr(JUDGES[parse_spec(self.judge)[0]], name, default) if self.judge else default

    def _prompt_hashes(
        self, arms: Sequence[Arm], delegated: Mapping[str, Mapping[str, Arm]], task: Task
    ) -> dict[str, str]:
        """The hash of each dialect's system prompt; delegates' prompts are for a region search."""
        hashes = {spec: _prompt_hash(self.open_dialect(spec), task) for spec in sorted({arm.dialect for arm in arms})}
        region = Task(task.id, task.sources, "", kind="box")
        specs = {arm.dialect for others in delegated.values() for arm in others.values()}
        return hashes | {f"{spec} (delegate)": _prompt_hash(make_dialect(spec), region) for spec in sorted(specs)}


@dataclass(frozen=True)
class TaskDraw:
    """The tasks of a run.

    Attributes:
        tasks: index in the suite and id of each.
        bad: the rows that were drawn and skipped, with their indices.
    """

    tasks: tuple[tuple[int, str], ...]
    bad: tuple[tuple[int, BadTask], ...]

    def warnings(self) -> list[str]:
        """A warning that counts the skipped rows and names the first ones, if there are any."""
        rows = len(self.tasks) + len(self.bad)
        named = some_of([problem for _, problem in self.bad])
        skipped = f"{len(self.bad)} of {rows} rows were skipped, because they are bad"
        return [f"{skipped}; {len(self.tasks)} tasks were drawn: {named}"] if self.bad else []


@lru_cache(maxsize=1)  # the jobs and the protocol of a run need it, and some suites take long to make their tasks
def _drawn(suite: Suite, count: int, seed: int, strict: bool) -> TaskDraw:
    first = suite.pick(count, seed)
    tasks, bad = take_tasks(suite, itertools.chain(first, _others(suite, seed, first)), count, strict)
    return TaskDraw(tuple((index, task.id) for index, task in tasks.items()), tuple(bad.items()))


def _others(suite: Suite, seed: int, first: Sequence[int]) -> Iterator[int]:
    """The rest of the suite in the order of `seed`. Nothing is drawn unless a bad row has to be replaced."""
    used = set(first)
    yield from (index for index in suite.pick(len(suite), seed) if index not in used)


def _sandboxes(arms: Sequence[Arm]) -> dict[str, Any]:
    """What the results of code depend on, for each arm that enables it. Raises `SandboxUnavailable`."""
    coding = [arm for arm in arms if "code" in arm.env["tools"]]
    return {arm.label: open_sandbox(arm.env.get("sandbox", "auto")).describe() for arm in coding}


def packages(*more: str) -> dict[str, str]:
    """Versions of Python, o3gym and its dependencies, and of those packages in `more` that are installed."""
    versions = {"python": platform.python_version()}
    for name in ("o3gym", "gymnasium", "numpy", "pillow", *more):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _policy_class(spec: str) -> type[Policy]:
    """The class of the policy with the given spec; its class attributes are known without building it."""
    policy: type[Policy] = POLICIES[parse_spec(spec)[0]]
    return policy


def policy_classes(spec: str) -> list[type[Policy]]:
    """The classes of the policies that generate replies: two for a pair, otherwise one."""
    return [_policy_class(one) for one in agents(spec)]


def _is_remote(spec: str) -> bool:
    return any(parse_spec(one)[0] == "openai" for one in agents(split_control(spec)[0]))


def _prompt_hash(dialect: Dialect, task: Task) -> str:
    """The hash of the prompt with every tool of the format, except for code where that has to be asked for."""
    known = [name for name in dialect.tools if name in TOOLS and name != "code"]
    tools = {name: TOOLS[name]() for name in dialect.default_tools(known, True)}
    return hashlib.sha256(dialect.system(tools, task).encode()).hexdigest()


def _check_argument(key: str) -> None:
    known = [name for name in VisualSearchEnv.__init__.__annotations__ if name not in (*FIXED, "return")]
    if key not in known:
        raise UnknownName(f'env, sweep: unknown argument "{key}"{closest(key, known)} (known: {", ".join(known)})')


def expressible(tools: Sequence[str] | None, dialect: Dialect, suite: Suite) -> list[str]:
    """The tools to enable: those requested, or the default tools that the dialect can express.

    Raises ValueError if the dialect cannot express a requested tool, or no tool that ends the suite's tasks.
    """
    if tools is not None:
        for name in tools:
            if name not in dialect.tools:
                known = ", ".join(dialect.tools)
                raise ValueError(f'dialect {dialect.name} cannot express the tool "{name}" (it has: {known})')
        return list(tools)
    default = default_tools(suite)
    enabled = dialect.default_tools(default, suite.has_videos)
    may_end = any(TOOLS[name].may_end for name in enabled)
    for name in default:
        if TOOLS[name].ends and name not in dialect.tools and not may_end:
            raise ValueError(
                f"dialect {dialect.name} cannot express {name}, which ends tasks of suite {suite.name}; "
                f"choose another dialect, or tasks of another kind"
            )
    return enabled


def _short(value: Any) -> str:
    return "+".join(value) if isinstance(value, list) else str(value)
