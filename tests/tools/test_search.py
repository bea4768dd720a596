"""`search` in an environment without agents: what it asks for, and what its results become."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from o3gym.calls import crop, search
from o3gym.envs import VisualSearchEnv
from o3gym.types import Call

Make = Callable[..., VisualSearchEnv]
CHOICE, PAIR = 0, 3


def made(make_env: Make, task: int = CHOICE, **arguments) -> VisualSearchEnv:
    env = make_env(**{"tools": ("crop", "search", "answer"), "max_turns": 9, **arguments})
    env.reset(options={"task": task}, seed=0)
    return env


def result(call: Call, **results) -> Call:
    return Call(call.tool, {**call.args, **results})


def test_what_was_found_is_shown_as_a_crop_would_show_it(make_env: Make) -> None:
    one, other = made(make_env), made(make_env)
    box = [0.1, 0.2, 0.4, 0.5]
    (found, *_), (cropped, *_) = one.step(result(search("the sign"), box=box)), other.step(crop(box))
    assert (found["images"][0] == cropped["images"][0]).all()
    assert one.views == other.views


def test_the_errand_is_a_region_search_in_that_picture_without_a_truth(make_env: Make) -> None:
    env = made(make_env, PAIR)
    task = env.episode.subtask(search("  the \n door ", view=1))
    assert task is not None
    assert (task.question, task.kind, task.sources) == ("the \n door", "box", env.episode.task.sources[1:])
    assert (task.targets, task.origin["ground_truth"]) == ((), False)
    assert env.episode.turns == []


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ({"box": None}, "The region could not be located."),
        ({"box": None, "reason": "the searcher is ill"}, "The region could not be located: the searcher is ill."),
        (
            {"box": [0.5, 0.5, 0.5, 0.9]},
            "The region could not be located: box [0.5, 0.5, 0.5, 0.9] has no area inside ",
        ),
    ],
)
def test_nothing_found_is_a_valid_call_with_words(make_env: Make, results, text: str) -> None:
    env = made(make_env)
    observation, _, _, _, info = env.step(result(search("the sign"), **results))
    assert (info["error"], info["n_new"], env.episode.calls) == ("", 0, 1)
    assert observation["text"].startswith(text)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (search("the sign"), "bad_args", "carried out by another agent"),
        (search(" "), "bad_args", "needs a description"),
        (result(search(""), box=[0, 0, 1, 1]), "bad_args", "needs a description"),
        (search("the sign", view=7), "bad_view", "there is no view 7"),
        (Call("search", {"view": 0}), "bad_args", 'needs "description"'),
        (Call("search", {"description": 3}), "bad_args", "must be text"),
        (result(search("the sign"), box="left"), "bad_args", "must be a box"),
        (result(search("the sign"), where=[0, 0, 1, 1]), "bad_args", '"where" is not an argument'),
    ],
)
def test_calls_that_nobody_can_carry_out_are_observations(make_env: Make, call: Call, error: str, words: str) -> None:
    env = made(make_env)
    assert env.episode.subtask(call) is None or error == "bad_args"
    observation, _, _, _, info = env.step(call)
    assert (info["error"], env.episode.calls) == (error, 0)
    assert words in observation["text"]


def test_later_views_are_not_searched(make_env: Make) -> None:
    env = made(make_env)
    env.step(crop((0.0, 0.0, 0.5, 0.5)))
    assert env.episode.subtask(search("the sign", view=1)) is None
    observation, *_, info = env.step(search("the sign", view=1))
    assert info["error"] == "bad_view"
    assert "pictures shown at the start" in observation["text"]


def test_budgets_refuse_a_search_before_anybody_is_sent(make_env: Make) -> None:
    env = made(make_env, max_calls=1)
    env.step(result(search("the sign"), box=None))
    assert env.episode.subtask(search("the sign")) is None
    assert env.step(search("the sign"))[4]["error"] == "budget"
    env = made(make_env, max_turns=2)
    env.step(search(""))
    assert env.episode.subtask(search("the sign")) is None
    assert env.step(search("the sign"))[4]["stop"] == "over_turn"


def test_sampled_searches_have_results_and_disabled_ones_ask_nobody(make_env: Make) -> None:
    env = made(make_env, tools=("search", "answer"))
    env.action_space.seed(0)
    calls = [call for call in (env.action_space.sample() for _ in range(20)) if call.tool == "search"]
    assert all(env.action_space.contains(call) and call.args["box"] for call in calls)
    assert made(make_env, tools=("crop", "answer")).episode.subtask(search("the sign")) is None


def test_random_crops_move_what_was_found_and_oracle_crops_go_to_the_target(make_env: Make) -> None:
    box = [0.0, 0.0, 0.2, 0.2]
    env = made(make_env, control="random_crop")
    env.step(result(search("the sign"), box=box))
    assert env.views[1].box != pytest.approx(box, abs=0.02)
    env.step(result(search("the sign"), box=None))
    assert len(env.views) == 2
    env = made(make_env, control="oracle_crop")
    env.step(result(search("nothing there"), box=None))
    target = env.episode.task.targets[0].box
    assert env.views[1].box[0] <= target[0] < target[2] <= env.views[1].box[2]
