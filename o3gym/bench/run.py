"""A benchmark run: plays arms × tasks × samples, stores episodes as they end, settles them and writes the report."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from o3gym.arguments import check_whole
from o3gym.bench.definition import Bench, policy_classes
from o3gym.bench.workers import JobBlock, LocalWorkers, Workers
from o3gym.envs.visual_search import VisualSearchEnv
from o3gym.judges.base import make_judge
from o3gym.registry import REWARDS
from o3gym.rewards.faults import RewardFault, warn_of_faults
from o3gym.rewards.settle import AsyncJudge, settle
from o3gym.rollout.delegation import delegates
from o3gym.rollout.loop import collect
from o3gym.rollout.records import Arm, Job
from o3gym.runs.report import Report, write_report
from o3gym.runs.store import EPISODES, PROTOCOL, Run, RunStore, StoredEpisode, open_run
from o3gym.runs.store import merge_runs as store_merge
from o3gym.runs.viewer import write_viewer
from o3gym.runs.viewer.thumbnails import THUMBS, ThumbnailFolder, copy_thumbnails
from o3gym.types import EpisodeKey, Trajectory

BenchProgress = Callable[[str, int, int], None]
"""Called with (arm, episodes done, total episodes), possibly from another thread, but never concurrently."""


def run(
    bench: Bench,
    out: Path,
    *,
    in_flight: int = 16,
    progress: BenchProgress | None = None,
    shard: tuple[int, int] = (1, 1),
    thumbnails: bool = True,
    retry: bool = True,
    workers: Callable[[Bench, Sequence[Arm], Mapping[str, Any], int], Workers] = LocalWorkers,
) -> Report:
    """Plays the episodes that are not stored in `out` yet, then settles and reports the whole run. Resumable.

    Stored failures are tried again: episodes that stopped with an error are played anew, and those whose judge failed
    are judged anew from the stored replies. What succeeds replaces the failure.

    Args:
        bench: the definition of the run.
        out: the run folder; only this process may write it.
        in_flight: number of episodes in flight.
        progress: see `BenchProgress`.
        shard: (number, count): plays only part `number`, from 1, of the tasks split into `count` parts.
            `merge_and_report` combines the parts.
        thumbnails: whether to write the thumbnails of the HTML page while the pixels are at hand, see `page`. Made
            later, they cost about as much time as the run.
        retry: whether stored failures are tried again.
        workers: builds the workers that play the episodes. Arms without an episode to play do not open their policy.

    Raises:
        ValueError, TypeError: an argument is wrong; raised before any episode starts.
        RunError: `out` holds a different run, is locked by another process, or cannot be written.
    """
    check_whole("in_flight", in_flight, 1)
    arms, jobs, protocol = bench.arms(), _shard_jobs(bench.jobs(), *shard), bench.protocol()
    judge = make_judge(bench.judge) if bench.judge else None
    for arm in arms:  # a wrong argument of a later arm must show now and not hours later
        for one in (arm, *delegates(arm).values()):
            VisualSearchEnv(**one.env).close()
        bench.open_exemplars(arm)
    before = open_run(out).stored() if (out / PROTOCOL).is_file() and (out / EPISODES).is_file() else {}
    playing = [arm for arm in arms if _missing(arm, jobs, _played(before, retry))]
    with ExitStack() as stack:
        players = stack.enter_context(workers(bench, playing, protocol, in_flight)) if playing else None
        store = stack.enter_context(RunStore(out, protocol))
        played = _played(store.stored(), retry)
        failed = {key for key, entry in store.stored().items() if entry.failed}
        done = Counter(key[0] for key in played)

        def keep(trajectory: Trajectory) -> None:
            if trajectory.key in played:  # judged again
                if trajectory.verdict != "failed" and (trajectory.reward is not None or trajectory.key in failed):
                    store.put(trajectory)
                return
            store.put(trajectory)
            done[trajectory.arm] += 1
            if progress is not None:
                progress(trajectory.arm, done[trajectory.arm], len(jobs))

        judging = stack.enter_context(AsyncJudge(REWARDS[bench.reward], judge, keep))
        asks = REWARDS[bench.reward].needs_reasoning_judge
        for trajectory in _unjudged(store, asks) if retry else ():
            judging.put(trajectory)
        if players is not None:
            blocks = (_unplayed(block, played) for block in _plan(playing, jobs, players.block))
            kept = ThumbnailFolder(out / THUMBS, required=False) if thumbnails else None
            for trajectory in players.run(blocks, kept):
                judging.put(trajectory)
    return report(out)


def _played(stored: Mapping[EpisodeKey, StoredEpisode], retry: bool) -> set[EpisodeKey]:
    """The keys of the stored episodes that are not played again."""
    return {key for key, entry in stored.items() if not (retry and entry.stop == "error")}


def _missing(arm: Arm, jobs: Sequence[Job], played: Collection[EpisodeKey]) -> list[Job]:
    return [job for job in jobs if (arm.label, job.group, job.sample, "main") not in played]


def _unplayed(block: JobBlock, played: Collection[EpisodeKey]) -> JobBlock:
    """The block without the jobs whose episodes are stored."""
    return replace(block, jobs=_missing(block.arm, block.jobs, played))


def _unjudged(store: RunStore, asks: bool) -> Iterator[Trajectory]:
    """The stored episodes whose judge failed, as they were before they were judged.

    `asks` says whether the reward asks the judge about reasoning, too. An episode with a verdict but without a reward
    then counts as well.
    """
    ended = {key: entry for key, entry in store.stored().items() if entry.stop != "error"}
    wanted = {key for key, entry in ended.items() if asks or entry.verdict == "failed"}
    for trajectory in store.records(only=wanted):
        if trajectory.verdict == "failed" or trajectory.reward is None:
            yield replace(trajectory, verdict="", score=None, terms={}, reward=None)


def _shard_jobs(jobs: Sequence[Job], number: int, count: int) -> list[Job]:
    """The jobs of shard `number`: every `count`-th task, with all its samples."""
    check_whole("shard: number of parts", count, 1)
    if not 1 <= number <= count:
        raise ValueError(f"shard: expected a number from 1 to {count}, got {number}/{count}")
    tasks = set(list(dict.fromkeys(job.group for job in jobs))[number - 1 :: count])
    return [job for job in jobs if job.group in tasks]


def merge_and_report(folders: Sequence[str | Path], out: Path) -> Report:
    """Merges the episodes of several runs with equal protocols into the folder `out`, and reports the merged run."""
    store_merge(folders, out)
    for folder in folders:
        copy_thumbnails(Path(folder), out)
    return report(out)


def _plan(arms: Sequence[Arm], jobs: Sequence[Job], size_of: Callable[[int, bool], int]) -> Iterator[JobBlock]:
    """The blocks of jobs in the order in which they are played.

    Arms with a model run one after the other, because two models may not fit into memory. Consecutive scripted arms
    take turns, one block each, so that a picture is rendered once for all of them.
    """
    for scripted, members in itertools.groupby(
        arms, lambda arm: all(one.privileged for one in policy_classes(arm.policy))
    ):
        consecutive = list(members)
        size = max(1, size_of(len(jobs), scripted))
        starts = range(0, max(1, len(jobs)), size)
        by_block = itertools.product(starts, consecutive)
        pairs = by_block if scripted else ((at, arm) for arm in consecutive for at in starts)
        yield from (JobBlock(arm, jobs[at : at + size], at + size >= len(jobs)) for at, arm in pairs)


def report(out: Path) -> Report:
    """Writes report.json, report.md and the charts of a stored run."""
    stored, faults = open_run(out), list[RewardFault]()
    made = write_report(out, settled(stored, faults), stored.protocol, stored.protocol["turns"])
    warn_of_faults([fault for fault in faults if fault.group or fault.total])  # the others were logged while playing
    return made


def settled(stored: Run, faults: list[RewardFault] | None = None) -> Iterator[Trajectory]:
    """The episodes of a run with all reward terms; group terms, which need all samples of a task, are computed here.

    What cannot be computed is appended to `faults`, and never logged.
    """
    needed = REWARDS[stored.protocol.get("reward", "outcome")].needs_siblings
    return _with_siblings(stored, [] if faults is None else faults) if needed else stored.records()


def page(out: Path, *, embed: bool = False, progress: Callable[[int, int], None] | None = None) -> Path:
    """Writes the HTML page of a stored run, see `o3gym.runs.viewer.write_viewer`."""
    stored = open_run(out)
    return write_viewer(out, embed=embed, episodes=partial(settled, stored), progress=progress)


def _with_siblings(stored: Run, faults: list[RewardFault]) -> Iterator[Trajectory]:
    """Yields settled groups, each as soon as all its samples have been read, so that a long run is never in memory."""
    protocol, groups = stored.protocol, dict[tuple[str, str], list[Trajectory]]()
    for trajectory in stored.records():
        group = groups.setdefault((trajectory.arm, trajectory.group), [])
        group.append(trajectory)
        if len(group) == protocol.get("k"):
            yield from _settled_group(groups.pop((trajectory.arm, trajectory.group)), protocol["reward"], faults)
    for group in groups.values():
        yield from _settled_group(group, protocol["reward"], faults)


def _settled_group(group: list[Trajectory], reward: str, faults: list[RewardFault]) -> list[Trajectory]:
    return settle(collect(group), REWARDS[reward], faults=faults)[0]
