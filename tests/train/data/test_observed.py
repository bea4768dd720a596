"""Single turns with their observations inside: written, read back with the observations muted, and refused if odd."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.policies.dialogue import Message
from o3gym.train.batches import batch_of
from o3gym.train.data.observed import apart, in_one_turn
from o3gym.train.data.sharegpt import ShareGPT, export_sharegpt
from o3gym.train.data.sources import BadDemonstration, RunSource, SourceError, open_source
from o3gym.train.loss_mask import IGNORED, training_row
from o3gym.train.recipe import SftRecipe, read_recipe
from tests.train.colours import dialogue, picture

SPEC = "synthetic?family=relation+attribute&difficulty=easy&pixels=40000"


def recipe(**more: Any) -> SftRecipe:
    return read_recipe({"model": "m", "data": "colours:Colours", "steps": 2, "batch": 4, "context": 4000, **more})


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with drawn boxes, zooms and the original again."""
    folder = tmp_path_factory.mktemp("chains")
    env = {"min_pixels": 1024, "max_pixels": 9216, "focus": "draw"}
    bench = Bench(SPEC, policies=("observer",), dialect="simple_o3", episodes=3, turns=(6,), env=env)
    run(bench, folder, thumbnails=False)
    return folder


@pytest.mark.parametrize("name", ["d.json", "d.jsonl"])
def test_rows_from_the_file_have_the_labels_of_rows_from_the_run(
    encoder: Any, chains: Path, tmp_path: Path, name: str
) -> None:
    stored = RunSource(str(chains))
    assert export_sharegpt(stored, tmp_path / name, "observation") == stored.size == 3
    source = open_source(f"sharegpt:{tmp_path / name}?observed=observation")
    for index in range(stored.size):
        flat = training_row(stored.example(index, 0), encoder, recipe(flatten=True))
        read = training_row(source.example(index, 0), encoder, recipe())
        assert np.array_equal(flat.ids, read.ids)
        assert np.array_equal(flat.labels, read.labels)
        one, other = (batch_of([row], encoder)["pixel_values"] for row in (flat, read))
        assert torch.equal(one, other)
        assert (flat.labels == IGNORED).any()


def test_the_file_has_one_turn_with_every_picture_between_tags(chains: Path, tmp_path: Path) -> None:
    export_sharegpt(RunSource(str(chains)), tmp_path / "d.json", "observation")
    for row in json.loads((tmp_path / "d.json").read_text("utf-8")):
        assert [turn["from"] for turn in row["conversations"]] == ["system", "human", "gpt"]
        words = row["conversations"][2]["value"]
        looks = words.count("<observation><image></observation>")
        assert looks == words.count("</function><observation>") == len(row["images"]) - 1 > 0
        assert words.endswith("</answer>")


def test_without_the_option_a_flat_file_is_learnt_as_a_whole(encoder: Any, chains: Path, tmp_path: Path) -> None:
    export_sharegpt(RunSource(str(chains)), tmp_path / "d.json", "observation")
    (_, _, whole) = ShareGPT(str(tmp_path / "d.json")).example(0, 0)
    assert whole.role == "assistant"
    assert "<observation>" in whole.text


@pytest.mark.parametrize(
    ("text", "texts"),
    [
        ("a", ["a"]),
        ("a<o>b</o>c", ["a", "<o>b</o>", "c"]),
        ("a<o></o>c", ["a", "<o></o>", "c"]),
        ("a<o>b</o><o>c</o>d", ["a", "<o>b</o><o>c</o>", "d"]),
        ("a<o>b</o> <o>c</o>d", ["a", "<o>b</o>", " ", "<o>c</o>", "d"]),
        ("a<O>b", ["a<O>b"]),
        ("", [""]),
    ],
)
def test_words_and_observations_are_told_apart(text: str, texts: list[str]) -> None:
    messages = apart([Message("user", ("?",)), Message("assistant", (text,) if text else ())], "o", "row")
    assert [message.text for message in messages[1:]] == texts
    assert {message.role for message in messages[2::2]} <= {"inline"}
    assert {message.role for message in messages[1::2]} == {"assistant"}


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (("a<o>b",), "<o> without </o> after it"),
        (("a</o>b",), "</o> without <o> before it"),
        (("a<o>b<o>c</o></o>d",), "<o> inside of <o>"),
        (("a<o>b</o></o>d",), "</o> without <o>"),
        (("<o>b</o>d",), "words of the assistant before"),
        (("a<o>b</o>",), "words of the assistant before and after"),
        (("a", picture(0, "red", 32), "b"), "a picture without <o>"),
    ],
)
def test_unbalanced_tags_are_a_bad_demonstration(parts: Any, words: str) -> None:
    with pytest.raises(BadDemonstration, match="row 7: message 1: ") as caught:
        apart([Message("user", ("?",)), Message("assistant", parts)], "o", "row 7")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "messages",
    [
        dialogue("red"),  # no tags around the observation
        [*dialogue("red")[:3], Message("user", ("<o></o></o>",)), Message("assistant", ("b",))],
        [Message("user", ("?",)), Message("assistant", ("a <o>I see a cat</o> b",))],
        [*dialogue("red")[:3], Message("user", ("<o>x</o>",)), Message("assistant", ("the end</o>",))],
    ],
)
def test_what_could_not_be_read_back_is_not_written(messages: list[Message]) -> None:
    with pytest.raises(BadDemonstration, match="demonstration 4"):
        in_one_turn(messages, "o", "demonstration 4")


def test_a_bad_row_costs_no_other_and_names_the_file(tmp_path: Path) -> None:
    talks = [[{"from": "human", "value": "?"}, {"from": "gpt", "value": text}] for text in ("a<o>b</o>c", "a<o>b")]
    path = tmp_path / "d.json"
    path.write_text(json.dumps([{"conversations": talk} for talk in talks]), "utf-8")
    source = pickle.loads(pickle.dumps(ShareGPT(str(path), observed="o")))
    assert [message.role for message in source.example(0, 0)] == ["user", "assistant", "inline", "assistant"]
    with pytest.raises(BadDemonstration, match=r"d\.json: row 1: message 1: <o> without"):
        source.example(1, 0)


@pytest.mark.parametrize("tag", ["<o>", "a b", "(", "1", "x" * 50])
def test_the_tag_is_a_name(tmp_path: Path, tag: str) -> None:
    (tmp_path / "d.json").write_text("[{}]", "utf-8")
    with pytest.raises(SourceError, match="observed: expected the name of a tag"):
        ShareGPT(str(tmp_path / "d.json"), observed=tag)
