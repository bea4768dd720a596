"""`o3gym list`."""

from __future__ import annotations

from pathlib import Path

import pytest

from o3gym import registry
from o3gym.cli import console
from o3gym.cli.listing import LISTED_KINDS
from o3gym.cli.main import main
from o3gym.registry import Registry


@pytest.mark.parametrize("kind", [kind for kind in LISTED_KINDS if kind != "envs"])
def test_a_broken_plug_in_is_named_and_the_rest_is_listed(
    kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(console.out, "_width", 1000)
    faults = {"raises": "1 / 0", "exits": "raise SystemExit(3)", "imports": "import no_such_package"}
    entries: Registry = getattr(registry, kind.upper())
    monkeypatch.setattr(entries, "_paths", {**entries._paths})
    for name, code in faults.items():
        (tmp_path / f"broken_{kind}_{name}.py").write_text(code)
        entries.register(f"broken-{name}", f"broken_{kind}_{name}:Plugin")
    entries.register("broken-attribute", "o3gym.types:NoSuchThing")
    entries.register("broken-place", "nowhere")
    assert main(["list", f"--{kind.replace('_', '-')}"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for name, reason in (
        ("raises", "ZeroDivisionError: division by zero"),
        ("exits", "SystemExit: 3"),
        ("imports", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("attribute", "AttributeError: module 'o3gym.types' has no attribute 'NoSuchThing'"),
        ("place", "ValueError: expected"),
    ):
        assert f"broken-{name} broken: {reason}" in said
    assert all(name in said for name in entries if name != "noop")


def test_list_names_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for name in (
        "o3gym/Synthetic-hidden-hard-v0",
        "o3gym/Planning-MiniBehaviour-v0",
        "planning-frozenlake",
        "draw_state",
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
