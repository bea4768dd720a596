"""Plays the scripted replies of a conformance vector in an episode, without decoding or resizing any picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from PIL import Image

from o3gym.dialects.base import Dialect
from o3gym.envs.episode import Episode, EpisodeRules
from o3gym.envs.visual_search import VisualSearchEnv
from o3gym.types import Parsed, Reply, Source, Task, Trajectory, Turn, View


@cache
def picture(size: tuple[int, int]) -> Source:
    """A blank picture of a size; an episode reads nothing but the header."""
    file = io.BytesIO()
    Image.new("1", size).save(file, "PNG")
    return Source.of_bytes(file.getvalue())


@cache
def rules_of(**arguments: Any) -> EpisodeRules:
    """The rules that an environment makes of its arguments."""
    return VisualSearchEnv(**arguments).rules


class Replay:
    """An episode on a blank picture that takes its replies from a script."""

    def __init__(self, dialect: Dialect, size: Sequence[int], rules: EpisodeRules, answer: str = "A") -> None:
        self.dialect = dialect
        task = Task("vector", (picture((size[0], size[1])),), "What does the sign say?", answer)
        self.episode = Episode(task, rules)
        self.replies: list[tuple[Reply, Parsed]] = []
        self.cut = False

    def take(self, text: str, finish: str = "stop") -> Turn | None:
        """Carries out one reply; None if the token limit cut it before it was complete, which ends the episode."""
        reply = Reply(text, finish=finish)  # type: ignore[arg-type]
        parsed = self.dialect.read(reply, tuple(self.episode.views))
        self.replies.append((reply, parsed))
        if finish == "length" and parsed.call.tool == "noop":
            self.cut = True
            return None
        self.episode.step(parsed.call, None)  # type: ignore[arg-type] # no control draws a number
        return self.episode.turns[-1]

    @property
    def ended(self) -> bool:
        """Whether the episode has ended."""
        return self.cut or bool(self.episode.stop)

    def trajectory(self) -> Trajectory:
        """The record, with its replies."""
        record = self.episode.trajectory()
        turns = [
            replace(turn, reply=reply, parsed=parsed)
            for turn, (reply, parsed) in zip(record.turns, self.replies, strict=False)
        ]
        turns += [Turn(reply, parsed) for reply, parsed in self.replies[len(turns) :]]
        return replace(record, turns=tuple(turns), stop="length" if self.cut else record.stop)

    def pixels(self, view: View) -> list[int]:
        """The region of a view in whole pixels of the picture."""
        size = self.episode.rules and self.episode.views[0].native
        return [round(v * side) for v, side in zip(view.box, (*size, *size), strict=True)]


def play(replay: Replay, replies: Sequence[str], finishes: Sequence[str] = ()) -> Trajectory:
    """Plays replies until the episode ends or they are used up."""
    for text, finish in zip(replies, finishes or ["stop"] * len(replies), strict=True):
        if replay.ended:
            break
        replay.take(text, finish)
    return replay.trajectory()
