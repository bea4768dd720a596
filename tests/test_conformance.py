"""Everything registered passes the checks that o3gym ships for plug-ins, and every environment Gymnasium's own."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import o3gym
from o3gym import testing
from o3gym.env_ids import ENVS, PLANNING_ENVS, RELEASED_ENVS
from o3gym.registry import REGISTRIES, SUITES, MissingPackage, Registry, UnknownName
from o3gym.suites.base import make_suite
from o3gym.suites.synthetic import DIFFICULTIES, SCENES
from o3gym.suites.synthetic_video import FILM_DIFFICULTIES, FILM_FAMILIES
from o3gym.testing import plugins
from o3gym.types import Call
from tests.suites.released.released_files import written

SLOW = ("hard",)
IDS = [name for name in ENVS if not any(word in name for word in SLOW)]
ALLOWED = ("A Box observation space", "not in gymnasium registry")
"""Warnings of Gymnasium's checker that are no fault; any other fails."""


SMALL = {"collage": {"megapixels": "0.6-1", "share": 2e-3}, "synthetic_video": {"seconds": 20}}


def environment(name: str, **kwargs) -> gym.Env:
    """Small pictures keep the conformance run short; the geometry is the same at every size."""
    if name in RELEASED_ENVS:
        suite_args = {"data": str(written(RELEASED_ENVS[name]["suite"]))}
        return gym.make(name, suite_args=suite_args, min_pixels=100, max_pixels=60_000, **kwargs)
    small = SMALL.get(ENVS[name].get("suite", ""), {"pixels": 200_000})
    suite_args = {**ENVS[name].get("suite_args", {}), **small}
    if ENVS[name].get("suite") == "synthetic_video":
        kwargs = {"overview_frames": 4, **kwargs}
    return gym.make(name, suite_args=suite_args, min_pixels=1000, max_pixels=60_000, **kwargs)


def test_ids_are_the_families_and_difficulties_of_the_suite() -> None:
    expected = {f"o3gym/Synthetic-{f}-{d}-v0" for f in SCENES for d in DIFFICULTIES}
    expected |= {f"o3gym/SyntheticVideo-{f}-{d}-v0" for f in FILM_FAMILIES for d in FILM_DIFFICULTIES}
    assert set(ENVS) == {"o3gym/VisualSearch-v0", "o3gym/Collage-v0", *expected}
    assert all(name in gym.registry for name in (*ENVS, *PLANNING_ENVS, *RELEASED_ENVS))
    planning = {f"planning-{kwargs['world']}" for kwargs in PLANNING_ENVS.values()}
    assert {kwargs["suite"] for kwargs in RELEASED_ENVS.values()} == set(SUITES) - {
        *("synthetic", "synthetic_video", "local", "collage", "mixed", *planning),
    }


@pytest.mark.parametrize("name", [*ENVS, *RELEASED_ENVS])
def test_gymnasium_check_env(name: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(environment(name).unwrapped, skip_render_check=True)
    assert not [str(w.message) for w in caught if not any(ok in str(w.message) for ok in ALLOWED)]


@pytest.mark.parametrize("name", [*ENVS, *RELEASED_ENVS])
def test_two_instances_repeat_each_other_bit_by_bit(name: str) -> None:
    first, second = (testing.random_steps(environment(name), count=8, seed=1) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("mode", ["rgb_array", "human"])
@pytest.mark.parametrize("name", IDS[:4])
def test_every_render_mode(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    env = environment(name, render_mode=mode)
    monkeypatch.setitem(env.unwrapped.metadata, "render_fps", 0)  # a window waits for the time of the next picture
    env.reset(seed=0)
    env.step(o3gym.crop((0.0, 0.0, 0.5, 0.5)))
    frame = env.render()
    assert frame is None if mode == "human" else frame.shape == (540, 960, 3)
    env.close()


@pytest.mark.parametrize("name", [*IDS, *RELEASED_ENVS])
def test_pickled_environments_go_on_alike(name: str) -> None:
    env = environment(name).unwrapped
    env.reset(seed=3)
    twin = pickle.loads(pickle.dumps(env))
    call = o3gym.crop((0.2, 0.2, 0.9, 0.7))
    (a, *rest), (b, *twins) = env.step(call), twin.step(call)
    assert np.array_equal(a["images"][0], b["images"][0])
    assert rest == twins


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("name", [IDS[0], "o3gym/Synthetic-region-easy-v0"])
def test_vectors_equal_single_environments(name: str, mode: str) -> None:
    kwargs = {"shared_memory": False} if mode == "async" else {}
    small = {
        "suite_args": {**ENVS[name].get("suite_args", {}), "pixels": 200_000},
        "max_pixels": 60_000,
        "min_pixels": 1000,
    }
    envs = gym.make_vec(name, num_envs=2, vectorization_mode=mode, vector_kwargs=kwargs, **small)
    observation, _ = envs.reset(seed=5)
    calls = (o3gym.crop((0.0, 0.0, 0.5, 0.5)), Call("zoom", {"center": [0.5, 0.5]}))
    stepped, rewards, *_ = envs.step(calls)
    for index, call in enumerate(calls):
        env = environment(name)
        alone, _ = env.reset(seed=5 + index)
        assert np.array_equal(observation["images"][index][0], alone["images"][0])
        alone, reward, *_ = env.step(call)
        assert np.array_equal(stepped["images"][index][0], alone["images"][0])
        assert rewards[index] == reward
    envs.close()


ELSEWHERE = {"detector:rapid_layout"}
"""Plug-ins that `make test` does not install the package of; `make test-layout` runs this one."""
PLUGINS = [name for name, _ in plugins._everything() if not name.startswith("env:") and name not in ELSEWHERE]


def checked(plugin: str) -> str:
    ((name, problem),) = testing.check(plugin)
    assert name == plugin
    return problem


@pytest.mark.parametrize("plugin", PLUGINS)
def test_everything_registered_passes_its_check(plugin: str) -> None:
    assert checked(plugin) == ""


def test_every_kind_has_a_check_and_something_to_check() -> None:
    assert set(plugins.CHECKS) == set(REGISTRIES)
    assert {name.partition(":")[0] for name in PLUGINS} == set(REGISTRIES)
    for kind in ("tool", "dialect", "reward", "size_rule", "control", "measure", "generator", "operation", "export"):
        assert {f"{kind}:{name}" for name in REGISTRIES[kind]} <= set(PLUGINS)


def test_checking_everything_names_each_environment() -> None:
    expected = {f"env:{name}" for name in (*ENVS, *PLANNING_ENVS)}
    assert {name for name, _ in plugins._everything() if name.startswith("env:")} == expected


@pytest.mark.parametrize("name", PLANNING_ENVS)
def test_environments_of_visual_planning_pass_the_check(name: str) -> None:
    assert checked(f"env:{name}") == ""


@pytest.mark.parametrize("suite", [f"planning-{kwargs['world']}" for kwargs in PLANNING_ENVS.values()])
def test_planning_suites_repeat_themselves_bit_by_bit(suite: str) -> None:
    first, second = (
        testing.random_steps(gym.make("o3gym/VisualSearch-v0", suite=suite), count=8, seed=1) for _ in range(2)
    )
    assert first == second


OTHERS = "tests.plugins_of_others"


@pytest.mark.parametrize(
    "spec",
    [
        *("tool:Look", "dialect:Letters", "suite:Signs?family=attribute&pixels=60000", "policy:Browse?cells=4"),
        *("control:Blind", "detector:Whole:table?score=0.5", "detector:Whole", "judge:Strict:model", "judge:exact"),
        *("demonstration:Lessons", "reward:OUTCOME", "measure:TURNS", "size_rule:touching", "export:write_log"),
        *("generator:draw_square?side=8", "generator:draw_noise", "operation:darken"),
    ],
)
def test_plugins_of_others_are_checked_by_the_path_of_their_module(spec: str) -> None:
    kind, _, rest = spec.partition(":")
    problem = checked(f"{kind}:{OTHERS}:{rest}")
    assert problem == ("generator: the same arguments give different pixels" if "noise" in spec else "")


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("tool:Outside", r"outside: requests the view \(0\.5, 0\.5, 1\.5, 1\.5\), which is not in its source"),
        ("tool:Wordless", "wordless: Invalid needs a reason"),
        ("tool:Letters", r"tool: expected a o3gym\.tools\.base\.Tool, got Letters\("),
        ("dialect:Deaf", "grid: wrote .* and read Call"),
        ("dialect:Fragile", "UnicodeEncodeError: .* surrogates not allowed"),
        ("suite:Changing", "differs when it is made a second time"),
        ("policy:Failing", "the policy failed: RuntimeError: out of memory"),
        ("control:Endless", r"Endless\.tools leaves no tool that ends an episode"),
        ("control:Erratic", r"Erratic\.call: the same generator state gives"),
        ("detector:Half", r"page chart: \(0\.5, 0\.0, 0\.5, 1\.0\) is empty or not inside the picture"),
        ("detector:Whole?score=2", "expected a score in 0..1, got 2"),
        ("detector:Whole?scores=2", 'has no option "scores"; did you mean "score"'),
        ("judge:agreeable", "tells right from wrong for no kind of task"),
        ("judge:shy_judge", r"answer '': expected a o3gym\.judges\.base\.Judgement, got None"),
        ("judge:agreeable:model", 'judge ".*agreeable" takes no argument and no options'),
        ("demonstration:Forgetful", "demonstration 0 (differs|does not end)"),
        ("reward:ENDLESS_REWARD", r'reward "endless" is inf, expected a finite number'),
        ("reward:TWICE", "twice: its terms share a name: outcome, outcome"),
        ("reward:UNSOURCED", r"outcome\.outcome: source must not be empty"),
        ("measure:EMPTY_FAILS", "ZeroDivisionError"),
        ("size_rule:too_wide", r"too_wide: \(0, 0, 2, 1\) is empty or not inside a view of 1×1 pixels"),
        ("size_rule:refusing", "refuses every box"),
        ("generator:draw_square", "TypeError: .*side"),
        ("operation:brighten", "operation: the same arguments give different pixels"),
        ("operation:describe", r"operation: expected a PIL\.Image\.Image, got 'a picture'"),
        ("generated_size:draw_square", "there is no generator with this name"),
        ("export:write_nothing", "no file was written"),
        ("export:write_elsewhere", "expected files below its folder"),
        ("export:write_torn", "JSONDecodeError"),
        ("tool:Lok", 'module .* has no class or function "Lok"; did you mean "Look"'),
    ],
)
def test_the_fault_of_a_plugin_is_named(spec: str, problem: str) -> None:
    kind, _, rest = spec.partition(":")
    assert re.search(problem, checked(f"{kind}:{OTHERS}:{rest}"))


def test_a_kind_that_does_not_exist_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName, match=r'unknown kind "rewards"; did you mean "reward"\? \(known: tool, .*, env\)'):
        list(testing.check("rewards:outcome"))
    with pytest.raises(UnknownName, match=r'unknown kind "my\.package"'):
        list(testing.check("my.package:Tool"))


@pytest.mark.parametrize("spec", ["corp", "corp:Crop", "corp.tools:Crop"])
def test_a_name_that_does_not_exist_is_answered_with_the_closest(spec: str) -> None:
    assert re.search(r'unknown tool "corp.*or "package\.module:attribute"', checked(f"tool:{spec}"))
    assert 'did you mean "crop"' in checked("tool:corp")


def test_a_module_that_fails_to_import_shows_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torn_plugin.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert checked("tool:torn_plugin:Tool") == "ModuleNotFoundError: No module named 'no_such_package'"


def test_checking_everything_reports_broken_plugins_and_passes_over_missing_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tools = Registry("tool", {"crop": "o3gym.tools.crop:Crop", "broken": "no_such_package:Tool"})
    detectors = Registry("detector", {})
    detectors.register("absent", Absent)
    monkeypatch.setattr(plugins, "REGISTRIES", {"tool": tools, "detector": detectors})
    monkeypatch.setattr(plugins, "CHECKS", {kind: plugins.CHECKS[kind] for kind in ("tool", "detector")})
    monkeypatch.setattr(plugins, "ENVS", {})
    monkeypatch.setattr(plugins, "PLANNING_ENVS", {})
    results = dict(testing.check())
    assert results["tool:crop"] == ""
    assert results["tool:broken"] == "ModuleNotFoundError: No module named 'no_such_package'"
    assert "detector:absent" not in results
    assert checked("detector:absent") == 'a is not installed; run pip install "o3gym[b]"'


class Absent:
    def __init__(self) -> None:
        raise MissingPackage('a is not installed; run pip install "o3gym[b]"')


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize("family", SCENES)
def test_synthetic_tasks(family: str, split: str) -> None:
    testing.check_suite(make_suite("synthetic", split, family=family, pixels=200_000), count=12)
