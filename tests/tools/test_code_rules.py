"""What code finds, which of its pictures are taken, and how Thyme's repairs change it. No sandbox is needed."""

from __future__ import annotations

import ast
import warnings

import pytest

from o3gym.registry import CODE_RULES
from o3gym.sandbox.limits import Outcome
from o3gym.tools.code_repairs import clamped_edges, repaired

SIZE = (800, 600)


def fixed(source: str) -> str:
    return repaired(source, SIZE, "image_path.png")


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("o3gym", ["view_0", "view_1", "view_2"]),
        ("thyme", ["image_path", "image_path_1", "image_path_2"]),
        ("thyme_repaired", ["image_path", "image_path_1", "image_path_2"]),
        ("pyvision", ["image_clue_0", "image_clue_1", "image_clue_2"]),
        ("deepeyes_v2", ["image_1", "image_2", "image_3"]),
    ],
)
def test_views_have_the_names_of_the_system(rule: str, names: list[str]) -> None:
    assert [CODE_RULES[rule].name(index) for index in range(3)] == names


def test_only_thyme_hands_pictures_in_as_files_and_reports_its_path() -> None:
    places = {name: CODE_RULES[name].workplace for name in CODE_RULES}
    assert {name for name, place in places.items() if place.variables == "files"} == {"thyme", "thyme_repaired"}
    assert places["thyme"].values == ("processed_path",)
    assert places["thyme"].seconds == 10.0  # its EXEC_TIME_LIMIT


MADE = Outcome(text="see b.png", shown=(b"S", b"B"), stored=(("/w/a.png", b"A"), ("/w/b.png", b"B")))


@pytest.mark.parametrize(
    ("rule", "taken"),
    [("o3gym", (b"S", b"B", b"A")), ("pyvision", (b"S", b"B")), ("deepeyes_v2", (b"S", b"B")), ("thyme", (b"B",))],
)
def test_each_system_takes_its_own_pictures(rule: str, taken: tuple[bytes, ...]) -> None:
    assert CODE_RULES[rule].pictures(MADE) == taken


@pytest.mark.parametrize(
    ("text", "path", "taken"),
    [
        ("", "/w/a.png", (b"A",)),
        ("the file is '/w/b.png'.", "/w/a.png", (b"A", b"B")),
        ("a.png a.png", "", (b"A",)),
        ("saved x.png and y.jpeg", "", (b"A", b"B")),  # as many names as files
        ("saved x.png", "", ()),
        ("(a.png), 'b.png.'", "", (b"B",)),
        ("a" * 20_000 + " b.png", "", (b"B",)),
        ("", "", ()),
        ("", "../../etc/passwd", ()),
    ],
)
def test_thyme_takes_the_files_that_are_named(text: str, path: str, taken: tuple[bytes, ...]) -> None:
    outcome = Outcome(text=text, stored=MADE.stored, values={"processed_path": path})
    assert CODE_RULES["thyme"].pictures(outcome) == taken


def test_the_folder_of_thymes_prompt_is_the_working_folder() -> None:
    source = 'p = "/mnt/data/temp_processed_images/" + name\ncv.imread(p)'
    assert CODE_RULES["thyme"].prepared(source, SIZE) == 'p = "./" + name\ncv.imread(p)'
    assert CODE_RULES["thyme_repaired"].prepared(source, SIZE) == 'p = "./" + name\ncv2.imread(p)'
    made = 'os.makedirs("/mnt/data/temp_processed_images", exist_ok=True)'
    assert CODE_RULES["thyme"].prepared(made, SIZE) == 'os.makedirs(".", exist_ok=True)'
    assert CODE_RULES["o3gym"].prepared(source, SIZE) == source


# ── Repairs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("crop_box = (10, 20, 300, 400)", "crop_box = (10, 20, 300, 400)"),  # nothing to repair
        ("crop_box = (700, 500, 900, 700)", "crop_box = (700, 500, 800, 600)"),
        ("bbox = (300, 400, 10, 20)", "bbox = (10, 20, 300, 400)"),
        ("box = (100, 100, 110, 110)", "box = (100, 100, 164, 164)"),
        ("box = (790, 590, 795, 599)", "box = (736, 536, 800, 600)"),
        ("x1, y1, x2, y2 = 10, 10, 20, 500", "x1, y1, x2, y2 = 10, 10, 74, 500"),
        ("a, b, c, right = 10, 10, 20, 500  # é", "a, b, c, right = 10, 10, 74, 500  # é"),
        ("left, top, w, h = (1.5, 2, 9e9, 1e2)", "left, top, w, h = (2, 2, 800, 100)"),
        ("é = 1; box = (0, 0, 9, 9)", "é = 1; box = (0, 0, 64, 64)"),
        ("box = (0, 0, x, 9)", "box = (0, 0, x, 9)"),  # not four literals
        ("box = (-5, 0, 9, 9)", "box = (-5, 0, 9, 9)"),  # a minus sign is no literal
        ("box = [0, 0, 9, 9]", "box = [0, 0, 9, 9]"),
        ("box = (0, 0, 1e999, 9)", "box = (0, 0, 1e999, 9)"),
        (f"box = (0, 0, 1{'0' * 400}, 9)", f"box = (0, 0, 1{'0' * 400}, 9)"),
        ("a, b, c, d = 0, 0, 9, 9", "a, b, c, d = 0, 0, 9, 9"),
        ("image.crop((0, 0, 9, 9))", "image.crop((0, 0, 9, 9))"),
        ("crop = image[0:9, 0:9]", "crop = image[0:9, 0:9]"),
        ("cv.imread(p); cv4.x; CV.y; acv.z; cv2.w", "cv2.imread(p); cv2.x; cv2.y; acv.z; cv2.w"),
        ("import cv2 as cv\r\ncv.a.cv\r\n", "import cv2 as cv\r\ncv2.a.cv\r\n"),
        ("'cv.imread'  # cv.imread", "'cv.imread'  # cv.imread"),
    ],
)
def test_repairs(source: str, expected: str) -> None:
    assert fixed(source) == expected


def test_a_path_literal_becomes_the_real_path_unless_that_file_exists(tmp_path) -> None:
    there = tmp_path / "there.png"
    there.write_bytes(b"")
    for literal, expected in [("/data/é.png", "image_path.png"), (str(there), str(there))]:
        scope: dict[str, object] = {}
        exec(fixed(f"# é\nimage_path = {literal!r}"), scope)
        assert scope["image_path"] == expected
    assert fixed("image_path = other") == "image_path = other"
    assert fixed("path = '/data/x.png'") == "path = '/data/x.png'"


def test_line_numbers_stay_the_models_own() -> None:
    source = 'image_path = ("/data/"\n  "x.png")\n\n# comment\nbox = (0,\n 0, 9,\n 9)\ncv.undefined\n'
    assert fixed(source).count("\n") == source.count("\n")
    last = ast.parse(fixed(source)).body[-1]
    assert last.lineno == 8


@pytest.mark.parametrize(
    "source",
    [
        "cv.x = = 1",
        "cv.x\x00",
        "cv.x\ud800",
        "  cv.x\n cv.y",
        "cv" + ".b" * 50_000,
        "-" * 99_000 + "cv.x",
        "(" * 99_000,
        "lambda:" * 14_000 + "cv.x",
        "cv.x" + "[0]" * 30_000,
        "1if 1else " * 10_000 + "cv.x",
    ],
    ids=range(10),
)
def test_code_that_does_not_parse_is_left_alone_in_silence(source: str, capfd) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert fixed(source) == source
    assert capfd.readouterr().err == ""


def test_names_in_f_strings_are_repaired_or_left_alone() -> None:
    """Before Python 3.12, their positions are wrong in strings of several lines."""
    assert fixed("print(f'{cv.x} é {cv.y}')") == "print(f'{cv2.x} é {cv2.y}')"
    source = "abcdefgh = f'''é\n\n {cv.x} {cv.y}'''\nabcdefghi = cv.z\n"
    assert fixed(source).replace("cv2", "cv") == source
    assert "abcdefghi = cv2.z" in fixed(source)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ((10, 200), (10, 200)),
        ((50, 50), (49, 113)),
        ((-9, -5), (0, 64)),
        ((2000, 3000), (936, 1000)),
        ((3, 1), (1, 65)),
    ],
)
def test_edges_are_clamped_as_in_the_released_code(edges: tuple[int, int], expected: tuple[int, int]) -> None:
    assert clamped_edges(*edges, 1000) == expected
    assert clamped_edges(*edges, 40) == (0, 40)
