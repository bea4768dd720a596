"""What `packages=` makes importable, and what stays hidden."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from o3gym.sandbox import Sandbox, SandboxUnavailable, Workplace, open_sandbox
from o3gym.sandbox.packages import find_library

Install = Callable[..., None]

FIGURE = """
from PIL import Image

class Figure:
    def savefig(self, file, format):
        Image.new("RGB", (3, 4)).save(file, format)
"""
PYPLOT = """
from matplotlib.figure import Figure
figures = {}
def figure(number=None):
    return figures.setdefault(number or len(figures) + 1, Figure())
def get_fignums():
    return list(figures)
def close(which):
    figures.clear()
def show():
    raise RuntimeError("no screen")
def plot():
    show.__signature__ = None  # pyplot sets attributes of its functions
    return figure()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs small packages into a folder of the path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, files: dict[str, str], *requires: str) -> None:
        information = f"{name.replace('-', '_')}-1.0.dist-info"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {r}" for r in requires)]
        record = "".join(f"{path},,\n" for path in [*files, f"{information}/METADATA", "../../bin/program"])
        for path, text in {
            **files,
            f"{information}/METADATA": "\n".join(lines),
            f"{information}/RECORD": record,
        }.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

    return write


@pytest.fixture(params=["bwrap", "seccomp"])
def open_with(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Sandbox]]:
    opened = []

    def start(packages: str) -> Sandbox:
        try:
            opened.append(open_sandbox(f"{request.param}?packages={packages}"))
        except SandboxUnavailable as error:
            pytest.skip(str(error))
        return opened[-1]

    yield start
    for sandbox in opened:
        sandbox.close()


def test_packages_and_what_they_require_can_be_imported_and_no_others(
    install: Install, open_with: Callable[[str], Sandbox], tmp_path: Path
) -> None:
    install(
        "own-tool", {"own_tool/__init__.py": "import needed\nvalue = needed.value\n"}, 'needed>=1; python_version > "3"'
    )
    install("needed", {"needed.py": "value = 7\n"})
    install("other", {"other/__init__.py": "value = 8\n"})
    with open_with("own-tool").worker() as worker:
        assert worker.run("import own_tool\nown_tool.value").text == "7\n"
        assert worker.run("import other").ended == "error"
        assert worker.run(f"open('{tmp_path}/other/__init__.py').read()").ended == "error"


def test_a_package_that_is_not_installed_is_an_error_with_the_command() -> None:
    with pytest.raises(ValueError, match='packages: "no-such-thing" is not installed; run pip install no-such-thing'):
        open_sandbox("auto?packages=no-such-thing")


def test_a_required_package_that_is_not_installed_is_named(install: Install) -> None:
    install("own-tool", {"own_tool.py": ""}, "no-such-thing>=2", 'never; extra == "all"')
    with pytest.raises(ValueError, match="run pip install no-such-thing"):
        find_library(["own-tool"])


def test_requirements_under_unmet_conditions_and_extras_are_passed_over(install: Install) -> None:
    install("own-tool", {"own_tool.py": ""}, 'colours; sys_platform == "win32"', 'never; extra == "all"')
    assert set(find_library(["own_tool"]).versions) == {"python", "numpy", "pillow", "own-tool"}


def test_of_a_shared_folder_only_the_part_of_the_package_is_readable(install: Install, tmp_path: Path) -> None:
    install("first", {"shared/first/__init__.py": "", "shared/first/data.txt": ""})
    install("second", {"shared/second/__init__.py": ""})
    library = find_library(["first"])
    assert str(tmp_path / "shared/first") in library.readable
    assert not any("second" in path or path.endswith("shared") for path in library.readable)
    assert library.modules == ("shared.first",)


def test_the_folder_of_installed_packages_is_not_readable_as_a_whole() -> None:
    library = find_library([])
    folders = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    assert folders
    assert not set(folders) & set(library.readable)


def test_figures_are_shown(install: Install, open_with: Callable[[str], Sandbox]) -> None:
    files = {"__init__.py": "", "figure.py": FIGURE, "pyplot.py": PYPLOT}
    install("matplotlib", {f"matplotlib/{name}": text for name, text in files.items()})
    with open_with("matplotlib").worker(Workplace(modules={"plt": "matplotlib.pyplot"})) as worker:
        outcome = worker.run("plt.plot()\nplt.figure()\nplt.show()\nplt.show()\nplt.figure()")
        assert (outcome.error, len(outcome.shown)) == ("", 3)
