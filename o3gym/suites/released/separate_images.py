"""Training sets whose image files come apart from their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from o3gym.suites.released.base import Released
from o3gym.suites.released.fields import is_file, picture
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

    def picture(self, *names: str, field: str = "image") -> Source:
        """The first of these files that exists in the image folder."""
        root = Path(self.images) if self.images else self.root if self.root.is_dir() else self.folder
        name = next((name for name in names[1:] if is_file(root / name)), names[0])
        return picture(root, name, field, self._roots)
