"""Plans in words and letters, and texts that are no plans."""

from __future__ import annotations

import pytest

from o3gym.worlds.mini_behaviour import MiniBehaviour
from o3gym.worlds.plans import read_plan, write_plan

MOVES = MiniBehaviour.moves


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("right right up", (3, 3, 0)),
        ("Right, Down", (3, 1)),
        ("LLRUD", (2, 2, 3, 0, 1)),
        ("l,l,r", (2, 2, 3)),
        ("U, U, PICK, R, DROP", (0, 0, 4, 3, 5)),
        ("up -> left\n→ down.", (0, 2, 1)),
        ("**right up**", (3, 0)),
        ("[\"right\", 'up', (`down`)]", (3, 0, 1)),
        ("“right” |up|", (3, 0)),
    ],
)
def test_words_and_letters_are_read(text: str, moves: tuple[int, ...]) -> None:
    assert read_plan(text, MOVES) == (moves, "")


def test_a_written_plan_is_read_back() -> None:
    plan = (0, 1, 2, 3, 4, 5, 5)
    assert read_plan(write_plan(plan, MOVES), MOVES).moves == plan


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "the plan is empty"),
        (" ,, ", "the plan is empty"),
        ("up jump left", 'word 2 of the plan, "jump", is none of up, down, left, right, pick, drop'),
        ("x" * 10**6, f'word 1 of the plan, "{"x" * 30}…"'),
        ("u" * 10**6, "the plan has more than 1000 moves"),
        ("up " * 10**5, "the plan has more than 1000 moves"),
        ("pick", "is none of up, down, left, right"),
    ],
    ids=["empty", "separators", "unknown", "long word", "letters", "words", "another world's"],
)
def test_other_texts_are_errors(text: str, error: str) -> None:
    moves, reason = read_plan(text, MOVES if text != "pick" else MOVES[:4])
    assert moves == ()
    assert error in reason
