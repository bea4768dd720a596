"""InSight-o3's searcher: calls, rewards and the norm of its in-loop advantages agree with the released code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.envs.episode import Episode
from o3gym.registry import REWARDS
from o3gym.rewards import insight, terms
from o3gym.train.grpo.advantages import advantages
from o3gym.types import Size, Target, Task
from tests.vectors.loading import Compared, Vector, agree, vectors
from tests.vectors.replay import Replay, picture, play, rules_of


def searcher(vector: Vector, targets: Sequence[Sequence[int]] = ()) -> Replay:
    """An episode in which the first picture is shown at the size that the system's processor gave it."""
    size, shown = tuple(vector["size"]), tuple(vector["processed"])
    rules = rules_of(
        tools=("crop", "locate"), size_rule="insight_o3", max_turns=7, min_pixels=1, max_pixels=100_000_000
    )
    replay = Replay(make_dialect("insight_o3"), size, rules)
    boxes = tuple(Target((a / size[0], b / size[1], c / size[0], d / size[1])) for a, b, c, d in targets)
    task = Task("vector", (picture(size),), "Find the sign.", targets=boxes, kind="box")

    def vision_size(width: int, height: int) -> Size:
        return shown if (width, height) == size else (width, height)

    replay.episode = Episode(task, rules, vision_size)
    return replay


def called(vector: Vector) -> list[Any]:
    """Our result for a reply in the form of the vectors."""
    replay = searcher(vector)
    turn = replay.take(vector["reply"])
    assert turn is not None
    if replay.ended:
        located = replay.episode.located
        if replay.episode.stop == "void":
            return ["end", None]
        width, height = vector["processed"]
        return ["end", [0, 0, 0, 0] if located is None else _scaled(located, width, height)]
    return ["error", None] if turn.error else ["crop", replay.pixels(replay.episode.views[turn.views[0]])]


def _scaled(box: Sequence[float], width: int, height: int) -> list[int]:
    return [round(edge * side) for edge, side in zip(box, (width, height, width, height), strict=True)]


def written(vector: Vector) -> list[Any]:
    """The result of the released code; the box of an answer is clamped to the picture, as in its reward."""
    box, (width, height) = vector["box"], vector["processed"]
    if vector["result"] == "end" and box is not None:
        box = [min(int(edge), side) for edge, side in zip(box, (width, height, width, height), strict=True)]
    return [vector["result"], box]


def test_calls() -> None:
    agree(
        "insight_o3_calls",
        [
            Compared(number, vector["kind"], _named(called(vector)), _named(written(vector)))
            for number, vector in enumerate(vectors("insight_o3_calls"))
        ],
    )


def _named(result: list[Any]) -> list[Any]:
    """Tells an end without a box from one with a box."""
    return ["void"] if result == ["end", None] else result


def test_rewards() -> None:
    agree("insight_o3_rewards", list(_rewarded()))


def _rewarded() -> Iterator[Compared]:
    for number, vector in enumerate(vectors("insight_o3_rewards")):
        record = play(searcher(vector, vector["targets"]), vector["replies"])
        ours = {
            "fresh_looks": insight.fresh_looks(record),
            "format": terms.format_kept(record),
            "covering_iou": insight.covering_iou(record),
        }
        if vector["format"]:  # otherwise the released code returns before it computes the other two
            assert ours["fresh_looks"] == vector["tool"]
            assert ours["covering_iou"] == pytest.approx(vector["iou"], abs=2e-6)
        total = REWARDS["insight_o3_code"].combine(ours)
        total = vector["total"] if total == pytest.approx(vector["total"], abs=2e-6) else total
        yield Compared(number, "", f"{ours['format']:g} {total:g}", f"{vector['format']:g} {vector['total']:g}")


def test_global_norm() -> None:
    for vector in vectors("insight_o3_global_norm"):
        rewards = vector["rewards"]
        groups = [f"search {number}" for number in range(len(rewards))]
        ours = advantages(rewards, groups, norm="global")
        assert ours == pytest.approx(vector["advantages"], abs=2e-6)
