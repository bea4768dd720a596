"""`reader`: answers what it can read, as a policy whose eyesight has a known limit."""

from __future__ import annotations

import numpy as np

from o3gym.arguments import check_whole
from o3gym.calls import crop
from o3gym.geometry import coverage, surround
from o3gym.policies.dialogue import Privileged
from o3gym.policies.scripted import Scripted, guess, true_call
from o3gym.types import Call, Target, View


class Reader(Scripted):
    """Answers correctly if its views show every target large enough to be read, and otherwise guesses.

    Until then it looks at the next target that it cannot read yet, as long as it has turns and the tool crop. So it
    tells tasks that need a search from others: without tools it solves those with large targets, with a crop of the
    right place those whose pictures have the detail, and the rest only by chance. A target counts as read if a view
    shows it whole, with at least `side` pixels of the picture on its shorter side.

    Args:
        side: that number of pixels. The default is ours.
    """

    def __init__(self, side: int = 24) -> None:
        super().__init__()
        check_whole("side", side, 1)
        self.side = side

    def choose(self, privileged: Privileged, rng: np.random.Generator) -> tuple[Call, str]:
        """Returns a crop of the first target that no view shows legibly, or the final call."""
        unread = [target for target in privileged.task.targets if not self._is_read(target, privileged.views)]
        if not unread:
            return true_call(privileged), "I can read it."
        if "crop" not in privileged.tools or privileged.turns_left <= 1:
            return guess(privileged, rng), "It is too small to be read, so I will guess."
        return crop(surround(unread[0].box), unread[0].source), "It is too small to be read, so I look closer."

    def _is_read(self, target: Target, views: tuple[View, ...]) -> bool:
        return any(_pixels(target, view) >= self.side for view in views if view.source == target.source)


def _pixels(target: Target, view: View) -> float:
    """Returns the pixels on the shorter side of a target in a view that shows it whole; 0 in others.

    A region that is enlarged beyond its native size shows no more detail than at that size.
    """
    if coverage(view.box, target.box) < 1 - 1e-6:
        return 0.0
    shown = (min(pair) for pair in zip(view.shown, view.native, strict=True))
    sides = zip(target.box[:2], target.box[2:], view.box[:2], view.box[2:], shown, strict=True)
    return min((high - low) / (end - start) * pixels for low, high, start, end, pixels in sides)
