"""Code in episodes: what is handed in, what is shown, which errors and budgets count, and who ends the sandbox."""

from __future__ import annotations

import copy
import gc
import io
import os
import pickle
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from PIL import Image

from o3gym.calls import answer, code, crop, reuse
from o3gym.envs import VisualSearchEnv, code_session
from o3gym.envs.code_session import STATE_LOST
from o3gym.media.images import shared_store
from o3gym.registry import CODE_RULES
from o3gym.sandbox import Outcome, SandboxUnavailable, Workplace
from o3gym.suites.synthetic_video import SyntheticVideo
from o3gym.testing.episodes import random_steps
from o3gym.types import FULL, Call, Source, Task, Trajectory
from tests.scripted_sandbox import ScriptedSandbox, png

Make = Callable[..., VisualSearchEnv]
CHOICE, FREE, BOX, PAIR = range(4)
TOOLS = ["code", "crop", "reuse", "answer"]
FAILED = Outcome(text="so far", error="NameError: x", ended="error")


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> ScriptedSandbox:
    sandbox = ScriptedSandbox()
    monkeypatch.setattr("o3gym.envs.checks.open_sandbox", lambda spec: sandbox)
    return sandbox


@pytest.fixture
def env(scripted: ScriptedSandbox, make_env: Make) -> VisualSearchEnv:
    made = make_env(tools=TOOLS, max_turns=20)
    made.reset(options={"task": CHOICE})
    return made


def step(env: VisualSearchEnv, call: Call) -> tuple[Any, dict[str, Any]]:
    observation, _, _, _, info = env.step(call)
    return observation, info


# ── Views and pictures ──────────────────────────────────────────────────────────────────────────────────────────────


def test_code_finds_every_view_in_native_pixels(env: VisualSearchEnv, scripted: ScriptedSandbox) -> None:
    whole = shared_store().region(env.episode.sources[0])
    step(env, crop((0.25, 0.25, 0.75, 0.75)))
    assert env.views[0].shown != env.views[0].native  # the agent saw it smaller
    step(env, code("first"))
    (worker,) = scripted.workers
    assert list(worker.pictures) == ["view_0", "view_1"]
    assert np.array_equal(worker.pictures["view_0"], whole)
    assert np.array_equal(worker.pictures["view_1"], whole[40:120, 60:180])
    worker.pictures.clear()
    step(env, reuse(0))
    step(env, code("second"))
    assert list(worker.pictures) == ["view_2"]  # the others are there already
    assert worker.sources == ["first", "second"]


@pytest.mark.parametrize(
    ("rule", "names"),
    [("thyme", ["image_path", "image_path_1"]), ("deepeyes_v2", ["image_1", "image_2"])],
)
def test_the_code_rule_names_the_views(rule: str, names: list[str], scripted: ScriptedSandbox, make_env: Make) -> None:
    env = make_env(tools=TOOLS, code_rule=rule)
    env.reset(options={"task": PAIR})
    step(env, code("1"))
    assert list(scripted.workers[0].pictures) == names
    assert scripted.workers[0].workplace == CODE_RULES[rule].workplace


def test_a_picture_of_the_code_becomes_a_view_like_any_other(env: VisualSearchEnv, scripted: ScriptedSandbox) -> None:
    scripted.outcomes = [Outcome(text="a b", shown=(png(60, 40), png(300, 200, "blue"))), Outcome()]
    step(env, crop((0, 0, 0.5, 0.5)))
    observation, info = step(env, code("1"))
    assert observation["text"] == "a b"
    assert (info["error"], info["n_new"], info["view"], info["box"]) == ("", 2, 3, FULL)
    assert [(view.parent, view.native) for view in env.views[2:]] == [(1, (60, 40)), (1, (300, 200))]
    shown = [(pixels.shape[1], pixels.shape[0]) for pixels in observation["images"]]
    assert shown == [(60, 40), env.views[3].shown]  # the pixel budget applies
    assert shown[1][0] * shown[1][1] <= 10_000
    assert env.observation_space.contains(observation)
    observation, _ = step(env, crop((0.5, 0.0, 1.0, 0.25), view=3))  # from the picture, at native resolution
    assert env.views[4].native == (150, 50)
    assert (observation["images"][0] == (0, 0, 255)).all()
    step(env, code("2"))
    assert [p.shape for p in scripted.workers[0].pictures.values()][2:] == [(40, 60, 3), (200, 300, 3), (50, 150, 3)]


def test_small_pictures_are_enlarged_to_the_pixel_budget(scripted: ScriptedSandbox, make_env: Make) -> None:
    scripted.outcomes = [Outcome(shown=(png(2, 2),))]
    env = make_env(tools=TOOLS)
    env.reset(options={"task": CHOICE})
    observation, _ = step(env, code("1"))
    assert observation["images"][0].shape == (10, 10, 3)


def test_frames_of_videos_are_handed_in_like_pictures(scripted: ScriptedSandbox, monkeypatch) -> None:
    task = SyntheticVideo(seconds=20)[0]
    env = VisualSearchEnv(suite="synthetic_video", tools=TOOLS, overview_frames=3, min_pixels=1, max_pixels=500)
    env.reset(options={"task": task})
    width, height = env.views[0].native
    monkeypatch.setattr(code_session, "MAX_HANDED", 2 * width * height)
    scripted.outcomes = [Outcome(shown=(png(),))]
    step(env, code("1"))
    pictures = scripted.workers[0].pictures
    assert list(pictures) == ["view_0", "view_1", "view_2"]
    assert np.array_equal(pictures["view_1"], shared_store().region(env.episode.sources[env.views[1].source]))
    assert pictures["view_2"].shape[:2] == env.views[2].shown[::-1]  # beyond the bound
    made = env.views[3]
    assert (made.video, made.frame, made.time) == (None, None, None)  # a picture of code is no frame
    assert env.episode.sources[made.source].parent == task.sources[0]


def test_a_control_blanks_pictures_of_code(scripted: ScriptedSandbox, make_env: Make) -> None:
    scripted.outcomes = [Outcome(shown=(png(60, 40),))]
    env = make_env(tools=TOOLS, control="blank_crop")
    env.reset(options={"task": CHOICE})
    observation, _ = step(env, code("1"))
    assert observation["images"][0].shape == (40, 60, 3)
    assert (observation["images"][0] == 127).all()


# ── Errors and budgets ──────────────────────────────────────────────────────────────────────────────────────────────


def test_code_that_fails_is_an_error_and_its_pictures_are_shown(
    env: VisualSearchEnv, scripted: ScriptedSandbox
) -> None:
    scripted.outcomes = [replace(FAILED, shown=(png(),))]
    observation, info = step(env, code("x"))
    assert (info["error"], info["n_new"], observation["text"]) == ("code", 1, "so far\nNameError: x")
    (turn,) = env.trajectory.turns
    assert (turn.error, turn.views, turn.feedback) == ("code", (1,), observation["text"])
    assert Trajectory.from_json(env.trajectory.to_json()).turns == (turn,)


def test_code_that_fails_counts_as_a_call(scripted: ScriptedSandbox, make_env: Make) -> None:
    scripted.outcomes = [FAILED]
    env = make_env(tools=TOOLS, max_calls=1)
    env.reset(options={"task": CHOICE})
    assert step(env, code("x"))[1]["error"] == "code"
    assert step(env, code("y"))[1]["error"] == "budget"
    assert scripted.workers[0].sources == ["x"]


def test_code_is_not_run_in_the_last_turn(scripted: ScriptedSandbox, make_env: Make) -> None:
    env = make_env(tools=TOOLS, max_turns=2)
    env.reset(options={"task": CHOICE})
    step(env, code("x"))
    _, info = step(env, code("y"))
    assert (info["error"], info["stop"]) == ("budget", "over_turn")
    assert scripted.workers[0].sources == ["x"]


def test_pictures_count_against_the_views(scripted: ScriptedSandbox, make_env: Make) -> None:
    scripted.outcomes = [Outcome(shown=(png(), png(9, 9)))]
    env = make_env(tools=TOOLS, max_views=2)
    env.reset(options={"task": CHOICE})
    _, info = step(env, code("x"))
    assert (info["error"], info["stop"], len(env.views)) == ("budget", "over_views", 1)


def test_code_that_fails_never_ends_the_episode_as_over_views(scripted: ScriptedSandbox, make_env: Make) -> None:
    """Training excuses over_views, and must not excuse a failure."""
    scripted.outcomes = [replace(FAILED, shown=(png(), png(9, 9)))]
    env = make_env(tools=TOOLS, max_views=2)
    env.reset(options={"task": CHOICE})
    observation, info = step(env, code("x"))
    assert (info["error"], info["stop"], len(env.views), len(env.episode.sources)) == ("code", "", 1, 1)
    assert observation["text"] == "so far\nNameError: x\nNo more than 2 pictures can be shown."


@pytest.mark.parametrize("args", [{}, {"source": 1}, {"source": "x", "view": 0}, {"source": "x" * 100_001}])
def test_a_call_of_the_wrong_shape_is_not_run(args, env: VisualSearchEnv, scripted: ScriptedSandbox) -> None:
    assert step(env, Call("code", args))[1]["error"] == "bad_args"
    assert not scripted.workers


# ── The sandbox of an episode ───────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_opened_unless_code_is_enabled(monkeypatch: pytest.MonkeyPatch, make_env: Make) -> None:
    monkeypatch.setattr("o3gym.envs.checks.open_sandbox", None)
    env = make_env(tools=["crop", "answer"])
    env.reset(seed=0)
    assert step(env, code("1"))[1]["error"] == "unknown_tool"


def test_an_unavailable_sandbox_is_an_error_of_the_constructor(monkeypatch: pytest.MonkeyPatch, make_env: Make) -> None:
    def refuse(spec: str) -> None:
        raise SandboxUnavailable("install bubblewrap")

    monkeypatch.setattr("o3gym.envs.checks.open_sandbox", refuse)
    with pytest.raises(SandboxUnavailable, match="bubblewrap"):
        make_env(tools=TOOLS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sandbox": "docker"}, 'unknown sandbox "docker"'),
        ({"sandbox": None}, "sandbox: expected a name as text"),
        ({"code_rule": "tyme"}, 'did you mean "thyme"'),
        ({"code_rule": 1}, "code_rule: expected a name as text"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, Any], message: str, make_env: Make) -> None:
    with pytest.raises(ValueError, match=message):
        make_env(tools=TOOLS, **arguments)


def test_the_worker_starts_with_the_first_code_and_ends_with_the_episode(
    env: VisualSearchEnv, scripted: ScriptedSandbox
) -> None:
    step(env, crop((0, 0, 0.5, 0.5)))
    assert not scripted.workers
    step(env, code("1"))
    assert [worker.closed for worker in scripted.workers] == [0]
    step(env, answer("A"))
    assert [worker.closed for worker in scripted.workers] == [1]


@pytest.mark.parametrize("end", ["reset", "close", "collect"])
def test_the_worker_of_an_abandoned_episode_ends(end: str, scripted: ScriptedSandbox, local: str) -> None:
    env = VisualSearchEnv(local, tools=TOOLS)
    env.reset(seed=0)
    step(env, code("1"))
    (worker,) = scripted.workers
    if end == "collect":
        del env
        gc.collect()
    else:
        getattr(env, end)()
    assert worker.closed == 1


def test_a_forked_process_leaves_the_worker_to_its_parent() -> None:
    worker = ScriptedSandbox().worker(None)
    code_session._close(worker, os.getpid() + 1)  # type: ignore[arg-type]
    assert worker.closed == 0


def test_a_failed_reset_ends_the_worker(env: VisualSearchEnv, scripted: ScriptedSandbox) -> None:
    step(env, code("1"))
    with pytest.raises(Exception, match="no picture"):
        env.reset(options={"task": Task("t", (Source.file("/nowhere.png"),), "?")})
    assert scripted.workers[0].closed == 1


def test_a_closed_episode_runs_no_code(env: VisualSearchEnv, scripted: ScriptedSandbox) -> None:
    env.close()
    with pytest.raises(RuntimeError, match="closed"):
        env.step(code("1"))
    assert not scripted.workers


@pytest.mark.parametrize("duplicate", [lambda env: pickle.loads(pickle.dumps(env)), copy.deepcopy])
def test_a_copy_loses_the_variables_and_says_so(duplicate, local: str) -> None:
    with VisualSearchEnv(local, tools=TOOLS, sandbox="trust", max_turns=20) as env:
        env.reset(options={"task": CHOICE})
        assert STATE_LOST not in step(env, code("x = 1"))[0]["text"]
        with duplicate(env) as other:
            observation, info = step(other, code("print(view_0.size, 'x' in globals())"))
            assert (observation["text"], info["error"]) == (f"{STATE_LOST}\n(240, 160) False", "")
            assert step(other, code("print(2)"))[0]["text"] == "2"
        assert step(env, code("print(x)"))[0]["text"] == "1"  # the original goes on


def test_a_copy_without_a_worker_loses_nothing(local: str) -> None:
    with VisualSearchEnv(local, tools=TOOLS, sandbox="trust") as env:
        env.reset(options={"task": CHOICE})
        with pickle.loads(pickle.dumps(env)) as other:
            assert step(other, code("print(1)"))[0]["text"] == "1"


def test_another_thread_can_close_while_code_runs(local: str) -> None:
    env = VisualSearchEnv(local, tools=TOOLS, sandbox="trust")
    env.reset(options={"task": CHOICE})
    step(env, code("1"))
    failures: list[BaseException] = []

    def loop() -> None:
        try:
            env.step(code("while True: pass"))
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=loop)
    thread.start()
    worker = env.episode._session._worker
    env.close()
    thread.join(5)
    assert not thread.is_alive()
    assert worker is not None
    with pytest.raises(ValueError, match="closed"):
        worker.run("1")


# ── With processes ──────────────────────────────────────────────────────────────────────────────────────────────────


def real(**arguments: Any) -> VisualSearchEnv:
    small = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
    return VisualSearchEnv(
        suite_args=small, tools=TOOLS, sandbox="trust", min_pixels=1000, max_pixels=40_000, **arguments
    )


def test_gymnasiums_checker_passes() -> None:
    check_env(real(), skip_render_check=True)


def test_the_same_seed_and_calls_give_the_same_episode() -> None:
    first, second = (random_steps(real(max_turns=50)) for _ in range(2))
    assert first == second
    assert any(info["error"] == "code" for _, info in first[::2])  # a sampled source is one letter


def test_paths_and_random_numbers_are_the_same_in_every_episode() -> None:
    source = "import random\nprint(image_path, random.random())\nopen('/nowhere.png')"
    texts = set()
    for _ in range(2):
        with real(code_rule="thyme") as env:
            env.reset(seed=0)
            texts.add(step(env, code(source))[0]["text"])
    (text,) = texts
    assert text.startswith("image_path.png 0.8444")


def test_variables_are_kept_and_pictures_come_back() -> None:
    with real(max_turns=20) as env:
        env.reset(seed=0)
        step(env, code("turned = view_0.rotate(90, expand=True)\nturned.save('turned.png')"))
        observation, info = step(env, code("print(turned.size == view_1.size)"))
        assert (observation["text"], info["error"]) == ("True", "")
        turned = np.rot90(shared_store().region(env.episode.sources[0]))
        assert np.array_equal(shared_store().region(env.episode.sources[1]), turned)


def test_thymes_way_of_handing_pictures_back() -> None:
    source = (
        "from PIL import Image\nimage_path = '/data/train/x.png'\nimage = Image.open(image_path)\n"
        "processed_path = '/mnt/data/temp_processed_images/crop_1.png'\n"
        "x1, y1, x2, y2 = 10, 10, 20, 5000\nimage.crop((x1, y1, x2, y2)).save(processed_path)\nprint(processed_path)\n"
    )
    with real(code_rule="thyme_repaired") as env:
        env.reset(seed=0)
        observation, info = step(env, code(source))
        assert (info["error"], observation["text"]) == ("", "./crop_1.png")
        assert env.views[1].native == (64, env.views[0].native[1] - 10)
    with real(code_rule="thyme") as env:
        env.reset(seed=0)
        observation, info = step(env, code(source))
        assert info["error"] == "code"
        assert "line 3" in observation["text"]


def test_code_that_takes_too_long_is_stopped_and_the_episode_goes_on(register) -> None:
    hasty = replace(CODE_RULES["o3gym"], workplace=Workplace(seconds=0.05))
    register(CODE_RULES, "hasty", hasty)
    with real(code_rule="hasty") as env:
        env.reset(seed=0)
        observation, info = step(env, code("print('begun')\nwhile True: pass"))
        assert (info["error"], info["stop"]) == ("code", "")
        assert observation["text"].startswith("begun\n")
        assert step(env, code("print(view_0.width)"))[0]["text"] == str(env.views[0].native[0])


def test_a_hostile_file_is_refused() -> None:
    with real() as env:
        env.reset(seed=0)
        observation, info = step(env, code("open('a.png', 'wb').write(b'%!PS-Adobe')"))
        assert (info["error"], len(env.views)) == ("", 1)
        assert "cannot be shown" in observation["text"]


def test_gym_make_takes_the_arguments() -> None:
    env = gym.make("o3gym/VisualSearch-v0", tools=TOOLS, sandbox="trust", code_rule="pyvision")
    assert env.unwrapped.rules.code_rule is CODE_RULES["pyvision"]
    env.close()


def test_pixels_are_the_same_after_the_cache_was_emptied() -> None:
    file = io.BytesIO()
    Image.effect_noise((50, 40), 50).save(file, "PNG")
    source = Source.made(file.getvalue(), Source.file("x.png"))
    first = shared_store().region(source)
    shared_store().forget()
    assert np.array_equal(first, shared_store().region(source))
