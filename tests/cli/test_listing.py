"""`o3gym list`."""

from __future__ import annotations

import pytest

from o3gym.cli.main import main


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name in (
        "o3gym/Synthetic-hidden-hard-v0",
        "local",
        "mini_o3",
        "oracle",
        "blank_crop",
        "crop",
        "deepeyes",
        "anls",
        "thyme",
    ):
        assert name in said
    assert main(["list", "--judges"]) == 0
    assert "oracle" not in capsys.readouterr().out
