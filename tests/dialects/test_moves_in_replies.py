"""The dialects for visual planning: moves in words and letters, and pictures of the next state."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o3gym.calls import answer
from o3gym.dialects.base import make_dialect
from o3gym.dialects.moves import EVERY_MOVE
from o3gym.dialects.next_state import MAX_DRAWN_REPLY, picture_url
from o3gym.dialects.openai import call_text
from o3gym.envs import TextTurns, VisualSearchEnv
from o3gym.policies.base import Policy
from o3gym.registry import TOOLS
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.tools.draw_state import MAX_DRAWN
from o3gym.types import Call, Reply, Task, Trajectory, View
from o3gym.worlds.base import World
from tests.dialects.dialect_samples import FREE, PLANNING, VIEWS
from tests.worlds.planning_episodes import LAKE, ROOM, planning_task

URL = "data:image/png;base64,iVBORw0KGgo="
OTHER = "data:image/webp;base64,UklGRg=="
GOAL = "down right right up"


def move(moves: str) -> Call:
    return Call("move", {"moves": moves})


def draw(picture: str) -> Call:
    return Call("draw_state", {"picture": picture})


READ: list[tuple[str, str, Call]] = [
    ("plan", "So: <answer>right right up</answer>", answer("right right up")),
    ("plan", "<answer>\nRIGHT, Right -> up.\n</answer>", answer("right right up")),
    ("plan", "<answer>RRU</answer>", answer("right right up")),
    ("plan", "<answer>up</answer> no, <answer>pick drop</answer>", answer("pick drop")),
    ("plan", "<answer>right up", answer("right up")),
    ("plan", "<answer>up, then jump</answer>", answer("up, then jump")),
    ("plan", "<answer></answer>", answer("")),
    ("plan", "<answer>up invalid down</answer>", answer("up invalid down")),
    ("plan", "<think>maybe <answer>down</answer></think><answer>up</answer>", answer("up")),
    ("mgsd", "<answer>LLRUD</answer>", answer("left left right up down")),
    ("mgsd", "<answer>l l u</answer>", answer("left left up")),
    ("mgsd", "<answer>L,L,PICK,R,DROP</answer>", answer("left left pick right drop")),
    ("mgsd", "<answer>Left, Pick</answer>", answer("left pick")),
    ("mgsd", "<answer>LLX</answer>", answer("LLX")),
    ("vagen", "<think>a</think><answer>Right,Down</answer>", move("right down")),
    ("vagen", "<think></think><answer> right , DOWN </answer>", move("right down")),
    ("vagen", "<answer>Up</answer><answer>Down</answer>", move("down")),
    ("vagen", "<answer>Up,Up,Up,Up,Up,Down,Left</answer>", move("up up up up up")),
    ("vagen", "<answer>Up,Up,Up,Up,Up,Jump</answer>", move("up up up up up")),
    ("vagen", "<answer>UUUUUDD</answer>", move("up up up up up")),
    ("vagen", "<answer>Up, Jump</answer>", move("Up, Jump")),
    ("next_state", f"<state>{URL}</state>", draw(URL)),
    ("next_state", f"<state>\n{URL[:30]}\n {URL[30:]}\n</state>", draw(URL)),
    ("next_state", f"<state>{OTHER}</state><state>{URL}</state>", draw(URL)),
    ("next_state", f"Here it is: ![the lake]({URL})", draw(URL)),
    ("next_state", f"<state>{OTHER}</state> or ![]({URL})", draw(URL)),
    ("next_state", f"![]({OTHER}) or <state>{URL}</state>", draw(URL)),
    ("next_state", f"<state>![the lake]({URL})</state>", draw(URL)),
    ("next_state", f"<state>{URL}", draw(URL)),
    ("next_state", f"<think><state>{OTHER}</state></think><state>{URL}</state>", draw(URL)),
    ("next_state", "<state>a drawing of the lake</state>", draw("adrawingofthelake")),
    ("next_state", "<state></state>", draw("")),
]


@pytest.mark.parametrize(("spec", "text", "expected"), READ)
def test_moves_and_pictures_are_read_leniently(spec: str, text: str, expected: Call) -> None:
    assert make_dialect(spec).parse(text, VIEWS).call == expected


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("plan", "right right up"),
        ("plan", ""),
        ("mgsd", "LLRUD"),
        ("mgsd", "<think><answer>L</answer></think>"),
        ("vagen", "<think>Right</think>"),
        ("next_state", URL),
        ("next_state", "![the lake](https://example.org/lake.png)"),
        ("next_state", f"![the lake]({URL}"),
        ("next_state", f"<think>![the lake]({URL})</think>"[:20]),
    ],
)
def test_a_reply_without_moves_or_a_picture_is_void(spec: str, text: str) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert (parsed.call.tool, parsed.call.args["kind"]) == ("noop", "void")
    assert f"<{make_dialect(spec).call_tag}>" in parsed.call.args["reason"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("spec", "text", "well"),
    [
        ("plan", "So <answer>up</answer>", True),
        ("plan", "<answer>jump</answer>", True),  # its moves are not a matter of the format
        ("plan", "<answer>up</answer> bye", False),
        ("plan", "<answer>up", False),
        ("mgsd", "<answer>U</answer><answer>U</answer>", False),
        ("vagen", "<think>a</think><answer>Up</answer>", True),
        ("vagen", "<answer>Up</answer>", False),
        ("next_state", f"So <state>{URL}</state>", True),
        ("next_state", f"<state>{URL}</state> done", False),
        ("next_state", f"![]({URL})", False),
    ],
)
def test_a_reply_is_well_formed_by_its_tags(spec: str, text: str, well: bool) -> None:
    parsed = make_dialect(spec).parse(text, VIEWS)
    assert parsed.call.tool != "noop"
    assert parsed.well_formed == well


words = st.text(max_size=30).map(str.strip).filter(lambda text: not any(mark in text for mark in "<>"))


@settings(max_examples=50, deadline=None)
@given(plan=st.lists(st.sampled_from((*EVERY_MOVE, "invalid")), max_size=8).map(" ".join), thought=words)
def test_a_whole_plan_is_read_as_it_is_written(plan: str, thought: str) -> None:
    for spec in ("plan", "mgsd"):
        parsed = make_dialect(spec).parse(make_dialect(spec).format(answer(plan), VIEWS, thought), VIEWS)
        assert (parsed.call, parsed.thought, parsed.well_formed) == (answer(plan), thought, True)


@pytest.mark.parametrize("spec", ["plan", "mgsd", "vagen"])
@pytest.mark.parametrize("text", ["over the ice", "up jump", "1 2", "", "漢字", "a<b", "up, jump"])
def test_what_is_no_plan_is_kept_as_it_was_written(spec: str, text: str) -> None:
    dialect = make_dialect(spec)
    call = Call(dialect.tools[0], {{"answer": "text", "move": "moves"}[dialect.tools[0]]: text})
    assert dialect.parse(dialect.format(call, VIEWS), VIEWS).call == call


def test_a_reply_of_vagen_holds_five_moves() -> None:
    dialect = make_dialect("vagen")
    assert dialect.format(move("up up pick left drop"), VIEWS, "So.") == (
        "<think>So.</think><answer>Up,Up,Pick,Left,Drop</answer>"
    )
    with pytest.raises(ValueError, match="vagen holds at most 5 moves, got Up,Up,Up,Up,Up,Up"):
        dialect.format(move("u" * 6), VIEWS)


def test_the_text_around_a_picture_is_the_thought() -> None:
    for picture in (f"<state>{URL}</state>", f"![the next state]({URL})"):
        assert (
            make_dialect("next_state").parse(f"<think>I go.</think>\n{picture}\nThere.", VIEWS).thought
            == "I go.\nThere."
        )


HOSTILE = [
    *("<answer>" * 60_000, "<answer>" + "R" * 10**6 + "</answer>", "<answer>" + "Right," * 10**6 + "</answer>"),
    *("<answer>" + "right " * 30_000 + "</answer>", "<state>" * 60_000, "<state></state>" * 40_000),
    *("![](data:image/" * 40_000, "![](data:image/png;base64,)" * 20_000, "![" * 200_000 + "](data:image/)"),
    *("](data:image/" * 40_000 + ")", ")" * 500_000, "<state>" + "A" * 10**6 + "</state>", "<state>" + "A" * 10**6),
    *("<think>" * 60_000, "<think>" + "<state>" * 60_000 + "</think>", f"<state>{URL}</state>" + "x" * 10**7),
]


@pytest.mark.parametrize("spec", PLANNING)
def test_hostile_replies_are_read_in_bounded_time(spec: str) -> None:
    dialect = make_dialect(spec)
    for text in HOSTILE:
        start = time.perf_counter()
        call = dialect.parse(text, ()).call
        dialect.parse_cut(text, ())
        assert time.perf_counter() - start < 2.0  # measured: 0.05 s; the rest is for a busy machine
        assert call.tool == "noop" or not TOOLS[call.tool]().accepts(call.args)


def test_a_picture_of_noise_fits_into_a_reply() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    call = draw(picture_url(noise))
    assert 200_000 < len(call.args["picture"]) < MAX_DRAWN < MAX_DRAWN_REPLY
    dialect = make_dialect("next_state")
    assert dialect.parse(dialect.format(call, VIEWS, "Noise."), VIEWS).call == call


# ── prompts and messages ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("spec", PLANNING)
def test_prompts_name_the_moves_of_the_world(spec: str) -> None:
    dialect = make_dialect(spec)
    tools = {name: TOOLS[name]() for name in dialect.tools}
    lake, room = (dialect.prompt(tools, planning_task(world)) for world in (LAKE, ROOM))
    assert "up, down, left and right" in lake
    assert "up, down, left, right, pick and drop" in room
    assert "pick" not in lake.lower()
    assert dialect.prompt(tools, FREE).count("pick and drop") >= 1  # any world


@pytest.mark.parametrize("spec", ["openai", "qwen3_vl"])
def test_function_dialects_offer_moves_in_worlds_alone(spec: str) -> None:
    dialect = make_dialect(spec)
    tools = {name: TOOLS[name]() for name in ("move", "answer")}
    prompt = dialect.prompt(tools, planning_task(LAKE))
    assert "move" in prompt.replace("moves", "")
    assert "names of moves" in prompt
    assert "oordinates" not in prompt
    assert "look closer" not in prompt
    assert "move" not in dialect.prompt(tools, FREE)


def test_the_policy_sees_the_true_state_and_not_its_own_picture() -> None:
    dialect = make_dialect("next_state")
    drawn, true = (View(i, i, VIEWS[0].box, (256, 256), (256, 256), parent=i - 1) for i in (1, 2))
    assert dialect.show([drawn, true], "", {"turn": 1, "error": ""}) == [true]
    assert dialect.show([drawn, true], "no move", {"turn": 1, "error": "bad_move"}) == [true, "\nError: no move"]
    assert dialect.show([drawn, true], "Which?", {"turn": 0}) == [drawn, true, "\nWhich?"]


def test_text_turns_show_one_picture_for_two_views() -> None:
    env = TextTurns(VisualSearchEnv(suite="planning-frozenlake", reward="vprl"), "next_state")
    env.reset(options={"task": planning_task(LAKE)})
    state = LAKE.step(LAKE.start, 1)[0]
    observation, reward, *_, info = env.step(f"<state>{picture_url(LAKE.render(state))}</state>")
    assert (reward, info["error"], info["n_new"]) == (1.0, "", 2)
    assert observation["text"] == "<image>"
    assert [np.array_equal(image, LAKE.render(state)) for image in observation["images"]] == [True]
    observation, reward, *_, info = env.step("<state>jump</state>")
    assert (reward, info["error"], len(observation["images"])) == (-5.0, "bad_move", 1)
    assert observation["text"].startswith("<image>\nError: ")


# ── episodes with scripted replies ──────────────────────────────────────────────────────────────────────────────────


class Says(Policy):
    """Gives the same replies in every episode."""

    def __init__(self, *replies: str) -> None:
        super().__init__()
        self.replies = replies

    def act(self, requests: Any) -> list[Reply]:
        return [Reply(self.replies[len(request.dialogue.messages) // 2 - 1]) for request in requests]


def played(spec: str, *replies: str, world: World = LAKE) -> Trajectory:
    dialect = make_dialect(spec)
    task: Task = planning_task(world)
    tools = [name for name in ("move", "draw_state", "answer") if name in dialect.tools]
    arm = Arm("arm", {"suite": f"planning-{world.name}", "tools": tools}, "says", spec)
    (trajectory,) = rollout([Job(task, "g", seed=0)], Says(*replies), dialect, arm)
    return trajectory


def shown(*moves: int) -> str:
    return f"<state>{picture_url(LAKE.render(LAKE.after(moves)))}</state>"


@pytest.mark.parametrize(
    ("spec", "replies", "errors"),
    [
        ("plan", ["<answer>down right right up</answer>"], [""]),
        ("mgsd", ["<answer>DRRU</answer>"], [""]),
        ("vagen", ["<answer>Down,Right</answer>", "<answer>Right,Up,Up</answer>"], ["", ""]),
        ("vagen", ["<answer>Down,Right,Right,Left,Right,Up</answer>", "<answer>Up</answer>"], ["", ""]),
        ("next_state", [shown(1), shown(1, 3), f"So {shown(1, 3, 3)}.", shown(1, 3, 3, 0)], [""] * 4),
        (
            "next_state",
            [shown(1), "<state>?</state>", shown(1, 3), shown(1, 3, 3), shown(1, 3, 3, 0)],
            ["", "bad_move", *[""] * 3],
        ),
        ("openai", [call_text("move", '{"moves": "down, right"}'), call_text("move", '{"moves": "RU"}')], ["", ""]),
        (
            "openai",
            [call_text("move", '{"moves": "up"}'), call_text("move", '{"moves": "down right right up"}')],
            ["bad_move", ""],
        ),
        ("openai", [call_text("answer", '{"text": "down right right up"}')], [""]),
        ("qwen3_vl", ['<tool_call>{"name": "move", "arguments": {"moves": "DRRU"}}</tool_call>'], [""]),
        ("deepeyes", ["<think>a</think><answer>down right right up</answer>"], [""]),
        ("grid", ["answer down right right up"], [""]),
    ],
)
def test_scripted_replies_reach_the_goal(spec: str, replies: list[str], errors: list[str]) -> None:
    trajectory = played(spec, *replies)
    assert (trajectory.stop, [turn.error for turn in trajectory.turns]) == ("answered", errors)
    assert trajectory.answer.endswith("right up")
