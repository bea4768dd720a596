"""`truth`: the known layouts of synthetic scenes and of annotated pictures."""

from __future__ import annotations

from o3gym.suites.synthetic import true_blocks
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page


class Truth(Detector):
    """Known layouts: the blocks of synthetic scenes, and for other pictures the labelled targets of their tasks.

    The families chart and region (its walls of panels) of the synthetic suite have a layout of titles and charts. A
    `local` file whose boxes are labelled "table", "figure_title", … supplies a layout made by people.
    """

    def detect(self, page: Page) -> list[LayoutBlock]:
        """Returns the known blocks with score 1, none if the layout is unknown."""
        if page.source.kind == "generated" and page.source.ref == "synthetic":
            return [LayoutBlock(box, label) for label, box in true_blocks(page.source)]
        return [LayoutBlock(target.box, target.label) for target in page.targets]
