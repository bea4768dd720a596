"""The example scripts run from start to end, with few steps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent


def test_sb3_ppo(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    picture = tmp_path / "curve.svg"
    few = ["--steps", "100", "--episodes", "3", "--seeds", "1", "--out", str(picture)]
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / "sb3_ppo.py"), *few],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for line in ("random agent", "seed 1  before", "with blank views"):
        assert line in done.stdout
    assert "PPO, seed 1" in "".join(ElementTree.parse(picture).getroot().itertext())


def test_photographs(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    script = [sys.executable, "-W", "error", str(ROOT / "examples" / "photographs.py"), "--out", str(tmp_path)]
    done = subprocess.run(script, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(correct)") == 6
    assert {path.name for path in tmp_path.glob("*.png")} >= {"brand.png", "galaxy.png", "comet.png"}


@pytest.mark.parametrize(
    ("script", "page", "printed", "written"),
    [
        ("mini_o3_in_miniature.py", "miniature", "= +25.5 points [+20.7, +30.5], 3 seeds", "+25.5 [20.7, 30.5]"),
        ("insight_o3_in_miniature.py", "insight", "right +7.33 [+2.33, +12.7] points", "+7.3 [2.3, 12.7]"),
    ],
)
def test_what_a_page_says_is_what_its_numbers_give(
    tmp_path: Path, script: str, page: str, printed: str, written: str
) -> None:
    results = shutil.copy(ROOT / "docs" / f"{page}.json", tmp_path)
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), "--cells", "all", "--results", str(results)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert printed in done.stdout
    assert written in (ROOT / "docs" / f"{page}.md").read_text("utf-8")
    assert (tmp_path / f"{page}.png").stat().st_size > 10_000
