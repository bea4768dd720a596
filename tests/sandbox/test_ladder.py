"""The ladder: which rung is taken, what is said when none works, and what specs are refused."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import o3gym.sandbox
from o3gym.sandbox import Limits, SandboxUnavailable, Workplace, open_sandbox
from o3gym.sandbox.bubblewrap import bubblewrap_command
from o3gym.sandbox.probe import Breach, probe
from o3gym.sandbox.sandbox import _open
from o3gym.sandbox.zygotes import ZygoteLost


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Closes what the test has opened under a spec of its own."""
    before = set(_open)
    yield
    for spec in set(_open) - before:
        _open.pop(spec).close()


def works(rung: str) -> bool:
    try:
        open_sandbox(rung)
    except SandboxUnavailable:
        return False
    return True


def break_rungs(monkeypatch: pytest.MonkeyPatch, **reasons: str) -> None:
    """Makes rungs fail as a machine would that lacks something."""
    original = o3gym.sandbox.sandbox.ZygoteProcess  # type: ignore[attr-defined]

    def start(rung: str, *arguments: object) -> object:
        if rung in reasons:
            raise ZygoteLost(reasons[rung])
        return original(rung, *arguments)

    monkeypatch.setattr("o3gym.sandbox.sandbox.ZygoteProcess", start)


def test_auto_takes_the_best_rung() -> None:
    if not works("bwrap"):
        pytest.skip("bubblewrap does not work here")
    assert open_sandbox("auto?wall=59").rung == "bwrap"


def test_auto_takes_the_next_rung_if_the_best_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    if not works("seccomp"):
        pytest.skip("landlock does not work here")
    break_rungs(monkeypatch, bwrap="no namespaces")
    assert open_sandbox("auto?wall=58").rung == "seccomp"


def test_without_any_rung_the_error_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    break_rungs(monkeypatch, bwrap="no namespaces", seccomp="no landlock")
    monkeypatch.setattr("o3gym.sandbox.sandbox.landlock_abi", lambda: 7)
    with pytest.raises(SandboxUnavailable) as caught:
        open_sandbox("auto?wall=57")
    assert "bwrap: no namespaces; seccomp: no landlock" in str(caught.value)
    with pytest.raises(SandboxUnavailable, match="bwrap: no namespaces") as caught:
        open_sandbox("bwrap?wall=57")
    assert "no landlock" not in str(caught.value)


def test_bubblewrap_that_is_missing_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(SandboxUnavailable, match='bubblewrap is not installed; run "apt-get install bubblewrap"'):
        open_sandbox("bwrap?wall=56")


def test_what_bubblewrap_says_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    if not works("bwrap"):
        pytest.skip("bubblewrap does not work here")
    monkeypatch.setattr("o3gym.sandbox.zygotes.bubblewrap_command", lambda path, *_: [path, "--no-such-option"])
    with pytest.raises(SandboxUnavailable, match=r"bwrap: .*no-such-option"):
        open_sandbox("bwrap?wall=55")


def test_old_landlock_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("o3gym.sandbox.sandbox.landlock_abi", lambda: 2)
    with pytest.raises(
        SandboxUnavailable,
        match=r"seccomp: it needs landlock of version 3 \(Linux 6.2\), and this kernel has version 2",
    ):
        open_sandbox("seccomp?wall=54")


def test_trust_is_taken_only_by_name_and_holds_nothing() -> None:
    sandbox = open_sandbox("trust?wall=53")
    with pytest.raises(Breach, match="it does not hold: code reads a file of the user, reads /etc"):
        probe(sandbox.worker(Workplace(last_expression=False)))


def test_a_sandbox_in_which_nothing_works_is_refused() -> None:
    sandbox = open_sandbox("trust?memory=1&wall=52")
    with pytest.raises((Breach, ZygoteLost)):
        probe(sandbox.worker(Workplace(seconds=0.001)))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("docker", 'unknown sandbox "docker"'),
        ("bwarp", 'did you mean "bwrap"'),
        ("bwrap:x", "unknown sandbox"),
        ("auto?memry=3", 'no option "memry"; did you mean "memory"'),
        ("auto?memory=lots", "memory: expected a whole number"),
        ("auto?memory=0", "memory: expected a whole number from 1 up"),
        ("auto?wall=0", "wall: expected a number above 0"),
        ("auto?wall=inf", "wall: expected a number"),
    ],
)
def test_specs_that_are_refused(spec: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("?", r"\?")):
        open_sandbox(spec)


def test_limits_come_from_the_spec() -> None:
    assert open_sandbox("trust?memory=300&wall=0.5").limits == Limits(memory=300, wall=0.5)


@pytest.mark.parametrize(("field", "value"), [("variables", "pixels"), ("seconds", 0), ("seconds", float("nan"))])
def test_workplaces_that_are_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Workplace(**{field: value})  # type: ignore[arg-type]


def test_bubblewrap_shows_the_libraries_and_hides_what_lies_in_them(tmp_path: Path) -> None:
    (tmp_path / "lib/site-packages/own").mkdir(parents=True)
    lib, site, own = (str(tmp_path / name) for name in ("lib", "lib/site-packages", "lib/site-packages/own"))
    words = " ".join(bubblewrap_command("bwrap", [own, lib], [site], {"A": "b"}, ["python"]))
    order = [f"--ro-bind {lib} {lib}", f"--tmpfs {site} --ro-bind {own} {own}", "--remount-ro / -- python"]
    assert words.index("--clearenv") < words.index("--setenv A b")
    places = [words.index(part) for part in order]
    assert places == sorted(places)
    for option in ("--unshare-net", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--clearenv", "--as-pid-1"):
        assert option in words.split()


ALLOWED_INSIDE = ("o3gym.sandbox.inside", "o3gym.sandbox.frames", "o3gym.sandbox.folders", "numpy", "PIL")


def test_code_inside_imports_nothing_else_of_the_package() -> None:
    folder = Path(o3gym.sandbox.__file__).parent
    for path in [*(folder / "inside").glob("*.py"), folder / "frames.py", folder / "folders.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith(ALLOWED_INSIDE), (path, name)
