"""Exemplars in local policies: the ids of a dialogue with them are those of the chat template itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from o3gym.calls import answer
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import Dialogue, Message, Picture, Request
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.vllm_prompts import Places, Thread
from o3gym.rollout.loop import rollout
from o3gym.rollout.performing import Act, Script, perform
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.types import Trajectory
from tests.policies.local.test_encoding import whole
from tests.rollout.test_inline_rollout import Inline
from tests.rollout.test_performing import ENV, LEFT, RIGHT, TASK

Vlm = Callable[[str], str]
SCRIPT = Script(TASK, (Act(LEFT, "left"), Act(RIGHT, "right"), Act(answer("B"), "so")), "g")


def exemplar(policy: Any, dialect: Any) -> tuple[Message, ...]:
    dialogues: dict[tuple[str, int], tuple[Message, ...]] = {}
    list(perform([SCRIPT], Arm("", ENV), dialect, vision_size=policy.vision_size, dialogues=dialogues))
    return dialogues["g", 0][1:]


def listened(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> list[list[Message]]:
    """The messages of each request."""
    heard: list[list[Message]] = []
    submit = policy.submit

    def listening(request: Request) -> None:
        heard.append(list(request.dialogue.messages))
        submit(request)

    monkeypatch.setattr(policy, "submit", listening)
    return heard


def played(policy: Policy, dialect: Any, before: tuple[Message, ...], window: int | None = None) -> Trajectory:
    sampling = Sampling(max_tokens=4, temperature=1.0)
    arm = Arm("a", {**ENV, "on_void": "continue", "max_turns": 3}, "p", "d", sampling, window=window)
    (trajectory,) = rollout([Job(1, "g", seed=3)], policy, dialect, arm, exemplars=before)
    return trajectory


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_the_first_prompt_is_the_template_s_own_rendering_and_later_ones_go_on_from_it(
    family: str, vlm: Vlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy, dialect = make_policy(f"transformers:{vlm(family)}"), make_dialect("deepeyes")
    heard = listened(policy, monkeypatch)
    before = exemplar(policy, dialect)
    trajectory = played(policy, dialect, before)
    assert [message.role for message in heard[0]] == ["system", *["user", "assistant"] * 3, "user"]
    assert list(trajectory.turns[0].reply.new_prompt_ids or ()) == whole(policy.encoder, heard[0])  # type: ignore[attr-defined]
    bare = played(policy, dialect, ())
    assert [turn.reply.new_prompt_ids for turn in trajectory.turns[1:]] == [
        turn.reply.new_prompt_ids for turn in bare.turns[1:]
    ]
    assert trajectory.views == bare.views
    policy.close()


def test_a_dialogue_that_is_cut_keeps_the_ids_of_its_exemplars(vlm: Vlm) -> None:
    policy = make_policy(f"transformers:{vlm('qwen3_vl')}")
    encoder = policy.encoder  # type: ignore[attr-defined]
    before = exemplar(policy, make_dialect("mini_o3"))
    dialogue = Dialogue([Message("system", ("You look.",)), *before, *before[:3]])
    start = len(dialogue.messages) - 3
    answers = []
    for cut in (False, True):
        if cut:
            assert isinstance(dialogue.messages[start + 2].parts[1], Picture)
            dialogue.cut({start + 2: ["[no longer shown: 1 picture]"]})
            dialogue.add("user", ["And now?"])
        policy.submit(Request(("a", "g", 0, "main"), dialogue, Sampling(max_tokens=3, temperature=1.0)))
        ((_, reply),) = policy.poll()
        assert reply.finish != "error", reply.error
        answers.append(reply)
        dialogue.add("assistant", [reply.text])
    kept = encoder.opening(dialogue.messages[: start + 1]).ids
    assert all(reply.new_prompt_ids and reply.new_prompt_ids[: len(kept)] == kept for reply in answers)
    policy.close()


def test_inline_exemplars_are_closed_before_the_task(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = make_policy(f"transformers:{vlm('qwen3_vl')}")
    heard = listened(policy, monkeypatch)
    trajectory = played(policy, Inline(), exemplar(policy, Inline()))
    roles = ["system", "user", "assistant", "inline", "assistant", "inline", "assistant", "user"]
    assert [message.role for message in heard[0]] == roles
    encoder = policy.encoder  # type: ignore[attr-defined]
    assert trajectory.turns[0].reply.new_prompt_ids == encoder.opening(heard[0]).ids
    policy.close()


def test_vllm_gets_the_pictures_of_exemplars_first(vlm: Vlm) -> None:
    encoder = Places(load_processor(vlm("qwen3_vl")))
    before = exemplar(encoder, make_dialect("mini_o3"))
    thread = Thread(Dialogue([Message("system", ("You look.",)), *before, before[0]]), form=lambda pixels: pixels.shape)
    thread.extend(encoder)
    shown = [part for m in thread.dialogue.messages for part in m.parts if isinstance(part, Picture)]
    assert thread.pictures == [picture.load().shape for picture in shown]
    assert len(shown) == 4
