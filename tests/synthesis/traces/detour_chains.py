"""Right chains of `detour` on small synthetic pictures, played once per dialect, and runs of them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from o3gym.bench.definition import Bench
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.performing import Script, arm_of, perform
from o3gym.rollout.records import Arm, Job, derive_seed
from o3gym.runs.store import RunStore
from o3gym.suites.base import make_suite
from o3gym.synthesis.traces.planting import PLANTED
from o3gym.types import Trajectory

SUITE = "synthetic?difficulty=easy&pixels=40000"


@functools.cache
def right(dialect: str, count: int = 10, suite: str = SUITE) -> tuple[Trajectory, ...]:
    """Right chains of a dialect, on tasks of all families."""
    tools = ["crop", "reuse", "answer", "locate"] if dialect == "simple_o3" else ["crop", "answer", "locate"]
    env = {"suite": suite, "max_pixels": 9216, "min_pixels": 1024, "max_turns": 6, "tools": tools}
    tasks = make_suite(suite)
    jobs = [Job(tasks[index], tasks[index].id, 0, derive_seed(5, index)) for index in range(count)]
    arm = Arm("detour", env, "detour", dialect)
    played = list(rollout(jobs, make_policy("detour"), make_dialect(dialect), arm))
    chains = [chain for (chain,) in settle([[one] for one in played], "outcome")]
    assert all(chain.right for chain in chains)
    return tuple(sorted(chains, key=lambda chain: chain.group))


@functools.cache
def planted(kind: str, dialect: str, seed: int = 0) -> tuple[tuple[Trajectory, Script, Trajectory], ...]:
    """Every chain that has a place for an error, with the script of the error and what became of it."""
    rngs = {chain.group: np.random.default_rng(derive_seed(seed, chain.group)) for chain in right(dialect)}
    scripts = {chain.group: PLANTED[kind](chain, rngs[chain.group]) for chain in right(dialect)}
    given = [script for script in scripts.values() if script is not None]
    performed = perform(given, arm_of(right(dialect)[0]), make_dialect(dialect))
    made = {each.group: settle([[each]], "outcome")[0][0] for each in performed}
    before = {chain.group: chain for chain in right(dialect)}
    return tuple((before[script.group], script, made[script.group]) for script in given)


def stored(folder: Path, chains: Iterable[Trajectory]) -> Path:
    """A run folder of chains."""
    bench = Bench(suite=SUITE, policies=("detour",), dialect="simple_o3", episodes=2, env={"max_pixels": 9216})
    with RunStore(folder, bench.protocol()) as store:
        for chain in chains:
            store.append(chain)
    return folder
