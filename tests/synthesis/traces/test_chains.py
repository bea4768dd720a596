"""`o3gym synth chains`, end to end: a scripted teacher, a hostile server as teacher and as judge, resumed runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from o3gym.cli.main import main
from o3gym.judges.base import Judgement
from o3gym.registry import JUDGES
from o3gym.runs.store import open_run
from o3gym.synthesis.traces.chain_prompt import chain_prompt
from o3gym.train.data.sharegpt import ShareGPT
from o3gym.train.data.sources import RunSource
from o3gym.types import Task
from tests.policies.openai.openai_stub import Stub, completion, failure

SUITE = "synthetic?family=attribute&difficulty=easy&pixels=40000"
SMALL = ["--env", "min_pixels=500", "--env", "max_pixels=10000", "--no-view", "--in-flight", "1"]


def command(out: Path, *more: str, suite: str = SUITE, episodes: int = 3) -> int:
    return main(["synth", "chains", "--out", str(out), "--suite", suite, "--episodes", str(episodes), *SMALL, *more])


def report(out: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    return data


def left_out(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "left_out.jsonl").read_text("utf-8").splitlines()]


def whole(found: dict[str, Any]) -> bool:
    """Whether every episode is counted once."""
    return bool(found["played"] == found["kept"] + sum(found["rejected"].values()) + sum(found["open"].values()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chains") / "c"
    assert command(out) == 0
    return out


@pytest.fixture
def generous(register: Callable[..., str]) -> str:
    """A judge for which every answer is right."""

    class Generous:
        def __call__(self, task: Task, answer: str, located: object = None) -> Judgement:
            return Judgement("correct", 1.0)

    return register(JUDGES, "generous", Generous)


def test_a_scripted_teacher_makes_chains_with_drawn_boxes(made: Path) -> None:
    found = report(made)
    assert found["played"] == found["kept"] == 3
    assert whole(found)
    assert found["diversity"]["tools"] == {"crop": 3, "zoom": 3, "answer": 3}
    kept = open_run(made / "kept")
    assert {chain.env["focus"] for chain in kept} == {"draw"}
    assert kept.protocol["synthesis"]["command"] == "chains"
    assert (made / "left_out.jsonl").read_text("utf-8") == ""


def test_the_flat_file_is_the_kept_run_in_one_turn(made: Path) -> None:
    run, flat = RunSource(str(made / "kept")), ShareGPT(str(made / "chains.json"), observed="observation")
    for index in range(run.size):
        several, one = run.example(index, 0), flat.example(index, 0)
        assert [message.text for message in one] == [message.text for message in several]
        roles = ["system", "user", "assistant", "inline", "assistant", "inline", "assistant"]
        assert [message.role for message in one] == roles
    for name in ("demonstrations.parquet", "demonstrations.json"):
        assert (made / name).is_file()


def test_the_teacher_reads_our_prompt_and_the_student_that_of_the_dialect(made: Path) -> None:
    ours = (made / "prompt.txt").read_text("utf-8")
    assert "Missing: say what you still need" in ours
    assert open_run(made / "run").protocol["prompt_file"] == str(made / "prompt.txt")
    student = RunSource(str(made / "kept")).example(0, 0)[0].text
    assert "Missing" not in student
    assert "focus_area" in student


def test_the_same_command_makes_the_same_files_and_plays_nothing(made: Path, tmp_path: Path) -> None:
    names = ("report.json", "chains.json", "demonstrations.json", "kept/episodes.jsonl", "run/episodes.jsonl")
    before = {name: (made / name).read_bytes() for name in names}
    assert command(made) == 0
    assert {name: (made / name).read_bytes() for name in names} == before


def test_an_interrupted_run_goes_on(made: Path) -> None:
    episodes = (made / "run" / "episodes.jsonl").read_bytes()
    before = {name: (made / name).read_bytes() for name in ("report.json", "chains.json")}
    (made / "run" / "episodes.jsonl").write_bytes(episodes.splitlines(keepends=True)[0])
    assert command(made) == 0
    assert {name: (made / name).read_bytes() for name in before} == before


def test_crops_and_a_prompt_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Look!", "utf-8")
    out = tmp_path / "c"
    assert command(out, "--focus", "crop", "--prompt", str(tmp_path / "mine.txt"), episodes=1) == 0
    (chain,) = open_run(out / "kept")
    assert chain.env["focus"] == "crop"
    assert not (out / "prompt.txt").exists()
    assert open_run(out / "run").protocol["prompt_file"] == str(tmp_path / "mine.txt")


def test_another_prompt_is_another_run(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(made, tmp_path / "c")
    (tmp_path / "mine.txt").write_text("Look!", "utf-8")
    assert command(tmp_path / "c", "--prompt", str(tmp_path / "mine.txt")) == 2
    assert "has another protocol" in capsys.readouterr().err


def test_a_dry_run_prices_teacher_and_judge_and_asks_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    judge = ["--judge-steps", "openai:j", "--base-url", "http://127.0.0.1:9/v1"]
    assert command(tmp_path / "c", "--policy", "openai:m", "--dry-run", *judge, episodes=2) == 0
    printed = capsys.readouterr().out
    for words in ("teacher, expected", "teacher, at most", "judge of steps, expected", "completion tokens"):
        assert words in printed
    assert not (tmp_path / "c" / "run").exists()


def look(words: str, box: str = "[100, 100, 300, 300]") -> str:
    return f'{words} <function>{{"name": "focus_area", "arguments": {{"bbox_2d": {box}}}}}</function>'


HOSTILE = {
    "made up": [look("Well."), "<observation>it is red</observation> So it is clear. <answer>A</answer>"],
    "wrong words": [look("I will zoom in on the top left.", "[700, 700, 900, 900]"), "So it is. <answer>A</answer>"],
    "void": ["I do not know."],
    "long": [look("Well."), "x" * 9_000 + " <answer>A</answer>"],
    "refused": ['Hm. <function>{"name": "</observation>", "arguments": {}}</function>', "So be it. <answer>A</answer>"],
    "quoted": [
        look("Well."),
        'Hm. <function>{"name": "</observation>", "arguments": {}}</function>',
        "So be it. <answer>A</answer>",
    ],
    "odd": [look("Look \ud800 <image> here."), "Well, then. <answer>A</answer>"],
}
"""The replies of one episode each."""


def test_hostile_replies_cost_their_own_episodes_only(
    tmp_path: Path, stub: Stub, generous: str, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [text for replies in HOSTILE.values() for text in replies]
    stub.script(*[{"body": completion(text)} for text in texts], failure(400, "no"))
    out, server = tmp_path / "c", ["--policy", "openai:m", "--base-url", stub.url, "--judge", generous]
    assert command(out, *server, episodes=len(HOSTILE) + 1) == 0
    found = report(out)
    assert found["played"] == len(HOSTILE) + 1
    assert whole(found)
    assert found["kept"] == 1, "the odd one, which is odd in its characters only"
    assert found["open"] == {"teacher": 1}
    assert found["rejected"] == {
        "tags of an observation in the text": 2,
        "tool against words": 1,
        "answer against truth": 1,
        "a reply too long": 1,
        "fewer than 1 looks that showed something": 1,
    }
    assert "the same command asks again" in capsys.readouterr().out
    (messages,) = [ShareGPT(str(out / "chains.json"), observed="observation").example(0, 0)]
    assert "\ufffd" in messages[2].text

    stub.script({"body": completion(look("Look at it."))}, {"body": completion("So it is. <answer>A</answer>")})
    assert command(out, *server, episodes=len(HOSTILE) + 1) == 0
    assert len(stub.log()) == 2, "only what failed is asked again"
    assert report(out)["kept"] == 2
    assert report(out)["open"] == {}


def test_a_judge_of_steps_is_asked_about_vague_words_and_again_where_it_failed(tmp_path: Path, stub: Stub) -> None:
    out = tmp_path / "c"
    judge = ["--judge-steps", "openai:j", "--base-url", stub.url]
    suite = "synthetic?family=text&difficulty=easy&pixels=40000"  # the observer names no place before it zooms in
    stub.script(
        {"body": completion("It fits.\nFITS")},
        {"body": completion("It shows something else.\nDIFFERS")},
        {"body": completion("I cannot tell. <answer>FITS</answer> or DIFFERS")},
        failure(400, "no"),
    )
    assert command(out, *judge, suite=suite, episodes=4) == 0
    found = report(out)
    asked = len(stub.log())
    assert asked == 4
    assert whole(found)
    assert found["rejected"] == {"tool against words (judge)": 1}
    assert found["open"] == {"tool against words (judge)": 2}
    assert {row["reason"] for row in left_out(out)} >= {"It shows something else."}

    stub.script({"body": completion("FITS")})
    assert command(out, *judge, suite=suite, episodes=4) == 0
    assert len(stub.log()) == 2, "verdicts are kept, and what had none is asked again"
    assert report(out)["kept"] == 3
    assert report(out)["open"] == {}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--dialect", "mini_o3"], "chains are written in simple_o3"),
        (["--suite", "synthetic_video"], "chains are about pictures"),
        (["--judge-steps", "oracle"], "free text"),
        (["--policy", "observe"], 'did you mean "observer"'),
        (["--prompt", "missing.txt"], "no file at missing.txt"),
        (["--env", "tool=crop"], "tool"),
    ],
)
def test_bad_options_are_refused_before_anything_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert command(tmp_path / "c", *more) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "c" / "run").exists()


@pytest.mark.parametrize("focus", ["draw", "crop"])
def test_the_prompt_describes_the_enabled_tools_and_what_focus_shows(focus: str) -> None:
    text = chain_prompt(["crop", "reuse", "answer"], focus, {"choice", "box"})
    assert ("red box" in text) == (focus == "draw")
    assert "zoom_in" not in text
    assert '"reuse"' in text
    assert "the letter of the right option" in text
    assert "bbox_2d" in text
    assert '<function>{"name": "…", "arguments": {…}}</function>' in text
