"""What surrounds the package: workflows, the citation file and the Makefile agree with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import o3gym

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == o3gym.__version__
    assert citation["license"] == "Apache-2.0"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_targets_that_the_makefile_has(path: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    runs = [step["run"] for step in steps(path) if "run" in step]
    called = [target for run in runs for target in re.findall(r"^make ([\w-]+)", run, re.MULTILINE)]
    assert called
    assert set(called) <= targets
    assert all("uses" in step or "run" in step for step in steps(path))


def test_the_tests_run_on_every_python_that_the_package_claims() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13", "3.14"]
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text("utf-8")


def test_the_publishing_workflow_takes_the_version_from_the_package() -> None:
    (command,) = [
        step["run"]
        for step in steps(ROOT / ".github" / "workflows" / "publish.yml")
        if "TAG" in str(step).upper() and "run" in step and "sed" in step["run"]
    ]
    pattern = re.search(r"sed -n 's/(.*?)/\\1/p'", command)
    assert pattern
    line = next(
        line for line in (ROOT / "o3gym" / "__init__.py").read_text("utf-8").splitlines() if "__version__ =" in line
    )
    assert re.fullmatch(pattern[1].replace(r"\(", "(").replace(r"\)", ")"), line)


def test_the_types_of_the_package_are_published() -> None:
    assert (Path(o3gym.__file__).parent / "py.typed").is_file()
