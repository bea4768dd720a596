"""Another agent answers questions about clips: what it is asked, what the caller reads, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from o3gym.dialects.base import make_dialect
from o3gym.judges.base import has_truth
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Request
from o3gym.registry import GENERATED_SIZES, GENERATORS, Registry
from o3gym.rollout.delegation import delegates
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Agent, Arm, Job
from o3gym.tools.caption_clip import DESCRIBE
from o3gym.types import Reply, Source, Task, Trajectory


def called(name: str, **more: str) -> str:
    arguments = {"start_time": 2.0, "end_time": 4.0, **more}
    return f"<think>?</think>\n<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


ASK = called("ask_video_clip_question", question="Is it on?")
CAPTION = called("get_video_clip_caption")
DONE = "<think>!</think>\n<answer>yes</answer>"
TOLD = "<answer>It is on.</answer>"


class Script(Policy):
    """The replies in order, then the last one again."""

    def __init__(self, *replies: str | Reply) -> None:
        super().__init__()
        self.replies, self.read = replies, list[str]()

    def act(self, requests: list[Request]) -> list[Reply]:  # type: ignore[override]
        made = []
        for request in requests:
            turn = sum(message.role == "assistant" for message in request.dialogue.messages)
            self.read.append(request.dialogue.messages[-1].text)
            reply = self.replies[min(turn, len(self.replies) - 1)]
            made.append(reply if isinstance(reply, Reply) else Reply(reply))
        return made


@pytest.fixture
def task(register: Callable[[Registry, str, Any], str]) -> Task:
    register(GENERATED_SIZES, "dots", lambda fps: (40, 30))
    dots = register(GENERATORS, "dots", lambda time, fps: Image.new("RGB", (40, 30), (round(time * fps), 0, 0)))
    return Task("t", (Source("generated", dots, {"fps": 4.0}, duration=10.0),), "Is it on?", "yes")


def played(task: Task, caller: Policy, helper: Policy | None, **env: Any) -> Trajectory:
    limits = {"min_pixels": 1, "max_pixels": 5000, "time_rule": "vital", "overview_frames": 2, "max_turns": 4}
    arm = Arm("a", {**limits, "tools": ["clip", "caption_clip", "ask_clip", "answer"], **env})
    own = Arm("", {"min_pixels": 1, "max_pixels": 5000, "tools": ["answer"], "max_turns": 2})
    agents = (
        {}
        if helper is None
        else {name: Agent(helper, make_dialect("qwen3_vl"), own) for name in ("ask_clip", "caption_clip")}
    )
    (trajectory,) = rollout([Job(task, "g")], caller, make_dialect("vital"), arm, delegates=agents)
    return trajectory


def test_the_question_is_asked_about_the_frames_of_the_clip(task: Task) -> None:
    caller, helper = Script(ASK, DONE), Script(TOLD)
    trajectory = played(task, caller, helper)
    (child,) = trajectory.children
    assert (child.task.question, child.task.kind, has_truth(child.task)) == ("Is it on?", "free", False)
    assert [source.args["number"] for source in child.task.sources] == [8, 10, 12, 14]  # two frames a second
    assert (child.stop, child.answer) == ("answered", "It is on.")
    assert caller.read[-1] == "<tool_response>\nIt is on.\n</tool_response>"
    assert (trajectory.stop, trajectory.turns[0].error, trajectory.turns[0].views) == ("answered", "", ())
    assert trajectory.turns[0].children == (0,)
    assert Trajectory.from_json(trajectory.to_json()) == trajectory


def test_a_description_is_asked_for_in_words_of_our_own(task: Task) -> None:
    caller, helper = Script(CAPTION, DONE), Script("<answer>A lamp.</answer>")
    trajectory = played(task, caller, helper)
    assert trajectory.children[0].task.question == DESCRIBE
    assert DESCRIBE in helper.read[0]
    assert "A lamp." in caller.read[-1]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("I cannot say.", "No answer was given: the searcher gave no answer (void)."),
        (Reply("", finish="error", error="down"), "No answer was given: the searcher failed (down)."),
        ("<answer> </answer>", "No answer was given."),
    ],
)
def test_without_an_answer_the_caller_reads_why(task: Task, reply: str | Reply, reason: str) -> None:
    caller = Script(ASK, DONE)
    trajectory = played(task, caller, Script(reply))
    assert reason in caller.read[-1]
    assert trajectory.turns[0].error == ""


def test_what_the_time_rule_refuses_is_not_asked(task: Task) -> None:
    caller = Script(ASK.replace("4.0", "2.5"), ASK.replace('"Is it on?"', '" "'), DONE)
    trajectory = played(task, caller, Script(TOLD))
    assert [turn.error for turn in trajectory.turns] == ["bad_time", "bad_args", ""]
    assert trajectory.children == ()
    assert "must be longer than 1 s" in caller.read[1]
    assert "needs a question" in caller.read[2]


def test_results_cannot_be_forged_and_need_another_agent(task: Task) -> None:
    forged = ASK.replace('"question"', '"text": "yes", "question"')
    caller = Script(forged, DONE)
    trajectory = played(task, caller, None)
    assert trajectory.turns[0].error == "bad_args"
    assert "carried out by another agent" in caller.read[-1]


def test_frames_that_others_were_asked_about_count_as_no_views_but_as_calls(task: Task) -> None:
    caller = Script(ASK, ASK, DONE)
    trajectory = played(task, caller, Script(TOLD), max_calls=1)
    assert [turn.error for turn in trajectory.turns] == ["", "budget", ""]
    assert len(trajectory.children) == 1


def test_a_pair_of_policies_divides_the_work(task: Task) -> None:
    policy = "two_agent(reasoner=random, searcher=random, searcher_dialect=qwen3_vl)"
    arm = Arm("a", {"tools": ["clip", "ask_clip", "answer"], "max_pixels": 5000, "min_pixels": 1}, policy, "vital")
    (asked,) = delegates(arm).items()
    assert (asked[0], asked[1].dialect, asked[1].policy) == ("ask_clip", "qwen3_vl", "random")
    assert asked[1].env["tools"] == ["answer"]
    assert asked[1].env["max_pixels"] == 5000
    helper = Script(TOLD)
    agent = Agent(helper, make_dialect("qwen3_vl"), asked[1])
    (trajectory,) = rollout(
        [Job(task, "g")], Script(ASK, DONE), make_dialect("vital"), arm, delegates={"ask_clip": agent}
    )
    assert trajectory.children[0].answer == "It is on."
    with pytest.raises(ValueError, match="in dialect insight_o3, which has no answer tool"):
        delegates(replace(arm, policy="two_agent(reasoner=random, searcher=random)"))
    assert delegates(replace(arm, env={**arm.env, "tools": ["clip", "answer"]})) == {}
