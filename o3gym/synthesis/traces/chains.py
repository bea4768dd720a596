"""Makes chains that observe, reason and act: a teacher plays, two verifications follow, and what passes is written.

This follows the synthesis of Simple-o3's TWI-Tools-146K (arXiv 2508.12109): a teacher's chains in three tools, checked
for whether each call does what the words say and whether the answer is right, and flattened to a single turn. Its
prompts, thresholds and data were not released, so the prompt and the rules are ours.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from o3gym.append_log import write_whole
from o3gym.bench.definition import Bench, policy_classes
from o3gym.bench.run import run, settled
from o3gym.codec import encode
from o3gym.dialects.base import make_dialect
from o3gym.runs.report import Report
from o3gym.runs.store import open_run
from o3gym.synthesis.asking import AskedPolicy, ReplyLedger
from o3gym.synthesis.files import write_rows
from o3gym.synthesis.journal import Journal
from o3gym.synthesis.traces.chain_prompt import chain_prompt
from o3gym.synthesis.traces.demonstrations import TEACHER_RUN, in_task_order, without_token_ids
from o3gym.synthesis.traces.diversity import Diversity, diversity
from o3gym.synthesis.traces.judging import TOOL_RUBRIC, VERDICT_TOKENS, WordsJudge, read_verdict, rubric_hash
from o3gym.synthesis.traces.pricing import Price, picture_tokens, price, text_tokens
from o3gym.synthesis.traces.seeing import looks_of
from o3gym.synthesis.traces.sieve import Sieve, sift
from o3gym.synthesis.traces.verifying import AnswerAgainstTruth, Finding, ToolAgainstWords, Verifier, untold
from o3gym.synthesis.traces.writing import REPORT, DataSet
from o3gym.train.data.demonstrations import dialogue_of
from o3gym.train.data.observed import in_one_turn
from o3gym.train.data.sharegpt import export_sharegpt
from o3gym.train.data.sources import BadDemonstration, RunSource
from o3gym.types import Reply, Trajectory

CHAIN_DIALECT, OBSERVED = "simple_o3", "observation"
"""The dialect of chains, and the tag between which it shows what a call brought."""
CHAIN_STAND_IN = "observer"
"""The policy that plays in place of a model when a run is priced."""
FLAT, LEFT_OUT, STEP_REPLIES, CHAIN_PROMPT = "chains.json", "left_out.jsonl", "steps.jsonl", "prompt.txt"
"""Files of the command: the chains as single turns, the episodes that are no chains with the reasons, the replies of
the judge of steps, and the teacher's prompt."""
DUPLICATE = "a duplicate, or more of a task than wanted"
"""The reason for which a verified chain is left out."""
QUESTION_TOKENS = 120
"""Tokens of a question, of the words before a look and of the name of its call, in the price of a judge (ours)."""
Telling = Callable[[str, int, int], None]
"""Called with a name, the number of what is done, and the number of all."""


@dataclass(frozen=True)
class ChainRecipe:
    """How chains are made.

    Attributes:
        bench: the tasks and the teacher, which is one policy in the dialect `CHAIN_DIALECT`.
        sieve: the form of chains that are kept.
        judge: a model that is asked about the looks whose words the rules cannot compare with the region; or None.
        rubric: its prompt.

    Raises:
        ValueError: there are several teachers, another dialect, or videos.
    """

    bench: Bench
    sieve: Sieve = field(default_factory=Sieve)
    judge: AskedPolicy | None = None
    rubric: str = TOOL_RUBRIC

    def __post_init__(self) -> None:
        if self.bench.dialect.partition("?")[0] != CHAIN_DIALECT:
            raise ValueError(f"dialect: chains are written in {CHAIN_DIALECT}, got {self.bench.dialect or 'none'}")
        if len(self.bench.policies) > 1:
            raise ValueError(f"policy: expected one teacher, got {', '.join(self.bench.policies)}")
        if self.bench.open_suite().has_videos:
            raise ValueError(f"suite: chains are about pictures, but {self.bench.suite} has videos")

    def made(self) -> dict[str, Any]:
        """How the data set was made, for the protocol of its run."""
        judge = {"judge": self.judge.spec, "rubric_sha256": rubric_hash(self.rubric)} if self.judge else {}
        prompt = Path(self.bench.prompt_file).read_bytes() if self.bench.prompt_file else b""
        digest = {"teacher_prompt_sha256": hashlib.sha256(prompt).hexdigest()} if prompt else {}
        return {"command": "chains", "sieve": encode(self.sieve), **judge, **digest}


@dataclass
class ChainReport:
    """What became of a teacher's episodes. Every episode is kept, rejected or open.

    Attributes:
        bench: the report of the teacher's run.
        played: number of episodes.
        kept: number of chains in the data set.
        rejected: numbers of rejected episodes by what rejected them: a verification, or a rule about their form.
        open: numbers of episodes that nothing could be told about, because a server or a judge failed, by what failed.
            The same command asks again.
        looks, untold: numbers of looks of the kept chains, and of those among them that no verifier could compare with
            the words before them.
        diversity: of the kept chains.
        left_out: a row for each of the other episodes: its task, group and sample, what left it out, and why.
    """

    bench: Report
    played: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    open: Counter[str] = field(default_factory=Counter)
    looks: int = 0
    untold: int = 0
    diversity: Diversity = field(default_factory=Diversity)
    left_out: list[dict[str, Any]] = field(default_factory=list)

    def leave_out(self, trajectory: Trajectory, by: str, finding: Finding) -> None:
        """Counts an episode that is no chain, and notes why."""
        kind = "rejected" if finding.flaw else "open"
        (self.rejected if finding.flaw else self.open)[by] += 1
        key = {"task": trajectory.task.id, "group": trajectory.group, "sample": trajectory.sample}
        self.left_out.append({**key, kind: by, "reason": (finding.flaw or finding.failed)[:500]})

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; nothing in it depends on when or in how many pieces the run was played."""
        counts = {name: getattr(self, name) for name in ("played", "kept", "looks", "untold")}
        reasons = {name: dict(sorted(getattr(self, name).items())) for name in ("rejected", "open")}
        return {**counts, **reasons, "diversity": self.diversity.to_json()}


class VerdictLedger(ReplyLedger):
    """A ledger in which replies without a verdict of a `WordsJudge` count as missing, so that they are asked again."""

    def get(self, key: str) -> Reply | None:
        """Returns the stored reply, or None if there is none, or one without a verdict from an earlier process."""
        reply = super().get(key)
        told = reply is None or key in self._fresh or not read_verdict(reply, *WordsJudge.verdicts).failed
        return reply if told else None


def teacher_prompt(bench: Bench, out: Path) -> Bench:
    """Writes our prompt for the tools, the `focus` and the tasks of a run into a folder. Returns the run with it."""
    tools = bench.arms()[0].env["tools"]
    text = chain_prompt(tools, str(bench.env.get("focus", "crop")), bench.open_suite().kinds)
    path = out / CHAIN_PROMPT
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
    return replace(bench, prompt_file=str(path))


def make_chains(recipe: ChainRecipe, out: Path, progress: Telling | None = None, in_flight: int = 16) -> ChainReport:
    """Plays the teacher's episodes, verifies them, and writes the chains and the report. Resumable.

    The teacher's run and the judge's replies are resumed, and what failed is asked again; everything else follows from
    them and is written anew.

    Args:
        recipe: how chains are made.
        out: the folder: the run in `run`, the data set (see `DataSet`), `chains.json`, `left_out.jsonl`, `report.json`.
        progress: see `Telling`.
        in_flight: maximum number of running episodes.
    """
    report = ChainReport(run(recipe.bench, out / TEACHER_RUN, progress=progress, in_flight=in_flight))
    stored = open_run(out / TEACHER_RUN)
    chains = _well_formed(in_task_order(settled(stored)), recipe.sieve, report)
    with ExitStack() as stack:
        verifiers: list[Verifier] = [ToolAgainstWords()]
        if recipe.judge is not None:
            ledger = VerdictLedger(stack.enter_context(Journal(out / STEP_REPLIES)), retry=True)
            judge = WordsJudge(recipe.judge, ledger, recipe.rubric, progress or (lambda *_: None), only_untold=True)
            verifiers.append(judge)
        for verifier in verifiers:
            chains = _verified(chains, verifier, report)
    kept = _distinct(chains, recipe.sieve, report)
    # A student plays with the prompt of the dialect, and so must what it learns from.
    protocol = {**stored.protocol, "prompt_file": ""}
    report.kept = DataSet(out).write(map(without_token_ids, kept), protocol, recipe.made())
    _write_flat(out, report.kept)
    report.diversity = diversity(kept)
    report.looks = sum(len(looks_of(chain)) for chain in kept)
    report.untold = 0 if recipe.judge else sum(len(untold(chain)) for chain in kept)
    write_rows(out / LEFT_OUT, report.left_out)
    write_whole(out / REPORT, (json.dumps(report.to_json(), indent=2) + "\n").encode())
    return report


def chain_price(recipe: ChainRecipe) -> dict[str, tuple[Price, Price]]:
    """Estimates what the teacher costs and, if there is one, the judge of steps, each as (expected, at most).

    In place of a model, the scripted `observer` plays; a model is expected to write as much. The judge is expected to
    be asked about every look of every episode, although the rules can tell some of them.
    """
    scripted = all(each.privileged for each in policy_classes(recipe.bench.policies[0]))
    stand_in = recipe.bench if scripted else replace(recipe.bench, policies=(CHAIN_STAND_IN,), base_url="")
    expected, most = price(stand_in)
    prices = {"teacher": (expected, most)}
    if recipe.judge is not None:
        episodes, side = len(recipe.bench.jobs()), int(recipe.judge.max_pixels**0.5)
        prompt = text_tokens(recipe.rubric) + QUESTION_TOKENS + picture_tokens((side, side))
        looks = [max(cost.requests - episodes, 0) for cost in (expected, most)]
        replies = [min(VERDICT_TOKENS, recipe.judge.sampling.max_tokens), recipe.judge.sampling.max_tokens]
        usual, longest = (Price(n, n, n * prompt, n * each) for n, each in zip(looks, replies, strict=True))
        prices["judge of steps"] = usual, longest
    return prices


def _well_formed(episodes: Iterable[Trajectory], sieve: Sieve, report: ChainReport) -> list[Trajectory]:
    """Returns the right episodes that have the form of a chain; answers are compared with the truth first."""
    truth, chains = AnswerAgainstTruth(), list[Trajectory]()
    for trajectory in episodes:
        report.played += 1
        if trajectory.stop == "error":
            report.leave_out(trajectory, "teacher", Finding(failed=_error_of(trajectory)))
        elif not (finding := _answered(trajectory) or truth.verify([trajectory])[0]).passed:
            report.leave_out(trajectory, truth.name, finding)
        elif flaw := sieve.flaw(trajectory) or _form_flaw(trajectory, sieve.min_looks):
            report.leave_out(trajectory, flaw, Finding(flaw))
        else:
            chains.append(trajectory)
    return chains


def _answered(trajectory: Trajectory) -> Finding | None:
    return None if trajectory.stop in ("answered", "located") else Finding(f"no answer ({trajectory.stop})")


def _error_of(trajectory: Trajectory) -> str:
    return trajectory.turns[-1].reply.error if trajectory.turns and trajectory.turns[-1].reply.error else "it failed"


def _form_flaw(trajectory: Trajectory, min_looks: int) -> str:
    """Returns why an episode is no chain, or "": its looks were refused, or its teacher made up an observation."""
    if len(looks_of(trajectory)) < min_looks:
        return f"fewer than {min_looks} looks that showed something"
    try:
        in_one_turn(dialogue_of(trajectory, make_dialect(trajectory.dialect)), OBSERVED, "chain")
    except BadDemonstration:
        return "tags of an observation in the text"
    return ""


def _verified(chains: Sequence[Trajectory], verifier: Verifier, report: ChainReport) -> list[Trajectory]:
    passed: list[Trajectory] = []
    for chain, finding in zip(chains, verifier.verify(chains), strict=True):
        if finding.passed:
            passed.append(chain)
        else:
            report.leave_out(chain, verifier.name, finding)
    return passed


def _distinct(chains: Sequence[Trajectory], sieve: Sieve, report: ChainReport) -> list[Trajectory]:
    """Returns the chains without duplicates and without more of a task than wanted."""
    kept, _ = sift(chains, sieve)
    keys = {chain.key for chain in kept}
    for chain in chains:
        if chain.key not in keys:
            report.leave_out(chain, DUPLICATE, Finding(DUPLICATE))
    return kept


def _write_flat(out: Path, count: int) -> None:
    if count:
        export_sharegpt(RunSource(str(DataSet(out).run)), out / FLAT, OBSERVED)
    else:
        (out / FLAT).unlink(missing_ok=True)
