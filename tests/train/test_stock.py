"""The adapter for TRL's own trainer: its methods are tools, its reward is ours, and a stock training runs on it."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from PIL import Image

from o3gym.train.stock import SearchTools

ENV = {"suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 60_000}, "split": "train", "max_turns": 2}


def opened(**more: Any) -> SearchTools:
    tools = SearchTools(ENV, **more)
    tools.reset(task=3)
    return tools


def right(tools: SearchTools) -> str:
    return str(tools._env.unwrapped.episode.task.answer)  # type: ignore[attr-defined]


def test_only_tools_are_public() -> None:
    public = {name for name, _ in inspect.getmembers(SearchTools, inspect.isfunction) if not name.startswith("_")}
    assert public == {"reset", "crop", "zoom", "reuse", "answer", "get_reward"}


def test_an_episode_by_its_methods() -> None:
    tools = SearchTools(ENV)
    shown = tools.reset(task=3, prompt="unused")
    assert [block["type"] for block in shown] == ["image", "text"]
    assert isinstance(shown[0]["image"], Image.Image)
    assert tools.crop(0.0, 0.0, 0.5, 0.5)[0]["type"] == "image"
    assert tools.answer(right(tools)) == [{"type": "text", "text": "The episode is over."}]
    assert tools.get_reward() == 1.0
    assert "no further call" in tools.crop(0.0, 0.0, 1.0, 1.0)[0]["text"]
    assert tools.get_reward() == 1.0


@pytest.mark.parametrize(("masking", "reward"), [(True, None), (False, 0.0)])
def test_who_still_wanted_to_look_has_no_reward(masking: bool, reward: float | None) -> None:
    tools = opened(over_turn_masking=masking)
    tools.zoom(0.5, 0.5, 2.0)
    tools.reuse(0)
    assert tools.get_reward() == reward


def test_wrong_and_missing_answers_are_worth_nothing_but_are_not_masked() -> None:
    tools = opened()
    tools.crop(0.9, 0.9, 0.1, 0.1)
    assert tools.get_reward() == 0.0
    tools = opened()
    tools.answer("Z")
    assert tools.get_reward() == 0.0
