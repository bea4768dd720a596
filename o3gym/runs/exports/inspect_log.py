"""Inspect export: one `EvalLog` as JSON per arm, for `inspect view`.

Keys follow the models of UKGovernmentBEIS/inspect_ai 0.3.285 (`inspect_ai/log/_log.py`, `model/_model_output.py`,
`scorer/_metric.py`), log version 2. Each episode is a sample, and the samples of a task are its epochs. The log
contains no pictures and no system prompt, of which a run stores only a hash; `eval.metadata` has the protocol.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from o3gym.codec import encode
from o3gym.runs.exports.arms import ArmRun, dumps, hit, truth_texts
from o3gym.runs.metrics import EpisodeOutcome
from o3gym.types import Trajectory, Turn

SCORER = "o3gym"
STOP_REASON = {"stop": "stop", "length": "max_tokens", "error": "unknown"}


def write_inspect(folder: Path, arm: ArmRun) -> list[Path]:
    """Writes an arm as an Inspect log. Samples without a verdict have no scores; failed episodes have their error."""
    path = folder / f"{arm.created.strftime('%Y-%m-%dT%H-%M-%S')}_{arm.suite}_{_identity(arm)}.json"
    with path.open("w", encoding="utf-8") as file:
        file.write(dumps(_header(arm), indent=2).removesuffix("\n}") + ',\n  "samples": [')
        for number, episode in enumerate(episode for episodes in arm.tasks() for episode in episodes):
            file.write(("," if number else "") + "\n    " + dumps(_sample(arm, episode)))
        file.write("\n  ]\n}\n")
    return [path]


def _identity(arm: ArmRun) -> str:
    text = json.dumps([arm.label, arm.run.protocol], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:22]


def _header(arm: ArmRun) -> dict[str, Any]:
    """The log without its samples. The status "started" is Inspect's name for an incomplete run."""
    return {
        "version": 2,
        "status": "success" if arm.finished else "started",
        "eval": _spec(arm),
        "plan": {"name": "o3gym", "steps": [{"solver": "o3gym", "params": _settings(arm)}]},
        "results": _results(arm),
        "stats": {"started_at": arm.created.isoformat(), "completed_at": "", "model_usage": {}},
    }


def _spec(arm: ArmRun) -> dict[str, Any]:
    protocol, sampling = arm.run.protocol, arm.run.protocol.get("sampling", {})
    k = arm.metrics.k
    return {
        "run_id": _identity(arm),
        "created": arm.created.isoformat(),
        "task": arm.suite,
        "task_id": _identity(arm),
        "task_version": str(protocol.get("suite_version", "0")),
        "task_args": protocol.get("suite_args", {}),
        "dataset": {"name": arm.suite, "samples": arm.metrics.tasks, "sample_ids": sorted(arm.sizes)},
        "model": arm.label,
        "model_generate_config": {
            key: sampling[key] for key in ("temperature", "top_p", "max_tokens") if key in sampling
        },
        "model_args": _settings(arm),
        "config": {"epochs": k, **({"epochs_reducer": ["mean"]} if k > 1 else {})},
        "packages": protocol.get("packages", {}),
        "metadata": {"protocol": protocol},
    }


def _settings(arm: ArmRun) -> Any:
    return arm.run.protocol.get("arms", {}).get(arm.label, {})


def _results(arm: ArmRun) -> dict[str, Any]:
    metrics = arm.metrics
    values = {"accuracy": metrics.accuracy.value, "stderr": arm.stderr}
    return {
        "total_samples": metrics.episodes,
        "completed_samples": metrics.episodes - metrics.stops.get("error", 0),
        "scores": [
            {
                "name": SCORER,
                "scorer": SCORER,
                "reducer": "mean" if metrics.k > 1 else None,
                "scored_samples": metrics.accuracy.n,
                "unscored_samples": metrics.tasks - metrics.accuracy.n,
                "metrics": {name: {"name": name, "value": v} for name, v in values.items() if v is not None},
            }
        ],
    }


def _sample(arm: ArmRun, episode: Trajectory) -> dict[str, Any]:
    task, right = episode.task, truth_texts(episode.task)
    return {
        "id": episode.group,
        "epoch": episode.sample + 1,
        "input": task.text,
        "choices": list(task.choices) or None,
        "target": right[0] if len(right) == 1 else right,
        "messages": list(_messages(arm, episode)),
        "output": _output(arm, episode.turns),
        "scores": _scores(episode),
        "metadata": _metadata(episode),
        "model_usage": _usage(arm, episode),
        "error": _error(episode),
        "turn_count": len(episode.turns),
    }


def _messages(arm: ArmRun, episode: Trajectory) -> Iterator[dict[str, Any]]:
    yield {"role": "user", "content": episode.task.text, "source": "input"}
    for turn in episode.turns:
        yield _reply(arm, turn)
        if turn.feedback:
            yield {"role": "user", "content": turn.feedback}


def _reply(arm: ArmRun, turn: Turn) -> dict[str, Any]:
    return {"role": "assistant", "content": turn.reply.text, "source": "generate", "model": arm.label}


def _output(arm: ArmRun, turns: Sequence[Turn]) -> dict[str, Any]:
    if not turns:
        return {"model": arm.label, "choices": [], "completion": ""}
    last = turns[-1]
    choice = {"message": _reply(arm, last), "stop_reason": STOP_REASON[last.reply.finish]}
    return {"model": arm.label, "choices": [choice], "completion": last.reply.text}


def _scores(episode: Trajectory) -> dict[str, Any] | None:
    value = hit(episode)
    if value is None:
        return None
    graded = {} if episode.score is None else {"score": episode.score}
    return {SCORER: {"value": "C" if value else "I", "answer": episode.answer, "metadata": graded}}


def _metadata(episode: Trajectory) -> dict[str, Any]:
    calls = [{**encode(turn.parsed.call), "error": turn.error, "views": list(turn.views)} for turn in episode.turns]
    return {
        "task": episode.task.id,
        "tags": dict(episode.task.tags),
        "verdict": episode.verdict or None,
        "stop": episode.stop,
        "calls": calls,
        "views": encode(episode.views),
    }


def _usage(arm: ArmRun, episode: Trajectory) -> dict[str, Any]:
    """Tokens and dollars of the episode, including delegated episodes; empty if no reply reports its usage."""
    known = EpisodeOutcome.of(episode).usage
    if not known:
        return {}
    prompt, completion = sum(u.prompt_tokens for u in known), sum(u.completion_tokens for u in known)
    prices = [u.cost for u in known if u.cost is not None]
    usage = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
    return {arm.label: {**usage, **({"total_cost": sum(prices)} if prices else {})}}


def _error(episode: Trajectory) -> dict[str, Any] | None:
    if episode.stop != "error":
        return None
    message = episode.turns[-1].reply.error if episode.turns else ""
    return {"message": message or "no reply", "traceback": "", "traceback_ansi": ""}
