"""Reports reward terms and totals that cannot be computed, in one line with their number and the first episodes."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from o3gym.types import EpisodeKey

NAMED_FAULTS = 3
"""Number of faults that the summary quotes."""
_NAME = re.compile(r'[^"]*"[^"]*"')
_logger = logging.getLogger(__name__)


class RewardFault(NamedTuple):
    """A reward term or a total that cannot be computed.

    Attributes:
        episode: key of the episode, for a group term of the group's first episode.
        error: what is wrong, with the name of the term or reward.
        group: name of the group for a group term, else "".
        total: whether it is the total.
    """

    episode: EpisodeKey
    error: str
    group: str = ""
    total: bool = False

    def __str__(self) -> str:
        who = f"group {self.group} with episode {self.episode}" if self.group else f"episode {self.episode}"
        return f"{who}: {self.error}"


def warn_of_faults(faults: Sequence[RewardFault]) -> None:
    """Logs one line about all faults, if there are any: their number, how many each term has, and the first ones."""
    if not faults:
        return
    counts = Counter(found[0] if (found := _NAME.match(fault.error)) else fault.error for fault in faults)
    terms = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    values = "1 reward value" if len(faults) == 1 else f"{len(faults)} reward values"
    left = len(faults) - NAMED_FAULTS
    quoted = "; ".join(map(str, faults[:NAMED_FAULTS])) + (f"; and {left} more" if left > 0 else "")
    _logger.warning("%s could not be computed (%s): %s", values, terms, quoted)
