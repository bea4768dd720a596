"""Statistics of collage generation: accepted and rejected canvases, with the reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CollageTally:
    """Counts of attempts by outcome.

    Attributes:
        accepted: accepted canvases, one per collage.
        rejected: rejected canvases by reason: those of `Rejected`, and "label" if no corner of a core is free of
            targets.
        given_up: targets for which no canvas was accepted.
        skipped: source tasks that cannot be a target or filler, by reason.
    """

    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def tried(self) -> int:
        """Number of canvases, accepted or rejected."""
        return self.accepted + sum(self.rejected.values())

    def __add__(self, other: CollageTally) -> CollageTally:
        return CollageTally(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.given_up + other.given_up,
            self.skipped + other.skipped,
        )


def reasons(tally: CollageTally) -> str:
    """All reasons with their counts as text, most frequent first."""
    parts = [f"{count} skipped: {reason}" for reason, count in tally.skipped.most_common()]
    parts += [f"{count} canvases rejected: {reason}" for reason, count in tally.rejected.most_common()]
    return "; ".join(parts) or "the source is empty"
