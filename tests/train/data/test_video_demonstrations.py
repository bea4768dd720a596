"""Demonstrations about videos: the overview comes first, and a clip's frames follow the call that asked for them."""

from __future__ import annotations

from typing import Any

import pytest

from o3gym.policies.dialogue import Picture, whole_turns
from o3gym.train.data.demonstrations import flattened
from o3gym.train.data.sources import open_source

FILMS: dict[str, Any] = {
    "suite": "synthetic_video?family=event&difficulty=easy&seconds=20",
    "dialect": "qwen3_vl",
    "env": {"min_pixels": 400, "max_pixels": 1600},
}


def pictures(message: Any) -> list[Picture]:
    return [part for part in message.parts if isinstance(part, Picture)]


@pytest.mark.parametrize("policy", ["oracle", "detour?p=0.6"])
def test_the_first_message_shows_the_overview_and_the_next_the_clip(policy: str) -> None:
    source: Any = open_source("policy", policy=policy, **FILMS)
    for index in range(3):
        episode, messages = source.episode(index, 0), source.example(index, 0)
        assert [m.role for m in messages] == ["system", *["user", "assistant"] * len(episode.turns)]
        shown = [[picture.view for picture in pictures(m)] for m in messages if m.role == "user"]
        assert shown[0] == [view for view in episode.views if view.parent < 0]
        assert len(shown[0]) == 16
        assert shown[1:] == [[episode.views[i] for i in turn.views] for turn in episode.turns[:-1]]
        assert all(len(views) > 1 for views in shown)
        first = pictures(messages[1])[3]
        assert first.load().shape == (*first.view.shown[::-1], 3)


def test_a_flattened_dialogue_keeps_the_frames() -> None:
    source: Any = open_source("policy", **FILMS)
    messages = source.example(0, 0)
    flat = flattened(messages)
    assert [m.role for m in whole_turns(flat)] == ["system", "user", "assistant"]
    assert sum(len(pictures(m)) for m in flat) == sum(len(pictures(m)) for m in messages)
