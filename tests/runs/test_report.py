from __future__ import annotations

import dataclasses
import io
import json
import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from o3gym.geometry import area, coverage
from o3gym.runs import coverage as regions
from o3gym.runs import tables
from o3gym.runs.intervals import bootstrap_interval, wilson
from o3gym.runs.report import Report, accuracy_by_turns, make_report, rich_table, sweep_chart, write_report
from o3gym.runs.store import RunStore
from o3gym.runs.tables import RESULTS, family_rows, metric_rows
from o3gym.types import FULL, Box, Reply, Source, Target, Trajectory, Usage, View
from tests.runs import sample_run

PROTOCOL = sample_run.PROTOCOL
EPISODES = sample_run.run(tasks=12)


def report_of(*episodes: Trajectory, **options: object) -> Report:
    return make_report(episodes, PROTOCOL, **options)  # type: ignore[arg-type]


def several(verdicts: str, **fields: object) -> list[Trajectory]:
    """One task per letter: c(orrect), w(rong), f(ailed)."""
    names = {"c": "correct", "w": "wrong", "f": "failed"}
    return [sample_run.episode(i, verdict=names[v], **fields) for i, v in enumerate(verdicts)]  # type: ignore[arg-type]


def test_accuracy_has_wilsons_interval() -> None:
    (arm,) = report_of(*several("cccccccww" + "w")).arms
    assert arm.accuracy.value == 0.7
    assert (arm.accuracy.low, arm.accuracy.high) == pytest.approx((0.3968, 0.8922), abs=1e-4)
    assert (arm.episodes, arm.tasks, arm.k, arm.pass_at_k) == (10, 10, 1, None)


@pytest.mark.parametrize("n", [1, 5, 100])
def test_wilsons_interval_stays_in_range_and_holds_the_share(n: int) -> None:
    for successes in range(n + 1):
        low, high = wilson(successes, n)
        assert 0 <= low <= successes / n + 1e-12
        assert successes / n - 1e-12 <= high <= 1
    assert wilson(0, n)[1] > 0


def test_failed_judgements_are_counted_and_left_out() -> None:
    report = report_of(*several("ccwf"), dataclasses.replace(sample_run.episode(9), verdict=""))
    (arm,) = report.arms
    assert arm.accuracy.value == pytest.approx(2 / 3)
    assert (arm.episodes, arm.accuracy.n, arm.failed, arm.unsettled) == (5, 3, 1, 1)
    assert any("judge failed on 1 of 5" in text for text in report.warnings)
    assert any("1 of 5 episodes were never judged" in text for text in report.warnings)
    assert report_of(*several("ff")).arms[0].accuracy.value is None


def test_rewards_that_could_not_be_computed_are_named_where_the_mean_has_others() -> None:
    rewards = (0.5, None, None, None)
    episodes = [dataclasses.replace(e, reward=r) for e, r in zip(several("cwcf"), rewards, strict=True)]
    report = report_of(*episodes)
    assert report.arms[0].reward == 0.5
    assert any("the reward of 2 of 4 episodes could not be computed" in text for text in report.warnings)
    assert not any("reward" in text for text in report_of(*episodes[1:]).warnings)


def stopped(number: int, reason: str = "the server is down", **fields: object) -> Trajectory:
    """An episode that stopped with an error, after turns and views that say nothing about the policy."""
    episode = sample_run.episode(number, verdict="failed", turns=5, child=True, **fields)  # type: ignore[arg-type]
    last = dataclasses.replace(episode.turns[-1], reply=Reply("", finish="error", error=reason))
    lost = dataclasses.replace(episode.children[0], stop="error", located=None)
    turns = (*episode.turns[:-1], last)
    return dataclasses.replace(episode, stop="error", turns=turns, children=(lost,) * 3, reward=1.0, score=1.0)


def test_policy_failures_are_said() -> None:
    report = report_of(stopped(0), *several("c"))
    said = "1 of 2 episodes stopped with an error and are left out of all numbers (the first: the server is down)"
    assert report.warnings == (f"oracle: {said}",)


@pytest.mark.parametrize("failure", [stopped, lambda number: several("f" * (number + 1), turns=6)[number]])
@pytest.mark.parametrize(
    "suite", ["", "treebench", "o3_bench", "mme_realworld", "pope", "mmstar", "hrbench", "charxiv"]
)
def test_failures_are_left_out_of_every_number_and_its_denominator(
    failure: Callable[[int], Trajectory], suite: str
) -> None:
    good = [
        sample_run.episode(i, sample=s, verdict=v, child=True)
        for i in range(4)
        for s, v in enumerate(("correct", "wrong"))
    ]
    good.append(sample_run.episode(4, kind="box"))
    protocol = {**PROTOCOL, "measure": suite}
    (without,) = make_report(good, protocol).arms
    (arm,) = make_report([*good, *map(failure, range(4, 9))], protocol).arms
    counts = {"episodes": 14, "tasks": without.tasks + 5, "failed": 5}
    same = {"stops", "cost", "families", "first_error", *counts}
    assert {name: getattr(arm, name) for name in counts} == counts
    for field in dataclasses.fields(arm):
        if field.name not in same:
            assert getattr(arm, field.name) == getattr(without, field.name), field.name
    assert {name: rate for name, rate in arm.families.items() if rate.n} == without.families
    report = make_report([*good, *map(failure, range(4, 9))], protocol)
    assert report.curves == make_report(good, protocol).curves


@pytest.mark.parametrize("failure", [stopped, lambda number: several("f" * (number + 1))[number]])
def test_an_arm_with_nothing_but_failures_has_no_numbers(failure: Callable[[int], Trajectory]) -> None:
    report = make_report(map(failure, range(3)), {**PROTOCOL, "measure": "treebench"})
    (arm,) = report.arms
    assert arm.only_failures
    known = {field.name for field in dataclasses.fields(arm) if getattr(arm, field.name) is not None}
    numbers = {"arm", "episodes", "tasks", "k", "failed", "unsettled", "stops", "first_error", "refusal", "unrewarded"}
    assert known == numbers | {"accuracy", "families", "measures"}
    assert {rate.value for rate in (arm.accuracy, *arm.families.values())} == {None}
    assert set(arm.measures.values()) == {None}
    assert "oracle: no episode without failure, so there are no numbers" in report.warnings[-1]
    row = next(line for line in report.to_markdown().splitlines() if line.startswith("| oracle | 0"))
    assert row == "| oracle | 0 | no episode without failure | 3 |"
    console = Console(file=io.StringIO(), width=200)
    console.print(rich_table(report))
    assert "no episode without failure" in console.file.getvalue()  # type: ignore[attr-defined]


def test_no_table_counts_failures_but_their_own_column() -> None:
    arms = make_report([*several("ccw"), stopped(7)], PROTOCOL).arms
    head, arm = metric_rows(arms, RESULTS)
    row = dict(zip(head, arm, strict=True))
    assert (row["n"], row["failed"]) == ("3", "1")
    counts = [line[1] for line in family_rows(arms)[1:]]
    assert sum(int(count.partition("–")[2] or count) for count in counts) == 3


def test_an_arm_that_stopped_says_so_and_with_which_message() -> None:
    refused = "Refused: status 401: Incorrect API key"
    episodes = [stopped(1, "TimeoutError: no answer"), stopped(2, refused), *several("c")]
    protocol = {**PROTOCOL, "items": 40, "episodes": 10, "k": 2}
    first, *_ = make_report(episodes, protocol).warnings
    assert first == (
        f"oracle: the server refuses its requests ({refused}), so the arm stopped there; 17 of 20 episodes were not "
        "played; the same command plays them"
    )
    assert "stopped there" not in str(report_of(stopped(1, "Refused: status 400: too long")).warnings)


def test_samples_of_a_task_are_siblings() -> None:
    """Four copies of each task carry no more evidence than one: the interval must not shrink as if they did."""
    verdicts = "cw" * 20
    single = several(verdicts)
    copies = [dataclasses.replace(e, sample=s) for e in single for s in range(4)]
    (once,), (often,) = report_of(*single).arms, report_of(*copies).arms
    assert often.accuracy.value == once.accuracy.value == 0.5
    assert often.k == 4
    assert often.pass_at_k == 0.5
    assert often.accuracy.low == pytest.approx(once.accuracy.low, abs=0.03)
    assert often.accuracy.high == pytest.approx(once.accuracy.high, abs=0.03)


def test_average_and_pass_at_k() -> None:
    episodes = [
        sample_run.episode(i, sample=s, verdict="correct" if s < i else "wrong") for i in range(3) for s in (0, 1)
    ]
    (arm,) = report_of(*episodes).arms
    assert arm.accuracy.value == pytest.approx(0.5)
    assert arm.pass_at_k == pytest.approx(2 / 3)


def test_a_bootstrap_without_spread_is_not_certainty() -> None:
    (arm,) = report_of(*(sample_run.episode(i, sample=s) for i in range(5) for s in range(2))).arms
    assert (arm.accuracy.low, arm.accuracy.high) == wilson(5, 5)


def test_the_bootstrap_matches_its_normal_approximation() -> None:
    rng = random.Random(1)
    means = [rng.choice((0.0, 0.25, 0.5, 1.0)) for _ in range(400)]
    mean = sum(means) / 400
    half = 1.96 * math.sqrt(sum((m - mean) ** 2 for m in means) / 400 / 400)
    assert bootstrap_interval(means) == pytest.approx((mean - half, mean + half), abs=0.005)
    assert bootstrap_interval(means) == bootstrap_interval(means)


def test_conduct_is_counted() -> None:
    wrong = sample_run.episode(1, verdict="wrong", stop="over_turn", turns=4)
    (arm,) = report_of(sample_run.episode(0, turns=4), wrong, sample_run.episode(2, turns=1)).arms
    assert arm.turns == 3
    assert arm.invalid_calls == pytest.approx(2 / 9)
    assert arm.over_turn == pytest.approx(1 / 3)
    assert arm.answered == pytest.approx(2 / 3)
    assert arm.stops == {"answered": 2, "over_turn": 1}
    assert set(arm.families) == {"hidden", "relation", "count"}


def test_families_fall_back_to_categories() -> None:
    def tagged(number: int, **tags: str) -> Trajectory:
        episode = sample_run.episode(number)
        return dataclasses.replace(episode, task=dataclasses.replace(episode.task, tags=tags))

    (arm,) = report_of(tagged(0, category="colour"), tagged(1, family="count", category="no"), tagged(2)).arms
    assert list(arm.families) == ["all", "colour", "count"]


def test_a_family_says_how_many_tasks_it_has_and_is_all_only_if_it_is() -> None:
    def tagged(number: int, arm: str = "oracle", **tags: str) -> Trajectory:
        episode = sample_run.episode(number, arm=arm)
        return dataclasses.replace(episode, task=dataclasses.replace(episode.task, tags=tags))

    bare = tables.family_rows(report_of(tagged(0), tagged(1)).arms)
    assert bare == [["family", "n", "oracle"], ["all", "2", "100.0 [34.2, 100.0]"]]
    mixed = [tagged(0, family="count"), tagged(1, family="count"), tagged(2)]
    assert [row[:2] for row in tables.family_rows(report_of(*mixed).arms)[1:]] == [["no family", "1"], ["count", "2"]]
    failed = dataclasses.replace(tagged(1, "random", family="count"), verdict="failed")
    others = [tagged(number, f"arm-{n}", family="count") for n in range(4) for number in range(2)]
    wide = tables.family_rows(report_of(*mixed, failed, tagged(0, "random", family="count"), *others).arms)
    assert wide[:2] == [["arm", "no family", "count"], ["n", "1", "1–2"]]
    assert [row[0] for row in wide[2:]] == ["arm-0", "arm-1", "arm-2", "arm-3", "oracle", "random"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [(6, "6"), (10, "10"), (100, "10 (all tasks; 100 were asked for)"), (0, "10 (all tasks)")],
)
def test_the_protocol_says_how_many_episodes_were_played(asked: int, said: str) -> None:
    protocol = {"suite": "s", "episodes": asked, "items": 10, "warnings": ["w"]}
    assert tables.protocol_items(protocol) == [("suite", "s"), ("episodes", said), ("items", "10")]
    assert f"| episodes | {said} |" in make_report(several("cc"), protocol).to_markdown()


def test_region_search_has_an_overlap() -> None:
    episode = dataclasses.replace(sample_run.episode(0, kind="box"), score=0.6)
    (arm,) = report_of(episode, sample_run.episode(1)).arms
    assert arm.iou == 0.6


def test_tokens_and_dollars_of_delegated_episodes_count() -> None:
    alone, parent = sample_run.episode(0, turns=2), sample_run.episode(0, turns=2, child=True)
    (cost,) = (arm.cost for arm in report_of(alone).arms)
    (both,) = (arm.cost for arm in report_of(parent).arms)
    assert cost is not None
    assert both is not None
    assert both.prompt_tokens == 2 * cost.prompt_tokens == 3600
    assert both.dollars == pytest.approx(0.008)
    turn = dataclasses.replace(alone.turns[0], reply=dataclasses.replace(alone.turns[0].reply, usage=Usage(7, 3)))
    (free,) = report_of(dataclasses.replace(alone, turns=(turn,))).arms
    assert free.cost is not None
    assert free.cost.dollars is None
    silent = dataclasses.replace(turn, reply=dataclasses.replace(turn.reply, usage=None))
    assert report_of(dataclasses.replace(alone, turns=(silent,))).arms[0].cost is None


# ---- where an episode looked


def looking(*boxes: Box, targets: tuple[Box, ...] = ((0.4, 0.4, 0.6, 0.6),)) -> Trajectory:
    episode = sample_run.episode(0)
    views = [episode.views[0], *(sample_run.look(i, box) for i, box in enumerate(boxes, 1))]
    task = dataclasses.replace(episode.task, targets=tuple(Target(box) for box in targets))
    return dataclasses.replace(episode, task=task, views=tuple(views))


def test_coverage_is_the_share_of_the_target_that_was_looked_at() -> None:
    assert regions.target_coverage(looking()) == 0
    assert regions.target_coverage(looking((0.4, 0.4, 0.5, 0.6))) == pytest.approx(0.5)
    assert regions.target_coverage(looking((0.4, 0.4, 0.5, 0.6), (0.45, 0.0, 1.0, 1.0))) == pytest.approx(1)
    assert regions.target_coverage(looking((0, 0, 0.5, 0.5), targets=((0, 0, 0.5, 0.5), (0.5, 0.5, 1, 1)))) == 0.5
    assert regions.target_coverage(looking(targets=())) is None


def test_the_whole_picture_covers_nothing() -> None:
    assert regions.target_coverage(looking(FULL)) == 0


def test_coverage_follows_derived_pictures_home() -> None:
    episode = looking()
    (source,) = episode.sources
    turned = Source.derived(source, "rotate", (0.0, 1.0, 0.0, -1.0, 0.0, 1.0), angle=90)
    again = Source.derived(turned, "rotate", (0.0, 1.0, 0.0, -1.0, 0.0, 1.0), angle=90)
    lost = Source.derived(source, "draw", None)
    for number, (expected, box) in enumerate(
        [(0, (0, 0, 1, 1)), (1, (0.4, 0.4, 0.6, 0.6)), (0.25, (0.4, 0.4, 0.5, 0.5))]
    ):
        for place, known in ((1, True), (2, True), (3, False)):
            view = View(1, place, box, (9, 9), (9, 9), parent=0)  # type: ignore[arg-type]
            looked = dataclasses.replace(episode, sources=(source, turned, again, lost), views=(episode.views[0], view))
            assert regions.target_coverage(looked) == pytest.approx(expected if known else 0), number
            assert (regions.place_in_picture(looked, view) is None) != known


def test_videos_are_covered_by_time() -> None:
    episode = looking((0.4, 0.4, 0.6, 0.6))
    video = dataclasses.replace(episode.sources[0], duration=10.0)
    targets = (Target((0.4, 0.4, 0.6, 0.6), time=(5.0, 6.0)),)
    task = dataclasses.replace(episode.task, sources=(video,), targets=targets)
    for time, expected in (((0.0, 4.0), 0), ((4.0, 5.5), 0.5), ((4.0, 7.0), 1)):
        views = (episode.views[0], dataclasses.replace(episode.views[1], time=time, video=0, frame=0))
        looked = dataclasses.replace(episode, task=task, sources=(video,), views=views)
        assert regions.target_coverage(looked) == pytest.approx(expected)


def test_union_of_boxes_against_counting_cells() -> None:
    rng = random.Random(0)
    for _ in range(50):
        corners = [(rng.randrange(8), rng.randrange(8), rng.randrange(1, 6), rng.randrange(1, 6)) for _ in range(6)]
        cells = {(x + i, y + j) for x, y, w, h in corners for i in range(w) for j in range(h)}
        boxes: list[Box] = [(float(x), float(y), float(x + w), float(y + h)) for x, y, w, h in corners]
        assert regions.union_area(boxes) == len(cells)
    assert regions.union_area([]) == 0
    assert regions.union_area([(0, 0, 1, 1), (1, 1, 0, 0)]) == area(FULL) == coverage(FULL, FULL)


# ---- curves


def test_curves_are_cut_from_one_run() -> None:
    episodes = [sample_run.episode(i, turns=i + 1) for i in range(4)]
    curves = accuracy_by_turns(episodes, [1, 2, 4, 9])
    assert [(p.x, p.y) for p in curves["oracle"]] == [(1, 0.25), (2, 0.5), (4, 1.0), (9, 1.0)]
    assert all(p.low is not None and p.low <= p.y <= (p.high or 0) for p in curves["oracle"])


def test_curves_never_fall() -> None:
    report = make_report(EPISODES, PROTOCOL)
    for points in report.curves.values():
        assert [p.y for p in points] == sorted(p.y for p in points)
        assert points[-1].x == max(len(e.turns) for e in EPISODES)
    for arm in report.arms:
        assert report.curves[arm.arm][-1].y == arm.accuracy.value


# ---- what is written


def test_a_report_depends_on_nothing_but_the_episodes(tmp_path: Path) -> None:
    shuffled = list(EPISODES)
    random.Random(3).shuffle(shuffled)
    write_report(tmp_path / "a", EPISODES, PROTOCOL)
    with RunStore(tmp_path / "run", PROTOCOL) as store:
        for episode in shuffled:
            store.append(episode)
    write_report(tmp_path / "b", store.records(), store.protocol)
    names = {path.name for path in (tmp_path / "a").iterdir()}
    assert names == {"report.json", "report.md", "curve.svg", "sweep.svg"}
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert str(tmp_path) not in (tmp_path / "b" / "report.json").read_text()


def test_the_json_report_says_how_the_numbers_were_made(tmp_path: Path) -> None:
    write_report(tmp_path, EPISODES, {**PROTOCOL, "warnings": ["seeds are ignored"]}, cuts=[1, 3])
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["protocol"]["sampling"]["temperature"] == 0.7
    assert data["warnings"][0] == "seeds are ignored"
    assert [arm["arm"] for arm in data["arms"]] == sorted(sample_run.ARMS)
    assert [point["x"] for point in data["curves"]["oracle"]] == [1, 3]


def test_the_page_has_every_table(tmp_path: Path) -> None:
    odd = dataclasses.replace(sample_run.episode(0), arm="a|b\n<c>")
    text = make_report([*EPISODES, odd], {**PROTOCOL, "warnings": ["take care"]}).to_markdown()
    assert text.startswith("# Report: sample test\n")
    assert "> **Warning:** take care" in text
    for heading in ("## Arms", "## Conduct", "## Accuracy by family", "## How episodes ended", "## Protocol"):
        assert heading in text
    assert "| a\\|b &lt;c> | 1 | 100.0 [20.7, 100.0] |" in text
    assert "| sampling.temperature | 0.7 |" in text
    assert "pass@k" not in text


def test_terminal_tables_take_any_label() -> None:
    odd = dataclasses.replace(sample_run.episode(0), arm="policy · tools=[crop, zoom]")
    console = Console(width=110, file=io.StringIO(), record=True)
    console.print(rich_table(make_report([*EPISODES, odd], {**PROTOCOL, "warnings": ["[/x] take care"]})))
    text = console.export_text()
    assert "policy · tools=[crop, zoom]" in text
    assert "warning: [/x] take care" in text
    assert "hidden" in text


def test_a_run_without_episodes_has_a_report(tmp_path: Path) -> None:
    report = write_report(tmp_path, [], {})
    assert report.arms == ()
    assert (tmp_path / "report.md").read_text().startswith("# Report: run")


def arms(*labels: str) -> Report:
    return make_report([dataclasses.replace(e, arm=label) for label in labels for e in several("cw")], PROTOCOL)


def test_a_numeric_sweep_is_drawn_as_lines() -> None:
    svg = sweep_chart(arms("p · max_turns=2, k=1", "p · max_turns=8, k=1", "q · max_turns=2, k=1", "blank"))
    assert svg is not None
    assert "Accuracy over max_turns" in svg
    assert svg.count("<polyline") == 3
    assert "blank: 2 → 0.5, 8 → 0.5" in svg


def test_other_sweeps_are_drawn_as_rows() -> None:
    svg = sweep_chart(arms("p · tools=[crop, zoom]", "p · tools=[crop]"))
    assert svg is not None
    assert "Accuracy by arm" in svg
    svg = sweep_chart(arms("p · k=1, max_turns=2", "p · k=2, max_turns=8"))
    assert svg is not None
    assert "Accuracy by arm" in svg
    assert sweep_chart(arms("p", "q")) is None
