"""Random vision-language models as folders, each built when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a model family: one of `vlm_folders.QWEN_CLASSES`, or "idefics3"."""
    from tests.policies.local import vlm_folders

    built: dict[str, str] = {}

    def folder(family: str) -> str:
        if family not in built:
            place: Path = tmp_path_factory.mktemp(family)
            built[family] = vlm_folders.idefics(place) if family == "idefics3" else vlm_folders.qwen(place, family)
        return built[family]

    return folder
