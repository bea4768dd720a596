from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest

from o3gym import registry
from o3gym.registry import ENVS, MissingPackage, Registry, UnknownName, parse_spec, require
from o3gym.runs.suite_metrics import Measure
from o3gym.tools.crop import Crop
from o3gym.tools.zoom import Zoom

REGISTRIES = [value for value in vars(registry).values() if isinstance(value, Registry)]


@pytest.mark.parametrize(("kind", "name"), [(r.kind, name) for r in REGISTRIES for name in r])
def test_every_entry_can_be_imported(kind: str, name: str) -> None:
    found = next(r for r in REGISTRIES if r.kind == kind)
    assert callable(found[name]) or isinstance(found[name], Measure) or found[name].name == name


def test_every_registered_id_can_be_made() -> None:
    for name in ENVS:
        env = gym.make(name)
        assert env.unwrapped.suite is not None
        env.close()


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName, match=r'^unknown tool "corp"; did you mean "crop"\? \(known: answer, crop, '):
        registry.TOOLS["corp"]
    with pytest.raises(ValueError, match=r'^unknown reward "xyzzy" \(known: '):
        registry.REWARDS["xyzzy"]
    assert registry.TOOLS.get("corp") is None
    assert "corp" not in registry.TOOLS
    assert "crop" in registry.TOOLS


def test_listing_names_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = Registry("tool", {"a": "no.such.module:A"})
    assert (list(lazy), len(lazy), "a" in lazy) == (["a"], 1, True)
    with pytest.raises(ModuleNotFoundError):
        lazy["a"]


def test_third_parties_register_objects_and_paths() -> None:
    tools = Registry("tool", {"crop": "o3gym.tools.crop:Crop"})
    tools.register("mine", Crop)
    tools.register("later", "o3gym.tools.crop:Crop")
    assert tools["mine"] is tools["later"] is tools["crop"] is Crop
    with pytest.raises(ValueError, match=r'tool "mine" is already registered as o3gym.tools.crop:Crop'):
        tools.register("mine", Crop)
    with pytest.raises(ValueError, match='tool "crop" is already registered'):
        tools.register("crop", "elsewhere:Crop")


def test_entry_points_are_read_when_a_name_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    groups: list[str] = []

    def entry_points(group: str) -> list[EntryPoint]:
        groups.append(group)
        return [
            EntryPoint("enhance", "o3gym.tools.crop:Crop", group),
            EntryPoint("crop", "evil:Crop", group),
            EntryPoint("zoom", "evil:Zoom", group),
        ]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    tools = Registry("tool", {"crop": "o3gym.tools.crop:Crop", "zoom": "o3gym.tools.zoom:Zoom"})
    assert tools["crop"] is Crop
    assert groups == []
    assert tools["enhance"] is Crop
    assert groups == ["o3gym.tools"]
    assert (tools["crop"], tools["zoom"]) == (Crop, Zoom)  # built-in names cannot be taken over
    assert Registry("policy", {})["enhance"] is Crop
    assert groups[1:] == ["o3gym.policies"]


@pytest.mark.parametrize(
    ("spec", "parts"),
    [
        ("synthetic", ("synthetic", "", {})),
        ("local:photos/index.jsonl", ("local", "photos/index.jsonl", {})),
        ("local:C:\\photos", ("local", "C:\\photos", {})),
        (
            'a:b?n=3&x=0.5&on=true&name=x=y&list=[1,"2"]&text="5"&none=null',
            ("a", "b", {"n": 3, "x": 0.5, "on": True, "name": "x=y", "list": [1, "2"], "text": "5", "none": None}),
        ),
        ("a?", ("a", "", {})),
        ("a?k=", ("a", "", {"k": ""})),
        ("local:a(b, c=d).jsonl", ("local", "a(b, c=d).jsonl", {})),
        ("two(a=x?k=1, b = y(c=z,d=w))", ("two", "", {"a": "x?k=1", "b": "y(c=z,d=w)"})),
        ("two(a=x?list=[1, k=2]&s=p,q)", ("two", "", {"a": "x?list=[1, k=2]&s=p,q"})),
    ],
)
def test_specs_are_split_and_their_values_read_as_json(spec: str, parts: Any) -> None:
    assert parse_spec(spec) == parts


def test_an_option_without_value_is_refused() -> None:
    with pytest.raises(ValueError, match='"family" in "synthetic\\?n=3&family": expected key=value'):
        parse_spec("synthetic?n=3&family")


def test_a_missing_package_is_answered_with_its_pip_line() -> None:
    for name in ("o3gym_no_such_package", "o3gym_no_such_package.sub.module"):
        with pytest.raises(MissingPackage, match=r'is not installed; run pip install "o3gym\[train\]"'):
            require(name, "train")
    assert require("json", "train") is sys.modules["json"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(code: str) -> str:
        name = f"broken_{abs(hash(code))}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code.replace("SELF", name))
        return name

    return make


@pytest.mark.parametrize(
    "code",
    [
        "import o3gym_no_such_dependency",
        "import SELF._native",  # its compiled part is missing
        "from json import no_such_name",
        "raise ImportError('libcudart.so.12: cannot open shared object file', name='SELF._C')",
        "raise ImportError('bare')",
        "1 / 0",
    ],
)
def test_a_broken_package_shows_its_own_error(package: Callable[[str], str], code: str) -> None:
    with pytest.raises((ImportError, ZeroDivisionError)) as caught:
        require(package(code), "train")
    assert not isinstance(caught.value, MissingPackage)
