from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from o3gym.cli.main import main
from o3gym.media.images import shared_store
from o3gym.suites.base import make_suite
from o3gym.synthesis.collages import make_collages, open_collages
from tests.suites.test_collage import folder

SPEC = "collage?megapixels=0.6-1&share=0.002&n=3"


def test_a_folder_of_collages_is_a_local_suite(tmp_path: Path) -> None:
    suite = open_collages(SPEC, "test")
    tally = make_collages(suite, 100, tmp_path)
    assert tally.accepted == 3
    written = make_suite(f"local:{tmp_path}")
    for made, read in zip(suite, written, strict=True):
        assert (read.question, read.answer, read.choices, read.kind) == (
            made.question,
            made.answer,
            made.choices,
            made.kind,
        )
        assert [target.box for target in read.targets] == [pytest.approx(target.box) for target in made.targets]
        assert [target.label for target in read.targets] == [target.label for target in made.targets]
        pixels = np.array(Image.open(read.sources[0].ref))
        assert np.array_equal(pixels, shared_store().region(made.sources[0]))


def test_region_tasks_and_free_text_are_written_as_such(tmp_path: Path) -> None:
    spec = 'collage?megapixels=0.6-1&share=0.01&n=3&source_args={"family":"region","difficulty":"easy"}'
    make_collages(open_collages(spec, "test"), 3, tmp_path / "regions")
    assert make_suite(f"local:{tmp_path / 'regions'}").kinds == {"box"}
    (tmp_path / "pictures").mkdir()
    spec = f"collage:local:{folder(tmp_path / 'pictures')}?megapixels=0.6-1&share=0.002&n=3"
    make_collages(open_collages(spec, "test"), 3, tmp_path / "free")
    assert make_suite(f"local:{tmp_path / 'free'}").kinds == {"free"}


def test_the_command_prints_rates_and_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = folder(tmp_path, boxes=6, without=6)
    spec = f"collage:local:{pictures}?megapixels=0.6-1.2&share=0.002"
    assert main(["synth", "collage", "--suite", spec, "--count", "12"]) == 0
    said = capsys.readouterr().out
    assert "12 collages of " in said
    assert "acceptance rate" in said
    assert "(no box)" in said
    assert not (tmp_path / "images").exists()


def test_another_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", "collage", "--suite", "synthetic?n=3"]) == 2
    assert 'write "collage:synthetic"' in capsys.readouterr().err
