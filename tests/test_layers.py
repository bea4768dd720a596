"""Who may import whom: the arrows of `docs/architecture.md`, between rooms and between files, checked on the source."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

import o3gym

ROOT = Path(o3gym.__file__).parent

BASE = ("types", "sampling", "arguments", "calls", "codec", "geometry", "registry", "specs", "append_log", "latex")
ROOMS: dict[str, tuple[str, ...]] = {
    "media": BASE,
    "worlds": BASE,
    "sandbox": BASE,
    "tools": (*BASE, "media", "worlds", "sandbox"),
    "dialects": (*BASE, "worlds", "tools"),
    "suites": (*BASE, "media", "worlds"),
    "judges": (*BASE, "worlds", "policies"),
    "rewards": (*BASE, "worlds", "judges"),
    "envs": (*BASE, "media", "worlds", "sandbox", "tools", "dialects", "suites", "rewards"),
    "policies": (*BASE, "media", "worlds", "tools", "dialects"),
    "rollout": (*BASE, "media", "dialects", "policies"),
    "runs": (*BASE, "media", "worlds", "judges"),
    "bench": (*BASE, "sandbox", "dialects", "suites", "judges", "rewards", "envs", "policies", "rollout", "runs"),
    "train": (
        *(*BASE, "media", "worlds", "tools", "dialects", "suites", "judges", "rewards", "envs", "policies"),
        *("rollout", "runs", "bench"),
    ),
    "synthesis": (
        *(*BASE, "media", "tools", "dialects", "suites", "rewards", "envs", "policies", "rollout", "runs"),
        *("bench", "train"),
    ),
    "testing": (
        *(*BASE, "env_ids", "media", "worlds", "sandbox", "tools", "dialects", "suites", "judges", "rewards", "envs"),
        *("policies", "rollout", "runs", "synthesis", "train"),
    ),
    "cli": (
        *(
            "",
            "arguments",
            "registry",
            "specs",
            "types",
            "sampling",
            "env_ids",
            "suites",
            "runs",
            "bench",
            "testing",
            "train",
        ),
        "synthesis",
    ),
}
"""Each room, and the rooms and root modules it may import, in the order of the layers: nothing points back."""

ROOT_MODULES: dict[str, tuple[str, ...]] = {
    "": ("calls", "env_ids", "sampling", "types"),
    "arguments": (),
    "calls": ("types",),
    "codec": (),
    "registry": ("released_suites",),
    "released_suites": (),
    "specs": ("registry",),
    "env_ids": (),
    "latex": (),
    "append_log": (),
    "sampling": ("arguments",),
    "types": ("codec", "sampling"),
    "geometry": ("types",),
    "__main__": ("cli",),
}
"""The modules that lie in the root, and what they may import."""

RULES = ("base", "rules", "answers", "released", "golden", "lmms_eval", "mathvista", "chartqapro", "plans")
"""The modules of `judges` that ask no model."""
FORBIDDEN = [
    # The two sides meet in `rollout` and nowhere else.
    ("envs", "policies"),
    ("envs", "rollout"),
    ("policies", "envs"),
    ("policies", "rollout"),
    # Judges that ask a model need a policy. They are loaded by their registered names only, so environments and
    # rewards, which import the other judges, never import policies through them.
    *((f"judges.{name}", "policies") for name in RULES),
    *((room, "judges.asking") for room in ROOMS if room != "judges"),
    ("judges.rules", "judges.asking"),
    # The judge of reasoning judges answers as the model judge does, and extends it.
    *((room, "judges.model") for room in ROOMS if room != "judges"),
    *((f"judges.{name}", "judges.model") for name in (*RULES, "rubric", "asking", "cache")),
    ("*", "judges.rubric"),
    ("*", "judges.reasoning"),
    # A run must be readable on a machine that cannot play it.
    ("runs", "envs"),
    ("runs", "policies"),
    ("runs", "rollout"),
    # Plug-ins are imported by the registry, by name. What others may use of a room is its base and its shared parts.
    ("envs", "dialects.tagged"),
    ("envs", "suites.synthetic"),
    ("suites.scenes", "media"),
    ("suites.scenes", "suites.synthetic"),
    ("policies.openai", "policies.local"),
    ("rollout", "policies.openai"),
    ("rollout", "policies.local"),
    ("bench", "policies.openai"),
    ("bench", "policies.local"),
    # Data is made without a trainer.
    ("synthesis", "train.sft"),
    ("synthesis", "train.grpo"),
    ("synthesis", "train.planning"),
    # A running benchmark writes its page; a page never starts a benchmark.
    ("runs", "bench"),
    ("bench.workers", "bench.run"),
    ("bench.definition", "bench.run"),
    ("bench.definition", "bench.workers"),
    # The shared half of training knows no trainer.
    ("train.data", "train.grpo"),
    ("train.sft", "train.grpo"),
    ("train.recipe", "train.sft"),
    ("train.recipe", "train.grpo"),
]
"""Arrows between files that the table of rooms would let through: (importing, imported); "*" is everybody else."""


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
    text = path.read_text("utf-8")
    nodes = set(ast.walk(ast.parse(text)))
    if not typing and "TYPE_CHECKING" in text:
        checked = [node for node in nodes if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)]
        nodes -= {inner for node in checked for inner in ast.walk(node)}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = ["o3gym", *package.split(".")] if package else ["o3gym"]
            base = ".".join(above[: len(above) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            found |= {f"{module}.{alias.name}" for alias in node.names}
    inside = {name.removeprefix("o3gym").lstrip(".") for name in found if name.split(".")[0] == "o3gym"}
    return {name if name in MODULES else name.rpartition(".")[0] for name in inside}


@lru_cache
def graph() -> dict[str, set[str]]:
    """What each module imports. Made when it is first asked for: every worker of pytest-xdist imports this file, and
    not every worker runs its tests.
    """
    return {name: imports(path) - {name} for name, path in MODULES.items()}


def room_of(name: str) -> str:
    return name.partition(".")[0]


def under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def test_modules_import_only_rooms_that_lie_below_their_own() -> None:
    for name in MODULES:
        room = room_of(name)
        assert room in ROOMS or name in ROOT_MODULES, f"o3gym.{name} lies in no room of the table"
        allowed = {room, *ROOMS[room]} if room in ROOMS else set(ROOT_MODULES[name])
        wrong = {other for other in graph()[name] if room_of(other) not in allowed}
        assert not wrong, f"o3gym.{name} imports {sorted(wrong)}"


@pytest.mark.parametrize(("importing", "imported"), FORBIDDEN, ids=lambda name: name.replace("*", "all"))
def test_forbidden_arrows_between_files(importing: str, imported: str) -> None:
    files = {name for name in MODULES if importing == "*" and not under(name, imported)} or {
        name for name in MODULES if under(name, importing)
    }
    assert files, f"no module o3gym.{importing}: the rule is out of date"
    assert any(under(name, imported) for name in MODULES), f"no module o3gym.{imported}: the rule is out of date"
    wrong = {name: sorted(o for o in graph()[name] if under(o, imported)) for name in sorted(files)}
    assert not {name: others for name, others in wrong.items() if others}


def test_the_tables_have_no_room_too_many_and_no_arrow_back() -> None:
    assert set(ROOMS) == {room_of(name) for name in MODULES} - set(ROOT_MODULES)
    assert set(ROOT_MODULES) <= set(MODULES)
    order = [*ROOT_MODULES, *ROOMS]
    back = {
        (room, other) for room, others in ROOMS.items() for other in others if order.index(other) > order.index(room)
    }
    # Judges lie below the environments and the model judge above the policies: FORBIDDEN keeps the two apart.
    assert back == {("judges", "policies")}


def test_every_arrow_of_the_table_is_used() -> None:
    drawn = {(room, other) for room in ROOMS for other in ROOMS[room] if other not in ROOT_MODULES}
    used = {(room_of(name), room_of(other)) for name, others in graph().items() for other in others}
    assert drawn - used == set(), "arrows that nothing needs any more: take them out of ROOMS"


def test_the_picture_of_the_architecture_draws_the_rooms() -> None:
    page = (ROOT.parent / "docs" / "architecture.md").read_text("utf-8")
    arrows = re.search(r"## Arrows\n(.*?)\n## ", page, re.S)
    assert arrows
    assert [room for room in ROOMS if not re.search(rf"\b{room}\b", arrows[1])] == []


def test_imports_make_no_circle() -> None:
    loaded_at_once = {name: imports(path, typing=False) - {name} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, "circle: " + " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for other in sorted(loaded_at_once.get(name, ())):
                visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def test_files_have_a_subject_and_a_readable_length() -> None:
    for name, path in MODULES.items():
        assert path.stem not in ("utils", "util", "helpers", "helper", "manager", "misc", "common"), name
        assert len(path.read_text("utf-8").splitlines()) <= 400, name


HEAVY = (
    "torch",
    "transformers",
    "trl",
    "vllm",
    "openai",
    "httpx",
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


def loaded(code: str) -> list[str]:
    """Which of HEAVY a fresh interpreter has imported after `code`."""
    code += f"\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names: list[str] = ast.literal_eval(done.stdout.splitlines()[-1])
    return names


@pytest.mark.parametrize(
    "code",
    [
        "import o3gym",
        "import gymnasium, o3gym\ngymnasium.make('o3gym/Synthetic-hidden-easy-v0').reset(seed=0)",
        "from o3gym.cli.main import main",
    ],
    ids=["the package", "an environment", "the command line"],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert loaded(code) == []
