from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from o3gym.suites.base import SuiteError
from o3gym.synthesis.questions.sheets import SheetLayout, open_sheets

GOOD: dict[str, Any] = {"image": "a.png", "layouts": [{"id": 1, "label": "table", "box": [10, 10, 50, 40]}]}


def written(folder: Path, *rows: Any) -> str:
    for name in ("a.png", "b.png"):
        Image.new("RGB", (100, 80)).save(folder / name)
    path = folder / "layouts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return str(path)


def test_rows_become_sheets_with_unit_boxes(tmp_path: Path) -> None:
    other = {"image": "b.png", "subset": "map", "layouts": [{"id": "key", "box": [0, 0, 100, 80]}], "more": 1}
    first, second = open_sheets(written(tmp_path, GOOD, other), tmp_path / "out")
    assert first.subset == "chart"
    assert first.layouts == (SheetLayout("1", "table", (0.1, 0.125, 0.5, 0.5)),)
    assert second.subset == "map"
    assert second.ids == ("key",)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": "c.png"}, "an existing file"),
        ({"layouts": []}, "at least one layout"),
        ({"layouts": [[1, 2, 3, 4]]}, 'objects like {"id"'),
        ({"layouts": [{"id": "1, 2", "box": [0, 0, 9, 9]}]}, 'an "id"'),
        ({"layouts": [{"id": True, "box": [0, 0, 9, 9]}]}, 'an "id"'),
        ({"layouts": [{"id": 1, "box": [50, 0, 9, 9]}]}, "x0 < x1"),
        ({"layouts": [{"id": 1, "box": [0, 0, 900, 9]}]}, "inside the picture of 100×80"),
        ({"layouts": [{"id": 1, "box": [0, 0, 9, 9]}, {"id": "1", "box": [0, 0, 9, 9]}]}, "no other layout"),
        ({"subset": "charts"}, 'did you mean "chart"'),
        ({}, "no earlier row"),
    ],
)
def test_a_bad_row_is_named_and_skipped(
    tmp_path: Path, change: dict[str, Any], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    (sheet,) = open_sheets(written(tmp_path, GOOD, {**GOOD, **change}), tmp_path)
    assert Path(sheet.image.ref).name == GOOD["image"]
    assert "1 of 2 rows are bad and skipped: " in caplog.text
    assert "layouts.jsonl, line 2, field" in caplog.text
    assert words in caplog.text


def test_many_bad_rows_or_none_that_is_good_are_an_error(tmp_path: Path) -> None:
    bad = {**GOOD, "layouts": []}
    with pytest.raises(SuiteError, match=r"2 of 3 rows are bad, more than 5%: .*layouts\.jsonl, line 2, field"):
        open_sheets(written(tmp_path, GOOD, bad, bad), tmp_path)
    with pytest.raises(SuiteError, match=r"layouts\.jsonl, line 1, field"):
        open_sheets(written(tmp_path, bad), tmp_path)


def test_a_strangers_layouts_send_no_pictures_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    Image.new("RGB", (100, 80)).save(tmp_path / "private.png")
    with pytest.raises(SuiteError, match=r'field "image": expected a file below .*theirs'):
        open_sheets(written(tmp_path / "theirs", {**GOOD, "image": "../private.png"}), tmp_path)


def test_what_is_no_file_is_a_synthetic_suite(tmp_path: Path) -> None:
    chart, town = open_sheets("synthetic?family=chart+map&difficulty=easy&pixels=100000&n=2", tmp_path)
    assert (chart.subset, len(chart.layouts), town.subset, len(town.layouts)) == ("chart", 4, "map", 2)
    assert {layout.label for layout in town.layouts} == {"map", "legend"}
    assert all(Path(sheet.image.ref).parent == tmp_path / "images" for sheet in (chart, town))
    with pytest.raises(ValueError, match='scenes of family "hidden" have none'):
        open_sheets("synthetic?family=hidden", tmp_path)
    with pytest.raises(ValueError, match="expected an existing"):
        open_sheets("nothing.jsonl", tmp_path)
