"""Measures verifiers: plants errors into right chains, counts how many each verifier finds, and how often it errs."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from o3gym.codec import encode
from o3gym.dialects.base import make_dialect
from o3gym.rewards.settle import settle
from o3gym.rollout.performing import Script, arm_of, perform
from o3gym.rollout.records import derive_seed
from o3gym.runs.intervals import wilson
from o3gym.runs.store import RunStore
from o3gym.synthesis.traces.planting import PLANTED, astray
from o3gym.synthesis.traces.seeing import looks_of
from o3gym.synthesis.traces.verifying import Finding, Verifier
from o3gym.types import EpisodeKey, Trajectory

UNTOUCHED = "untouched"
"""The arm of the chains without errors in the run of the planted ones."""
ANY = "any of them"
"""The column for chains that at least one verifier flags."""


class PlantedError(NamedTuple):
    """An error that is planned.

    Attributes:
        kind: its kind, a key of `PLANTED`.
        chain: the right chain.
        script: the chain with the error.
    """

    kind: str
    chain: Trajectory
    script: Script


@dataclass
class PlantingTally:
    """What became of the chains of a run.

    Attributes:
        left_out: episodes that are no right chains, by reason.
        no_place: chains without a place for an error, by kind.
        astray: errors that did not come about as planned, by kind and reason.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    no_place: Counter[str] = field(default_factory=Counter)
    astray: dict[str, Counter[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Caught:
    """How many of some chains a verifier flags.

    Attributes:
        found: chains that it flags.
        of: chains that it could tell about.
        failed: chains that it could not tell about.
        already: chains with an error that are left out, because the verifier flags them without the error, too.
    """

    found: int
    of: int
    failed: int = 0
    already: int = 0

    @property
    def share(self) -> float | None:
        """The share of flagged chains."""
        return self.found / self.of if self.of else None

    def to_json(self) -> dict[str, Any]:
        """The numbers, with the share and its 95% interval (Wilson)."""
        low, high = wilson(self.found, self.of) if self.of else (None, None)
        counts = {"found": self.found, "of": self.of, "failed": self.failed, "already_flagged": self.already}
        return {**counts, "share": self.share, "low": low, "high": high}


def right_chains(trajectories: Iterable[Trajectory], tally: PlantingTally) -> list[Trajectory]:
    """Returns the right chains with at least one look, in the order of the suite; all others are counted."""
    kept: list[Trajectory] = []
    for trajectory in trajectories:
        reason = "" if trajectory.right else "no verdict" if trajectory.right is None else "wrong"
        reason = reason or ("" if looks_of(trajectory) else "no look")
        tally.left_out.update([reason] if reason else [])
        kept += [] if reason else [trajectory]
    return sorted(kept, key=lambda one: (one.task.origin.get("index", 0), one.task.id, one.group, one.sample))


def planned_errors(
    chains: Iterable[Trajectory], kinds: Sequence[str], seed: int, tally: PlantingTally
) -> Iterator[PlantedError]:
    """Yields one error of each kind per chain that has a place for it."""
    for chain in chains:
        for kind in kinds:
            rng = np.random.default_rng(derive_seed(seed, *chain.key, kind))
            script = PLANTED[kind](chain, rng)
            if script is None:
                tally.no_place[kind] += 1
            else:
                yield PlantedError(kind, chain, script)


def plant(
    errors: Sequence[PlantedError],
    store: RunStore,
    tally: PlantingTally,
    progress: Callable[[int], None] = lambda done: None,
    in_flight: int = 16,
) -> None:
    """Performs planned errors and stores those that came about as planned. Stored ones are not performed again.

    Args:
        errors: errors in chains of one arm; those of one chain lie together, so that its picture is made once.
        store: an open run; the arm of a chain is the kind of its error.
        tally: counts what went astray.
        progress: called with the number of chains that are done.
        in_flight: number of episodes that run at the same time.
    """
    missing = [error for error in errors if _key(error) not in store.stored()]
    done = len(errors) - len(missing)
    progress(done)
    for error, performed in _performed(missing, in_flight):
        chain = _settled(error, performed)
        if reason := astray(error.kind, error.script, chain):
            tally.astray.setdefault(error.kind, Counter())[reason] += 1
        else:
            store.append(replace(chain, arm=error.kind, sample=error.chain.sample))
        done += 1
        progress(done)


def store_untouched(chains: Iterable[Trajectory], store: RunStore) -> None:
    """Stores right chains as an arm of their own, so that a page shows them beside the chains with errors."""
    for chain in chains:
        if (UNTOUCHED, chain.group, chain.sample, chain.agent) not in store.stored():
            store.append(replace(chain, arm=UNTOUCHED))


def planted_protocol(
    protocol: Mapping[str, Any], chains: Sequence[Trajectory], kinds: Sequence[str], seed: int
) -> dict[str, Any]:
    """Returns the protocol of the run of planted chains: that of the right ones, with the kinds as arms.

    A hash of the chains is part of it, because another arm or another start may have as many chains of the same tasks.
    """
    env = encode(chains[0].env) if chains else {}
    keys = [(*chain.key, *(turn.reply.text for turn in chain.turns)) for chain in chains]
    digest = hashlib.sha256(json.dumps(keys).encode()).hexdigest()
    made = {"planted": list(kinds), "seed": seed, "chains": len(chains), "chains_sha256": digest}
    return {**protocol, "arms": dict.fromkeys([UNTOUCHED, *kinds], env), "synthesis": made}


@dataclass(frozen=True)
class Measurement:
    """What verifiers say of right chains, and of the same chains with errors.

    Attributes:
        chains: the right chains.
        planted: chains with errors; the arm is the kind of the error.
        findings: by verifier, one finding per right chain, then one per chain with an error.
    """

    chains: Sequence[Trajectory]
    planted: Sequence[Trajectory]
    findings: Mapping[str, Sequence[Finding]]

    def table(self) -> dict[str, dict[str, Caught]]:
        """Returns by kind of error, and first under `UNTOUCHED`, how many chains each verifier flags.

        A chain with an error counts for a verifier only if the verifier passes the chain without the error.
        """
        columns = {**self.findings, ANY: [_any(rows) for rows in zip(*self.findings.values(), strict=True)]}
        kinds = [kind for kind in PLANTED if any(chain.arm == kind for chain in self.planted)]
        untouched = {name: _caught(rows[: len(self.chains)]) for name, rows in columns.items()}
        return {UNTOUCHED: untouched} | {
            kind: {name: _caught(*self._pairs(kind, rows)) for name, rows in columns.items()} for kind in kinds
        }

    def flagged(self) -> dict[str, list[dict[str, Any]]]:
        """Returns by verifier the right chains that it flags, or fails to judge, so that a person can look at them."""
        return {
            name: [
                {"group": chain.group, "sample": chain.sample, **finding._asdict()}
                for chain, finding in zip(self.chains, rows, strict=False)
                if not finding.passed
            ]
            for name, rows in self.findings.items()
        }

    def missed(self) -> dict[str, list[dict[str, Any]]]:
        """Returns by kind the chains with errors that no verifier flags."""
        rows = [_any(row) for row in zip(*self.findings.values(), strict=True)][len(self.chains) :]
        found: dict[str, list[dict[str, Any]]] = {}
        for chain, finding in zip(self.planted, rows, strict=True):
            if not finding.flaw:
                found.setdefault(chain.arm, []).append({"group": chain.group, "sample": chain.sample})
        return found

    def _pairs(self, kind: str, rows: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
        """The findings on the chains with an error of one kind, and those on the same chains without it."""
        before = {_place(chain): at for at, chain in enumerate(self.chains)}
        places = [at for at, chain in enumerate(self.planted) if chain.arm == kind]
        now = [rows[len(self.chains) + at] for at in places]
        return now, [rows[before[_place(self.planted[at])]] for at in places]


def measured(chains: Sequence[Trajectory], planted: Sequence[Trajectory], verifiers: Sequence[Verifier]) -> Measurement:
    """Has every verifier judge all chains."""
    findings = {each.name: each.verify([*chains, *planted]) for each in verifiers}
    return Measurement(chains, planted, findings)


def _place(chain: Trajectory) -> tuple[str, int]:
    return (chain.group, chain.sample)


def _key(error: PlantedError) -> EpisodeKey:
    return (error.kind, error.chain.group, error.chain.sample, error.chain.agent)


def _performed(errors: Sequence[PlantedError], in_flight: int) -> Iterator[tuple[PlantedError, Trajectory]]:
    """Performs errors; the sample tells them apart meanwhile."""
    scripts = (replace(error.script, sample=number) for number, error in enumerate(errors))
    if errors:
        chain = errors[0].chain
        for performed in perform(scripts, arm_of(chain), make_dialect(chain.dialect), in_flight):
            yield errors[performed.sample], performed


def _settled(error: PlantedError, performed: Trajectory) -> Trajectory:
    """The chain with a verdict: that of the right chain for the same answer, which a model may have judged."""
    chain = error.chain
    if performed.stop == chain.stop and (performed.answer, performed.located) == (chain.answer, chain.located):
        performed = replace(performed, verdict=chain.verdict, score=chain.score)
    return settle([[performed]], "outcome")[0][0]


def _any(findings: Sequence[Finding]) -> Finding:
    flaw = next((finding.flaw for finding in findings if finding.flaw), "")
    return Finding(flaw, "" if flaw else next((finding.failed for finding in findings if finding.failed), ""))


def _caught(findings: Sequence[Finding], before: Sequence[Finding] = ()) -> Caught:
    pairs = list(zip(findings, before or [Finding()] * len(findings), strict=True))
    already = sum(bool(old.flaw) for _, old in pairs)
    told = [new for new, old in pairs if not old.flaw and not new.failed and not old.failed]
    return Caught(sum(bool(new.flaw) for new in told), len(told), len(pairs) - already - len(told), already)
