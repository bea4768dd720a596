"""Rows in the released form of Thyme's supervised data: code and its output inside one response."""

from __future__ import annotations

import base64
import pickle
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import pytest

from o3gym.policies.dialogue import Message, Picture
from o3gym.train.data.sources import BadDemonstration, SourceError, open_source, replaced_in, size_of
from o3gym.train.data.thyme_sft import ThymeSFT
from o3gym.train.loss_mask import training_row
from o3gym.train.recipe import load_recipe, read_recipe
from tests.train.thyme_rows import CODE, NO_CODE, ONE_ROUND, TWO_ROUNDS, png, row, write


def spelled(message: Message) -> tuple[str, str]:
    """The role and the text of a message, with the width of each picture in its place."""
    parts = [f"[{part.load().shape[1]}]" if isinstance(part, Picture) else part for part in message.parts]
    return message.role, "".join(parts)


def test_a_response_is_split_into_words_and_outputs(tmp_path: Path) -> None:
    source = ThymeSFT(str(write(tmp_path / "a.parquet", row(), row(TWO_ROUNDS, 3), row(NO_CODE, 1))), dialect="")
    assert (size_of(source), replaced_in(source)) == (3, 0)
    assert list(map(spelled, source.example(0, 0))) == [
        ("user", "[32]What does the sign say?"),
        ("assistant", f"<think>It is small. {CODE}"),
        ("inline", "<sandbox_output>[64]</sandbox_output>"),
        ("assistant", "\nIt says STOP.</think> <answer>STOP</answer>"),
    ]
    assert list(map(spelled, source.example(1, 0)))[1:] == [
        ("assistant", f"<think>It is small. {CODE}"),
        ("inline", "\n<sandbox_output>NameError</sandbox_output>"),
        ("assistant", f"\nAgain. {CODE}"),
        ("inline", "<sandbox_output>[64] and [96]</sandbox_output>"),
        ("assistant", " STOP.</think> <answer>STOP</answer>"),
    ]
    assert [message.role for message in source.example(2, 0)] == ["user", "assistant"]
    assert source.example(2, 0)[-1].text == NO_CODE


def test_the_dialect_writes_the_prompt_and_shows_the_question(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", row(question="<image>\nWhat does the sign say?"), row())
    source = open_source(f"thyme:{tmp_path / 'a.parquet'}")
    first, second = source.example(0, 0), source.example(1, 0)
    assert [message.role for message in first] == ["system", "user", "assistant", "inline", "assistant"]
    assert "<sandbox_output>" in first[0].text
    assert spelled(first[1])[1].count("[32]") == 1
    assert first[1].text.endswith("What does the sign say?")
    assert list(map(spelled, first)) == list(map(spelled, second))  # wherever the picture of the question is stored


def test_places_in_the_question_take_the_first_pictures(tmp_path: Path) -> None:
    changes = {"question": "Compare <image> with <image>, please.", "pictures": 3}
    source = ThymeSFT(str(write(tmp_path / "a.parquet", row(**changes))), dialect="")
    messages = source.example(0, 0)
    assert spelled(messages[0])[1] == "Compare [32] with [64], please."
    assert spelled(messages[2])[1] == "<sandbox_output>[96]</sandbox_output>"


def test_several_pictures_before_a_question_without_places(tmp_path: Path) -> None:
    source = ThymeSFT(str(write(tmp_path / "a.parquet", row(pictures=3), row(NO_CODE, 2))), dialect="")
    assert spelled(source.example(0, 0)[0])[1] == "[32][64]What does the sign say?"
    assert spelled(source.example(1, 0)[0])[1] == "[32][64]What does the sign say?"


def learnt(encoder: Any, source: ThymeSFT, index: int, turns: int = 0) -> list[str]:
    """The texts of a row that have a loss, one for each run of them."""
    recipe = read_recipe({"model": "m", "data": "x", "steps": 1, "last_turns": turns})
    made = training_row(source.example(index, 0), encoder, recipe)
    runs, before = list[list[int]](), 0
    for token, mark in zip(made.ids.tolist(), made.mask.tolist(), strict=True):
        runs += [[]] if mark and not before else []
        if mark:
            runs[-1].append(token)
        before = mark
    assert made.ids[-1] == encoder.end
    return [encoder.tokenizer.decode(run).replace(encoder.tokenizer.decode([encoder.end]), "<end>") for run in runs]


def test_outputs_have_no_loss_and_of_two_rounds_the_last_one_is_learnt(encoder: Any, tmp_path: Path) -> None:
    source = ThymeSFT(str(write(tmp_path / "a.parquet", row(), row(TWO_ROUNDS, 3), row(NO_CODE, 1))))
    first, again = f"<think>It is small. {CODE}", f"\nAgain. {CODE}"
    end = " STOP.</think> <answer>STOP</answer><end>"
    assert learnt(encoder, source, 1) == [first, again, end]
    turns = load_recipe("thyme").last_turns
    assert learnt(encoder, source, 1, turns) == [again, end]  # not the code that failed
    assert learnt(encoder, source, 0, turns) == [first, "\nIt says STOP.</think> <answer>STOP</answer><end>"]
    assert learnt(encoder, source, 2, turns) == [f"{NO_CODE}<end>"]
    assert learnt(encoder, source, 1, 1) == [end]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "too few pictures": (row(TWO_ROUNDS, 2), "image: 2 pictures, but 0 <image> placeholders in the question and 2 in"),
    "no picture": (row(NO_CODE, 0), "image: 0 pictures, but 0 <image> placeholders"),
    "null pictures": (row(image=None), "image: expected a list of pictures, got NoneType"),
    "a null picture": (row(image=[png(32), None]), "image: expected base64 text, got NoneType None"),
    "no base64": (row(image=["a", "b"]), "image: not base64 text"),
    "no picture in it": (row(image=[png(32), base64.b64encode(b"text").decode()]), "a.parquet: row 1: "),
    "pictures without a place": (
        row(TWO_ROUNDS.replace("<image>", "x"), 3),
        "image: 3 pictures, but 0 <image> placeholders in the question and 0 in the outputs",
    ),
    "other places in the question": (row(question="<image><image>?", pictures=2), "2 pictures, but 2 <image> placeh"),
    "no question": (row(question=" "), "question: expected a text, got ' '"),
    "no response": (row(response=None), "response: expected a text, got None"),
    "an open output": (
        row("<think>a <sandbox_output>b", 1),
        "response: a <sandbox_output> is not closed or not opened",
    ),
    "an output alone": (row("a</sandbox_output> b", 1), "response: a <sandbox_output> is not closed or not opened"),
    "no words after it": (row(ONE_ROUND.partition("\nIt")[0]), "response: expected words of the assistant around"),
    "no words before it": (row("<sandbox_output>a</sandbox_output> b", 1), "response: expected words of the assist"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named_and_costs_nothing_else(kind: str, tmp_path: Path) -> None:
    bad, expected = BAD[kind]
    source = ThymeSFT(str(write(tmp_path / "a.parquet", row(), bad, row())), dialect="")
    with pytest.raises(BadDemonstration) as caught:
        source.example(1, 0)
    assert str(caught.value).startswith(f"{tmp_path / 'a.parquet'}: row 1: ")
    assert expected in str(caught.value)
    assert [len(source.example(index, 0)) for index in (0, 2)] == [4, 4]


def test_splits_of_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "data" / "2round-00000-of-00002.parquet", row(TWO_ROUNDS, 3))
    write(tmp_path / "data" / "2round-00001-of-00002.parquet", row(TWO_ROUNDS, 3, question="Second file?"))
    write(tmp_path / "data" / "computation-00000-of-00001.parquet", row(NO_CODE, 1))
    write(tmp_path / "wo_thinking_thyme_single_round" / "a.parquet", row(), row())
    assert ThymeSFT(str(tmp_path), "2round").size == 2
    assert ThymeSFT(str(tmp_path), "2round").example(1, 0)[1].text.endswith("Second file?")
    assert ThymeSFT(str(tmp_path), "wo_thinking_thyme_single_round+2round").size == 4
    assert ThymeSFT(str(tmp_path)).size == 5
    with pytest.raises(SourceError, match='expected parquet files of the split "3round", found none'):
        ThymeSFT(str(tmp_path), "3round")
    with pytest.raises(SourceError, match="split: expected a folder to choose a split from, got a file"):
        ThymeSFT(str(tmp_path / "wo_thinking_thyme_single_round" / "a.parquet"), "2round")


def test_files_that_are_not_as_expected(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(SourceError, match=r"a\.parquet: not a parquet file that can be read"):
        ThymeSFT(str(tmp_path / "a.parquet"))
    parquet.write_table(pyarrow.table({"image": [["x"]], "question": ["?"]}), tmp_path / "b.parquet")
    with pytest.raises(SourceError, match=r'b\.parquet: expected a column "response", got image, question'):
        ThymeSFT(str(tmp_path / "b.parquet"))
    with pytest.raises(SourceError, match=r"c\.parquet: not a parquet file that can be read"):
        ThymeSFT(str(tmp_path / "c.parquet"))
    with pytest.raises(SourceError, match="the files have no rows"):
        ThymeSFT(str(write(tmp_path / "d.parquet")))


def test_a_source_can_be_sent_to_another_process_and_has_a_fingerprint(tmp_path: Path) -> None:
    source = ThymeSFT(str(write(tmp_path / "a.parquet", row())))
    again = pickle.loads(pickle.dumps(source))
    assert list(map(spelled, again.example(0, 0))) == list(map(spelled, source.example(0, 0)))
    other = ThymeSFT(str(write(tmp_path / "b.parquet", row(question="Which sign?"))))
    assert source.fingerprint == again.fingerprint != other.fingerprint
