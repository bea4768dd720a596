"""The policies `planner` and `planner_words`, alone and in episodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from o3gym.bench.definition import Bench
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import Dialogue, Picture, Request
from o3gym.policies.planner.model import Drawn
from o3gym.policies.planner.policy import VisualPlanner, WordPlanner, newest_picture
from o3gym.registry import MissingPackage
from o3gym.rewards.settle import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.types import FULL, Trajectory, View
from o3gym.worlds import World, draw_world
from o3gym.worlds.records import planned, task_world
from tests.policies.planner.planner_toys import toy_planner
from tests.policies.planner.test_planner_model import plain_planner

TOYS = "tests.policies.planner.planner_toys"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The folder of a saved toy planner by form, or of a user's model ("plain")."""
    base = tmp_path_factory.mktemp("planners")

    def folder(form: str) -> str:
        place = base / form
        if not place.exists():
            (plain_planner() if form == "plain" else toy_planner(form)).save(place)
        return str(place)

    return folder


def request(world: World, number: int = 0, **sampling: float) -> Request:
    pixels, dialogue = world.render(world.start), Dialogue()
    picture = Picture(View(0, 0, FULL, (256, 256), (256, 256)), lambda: pixels)
    dialogue.add("user", (picture, "What is the shortest plan?"))
    return Request(("a", f"{number}", 0, ""), dialogue, Sampling(**sampling))  # type: ignore[arg-type]


def play(policy: VisualPlanner, spec: str, suite: str, turns: int = 4) -> Trajectory:
    (arm,) = Bench(suite, policies=(spec,), suite_args={"level": 3}, episodes=1, reward="vprl", turns=(turns,)).arms()
    (episode,) = rollout([Job(0, "0", seed=1)], policy, make_dialect(arm.dialect), arm)
    return settle([[episode]], "vprl")[0][0]


def test_replies_depend_on_the_request_only(folders: Callable[[str], str]) -> None:
    policy = make_policy(f"planner:{folders('picture')}")
    worlds = [draw_world("frozenlake", seed, 3 + seed % 2) for seed in range(4)]
    requests = [request(world, n, temperature=n / 3, seed=n) for n, world in enumerate(worlds)]
    together = policy.act(requests)
    for asked, reply in zip(requests, together, strict=True):
        (alone,) = policy.act([asked])
        assert (alone.text, alone.token_ids) == (reply.text, reply.token_ids)
        assert alone.logprobs == pytest.approx(reply.logprobs, abs=1e-4)
    ids = {policy.act([request(worlds[0], temperature=1.0, seed=seed)])[0].token_ids for seed in range(4)}
    assert len(ids) == 4


def test_what_is_no_picture_is_an_empty_block(folders: Callable[[str], str]) -> None:
    policy = make_policy(f"planner:{folders('picture')}")
    (reply,) = policy.act([request(draw_world("frozenlake", 0, 3), temperature=1.0)])
    assert reply.text == "<state></state>"
    assert reply.finish == "stop"
    assert reply.usage is not None
    assert reply.usage.completion_tokens == len(reply.token_ids or ())
    (cut,) = policy.act([request(draw_world("frozenlake", 0, 3), temperature=1.0, max_tokens=3)])
    assert (cut.finish, len(cut.token_ids or ()), cut.token_ids) == ("length", 3, (reply.token_ids or ())[:3])


def test_a_random_planner_makes_invalid_moves_and_never_fails(folders: Callable[[str], str]) -> None:
    spec = f"planner:{folders('picture')}"
    episode = play(make_policy(spec), spec, "planning-frozenlake")  # type: ignore[arg-type]
    assert [turn.error for turn in episode.turns] == ["bad_move"] * 4
    assert planned(episode) == ((-1,) * 4, "")
    assert episode.reward == -20


def test_a_random_planner_answers_with_words(folders: Callable[[str], str]) -> None:
    spec = f"planner_words:{folders('words')}"
    policy = make_policy(spec)
    assert isinstance(policy, WordPlanner)
    episode = play(policy, spec, "planning-maze", turns=2)
    assert [turn.reply.finish for turn in episode.turns] == ["stop"] * len(episode.turns)
    assert episode.verdict != "correct"


@pytest.mark.parametrize("suite", ["planning-frozenlake", "planning-maze"])
def test_a_planner_that_draws_the_right_pictures_reaches_the_goal(
    folders: Callable[[str], str], suite: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = f"planner:{folders('picture')}"
    policy = make_policy(spec)
    assert isinstance(policy, VisualPlanner)
    planner = policy.planner
    (arm,) = Bench(suite, policies=(spec,), suite_args={"level": 3}, episodes=1).arms()
    world = _first_world(arm)
    states = list(world.graph)
    codes = dict(zip(states, planner.tokenizer.encode(np.stack([world.render(s) for s in states])), strict=True))
    best = {tuple(codes[s]): codes[world.graph[s][world.optimal_moves(s)[0]]] for s in states if not world.goal(s)}

    def draw(states: torch.Tensor, temperatures: torch.Tensor, numbers: torch.Tensor) -> Drawn:
        tokens = planner.endings(torch.tensor([best[tuple(state)] for state in states.tolist()]))
        return Drawn(tokens, torch.zeros(tokens.shape), torch.ones(tokens.shape, dtype=torch.bool))

    monkeypatch.setattr(planner, "sample_with", draw)
    episode = play(policy, spec, suite, turns=12)
    assert (episode.stop, episode.verdict) == ("answered", "correct")
    assert len(episode.turns) == world.optimal_length


def _first_world(arm: Arm) -> World:
    (episode,) = rollout([Job(0, "0", seed=1)], make_policy("optimal"), make_dialect("plan"), arm)
    world = task_world(episode.task)
    assert world is not None
    return world


def test_a_user_brings_model_and_tokenizer(folders: Callable[[str], str]) -> None:
    spec = f"planner:{folders('plain')}?tokenizer={TOYS}:corners"
    policy = make_policy(spec)
    (reply,) = policy.act([request(draw_world("maze", 0, 4))])
    assert len(reply.token_ids or ()) == 4
    assert reply.text.startswith("<state>")


def test_the_newest_picture_counts() -> None:
    old, new = draw_world("maze", 0, 4), draw_world("maze", 1, 4)
    asked = request(old)
    asked.dialogue.add("assistant", ("<state></state>",))
    asked.dialogue.add("user", request(new).dialogue.messages[0].parts)
    assert (newest_picture(asked) == new.render(new.start)).all()
    small = SimpleNamespace(dialogue=Dialogue())
    view = asked.dialogue.messages[0].parts[0].view  # type: ignore[union-attr]
    small.dialogue.add("user", (Picture(view, lambda: np.zeros((252, 252, 3), np.uint8)),))
    assert newest_picture(small).shape == (256, 256, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the dialogue shows none"):
        newest_picture(SimpleNamespace(dialogue=Dialogue()))  # type: ignore[arg-type]


FAULTS = {
    "planner": "name the folder of a planner",
    "planner:no_such_folder": "no_such_folder: there is no such folder",
    "planner:{words}": 'this planner writes words: use "planner_words:',
    "planner_words:{picture}": 'this planner writes picture: use "planner:',
    "planner:{plain}": r"there is no tokenizer\.npz",
    "planner:{plain}?tokenizer=nothing": "cannot import 'nothing'",
    "planner:{plain}?tokenizer=no_such_module:f": "cannot import 'no_such_module:f'",
    f"planner:{{plain}}?tokenizer={TOYS}:nothing": "cannot import",
    f"planner:{{plain}}?tokenizer={TOYS}:NOT_A_FUNCTION": "expected a function",
    f"planner:{{plain}}?tokenizer={TOYS}:number": "to return codes, encode and decode, got 7",
}


@pytest.mark.parametrize("spec", FAULTS)
def test_a_wrong_spec_is_explained(folders: Callable[[str], str], spec: str) -> None:
    filled = spec.format(**{form: folders(form) for form in ("words", "picture", "plain") if f"{{{form}}}" in spec})
    with pytest.raises(ValueError, match=FAULTS[spec]):
        make_policy(filled)


def test_what_cannot_be_sampled_is_refused(folders: Callable[[str], str]) -> None:
    policy = make_policy(f"planner:{folders('picture')}")
    assert policy.unable(Sampling(), inline=False) == ""
    assert "top_p" in policy.unable(Sampling(top_p=0.9), inline=False)
    assert "repetition_penalty" in policy.unable(Sampling(repetition_penalty=1.1), inline=False)


def test_without_torch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises((MissingPackage, ModuleNotFoundError), match="transformers"):
        make_policy(f"planner:{tmp_path}")
