"""Turns trajectories into demonstrations, which are dialogues to imitate, and changes the form of dialogues."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from o3gym.dialects.base import Dialect
from o3gym.envs.checks import default_tools
from o3gym.media.images import shared_store
from o3gym.media.pixels import resample
from o3gym.policies.dialogue import Message, Part, Picture, Role, observing_role
from o3gym.registry import CONTROLS, TOOLS
from o3gym.suites.base import make_suite
from o3gym.suites.released.table import SURROGATE
from o3gym.tools.base import Tool
from o3gym.types import Size, Trajectory, Turn, View


def dialogue_of(trajectory: Trajectory, dialect: Dialect) -> list[Message]:
    """Returns what the policy read and wrote in an episode: system, user, assistant, user, …, up to its last reply.

    In a dialect with inline observations, they are inline messages, as in the episode.

    Args:
        trajectory: a finished episode that holds the arguments of its environment, as `rollout` records them.
        dialect: the dialect of the episode. Another one would present the views differently from how the replies refer
            to them.

    Returns:
        The messages. Pixels are made again, exactly as they were shown, when `Picture.load` is called. Pictures that a
        window memory removed in the episode are all there: `o3gym.policies.window.segmented` removes them again.
    """
    task, later = trajectory.task, {index for turn in trajectory.turns for index in turn.views}
    opening = [view for view in trajectory.views if view.index not in later]  # a video is shown as several views
    messages = [
        Message("system", (dialect.system(_tools(trajectory), task),)),
        _shown(trajectory, dialect, opening, task.text, {"turn": 0, "error": ""}),
    ]
    for number, turn in enumerate(trajectory.turns, 1):
        messages.append(Message("assistant", (turn.reply.text,)))
        if number < len(trajectory.turns):
            messages.append(_answered(trajectory, dialect, turn, number))
    return messages


def flattened(messages: Sequence[Message]) -> list[Message]:
    """Returns the dialogue as a single turn of the assistant: every observation after the first reply becomes inline.

    Source: Simple o3 turns its multi-turn chains into a single turn before fine-tuning (arXiv 2508.12109).
    """
    first = next((i for i, message in enumerate(messages) if message.role == "assistant"), len(messages))
    later = [replace(message, role="inline") if message.role == "user" else message for message in messages[first:]]
    return [*messages[:first], *later]


def fitted(messages: Sequence[Message], vision_size: Callable[[int, int], Size]) -> list[Message]:
    """Returns the messages with each picture at the size to which a model's processor would resize it."""
    return [replace(m, parts=tuple(_fitted(part, vision_size) for part in m.parts)) for m in messages]


def _fitted(part: Part, vision_size: Callable[[int, int], Size]) -> Part:
    if isinstance(part, str) or (size := vision_size(*part.view.shown)) == part.view.shown:
        return part
    load = part.load
    return Picture(replace(part.view, shown=size), lambda: resample(load(), size))


def encodable(messages: Sequence[Message]) -> list[Message]:
    """Returns a dialogue with U+FFFD for every lone surrogate, which is no character: no tokenizer can encode it."""
    return [replace(message, parts=tuple(map(_encodable, message.parts))) for message in messages]


def _encodable(part: Part) -> Part:
    return SURROGATE.sub("\ufffd", part) if isinstance(part, str) else part


def has_surrogate(part: Part) -> bool:
    """Returns whether a part of a message is a text with a lone surrogate."""
    return isinstance(part, str) and SURROGATE.search(part) is not None


def picture_of(trajectory: Trajectory, view: View) -> Picture:
    """Returns a view of an episode as a picture whose pixels are made again on demand."""
    source = trajectory.sources[view.source]
    return Picture(view, partial(shared_store().region, source, view.box, view.shown, view.resampling))


def _shown(
    trajectory: Trajectory,
    dialect: Dialect,
    views: Sequence[View],
    text: str,
    info: dict[str, Any],
    role: Role = "user",
) -> Message:
    parts = dialect.show(views, text, info)
    return Message(role, tuple(p if isinstance(p, str) else picture_of(trajectory, p) for p in parts))


def _answered(trajectory: Trajectory, dialect: Dialect, turn: Turn, number: int) -> Message:
    views = [trajectory.views[index] for index in turn.views]
    tool = turn.parsed.call.tool
    info = {"turn": number, "error": turn.error, "views": trajectory.views, "tool": tool}
    role = observing_role(dialect, trajectory.sampling.stop, turn.reply.text)
    return _shown(trajectory, dialect, views, turn.feedback, info, role)


def _tools(trajectory: Trajectory) -> dict[str, Tool]:
    """Returns the tools that were enabled, derived from the environment's arguments as the environment does it."""
    env = trajectory.env
    names = env.get("tools")
    if names is None:
        suite = make_suite(env.get("suite", "synthetic"), env.get("split", "test"), **(env.get("suite_args") or {}))
        names = default_tools(suite)
    if env.get("control"):
        names = CONTROLS[env["control"]]().tools(list(names))
    return {name: TOOLS[name]() for name in dict.fromkeys(names) if name != "noop"}
