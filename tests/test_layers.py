"""Who may import whom: the arrows of the architecture, checked on the source text."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import o3gym

ROOT = Path(o3gym.__file__).parent

BASE = ("codec", "types", "geometry", "registry")
PLUGINS = ("tools.base", "suites.base", "dialects.base", "policies.base", "rewards.base", "envs.visual_search")
SEEING = ("images", "dialogue", "policies.encoding", "policies.processors")
ALLOWED: dict[str, tuple[str, ...]] = {
    "": ("registry", "types"),
    # values and pixels
    "codec": (),
    "registry": (),
    "types": ("codec",),
    "geometry": ("types",),
    "packed": ("types", "registry"),
    "images": ("types", "geometry", "registry", "packed"),
    "canvas": ("types", "geometry", "registry", "images"),
    # plug-ins
    "tools": ("types", "geometry", "registry", "tools"),
    "spaces": ("types", "images", "tools.base"),
    "suites": (*BASE, "images", "packed", "suites"),
    "suites.scenes": ("types", "geometry", "suites.scenes"),
    "dialects": (*BASE, "tools.base", "dialects"),
    "dialogue": ("types", "images", "tools.base", "dialects.base"),
    "answers": (),
    "judging": (*BASE, "answers"),
    "official": ("types", "judging"),
    "verdicts": (),
    "model_judge": ("types", "registry", "answers", "judging", "dialogue", "verdicts", "policies.openai"),
    "rewards": (*BASE, "answers", "judging", "rewards"),
    # the two sides, which never meet
    "envs": (*BASE, "images", "canvas", "spaces", "tools", "suites.base", "dialects.base", "rewards.base", "envs"),
    "envs.episode": (*BASE, "images", "tools.base", "rewards.base", "envs.controls"),
    "envs.controls": (*BASE, "tools.base"),
    "policies": (*BASE, "dialogue", "dialects.base", "dialects.openai", "policies"),
    # what reads trajectories
    "regions": ("types", "geometry"),
    "measures": ("types", "geometry", "answers", "regions"),
    "metrics": ("types", "regions", "measures"),
    "tables": ("metrics",),
    "chart": (),
    "report": ("types", "codec", "registry", "metrics", "tables", "chart"),
    "store": ("types", "codec"),
    "comparison": ("registry", "metrics", "store"),
    "exports": ("types", "codec", "registry", "judging", "metrics", "store", "exports"),
    "viewer": ("types", "codec", "geometry", "images", "canvas", "regions", "tables", "report", "store", "viewer"),
    # where they meet
    "live": ("types", "images", "dialogue", "rollout"),
    "polling": ("types", "dialogue", "policies.base"),
    "rollout": ("types", "dialogue", "dialects.base", "policies.base", "live", "polling"),
    "delegation": ("codec", "registry", "dialects.base", "policies.base", "policies.two_agent", "rollout"),
    "testing": (*BASE, "images", "rollout", *PLUGINS),
    "bench": (
        *(*BASE, "judging", "rewards.settle", "rollout", "delegation", "workers", "store", "report", "viewer"),
        *("dialogue", "policies.two_agent", *PLUGINS),
    ),
    "workers": ("dialects.base", "policies.base", "rollout", "delegation", "types"),
    "ray_bench": ("registry", "types", "policies.base", "rollout", "delegation", "store", "bench", "workers"),
    "train": (*BASE, *SEEING, "judging", "rewards", "rollout", "store", "bench", "train", *PLUGINS),
    "train.grpo_recipe": ("registry", "policies.two_agent", "train"),
    "train.in_loop": (*BASE, "judging", "rewards", "rollout", "delegation", "policies.two_agent", "train", *PLUGINS),
    "train.samplers": (
        *("registry", "train", "policies.base", "policies.encoding", "policies.processors"),
        *("policies.transformers", "policies.vllm", "policies.vllm_server"),
    ),
    "train.tiny": (*BASE, *SEEING, "dialects.grid", "suites.synthetic", "suites.scenes", "policies.tiny", "train.tiny"),
    "suites.collages": (*BASE, "images", "suites.collages", "suites.scenes.painter"),
    "suites.collages.placement": ("types",),
    "synthesis": (
        *(*BASE, "images", "dialogue", "judging", "rewards", "rollout", "store", "bench", "synthesis", *PLUGINS),
        *("packed", "suites.collage", "suites.collages"),
    ),
    "synthesis.questions": (
        *(*BASE, "images", "dialogue", "store", "bench", "policies.base", "suites.base", "suites.fields"),
        *("suites.rows", "suites.synthetic", "synthesis.difficulty", "synthesis.files", "synthesis.journal"),
        "synthesis.questions",
    ),
    "synthesis.detectors": (*BASE, "images", "suites.synthetic", "synthesis.detectors"),
    "synthesis.region_rules": ("types", "geometry", "synthesis.detectors.base"),
    "synthesis.journal": ("store",),
    "cli": (
        *("types", "registry", "bench", "workers", "ray_bench", "comparison", "exports", "report", "store", "testing"),
        *("train", "synthesis"),
    ),
    "__main__": ("cli",),
}
"""Module or package to what it may import. The longest prefix counts, here and on the right."""

BARRED = {
    "policies": ("envs", "rollout"),
    "envs": ("policies", "rollout"),
    "store": ("envs", "policies", "rollout"),
    "report": ("envs", "policies", "rollout"),
    "viewer": ("envs", "policies", "rollout"),
    "exports": ("envs", "policies", "rollout"),
}
"""Said once more, so that a loosened table does not let these through."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(path: Path, typing: bool = True) -> set[str]:
    """Modules of o3gym that a file imports anywhere in it, function bodies included, and for `typing` what only
    annotations need.
    """
    found: set[str] = set()
    package = name_of(path) if path.stem == "__init__" else name_of(path).rpartition(".")[0]
    tree = ast.parse(path.read_text("utf-8"))
    checked = [
        node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    ]
    unused = set() if typing else {inner for node in checked for inner in ast.walk(node)}
    for node in set(ast.walk(tree)) - unused:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ["o3gym", *package.split(".")] if package else ["o3gym"]
            base = ".".join(above[: len(above) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    inside = {name.removeprefix("o3gym").lstrip(".") for name in found if name.split(".")[0] == "o3gym"}
    return {name if name in MODULES else name.rpartition(".")[0] for name in inside}


GRAPH = {name: imports(path) - {name} for name, path in MODULES.items()}


def under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_what_lies_below_it(name: str) -> None:
    rules = [prefix for prefix in ALLOWED if under(name, prefix)]
    assert rules, f"o3gym.{name} has no layer: add it to ALLOWED"
    allowed = ALLOWED[max(rules, key=len)]
    wrong = {other for other in GRAPH[name] if not any(under(other, prefix) for prefix in allowed)}
    assert not wrong, f"o3gym.{name} imports {sorted(wrong)}"
    barred = [other for side, others in BARRED.items() if under(name, side) for other in others]
    assert not any(under(other, prefix) for other in GRAPH[name] for prefix in barred)


def test_the_table_names_only_modules_that_may_exist() -> None:
    planned = {"train", "__main__"}
    assert [name for name in ALLOWED if name not in MODULES and name not in planned] == []


def test_imports_make_no_circle() -> None:
    graph = {name: imports(path, typing=False) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "circle: " + " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


@pytest.mark.parametrize("name", MODULES)
def test_files_have_a_subject_and_a_readable_length(name: str) -> None:
    path = MODULES[name]
    assert path.stem not in ("utils", "util", "helpers", "helper", "manager", "misc", "common")
    assert len(path.read_text("utf-8").splitlines()) <= 400


HEAVY = (
    "torch",
    "transformers",
    "trl",
    "vllm",
    "openai",
    "aiohttp",
    "stable_baselines3",
    "pandas",
    "pyarrow",
    "pygame",
    "ray",
    "rapid_layout",
    "onnxruntime",
    "PIL.ImageQt",
)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, time\nimport gymnasium, numpy\nstart = time.perf_counter()\nimport o3gym\n"
        f"print(time.perf_counter() - start)\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    )
    seconds, loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    print(f"import o3gym: {float(seconds):.3f} s beyond gymnasium and numpy (meant to be under 0.3 s)")
    assert loaded == "[]"


def test_making_an_environment_loads_nothing_heavy() -> None:
    code = (
        "import sys\nimport gymnasium, o3gym\nenv = gymnasium.make('o3gym/Synthetic-hidden-easy-v0')\n"
        f"env.reset(seed=0)\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
