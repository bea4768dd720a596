"""Mistakes in right episodes: real pictures, true mistakes, and a loss that leaves them out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.calls import crop
from o3gym.dialects.base import make_dialect
from o3gym.dialects.vr_thinker import BEST, DIMENSIONS
from o3gym.geometry import coverage, pad, surround
from o3gym.policies.local.encoding import Encoder
from o3gym.rewards.settle import settle
from o3gym.rollout.performing import Act, arm_of, perform, script_of
from o3gym.runs.store import RunStore, open_run
from o3gym.sampling import Sampling
from o3gym.suites.base import make_suite
from o3gym.synthesis.asking import AskedPolicy
from o3gym.synthesis.traces.mistake_drafts import MistakeRecipe, plan_mistakes
from o3gym.synthesis.traces.mistakes import make_mistakes, price_mistakes
from o3gym.synthesis.traces.sieve import Sieve, sift
from o3gym.synthesis.traces.wrong_looks import UNKNOWN_TOPIC, look_place
from o3gym.train.data.sources import RunSource, open_source
from o3gym.train.loss_mask import training_row
from o3gym.train.recipe import SftRecipe, load_recipe
from o3gym.types import Call, Reply, Task, Trajectory, Turn, Verdict
from tests.policies.openai.openai_stub import Stub, completion, failure
from tests.train.tiny_folder import processor

PICTURES = "synthetic?family=attribute&difficulty=easy&pixels=40000&answers=free"
PIXELS = {"min_pixels": 1024, "max_pixels": 9216}


def played(folder: Path, **changes: Any) -> Path:
    """A run of the oracle in the dialect of Pixel Reasoner."""
    given = {"suite": PICTURES, "policies": ("oracle",), "dialect": "pixel_reasoner", "episodes": 3, "turns": (5,)}
    run(Bench(**{**given, "env": PIXELS, **changes}), folder / "run", thumbnails=False)
    return folder / "run"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    suite = "synthetic_video?family=glimpse&seconds=8"
    env = {"time_rule": "pixel_reasoner", "max_pixels": 4096, "min_pixels": 1024}
    return played(tmp_path_factory.mktemp("video"), suite=suite, env=env, episodes=1)


def kept(out: Path) -> list[Trajectory]:
    return list(open_run(out / "kept"))


def test_a_mistake_is_real_and_the_episode_stays_right(pictures: Path, tmp_path: Path) -> None:
    tally = make_mistakes(pictures, MistakeRecipe(kinds=("wrong region",)), tmp_path)
    assert (tally.played, tally.kept, tally.rejected) == (3, 3, {})
    assert tally.mistakes == {"wrong region": 3}
    for made, before in zip(kept(tmp_path), open_run(pictures), strict=True):
        assert (made.task, made.verdict, made.answer) == (before.task, "correct", before.answer)
        wrong, look, end = made.turns
        assert [turn.parsed.call.tool for turn in made.turns] == ["crop", "crop", "answer"]
        (target,) = made.task.targets
        assert coverage(made.views[wrong.views[0]].box, target.box) <= 0.1
        assert coverage(made.views[look.views[0]].box, target.box) > 0.9
        assert look.parsed.call.args == before.turns[0].parsed.call.args
        assert look.parsed.thought.endswith(before.turns[0].parsed.thought)
        assert len(look.parsed.thought) > len(before.turns[0].parsed.thought) + 20  # the correction
        assert end.reply.text == before.turns[1].reply.text
    assert json.loads((tmp_path / "report.json").read_text())["mistakes"] == {"wrong region": 3}
    assert open_run(tmp_path / "kept").protocol["synthesis"]["command"] == "mistakes"
    assert (tmp_path / "demonstrations.parquet").is_file()


def test_the_same_seed_makes_the_same_data(pictures: Path, tmp_path: Path) -> None:
    recipe = MistakeRecipe(0, 3)
    first, again = (make_mistakes(pictures, recipe, tmp_path / name) for name in "ab")
    assert first == again
    assert kept(tmp_path / "a") == kept(tmp_path / "b")
    assert make_mistakes(pictures, recipe, tmp_path / "a") == first  # over what is there
    assert kept(tmp_path / "a") == kept(tmp_path / "b")
    make_mistakes(pictures, MistakeRecipe(0, 3, seed=1), tmp_path / "c")
    assert kept(tmp_path / "a") != kept(tmp_path / "c")


def test_several_mistakes_follow_from_each_other(pictures: Path, tmp_path: Path) -> None:
    tally = make_mistakes(pictures, MistakeRecipe(2, 2), tmp_path)
    assert tally.kept == 3
    assert tally.mistakes.total() == 6
    for made in kept(tmp_path):
        assert len(made.turns) == 4
        assert len({turn.parsed.thought for turn in made.turns}) == 4
    assert make_mistakes(pictures, MistakeRecipe(4, 4), tmp_path).rejected == {"no turn to spare": 3}
    assert not (tmp_path / "kept" / "episodes.jsonl").read_text()
    assert not (tmp_path / "demonstrations.parquet").exists()


def test_wrong_times_of_videos(video: Path, tmp_path: Path) -> None:
    tally = make_mistakes(video, MistakeRecipe(1, 2), tmp_path)
    assert tally.kept == 1
    assert set(tally.mistakes) == {"wrong time"}
    for made in kept(tmp_path):
        (target,) = made.task.targets
        assert target.time is not None
        shown = [made.views[index].time for index in made.turns[0].views]
        assert shown
        assert all(time is not None and (time[1] <= target.time[0] or time[0] >= target.time[1]) for time in shown)
    reasons = make_mistakes(video, MistakeRecipe(kinds=("wrong region",)), tmp_path).rejected
    assert reasons == {"no mistake of the wanted kinds fits a frames": 1}


def learnt(run_folder: Path, encoder: Encoder, recipe: SftRecipe, index: int) -> str:
    row = training_row(RunSource(str(run_folder)).example(index, 0), encoder, recipe)
    return str(encoder.tokenizer.decode([token for token, mark in zip(row.ids, row.mask, strict=True) if mark]))


def test_the_loss_leaves_out_the_mistake_and_keeps_the_correction(pictures: Path, tmp_path: Path) -> None:
    make_mistakes(pictures, MistakeRecipe(), tmp_path)
    encoder, recipe = Encoder(processor()), load_recipe("pixel_reasoner")
    for index, made in enumerate(kept(tmp_path)):
        wrong, look, end = (turn.reply.text for turn in made.turns)
        words = learnt(tmp_path / "kept", encoder, recipe, index)
        assert wrong not in words
        assert made.turns[0].parsed.thought not in words
        assert look in words
        assert end in words
        source = open_source(f"sharegpt:{tmp_path / 'demonstrations.json'}")
        stored = training_row(source.example(index, 0), encoder, recipe)
        ids = [token for token, mark in zip(stored.ids, stored.mask, strict=True) if mark]
        assert encoder.tokenizer.decode(ids) == words


def teacher(stub: Stub) -> AskedPolicy:
    return AskedPolicy(f"openai:m?base_url={stub.url}&retries=0", Sampling(max_tokens=256), 40_000, 1)


def words(wrong: str = "Only sky is to be seen here.") -> dict[str, Any]:
    return {"body": completion(json.dumps({"wrong": wrong, "next": "I go to the object itself."}))}


def test_a_teacher_sees_the_wrong_view_and_unusable_words_are_not_replaced(
    pictures: Path, stub: Stub, tmp_path: Path
) -> None:
    recipe = MistakeRecipe(teacher=teacher(stub))
    stub.script(words(), {"body": completion("<answer>red</answer>")}, failure(400, "no"))
    tally = make_mistakes(pictures, recipe, tmp_path)
    assert (tally.kept, tally.asked) == (1, 3)
    assert tally.unusable == {"not a JSON object": 1, "the teacher failed": 1}
    assert tally.rejected == {"no usable words of the teacher": 2}
    (made,) = kept(tmp_path)
    assert made.turns[1].parsed.thought.startswith("Only sky is to be seen here. I go to the object itself.")
    parts = stub.log()[0]["body"]["messages"][0]["content"]
    assert [part["type"] for part in parts] == ["image_url", "text"]
    assert made.task.question in parts[1]["text"]
    # what failed is asked again, and nothing else
    stub.script(words("Nothing is here."))
    assert len(price_of(pictures, recipe, tmp_path)) == 1
    tally = make_mistakes(pictures, recipe, tmp_path)
    assert (tally.kept, tally.unusable, len(stub.log())) == (2, {"not a JSON object": 1}, 1)
    assert price_of(pictures, recipe, tmp_path) == []


def price_of(folder: Path, recipe: MistakeRecipe, out: Path) -> list[int]:
    """A request each of what is still to be asked."""
    return [1] * price_mistakes(folder, recipe, out)[1].requests


def test_the_price_is_told_without_a_request_or_a_file(pictures: Path, stub: Stub, tmp_path: Path) -> None:
    stub.script(words())
    tally, expected, most = price_mistakes(pictures, MistakeRecipe(teacher=teacher(stub)), tmp_path / "out")
    assert (tally.kept, tally.asked) == (3, 3)
    assert (expected.requests, expected.pictures, most.completion_tokens) == (3, 3, 3 * 256)
    assert 0 < expected.completion_tokens < most.completion_tokens
    assert expected.prompt_tokens == most.prompt_tokens > 3 * 100
    assert not stub.log()
    assert not (tmp_path / "out").exists()


def test_wrong_episodes_and_arguments(tmp_path: Path) -> None:
    folder = played(tmp_path, policies=("oracle", "always"), episodes=1)
    tally = make_mistakes(folder, MistakeRecipe(), tmp_path / "out")
    assert (tally.played, tally.kept, tally.rejected) == (2, 1, {"wrong": 1})
    with pytest.raises(ValueError, match="out: expected another folder than that of the run, got "):
        make_mistakes(tmp_path / "out" / "kept", MistakeRecipe(), tmp_path / "out")
    assert len(kept(tmp_path / "out")) == 1
    with pytest.raises(ValueError, match=r"mistakes: expected 0 ≤ LOW ≤ HIGH ≤ 8, got 2\.\.1"):
        MistakeRecipe(2, 1)
    with pytest.raises(ValueError, match=r"kinds: expected some of .*, got too small"):
        MistakeRecipe(kinds=("too small",))
    with pytest.raises(ValueError, match="place: expected last or any, got first"):
        MistakeRecipe(place="first")


def test_a_damaged_episode_does_not_cost_the_others(pictures: Path, tmp_path: Path) -> None:
    episodes = list(open_run(pictures))
    first, *others = episodes[0].turns
    task = replace(episodes[0].task, id="lost")  # so that the undamaged episode is no duplicate of it
    lost = replace(episodes[0], task=task, sample=1, turns=(replace(first, views=(99,)), *others))
    odd = Call("crop", {"box": [0.1, math.nan, math.inf, 1.0], "view": 0})
    beyond = replace(episodes[1], sample=1, turns=(replace(first, parsed=replace(first.parsed, call=odd)), *others))
    with RunStore(tmp_path / "run", open_run(pictures).protocol) as store:
        for episode in (lost, beyond, *episodes):
            store.append(episode)
    tally = make_mistakes(tmp_path / "run", MistakeRecipe(), tmp_path / "out")
    assert (tally.kept, tally.rejected) == (3, {"a damaged episode": 1, "the edited script failed": 1})


def test_rejection_sampling_keeps_what_is_right_in_all_dimensions() -> None:
    task = make_suite("synthetic_video", family="pair", seconds=8)[0]
    best = task.origin["dimensions"]
    codes = {name: code for code, name in DIMENSIONS.items()}
    numbers = {best: number for number, best in BEST.items()}
    right = {codes[name.replace("_", " ")]: numbers[value] for name, value in best.items()}
    overall = numbers[task.answer]
    other = "1" if overall != "1" else "2"
    given = [
        {**right, "OA": overall},
        {**right, "TA": str((int(right["TA"]) + 1) % 3), "OA": overall},
        {"TA": right["TA"], "MQ": right["MQ"], "OA": overall},
        {**right, "OA": other},
    ]
    replies = [", ".join(f"{code} = {value}" for code, value in judged.items()) for judged in given]
    episodes = [compared(task, reply, sample) for sample, reply in enumerate(replies)]
    every = Sieve(min_looks=0, per_task=0, right="all-dimensions")
    chosen, rejected = sift(episodes, every)
    assert [episode.sample for episode in chosen] == [0]
    assert rejected == {"wrong in a dimension": 2, "wrong": 1}
    assert [every.flaw(episode) for episode in episodes[1:]] == [*["wrong in a dimension"] * 2, "wrong"]
    assert [Sieve(min_looks=0).flaw(episode) for episode in episodes] == ["", "", "", "wrong"]
    plain = replace(episodes[0], task=replace(task, origin={}))
    assert every.flaw(plain) == "a task without dimensions"
    with pytest.raises(ValueError, match="right: expected answer or all-dimensions, got both"):
        Sieve(right="both")


def compared(task: Task, judged: str, sample: int) -> Trajectory:
    """An episode that judges a pair of videos at once."""
    text = f"<snapshot>two clips</snapshot><think>I compare them.</think><answer>{judged}, CF = 1</answer>"
    reply = Reply(text)
    parsed = make_dialect("vr_thinker").read(reply, ())
    given = str(parsed.call.args["text"])
    verdict: Verdict = "correct" if given == task.answer else "wrong"
    turn = Turn(reply, parsed)
    return Trajectory(task, task.sources, (), (turn,), sample=sample, stop="answered", answer=given, verdict=verdict)


def test_a_selection_leaves_the_episodes_alone(pictures: Path, tmp_path: Path) -> None:
    tally = make_mistakes(pictures, MistakeRecipe(0, 0), tmp_path)
    assert (tally.kept, tally.mistakes) == (3, {})
    assert kept(tmp_path) == list(open_run(pictures))


def test_no_mistake_comes_after_its_target_was_seen(pictures: Path, tmp_path: Path) -> None:
    (trajectory, *_) = open_run(pictures)
    wider = Act(crop(pad(surround(trajectory.task.targets[0].box), 1.3)), "A little wider.")
    script = script_of(trajectory)
    twice = replace(script, acts=(script.acts[0]._replace(text=""), wider, script.acts[-1]))
    made = list(perform([twice], arm_of(trajectory), make_dialect(trajectory.dialect)))
    with RunStore(tmp_path / "run", open_run(pictures).protocol) as store:
        for each in settle([made], "outcome")[0]:
            store.append(each)
    assert make_mistakes(tmp_path / "run", MistakeRecipe(), tmp_path / "last").rejected == {
        "the target was seen before": 1
    }
    anywhere = MistakeRecipe(kinds=("wrong region",), place="any")
    assert make_mistakes(tmp_path / "run", anywhere, tmp_path / "any").kept == 1
    (edited,) = kept(tmp_path / "any")
    assert [turn.parsed.thought for turn in edited.turns[2:]] == ["A little wider.", edited.turns[-1].parsed.thought]


def test_a_too_large_look_comes_right_before_the_right_one(pictures: Path, tmp_path: Path) -> None:
    kinds = [
        [look.kind for look in plan_mistakes(trajectory, MistakeRecipe(3, 3, seed=seed)).looks]
        for trajectory in open_run(pictures)
        for seed in range(8)
    ]
    assert {kind for drawn in kinds for kind in drawn[:-1]} == {"wrong region"}
    assert {drawn[-1] for drawn in kinds} == {"wrong region", "too large region"}


def test_words_name_what_the_question_names_and_places_that_differ(pictures: Path) -> None:
    for trajectory in open_run(pictures):
        for seed in range(8):
            draft = plan_mistakes(trajectory, MistakeRecipe(3, 3, ("wrong region",), seed=seed))
            places = [*(look.where for look in draft.looks), look_place(trajectory, 0)]
            assert len(set(places)) == 4
            assert list(draft.next) == places[1:]
            named = {look.what.removeprefix("the ") for look in draft.looks}
            assert named <= {trajectory.task.targets[0].label, UNKNOWN_TOPIC}
            assert UNKNOWN_TOPIC in named or named.pop().lower() in trajectory.task.question.lower()
