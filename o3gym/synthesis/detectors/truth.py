"""`truth`: layouts that are known, of synthetic scenes and of annotated pictures."""

from __future__ import annotations

from o3gym.suites.synthetic import true_blocks
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page


class Truth(Detector):
    """Layouts that are known: of synthetic scenes, and else the boxes of the suite's tasks, labelled with classes.

    The families chart and region (its walls of panels) of the synthetic suite have a layout of titles and charts. A
    `local` file whose boxes are labelled "table", "figure_title", … hands in a layout made by people.
    """

    def detect(self, page: Page) -> list[LayoutBlock]:
        """Blocks with score 1; none where nothing is known."""
        if page.source.kind == "generated" and page.source.ref == "synthetic":
            return [LayoutBlock(box, label) for label, box in true_blocks(page.source)]
        return [LayoutBlock(target.box, target.label) for target in page.targets]
