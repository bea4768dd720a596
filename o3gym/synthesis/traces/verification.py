"""Verifies the verifiers: plants errors into the right chains of a run, has them all judged, and writes a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from o3gym.append_log import write_whole
from o3gym.registry import closest
from o3gym.runs.store import Run, RunError, RunStore, open_run
from o3gym.synthesis.asking import AskedPolicy, ReplyLedger
from o3gym.synthesis.journal import Journal
from o3gym.synthesis.traces.judging import (
    ANSWER_RUBRIC,
    TOOL_RUBRIC,
    AnswerJudge,
    AskingVerifier,
    WordsJudge,
    judging_price,
    rubric_hash,
)
from o3gym.synthesis.traces.measuring import (
    Measurement,
    PlantedError,
    PlantingTally,
    measured,
    planned_errors,
    plant,
    planted_protocol,
    right_chains,
    store_untouched,
)
from o3gym.synthesis.traces.planting import PLANTED
from o3gym.synthesis.traces.pricing import Price
from o3gym.synthesis.traces.verifying import RULES
from o3gym.synthesis.traces.writing import REPORT, check_folders
from o3gym.types import Trajectory

PLANTED_RUN, JUDGE_REPLIES = "planted", "judge.jsonl"
"""The run of the chains with errors, and the replies of the judge, in the folder of the command."""


@dataclass(frozen=True)
class VerificationRecipe:
    """What is planted into which chains, and who judges.

    Attributes:
        kinds: kinds of errors, keys of `PLANTED`.
        count: number of right chains; 0 for all.
        arm: arm of the run; "" if it has only one.
        seed: seed of the errors.
        judge: the model that is measured besides the rules, or None.
        tool_rubric, answer_rubric: its prompts.
        in_flight: number of episodes that run at the same time.

    Raises:
        ValueError: a kind is unknown, or given twice.
    """

    kinds: Sequence[str] = tuple(PLANTED)
    count: int = 0
    arm: str = ""
    seed: int = 0
    judge: AskedPolicy | None = None
    tool_rubric: str = TOOL_RUBRIC
    answer_rubric: str = ANSWER_RUBRIC
    in_flight: int = 16

    def __post_init__(self) -> None:
        for kind in self.kinds:
            if kind not in PLANTED:
                near = closest(kind, PLANTED)
                raise ValueError(f'kind: expected one of {", ".join(PLANTED)}; got "{kind}"{near}')
        if len(set(self.kinds)) < len(self.kinds):
            raise ValueError(f"kind: each one once, got {', '.join(self.kinds)}")

    def judges(self, ledger: ReplyLedger) -> list[AskingVerifier]:
        """Returns the verifiers that ask the judge."""
        if self.judge is None:
            return []
        return [WordsJudge(self.judge, ledger, self.tool_rubric), AnswerJudge(self.judge, ledger, self.answer_rubric)]

    def described(self) -> dict[str, Any]:
        """Returns the judge and its prompts for the report."""
        if self.judge is None:
            return {}
        hashes = {"tool_rubric": rubric_hash(self.tool_rubric), "answer_rubric": rubric_hash(self.answer_rubric)}
        return {"policy": self.judge.spec, "max_pixels": self.judge.max_pixels, "sha256": hashes}


@dataclass
class VerificationPlan:
    """The right chains of a run, and the errors that are planted into them."""

    run: Run
    chains: Sequence[Trajectory]
    errors: Sequence[PlantedError]
    tally: PlantingTally = field(default_factory=PlantingTally)

    @property
    def counts(self) -> Counter[str]:
        """The number of errors by kind."""
        return Counter(error.kind for error in self.errors)


def plan_verification(run: Path, recipe: VerificationRecipe) -> VerificationPlan:
    """Reads a run and plans all errors; nothing is performed or asked.

    Raises:
        RunError: the folder is no run, or has no right episode with a look.
        ValueError: the run has several arms and none is named, or not the one that is.
    """
    stored, tally = open_run(run), PlantingTally()
    arms = sorted({key[0] for key in stored.done()})
    if (recipe.arm or len(arms) > 1) and recipe.arm not in arms:
        near = closest(recipe.arm, arms) if recipe.arm else "; the run has several, so name one"
        raise ValueError(f'arm: expected one of {", ".join(arms)}; got "{recipe.arm}"{near}')
    episodes = (one for one in stored if one.arm == (recipe.arm or one.arm))
    chains = right_chains(episodes, tally)[: recipe.count or None]
    if not chains:
        raise RunError(f"{run} has no right episode with a look; left out: {dict(tally.left_out)}")
    return VerificationPlan(stored, chains, list(planned_errors(chains, recipe.kinds, recipe.seed, tally)), tally)


def verification_price(plan: VerificationPlan, recipe: VerificationRecipe, ledger: ReplyLedger) -> tuple[Price, Price]:
    """Returns what the judge costs, as (expected, at most). A chain with an error costs as much as the right one."""
    chains = [*plan.chains, *(error.chain for error in plan.errors)]
    return judging_price(recipe.judges(ledger), chains)


def verify_run(
    plan: VerificationPlan,
    recipe: VerificationRecipe,
    out: Path,
    progress: Callable[[str, int, int], None] = lambda name, done, total: None,
    *,
    retry: bool = False,
) -> dict[str, Any]:
    """Performs the errors, has all verifiers judge all chains, and returns the report, which is also written.

    Resumable: chains and replies that are stored in the folder are used as they are.

    Args:
        plan: the chains and the errors.
        recipe: what the plan was made with.
        out: the folder.
        progress: called with a name and the numbers of what is done and of all.
        retry: whether the judge is asked again where its server failed before.
    """
    check_folders(plan.run.path, out)
    protocol = planted_protocol(plan.run.protocol, plan.chains, recipe.kinds, recipe.seed)
    with ExitStack() as stack:
        store = stack.enter_context(RunStore(out / PLANTED_RUN, protocol))
        store_untouched(plan.chains, store)
        total = len(plan.errors)
        plant(plan.errors, store, plan.tally, lambda done: progress("planting", done, total), recipe.in_flight)
        planted = [chain for chain in store if chain.arm in recipe.kinds]
        judges: Sequence[AskingVerifier] = ()
        if recipe.judge is not None:
            ledger = ReplyLedger(stack.enter_context(Journal(out / JUDGE_REPLIES)), retry=retry)
            judges = recipe.judges(ledger)
        for judge in judges:
            judge.progress = progress
        measurement = measured(plan.chains, planted, [*(make() for make in RULES.values()), *judges])
    report = _report(measurement, plan, recipe)
    write_whole(out / REPORT, (json.dumps(report, indent=1, ensure_ascii=False) + "\n").encode())
    return report


def _report(measurement: Measurement, plan: VerificationPlan, recipe: VerificationRecipe) -> dict[str, Any]:
    table = {
        kind: {name: caught.to_json() for name, caught in row.items()} for kind, row in measurement.table().items()
    }
    planted = Counter(chain.arm for chain in measurement.planted)
    return {
        "run": str(plan.run.path),
        "seed": recipe.seed,
        "dialect": plan.chains[0].dialect,
        "chains": len(plan.chains),
        "left_out": dict(plan.tally.left_out),
        "planted": {kind: planted[kind] for kind in recipe.kinds},
        "no_place": dict(plan.tally.no_place),
        "astray": {kind: dict(reasons) for kind, reasons in plan.tally.astray.items()},
        "judge": recipe.described(),
        "table": table,
        "flagged": measurement.flagged(),
        "missed": measurement.missed(),
    }
