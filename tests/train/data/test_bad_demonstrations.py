"""A bad row or picture of a file of demonstrations never ends a training: another one takes its place."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from o3gym.policies.dialogue import Message
from o3gym.runs.store import RunStore
from o3gym.train.batches import Collator
from o3gym.train.data.cold_start import ColdStart
from o3gym.train.data.mixture import MAX_DRAWS, Mixture
from o3gym.train.data.sharegpt import ShareGPT
from o3gym.train.data.sources import BadDemonstration, RunSource, SourceError, open_source
from o3gym.train.recipe import read_recipe
from o3gym.types import FULL, Call, Parsed, Reply, Source, Task, Trajectory, Turn, View
from tests.train.colours import dialogue


def row(number: int, **changes: Any) -> dict[str, Any]:
    said = [{"from": "human", "value": f"<image>Which, {number}?"}, {"from": "gpt", "value": f"number {number}"}]
    return {"conversations": said, "images": ["a.png"], **changes}


def write(folder: Path, *rows: Any, name: str = "d.jsonl") -> Path:
    Image.new("RGB", (32, 32)).save(folder / "a.png")
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:60])  # its size can be read, its pixels cannot
    (folder / "no.png").write_bytes(b"no picture")
    (folder / name).write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), "utf-8")
    return folder / name


def picture_bytes() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()


BAD: dict[str, Any] = {
    "no JSON": '{"conversations": [',
    "no object": "7",
    "no turns": row(17, conversations=[]),
    "no dialogue": row(17, conversations="?"),
    "no role": row(17, conversations=[{"from": ["human"], "value": "?"}]),
    "no picture": row(17, images=[]),
    "missing picture": row(17, images=["gone.png"]),
    "broken picture": row(17, images=["no.png"]),
    "half a picture": row(17, images=["cut.png"]),
    "no path": row(17, images=[{"a": 1}]),
    "no file name": row(17, images=["x" * 5000]),
    "a picture elsewhere": row(17, images=["/etc/hostname"]),
}


def collator(encoder: Any, source: str, **more: Any) -> Collator:
    recipe = read_recipe({"model": "m", "data": source, "epochs": 1, "batch": 8, "context": 400, **more})
    return Collator(Mixture(recipe.stages[0], 3), encoder, recipe, recipe.stages[0])


def said(encoder: Any, collate: Collator, index: int) -> str:
    return str(encoder.tokenizer.decode(collate.rows(index)[0].ids)).split("number ")[1].split("<")[0]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_replaced_counted_and_named(
    kind: str, encoder: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [BAD[kind] if i == 17 else row(i) for i in range(40)]
    collate = collator(encoder, f"sharegpt:{write(tmp_path, *rows)}")
    assert collate.mixture.rows == 40
    found = [collate.rows(index)[0] for index in range(40)]
    assert sum(one.bad for one in found) == 1
    assert sum(one.passed for one in found) == 0
    (problem,) = collate.mixture.bad[0].values()
    (record,) = caplog.records
    assert (record.levelno, f"a demonstration is skipped: {problem}" in record.message) == (logging.WARNING, True)
    assert "d.jsonl" in str(problem) or "cut.png" in str(problem)
    assert len(str(problem)) < 700


def test_the_other_rows_stay_in_their_places_and_a_resumed_training_takes_the_same(
    encoder: Any, tmp_path: Path
) -> None:
    whole = collator(encoder, f"sharegpt:{write(tmp_path, *map(row, range(40)))}")
    expected = [said(encoder, whole, index) for index in range(40)]
    place = expected.index("17")
    file = write(tmp_path, *(BAD["no picture"] if i == 17 else row(i) for i in range(40)))
    broken = collator(encoder, f"sharegpt:{file}")
    found = [said(encoder, broken, index) for index in range(40)]
    assert [(i, a) for i, a in enumerate(found) if i != place] == [(i, a) for i, a in enumerate(expected) if i != place]
    resumed = collator(encoder, f"sharegpt:{file}")  # or another process, which makes other rows
    assert [said(encoder, resumed, index) for index in range(place, 40)] == found[place:]
    items = [{"index": index} for index in range(place, place + 2)]
    assert [int(part["bad"]) for part in resumed(items)["parts"]] == [1]


def test_too_many_bad_rows_are_an_error(encoder: Any, tmp_path: Path) -> None:
    file = write(tmp_path, *(BAD["no picture"] if i % 10 == 7 else row(i) for i in range(40)))
    collate = collator(encoder, f"sharegpt:{file}")
    with pytest.raises(SourceError, match=r"sharegpt:.*: 3 of 40 rows are bad, more than 5%: .*more <image>"):
        [collate.rows(index)[0] for index in range(40)]
    alone = collator(encoder, f"sharegpt:{write(tmp_path, BAD['no picture'])}")
    with pytest.raises(BadDemonstration, match="more <image> placeholders"):
        alone.rows(0)


class Rarely:
    """An endless source of which every third demonstration is bad."""

    def example(self, index: int, seed: int) -> list[Message]:
        if index % 3 == 0:
            raise BadDemonstration(f"demonstration {index} is bad")
        return dialogue("red")


def test_bad_and_long_demonstrations_are_counted_apart(encoder: Any) -> None:
    collate = collator(encoder, "colours:Colours?longer=600", epochs=0, steps=2)
    collate.mixture.sources = (Rarely(),)
    first = next(i for i in range(16) if collate.mixture.where(i).rank % 3 == 0)
    assert (collate.rows(first)[0].bad, collate.rows(first)[0].passed) == (1 + (16 % 3 == 0), 0)
    assert MAX_DRAWS == 16


def test_few_rows_are_named_in_the_log(encoder: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path, *(BAD["no picture"] if i in range(6) else row(i) for i in range(120)))
    collate = collator(encoder, f"sharegpt:{file}")
    assert sum(collate.rows(index)[0].bad for index in range(120)) >= 6
    assert (len(collate.mixture.bad[0]), len(caplog.records)) == (6, 5)


def test_episodes_of_a_scripted_policy_are_played_on_good_rows_only(tmp_path: Path) -> None:
    write(tmp_path)
    good = {"image": "a.png", "question": "Which?", "options": ["red", "blue"], "answer": "A", "boxes": [[1, 1, 9, 9]]}
    rows = [{**good, **({"answer": "E"} if i == 7 else {})} for i in range(20)]
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)))
    env = {"min_pixels": 100, "max_pixels": 900}
    source: Any = open_source("policy", policy="oracle", suite=f"local:{tmp_path}/index.jsonl", split="test", env=env)
    ids = [source.episode(index, 0).task.id for index in range(20)]
    assert "local/8" not in ids
    assert len(set(ids)) == 19


# ── formats ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_list_may_have_a_bad_row_but_must_be_json(tmp_path: Path) -> None:
    source = ShareGPT(str(write(tmp_path, json.dumps([row(0), 7, row(2)]), name="d.json")))
    assert [source.example(i, 0)[-1].text for i in (0, 2)] == ["number 0", "number 2"]
    with pytest.raises(BadDemonstration, match=r"d\.json: row 1: expected an object, got 7"):
        source.example(1, 0)
    with pytest.raises(SourceError, match=r"d\.jsonl:1: not JSON"):
        ShareGPT(str(write(tmp_path, "<html>", "</html>")))
    with pytest.raises(SourceError, match=r"d\.json: not JSON"):
        ShareGPT(str(write(tmp_path, "[" * 100_000, name="d.json")))


def test_texts_keep_line_separators_and_lose_lone_surrogates(tmp_path: Path) -> None:
    said = [{"from": "human", "value": "a\u2028b"}, {"from": "gpt", "value": "c\ud83d"}]
    (tmp_path / "d.jsonl").write_text(
        json.dumps({"messages": said}, ensure_ascii=False).replace("\ud83d", "\\ud83d"), "utf-8"
    )
    assert [message.text for message in ShareGPT(str(tmp_path / "d.jsonl")).example(0, 0)] == ["a\u2028b", "c\ufffd"]


def conversation(said: str) -> list[dict[str, str]]:
    return [{"from": "human", "value": "?"}, {"from": "gpt", "value": said}]


LONE = {
    "escaped": (b"\\ud83d", "\ufffd"),
    "encoded": (b"\xed\xa0\xbd", "\ufffd"),
    "Latin-1": (b"caf\xe9", "caf\ufffd"),
    "both": (b"\xed\xa0\xbd \xe9", "\ufffd\ufffd\ufffd \ufffd"),
}


@pytest.mark.parametrize("kind", LONE)
@pytest.mark.parametrize("name", ["d.jsonl", "d.json"])
def test_what_is_no_character_is_replaced_counted_and_told(
    kind: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raw, text = LONE[kind]
    rows = [{"messages": conversation(f"number {i} XX" if i == 1 else f"\U0001f600 {i}")} for i in range(3)]
    data = "\n".join(map(json.dumps, rows)) if name == "d.jsonl" else json.dumps(rows)
    (tmp_path / name).write_bytes(data.encode().replace(b"XX", raw))
    stage = read_recipe({"model": "m", "data": f"sharegpt:{tmp_path / name}", "epochs": 1, "batch": 1}).stages[0]
    mixture = Mixture(stage, 3)
    assert {mixture.example(mixture.where(i))[-1].text for i in range(3)} == {
        *("\U0001f600 0", f"number 1 {text}", "\U0001f600 2")
    }
    assert mixture.describe()[0]["replaced"] == 1
    assert f"{name}: 1 demonstration contains lone surrogates, which were replaced by U+FFFD" in caplog.text


def test_what_is_no_character_is_counted_in_a_cold_start(tmp_path: Path) -> None:
    texts = [json.dumps(conversation(said)) for said in ("\U0001f600", "\ud83d", "\\ud83d", "XX", "\udc00\ud83d")]
    raw = pyarrow.array([text.encode().replace(b"XX", b"\xed\xa0\xbd") for text in texts], pyarrow.binary())
    text = pyarrow.Array.from_buffers(pyarrow.string(), 5, raw.buffers())
    images = pyarrow.array([[]] * 5, pyarrow.list_(pyarrow.binary()))
    parquet.write_table(pyarrow.table({"conversations": text, "images": images}), tmp_path / "d.parquet")
    source = ColdStart(str(tmp_path / "d.parquet"))
    said = [source.example(index, 0)[-1].text for index in range(5)]
    assert said == ["\U0001f600", "\ufffd", "\\ud83d", "\ufffd", "\ufffd\ufffd"]
    assert source.replaced == 3


def test_replies_of_a_run_lose_lone_surrogates(tmp_path: Path) -> None:
    task = Task("t", (Source.of_bytes(picture_bytes()),), "?", "red")
    with RunStore(tmp_path / "run", {}) as store:
        for sample, said in enumerate(("\ud83d", "\U0001f600")):
            turns = (Turn(Reply(f"{said}<answer>red</answer>"), Parsed(Call("answer", {"text": "red"}))),)
            view = View(0, 0, FULL, (8, 8), (8, 8))
            ending = {"stop": "answered", "answer": "red", "verdict": "correct", "dialect": "qwen3_vl"}
            store.append(
                Trajectory(task, task.sources, (view,), turns, sample=sample, env={"tools": ["answer"]}, **ending)
            )
    source = RunSource(str(tmp_path / "run"))
    assert [source.example(i, 0)[-1].text[0] for i in range(2)] == ["\ufffd", "\U0001f600"]
    assert source.replaced == 1


class Lone:
    """A source of others that gives a lone surrogate."""

    def example(self, index: int, seed: int) -> list[Message]:
        return [*dialogue("red")[:-1], Message("assistant", ("\ud83d",))]


def test_a_source_of_others_with_a_lone_surrogate_is_bad(encoder: Any) -> None:
    collate = collator(encoder, "colours:Colours", epochs=0, steps=2)
    collate.mixture.sources = (Lone(),)
    with pytest.raises(BadDemonstration, match=r"demonstration \d+ holds a lone surrogate, which is no character"):
        collate.rows(0)


@pytest.mark.parametrize("name", ["../private/a.png", "{}/a.png", "file://{}/a.png", "link.png"])
def test_a_strangers_file_reads_no_pictures_elsewhere(name: str, tmp_path: Path) -> None:
    for folder in ("theirs", "private"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder)
    (tmp_path / "theirs" / "link.png").symlink_to(tmp_path / "private" / "a.png")
    file = write(tmp_path / "theirs", row(0, images=[name.format(tmp_path / "private")]))
    with pytest.raises(BadDemonstration, match=r'row 0: field "images": expected a file below .*theirs \(roots= names'):
        ShareGPT(str(file)).example(0, 0)
    source: Any = open_source(f"sharegpt:{file}?roots=/nowhere+{tmp_path / 'private'}")
    assert source.example(0, 0)[-1].text == "number 0"
    own = write(tmp_path / "theirs", row(0, images=[f"file://{tmp_path / 'theirs'}/a.png"]))
    assert ShareGPT(str(own)).example(0, 0)[-1].text == "number 0"


def test_a_bad_row_of_the_parquet_file_leaves_the_others(tmp_path: Path) -> None:
    good = json.dumps([{"from": "human", "value": "?"}, {"from": "gpt", "value": "yes"}]).encode()
    texts = pyarrow.array([good, b"{", b"\xff", b"[" * 10**5, good[:-1] + b" ]"], pyarrow.binary())
    text = pyarrow.Array.from_buffers(pyarrow.string(), 5, texts.buffers())
    images = pyarrow.array([[]] * 5, pyarrow.list_(pyarrow.binary()))
    parquet.write_table(pyarrow.table({"conversations": text, "images": images}), tmp_path / "d.parquet")
    source = ColdStart(str(tmp_path / "d.parquet"))
    assert source.size == 5
    for index in (1, 2, 3):
        with pytest.raises(BadDemonstration, match=rf"row {index}: conversations: not JSON"):
            source.example(index, 0)
    assert [source.example(index, 0)[-1].text for index in (0, 4)] == ["yes", "yes"]
