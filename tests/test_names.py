"""One public name, one meaning: no two modules define the same one."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from pathlib import Path

import pytest

import o3gym

ROOT = Path(o3gym.__file__).parent
LAZY = {"torch", "transformers", "trl", "datasets"}
"""Other packages' modules, bound where they are first needed: they mean the same everywhere."""


def defined(node: ast.stmt) -> list[str]:
    """The names that a statement at module level defines; imports define nothing new."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]


@functools.cache
def public_names(root: Path) -> dict[str, list[str]]:
    """Each public name and the modules that define it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        body = ast.parse(path.read_text("utf-8")).body
        for name in {name for node in body for name in defined(node)}:
            if not name.startswith("_"):
                found[name].append(str(path.relative_to(root)))
    return found


def test_no_two_modules_define_the_same_public_name() -> None:
    names = public_names(ROOT)
    assert len(names) > 800, "the test has lost sight of the package"
    assert {name: places for name, places in names.items() if len(places) > 1 and name not in LAZY} == {}


def test_a_name_that_is_defined_twice_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Row:\n    def size(self): ...\n\nA, B = 1, 2\n_KEY = 3\n")
    (tmp_path / "two.py").write_text("Row: int = 3\nfrom one import A\n_KEY = 4\ndef size(): ...\n")
    names = public_names(tmp_path)
    assert {name for name, places in names.items() if len(places) > 1} == {"Row"}
    assert names["B"] == ["one.py"]


FORBIDDEN = ("Manager", "Handler", "Helper", "Util")


@pytest.mark.parametrize("word", FORBIDDEN)
def test_no_name_says_nothing(word: str) -> None:
    assert [name for name in public_names(ROOT) if word in name] == []


FOUND = {
    "where a box becomes pixels": ("tools/size_rules.py", "def mini_o3_size"),
    "where an option letter is read out of an answer": ("judges/answers.py", "def read_letter"),
    "where a run is resumed": ("runs/store.py", "class RunStore"),
    "where the loss mask of demonstrations is made": ("train/loss_mask.py", "def training_row"),
    "where the loss mask of rollouts is made": ("train/loss_mask.py", "def sample_row"),
    "where advantages are normalised": ("train/grpo/advantages.py", "def advantages"),
    "where a picture is decoded": ("media/images.py", "class ImageStore"),
    "where a reply is retried": ("policies/openai/policy.py", "def retry_after"),
    "where V* rows are read": ("suites/released/vstar.py", "class VStar"),
    "where the page's legend is drawn": ("runs/viewer/episode.js", "function legend"),
    "where a searcher's episode is started": ("rollout/loop.py", "def _child"),
}
"""What a newcomer looks for, knowing only the names of the folders: the file, and what stands in it."""


@pytest.mark.parametrize("question", FOUND)
def test_what_a_newcomer_looks_for_is_where_the_table_says(question: str) -> None:
    path, text = FOUND[question]
    assert text in (ROOT / path).read_text("utf-8")


def test_the_table_of_the_architecture_names_files_that_exist() -> None:
    page = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    places = {word.strip("`,.;") for word in page.split() if word.strip("`,.;").startswith("o3gym/")}
    missing = [place for place in sorted(places) if not (ROOT.parent / place).exists() and "-v0" not in place]
    assert places
    assert missing == []
