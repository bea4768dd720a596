"""A benchmark run: arms × tasks × samples, stored as they end, settled, reported.

What defines a run is one JSON object, the protocol. Two runs with equal protocols are the same run, so a stopped one
goes on where it was; a number without its protocol is not a number.
"""

from __future__ import annotations

import hashlib
import itertools
import platform
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from o3gym.bench.workers import JobBlock, LocalWorkers, Workers
from o3gym.codec import encode
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.envs.visual_search import VisualSearchEnv, default_tools
from o3gym.judges.base import make_judge
from o3gym.policies.base import Policy, make_policy, split_control
from o3gym.policies.two_agent import agents
from o3gym.registry import JUDGES, POLICIES, REWARDS, TOOLS, UnknownName, closest, parse_spec
from o3gym.rewards.base import RewardRecipe
from o3gym.rewards.settle import AsyncJudge, settle
from o3gym.rollout.delegation import check_reasoner, delegates, delegates_protocol, is_pair, reasoning_tools
from o3gym.rollout.loop import collect
from o3gym.rollout.records import Arm, Job, derive_seed
from o3gym.runs.report import VARIANT, Report, write_report
from o3gym.runs.store import Run, RunStore, open_run
from o3gym.runs.store import merge_runs as store_merge
from o3gym.runs.viewer import write_viewer
from o3gym.suites.base import Suite, make_suite
from o3gym.types import EpisodeKey, Sampling, Task, Trajectory

DEFAULT_DIALECT = "qwen3_vl"
"""Of policies that speak any."""

FIXED = ("suite", "split", "suite_args", "max_turns", "control", "reward", "render_mode")
"""Arguments of the environment that `--env` and `--sweep` may not set: the bench sets them itself."""

BenchProgress = Callable[[str, int, int], None]
"""Called with (arm, episodes done, episodes in all), possibly by another thread, but never by two at a time."""


@dataclass(frozen=True)
class Bench:
    """What to run.

    Attributes:
        suite, split, suite_args: where the tasks come from.
        policies: specs; "P+control" runs P under a control, "two_agent(reasoner=P, searcher=Q)" two as one arm.
        dialect: spec of the wire format; "" for what each policy speaks, `DEFAULT_DIALECT` where that is anything.
        episodes: number of tasks, drawn by `seed`; 0 takes all.
        turns: turn budgets; episodes run at the largest and are cut at the others.
        k: samples per task.
        env: further arguments of the environment, the same for every arm.
        sweep: argument to values; every combination becomes an arm of each policy.
        force_answer: whether the last turn allows nothing but an answer, see `Arm`.
        reward: recipe; `judge`: spec, "" for the offline judge that fits each task.
        base_url: the server of policies named openai whose spec names none.
    """

    suite: str = "synthetic"
    split: str = "test"
    suite_args: Mapping[str, Any] = field(default_factory=dict)
    policies: Sequence[str] = ("oracle",)
    dialect: str = ""
    prompt_file: str = ""
    episodes: int = 100
    turns: Sequence[int] = (6,)
    k: int = 1
    seed: int = 0
    env: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    reward: str = "outcome"
    judge: str = ""
    force_answer: bool = False
    sampling: Sampling = field(default_factory=Sampling)
    base_url: str = ""

    def open_suite(self) -> Suite:
        """The suite, opened."""
        return make_suite(self.suite, self.split, **self.suite_args)

    def dialect_of(self, policy: str) -> str:
        """The spec of the dialect that a policy (by its spec) speaks in this run."""
        return self.dialect or _policy_class(policy).dialect or DEFAULT_DIALECT

    def open_dialect(self, spec: str) -> Dialect:
        """A dialect, with the user's prompt if there is one."""
        return make_dialect(spec, **({"prompt_file": self.prompt_file} if self.prompt_file else {}))

    def open_policy(self, spec: str) -> Policy:
        """The policy, with the server if it is one that has a server."""
        remote = self.base_url and _is_remote(spec)
        return make_policy(spec, **({"base_url": self.base_url} if remote else {}))

    def arms(self) -> list[Arm]:
        """One arm per policy and combination of swept arguments, labelled by both."""
        suite = self.open_suite()
        for key in (*self.env, *self.sweep):
            _check_argument(key)
        if self.base_url and not any(map(_is_remote, self.policies)):
            raise ValueError(f"base_url: none of the policies asks a server, {self.base_url} would not be used")
        variants = [dict(zip(self.sweep, values, strict=True)) for values in itertools.product(*self.sweep.values())]
        return [self._arm(spec, variant, suite) for spec in self.policies for variant in variants]

    def _arm(self, spec: str, variant: Mapping[str, Any], suite: Suite) -> Arm:
        policy, control = split_control(spec)
        spoken = self.dialect_of(policy)
        dialect = self.open_dialect(spoken)
        env: dict[str, Any] = {
            "suite": self.suite,
            "split": self.split,
            "suite_args": dict(self.suite_args),
            "max_turns": max(self.turns),
            "reward": self.reward,
            "size_rule": dialect.size_rule,
            "control": control,
            **_policy_class(agents(policy)[0]).env,
            **_policy_class(policy).env,
            **self.env,
            **variant,
        }
        if is_pair(policy):
            check_reasoner(policy, spoken)
            env["tools"] = env.get("tools") or reasoning_tools(default_tools(suite))
        env["tools"] = expressible(env.get("tools"), dialect, suite)
        settings = ", ".join(f"{key}={_short(value)}" for key, value in variant.items())
        label = f"{spec}{VARIANT}{settings}" if settings else spec
        return Arm(label, env, policy, spoken, self.sampling, self.force_answer)

    def jobs(self) -> list[Job]:
        """Every episode of an arm: the drawn tasks, `k` samples each, with a seed of its own."""
        suite = self.open_suite()
        indexes = suite.pick(self.episodes or len(suite), self.seed)
        groups = [(index, suite[index].id) for index in indexes]
        return [
            Job(index, group, sample, derive_seed(self.seed, group, sample))
            for index, group in groups
            for sample in range(self.k)
        ]

    def protocol(self) -> dict[str, Any]:
        """Everything that the numbers depend on, as JSON."""
        suite, arms = self.open_suite(), self.arms()
        others = {arm.label: given for arm in arms if (given := delegates(arm))}
        return {
            **encode(self),
            "prompt_sha256": self._prompt_hashes(arms, others, suite[0]),
            **self._judge_prompt(),
            "suite_name": suite.name,
            "suite_version": suite.version,
            **({"suite_revision": suite.revision} if suite.revision else {}),
            "licence": suite.licence,
            **({"measure": suite.measure} if suite.measure else {}),
            "items": len(suite),
            "arms": {arm.label: encode(arm.env) for arm in arms},
            **({"delegates": delegates_protocol(others)} if others else {}),
            "warnings": [*suite.warnings, *self._unjudged(suite)],
            "packages": packages(*(name for a in arms for one in _policy_classes(a.policy) for name in one.packages)),
        }

    def _unjudged(self, suite: Suite) -> list[str]:
        """That a suite is scored by rules where published numbers are not."""
        rules = not self._of_judge("blocks", False)
        return [f"{suite.name} is scored by rules: {suite.wants_judge}"] if suite.wants_judge and rules else []

    def _judge_prompt(self) -> dict[str, str]:
        """The hash of what a judge asks its model, where it has one."""
        found = self._of_judge("prompt_sha256", "")
        return {"judge_prompt_sha256": found} if found else {}

    def _of_judge(self, attribute: str, default: Any) -> Any:
        """What the judge's class says of itself; nothing is opened."""
        return getattr(JUDGES[parse_spec(self.judge)[0]], attribute, default) if self.judge else default

    def _prompt_hashes(
        self, arms: Sequence[Arm], others: Mapping[str, Mapping[str, Arm]], task: Task
    ) -> dict[str, str]:
        """The hash of each dialect's prompt; that of searchers is about a region."""
        found = {spec: _prompt_hash(self.open_dialect(spec), task) for spec in sorted({arm.dialect for arm in arms})}
        region = Task(task.id, task.sources, "", kind="box")
        spoken = {arm.dialect for given in others.values() for arm in given.values()}
        return found | {f"{spec} (delegate)": _prompt_hash(make_dialect(spec), region) for spec in sorted(spoken)}


def run(
    bench: Bench,
    out: Path,
    *,
    in_flight: int = 16,
    progress: BenchProgress | None = None,
    shard: tuple[int, int] = (1, 1),
    workers: Callable[[Bench, Sequence[Arm], Mapping[str, Any], int], Workers] = LocalWorkers,
) -> Report:
    """Run what is not stored in `out` yet, then settle and report the whole.

    Args:
        bench: what to run.
        out: the run folder; only this process writes it.
        in_flight: episodes alive at once.
        progress: see `BenchProgress`.
        shard: which part of the tasks, and of how many, counted from 1; `merge_and_report` puts the parts of several machines
            together.
        workers: where the episodes happen.

    Raises:
        ValueError, TypeError: the arguments do not fit; before any episode starts.
        RunError: `out` holds another run, is being written, or cannot be written.
    """
    arms, jobs, protocol = bench.arms(), _part(bench.jobs(), *shard), bench.protocol()
    judge = make_judge(bench.judge) if bench.judge else None
    for arm in arms:  # a bad argument must not wait for the arms before it
        for one in (arm, *delegates(arm).values()):
            VisualSearchEnv(**one.env).close()
    with workers(bench, arms, protocol, in_flight) as place, RunStore(out, protocol) as store:
        stored, done = store.done(), Counter(key[0] for key in store.done())

        def keep(trajectory: Trajectory) -> None:
            store.append(trajectory)
            done[trajectory.arm] += 1
            if progress is not None:
                progress(trajectory.arm, done[trajectory.arm], len(jobs))

        with AsyncJudge(REWARDS[bench.reward], judge, keep) as settling:
            for trajectory in place.run(_left(block, stored) for block in _plan(arms, jobs, place.block)):
                settling.put(trajectory)
    return report(out)


def _left(block: JobBlock, stored: set[EpisodeKey]) -> JobBlock:
    """A block without what is stored."""
    label = block.arm.label
    return replace(block, jobs=[j for j in block.jobs if (label, j.group, j.sample, "main") not in stored])


def _part(jobs: Sequence[Job], number: int, of: int) -> list[Job]:
    """Every so many-th task with all its samples."""
    if not 1 <= number <= of:
        raise ValueError(f"shard: expected a number from 1 to {of}, got {number}/{of}")
    tasks = set(list(dict.fromkeys(job.group for job in jobs))[number - 1 :: of])
    return [job for job in jobs if job.group in tasks]


def merge_and_report(folders: Sequence[str | Path], out: Path) -> Report:
    """Put the episodes of several runs with equal protocols into one folder, and report the whole."""
    store_merge(folders, out)
    return report(out)


def _plan(arms: Sequence[Arm], jobs: Sequence[Job], size_of: Callable[[int, bool], int]) -> Iterator[JobBlock]:
    """Which arm runs which jobs, in order.

    Models run one after the other, since two may not fit into memory. Scripted arms take turns, a block of jobs each,
    so that a picture is made once for all of them, and once more for the page, which reads episodes as they were
    stored.
    """
    for scripted, some in itertools.groupby(
        arms, lambda arm: all(one.privileged for one in _policy_classes(arm.policy))
    ):
        turns = list(some)
        size = max(1, size_of(len(jobs), scripted))
        starts = range(0, max(1, len(jobs)), size)
        pairs = itertools.product(starts, turns) if scripted else ((at, arm) for arm in turns for at in starts)
        yield from (JobBlock(arm, jobs[at : at + size], at + size >= len(jobs)) for at, arm in pairs)


def report(out: Path) -> Report:
    """Write report.json, report.md and the pictures of a stored run."""
    stored = open_run(out)
    return write_report(out, settled(stored), stored.protocol, stored.protocol["turns"])


def settled(stored: Run) -> Iterator[Trajectory]:
    """The episodes of a run with all their terms: those of group scope need the siblings, so they are settled here."""
    return _with_siblings(stored) if _compares(stored) else stored.records()


def page(out: Path, *, embed: bool = False, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write the HTML page of a stored run; see `o3gym.runs.viewer.write_viewer`."""
    stored = open_run(out)
    episodes = list(_with_siblings(stored)) if _compares(stored) else None
    return write_viewer(out, embed=embed, episodes=episodes, progress=progress)


def _compares(stored: Run) -> bool:
    recipe: RewardRecipe = REWARDS[stored.protocol.get("reward", "outcome")]
    return any(term.scope == "group" for term in recipe.terms)


def _with_siblings(stored: Run) -> Iterator[Trajectory]:
    for group in settle(collect(stored), REWARDS[stored.protocol["reward"]]):
        yield from group


def packages(*more: str) -> dict[str, str]:
    """Versions of what the numbers may depend on: those that are always there, and of `more` those that are."""
    versions = {"python": platform.python_version()}
    for name in ("o3gym", "gymnasium", "numpy", "pillow", *more):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _policy_class(spec: str) -> type[Policy]:
    """The class behind a policy's spec; its attributes are known before it is made."""
    found: type[Policy] = POLICIES[parse_spec(spec)[0]]
    return found


def _policy_classes(spec: str) -> list[type[Policy]]:
    """The classes of the policies that reply, one or two."""
    return [_policy_class(one) for one in agents(spec)]


def _is_remote(spec: str) -> bool:
    return any(parse_spec(one)[0] == "openai" for one in agents(split_control(spec)[0]))


def _prompt_hash(dialect: Dialect, task: Task) -> str:
    tools = {name: TOOLS[name]() for name in dialect.tools if name in TOOLS}
    return hashlib.sha256(dialect.system(tools, task).encode()).hexdigest()


def _check_argument(key: str) -> None:
    known = [name for name in VisualSearchEnv.__init__.__annotations__ if name not in (*FIXED, "return")]
    if key not in known:
        raise UnknownName(
            f'unknown argument "{key}" of the environment{closest(key, known)} (known: {", ".join(known)})'
        )


def expressible(tools: Sequence[str] | None, dialect: Dialect, suite: Suite) -> list[str]:
    """The tools to enable: those asked for, or the default ones that the dialect can express."""
    if tools is not None:
        for name in tools:
            if name not in dialect.tools:
                known = ", ".join(dialect.tools)
                raise ValueError(f'dialect {dialect.name} cannot express the tool "{name}" (it has: {known})')
        return list(tools)
    default = default_tools(suite)
    for name in default:
        if TOOLS[name].ends and name not in dialect.tools:
            raise ValueError(
                f"dialect {dialect.name} cannot express {name}, which tasks of suite {suite.name} end with; "
                f"choose tasks of another kind or another dialect"
            )
    return [name for name in default if name in dialect.tools]


def _short(value: Any) -> str:
    return "+".join(value) if isinstance(value, list) else str(value)
