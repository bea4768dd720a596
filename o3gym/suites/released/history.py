"""Questions with earlier ones, which are asked as one question, because an episode has only one."""

from __future__ import annotations

from collections.abc import Sequence


def with_history(questions: Sequence[str], answers: Sequence[str]) -> str:
    """The last of the questions; before it, if there are several, the others with their right answers."""
    lines = [
        line
        for number, (question, answer) in enumerate(zip(questions[:-1], answers, strict=False), 1)
        for line in (f"Question {number}: {question}", f"Answer {number}: {answer}")
    ]
    return "\n".join([*lines, f"Question {len(questions)}: {questions[-1]}"]) if lines else questions[-1]
