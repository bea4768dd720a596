"""The released formats: what is written is read back, and a broken file says where it is broken."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest

from o3gym.policies.dialogue import Message, Picture, Role
from o3gym.train.data import cold_start, sharegpt
from o3gym.train.data.cold_start import ColdStart
from o3gym.train.data.dialogues import read_turns, stored_turns
from o3gym.train.data.sharegpt import NAMES, ShareGPT
from o3gym.train.data.sources import RunSource, SourceError
from o3gym.types import Source


def content(messages: list[Message]) -> list[Any]:
    parts = [(m.role, [p for p in m.parts if isinstance(p, str) and p]) for m in messages]
    pixels = [part.load().tobytes() for m in messages for part in m.parts if isinstance(part, Picture)]
    return [[(role, "".join(texts)) for role, texts in parts], [m.text for m in messages], pixels]


@pytest.mark.parametrize(
    ("export", "reader", "name"),
    [
        (sharegpt.export_sharegpt, ShareGPT, "d.json"),
        (sharegpt.export_sharegpt, ShareGPT, "d.jsonl"),
        (cold_start.export_cold_start, ColdStart, "deep/d.parquet"),
    ],
)
def test_a_run_is_exported_and_read_back_whole(
    export: Any, reader: Any, name: str, run_folder: Path, tmp_path: Path
) -> None:
    stored = RunSource(str(run_folder))
    assert export(stored, tmp_path / name) == stored.size
    source = reader(str(tmp_path / name))
    assert source.size == stored.size
    for index in range(stored.size):
        assert content(source.example(index, 0)) == content(stored.example(index, 0))
    again = pickle.loads(pickle.dumps(source))
    assert again.fingerprint == source.fingerprint
    assert content(again.example(0, 0)) == content(source.example(0, 0))


def test_the_parquet_has_the_columns_and_names_of_the_release(run_folder: Path, tmp_path: Path) -> None:
    cold_start.export_cold_start(RunSource(str(run_folder)), tmp_path / "d.parquet")
    table = parquet.read_table(tmp_path / "d.parquet")
    assert table.column_names == [
        *("images", "image_names", "conversations", "data_source", "sample_index", "rollout_index"),
    ]
    row = table.to_pylist()[0]
    assert row["image_names"][:2] == ["original_image.jpg", "observation_1.jpg"]
    turns = json.loads(row["conversations"])
    assert {turn["from"] for turn in turns} == {"system", "human", "gpt"}
    assert sum(turn["value"].count("<image>") for turn in turns) == len(row["images"])


def write(path: Path, conversations: list[Any], **columns: Any) -> Path:
    rows = {"conversations": conversations, "images": [[] for _ in conversations], **columns}
    parquet.write_table(pyarrow.table(rows), path)
    return path


def talk(*replies: str) -> str:
    turns = [({"from": "human", "value": "?"}, {"from": "gpt", "value": reply}) for reply in replies]
    return json.dumps([turn for pair in turns for turn in pair])


def test_of_rows_that_begin_each_other_the_longest_is_read(tmp_path: Path) -> None:
    rows = [talk("a"), talk("a", "b"), talk("ab"), talk("a"), talk("a", "b", "c"), talk("a", "b", "c")]
    path = write(tmp_path / "d.parquet", rows, sample_index=[0, 0, 0, 1, 0, 0], rollout_index=[0] * 6)
    source = ColdStart(str(path))
    said = [[m.text for m in source.example(i, 0) if m.role == "assistant"] for i in range(source.size)]
    assert sorted(said) == [["a"], ["a", "b", "c"], ["ab"]]


@pytest.mark.parametrize(
    ("conversation", "words"),
    [
        ("{", "row 0: conversations: not JSON"),
        ('{"a": 1}', "row 0: expected a list of messages"),
        ('[{"from": "robot", "value": "x"}]', "row 0: message 0: role: expected one of"),
        ('[{"from": "gpt", "value": 7}]', "row 0: message 0: text: expected a string, got int 7"),
        ('["x"]', "row 0: message 0: expected an object"),
        (
            '[{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "x"}]',
            "more <image> placeholders than pictures",
        ),
        ('[{"from": "human", "value": "x"}]', "expected the last message to be the assistant's"),
    ],
)
def test_a_broken_row_of_the_parquet_is_named(conversation: str, words: str, tmp_path: Path) -> None:
    source = ColdStart(str(write(tmp_path / "d.parquet", [conversation])))
    with pytest.raises(SourceError, match=rf"d\.parquet: .*{re.escape(words)}"):
        source.example(0, 0)


def test_files_that_are_something_else_are_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(SourceError, match=r"x\.parquet: not a parquet file"):
        ColdStart(str(tmp_path / "x.parquet"))
    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "y.parquet")
    with pytest.raises(SourceError, match='expected a column "images", got a'):
        ColdStart(str(tmp_path / "y.parquet"))
    with pytest.raises(SourceError, match=r"gone\.json: cannot be read"):
        ShareGPT(str(tmp_path / "gone.json"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "d.json: not JSON"),
        ("{}", "expected a list of rows, got dict"),
        ("[]", "the file has no rows"),
        ("[7]", "row 0: expected an object, got 7"),
        ('[{"text": "x"}]', 'row 0: expected "conversations" or "messages", got text'),
        ('[{"messages": [], "images": "x.png"}]', "row 0: images: expected a list of paths, got 'x.png'"),
        (
            '[{"messages": [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "x"}],'
            ' "images": ["gone.png"]}]',
            "gone.png",
        ),
    ],
)
def test_a_broken_sharegpt_file_is_named(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(text)
    with pytest.raises(SourceError, match=re.escape(words)):
        ShareGPT(str(tmp_path / "d.json")).example(0, 0)


def test_chat_messages_and_pictures_too_many(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    (tmp_path / "d.jsonl").write_text(json.dumps({"messages": chat}) + "\n")
    assert [m.role for m in ShareGPT(str(tmp_path / "d.jsonl")).example(0, 0)] == ["user", "assistant"]
    with pytest.raises(SourceError, match="1 pictures, but 0 <image> placeholders"):
        read_turns(chat, [Source.file("x.png")], "here")


def test_a_text_with_the_placeholder_makes_no_picture() -> None:
    messages = [Message("user", ("what does <image> mean?",)), Message("assistant", ("a place",))]
    again = read_turns(stored_turns(messages, NAMES, ("from", "value")), [], "here")
    assert again[0].text == "what does <image > mean?"


def test_observations_inside_the_turn_stay_there() -> None:
    roles: list[Role] = ["user", "assistant", "inline", "assistant"]
    messages = [Message(role, (f"{number}",)) for number, role in enumerate(roles)]
    stored = stored_turns(messages, NAMES, ("from", "value"))
    assert [turn["from"] for turn in stored] == ["human", "gpt", "inline", "gpt"]
    assert read_turns(stored, [], "here") == messages
    with pytest.raises(SourceError, match="message 1: expected an inline message to follow the assistant's"):
        read_turns([stored[0], stored[2], stored[1]], [], "here")


def test_pixels_are_of_the_exported_view(run_folder: Path, tmp_path: Path) -> None:
    stored = RunSource(str(run_folder))
    sharegpt.export_sharegpt(stored, tmp_path / "d.json")
    messages = ShareGPT(str(tmp_path / "d.json")).example(0, 0)
    first = next(part for message in messages for part in message.parts if isinstance(part, Picture))
    assert first.view.shown == stored.episodes[0].views[0].shown
    assert np.array(first.load()).shape[2] == 3
