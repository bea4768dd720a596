from __future__ import annotations

import json
import subprocess
import sys

import pytest

import o3gym
from o3gym.codec import decode, encode
from o3gym.sampling import Sampling
from o3gym.types import FULL, Reply, Source, Task, Trajectory, View

REFERENCES = [
    Source.file("a.png"),
    Source.file("b.png"),
    Source.of_bytes(b"a"),
    Source.of_bytes(b"b"),
    Source("file", Source.of_bytes(b"a").ref),
    Source.generated("synthetic", seed=1),
    Source.generated("synthetic", seed=2),
    Source.generated("synthetic", seed="1"),
    Source.derived(Source.file("a.png"), "rotate", None, angle=90.0),
    Source.derived(Source.file("b.png"), "rotate", None, angle=90.0),
    Source.derived(Source.file("a.png"), "rotate", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), angle=90.0),
    Source("file", "a.png", duration=2.0),
]


def test_sources_are_equal_exactly_if_their_keys_are() -> None:
    for i, a in enumerate(REFERENCES):
        for j, b in enumerate(REFERENCES):
            assert (a == b) is (a.key == b.key) is (i == j)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (Source.generated("g", seed=3, pixels=90), Source.generated("g", pixels=90, seed=3)),
        (Source.generated("g", angle=90), Source.generated("g", angle=90.0)),
        (Source.generated("g", x=0.0), Source.generated("g", x=-0.0)),
        (Source.generated("g", box=(0.0, 1.0)), Source.generated("g", box=[0.0, 1.0])),
        (
            Source.derived(Source.file("a"), "x", (1, 0, 0, 0, 1, 0)),
            Source.derived(Source.file("a"), "x", (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)),
        ),
    ],
    ids=["order", "integer", "zero", "list", "affine"],
)
def test_references_that_json_cannot_tell_apart_are_one_source(a: Source, b: Source) -> None:
    assert a == b
    assert a.key == b.key
    assert hash(a) == hash(b)


def test_a_flag_is_not_the_number_one() -> None:
    assert Source.generated("g", flag=True) != Source.generated("g", flag=1)


def test_keys_are_the_same_in_another_process() -> None:
    code = (
        "from o3gym.types import Source as S\n"
        "print(S.derived(S.generated('g', seed=7, name='ä'), 'draw', None, boxes=[[0, 0.1, 1, 1]]).key)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    source = Source.derived(Source.generated("g", name="ä", seed=7), "draw", None, boxes=[[0, 0.1, 1, 1]])
    assert printed == source.key
    assert len(printed) == 16


def test_the_text_of_a_task_lists_its_options_by_letter() -> None:
    task = Task("t", (), "Which?", "B", ("red", "blue"), kind="choice")
    assert task.text == "Which?\nA. red\nB. blue"
    assert task.letters == "AB"
    assert Task("t", (), "Which?").text == "Which?"


def test_the_constructors_make_json_values_of_what_they_are_given() -> None:
    assert o3gym.crop((0, 0, 1, 1), view=2) == ("crop", {"view": 2, "box": [0.0, 0.0, 1.0, 1.0]})
    assert o3gym.zoom((0, 1), 3) == ("zoom", {"view": 0, "center": [0.0, 1.0], "factor": 3.0})
    assert all(type(v) is float for v in [*o3gym.crop((0, 0, 1, 1)).args["box"], *o3gym.zoom((0, 1)).args["center"]])
    assert o3gym.locate(None) == ("locate", {"view": 0, "box": None})


def test_code_and_its_sampling_are_stored_only_if_there_are_any() -> None:
    plain, coded = Reply("x", (1, 2, 3)), Reply("x", (1, 2, 3), code=((0, 1), (2, 3)))
    assert "code" not in encode(plain)
    assert encode(coded)["code"] == [[0, 1], [2, 3]]
    assert [decode(Reply, json.loads(json.dumps(encode(r)))) for r in (plain, coded)] == [plain, coded]
    assert set(encode(Sampling())) == {"temperature", "top_p", "max_tokens", "stop", "seed", "choices"}
    sampling = Sampling(repetition_penalty=1.05, code_temperature=0.0, code_tags=("<code>", "</code>"))
    assert decode(Sampling, json.loads(json.dumps(encode(sampling)))) == sampling


def test_a_trajectory_of_a_newer_package_is_refused() -> None:
    data = {**Trajectory(Task("t", (), "?"), (), (), ()).to_json(), "schema": 99}
    with pytest.raises(ValueError, match=r"schema 99.*upgrade"):
        Trajectory.from_json(data)
    for schema in (None, "1", [], {}):
        with pytest.raises(ValueError, match="schema"):
            Trajectory.from_json({**data, "schema": schema})


def test_a_view_of_a_source_that_is_not_there_is_refused() -> None:
    view = View(0, 1, FULL, (4, 4), (4, 4))
    data = Trajectory(Task("t", (), "?"), (Source.file("a.png"),), (view,), ()).to_json()
    with pytest.raises(ValueError, match="view 0 is of source 1 of 1"):
        Trajectory.from_json(data)
