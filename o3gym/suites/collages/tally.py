"""How often collages are made and why not."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CollageTally:
    """What became of everything that was tried.

    Attributes:
        accepted: collages.
        rejected: canvases that were given up, by reason; see `Rejected`, and "label": no corner of a core is
            free of targets.
        given_up: targets for which no canvas was accepted.
        skipped: tasks of the source that cannot be a target or a filler, by reason.
    """

    accepted: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    given_up: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def tried(self) -> int:
        """Canvases."""
        return self.accepted + sum(self.rejected.values())

    def __add__(self, other: CollageTally) -> CollageTally:
        return CollageTally(
            self.accepted + other.accepted,
            self.rejected + other.rejected,
            self.given_up + other.given_up,
            self.skipped + other.skipped,
        )


def reasons(tally: CollageTally) -> str:
    """Counts of all reasons, most frequent first, in words."""
    parts = [f"{count} skipped: {reason}" for reason, count in tally.skipped.most_common()]
    parts += [f"{count} canvases rejected: {reason}" for reason, count in tally.rejected.most_common()]
    return "; ".join(parts) or "it has none"
