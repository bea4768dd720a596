"""`o3gym synth regions`, from pictures to a suite, with a real openai policy against a server that follows a script."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from o3gym.bench import Bench, run
from o3gym.cli import main
from o3gym.geometry import coverage
from o3gym.store import RunError
from o3gym.suites.base import make_suite
from o3gym.suites.synthetic import true_blocks
from o3gym.synthesis.describing import LONGEST, description
from o3gym.synthesis.detectors.base import Block, Detector, Page, make_detector
from o3gym.synthesis.journal import Journal
from o3gym.synthesis.pages import of_folder, of_suite
from o3gym.types import Reply, Source, Target
from tests.policies.openai_stub import Stub, completion

SUITE = "synthetic?family=chart&difficulty=easy&pixels=120000&n=4"


@pytest.fixture(scope="module")
def server() -> Iterator[Stub]:
    with Stub() as stub:
        yield stub


@pytest.fixture
def stub(server: Stub) -> Stub:
    server.script({"body": completion("a bar chart near the top")})
    return server


def synth(stub: Stub, out: Path, *more: str, detector: str = "truth") -> int:
    policy = f"openai:m?base_url={stub.url}&retries=0"
    given = more if "--images" in more else ("--suite", SUITE, *more)
    return main(["synth", "regions", "--policy", policy, "--detector", detector, "--out", str(out), *given])


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "index.jsonl").read_text("utf-8").splitlines()]


def test_a_suite_comes_out_that_can_be_solved(stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert synth(stub, tmp_path / "out") == 0
    found, said = rows(tmp_path / "out"), capsys.readouterr().out
    assert len(found) == len(stub.log()) > 4
    assert f"{len(found)} regions of 4 pictures" in said
    assert {row["question"] for row in found} == {"a bar chart near the top"}
    assert all(row["origin"]["merged"] == ["chart", "figure_title"] for row in found)
    suite = make_suite(f"local:{tmp_path / 'out'}")
    assert {task.kind for task in suite} == {"box"}
    report = run(Bench(suite=f"local:{tmp_path / 'out'}", policies=("oracle",), reward="iou"), tmp_path / "run")
    (arm,) = report.arms
    assert arm.accuracy.value == 1.0


def test_the_policy_sees_the_region_in_a_red_frame(stub: Stub, tmp_path: Path) -> None:
    assert synth(stub, tmp_path / "out", "--count", "1", "--in-flight", "1") == 0
    system, user = stub.log()[0]["body"]["messages"]
    assert "red frame" in system["content"]
    data = next(part for part in user["content"] if part["type"] == "image_url")["image_url"]["url"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2]))).convert("RGB")).astype(int)
    red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
    ys, xs = np.nonzero(red)
    x0, y0, x1, y1 = rows(tmp_path / "out")[0]["boxes"][0]["box"]
    assert (xs.min(), ys.min()) == pytest.approx((x0, y0), abs=4)
    assert (xs.max(), ys.max()) == pytest.approx((x1, y1), abs=4)


def test_a_stopped_command_asks_nothing_twice(stub: Stub, tmp_path: Path) -> None:
    synth(stub, tmp_path / "whole")
    whole = rows(tmp_path / "whole")
    stub.script({"body": completion("a bar chart near the top")})
    synth(stub, tmp_path / "out", "--count", "2")
    first = len(stub.log())
    path = tmp_path / "out" / "journal.ndjson"
    path.write_bytes(path.read_bytes()[:-7])  # killed while it wrote
    synth(stub, tmp_path / "out")
    assert first < len(stub.log()) == len(whole) + 1
    assert rows(tmp_path / "out") == whole
    synth(stub, tmp_path / "out")
    assert len(stub.log()) == len(whole) + 1


def test_what_cannot_be_used_is_skipped_with_its_reason(
    stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replies = ["", "x" * (LONGEST + 1), "the chart in the red box", "<think>hm</think> 'the chart  on the\nleft'"]
    stub.script(
        *({"body": completion(text or " ")} for text in replies),
        {"body": completion("cut", "length")},
        {"status": 400, "body": "no"},
        {"body": completion("a chart")},
    )
    assert synth(stub, tmp_path / "out", "--in-flight", "1") == 0
    said = capsys.readouterr().out
    for reason in (f"more than {LONGEST} characters", "names the red frame", "reply cut off", "the policy failed"):
        assert f"skipped regions: 1 ({reason}" in said or f"skipped regions: 2 ({reason}" in said, reason
    assert rows(tmp_path / "out")[0]["question"] == "the chart on the left"


class Nothing(Detector):
    def detect(self, page: Page) -> list[Block]:
        if page.name == "fails.png":
            raise RuntimeError("out of order")
        return []


def test_pictures_without_regions_are_counted(stub: Stub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("empty.png", "fails.png"):
        Image.new("RGB", (60, 40)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no picture")
    detector = f"{__name__}:Nothing"
    assert synth(stub, tmp_path / "out", "--images", str(folder), detector=detector) == 0
    said = capsys.readouterr().out
    assert "0 regions of 3 pictures" in said
    assert "skipped pictures: 1 (nothing detected)" in said
    assert "skipped pictures: 1 (unreadable picture)" in said
    assert "skipped pictures: 1 (the detector failed: RuntimeError: out of order)" in said
    assert rows(tmp_path / "out") == []
    assert stub.log() == []


@pytest.mark.parametrize(
    ("more", "detector", "words"),
    [
        ((), "trut", 'did you mean "truth"'),
        ((), "tests.synthesis.test_regions:Nothin", 'did you mean "Nothing"'),
        (("--images", "nowhere"), "truth", "expected a folder with pictures"),
        (("--policy", "oracle"), "truth", "needs to know the answer"),
        (("--policy", "tiny"), "truth", "speaks grid only"),
    ],
)
def test_bad_arguments_are_named(
    stub: Stub, tmp_path: Path, more: tuple[str, ...], detector: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert synth(stub, tmp_path / "out", *more, detector=detector) == 2
    assert words in capsys.readouterr().err


def test_a_missing_package_is_named(stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "rapid_layout", None)
    with pytest.raises(ImportError, match=r"o3gym\[layout\]"):
        make_detector("rapid_layout")


@given(st.text(max_size=300), st.sampled_from(["stop", "length", "error"]))
def test_a_description_is_one_short_line_or_a_reason(text: str, finish: Any) -> None:
    said, reason = description(Reply(text, finish=finish))
    assert bool(said) != bool(reason)
    assert len(said.splitlines()) <= 1
    assert len(said) <= LONGEST


def test_truth_is_the_scene_or_the_boxes_of_tasks() -> None:
    (page,) = of_suite(make_suite("synthetic?family=chart&difficulty=easy&n=1"))
    found = make_detector("truth").detect(page)
    assert [(block.label, block.box) for block in found] == true_blocks(page.source)
    charts = [block.box for block in found if block.label == "chart"]
    assert len(charts) * 2 == len(found)
    assert all(any(coverage(target.box, chart) > 0.9 for chart in charts) for target in page.targets)
    mine = Page("mine", Source.file("mine.png"), (Target((0, 0, 0.5, 0.5), label="table"),))
    assert make_detector("truth").detect(mine) == [Block((0, 0, 0.5, 0.5), "table")]


def test_a_journal_is_for_one_process_and_says_which_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal.ndjson"
    with Journal(path) as journal:
        journal.put("a", [1])
        with pytest.raises(RunError, match="written by another process"):
            Journal(path)
    path.write_text(path.read_text() + '{"kee": 1}\n')
    with pytest.raises(RunError, match=r"journal.ndjson, line 2: expected"):
        Journal(path)


def test_pictures_of_a_folder_are_named_by_their_path(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "b" / "two.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "one.webp")
    (tmp_path / "notes.txt").write_text("no picture")
    assert [page.name for page in of_folder(tmp_path)] == ["b/two.png", "one.webp"]
