from __future__ import annotations

import numpy as np
import pytest

from o3gym.dialects.base import make_dialect
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import Message, Picture, Request, whole_turns
from o3gym.policies.window import segmented
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.train.data.demonstrations import dialogue_of, fitted, flattened
from o3gym.types import Reply
from tests.train.colours import dialogue

ENV = {
    "suite": "synthetic",
    "suite_args": {"family": "relation", "difficulty": "easy", "pixels": 90_000},
    "min_pixels": 1000,
    "max_pixels": 20_000,
    "max_turns": 6,
}


class Listener(Policy):
    """Passes requests on and keeps the last dialogue, with its pixels as they were shown."""

    privileged = True

    def __init__(self, inner: Policy, stumble: bool) -> None:
        super().__init__()
        self.inner, self.stumble, self.heard = inner, stumble, []

    def act(self, requests: list[Request]) -> list[Reply]:
        (request,) = requests
        messages = list(request.dialogue.messages)
        self.heard = [(m.role, m.text, [p.load() for p in m.parts if isinstance(p, Picture)]) for m in messages]
        if self.stumble and len(messages) == 2:
            return [Reply("<tool_call>{broken</tool_call><grounding>{broken</grounding><function>{</function>")]
        return self.inner.act(requests)


@pytest.mark.parametrize("name", ["mini_o3", "simple_o3", "pixel_reasoner", "qwen3_vl", "deepeyes", "openai"])
@pytest.mark.parametrize("case", ["plain", "stumble", "blank_crop"])
def test_a_trajectory_gives_the_very_dialogue_that_the_policy_had(name: str, case: str) -> None:
    dialect = make_dialect(name)
    policy = Listener(make_policy("detour?p=0.6"), stumble=case == "stumble")
    env = {**ENV, "tools": [t for t in ("crop", "reuse", "answer") if t in dialect.tools]}
    if case == "blank_crop":
        env["control"] = case
    (trajectory,) = rollout([Job(3, "g", seed=5)], policy, dialect, Arm("a", env, "p", name))
    messages = dialogue_of(trajectory, dialect)
    assert (messages[-1].role, messages[-1].text) == ("assistant", trajectory.turns[-1].reply.text)
    assert [(m.role, m.text) for m in messages[:-1]] == [(role, text) for role, text, _ in policy.heard]
    shown = [pixels for _, _, more in policy.heard for pixels in more]
    again = [part.load() for message in messages for part in message.parts if isinstance(part, Picture)]
    assert all(np.array_equal(a, b) for a, b in zip(shown, again, strict=True))


@pytest.mark.parametrize("window", [None, 1])
def test_all_frames_of_a_videos_overview_are_in_the_opening(window: int | None) -> None:
    """Pictures that a window removed are in the dialogue too; `segmented` removes them again."""
    dialect, policy = make_dialect("qwen3_vl"), Listener(make_policy("sweep"), stumble=False)
    env = {"suite": "synthetic_video", "suite_args": {"family": "event"}, "overview_frames": 3, "max_turns": 5}
    arm = Arm("a", {**env, "min_pixels": 1000, "max_pixels": 4000}, "p", "qwen3_vl", window=window)
    (trajectory,) = rollout([Job(0, "g", seed=5)], policy, dialect, arm)
    assert len(trajectory.turns) > 3
    messages = dialogue_of(trajectory, dialect)
    assert messages[1].text.count("<image>") == 3
    assert sum(message.text.count("<image>") for message in messages) > 3
    (*_, (read, _)) = segmented(messages, window)
    assert [(m.role, m.text) for m in read[:-1]] == [(role, text) for role, text, _ in policy.heard]


def test_tools_that_the_run_left_to_the_environment_are_found() -> None:
    dialect = make_dialect("qwen3_vl")
    policy = Listener(make_policy("oracle"), stumble=False)
    (trajectory,) = rollout([Job(0, "g")], policy, dialect, Arm("a", ENV, "p", "qwen3_vl"))
    assert dialogue_of(trajectory, dialect)[0].text == policy.heard[0][1]


def test_flattening_keeps_every_message_and_puts_what_was_observed_into_the_turn() -> None:
    messages = dialogue("red")
    flat = flattened(messages)
    assert [message.role for message in flat] == ["system", "user", "assistant", "inline", "assistant"]
    assert [message.parts for message in flat] == [message.parts for message in messages]
    assert [message.role for message in whole_turns(flat)] == ["system", "user", "assistant"]


def test_a_dialogue_without_a_reply_stays_as_it_is() -> None:
    messages = [Message("user", ("?",))]
    assert flattened(messages) == messages


def test_pictures_are_brought_to_the_size_of_the_processor() -> None:
    messages = fitted(dialogue("blue"), lambda width, height: (32, 64))
    pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
    assert [picture.view.shown for picture in pictures] == [(32, 64)] * 2
    assert all(picture.load().shape == (64, 32, 3) for picture in pictures)
    assert [message.text for message in messages] == [message.text for message in dialogue("blue")]
