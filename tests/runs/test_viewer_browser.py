"""The viewer's page as a browser shows it."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import pytest

from o3gym.runs.viewer import write_viewer
from o3gym.types import Task
from tests.runs import sample_run
from tests.runs.browser import drive, dump, in_browser
from tests.runs.sample_run import HOSTILE, block, stored


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewer") / "run"
    return write_viewer(stored(folder, [*sample_run.run(tasks=12), sample_run.HOSTILE]))


@in_browser
def test_the_list_and_its_filters(page: Path) -> None:
    dom = dump(page.as_uri())
    assert dom.count('class="row"') == 37
    assert "37 episodes" in dom
    wrong = sum(row[6] == "wrong" for row in json.loads(block(page, "index")))
    dom = dump(page.as_uri() + "#verdict=wrong")
    assert dom.count('class="row"') == dom.count('class="mark wrong"') == wrong > 0
    assert f"{wrong} of 37 episodes" in dom
    dom = dump(page.as_uri() + "#q=ONERROR+title&arm=oracle")
    assert "No episode matches." in dom


@in_browser
def test_filters_answer_to_the_form_and_to_search(page: Path) -> None:
    found = drive(
        page,
        """
        const counts = [all(".row").length];
        $("[name=family]").value = "count"; $("[name=family]").dispatchEvent(new w.Event("change", { bubbles: true }));
        await pause(); counts.push(all(".row").length, w.location.hash);
        $("#q").value = "number 11?"; $("#q").dispatchEvent(new w.Event("input", { bubbles: true }));
        await pause(300); counts.push(all(".row").length, w.location.hash);
        $("#clear").click(); await pause(); counts.push(all(".row").length, $("#clear").hidden);
        return counts;
        """,
    )
    assert found == [37, 12, "#family=count", 3, "#q=number+11%3F&family=count", 37, True]


@in_browser
def test_an_episode_is_told_whole(page: Path) -> None:
    found = drive(
        page,
        """
        const text = (css) => all(css).map((element) => element.textContent);
        const image = $(".frame img");
        await pause(300);
        return {
          asked: text(".asked"), turns: text(".turn h3"), calls: text(".call"), feedback: text(".feedback"),
          badges: text(".badge"), rects: all("rect.target:not(.casing)").length, loaded: image.naturalWidth,
          alt: image.alt, gold: text(".gold b"), open: text("[aria-current] .question"), summary: shown($("#overview")),
        };
        """,
        hash="#oracle/choice-0002/0",
    )
    assert found["asked"] == ["What colour is the smallest dot near number 2?"] == found["open"]
    assert [t.startswith(f"Turn {i}") for i, t in enumerate(found["turns"], 1)] == [True] * len(found["turns"])
    assert found["calls"][0].startswith("cropview 0")
    assert any("bad_box" in turn for turn in found["turns"])
    assert "The box is empty: x0 >= x1." in found["feedback"]
    assert found["badges"] == ["1", "2"]
    assert found["rects"] == 1
    assert found["loaded"] == 640
    assert "choice-0002" in found["alt"]
    assert found["gold"] == ["C"]
    assert found["summary"] is False


@in_browser
def test_a_search_stands_under_the_turn_that_delegated_it(tmp_path: Path) -> None:
    asked = Task("q/search", (sample_run.picture(0),), "the small dot", kind="box")
    asked = dataclasses.replace(asked, origin={"ground_truth": False})
    child = dataclasses.replace(sample_run.episode(0, kind="box"), task=asked, agent="searcher-1", verdict="")
    parent = dataclasses.replace(sample_run.episode(0, child=True), children=(child,))
    lost = dataclasses.replace(child, located=None, agent="searcher-1")
    other = dataclasses.replace(sample_run.episode(1, child=True), children=(lost,))
    page = write_viewer(stored(tmp_path / "run", [parent, other]))
    script = """
        const card = $(".turn .child"); card.open = true; await pause();
        const inside = (css) => [...card.querySelectorAll(css)];
        const facts = inside("dt").map((element) => element.textContent);
        return [inside("summary")[0].textContent, inside(".turn").length, facts, inside("rect.located").length];
        """
    found, nothing = (drive(page, script, hash=f"#oracle/choice-000{number}/0") for number in (0, 1))
    assert found == ["Delegated to searcher-1: “the small dot” – found, 3 turns", 3, ["Located"], 1]
    assert nothing == ["Delegated to searcher-1: “the small dot” – not found, 3 turns", 3, ["Located"], 0]


@in_browser
def test_hostile_text_stays_text(page: Path) -> None:
    row = next(row for row in json.loads(block(page, "index")) if row[0] == HOSTILE.arm)
    found = drive(
        page,
        """
        $(".child").open = true; await pause();
        return {
          title: d.title, thought: $(".thought").textContent, scripts: all("script").length,
          bold: all("b").filter((element) => element.textContent.startsWith("arm")).length,
          images: all("img[src=x]").length, child: all(".child .turn").length,
        };
        """,
        hash=f"#%3C%2Fscript%3E%3Cb%3Earm/{row[1]}/0",
    )
    assert found["title"] == "sample test · o3gym"
    assert found["thought"].startswith("<img src=x onerror=")
    assert "</script><script>" in found["thought"]
    assert found["images"] == found["bold"] == 0
    assert found["scripts"] == 5
    assert found["child"] == 2


@in_browser
def test_badges_cover_neither_a_small_target_nor_each_other(tmp_path: Path) -> None:
    episode = sample_run.episode(0, turns=5)
    (target,) = episode.task.targets
    page = write_viewer(stored(tmp_path / "run", [episode]))
    found = drive(
        page,
        """
        await pause(200);
        const edges = ({ left, top, right, bottom }) => [left, top, right, bottom];
        const box = (element) => edges(element.getBoundingClientRect());
        return [all(".badge").map(box), box($("rect.target:not(.casing)")), box($(".frame"))];
        """,
        hash="#oracle/choice-0000/0",
    )
    badges, covered, frame = found

    def meet(one: list[float], other: list[float]) -> bool:
        return one[0] < other[2] - 1 and other[0] < one[2] - 1 and one[1] < other[3] - 1 and other[1] < one[3] - 1

    assert len(badges) == 3
    assert target.box[2] - target.box[0] < 0.1
    boxes = [*badges, covered]
    assert not [(one, two) for one, two in itertools.combinations(boxes, 2) if meet(one, two)]
    assert all(frame[0] <= b[0] and b[2] <= frame[2] and frame[1] <= b[1] and b[3] <= frame[3] for b in badges)


@in_browser
def test_an_episode_without_views_or_targets_has_no_legend(tmp_path: Path) -> None:
    base = sample_run.episode(0, turns=1)
    blank = dataclasses.replace(base, task=dataclasses.replace(base.task, targets=(), tags={}), views=base.views[:1])
    page = write_viewer(stored(tmp_path / "run", [blank]))
    script = "return [$('.legend').textContent, all('.chips .chip').map((element) => element.textContent)];"
    assert drive(page, script, hash="#oracle/choice-0000/0") == [
        "",
        ["✓ correct", "answered", "oracle", "score 1", "reward 1"],
    ]


@in_browser
def test_keys_walk_through_the_episodes(page: Path) -> None:
    found = drive(
        page,
        """
        const at = [];
        const note = () => at.push(decodeURIComponent(w.location.hash));
        for (const key of ["j", "j", "ArrowRight", "k"]) { await press(key); note(); }
        await press("t"); at.push($(".board").className);
        await press("Escape"); note(); at.push(shown($("#overview")));
        await press("/"); at.push(d.activeElement.id);
        return at;
        """,
        hash="#arm=oracle",
    )
    keys = [f"#{arm}/{group}/0?arm=oracle" for arm, group, *_ in json.loads(block(page, "index")) if arm == "oracle"]
    assert found == [keys[0], keys[1], keys[2], keys[1], "board hide-targets", "#arm=oracle", True, "q"]


OVERFLOW = """
const right = (element) => element.getBoundingClientRect().right;
const wide = () => [d.documentElement.scrollWidth, ...all("body *").filter(shown).map(right)];
const out = {};
const places = {
  summary: "", list: "#verdict=wrong", episode: "#oracle/choice-0002/0",
  hostile: "#%3C%2Fscript%3E%3Cb%3Earm/choice-0003/0",
};
for (const [name, hash] of Object.entries(places)) {
  await go(hash || "#");
  if (!hash) $("#to-summary").click();
  all("details").forEach((details) => { details.open = true; });
  await pause(200);
  out[name] = [Math.max(...wide()), shown($("#overview")), shown($("#list")), shown($("#episode"))];
}
return out;
"""


@in_browser
@pytest.mark.parametrize("width", [375, 1280])
def test_nothing_runs_out_of_the_screen(page: Path, width: int) -> None:
    found = drive(page, OVERFLOW, width=width)
    phone = width == 375
    for name, (right, summary, listed, episode) in found.items():
        assert right <= width, name
        reading = name in ("episode", "hostile")
        assert episode == reading
        assert summary == (not reading and not (phone and name == "list"))
        assert listed == (not phone or name == "list")


@in_browser
def test_two_thousand_episodes(tmp_path: Path) -> None:
    base = sample_run.run(tasks=4, arms=("oracle",))
    many = (dataclasses.replace(episode, sample=s) for s in range(500) for episode in base)
    page = write_viewer(stored(tmp_path / "run", many), embed=True)
    found = drive(
        page,
        """
        const out = [all(".row").length, $("#count").textContent, all("*").length];
        $(".more button").click(); await pause(); out.push(all(".row").length);
        await go("#oracle/choice-0003/499");
        out.push(all("[aria-current]").length, all(".turn").length > 0, $(".where").textContent);
        out.push($(".frame img").naturalWidth);
        return out;
        """,
    )
    rows, count, elements, more, current, turns, where, loaded = found
    assert rows == 60
    assert count == "2000 episodes"
    assert elements < 1500
    assert more == 120
    assert (current, turns, where, loaded) == (1, True, "2000 of 2000", 640)
