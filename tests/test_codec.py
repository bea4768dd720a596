from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from o3gym.calls import crop, locate
from o3gym.codec import DecodeError, decode, encode
from o3gym.sampling import Sampling
from o3gym.types import Call, Parsed, Reply, Segment, Source, Target, Task, Trajectory, Turn, Usage, View

PHOTO = Source("file", "täst.jpg", duration=2.5)
TURNED = Source.derived(PHOTO, "rotate", (0.0, 1.0, 0.1, -1.0, 0.0, 1.0), region=[0.0, 0.0, 0.5, 0.5], angle=90.0)
DRAWN = Source.derived(TURNED, "draw", None, boxes=[[0.1, 0.2, 0.3, 0.4]])
TASK = Task(
    "suite/7",
    (PHOTO, Source.generated("synthetic", seed=3, family="hidden")),
    "Which?",
    "A",
    ("red", "漢\u2028"),
    (Target((0.1, 0.2, 0.3, 0.4), 1, "door", (0.5, 1.5)), Target((0.0, 0.0, 1.0, 1.0))),
    "choice",
    {"family": "hidden"},
    {"suite": "s", "index": 7, "nested": {"a": [1, 2.5, None, True]}},
)
VIEW = View(1, 2, (0.1, 0.2, 0.30000000000000004, 0.4), (10, 20), (5, 10), 0, (0.5, 1.0))
REPLY = Reply("<a>", (1, 2), (-0.1, -0.2), (3,), "length", "cut", Usage(10, 2, 0.001))
TURN = Turn(
    REPLY, Parsed(crop((0.1, 0.2, 0.3, 0.4)), True, "hm", {"s": 1}), "bad_box", (1,), "no", {"step": 0.1}, 1, (0,)
)
CHILD = Trajectory(TASK, (PHOTO,), (VIEW,), (TURN,), agent="searcher", located=(0.0, 0.0, 0.5, 0.5))
WHOLE = Trajectory(
    TASK,
    (PHOTO, TURNED, DRAWN),
    (VIEW,),
    (TURN, Turn(Reply(""), Parsed(locate(None)))),
    arm="oracle",
    group="g",
    sample=3,
    env={"max_turns": 6, "tools": ["crop"]},
    policy="oracle",
    dialect="mini_o3",
    sampling=Sampling(0.7, 0.9, 256, ("</a>",), 5),
    seed=9,
    terminated=True,
    stop="answered",
    answer="A",
    verdict="correct",
    score=1.0,
    terms={"outcome": 1.0},
    reward=1.0,
    segments=(Segment((0,), (0, 1)), Segment((1,), (0, 2), (1,))),
    children=(CHILD,),
)


@pytest.mark.parametrize(
    "record", [PHOTO, DRAWN, TASK, VIEW, REPLY, TURN, WHOLE, Reply(""), Call("x", {"a": [1]}), Sampling(), Segment()]
)
def test_every_record_survives_json(record: Any) -> None:
    text = json.dumps(encode(record), allow_nan=False)
    again = decode(type(record), json.loads(text))
    assert again == record
    assert json.dumps(encode(again)) == text


def test_the_bytes_of_a_picture_stay_out_of_json() -> None:
    source = Source.of_bytes(b"\xff\xd8")
    again = decode(Source, json.loads(json.dumps(encode(source))))
    assert again == source
    assert again.data is None


def test_numpy_scalars_become_plain_numbers() -> None:
    plain = encode({"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True), "d": (np.float64(1.5),)})
    assert json.loads(json.dumps(plain)) == {"a": 3, "b": 0.5, "c": True, "d": [1.5]}


def test_what_json_cannot_hold_is_refused_by_its_type() -> None:
    with pytest.raises(TypeError, match="set has no JSON form"):
        encode({"a": {1}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "x"}, "Trajectory.seed: expected an integer, got str 'x'"),
        ({"seed": True}, "Trajectory.seed: expected an integer, got bool"),
        ({"reward": "1"}, "Trajectory.reward: expected a number, got str"),
        ({"terminated": 1}, "Trajectory.terminated: expected bool, got int"),
        ({"stop": "bored"}, "Trajectory.stop: expected one of"),
        ({"views": 3}, "Trajectory.views: expected a list, got int"),
        ({"located": [0, 0, 1]}, "Trajectory.located: expected 4 values, got list"),
        ({"terms": [1]}, "Trajectory.terms: expected an object, got list"),
        ({"terms": {"iou": None}}, "Trajectory.terms.iou: expected a number, got NoneType"),
        ({"task": {"id": "t"}}, "Trajectory.task: .*'sources' and 'question'"),
        ({"children": [{"task": 3}]}, r"Trajectory.children\[0\].task: expected an object \(Task\), got int"),
    ],
)
def test_a_misfit_is_reported_by_field(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        Trajectory.from_json({**WHOLE.to_json(), **change})


def test_a_misfit_deep_inside_is_reported_by_its_path() -> None:
    data = json.loads(json.dumps(WHOLE.to_json()))
    data["turns"][0]["reply"]["logprobs"][1] = "low"
    with pytest.raises(DecodeError, match=r"Trajectory.turns\[0\].reply.logprobs\[1\]: expected a number"):
        Trajectory.from_json(data)
    data = json.loads(json.dumps(WHOLE.to_json()))
    del data["turns"][0]["parsed"]["call"]["args"]
    with pytest.raises(DecodeError, match=r"Trajectory.turns\[0\].parsed.call: expected keys \('tool', 'args'\)"):
        Trajectory.from_json(data)


def test_unknown_keys_are_ignored_and_missing_ones_take_their_default() -> None:
    assert decode(Sampling, {"temperature": 1, "from_the_future": []}) == Sampling(temperature=1.0)
    assert type(decode(Sampling, {"temperature": 1}).temperature) is float
