"""Files of exemplars: what is read, what is refused and in which words, and how they are performed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.exemplars.reading import OUR_EXEMPLARS, ExemplarError, exemplar_digest, read_exemplars
from o3gym.bench.exemplars.staging import stage_exemplars
from o3gym.bench.run import run
from o3gym.dialects.base import make_dialect
from o3gym.policies.dialogue import Picture
from o3gym.registry import DIALECTS
from o3gym.runs.store import RunError, open_run
from o3gym.suites.base import make_suite
from tests.bench.exemplar_rows import CHOICE, PHOTO, SCENES, bench, written


def act(number: int, **changes: Any) -> dict[str, Any]:
    """`PHOTO` with other keys in one act; None removes a key."""
    acts = [dict(each) for each in PHOTO["act"]]
    acts[number - 1] = {k: v for k, v in {**acts[number - 1], **changes}.items() if v is not None}
    return {**PHOTO, "act": acts}


def test_a_picture_and_a_task_of_a_suite_are_read(tmp_path: Path, photos: Path) -> None:
    photo, choice = read_exemplars(written(tmp_path, PHOTO, CHOICE, photos=photos))
    assert (photo.task.kind, photo.task.answer, photo.task.sources[0].ref) == (
        *("free", "flour"),
        str(tmp_path / "shelf.png"),
    )
    assert photo.pixels is None
    assert [each.call.tool for each in photo.acts] == ["crop", "crop", "answer"]
    assert photo.acts[0].call.args == {"view": 0, "box": [0.1, 0.5, 0.9, 1.0]}
    suite = make_suite(SCENES, "train")
    assert (choice.task, choice.pixels) == (suite[3], (suite.min_pixels, suite.max_pixels))
    by_id = {**CHOICE, "id": suite[3].id}
    del by_id["index"]
    assert read_exemplars(written(tmp_path, by_id))[0].task == suite[3]


def test_toml_says_the_same(tmp_path: Path, photos: Path) -> None:
    path = written(tmp_path, {**PHOTO, "choices": ["flour", "sugar"], "answer": "A"}, photos=photos)
    (tmp_path / "exemplars.toml").write_text(
        """
        [[exemplar]]
        name = "the label"
        picture = "shelf.png"
        question = "What does the label say?"
        choices = ["flour", "sugar"]
        answer = "A"
        [[exemplar.act]]
        thought = "The label is small. I will look at the lower part."
        crop = { box = [0.1, 0.5, 0.9, 1.0] }
        [[exemplar.act]]
        thought = "Not there; higher up, and closer."
        crop = { view = 1, box = [0.0, 0.0, 0.5, 0.5] }
        [[exemplar.act]]
        thought = "It says flour."
        answer = { text = "flour" }
        """
    )
    (one,), (other,) = read_exemplars(path), read_exemplars(str(tmp_path / "exemplars.toml"))
    assert one.acts == other.acts
    assert replace(one.task, id="") == replace(other.task, id="")


WRONG: dict[str, tuple[Any, str]] = {
    "a field that nearly exists": ({**PHOTO, "qustion": "?"}, 'field "qustion": .*did you mean "question"'),
    "a tool that nearly exists": (act(2, crop=None, cropp={}), 'act 2, field "cropp": .*did you mean "crop"'),
    "a key of an act that nearly exists": (act(1, refussed=True), 'act 1, field "refussed": .*did you mean "refused"'),
    "an argument that nearly exists": (act(1, crop={"bocks": []}), 'act 1, field "crop.bocks": .*did you mean "box"'),
    "a box of three numbers": (act(1, crop={"box": [0, 0, 1]}), 'act 1, field "crop": "box" of crop must be'),
    "no box": (act(1, crop={}), 'act 1, field "crop": crop needs "box"'),
    "arguments that are no table": (act(1, crop=[0, 0, 1, 1]), 'act 1, field "crop": expected a table'),
    "two tools": (act(1, reuse={"view": 0}), "act 1.*the name of exactly one tool, got .'crop', 'reuse'"),
    "no tool": (act(1, crop=None), "act 1.*exactly one tool, got "),
    "no thought": (act(2, thought=" "), 'act 2, field "thought": expected a text'),
    "refused, but not yes or no": (act(2, refused=1), 'act 2, field "refused": expected true or false'),
    "an act that is no table": ({**PHOTO, "act": ["look"]}, "act 1: expected a table, got 'look'"),
    "no acts": ({**PHOTO, "act": []}, 'field "act": expected at least one act'),
    "an exemplar that is no table": (3, "exemplar 1: expected a table, got 3"),
    "no picture": ({**PHOTO, "picture": "shelv.png"}, 'field "picture": .*did you mean "shelf.png"'),
    "a picture elsewhere": ({**PHOTO, "picture": "../../x.png"}, 'field "picture": expected a file below'),
    "a picture that is none": ({**PHOTO, "picture": "exemplars.json"}, 'field "picture": expected a readable picture'),
    "no question": ({**PHOTO, "question": ""}, 'field "question": expected a text'),
    "one choice": ({**PHOTO, "choices": ["a"]}, 'field "choices": expected 2 to 26 options'),
    "an answer that is no choice": ({**PHOTO, "choices": ["a", "b"]}, 'field "answer": expected one of the letters AB'),
    "a suite that nearly exists": ({**CHOICE, "suite": "synthetik"}, 'field "suite": .*did you mean "synthetic"'),
    "an option that no suite has": ({**CHOICE, "suite_args": {"famly": 1}}, 'field "suite": .*did you mean "family"'),
    "a split that nearly exists": ({**CHOICE, "split": "trian"}, 'field "suite": .*did you mean "train"'),
    "an index out of range": ({**CHOICE, "index": 10**9}, 'field "index": expected a whole number from 0 to 999'),
    "an index and an id": ({**CHOICE, "id": "x"}, 'field "index": expected either "index" or "id"'),
    "a suite and a question": ({**CHOICE, "question": "?"}, 'field "question": expected no such field beside a suite'),
    "a split without a suite": ({**PHOTO, "split": "test"}, 'field "split": expected no such field without "suite"'),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_named_with_file_exemplar_act_field_and_nearest_name(
    wrong: str, tmp_path: Path, photos: Path
) -> None:
    row, message = WRONG[wrong]
    path = written(tmp_path, row, photos=photos)
    with pytest.raises(ExemplarError, match=message) as caught:
        read_exemplars(path)
    assert str(caught.value).startswith(f"{path}, exemplar 1")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.json", "[", "not JSON"),
        ("e.toml", "=", "not TOML"),
        ("e.json", "[" * 100_000, "not JSON"),
        ("e.json", "[]", 'expected at least one entry "exemplar"'),
        ("e.json", '{"exemplar": [{}], "exemplars": 1}', 'unknown field "exemplars"; did you mean "exemplar"'),
        ("e.toml", "\udc80", "not TOML"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ExemplarError, match=message):
        read_exemplars(str(path))


def test_a_name_that_is_nearly_ours_is_refused_before_anything_is_played(tmp_path: Path) -> None:
    with pytest.raises(ExemplarError, match='no file at "trial_and_eror"; did you mean "trial_and_error"'):
        run(bench("trial_and_eror"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


FAILING: dict[str, tuple[Any, str]] = {
    "ends wrong": (act(3, answer={"text": "sugar"}), 'does not end right .stop "answered", answer "sugar"'),
    "does not end": ({**PHOTO, "act": PHOTO["act"][:2]}, "act 3: .*2 acts, after which the episode has not ended"),
    "ends too early": (act(1, crop=None, answer={"text": "flour"}), "ends .answered. before the last 2 of 3 acts"),
    "a refused call": (act(2, crop={"view": 7, "box": [0, 0, 1, 1]}), "act 2: the call is refused .bad_view: "),
    "marked as refused": (act(1, refused=True), "act 1: the call is carried out, although"),
    "another tool": (act(1, crop=None, clip={"span": [0, 1]}), "act 1: .*cannot express .clip"),
}


@pytest.mark.parametrize("failing", FAILING)
def test_an_exemplar_that_does_not_end_right_or_goes_otherwise_than_it_says_is_an_error(
    failing: str, tmp_path: Path, photos: Path
) -> None:
    row, message = FAILING[failing]
    run_of = bench(written(tmp_path, row, photos=photos))
    with pytest.raises(ExemplarError, match=message) as caught:
        run_of.open_exemplars(run_of.arms()[0])
    assert 'exemplar 1 ("the label")' in str(caught.value)
    assert "(dialect mini_o3)" in str(caught.value)


def test_a_refused_call_that_the_exemplar_marks_is_shown_with_its_refusal(tmp_path: Path, photos: Path) -> None:
    row = act(2, crop={"view": 7, "box": [0, 0, 1, 1]}, refused=True)
    run_of = bench(written(tmp_path, row, photos=photos))
    messages = run_of.open_exemplars(run_of.arms()[0])
    assert [message.role for message in messages] == ["user", "assistant"] * 3
    assert "observation_7" in messages[4].text


def test_the_pictures_are_what_the_calls_really_show(tmp_path: Path, photos: Path) -> None:
    run_of = bench(written(tmp_path, PHOTO, CHOICE, photos=photos))
    messages = run_of.open_exemplars(run_of.arms()[0])
    assert [message.role for message in messages] == ["user", "assistant"] * 5
    pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
    assert [picture.view.index for picture in pictures] == [0, 1, 2, 0, 1]
    assert [picture.load().shape[1::-1] for picture in pictures] == [picture.view.shown for picture in pictures]
    assert pictures[2].view.box == pytest.approx((0.1, 0.5, 0.5, 0.75), abs=0.01)
    assert pictures[0].view.shown[0] * pictures[0].view.shown[1] <= 16_384 * 1.1  # the budget of the episodes
    assert pictures[3].view.shown[0] * pictures[3].view.shown[1] > 50_000  # the budget of the exemplar's own suite
    again = run_of.open_exemplars(run_of.arms()[0], lambda width, height: (28, 56))
    assert {part.view.shown for message in again for part in message.parts if isinstance(part, Picture)} == {(28, 56)}


def test_a_crop_of_a_view_becomes_one_of_the_first_picture_where_the_dialect_knows_no_other(
    tmp_path: Path, photos: Path
) -> None:
    run_of = bench(written(tmp_path, PHOTO, photos=photos), dialect="simple_o3")
    messages = run_of.open_exemplars(run_of.arms()[0])
    assert "[500, 100, 750, 500]" in messages[3].text


def test_a_dialect_that_would_show_something_else_is_refused(tmp_path: Path, photos: Path) -> None:
    run_of = bench(written(tmp_path, PHOTO, photos=photos), dialect="grid")
    with pytest.raises(ExemplarError, match="act 1: the dialect writes Call"):
        run_of.open_exemplars(run_of.arms()[0])


def test_under_a_control_there_are_no_exemplars(tmp_path: Path, photos: Path) -> None:
    run_of = bench(written(tmp_path, PHOTO, photos=photos), "detour+blank_crop")
    with pytest.raises(ExemplarError, match=r"detour\+blank_crop runs under the control blank_crop"):
        run_of.open_exemplars(run_of.arms()[0])


def test_the_hash_of_file_and_pictures_is_in_the_protocol_and_without_exemplars_nothing_is(
    tmp_path: Path, photos: Path
) -> None:
    path = written(tmp_path, PHOTO, photos=photos)
    before = bench(path).protocol()
    assert (before["exemplars"], before["exemplars_sha256"]) == (path, exemplar_digest(path))
    assert not {"exemplars", "exemplars_sha256"} & set(bench("").protocol())
    run(bench(path, episodes=1), tmp_path / "run", thumbnails=False)
    (tmp_path / "shelf.png").write_bytes((tmp_path / "street.png").read_bytes())
    assert bench(path).protocol()["exemplars_sha256"] != before["exemplars_sha256"]
    with pytest.raises(RunError, match="exemplars_sha256"):
        run(bench(path, episodes=1), tmp_path / "run", thumbnails=False)


def test_a_run_shows_the_exemplars_and_stores_nothing_of_them(tmp_path: Path, photos: Path) -> None:
    run(bench(written(tmp_path, PHOTO, photos=photos)), tmp_path / "with", thumbnails=False)
    run(bench(""), tmp_path / "without", thumbnails=False)
    assert list(open_run(tmp_path / "with")) == list(open_run(tmp_path / "without"))
    assert "flour" not in (tmp_path / "with" / "episodes.jsonl").read_text("utf-8")


LOOKING = sorted(name for name in DIALECTS if {"crop", "answer"} <= set(DIALECTS[name].tools))
COARSE, FILMS = {"grid"}, {"reel"}
"""Dialects that round boxes too much, and dialects for videos only."""
OURS = read_exemplars("trial_and_error")


@pytest.mark.parametrize("dialect", sorted({*LOOKING} - COARSE - FILMS))
def test_every_other_dialect_for_pictures_can_write_crops_of_crops(dialect: str, tmp_path: Path, photos: Path) -> None:
    run_of = bench(written(tmp_path, PHOTO, photos=photos), dialect=dialect)
    assert [message.role for message in run_of.open_exemplars(run_of.arms()[0])] == ["user", "assistant"] * 3


@pytest.mark.parametrize("number", range(len(OURS)), ids=lambda number: OURS[number].where.partition('"')[2][:-2])
def test_ours_end_right(number: int) -> None:
    (arm,) = bench("trial_and_error", dialect="deepeyes", env={}).arms()  # its calls work on the first picture only
    messages = stage_exemplars([OURS[number]], arm, make_dialect("deepeyes"))
    assert sum(message.role == "assistant" for message in messages) == len(OURS[number].acts)


def test_ours_are_six_on_pictures_that_the_test_split_never_has() -> None:
    assert len(OURS) == 6
    assert len({exemplar.task.tags["family"] for exemplar in OURS}) == 6
    assert all(exemplar.task.sources[0].args["seed"] % 2 for exemplar in OURS)
    assert all(exemplar.task.origin["split"] == "train" for exemplar in OURS)
    assert all(3 <= len(exemplar.acts) <= make_suite("synthetic").turns for exemplar in OURS)
    assert not any(exemplar.refused for exemplar in OURS)
    assert OUR_EXEMPLARS["trial_and_error"].is_file()
    json.dumps([each.thought for exemplar in OURS for each in exemplar.acts]).encode("ascii")
