"""What the documents say runs: README's first lines, and each worked example of CONTRIBUTING."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from o3gym import testing
from o3gym.cli.main import build_parser, main
from o3gym.registry import TOOLS
from o3gym.sandbox import SandboxUnavailable, open_sandbox

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[str]:
    return FENCE.findall((ROOT / name).read_text("utf-8"))


def test_first_screen_has_install_by_line_15_and_running_lines_by_line_30(tmp_path, monkeypatch) -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert any("pip install" in line for line in lines[:15])
    assert any(line.startswith("```python") for line in lines[:30])
    monkeypatch.chdir(tmp_path)
    code = blocks("README.md")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 12
    scope: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), scope)
    assert list(tmp_path.glob("*.png")), "the first lines save a picture strip"
    assert scope["reward"] == 1.0


@pytest.mark.parametrize("number", range(1, len(blocks("README.md"))))
def test_other_readme_blocks_run(number: int, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("README.md")[number], f"README.md[{number}]", "exec"), {})


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("LeftHalf", lambda made, folder: testing.check_tool(made())),
        ("Words", lambda made, folder: testing.check_dialect(made())),
        ("Flags", lambda made, folder: testing.check_suite(made(str(folder)))),
        ("Shy", lambda made, folder: testing.check_policy(made())),
    ],
)
def test_worked_examples_pass_the_checks(name: str, check, tmp_path) -> None:
    from PIL import Image

    for flag in ("Chad", "Romania"):
        Image.new("RGB", (300, 200), "navy").save(tmp_path / f"{flag}.png")
    (code,) = [block for block in blocks("CONTRIBUTING.md") if f"class {name}(" in block]
    scope: dict[str, object] = {"__name__": "contributing"}
    exec(compile(code, f"CONTRIBUTING.md:{name}", "exec"), scope)
    check(scope[name], tmp_path)
    assert "left_half" not in TOOLS


def test_two_agents_as_the_page_of_policies_has_them(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("docs/policies.md")
    exec(compile(code, "docs/policies.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_page_of_videos_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("docs/video.md")
    exec(compile(code, "docs/video.md", "exec"), scope := {})
    assert capsys.readouterr().out.startswith("8 dict_keys(['clip', 'frames', 'crop', ")
    assert scope["terminated"]


def test_the_page_of_planning_runs(capsys: pytest.CaptureFixture[str]) -> None:
    scope: dict[str, object] = {}
    for code in blocks("docs/planning.md")[:2]:
        exec(compile(code, "docs/planning.md", "exec"), scope)
    page = (ROOT / "docs/planning.md").read_text("utf-8")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert all(f"It prints `{line}`." in page for line in printed)


def test_the_tutorial_goes_from_a_picture_to_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    draw, search = blocks("docs/tutorial.md")
    exec(compile(draw, "docs/tutorial.md", "exec"), {})
    exec(compile(search, "docs/tutorial.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == "1.0 True answered"
    for line in re.findall(r"^o3gym .*$", (ROOT / "docs/tutorial.md").read_text("utf-8"), re.MULTILINE):
        if "MODEL" not in line and "runs/model" not in line:
            assert main(shlex.split(line)[1:]) == 0
    assert (tmp_path / "runs/hall/view.html").is_file()
    arms = json.loads((tmp_path / "runs/hall/report.json").read_text("utf-8"))["arms"]
    right = {arm["arm"]: arm["accuracy"]["value"] for arm in arms}
    assert right == {"oracle": 1.0, "sweep": 1.0, "always": 0.0}


@pytest.mark.parametrize(
    "name", ["docs/suites.md", "docs/synthesis.md", "docs/reference.md", "docs/tutorial.md", "docs/training.md"]
)
def test_commands_of_the_page_are_commands(name: str) -> None:
    lines = re.findall(r"^o3gym .*$", (ROOT / name).read_text("utf-8"), re.MULTILINE)
    assert lines
    for line in lines:
        args = build_parser().parse_args(shlex.split(line, comments=True)[1:])
        assert args.run


def test_every_published_number_has_its_source_and_a_command_of_the_page() -> None:
    text = (ROOT / "docs/reference.md").read_text("utf-8")
    known = {"–", *re.findall(r"^o3gym .*# (\w)$", text, re.MULTILINE)}
    tables = re.findall(r"^(\|.* measured here \|)\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert len(tables) == 7
    for header, rows in tables:
        for row in rows.splitlines():
            cells = [cell.strip() for cell in row.split("|")[1:-1]]
            assert len(cells) == header.count("|") - 1, row
            *_, source, command, _measured = cells
            assert source, row
            assert command in known, row


def test_documents_name_files_that_exist() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\(([^)#]+?)\)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_code_on_the_page_of_concepts_runs(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        open_sandbox("auto")
    except SandboxUnavailable as reason:
        pytest.skip(str(reason))
    (code,) = blocks("docs/concepts.md")
    exec(compile(code, "docs/concepts.md", "exec"), {})
    assert re.fullmatch(r"\(\d+, \d+\) 1 ''\n", capsys.readouterr().out)
