"""Rows of reinforcement learning from episodes of visual planning, whose dialects may leave views out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from o3gym.dialects.base import make_dialect
from o3gym.dialects.next_state import picture_url
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job
from o3gym.suites.base import make_suite
from o3gym.train.loss_mask import sample_row, segments_of
from o3gym.types import Segment
from o3gym.worlds.records import task_world
from tests.train.grpo.spelled import Spelled, prompts
from tests.train.tiny_folder import write_folder

ENV: dict[str, Any] = {"suite": "planning-frozenlake", "suite_args": {"level": 3}, "split": "train"}


def replies(dialect: str) -> list[str]:
    """An invalid move, and then an optimal plan of three moves, one in each turn."""
    world = task_world(make_suite("planning-frozenlake", "train", level=3)[1])
    assert world is not None
    plan = world.optimal_plan()
    assert len(plan) == 3
    if dialect == "vagen":
        return [f"<think>t</think><answer>{move}</answer>" for move in ("Foo", *(world.moves[m] for m in plan))]
    states = [world.after(plan[: i + 1]) for i in range(3)]
    return ["<state>Foo</state>", *(f"<state>{picture_url(world.render(state))}</state>" for state in states)]


@pytest.mark.parametrize("window", [None, 1])
@pytest.mark.parametrize("name", ["vagen", "next_state"])
def test_rows_hold_the_pictures_that_the_policy_was_shown(name: str, window: int | None, tmp_path: Path) -> None:
    dialect = make_dialect(name)
    env = {**ENV, "tools": list(dialect.tools)}
    encoder = Encoder(load_processor(str(write_folder(tmp_path, prompts(dialect, env)))))
    policy = Spelled(encoder, {("g", 0): replies(name)})
    [[episode]] = collect(rollout([Job(1, "g", 0)], policy, dialect, Arm("train", env, window=window)))
    assert [turn.error for turn in episode.turns] == ["bad_move", "", "", ""]
    assert episode.stop == "answered"
    # The views that next_state leaves out are those that the model drew: 2 and 4. It drew none in the first reply.
    drawn = {"vagen": set[int](), "next_state": {2, 4}}[name]
    seen = [view for segment in segments_of(episode) for view in segment.views]
    assert not drawn & set(seen)
    rows = [sample_row(episode, encoder, segment) for segment in segments_of(episode)]
    assert len(rows) == (1 if window is None else 3)
    written = [len(turn.reply.token_ids or ()) for turn in episode.turns]
    assert sum(int(row.mask.sum()) for row in rows) == sum(written)
    assert all(np.isin(row.mask, (0, 1)).all() for row in rows)


def test_an_episode_all_of_whose_views_were_shown_needs_no_segment(tmp_path: Path) -> None:
    for name, segments in (("vagen", ()), ("next_state", (Segment((0, 1, 2, 3), (0, 1, 3, 5)),))):
        dialect = make_dialect(name)
        env = {**ENV, "tools": list(dialect.tools)}
        encoder = Encoder(load_processor(str(write_folder(tmp_path / name, prompts(dialect, env)))))
        jobs, arm = [Job(1, "g", 0)], Arm("train", env)
        [[episode]] = collect(rollout(jobs, Spelled(encoder, {("g", 0): replies(name)}), dialect, arm))
        assert episode.segments == segments
        assert all(turn.segment == 0 for turn in episode.turns)
