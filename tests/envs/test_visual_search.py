from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import o3gym
from o3gym.calls import noop
from o3gym.envs import VisualSearchEnv
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.types import FULL, Call, Source, Task, Trajectory

Make = Callable[..., VisualSearchEnv]
CHOICE, FREE, BOX, PAIR = range(4)
QUARTER = o3gym.crop((0.0, 0.0, 0.5, 0.5))
BOX_ARG = [0.1, 0.1, 0.5, 0.5]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


# ── Calls that cannot be carried out ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "kind", "reason"),
    [
        (noop("parse", "no JSON in <tool_call>"), "parse", "no JSON in <tool_call>"),
        (noop("void", "neither call nor answer"), "void", "neither call nor answer"),
        (Call("noop", {"kind": "budget", "reason": "lie"}), "parse", "lie"),
        (Call("corp", {"box": BOX_ARG}), "unknown_tool", 'unknown tool "corp"; did you mean "crop"?'),
        (Call("draw", {"boxes": [BOX_ARG]}), "unknown_tool", "(tools: crop, zoom, reuse, answer, locate)"),
        (Call(["crop"], {}), "unknown_tool", "unknown tool"),  # type: ignore[arg-type]
        (Call("crop", {"box": [0, 0, 1]}), "bad_args", "four finite numbers, got [0, 0, 1]"),
        (Call("crop", {"box": BOX_ARG, "colour": 1}), "bad_args", '"colour" is not an argument of crop'),
        (Call("crop", {"box": [0, 0, 1, 10**400]}), "bad_args", "four finite numbers"),
        (Call("crop", {"box": nested(100_000)}), "bad_args", "four finite numbers"),
        (Call("crop", {"box": BOX_ARG, "view": 10**5000}), "bad_args", "the number of a view"),
        (Call("crop", None), "bad_args", "must be an object, got NoneType"),  # type: ignore[arg-type]
        (Call("zoom", {"center": [0, 0], "factor": 0.5}), "bad_args", "a number from 1 to 16"),
        (o3gym.locate(None), "bad_args", "end it with answer"),
        (o3gym.crop(BOX_ARG, view=1), "bad_view", "there is no view 1; views are numbered 0 to 0"),
        (o3gym.reuse(-1), "bad_view", "there is no view -1"),
        (o3gym.crop((0.5, 0.5, 0.5, 0.9)), "bad_box", "has no area inside view 0"),
        (o3gym.crop((0.9, 0.1, 0.5, 0.5)), "bad_box", "has no area"),
        (o3gym.crop((1.2, 0.0, 1.5, 1.0)), "bad_box", "has no area"),
        (o3gym.crop((0.0, 0.0, 0.1, 0.1)), "too_small", "it must exceed 30×30 pixels"),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_an_observation(
    make_env: Make, call: Call, kind: str, reason: str
) -> None:
    env = make_env(tools=("crop", "zoom", "reuse", "answer", "locate"), on_void="continue", size_rule="deepeyes")
    env.reset(options={"task": FREE})
    observation, reward, terminated, truncated, info = env.step(call)
    assert (info["error"], observation["images"]) == (kind, ())
    assert reason in observation["text"]
    assert len(observation["text"]) < 400
    assert (reward, terminated, truncated, info["stop"]) == (0.0, False, False, "")
    assert (info["turn"], info["turns_left"], info["view"], info["n_new"], info["box"]) == (1, 5, -1, 0, FULL)
    assert len(env.views) == 1
    _, _, _, _, info = env.step(QUARTER)
    assert (info["error"], info["view"], info["turn"]) == ("", 1, 2)


def test_an_aspect_ratio_may_be_refused(make_env: Make, make_source: Callable[..., Source]) -> None:
    env = make_env(size_rule="deepeyes")
    env.reset(options={"task": Task("wide", (make_source(4000, 40),), "?", "x")})
    observation, _, _, _, info = env.step(o3gym.crop(FULL))
    assert info["error"] == ""
    observation, _, _, _, info = env.step(o3gym.crop((0.0, 0.0, 1.0, 0.8)))
    assert (info["error"], "by a factor of 100" in observation["text"]) == ("aspect", True)


def test_answering_a_region_search_is_refused(make_env: Make) -> None:
    env = make_env(tools=("crop", "answer", "locate"))
    env.reset(options={"task": BOX})
    observation, _, terminated, _, info = env.step(o3gym.answer("left"))
    assert (info["error"], terminated) == ("bad_args", False)
    assert observation["text"] == "this task asks for a region: end it with locate"


@pytest.mark.parametrize("action", ["crop", ("crop", {"box": BOX_ARG}), np.zeros(4), None, {"tool": "crop"}, 3])
def test_anything_but_a_call_raises(make_env: Make, action: Any) -> None:
    env = make_env()
    env.reset(seed=0)
    with pytest.raises(TypeError, match=r"expected an o3gym.Call .* got .*TextTurns"):
        env.step(action)
    assert env.episode.turns == []


def test_steps_outside_of_an_episode_raise(make_env: Make) -> None:
    env = make_env()
    for use in (lambda: env.step(QUARTER), lambda: env.views, lambda: env.trajectory):
        with pytest.raises(ResetNeeded):
            use()
    env.reset(options={"task": FREE})
    env.step(o3gym.answer("flour"))
    with pytest.raises(ResetNeeded, match="has ended \\(answered\\)"):
        env.step(QUARTER)
    assert len(env.trajectory.turns) == 1
    env.reset()
    env.step(QUARTER)


# ── Budgets and ends ────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = o3gym.crop((0.5, 0.5, 0.5, 0.5))
PARSE, VOID = noop("parse", "?"), noop("void", "?")


@pytest.mark.parametrize(
    ("arguments", "calls", "errors", "stop", "n_views"),
    [
        ({}, [QUARTER, QUARTER, o3gym.answer("flour")], ["", "", ""], "answered", 3),
        ({}, [QUARTER, QUARTER, QUARTER], ["", "", "budget"], "over_turn", 3),  # the last look is not carried out
        ({}, [QUARTER, QUARTER, SMALL], ["", "", "bad_box"], "malformed", 3),
        ({}, [QUARTER, QUARTER, PARSE], ["", "", "parse"], "malformed", 3),
        ({}, [QUARTER, QUARTER, Call("x", {})], ["", "", "unknown_tool"], "malformed", 3),
        ({}, [QUARTER, VOID], ["", "void"], "void", 2),
        ({}, [QUARTER, QUARTER, VOID], ["", "", "void"], "void", 3),
        ({"on_void": "continue"}, [VOID, QUARTER, VOID], ["void", "", "void"], "malformed", 2),
        ({"on_void": "continue"}, [VOID, VOID, o3gym.answer("")], ["void", "void", ""], "answered", 1),
        ({"max_calls": 1}, [QUARTER, QUARTER, o3gym.answer("x")], ["", "budget", ""], "answered", 2),
        ({"max_calls": 1}, [QUARTER, SMALL, QUARTER], ["", "bad_box", "budget"], "over_turn", 2),
        ({"max_calls": 0}, [QUARTER, o3gym.answer("x")], ["budget", ""], "answered", 1),
        ({"max_calls": 1}, [SMALL, QUARTER, o3gym.answer("x")], ["bad_box", "", ""], "answered", 2),
        ({"max_views": 2}, [QUARTER, QUARTER], ["", "budget"], "over_views", 2),
        ({"max_views": 2}, [QUARTER, SMALL, QUARTER], ["", "bad_box", "budget"], "over_turn", 2),
        ({"max_views": 2}, [QUARTER, o3gym.answer("x")], ["", ""], "answered", 2),
        ({"max_views": 2, "max_calls": 1}, [QUARTER, QUARTER, PARSE], ["", "budget", "parse"], "malformed", 2),
    ],
)
def test_budgets_decide_how_an_episode_ends(
    make_env: Make, arguments: dict[str, Any], calls: list[Call], errors: list[str], stop: str, n_views: int
) -> None:
    env = make_env(max_turns=3, **arguments)
    env.reset(options={"task": FREE})
    for i, (call, error) in enumerate(zip(calls, errors, strict=True), 1):
        _, _, terminated, truncated, info = env.step(call)
        last = i == len(calls)
        assert (info["error"], info["stop"]) == (error, stop if last else "")
        assert terminated is (last and stop in ("answered", "void"))
        assert truncated is (last and stop not in ("answered", "void"))
        assert info["turns_left"] == 3 - i
    assert len(env.views) == n_views
    record = env.trajectory
    assert (record.stop, record.terminated, record.truncated) == (stop, terminated, truncated)
    assert [turn.error for turn in record.turns] == errors
    assert [turn.parsed.call for turn in record.turns] == calls


# ── Observations and info ───────────────────────────────────────────────────────────────────────────────────────────

INFO = {
    "task_id": str,
    "turn": int,
    "turns_left": int,
    "view": int,
    "n_new": int,
    "box": tuple,
    "error": str,
    "stop": str,
    "reward_terms": dict,
    "reward_pending": bool,
}


@pytest.mark.parametrize("reward", list(REWARDS))
def test_every_step_reports_the_same_keys_and_types_and_rewards_add_up(make_env: Make, reward: str) -> None:
    env = make_env(
        tools=("crop", "zoom", "reuse", "rotate", "draw", "answer", "locate"), reward=reward, on_void="continue"
    )
    env.action_space.seed(3)
    recipe: RewardRecipe = REWARDS[reward]
    terms = {term.name for term in recipe.terms if term.scope in ("step", "end")}
    rng = np.random.default_rng(0)
    for episode in range(12):
        observation, info = env.reset(seed=episode)
        total, steps = 0.0, []
        while True:
            assert {key: type(value) for key, value in info.items()} == INFO
            assert [type(v) for v in info["box"]] == [float] * 4
            assert {name: type(value) for name, value in info["reward_terms"].items()} == dict.fromkeys(terms, float)
            assert env.observation_space.contains(observation)
            assert info["n_new"] == len(observation["images"])
            if info["n_new"]:
                view = env.views[info["view"]]
                assert observation["images"][-1].shape == (view.shown[1], view.shown[0], 3)
                assert info["box"] == view.box
            steps.append(info["reward_terms"])
            if info["stop"]:
                break
            call = [env.action_space.sample(), noop("parse", "?"), SMALL][int(rng.choice(3, p=[0.8, 0.1, 0.1]))]
            observation, gain, terminated, truncated, info = env.step(call)
            assert (type(gain), type(terminated), type(truncated)) == (float, bool, bool)
            total += gain
        sums = {name: sum(step[name] for step in steps) for name in terms}
        assert env.trajectory.terms == pytest.approx(sums)
        early = {term.name for term in recipe.terms if term.scope == "step"}
        due = [{name: step[name] for name in early} for step in steps[1:-1]] + steps[-1:]
        assert [dict(turn.terms) for turn in env.trajectory.turns] == due
        assert info["reward_pending"] is recipe.pending
        assert total == pytest.approx(0.0 if recipe.pending else recipe.combine(sums))


@pytest.mark.parametrize(
    ("task", "call", "reward"),
    [
        (CHOICE, o3gym.answer("B"), 1.0),
        (CHOICE, o3gym.answer("A"), 0.0),
        (FREE, o3gym.answer(" Flour. "), 1.0),
        (BOX, o3gym.locate((0.25, 0.5, 0.5, 0.75)), 1.0),
        (BOX, o3gym.locate((0.25, 0.5, 0.5, 1.0)), 0.5),
        (BOX, o3gym.locate(None), 0.0),
    ],
)
def test_the_outcome_is_paid_at_the_end(make_env: Make, task: int, call: Call, reward: float) -> None:
    env = make_env()
    env.reset(options={"task": task})
    assert env.step(QUARTER)[1] == 0.0
    _, got, terminated, _, info = env.step(call)
    assert (got, terminated) == (pytest.approx(reward), True)
    assert info["reward_terms"] == {"outcome": pytest.approx(reward)}


def test_a_total_that_does_not_start_at_zero_is_paid_in_full(make_env: Make, register: Callable[..., str]) -> None:
    looks = Term("looks", "step", lambda t: float(bool(t.turns[-1].views)), "test")
    done = Term("done", "end", lambda t: 1.0, "test")
    recipe = RewardRecipe("test", (looks, done), lambda v: int(10 * v["done"] - v["looks"] + 5), "test")
    env = make_env(reward=register(REWARDS, "test", recipe))
    env.reset(options={"task": FREE})
    rewards = [env.step(call)[1] for call in (QUARTER, SMALL, QUARTER, o3gym.answer("x"))]
    assert rewards == [4.0, 0.0, -1.0, 10.0]
    assert sum(rewards) == recipe.combine(env.trajectory.terms)
    assert {type(r) for r in rewards} == {float}


def test_a_task_may_have_several_pictures(make_env: Make) -> None:
    env = make_env(max_pixels=1_000_000, min_pixels=1)
    observation, info = env.reset(options={"task": PAIR})
    assert [image.shape for image in observation["images"]] == [(160, 240, 3), (300, 150, 3)]
    assert observation["text"] == "Which is wider?\nA. first\nB. second"
    assert (info["task_id"], info["n_new"], info["view"]) == ("local/pair", 2, 1)
    new, _, _, _, info = env.step(o3gym.crop((0.0, 0.0, 0.5, 0.1), view=1))
    assert np.array_equal(new["images"][0], observation["images"][1][:30, :75])
    assert (env.views[2].source, env.views[2].parent, info["box"]) == (1, 1, (0.0, 0.0, 0.5, 0.1))


def test_a_policy_may_choose_the_exact_size_of_each_view(make_env: Make) -> None:
    asked: list[tuple[int, int]] = []

    def vision_size(width: int, height: int) -> tuple[int, int]:
        asked.append((width, height))
        return (round(width / 28) * 28 or 28, round(height / 28) * 28 or 28)

    env = make_env(min_pixels=1, max_pixels=1_000_000)
    observation, _ = env.reset(options={"task": CHOICE, "vision_size": vision_size})
    assert (asked, observation["images"][0].shape) == ([(240, 160)], (168, 252, 3))
    assert env.views[0].shown == (252, 168)
    observation, _, _, _, _ = env.step(o3gym.crop((0, 0, 0.5, 0.5)))
    assert (asked[1:], observation["images"][0].shape) == ([(120, 80)], (84, 112, 3))
    env.reset(options={"task": CHOICE})
    assert env.views[0].shown == (240, 160)


# ── Reset and arguments ─────────────────────────────────────────────────────────────────────────────────────────────


def test_the_task_is_drawn_by_seed_or_taken_as_told(make_env: Make) -> None:
    env = make_env()
    ids = [env.reset(seed=seed)[1]["task_id"] for seed in range(20)]
    assert ids == [env.reset(seed=seed)[1]["task_id"] for seed in range(20)]
    assert len(set(ids)) == 4
    assert env.reset(options={"task": PAIR})[1]["task_id"] == "local/pair"
    own = Task("mine", env.suite[FREE].sources, "Own?", "yes")
    observation, info = env.reset(options={"task": own})
    assert (info["task_id"], observation["text"]) == ("mine", "Own?")
    with pytest.raises(IndexError, match="has 4 tasks; index 4"):
        env.reset(options={"task": 4})
    with pytest.raises(ValueError, match='unknown reset option "taks"; did you mean "task"'):
        env.reset(options={"taks": 1})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_turns": 1}, "max_turns: expected a whole number from 2 up, got 1"),
        ({"max_calls": -1}, "max_calls: expected a whole number from 0 up, got -1"),
        ({"max_views": 0}, "max_views: expected a whole number from 1 up, got 0"),
        ({"min_pixels": 0}, "min_pixels: expected a whole number from 1 up, got 0"),
        ({"reward": 3}, "reward: expected a name as text, like 'outcome', got 3"),
        ({"suite": 3}, "suite: expected a name as text, like 'synthetic', got 3"),
        ({"suite": ["synthetic"]}, r"suite: expected a name as text, like 'synthetic', got \['synthetic'\]"),
        ({"split": None}, "split: expected a name as text, like 'test', got None"),
        ({"size_rule": 3}, "size_rule: expected a name as text, like 'mini_o3', got 3"),
        ({"control": 3}, "control: expected a name as text, like 'no_tool', got 3"),
        ({"suite_args": 3}, "suite_args: expected a mapping of options, got 3"),
        ({"tools": 3}, r'tools: expected a list of names, like \["crop", "answer"\], got 3'),
        ({"tools": [3]}, r'tools: expected a list of names, like \["crop", "answer"\], got \[3\]'),
        ({"tools": "crop+answer"}, r'got the string "crop\+answer"; write \["crop", "answer"\]'),
        ({"min_pixels": 100, "max_pixels": 399}, r"max_pixels: expected at least 4 \* min_pixels = 400, got 399"),
        ({"focus": "corp"}, 'focus: unknown "corp"; did you mean "crop"'),
        ({"on_void": "stop"}, r'on_void: unknown "stop".*\(known: end, continue\)'),
        ({"render_mode": "rgb"}, 'render_mode: unknown "rgb"; did you mean "rgb_array"'),
        ({"tools": ("corp", "answer")}, 'unknown tool "corp"; did you mean "crop"'),
        ({"tools": ("crop", "zoom")}, "tools: expected one that ends the episode"),
        ({"tools": ()}, "tools: expected one that ends the episode"),
        ({"tools": ("crop",), "control": "no_tool"}, "tools: expected one that ends"),
        ({"reward": "outcomes"}, 'unknown reward "outcomes"; did you mean "outcome"'),
        ({"size_rule": "mini-o3"}, 'unknown size_rule "mini-o3"; did you mean "mini_o3"'),
        ({"control": "blank"}, 'unknown control "blank"; did you mean "blank_crop"'),
        ({"suite": "locl:x"}, 'unknown suite "locl"; did you mean "local"'),
        ({"suite": "synthetic?famly=hidden"}, 'suite "synthetic" has no option "famly"; did you mean "family"'),
        ({"suite": "synthetic", "suite_args": {"n": 3, "diff": 1}}, 'has no option "diff"'),
        ({"split": "tset"}, 'has no split "tset"; did you mean "test"'),
        ({"tools": "crop"}, r'expected a list of names, got the string "crop"; write \["crop"\]'),
    ],
)
def test_wrong_arguments_are_answered_with_what_was_expected(
    make_env: Make, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make_env(**arguments)


def test_a_box_in_pixels_is_refused_with_what_is_expected(make_env: Make) -> None:
    env = make_env(tools=["crop", "draw", "answer"])
    env.reset(options={"task": FREE})
    hint = "fractions 0..1 expected, these look like pixels"
    text = env.step(o3gym.crop((10, 20, 100, 200)))[0]["text"]
    assert text == f"box [10.0, 20.0, 100.0, 200.0] has no area inside view 0; {hint}"
    assert hint not in env.step(o3gym.crop((1.1, 0.5, 1.2, 0.6)))[0]["text"]
    assert hint in env.step(Call("draw", {"view": 0, "boxes": [[30, 30, 40, 40]]}))[0]["text"]


def test_default_tools_and_budgets_are_those_of_the_suite(local: str, make_env: Make) -> None:
    env = make_env(min_pixels=None, max_pixels=None)
    assert list(env.tools) == ["crop", "zoom", "reuse", "answer", "locate"]
    assert (env.rules.min_pixels, env.rules.max_pixels) == (40_000, 2_000_000)
    assert list(make_env(tools=["answer", "crop", "crop", "noop"]).tools) == ["answer", "crop"]


def test_gymnasium_finds_nothing_to_complain_about(local: str) -> None:
    with gym.make("o3gym/VisualSearch-v0", suite=local, render_mode="rgb_array") as env:
        check_env(env.unwrapped)


# ── Determinism ─────────────────────────────────────────────────────────────────────────────────────────────────────

EPISODE = """
import hashlib, json, sys
import o3gym
from o3gym.envs import VisualSearchEnv

def episode(suite):
    tools = ("crop", "zoom", "reuse", "rotate", "draw", "answer", "locate")
    env = VisualSearchEnv(suite, tools=tools, control="random_crop", min_pixels=100, max_pixels=3000, max_turns=30)
    env.action_space.seed(5)
    digest = hashlib.sha256()
    for seed in (None, None, 4):
        observation, info = env.reset(seed=7 if seed is None else seed)
        while not info["stop"]:
            for image in observation["images"]:
                digest.update(image.tobytes())
            digest.update(json.dumps([observation["text"], info], sort_keys=True).encode())
            observation, reward, _, _, info = env.step(env.action_space.sample())
            digest.update(str(reward).encode())
    return digest.hexdigest()
"""


def test_same_arguments_seed_and_calls_give_the_same_bytes_in_every_process(local: str) -> None:
    scope: dict[str, Any] = {}
    exec(EPISODE, scope)
    first = scope["episode"](local)
    assert scope["episode"](local) == first
    code = f"{EPISODE}\nprint(episode(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, local], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == first


def rest(env: Any) -> list[Any]:
    """Everything that a few more steps and a new episode show."""
    seen: list[Any] = []
    for call in (QUARTER, env.action_space.sample(), o3gym.crop((0.2, 0.2, 0.9, 0.9), view=1), o3gym.answer("x")):
        observation, reward, _, _, info = env.step(call)
        seen.append(([hashlib.sha256(i).hexdigest() for i in observation["images"]], observation["text"], reward, info))
        if info["stop"]:
            break
    seen.append((env.unwrapped.np_random_seed, env.reset()[1], env.action_space.sample()))
    return seen


def test_a_pickled_episode_goes_on_identically(local: str) -> None:
    env = gym.make(
        "o3gym/VisualSearch-v0", suite=local, max_pixels=9000, min_pixels=10, control="random_crop", max_turns=9
    )
    env.action_space.seed(3)
    env.reset(seed=12)
    env.step(QUARTER)
    copy = pickle.loads(pickle.dumps(env))
    assert copy.unwrapped.spec == env.unwrapped.spec
    assert copy.unwrapped.trajectory == env.unwrapped.trajectory
    assert rest(copy) == rest(env)


def test_the_trajectory_of_an_episode_survives_json(make_env: Make) -> None:
    env = make_env(tools=("crop", "rotate", "draw", "answer"), max_turns=9)
    env.reset(options={"task": PAIR})
    for call in (
        QUARTER,
        Call("rotate", {"view": 2, "angle": 30}),
        Call("draw", {"view": 3, "boxes": [BOX_ARG]}),
        SMALL,
    ):
        env.step(call)
    env.step(o3gym.answer("A"))
    record = env.trajectory
    assert Trajectory.from_json(json.loads(json.dumps(record.to_json()))) == record


# ── Rendering ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (4000, 3), (640, 480)])
def test_the_rendered_canvas_has_one_size_whatever_the_picture(
    make_env: Make, make_source: Callable[..., Source], size: tuple[int, int]
) -> None:
    env = make_env(render_mode="rgb_array", min_pixels=1)
    env.reset(options={"task": Task("t", (make_source(*size),), "漢字?\n" + "word " * 2000, "x")})
    frames = [env.render()]
    for call in (o3gym.crop((0.0, 0.0, 0.5, 0.5)), SMALL, o3gym.answer("x\ny" * 10_000)):
        env.step(call)
        frames.append(env.render())
    for frame in frames:
        assert frame is not None
        assert (frame.shape, frame.dtype) == ((540, 960, 3), np.uint8)
    assert len({frame.tobytes() for frame in frames if frame is not None}) == 4


def test_rendering_without_a_mode_warns(make_env: Make) -> None:
    env = make_env()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="does nothing without render_mode"):
        assert env.render() is None


def test_the_window_shows_every_step(make_env: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setitem(VisualSearchEnv.metadata, "render_fps", 1000)
    env, twin = make_env(render_mode="human"), make_env(render_mode="rgb_array")
    for e in (env, twin):
        e.reset(options={"task": CHOICE})
    env.step(QUARTER)
    twin.step(QUARTER)
    assert env.render() is None
    on_screen = np.swapaxes(pygame.surfarray.array3d(env._window.screen), 0, 1)
    assert np.array_equal(on_screen, twin.render())
    env.close()
    env.close()
    assert not pygame.display.get_init()
