"""Episodes with code on the page of a run: the code, its output and its pictures, all of them a stranger's."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from o3gym.calls import answer, code
from o3gym.envs import VisualSearchEnv
from o3gym.media.images import ImageStore
from o3gym.runs.viewer import write_viewer
from o3gym.sandbox import Outcome
from o3gym.types import Trajectory
from tests.runs.browser import drive, in_browser
from tests.runs.sample_run import HOSTILE_TEXT, block, stored
from tests.scripted_sandbox import ScriptedSandbox, png

LISTING = '# a remark\nfor i in range(3):\n    text = f\'{i}\' + "é\\""\n    show(view_0.rotate(90.5))\n'


def played(local: str, source: str, outcome: Outcome, group: str) -> Trajectory:
    """An episode with one piece of code and a wrong answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("o3gym.envs.checks.open_sandbox", lambda spec: ScriptedSandbox([outcome]))
        env = VisualSearchEnv(local, tools=["code", "answer"], min_pixels=100, max_pixels=10_000)
        env.reset(options={"task": 0})
        env.step(code(source))
        env.step(answer("A"))
        return dataclasses.replace(env.trajectory, arm="arm", group=group)


@pytest.fixture(scope="module")
def run(local: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Outcome(text="one\n  two", shown=(png(60, 40, "#20c040"),))
    failed = Outcome(text=HOSTILE_TEXT, error='  File "<code>", line 2\nNameError: <b>x</b>', ended="error")
    endless = "x = '" + "\\'" * 9_000 + "\n" + "((((" * 400
    episodes = [
        played(local, LISTING, made, "a"),
        played(local, f"'''{HOSTILE_TEXT}\n{HOSTILE_TEXT}", failed, "b"),
        played(local, endless, Outcome(), "c"),
        played(local, "1 " * 40_000, Outcome(), "d"),
    ]
    return stored(tmp_path_factory.mktemp("code") / "run", episodes)


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    return write_viewer(run)


def episodes_of(page: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in block(page, "episodes").split("\n")]


def test_the_page_has_the_code_its_output_and_its_pictures(page: Path) -> None:
    first, second, *_ = episodes_of(page)
    assert first["turns"][0]["args"] == {"source": LISTING}
    assert first["turns"][0]["feedback"] == "one\n  two"
    (view,) = first["views"]
    assert (view["made_by"], view["picture"], view["box"], view["native"]) == ("code", None, None, [60, 40])
    assert (page.parent / "thumbs" / view["thumb"]["file"]).is_file()
    assert second["turns"][0]["error"] == "code"
    assert second["turns"][0]["feedback"].endswith("NameError: <b>x</b>")


def test_a_copied_run_folder_shows_the_pictures_on_another_machine(run: Path, tmp_path: Path) -> None:
    """The bytes lie in the folder: the page is made again without its thumbnails and without a cache."""
    copied = shutil.copytree(run, tmp_path / "copied")
    shutil.rmtree(copied / "thumbs", ignore_errors=True)
    page = write_viewer(copied, embed=True, store=ImageStore())
    (view,) = episodes_of(page)[0]["views"]
    assert view["thumb"]["file"] in block(page, "thumbs")


@in_browser
def test_code_in_the_browser(page: Path) -> None:
    found = drive(
        page,
        """
        const text = (css) => all(css).map((element) => element.textContent);
        const visit = async (group) => {
          await go(`#arm/${group}/0`);
          return [text(".code")[0], text(".output")[0], d.title];
        };
        const first = await visit("a");
        const colours = ["remark", "keyword", "text", "number"].map((kind) => text(`.code .${kind}`));
        const shown = all(".crop img").map((image) => [image.naturalWidth, image.naturalHeight]);
        const captions = text(".crop figcaption"), numbers = text(".numbers")[0];
        const others = [await visit("b"), all(".turn img[src=x], .turn b b").length];
        others.push(await visit("c"), await visit("d"));
        return { first, colours, shown, captions, numbers, others };
        """,
    )
    assert found["first"][:2] == [LISTING, "one\n  two"]
    remark, keyword, text, number = found["colours"]
    assert (remark, keyword, text) == (["# a remark"], ["for", "in"], ["f'{i}'", '"é\\""'])
    assert number == ["3", "90.5"]
    assert found["shown"] == [[60, 40]]
    assert found["captions"][0].endswith("native · code")
    assert found["numbers"] == "1\n2\n3\n4"
    (source, output, title), markup, endless, long = found["others"]
    wanted = [line["turns"][0] for line in episodes_of(page)]
    assert (source, output) == (wanted[1]["args"]["source"], wanted[1]["feedback"])
    assert title == found["first"][2]
    assert "owned" not in title
    assert markup == 0
    assert [endless[0], long[0]] == [wanted[2]["args"]["source"], wanted[3]["args"]["source"]]


@in_browser
def test_a_phone_scrolls_the_code_and_not_the_page(page: Path) -> None:
    wide = drive(page, "await go('#arm/d/0'); return d.scrollingElement.scrollWidth - w.innerWidth;", width=390)
    assert wide <= 0
