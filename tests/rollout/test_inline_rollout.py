"""Episodes in a dialect with inline observations: what a policy reads, and the rows that are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from o3gym.calls import answer, crop
from o3gym.dialects.base import Dialect
from o3gym.dialects.qwen3_vl import Qwen3VL
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import Message, Picture, Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.token_sequences import TokenSequence
from o3gym.policies.window import segmented
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.train.data.demonstrations import dialogue_of
from o3gym.train.loss_mask import sample_row, segments_of, training_row, training_rows
from o3gym.train.recipe import read_recipe
from o3gym.types import Call, EpisodeKey, Reply, Trajectory
from tests.train.tiny_folder import processor

ENV: dict[str, Any] = {
    "suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 60_000},
    "min_pixels": 1024,
    "max_pixels": 4096,
    "max_turns": 6,
    "on_void": "continue",
    "tools": ["crop", "answer"],
}
LOOKS: list[Call | str] = [crop((x, 0.25, x + 0.4, 0.75)) for x in (0.0, 0.2, 0.4)]


@dataclass(frozen=True)
class Inline(Qwen3VL):
    """Calls and their results in one message of the assistant."""

    inline: ClassVar[bool] = True
    code_tags: ClassVar[tuple[str, str]] = ("<tool_call>", "</tool_call>")
    stop: ClassVar[tuple[str, ...]] = ("</tool_call>", "</answer>")


class Caller(Policy):
    """Makes the given calls, one per turn, spelled with an encoder, and keeps what it read.

    A reply that pauses for an observation ends with its stop string, any other with the end token.
    """

    privileged = True

    def __init__(self, calls: Sequence[Call | str], encoder: Encoder) -> None:
        super().__init__()
        self.calls, self.encoder = calls, encoder
        self.read: list[list[Message]] = []
        self.sampling: list[Sampling] = []
        self.sequences: dict[EpisodeKey, TokenSequence] = {}

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        call, about = self.calls[len(self.read)], request.privileged
        self.read.append(list(request.dialogue.messages))
        self.sampling.append(request.sampling)
        assert about is not None
        text = call if isinstance(call, str) else about.dialect.format(call, about.views, "Hm.")
        sequence = self.sequences.setdefault(request.key, TokenSequence(request.dialogue))
        sequence.extend(self.encoder)
        last = call == self.calls[-1] or not text.endswith(request.sampling.stop)
        ids = (*self.encoder.tokens(text), *((self.encoder.end,) if last else ()))
        prompt = sequence.prompt
        sequence.answer(ids, text)
        return Reply(text, ids, (-1.0,) * len(ids), prompt)

    def vision_size(self, width: int, height: int) -> tuple[int, int]:
        return self.encoder.vision_size(width, height)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(processor())


def played(policy: Policy, dialect: Dialect, **arm: Any) -> Trajectory:
    env = {**ENV, **arm.pop("env", {})}
    (trajectory,) = rollout([Job(0, "g", seed=1)], policy, dialect, Arm("arm", env, "p", "d", **arm))
    return trajectory


def roles(messages: Sequence[Message]) -> list[str]:
    return [message.role for message in messages]


def test_observations_are_inline_unless_the_policy_has_ended_its_message(encoder: Encoder) -> None:
    policy = Caller([LOOKS[0], "I am done.", LOOKS[1], answer("A")], encoder)
    trajectory = played(policy, Inline())
    assert trajectory.stop == "answered"
    expected = ["system", "user", "assistant", "inline", "assistant", "user", "assistant", "inline"]
    assert [roles(read) for read in policy.read] == [expected[:n] for n in (2, 4, 6, 8)]
    messages = dialogue_of(trajectory, Inline())
    assert roles(messages) == [*expected, "assistant"]
    assert [(m.role, m.text) for m in messages[:-1]] == [(m.role, m.text) for m in policy.read[-1]]


def test_the_row_of_a_rollout_is_that_of_its_demonstration(encoder: Encoder) -> None:
    recipe = read_recipe({"model": "m", "stages": [{"data": "policy", "steps": 1}]})
    policy = Caller([LOOKS[0], "I am done.", LOOKS[1], answer("A")], encoder)
    trajectory = played(policy, Inline())
    sampled, shown = sample_row(trajectory, encoder), training_row(dialogue_of(trajectory, Inline()), encoder, recipe)
    assert sampled.ids.tolist() == shown.ids.tolist()
    assert sampled.mask.tolist() == shown.mask.tolist()
    assert len(sampled.images) == len(shown.images) == 3
    text = encoder.tokenizer.decode(sampled.ids)
    assert text.count("<|im_start|>assistant") == 2
    assert text.count("<|im_start|>user") == 2
    written = [n for turn in trajectory.turns for n in turn.reply.token_ids or ()]
    assert sampled.ids[sampled.mask == 1].tolist() == written


def test_demonstrations_of_the_oracle_make_such_rows(encoder: Encoder) -> None:
    recipe = read_recipe({"model": "m", "stages": [{"data": "policy", "steps": 1}]})
    policy = make_policy("detour?p=1")
    policy.vision_size = encoder.vision_size  # type: ignore[method-assign]
    messages = dialogue_of(played(policy, Inline()), Inline())
    assert roles(messages)[2:] == ["assistant", "inline"] * (len(messages) // 2 - 1) + ["assistant"]
    assert len(messages) > 5
    row = training_row(messages, encoder, recipe, turns=1)
    last = (*encoder.tokens(messages[-1].text), encoder.end)
    assert row.ids[row.mask == 1].tolist() == list(last)
    assert encoder.tokenizer.decode(row.ids).count("<|im_start|>assistant") == 1


def test_a_window_cuts_pictures_inside_the_turn(encoder: Encoder) -> None:
    policy = Caller([*LOOKS, answer("A")], encoder)
    trajectory = played(policy, Inline(), window=1)
    assert [segment.turns for segment in segments_of(trajectory)] == [(0, 1), (2,), (3,)]
    for read in policy.read[1:]:
        pictures = [sum(isinstance(part, Picture) for part in message.parts) for message in read]
        assert pictures == [0, 1, *[0, 0] * (len(read) // 2 - 2), 0, 1]
        assert roles(read)[3::2] == ["inline"] * (len(read) // 2 - 1)
    messages = dialogue_of(trajectory, Inline())
    (*_, (read, _)) = segmented(messages, 1)
    assert [(m.role, m.text) for m in read[:-1]] == [(m.role, m.text) for m in policy.read[-1]]
    rows = [sample_row(trajectory, encoder, segment) for segment in segments_of(trajectory)]
    recipe = replace(read_recipe({"model": "m", "stages": [{"data": "policy", "steps": 1}]}), window=1)
    for row, other in zip(rows, training_rows(messages, encoder, recipe), strict=True):
        # a demonstration closes the message where its row ends; an episode goes on in it
        count = len(row.ids)
        assert other.ids[:count].tolist() == row.ids.tolist()
        assert other.ids[count:].tolist() in ([], [encoder.end])


def test_a_temperature_for_code_comes_with_the_tags_of_the_dialect(encoder: Encoder) -> None:
    for dialect, tags in ((Inline(), Inline.code_tags), (Qwen3VL(), ())):
        policy = Caller([answer("A")], encoder)
        played(policy, dialect, sampling=Sampling(1.0, code_temperature=0.0))
        assert policy.sampling[0].code_tags == tags
        plain = Caller([answer("A")], encoder)
        played(plain, dialect)
        assert plain.sampling[0].code_tags == ()


class Plain(Policy):
    """Knows neither a temperature for code nor a repetition penalty."""

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        return [Reply("<answer>A</answer>") for _ in requests]


@pytest.mark.parametrize(
    ("policy", "dialect", "sampling", "said"),
    [
        (Plain(), Inline(), Sampling(code_temperature=0.0), "p: code_temperature: .*Plain samples code like any other"),
        (Plain(), Inline(), Sampling(repetition_penalty=1.1), "p: repetition_penalty: .*Plain has no such penalty"),
        (Plain(), Qwen3VL(), Sampling(code_temperature=0.0), "the dialect qwen3_vl has no tags around code"),
    ],
)
def test_what_a_policy_cannot_do_is_said_before_any_episode(
    policy: Policy, dialect: Dialect, sampling: Sampling, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        played(policy, dialect, sampling=sampling)
    assert played(policy, dialect).turns
