"""Collages of real tasks: where the boxes land in pixels, what is skipped, and that every process makes the same."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym import testing
from o3gym.codec import encode
from o3gym.geometry import area, relative, to_pixels
from o3gym.media.images import ImageStore, shared_store
from o3gym.registry import SUITES, UnknownName
from o3gym.suites.base import Suite, SuiteError, make_suite
from o3gym.suites.collage import Collage
from o3gym.suites.collages.drawing import EDGE_WIDTH, LABEL_CORNERS, label_box
from o3gym.suites.collages.tally import CollageTally
from o3gym.types import Source, Target, Task
from tests.suites.released.released_files import jpeg, visual_cot, vstar_train

SMALL: dict[str, Any] = {"megapixels": "0.6-1.2", "share": 2e-3}
RED = (255, 0, 0)


def small(**options: Any) -> Collage:
    suite = make_suite("collage", **{**SMALL, **options})
    assert isinstance(suite, Collage)
    return suite


def folder(path: Path, boxes: int = 12, without: int = 0) -> Path:
    """Grey pictures of several sizes with a red box each, and some rows that have no box."""
    rows = []
    for i in range(boxes + without):
        width, height = ((480, 360), (360, 480), (420, 420), (512, 300))[i % 4]
        pixels = np.full((height, width, 3), 100 + 5 * i % 100, np.uint8)
        x, y = 90 + 13 * i % 200, 80 + 17 * i % 150
        pixels[y : y + 24, x : x + 30] = RED
        Image.fromarray(pixels).save(path / f"{i}.png")
        row = {"image": f"{i}.png", "question": f"What is {i}?", "answer": f"a box, {i}"}
        rows.append({**row, **({"boxes": [[x, y, x + 30, y + 24]]} if i < boxes else {})})
    (path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_boxes_are_where_the_pixels_are(tmp_path: Path) -> None:
    """Inside of the target all is red, and in the whole tile nothing else but what touches its rim."""
    suite = make_suite(f"collage:local:{folder(tmp_path)}", **SMALL)
    for task in suite:
        source = task.sources[0]
        pixels = shared_store().region(source).astype(int)
        height, width, _ = pixels.shape
        x0, y0, x1, y1 = to_pixels(task.targets[0].box, (width, height))
        red = (pixels[..., 0] > 200) & (pixels[..., 1] < 60) & (pixels[..., 2] < 60)
        assert red[round(y0) + 1 : round(y1) - 1, round(x0) + 1 : round(x1) - 1].all()
        a, b, c, d = (round(v) for v in to_pixels(task.origin["tile_box"], (width, height)))
        ys, xs = np.nonzero(red[b:d, a:c])
        found = (xs.min() + a, ys.min() + b, xs.max() + a + 1, ys.max() + b + 1)
        assert np.abs(np.subtract(found, (x0, y0, x1, y1))).max() <= 1.0


def test_a_target_has_the_place_in_its_tile_that_it_has_in_its_picture() -> None:
    suite = small(n=10)
    for task in suite:
        tile = tuple(task.origin["tile_box"])
        asked = next(t for t in suite.source if t.id == task.origin["source"]["task"])
        for target, old in zip(task.targets, asked.targets, strict=True):
            assert relative(tile, target.box) == pytest.approx(old.box)
            assert target.label == old.label
            assert area(target.box) <= SMALL["share"] * (1 + 1e-9)
        assert task.question == f"In Image {task.origin['tile']}: {asked.question}"
        assert (task.answer, task.choices, task.kind) == (asked.answer, asked.choices, asked.kind)
        assert task.tags == {**asked.tags, "tiles": str(len(task.sources[0].args["tiles"]))}
        shown = task.sources[0].args["tiles"][task.origin["tile"] - 1]
        assert shown["source"] == encode(asked.sources[0])


def test_the_paper_bounds_hold_without_options() -> None:
    suite = make_suite("collage", n=8)
    for task in suite:
        width, height = shared_store().size(task.sources[0])
        assert 3e6 <= width * height <= 12e6
        assert max(area(target.box) for target in task.targets) <= 2e-4 * (1 + 1e-9)


def test_labels_and_edges_cover_no_target() -> None:
    suite = small(n=30, source_args={"family": "map+relation"}, share=0.02)
    for task in suite:
        size = shared_store().size(task.sources[0])
        tile = task.sources[0].args["tiles"][task.origin["tile"] - 1]
        label = label_box(tile["box"], task.origin["tile"], tile["corner"])
        assert tile["corner"] in LABEL_CORNERS
        for target in task.targets:
            x0, y0, x1, y1 = to_pixels(target.box, size)
            assert x1 <= label[0] or label[2] <= x0 or y1 <= label[1] or label[3] <= y0


def test_the_label_stays_inside_of_its_box(tmp_path: Path) -> None:
    """All black and white of a grey tile, but for its edge, is inside of the label's box."""
    Image.new("RGB", (300, 300), (128, 128, 128)).save(tmp_path / "grey.png")
    picture = encode(Source.file(str(tmp_path / "grey.png")))
    for corner in LABEL_CORNERS:
        tiles = [{"source": picture, "crop": [0, 0, 1, 1], "box": [0, 0, 300, 300], "corner": corner}] * 12
        pixels = shared_store().region(Source.generated("collage", size=[300, 300], tiles=tiles[:1]))
        inside = np.zeros((300, 300), bool)
        x0, y0, x1, y1 = (round(v) for v in label_box((0, 0, 300, 300), 1, corner))
        inside[y0:y1, x0:x1] = True
        changed = (pixels != 128).any(axis=2)
        changed[:EDGE_WIDTH] = changed[-EDGE_WIDTH:] = changed[:, :EDGE_WIDTH] = changed[:, -EDGE_WIDTH:] = False
        assert changed.any()
        assert not (changed & ~inside).any()


def test_the_size_is_known_without_drawing_and_is_that_of_the_drawing() -> None:
    store = ImageStore()
    for suite in (small(n=1), make_suite("synthetic", n=7, pixels=100_000)):
        for task in suite:
            size = store.size(task.sources[0])
            assert store.used == 0
            assert store.region(task.sources[0]).shape == (size[1], size[0], 3)
            store.forget()


def test_several_cores_meet_the_bound_and_are_told_of() -> None:
    suite = small(n=5, tiles="3-5", cores="2-3")
    for task in suite:
        cores = task.origin["cores"]
        assert 2 <= len(cores) <= 3
        assert len({core["task"] for core in cores}) == len(cores)
        assert all(area(box) <= SMALL["share"] * (1 + 1e-9) for core in cores for box in core["targets"])
        assert cores[0]["tile"] == task.origin["tile"]
        assert cores[0]["question"] == task.question


def test_rows_without_a_box_are_skipped_and_counted(tmp_path: Path) -> None:
    suite = make_suite(f"collage:local:{folder(tmp_path, boxes=6, without=6)}", n=12, **SMALL)
    assert isinstance(suite, Collage)
    total = CollageTally()
    for number in range(12):
        task, tally = suite.trial(number)
        assert task.targets
        total += tally
    assert total.accepted == 12
    assert total.skipped["no box"] >= 6
    assert total.tried == 12 + sum(total.rejected.values())


def test_what_else_cannot_be_used_is_skipped_with_its_reason(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "0.png").write_bytes(b"no picture")
    rows = [json.loads(line) for line in (tmp_path / "index.jsonl").read_text().splitlines()]
    rows[2] = {**rows[2], "images": ["2.png", "3.png"]}
    del rows[2]["image"]
    unit = [{**row, "boxes": [[0.2, 0.2, 0.26, 0.26]] if i != 1 else [[0, 0, 0.9, 0.9]]} for i, row in enumerate(rows)]
    (tmp_path / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in unit))
    collages = make_suite(f"collage:local:{tmp_path}", source_args={"box_frame": "unit"}, **SMALL)
    assert isinstance(collages, Collage)
    total = CollageTally()
    for number in range(len(collages)):
        total += collages.trial(number)[1]
    assert {"cannot be read", "not one picture", "a box of 4% of its picture or more"} <= set(total.skipped)


def test_a_source_of_which_nothing_can_be_placed_is_one_clear_error(tmp_path: Path) -> None:
    suite = make_suite(f"collage:local:{folder(tmp_path, boxes=0, without=3)}", **SMALL)
    with pytest.raises(SuiteError, match=r"no task of local could be placed \(3 skipped: no box"):
        suite[0]
    alone = tmp_path / "alone"
    alone.mkdir()
    suite = make_suite(f"collage:local:{folder(alone, boxes=1)}", **SMALL)
    with pytest.raises(SuiteError, match="10 canvases rejected: free space"):
        suite[0]


def test_pictures_in_memory_are_skipped(make_source, register) -> None:
    """A run's records name them by their hash only, so that a collage of them could not be drawn again."""

    class Held(Suite):
        name = "held"

        def __len__(self) -> int:
            return 3

        def task(self, index: int) -> Task:
            target = Target((0.1, 0.1, 0.2, 0.2))
            return Task(str(index), (make_source(300, 300, index),), "What?", "x", targets=(target,))

    register(SUITES, "held", Held)
    with pytest.raises(SuiteError, match="6 skipped: a picture that is in memory only"):
        make_suite("collage:held", **SMALL)[0]


def test_released_training_sets_are_sources(tmp_path: Path) -> None:
    visual_cot(tmp_path / "cot", bboxs=[[100, 100, 130, 124]])
    for path in (tmp_path / "cot").rglob("1.jpg"):
        path.write_bytes(jpeg(size=(480, 360)))
    vstar_train(tmp_path / "vstar", target_instances=[{"name": "cup", "bbox": [100, 100, 30, 24]}])
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "vstar" / "gqa" / name).write_bytes(jpeg(size=(480, 360)))
    rows = (tmp_path / "vstar" / "GQA_data.json").read_text()
    (tmp_path / "vstar" / "GQA_data.json").write_text(rows.replace("gqa/1.jpg", "gqa/2.jpg"))
    for name, data, answers in (("visual-cot", "cot", {"a cup"}), ("vstar-train", "vstar", {"Red."})):
        suite = make_suite(f"collage:{name}", "train", source_args={"data": str(tmp_path / data)}, **SMALL)
        assert {task.answer for task in suite} == answers
        assert suite[0].origin["source"]["split"] == "train"
        width, height = shared_store().size(suite[0].sources[0])
        assert shared_store().region(suite[0].sources[0]).shape == (height, width, 3)


def test_a_collage_is_the_same_alone_and_in_another_process() -> None:
    code = (
        "import hashlib, json\nfrom o3gym.codec import encode\nfrom o3gym.media.images import shared_store\n"
        "from o3gym.suites.base import make_suite\n"
        "task = make_suite('collage', megapixels='0.6-1.2', share=0.002)[3]\n"
        "pixels = shared_store().region(task.sources[0]).tobytes()\n"
        "print(hashlib.sha256(json.dumps(encode(task), sort_keys=True).encode() + pixels).hexdigest())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    suite = small()
    for number in (7, 3):
        task = suite[number]
    pixels = shared_store().region(task.sources[0]).tobytes()
    digest = hashlib.sha256(json.dumps(encode(task), sort_keys=True).encode() + pixels).hexdigest()
    assert done.stdout.strip() == digest


def test_splits_and_seeds_differ_and_n_does_not_matter() -> None:
    first = small(n=3)[1]
    assert small(n=50)[1] == first
    assert small(seed=1)[1].sources != first.sources
    train = make_suite("collage", "train", **SMALL)[1]
    assert train.sources != first.sources
    assert "/train/" in train.origin["source"]["task"]


def test_every_picture_is_a_target_once_before_any_is_twice() -> None:
    suite = small(source_args={"n": 12})
    assert len(suite) == 12
    asked = [task.origin["source"]["task"] for task in suite]
    assert len(set(asked)) >= 10  # those whose own target is given up take another's


def test_conformance() -> None:
    testing.check_suite(small(tiles="2-4"), count=8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"megapixels": "12-3"}, "megapixels: expected"),
        ({"megapixels": "wide"}, "megapixels: expected"),
        ({"tiles": "1.5"}, "tiles: expected a whole number"),
        ({"cores": 0}, "cores: expected"),
        ({"share": 0}, "share"),
        ({"n": -1}, "expected a whole number"),
    ],
)
def test_bad_options(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_suite("collage", **options)


def test_an_unknown_source_is_answered_with_the_closest() -> None:
    with pytest.raises(UnknownName, match='did you mean "synthetic"'):
        make_suite("collage:synthetics")
