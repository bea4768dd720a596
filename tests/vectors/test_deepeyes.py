"""DeepEyes: calls and rewards, as the released code reads and computes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym.dialects.base import make_dialect
from o3gym.media.images import ImageStore, shared_store
from o3gym.rewards.recipes import make_recipe
from o3gym.rewards.settle import settle
from o3gym.tools.rotate import rotate_pixels
from o3gym.types import Source
from tests.vectors.loading import Compared, Vector, agree, vectors
from tests.vectors.replay import Replay, play, rules_of

RULES = {"tools": ("crop", "rotate", "answer"), "size_rule": "deepeyes", "max_turns": 5}


def replay(size: list[int], options: str = "") -> Replay:
    return Replay(make_dialect(f"deepeyes?frame=native{options}"), size, rules_of(**RULES))


def called(vector: Vector, options: str = "") -> list[Any]:
    """The result of one reply: its kind, and the crop's box in native pixels or the rotated picture's size."""
    played = replay(vector["size"], options)
    turn = played.take(vector["reply"])
    if turn is None or turn.error:
        return ["void" if turn is None or turn.error == "void" else "error", None]
    if played.ended:
        return ["answer", None]
    view = played.episode.views[-1]
    return ["image", list(view.native) if view.source else played.pixels(view)]


@pytest.fixture
def one_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotates pictures of one bit per pixel instead of three bytes, because only their size is compared."""

    def derive(store: ImageStore, source: Source) -> np.ndarray:
        assert source.parent is not None
        turned = rotate_pixels(
            Image.new("1", store.size(source.parent)),
            source.args["angle"],
            keeps_canvas=source.args["keeps_canvas"],
        )
        return np.zeros((turned.height, turned.width, 3), np.uint8)

    monkeypatch.setattr(ImageStore, "_derive", derive)


@pytest.mark.usefixtures("one_bit")
def test_calls() -> None:
    theirs = [[vector["result"], vector["box"] or vector["rotated"]] for vector in vectors("deepeyes_calls")]
    ours = map(called, vectors("deepeyes_calls"))
    kinds = [vector["kind"] for vector in vectors("deepeyes_calls")]
    agree("deepeyes_calls", map(Compared, range(len(kinds)), kinds, ours, theirs))
    shared_store().forget()  # blank pictures


def test_answers_in_thoughts_can_be_read_as_there() -> None:
    thoughts = [vector for vector in vectors("deepeyes_calls") if "answer_in_think" in vector["kind"]]
    assert thoughts
    for vector in thoughts:
        assert called(vector, "&thought_answers=true") == [vector["result"], None]


def test_rewards() -> None:
    compared = []
    for number, vector in enumerate(vectors("deepeyes_rewards")):
        played = replay([1000, 750])
        trajectory = play(played, vector["replies"])
        turns = ["error" if turn.error else "image" if turn.views else "end" for turn in trajectory.turns]
        turns[-1] = "end" if played.ended else turns[-1]
        assert turns == vector["turns"]
        ((settled,),) = settle([[trajectory]], make_recipe("deepeyes"))
        compared.append(Compared(number, "", round(settled.reward or 0.0, 6), vector["total"]))
    agree("deepeyes_rewards", compared)


@pytest.mark.parametrize("answer", ["A", "x" * 1000])
def test_the_answer_is_judged_as_their_code_reads_it(answer: str) -> None:
    # Without <answer>, all that was written is the answer.
    ((settled,),) = settle([[play(replay([1000, 750]), [answer])]], make_recipe("deepeyes"))
    assert settled.reward == pytest.approx(0.8 if answer == "A" else -0.2)
