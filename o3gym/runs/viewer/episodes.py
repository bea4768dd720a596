"""Converts episodes to the plain values that the page's script reads."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from o3gym.codec import encode
from o3gym.runs.coverage import place_in_picture
from o3gym.runs.tables import NO_FAMILY
from o3gym.runs.viewer.thumbnails import Thumbnails
from o3gym.types import Call, Source, Trajectory, Turn, View

EXCERPT = 160
CELLS = 24
"""Maximum number of frames of a video's overview that the page shows."""
PICTURE_TEXT = re.compile(r"(data:image/[\w.+-]{1,20};base64,)([A-Za-z0-9+/=]{80,})")
"""A picture that a model wrote into its reply."""


def index_row(trajectory: Trajectory) -> list[Any]:
    """The columns that the list of episodes shows and filters by; the script names them in the same order."""
    tags = trajectory.task.tags
    return [
        *trajectory.key,
        tags.get("family") or tags.get("category") or NO_FAMILY,
        trajectory.policy,
        trajectory.verdict or "unjudged",
        trajectory.stop or "none",
        len(trajectory.turns),
        trajectory.reward,
        trajectory.task.question[:EXCERPT],
    ]


def episode_values(trajectory: Trajectory, thumbnails: Thumbnails) -> dict[str, Any]:
    """All values that the page shows of an episode, including its delegated episodes."""
    task = trajectory.task
    turn_of = {view: number for number, turn in enumerate(trajectory.turns) for view in turn.views}
    requested = [view for view in trajectory.views if view.parent >= 0 or view.index in turn_of]
    dropped = {segment.turns[0]: segment.dropped for segment in trajectory.segments[1:]}
    return {
        "task": task.id,
        "agent": trajectory.agent,
        "question": task.question,
        "choices": task.choices,
        "kind": task.kind,
        "gold": task.answer,
        "truth": task.origin.get("ground_truth") is not False,
        "answer": without_base64(trajectory.answer),
        "located": trajectory.located,
        "verdict": trajectory.verdict or "unjudged",
        "stop": trajectory.stop or "none",
        "facts": _facts(trajectory),
        "terms": dict(trajectory.terms),
        "targets": [{"box": t.box, "picture": t.source, "label": t.label, "time": t.time} for t in task.targets],
        "span": trajectory.span,
        "timed": next((place for place, source in enumerate(task.sources) if source.duration is not None), None),
        "pictures": [_picture(trajectory, place, thumbnails) for place in range(len(task.sources))],
        "views": [_view(trajectory, view, turn_of.get(view.index, 0), thumbnails) for view in requested],
        "turns": [_turn(turn, dropped.get(number)) for number, turn in enumerate(trajectory.turns)],
        "children": [episode_values(child, thumbnails) for child in trajectory.children],
    }


def _facts(trajectory: Trajectory) -> list[tuple[str, str]]:
    """The (label, value) pairs that identify and rate the episode, in display order."""
    numbers = {"score": trajectory.score, "reward": trajectory.reward}
    return [
        *((name, f"{value:.3g}") for name, value in numbers.items() if value is not None),
        ("stop", trajectory.stop or "none"),
        ("policy", trajectory.policy),
        ("dialect", trajectory.dialect),
        ("seed", str(trajectory.seed)),
        *((str(name), str(value)) for name, value in trajectory.task.tags.items()),
        ("temperature", f"{trajectory.sampling.temperature:g}"),
        ("environment", json.dumps(encode(trajectory.env), ensure_ascii=False)),
    ]


def _picture(trajectory: Trajectory, number: int, thumbnails: Thumbnails) -> dict[str, Any]:
    source = trajectory.task.sources[number]
    if source.duration is not None:
        return _film(trajectory, number, thumbnails)
    at_reset = (view for view in trajectory.views if view.source == number and view.parent < 0)
    shown = next(at_reset, None)
    return thumbnails.picture(source) if shown is None else thumbnails.view(source, shown)


def _film(trajectory: Trajectory, number: int, thumbnails: Thumbnails) -> dict[str, Any]:
    """A video of the task: its file for the browser's player, and at most `CELLS` of the frames shown at reset."""
    source = trajectory.task.sources[number]
    shown = [view for view in trajectory.views if view.video == number and view.parent < 0]
    step = max(1, -(-len(shown) // CELLS))
    is_file = source.kind == "file" and not source.args
    return {
        "duration": source.duration,
        "name": Path(source.ref).name if source.kind == "file" else source.ref,
        "address": Path(source.ref).absolute().as_uri() if is_file else "",
        "shown": len(shown),
        "frames": [
            {"time": view.time, "thumb": thumbnails.view(trajectory.sources[view.source], view)}
            for view in shown[::step]
        ],
    }


def _view(trajectory: Trajectory, view: View, turn: int, thumbnails: Thumbnails) -> dict[str, Any]:
    source = trajectory.sources[view.source]
    at = place_in_picture(trajectory, view)
    return {
        "index": view.index,
        "turn": turn,
        "parent": view.parent,
        "video": view.video,
        "time": view.time,
        "picture": None if at is None else at[0],
        "box": None if at is None else at[1],
        "native": view.native,
        "shown": view.shown,
        "made_by": _maker(source),
        "thumb": thumbnails.view(source, view),
    }


def _maker(source: Source) -> str:
    """The operation or tool that made a picture; "" if it is one of the task's."""
    return source.ref if source.kind == "derived" else str(source.args.get("made_by", ""))


def _turn(turn: Turn, dropped: tuple[int, ...] | None) -> dict[str, Any]:
    """The values of a turn. For the first turn of a further segment, they include the views that it no longer saw."""
    return {
        **({} if dropped is None else {"dropped": dropped}),
        "thought": without_base64(turn.parsed.thought),
        "tool": turn.parsed.call.tool,
        "args": _arguments(turn.parsed.call),
        "text": without_base64(turn.reply.text, _drawn(turn.parsed.call)),
        "well_formed": turn.parsed.well_formed,
        "finish": turn.reply.finish,
        "trouble": turn.reply.error,
        "error": turn.error,
        "feedback": without_base64(turn.feedback),
        "views": turn.views,
        "terms": dict(turn.terms),
        "children": turn.children,
    }


def without_base64(text: str, drawn: str = "") -> str:
    """The text with a note in place of each picture in it, whose base64 is of no use to a reader.

    Args:
        text: the text
        drawn: a picture that the text may hold without being marked as one; "" for none
    """
    if drawn:
        text = text.replace(drawn, _note(drawn))
    return PICTURE_TEXT.sub(lambda found: found[1] + _note(found[2]), text)


def _note(encoded: str) -> str:
    return f"… ({len(encoded):,} characters)"


def _drawn(call: Call) -> str:
    """The picture that a call draws, if it is base64 alone. A short text is shown as it is."""
    picture = call.args.get("picture") if call.tool == "draw_state" else None
    return picture if isinstance(picture, str) and len(picture) > EXCERPT and ":" not in picture else ""


def _arguments(call: Call) -> dict[str, Any]:
    drawn, args = _drawn(call), encode(call.args)
    return {key: without_base64(arg, drawn) if isinstance(arg, str) else arg for key, arg in args.items()}
