"""Inspect export: one `EvalLog` as JSON per arm, for `inspect view`.

Keys follow the models of UKGovernmentBEIS/inspect_ai 0.3.285 (`inspect_ai/log/_log.py`, `model/_model_output.py`,
`scorer/_metric.py`, `event/_model.py`), log version 2. Each episode is a sample, and the samples of a task are its
epochs. As in Inspect's own logs, a sample's pictures are attachments, to which its messages refer, and its model events
refer to one list of messages, so that a sample grows with its turns and not with their square. The log contains no
system prompt, of which a run stores only a hash; `eval.metadata` has the protocol.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from o3gym.codec import encode
from o3gym.runs.exports.arms import ArmRun, dumps, hit, truth_texts
from o3gym.runs.exports.pictures import PictureLeftOut, ViewPictures, view_key
from o3gym.runs.metrics import EpisodeOutcome
from o3gym.types import Reply, Trajectory, View

SCORER = "o3gym"
STOP_REASON = {"stop": "stop", "length": "max_tokens", "error": "unknown"}


def write_inspect(folder: Path, arm: ArmRun) -> list[Path]:
    """Writes an arm as an Inspect log. Samples without a verdict have no scores; failed episodes have their error."""
    pictures = ViewPictures(arm.run)
    path = folder / f"{arm.created.strftime('%Y-%m-%dT%H-%M-%S')}_{arm.suite}_{_identity(arm)}.json"
    with path.open("w", encoding="utf-8") as file:
        file.write(dumps(_header(arm), indent=2).removesuffix("\n}") + ',\n  "samples": [')
        for number, episode in enumerate(episode for episodes in arm.tasks() for episode in episodes):
            file.write(("," if number else "") + "\n    " + dumps(_sample(arm, episode, pictures)))
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


def _sample(arm: ArmRun, episode: Trajectory, pictures: ViewPictures) -> dict[str, Any]:
    task, right = episode.task, truth_texts(episode.task)
    dialogue = _Dialogue(arm, episode, pictures)
    return {
        "id": episode.group,
        "epoch": episode.sample + 1,
        "uuid": dialogue.uuid,
        "input": task.text,
        "choices": list(task.choices) or None,
        "target": right[0] if len(right) == 1 else right,
        "messages": dialogue.messages,
        "output": dialogue.outputs[-1] if dialogue.outputs else {"model": arm.label, "choices": [], "completion": ""},
        "scores": _scores(episode),
        "metadata": _metadata(episode),
        "model_usage": _usage(arm, episode),
        "error": _error(episode),
        "turn_count": len(episode.turns),
        "events": dialogue.events,
        "events_data": {"messages": dialogue.messages, "calls": []},
        "attachments": dialogue.attachments,
    }


class _Dialogue:
    """The messages of an episode, the model output and event of each reply, and the pictures by name.

    A message has an id of its own: Inspect drops messages whose id it has met before.
    """

    def __init__(self, arm: ArmRun, episode: Trajectory, pictures: ViewPictures) -> None:
        self.uuid = hashlib.sha256(f"{_identity(arm)} {episode.group} {episode.sample}".encode()).hexdigest()[:22]
        self.messages: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.attachments: dict[str, str] = {}
        self._arm, self._episode, self._pictures = arm, episode, pictures
        first = [view for view in episode.views if view.parent < 0]
        self._add("user", self._content(first, episode.task.text), source="input")
        for turn in episode.turns:
            self._reply(turn.reply)
            views = [episode.views[index] for index in turn.views]
            if turn.feedback or views:
                self._add("user", self._content(views, turn.feedback))

    def _add(self, role: str, content: Any, **fields: str) -> dict[str, Any]:
        message = {"id": f"{self.uuid}-{len(self.messages)}", "role": role, "content": content, **fields}
        self.messages.append(message)
        return message

    def _reply(self, reply: Reply) -> None:
        asked = len(self.messages)
        message = self._add("assistant", reply.text, source="generate", model=self._arm.label)
        choice = {"message": message, "stop_reason": STOP_REASON[reply.finish]}
        self.outputs.append({"model": self._arm.label, "choices": [choice], "completion": reply.text})
        self.events.append(
            {
                "event": "model",
                "uuid": f"{self.uuid}-event-{len(self.events)}",
                "timestamp": self._arm.created.isoformat(),
                "working_start": 0.0,
                "model": self._arm.label,
                "input": [],
                "input_refs": [[0, asked]],
                "tools": [],
                "tool_choice": "auto",
                "config": {},
                "output": self.outputs[-1],
                "error": reply.error or None,
            }
        )

    def _content(self, views: Sequence[View], text: str) -> Any:
        """The text, after the pictures of `views`, if there are any."""
        if not views:
            return text
        shown = [self._picture(view) for view in views]
        return [*shown, {"type": "text", "text": text}] if text else shown

    def _picture(self, view: View) -> dict[str, str]:
        name = view_key(self._episode, view)
        try:
            if name not in self.attachments:
                self.attachments[name] = self._pictures.data_uri(self._episode, view)
        except PictureLeftOut as reason:
            return {"type": "text", "text": f"[The picture of view {view.index} is not in this log: {reason}]"}
        return {"type": "image", "image": f"attachment://{name}"}


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
