"""Training sets whose image files come apart from their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import picture
from o3gym.types import Source


class SeparateImages(Released):
    """A training set whose image files are not in its hub repository, or only in archives there.

    Args:
        images: folder of the image files; by default the data folder.
        options: the options of every released suite.
    """

    splits: ClassVar[tuple[str, ...]] = ("train",)

    def __init__(self, argument: str = "", split: str = "test", *, images: str = "", **options: Any) -> None:
        self.images = images
        super().__init__(argument, split, **options)

    def picture(self, *names: str) -> Source:
        """The first of these files that exists in the image folder."""
        root = Path(self.images) if self.images else self.root if self.root.is_dir() else self.folder
        for name in names[1:]:
            if (root / name).is_file():
                return Source.file(str(root / name))
        return picture(root, names[0], "image")
