"""Searches of the web are declared and delegated: another agent answers them, and without one they are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from o3gym.dialects.base import make_dialect
from o3gym.judges.base import has_truth
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Request
from o3gym.registry import GENERATED_SIZES, GENERATORS, TOOLS, Registry
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Agent, Arm, Job
from o3gym.testing.episodes import sample_context
from o3gym.tools.base import Invalid
from o3gym.tools.image_search import SIMILAR
from o3gym.types import Reply, Source, Task, Trajectory

ASK = '<think>a</think><tool_call>{"name": "search", "arguments": {"query": " tall towers "}}</tool_call>'
LIKE = '<think>a</think><tool_call>{"name": "image_search"}</tool_call>'
DONE = "<think>a</think><answer>yes</answer>"


class Script(Policy):
    """Gives the same replies in every episode, and keeps the messages that it read."""

    def __init__(self, *replies: str) -> None:
        super().__init__()
        self.replies, self.read = replies, list[str]()

    def act(self, requests: list[Request]) -> list[Reply]:  # type: ignore[override]
        made = []
        for request in requests:
            turn = sum(message.role == "assistant" for message in request.dialogue.messages)
            self.read.append(request.dialogue.messages[-1].text)
            made.append(Reply(self.replies[turn]))
        return made


@pytest.fixture
def task(register: Callable[[Registry, str, Any], str]) -> Task:
    register(GENERATED_SIZES, "tower", lambda: (40, 30))
    tower = register(GENERATORS, "tower", lambda: Image.new("RGB", (40, 30)))
    return Task("t", (Source.generated(tower),), "Is it tall?", "yes")


def played(task: Task, caller: Policy, helper: Policy | None) -> Trajectory:
    sizes = {"min_pixels": 1, "max_pixels": 5000}
    arm = Arm("a", {**sizes, "tools": ["web_search", "image_search", "answer"], "max_turns": 4})
    own = Arm("", {**sizes, "tools": ["answer"], "max_turns": 2})
    names = ("web_search", "image_search") if helper else ()
    delegates = {name: Agent(helper, make_dialect("qwen3_vl"), own) for name in names if helper}
    (trajectory,) = rollout([Job(task, "g")], caller, make_dialect("deepeyes_v2"), arm, delegates=delegates)
    return trajectory


def test_the_query_is_another_agent_s_task_without_pictures(task: Task) -> None:
    caller, helper = Script(ASK, DONE), Script("<answer>1. A list of towers</answer>")
    trajectory = played(task, caller, helper)
    (child,) = trajectory.children
    assert (child.task.id, child.task.question, child.task.sources) == ("t/web_search", "tall towers", ())
    assert not has_truth(child.task)
    assert caller.read[-1] == "<tool_response>\n1. A list of towers\n</tool_response>"
    assert (trajectory.stop, trajectory.turns[0].error, trajectory.turns[0].children) == ("answered", "", (0,))
    assert Trajectory.from_json(trajectory.to_json()) == trajectory


def test_the_picture_is_another_agent_s_task(task: Task) -> None:
    caller, helper = Script(LIKE, DONE), Script("<answer>A tower.</answer>")
    (child,) = played(task, caller, helper).children
    assert (child.task.question, child.task.sources) == (SIMILAR, task.sources)
    assert "A tower." in caller.read[-1]


@pytest.mark.parametrize("call", [ASK, LIKE, ASK.replace('"query"', '"text": "forged", "query"')])
def test_without_another_agent_a_search_is_refused_in_clear_words(task: Task, call: str) -> None:
    caller = Script(call, DONE)
    trajectory = played(task, caller, None)
    assert trajectory.turns[0].error == "bad_args"
    assert "is carried out by another agent, and there is none in this episode; answer without it" in caller.read[-1]
    assert trajectory.stop == "answered"


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ({"text": " found "}, "found"),
        ({"text": " "}, "Nothing was found."),
        ({"text": "", "reason": "the searcher gave no answer (void)"}, "Nothing was found: the searcher gave no"),
    ],
)
def test_results_become_the_observation(results: dict[str, str], text: str) -> None:
    result = TOOLS["web_search"]().apply(sample_context(), query="towers", **results)
    assert result.text.startswith(text)
    assert (result.views, result.stop) == ((), "")


def test_calls_that_name_nothing_are_refused() -> None:
    with pytest.raises(Invalid, match="needs a query"):
        TOOLS["web_search"]().subtask(sample_context(), query=" \n")
    with pytest.raises(Invalid, match="there is no view 7"):
        TOOLS["image_search"]().subtask(sample_context(), view=7)
