"""Edited courses: what an inserted, replaced or missing act does to the views of later calls."""

from __future__ import annotations

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.calls import answer, code, crop
from o3gym.dialects.base import make_dialect
from o3gym.rollout.performing import Act, Script, arm_of, perform
from o3gym.runs.store import open_run
from o3gym.synthesis.traces.editing import Course, CourseStep, EditError, course_of, off_course
from o3gym.types import Call, Trajectory

RIGHT, LEFT = (0.5, 0.0, 1.0, 1.0), (0.0, 0.0, 0.5, 1.0)


@pytest.fixture(scope="module")
def episode(tmp_path_factory: pytest.TempPathFactory) -> Trajectory:
    """A crop of view 0, a crop of that crop, the first picture again, and the answer."""
    folder = tmp_path_factory.mktemp("run")
    suite = "synthetic?family=attribute&difficulty=easy&pixels=40000&answers=free"
    run(Bench(suite, policies=("oracle",), dialect="mini_o3", episodes=1, turns=(8,)), folder, thumbnails=False)
    (played,) = open_run(folder)
    acts = [Act(crop(RIGHT), "a"), Act(crop(LEFT, 1), "b"), Act(crop(LEFT), "c"), Act(answer(played.task.answer), "d")]
    return performed(Script(played.task, tuple(acts), "g"), played)


def performed(script: Script, like: Trajectory) -> Trajectory:
    (made,) = perform([script], arm_of(like), make_dialect(like.dialect))
    return made


def views(trajectory: Trajectory) -> list[int | None]:
    return [turn.parsed.call.args.get("view") for turn in trajectory.turns]


def test_a_course_repeats_its_episode(episode: Trajectory) -> None:
    course = course_of(episode)
    assert (course.opening, [step.views for step in course.steps]) == (1, [1, 1, 1, 0])
    again = performed(course.script(episode), episode)
    assert again.turns == episode.turns
    assert off_course(course, again) == ""


def test_views_of_later_calls_are_renumbered_and_their_words_written_anew(episode: Trajectory) -> None:
    course = course_of(episode).spliced(1, 0, [CourseStep(Act(crop(LEFT), "wrong"))])
    assert [step.act.call.args.get("view") for step in course.steps] == [0, 0, 1, 0, None]
    course = course_of(episode).spliced(
        0, 0, [CourseStep(Act(crop(LEFT), "wrong")), CourseStep(Act(crop(RIGHT), "again"))]
    )
    assert [step.act.call.args.get("view") for step in course.steps] == [0, 0, 0, 3, 0, None]
    assert [bool(step.act.text) for step in course.steps] == [False, False, True, False, True, True]
    made = performed(course.script(episode), episode)
    assert off_course(course, made) == ""
    assert made.views[4].box == episode.views[2].box  # the same part of the picture as before
    assert [turn.parsed.thought for turn in made.turns] == ["wrong", "again", "a", "b", "c", "d"]


def test_a_step_left_out_moves_later_views_down(episode: Trajectory) -> None:
    course = course_of(episode)
    with pytest.raises(EditError, match="a later call needs the removed view"):
        course.spliced(0, 1)
    assert views(performed(course.spliced(1, 1).script(episode), episode)) == [0, 0, None]
    with pytest.raises(EditError, match="a later call needs the removed view"):
        course.spliced(0, 1, [CourseStep(Act(crop(LEFT), "x"))])
    swapped = course.with_act(0, Act(crop(LEFT), "x"))  # the same number of views, so that later calls mean the new one
    assert views(performed(swapped.script(episode), episode)) == [0, 1, 0, None]


def test_words_and_code_that_name_views_cannot_be_moved(episode: Trajectory) -> None:
    steps = (
        CourseStep(Act(crop(RIGHT))),
        CourseStep(Act(crop(LEFT, 1), "In observation_1 I see a dog.")),
        CourseStep(Act(answer("A")), 0),
    )
    with pytest.raises(EditError, match="later words name a view"):
        Course(steps, 1).spliced(0, 0, [CourseStep(Act(crop(LEFT)))])
    end = (CourseStep(Act(crop(RIGHT))), CourseStep(Act(answer("A"), "Picture 1 shows it.", "…"), 0))
    with pytest.raises(EditError, match="later words name a view"):
        Course(end, 1).spliced(0, 0, [CourseStep(Act(crop(LEFT)))])
    assert len(Course(end, 1).spliced(1, 0, [CourseStep(Act(crop(LEFT)), 0)]).steps) == 3  # nothing is renumbered
    coded = (CourseStep(Act(crop(RIGHT))), CourseStep(Act(code("view_1.show()"))), CourseStep(Act(answer("A")), 0))
    with pytest.raises(EditError, match="later code names a view"):
        Course(coded, 1).spliced(0, 0, [CourseStep(Act(crop(LEFT)))])
    first = (CourseStep(Act(code("view_0.show()"))), CourseStep(Act(answer("A")), 0))
    assert len(Course(first, 1).spliced(0, 0, [CourseStep(Act(crop(LEFT)))]).steps) == 3


def test_a_performance_that_differs_from_the_course_is_told(episode: Trajectory) -> None:
    course = course_of(episode)
    assert off_course(course.with_act(1, Act(crop(LEFT, 0))), episode) == "a reply means another view than before"
    assert off_course(course.spliced(1, 1), episode) == "the edited script ended early"
    more = Course((*course.steps[:3], CourseStep(course.steps[3].act, 1)), 1)
    assert off_course(more, episode) == "a call shows another number of views"
    unanswered = performed(course.spliced(3, 1).script(episode), episode)
    assert off_course(course.spliced(3, 1), unanswered) == "the edited script failed"


def test_the_first_reply_of_an_inline_message_is_written_anew(episode: Trajectory) -> None:
    act = Act(Call("code", {"source": "1"}), "t", "<think>t <code>1</code>")
    course = Course((CourseStep(act, 0),), 1, inline=True, code_rule="thyme").spliced(
        0, 0, [CourseStep(act._replace(text=""), 0)]
    )
    assert [step.act.text for step in course.steps] == ["", ""]
