from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import pytest

from o3gym import registry
from o3gym.cli.main import main
from o3gym.env_ids import ENVS
from o3gym.registry import (
    POLICIES,
    REGISTRIES,
    BrokenPlugin,
    MissingPackage,
    Registry,
    UnknownName,
    import_attribute,
    require,
)
from o3gym.runs.suite_metrics import Measure
from o3gym.specs import parse_spec
from o3gym.tools.code_rules import CodeRule
from o3gym.tools.crop import Crop
from o3gym.tools.time_rules import TimeRule
from o3gym.tools.zoom import Zoom


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, known in REGISTRIES.items() for name in known])
def test_every_entry_can_be_imported(kind: str, name: str) -> None:
    entry = REGISTRIES[kind][name]
    assert callable(entry) or isinstance(entry, Measure | TimeRule | CodeRule) or entry.name == name


def test_every_registry_is_among_the_kinds() -> None:
    tables = [value for value in vars(registry).values() if isinstance(value, Registry)]
    assert {id(table) for table in tables} == {id(table) for table in REGISTRIES.values()}
    assert all(table.kind == kind for kind, table in REGISTRIES.items())


def test_every_registered_id_can_be_made() -> None:
    for name in ENVS:
        env = gym.make(name)
        assert env.unwrapped.suite is not None
        env.close()


def test_an_unknown_name_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName, match=r'^unknown tool "corp"; did you mean "crop"\? \(known: answer, '):
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


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Installs a package with plug-ins in every group, one of them broken; lists the groups that have been read."""
    groups: list[str] = []

    def entry_points(group: str) -> list[EntryPoint]:
        groups.append(group)
        points = [
            EntryPoint("enhance", "o3gym.tools.crop:Crop [fast, gpu]", group),
            EntryPoint("crop", "evil:Crop", group),
            EntryPoint("zoom", "evil:Zoom", group),
            EntryPoint("broken", "no_such_package.module:Tool", group),
            EntryPoint("unreadable", "no attribute", group),
        ]
        return [point._for(SimpleNamespace(name="sharp-eyes")) for point in points]  # type: ignore[attr-defined]

    monkeypatch.setattr(registry, "entry_points", entry_points)
    return groups


def two_tools() -> Registry:
    return Registry("tool", {"crop": "o3gym.tools.crop:Crop", "zoom": "o3gym.tools.zoom:Zoom"})


def test_entry_points_are_read_when_a_name_is_not_found(installed: list[str]) -> None:
    tools = two_tools()
    assert tools["crop"] is Crop
    assert "crop" in tools
    assert installed == []
    assert tools["enhance"] is Crop
    assert installed == ["o3gym.tools"]
    assert (tools["crop"], tools["zoom"]) == (Crop, Zoom)  # built-in names cannot be taken over
    assert Registry("policy", {})["enhance"] is Crop
    assert installed[1:] == ["o3gym.policies"]


NAMES = {"crop", "zoom", "enhance", "broken", "unreadable"}


@pytest.mark.parametrize(
    ("ask", "expected"),
    [(set, NAMES), (len, len(NAMES)), (lambda tools: "enhance" in tools, True), (lambda tools: "no" in tools, False)],
    ids=["iter", "len", "contains", "contains not"],
)
def test_listings_have_the_entry_points_and_import_none(
    ask: Callable[[Registry], Any], expected: Any, installed: list[str]
) -> None:
    tools = two_tools()
    loaded = set(sys.modules)
    assert [ask(tools) for _ in range(3)] == [expected] * 3
    assert installed == ["o3gym.tools"]  # read once
    assert set(sys.modules) == loaded
    assert tools._loaded == {}


def test_a_broken_entry_point_fails_alone(installed: list[str]) -> None:
    tools = two_tools()
    with pytest.raises(BrokenPlugin) as caught:
        tools["broken"]
    assert str(caught.value) == (
        'tool "broken" of the installed package sharp-eyes cannot be loaded from no_such_package.module:Tool: '
        "ModuleNotFoundError: No module named 'no_such_package'"
    )
    with pytest.raises(BrokenPlugin, match=r'ValueError: expected "package\.module:attribute", got "no attribute"'):
        tools["unreadable"]
    assert set(tools) == NAMES
    assert tools["enhance"] is Crop


def test_a_command_names_the_broken_plug_in_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "torn_plugin.py").write_text("class Policy:\n  def act(self\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(POLICIES._paths, "torn", "torn_plugin:Policy")
    monkeypatch.setitem(POLICIES._packages, "torn", "sharp-eyes")
    assert main(["bench", "--policy", "torn", "--episodes", "1", "--no-view", "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert 'policy "torn" of the installed package sharp-eyes cannot be loaded from torn_plugin:Policy: Synta' in said
    assert "Traceback" not in said


def test_damaged_metadata_of_another_package_hides_no_name_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(group: str) -> list[EntryPoint]:
        raise TypeError("expected string or bytes-like object")

    monkeypatch.setattr(registry, "entry_points", damaged)
    tools = two_tools()
    with pytest.warns(UserWarning, match=r"entry points of group o3gym\.tools cannot be read: TypeError"):
        assert list(tools) == ["crop", "zoom"]
    assert len(tools) == 2  # without a second warning, which would be an error here


def test_a_name_of_an_entry_point_is_taken(installed: list[str]) -> None:
    tools = two_tools()
    assert "enhance" in tools
    with pytest.raises(ValueError, match=r'tool "enhance" is already registered as o3gym\.tools\.crop:Crop'):
        tools.register("enhance", Zoom)


def test_attributes_are_imported_by_path() -> None:
    assert import_attribute("o3gym.tools.crop:Crop.apply") is Crop.apply
    for path in ("o3gym.tools.crop", "o3gym.tools.crop:", ":Crop"):
        with pytest.raises(ValueError, match=r'expected "package\.module:attribute"'):
            import_attribute(path)
    with pytest.raises(AttributeError, match="Corp"):
        import_attribute("o3gym.tools.crop:Corp")


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
