from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar

import pytest
from PIL import Image

from o3gym.envs import VisualSearchEnv
from o3gym.registry import SUITES
from o3gym.suites.base import BadTask, Suite, SuiteError, check_bad_share, make_suite, some_of
from o3gym.suites.drawing import SHARE_FROM, BadRows, GoodTasks, take_tasks
from o3gym.train.data.task_order import TaskOrder, shuffled_order
from o3gym.types import Source, Task

_FILE = io.BytesIO()
Image.new("RGB", (16, 16)).save(_FILE, "PNG")
PNG = _FILE.getvalue()


class Partly(Suite):
    """Tasks about one picture, some of which are bad."""

    name: ClassVar[str] = "partly"

    def __init__(self, argument: str = "", split: str = "test", *, n: int = 40, bad: Any = ()) -> None:
        super().__init__(argument, split)
        self.n, self.rows = n, set(bad)

    def __len__(self) -> int:
        return self.n

    def task(self, index: int) -> Task:
        if index in self.rows:
            raise BadTask(f"a.jsonl, line {index + 1}", "answer", "expected a text, got None")
        return Task(f"partly/{index}", (Source.of_bytes(PNG),), "?", "red")


def test_a_bad_task_has_its_place_and_survives_pickling() -> None:
    problem = BadTask("/a, b/c.jsonl, line 3", "answer", "expected a text, got None")
    assert (problem.file, problem.row, problem.field) == ("/a, b/c.jsonl", "line 3", "answer")
    again = pickle.loads(pickle.dumps(problem))
    assert vars(again) == vars(problem)
    assert str(again) == '/a, b/c.jsonl, line 3, field "answer": expected a text, got None'


@pytest.mark.parametrize(("bad", "rows"), [(1, 1), (1, 2), (2, 40), (10, 200)])
def test_a_share_that_is_no_error(bad: int, rows: int) -> None:
    check_bad_share("x", range(bad), rows)


@pytest.mark.parametrize(("bad", "rows"), [(2, 39), (3, 40), (11, 200)])
def test_a_share_that_is_an_error(bad: int, rows: int) -> None:
    with pytest.raises(SuiteError, match=f"x: {bad} of {rows} rows are bad, more than 5%: 0; 1"):
        check_bad_share("x", range(bad), rows)


def test_five_rows_are_named() -> None:
    assert some_of("abcde") == "a; b; c; d; e"
    assert some_of("abcdefg") == "a; b; c; d; e (and 2 more)"


def test_the_first_good_task_gives_the_kind() -> None:
    assert Partly(bad={0, 1}).first_task().id == "partly/2"
    assert Partly(bad={0}).kinds == {"free"}
    with pytest.raises(SuiteError, match="3 of 40 rows are bad"):
        Partly(bad={0, 1, 2}).first_task()
    with pytest.raises(BadTask, match="line 1"):
        Partly(n=1, bad={0}).first_task()
    with pytest.raises(SuiteError, match=r"partly \(test\) has no tasks"):
        Partly(n=0).first_task()


def test_good_tasks_are_taken_until_there_are_enough() -> None:
    suite = Partly(bad={3})
    tasks, bad = take_tasks(suite, [0, 3, 7, 9, 11], 3)
    assert (list(tasks), list(bad)) == ([0, 7, 9], [3])
    assert take_tasks(suite, [], 3) == ({}, {})
    with pytest.raises(BadTask):
        take_tasks(suite, [3], 3, strict=True)
    with pytest.raises(SuiteError, match=r"partly \(test\): no row is good: a.jsonl, line 4"):
        take_tasks(suite, [3], 3)


def test_a_training_ends_when_more_than_five_per_cent_of_its_rows_are_bad() -> None:
    small = GoodTasks(Partly(bad={0, 1, 2}))
    assert [small.first([0, 9])[0], small.first([1, 9])[0]] == [9, 9]
    with pytest.raises(SuiteError, match="3 of 40 rows are bad"):
        small.first([2, 9])
    large = BadRows("x", range(10**6))
    for index in range(SHARE_FROM // 20):
        large.drawn(index, ValueError(index))
    with pytest.raises(ValueError, match="x: 51 of 1000 rows are bad"):
        large.drawn(10**5, ValueError("last"))


def test_the_task_of_a_place_follows_from_seed_and_place() -> None:
    whole, partly = TaskOrder(Partly()), TaskOrder(Partly(bad={4, 30}))
    places = range(3 * 40)
    expected = [whole.at(7, place) for place in places]
    assert sorted(expected[:40]) == list(range(40))
    found = [partly.at(7, place) for place in places]
    assert partly.replaced == 6
    assert [task for task in found if task in (4, 30)] == []
    assert [a for a, b in zip(found, expected, strict=True) if b not in (4, 30)] == [
        b for b in expected if b not in (4, 30)
    ]
    for place in (p for p in places if expected[p] in (4, 30)):
        order = shuffled_order(7, place // 40, 40)
        assert found[place] == order[(place + 1) % 40] or order[(place + 1) % 40] in (4, 30)
    backwards = TaskOrder(Partly(bad={4, 30}))  # another process, or a resumed training, asks in another order
    assert [backwards.at(7, place) for place in reversed(places)] == found[::-1]
    assert [str(problem).partition(",")[0] for problem in partly.bad.unnamed()] == ["a.jsonl"] * 2
    assert partly.bad.unnamed() == []


def test_another_task_takes_the_place_of_a_bad_one_and_follows_from_the_seed() -> None:
    order = TaskOrder(Partly(bad={4}))
    assert order.or_another(5, 0) == 5
    assert order.or_another(4, 0) == TaskOrder(Partly(bad={4})).or_another(4, 0) != 4
    assert len({order.or_another(4, seed) for seed in range(9)}) > 3
    pickle.dumps(order)


@pytest.fixture
def partly(register: Any) -> str:
    return str(register(SUITES, "partly", Partly))


def test_reset_draws_a_good_task_and_does_not_change_the_others(partly: str) -> None:
    arguments = {"max_pixels": 4000, "min_pixels": 100}
    whole = VisualSearchEnv(partly, **arguments)
    some = VisualSearchEnv(f"{partly}?bad=[3,17]", **arguments)
    ids = [(whole.reset(seed=seed)[1]["task_id"], some.reset(seed=seed)[1]["task_id"]) for seed in range(60)]
    assert {a for a, b in ids if a != b} <= {"partly/3", "partly/17"}
    assert not {"partly/3", "partly/17"} & {b for _, b in ids}
    assert {"partly/3", "partly/17"} & {a for a, _ in ids}
    assert some.reset(seed=8)[1] == some.reset(seed=8)[1]
    with pytest.raises(BadTask, match="line 4"):
        some.reset(options={"task": 3})
    assert some.reset(options={"task": 4})[1]["task_id"] == "partly/4"


def test_an_environment_with_many_bad_rows_says_so(partly: str) -> None:
    env = VisualSearchEnv(f"{partly}?bad={[*range(1, 40)]}".replace(" ", ""))
    with pytest.raises(SuiteError, match=r"partly \(test\): 3 of 40 rows are bad"):
        [env.reset(seed=seed) for seed in range(9)]


def test_opened_suites_are_kept_while_their_files_stay(partly: str) -> None:
    assert make_suite(partly) is make_suite(partly)
    first = make_suite(partly, n=1)
    for n in range(2, 19):
        make_suite(partly, n=n)
    assert make_suite(partly, n=1) is not first
