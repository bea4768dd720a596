"""`o3gym synth regions`, end to end: with true layouts, and a server or a scripted policy that describes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym.cli.main import main
from o3gym.geometry import area, from_pixels, iou
from o3gym.media.images import shared_store
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Request
from o3gym.registry import POLICIES
from o3gym.runs.store import open_run
from o3gym.suites.base import make_suite
from o3gym.suites.synthetic import true_blocks
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page
from o3gym.synthesis.detectors.truth import Truth
from o3gym.types import Reply
from tests.conftest import noise
from tests.policies.openai.openai_stub import Stub, completion, failure

SUITE = "synthetic?family=chart&difficulty=easy&pixels=120000&n=3"
"""Three walls of four panels each."""
ASKED: list[str] = []


DETECTED: list[str] = []


class Describes(Policy):
    """Names what it is asked about; stopped by the user after `LIVES` replies."""

    LIVES = 1000

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        if len(ASKED) + len(requests) > Describes.LIVES:
            raise KeyboardInterrupt
        ASKED.extend(request.key[1] for request in requests)
        return [Reply(f"the chart called {request.key[1]}") for request in requests]


class Watched(Truth):
    """Remembers where it was asked."""

    def detect(self, page: Page) -> list[LayoutBlock]:
        DETECTED.append(page.name)
        return super().detect(page)


@pytest.fixture(autouse=True)
def describes(register: Callable[..., str]) -> None:
    ASKED.clear()
    DETECTED.clear()
    register(POLICIES, "describes", Describes)


def synth(out: Path, *more: str, code: int = 0, **options: str) -> list[dict[str, Any]]:
    named = {"suite": SUITE, "detector": "truth", "policy": "describes", **options}
    arguments = [part for key, value in named.items() if value for part in (f"--{key}", value)]
    assert main(["synth", "regions", "--out", str(out), *arguments, *more]) == code
    index = out / "index.jsonl"
    return [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []


def test_panels_with_their_titles_are_regions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = synth(tmp_path)
    assert [row["question"] for row in rows] == [f"the chart called {row['question_id']}" for row in rows]
    assert len(rows) == 12
    assert sorted(ASKED) == sorted(row["question_id"] for row in rows)
    scene = make_suite(SUITE)[0].sources[0]
    size = shared_store().size(scene)
    charts = [box for label, box in true_blocks(scene) if label == "chart"]
    found = [from_pixels(row["boxes"][0]["box"], size) for row in rows[:4]]
    assert all(any(iou(chart, box) > 0.85 and area(box) > area(chart) for box in found) for chart in charts)
    assert sorted(rows[0]["origin"]["merged"]) == ["chart", "figure_title"]
    said = capsys.readouterr().out
    assert "12 regions of 3 pictures" in said
    assert "24 boxes detected, 24 of them made 12 regions" in said


def test_the_oracle_solves_what_is_written(tmp_path: Path) -> None:
    synth(tmp_path / "out")
    suite = f"local:{tmp_path / 'out'}"
    assert make_suite(suite).kinds == {"box"}
    play = ["bench", "--suite", suite, "--policy", "oracle", "--dialect", "insight_o3", "--reward", "insight_o3"]
    assert main([*play, "--no-view", "--out", str(tmp_path / "run")]) == 0
    episodes = list(open_run(tmp_path / "run"))
    assert len(episodes) == 12
    assert all(episode.verdict == "correct" and episode.score > 0.9 for episode in episodes)
    assert all(episode.reward == pytest.approx(1.0, abs=0.1) for episode in episodes)


def test_the_searcher_is_trained_on_it(tmp_path: Path) -> None:
    from o3gym.train.grpo.recipe import load_grpo
    from o3gym.train.grpo.rollout_worker import RolloutWorker

    synth(tmp_path)
    settings = [f"env.suite=local:{tmp_path}", "env.split=test", "env.suite_args={}"]
    player = RolloutWorker(load_grpo("insight_o3", settings), None, tmp_path)  # type: ignore[arg-type]
    assert len(player.suite) == 12
    assert set(player.env["tools"]) == {"crop", "locate"}


def test_a_stopped_command_goes_on_and_asks_nothing_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = synth(tmp_path / "whole", "--in-flight", "2")
    asked, cut, watched = sorted(ASKED), tmp_path / "cut", f"{__name__}:Watched"
    ASKED.clear()
    monkeypatch.setattr(Describes, "LIVES", 5)
    assert synth(cut, "--in-flight", "2", detector=watched, code=130) == []
    assert len(ASKED) == 4
    with (cut / "journal.log").open("ab") as file:
        file.write(b'{"key": "torn')
    monkeypatch.undo()
    rows = synth(cut, "--in-flight", "2", detector=watched)
    assert [row["question"] for row in rows] == [row["question"] for row in whole]
    assert synth(cut, detector=watched) == rows
    assert sorted(ASKED) == asked, "each once"
    assert len(DETECTED) == len(set(DETECTED)) == 3


class Broken(Detector):
    """Fails on one picture and finds nothing in another."""

    def detect(self, page: Page) -> list[LayoutBlock]:
        if page.name.endswith("0"):
            raise RuntimeError("out of memory")
        return [LayoutBlock((0.1, 0.1, 0.4, 0.4), "header")] if page.name.endswith("1") else []


class Malformed(Detector):
    """Boxes of two corners."""

    def detect(self, page: Page) -> list[LayoutBlock]:
        return [LayoutBlock(((0, 0), (1, 1)), "table")]  # type: ignore[arg-type]


def test_each_failure_is_counted_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synth(tmp_path, detector=f"{__name__}:Broken") == []
    said = capsys.readouterr().out
    assert "skipped pictures: 1 (the detector failed: RuntimeError: out of memory)" in said
    assert "skipped pictures: 1 (no box is left)" in said
    assert "skipped pictures: 1 (nothing detected)" in said
    assert 'dropped boxes: 1 (class "header")' in said
    assert "0 regions of 3 pictures" in said
    assert "suite:" not in said
    assert synth(tmp_path, detector=f"{__name__}:Malformed") == []
    assert "skipped pictures: 3 (the detector failed: TypeError" in capsys.readouterr().out


def test_a_folder_of_pictures_some_of_them_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(noise(200, 100)).save(tmp_path / "in" / "whole.png")
    (tmp_path / "in" / "broken.png").write_bytes(b"not a picture")
    cut = (tmp_path / "in" / "whole.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(cut[: len(cut) // 2])
    options = {"suite": "", "images": str(tmp_path / "in"), "detector": f"{__name__}:Pixels"}
    (row,) = synth(tmp_path / "out", **options)
    assert (row["question_id"], row["boxes"][0]["box"]) == ("whole.png/0", [20, 10, 80, 40])
    assert "skipped pictures: 2 (unreadable picture)" in capsys.readouterr().out
    (task,) = make_suite(f"local:{tmp_path / 'out'}")
    assert task.targets[0].box == (0.1, 0.1, 0.4, 0.4)


class Pixels(Detector):
    """Looks at the picture."""

    def detect(self, page: Page) -> list[LayoutBlock]:
        assert shared_store().region(page.source).size
        return [LayoutBlock(np.array((0.1, 0.1, 0.4, 0.4)), "table", np.float32(0.5))]  # type: ignore[arg-type]


def test_rows_without_boxes_and_boxes_of_other_classes(local: str, tmp_path: Path, capsys) -> None:
    """The layout of annotated pictures is in the labels of their boxes."""
    assert synth(tmp_path, suite=local) == []
    said = capsys.readouterr().out
    assert 'dropped boxes: 4 (class "")' in said
    assert "skipped pictures: 3 (no box is left)" in said


def test_a_server_describes_and_what_it_refuses_is_asked_again(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    with Stub() as stub:
        replies = ["the chart on the left", '""', "in the red box", None]
        stub.script(*[{"body": completion(text)} for text in replies[:3]], failure(400, "no"))
        options = ["--base-url", stub.url, "--count", "1", "--in-flight", "1"]
        assert len(synth(tmp_path, *options, policy="openai:m")) == 1
        sent = stub.log()[0]["body"]
        assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("m", 1.0, 2048)
        assert [part["type"] for part in sent["messages"][1]["content"]] == ["image_url", "text"]
        said = capsys.readouterr().out
        for reason in ("empty description", "names the red frame", "the policy failed: "):
            assert f"skipped regions: 1 ({reason}" in said
        stub.script({"body": completion("the chart on the right")})
        rows = synth(tmp_path, *options, policy="openai:m")
        assert len(stub.log()) == 1
        assert [row["question"] for row in rows] == ["the chart on the left", "the chart on the right"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"detector": "thruth"}, 'did you mean "truth"'),
        ({"policy": "oracle"}, "needs to know the answer"),
        ({"suite": "synthetik"}, 'did you mean "synthetic"'),
        ({"suite": "", "images": "nowhere"}, "expected a folder with pictures, got nowhere"),
        ({"base-url": "http://a/v1"}, "none of the policies asks a server, http://a/v1 would not be used"),
    ],
)
def test_bad_input_is_one_clear_line(options: dict[str, str], words: str, tmp_path: Path, capsys) -> None:
    assert synth(tmp_path / "out", code=2, **options) == []
    assert words in capsys.readouterr().err.splitlines()[-1]
