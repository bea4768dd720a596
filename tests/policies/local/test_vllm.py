"""The vllm policy on a stand-in for vLLM's engine: what it is told, and what becomes of what it says.

On vLLM itself: test_vllm_engine.py.
"""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Picture, Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.policies.local.vllm import NEWEST, OLDEST, Vllm, folded, up_to
from o3gym.registry import MissingPackage
from o3gym.sampling import Sampling
from o3gym.types import FULL, Reply, View
from tests.policies.local.talk import opened_with
from tests.policies.local.vlm_folders import idefics, qwen

SIDE = 32
"""Pixels per side of a token of Qwen3-VL."""


class Engine:
    """Answers `say` (ids) token by token, one per open request and step; expands pictures as vLLM does."""

    def __init__(self, options: Any) -> None:
        self.options, self.model_config = options, SimpleNamespace(max_model_len=options.max_model_len or 4096)
        self.engine_core = SimpleNamespace(shutdown=lambda: None)
        self.say: list[int] = []
        self.reason = "stop"
        self.open: dict[str, tuple[list[int], Any, list[int]]] = {}
        self.prompts: list[dict[str, Any]] = []
        self.broken = False

    def add_request(self, number: str, prompt: dict[str, Any], parameters: Any) -> None:
        pictures = iter(prompt.get("multi_modal_data", {}).get("image", ()))
        self.prompts.append({**prompt, "parameters": parameters})
        ids = [
            expanded
            for token in prompt["prompt_token_ids"]
            for expanded in ([token] * int(np.prod(next(pictures).size) / SIDE**2) if token == self.image else [token])
        ]
        self.open[number] = (ids, parameters, self.say[: parameters.max_tokens])

    def abort_request(self, numbers: list[str]) -> None:
        for number in numbers:
            del self.open[number]

    def step(self) -> list[Any]:
        if self.broken:
            raise RuntimeError("the engine is dead")
        done = []
        for number, (ids, parameters, left) in list(self.open.items()):
            parameters.said.append(left.pop(0))
            if not left:
                del self.open[number]
                done.append(self.output(number, ids, parameters.said))
        return done

    def output(self, number: str, ids: list[int], said: list[int]) -> Any:
        chances = [{token: SimpleNamespace(logprob=-0.5 - at)} for at, token in enumerate(said)]
        completion = SimpleNamespace(token_ids=said, logprobs=chances, finish_reason=self.reason)
        return SimpleNamespace(request_id=number, prompt_token_ids=ids, outputs=[completion], finished=True)

    image = -1


class Namespace(SimpleNamespace):
    """Keeps whatever it is made with."""


def stand_in(version: str = "0.33.0") -> Any:
    return SimpleNamespace(
        __version__=version,
        EngineArgs=Namespace,
        LLMEngine=SimpleNamespace(from_engine_args=Engine),
        SamplingParams=lambda **given: Namespace(**given, said=[]),
        sampling_params=SimpleNamespace(
            StructuredOutputsParams=Namespace, RequestOutputKind=SimpleNamespace(FINAL_ONLY="final")
        ),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return qwen(tmp_path_factory.mktemp("qwen"), "qwen3_vl")


@pytest.fixture(scope="module")
def encoder(folder: str) -> Encoder:
    return Encoder(load_processor(folder))


@pytest.fixture
def policy(folder: str, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Vllm:
    monkeypatch.setitem(sys.modules, "vllm", stand_in())
    made = make_policy(f"vllm:{folder}", max_images=3)
    assert isinstance(made, Vllm)
    made._engine.image = encoder.image_id
    return made


def picture(index: int, width: int = 64, height: int = 96) -> Picture:
    pixels = np.full((height, width, 3), index, np.uint8)
    return Picture(View(index, 0, FULL, (width, height), (width, height)), lambda: pixels)


def asked(talk: Dialogue, name: str = "g", **sampling: Any) -> Request:
    return Request(("arm", name, 0, "main"), talk, Sampling(**{"max_tokens": 50, "seed": 7, **sampling}))


def reply(policy: Vllm, request: Request, text: str = "<answer>A</answer>", *more: int) -> Reply:
    policy._engine.say = [*policy.encoder.tokens(text), *more]
    policy.submit(request)
    ((key, said),) = policy.poll()
    assert key == request.key
    return said


def test_ids_are_kept_from_turn_to_turn_and_are_those_of_the_encoder(policy: Vllm, encoder: Encoder) -> None:
    talk = opened_with("See", picture(0), picture(1, 96, 32), "?")
    end = encoder.end
    first = reply(policy, asked(talk), "crop", end)
    ids = encoder.tokens("crop")
    chances = tuple(-0.5 - at for at in range(len(ids) + 1))
    assert (first.text, first.token_ids, first.logprobs, first.finish) == ("crop", (*ids, end), chances, "stop")
    assert first.new_prompt_ids == encoder.opening(talk.messages).ids
    assert first.usage is not None
    assert first.usage.prompt_tokens == len(first.new_prompt_ids or ())
    talk.add("assistant", [first.text])
    talk.add("user", [picture(2)])
    second = reply(policy, asked(talk))
    assert second.new_prompt_ids == encoder.following(talk.messages, 3, (*ids, end)).ids
    sent = policy._engine.prompts[1]
    whole = (*(first.new_prompt_ids or ()), *(first.token_ids or ()), *(second.new_prompt_ids or ()))
    assert sent["prompt_token_ids"] == list(folded(whole, encoder.image_id))
    assert [image.getpixel((0, 0))[0] for image in sent["multi_modal_data"]["image"]] == [0, 1, 2]
    assert second.usage is not None
    assert second.usage.prompt_tokens == len(whole)


def test_a_dialogue_that_was_changed_is_read_anew(policy: Vllm, encoder: Encoder) -> None:
    talk = opened_with()
    reply(policy, asked(talk), "crop")
    talk.add("assistant", ["something else"])
    talk.add("user", ["And now?"])
    assert reply(policy, asked(talk)).new_prompt_ids == encoder.opening(talk.messages).ids


def test_what_the_engine_is_told(policy: Vllm, encoder: Encoder) -> None:
    options = policy._engine.options
    assert options.logprobs_mode == "processed_logprobs"
    assert options.limit_mm_per_prompt == {"image": 3, "video": 0}
    assert options.enable_prefix_caching
    reply(policy, asked(opened_with(), temperature=0.7, top_p=0.9, stop=("</x>",), max_tokens=60))
    told = policy._engine.prompts[0]["parameters"]
    assert (told.temperature, told.top_p, told.max_tokens, told.seed, told.stop) == (0.7, 0.9, 60, 7, ["</x>"])
    assert told.logit_bias == dict.fromkeys(encoder.forbidden, -math.inf)
    assert told.include_stop_str_in_output
    assert not hasattr(told, "structured_outputs")
    assert "multi_modal_data" not in policy._engine.prompts[0]


def test_choices_are_the_only_replies_and_end_with_the_end_of_a_turn(policy: Vllm, encoder: Encoder) -> None:
    reply(policy, asked(opened_with(), choices=("A", "B"), stop=("B",)), "A", encoder.end)
    told = policy._engine.prompts[0]["parameters"]
    assert (told.structured_outputs.choice, told.stop) == (["A", "B"], [])
    special = {i for i, token in encoder.tokenizer.added_tokens_decoder.items() if token.special}
    assert set(told.logit_bias) == special - {encoder.end} | set(encoder.forbidden)


def test_the_slowest_holds_up_nobody(policy: Vllm) -> None:
    policy._engine.say = [65] * 40
    policy.submit(asked(opened_with(), "slow"))
    came = []
    for number in range(3):
        policy._engine.say = [65] * 3
        policy.submit(asked(opened_with(), f"fast{number}"))
        came += [key[1] for key, _ in policy.poll()]
    while policy._asked:
        came += [key[1] for key, _ in policy.poll()]
    assert came == ["fast0", "fast1", "fast2", "slow"]
    assert policy.poll() == []


def test_a_reply_ends_with_its_stop_string_and_keeps_its_ids(policy: Vllm) -> None:
    said = reply(policy, asked(opened_with(), stop=("</answer>",)), "<answer>A</answer>\n\n")
    assert said.text == "<answer>A</answer>"
    assert said.token_ids == policy.encoder.tokens("<answer>A</answer>\n\n")
    assert up_to("ab", ()) == up_to("ab", ("x",)) == "ab"
    assert up_to("abcd", ("d", "bc")) == "abc"


def test_log_probabilities_below_top_p_one_are_not_known(policy: Vllm) -> None:
    talk = opened_with()
    assert reply(policy, asked(talk, top_p=0.9, temperature=1.0)).logprobs is None
    policy.release(asked(talk).key)
    assert reply(policy, asked(talk, top_p=0.9)).logprobs is not None


@pytest.mark.parametrize(
    ("chances", "said"),
    [
        (None, "0 log-probabilities for"),
        (lambda steps: steps[1:], "log-probabilities for"),
        (lambda steps: [{}, *steps[1:]], "reported None as the log-probability of token 0"),
        (lambda steps: [{65: SimpleNamespace(logprob=math.nan), 66: None}, *steps[1:]], "token 0 of a reply"),
        (lambda steps: [*steps[:-1], {t: SimpleNamespace(logprob=-math.inf) for t in steps[-1]}], "reported -inf"),
    ],
)
def test_missing_log_probabilities_cost_the_request_and_nothing_else(policy: Vllm, chances: Any, said: str) -> None:
    output = policy._engine.output

    def changed(*arguments: Any) -> Any:
        made = output(*arguments)
        completion = made.outputs[0]
        completion.logprobs = chances and chances(completion.logprobs)
        return made

    policy._engine.output = changed
    failed = reply(policy, asked(opened_with()), "crop")
    assert failed.finish == "error"
    assert said in failed.error
    policy._engine.output = output
    policy.release(asked(opened_with()).key)
    assert reply(policy, asked(opened_with()), "crop").finish == "stop"


def test_a_cut_reply_and_a_full_context(folder: str, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", stand_in())
    opening = len(encoder.opening(opened_with().messages).ids)
    policy = Vllm(folder, max_model_len=opening + 3)
    policy._engine.image, policy._engine.reason = encoder.image_id, "length"
    talk = opened_with()
    assert reply(policy, asked(talk), "crop").finish == "length"
    talk.add("assistant", ["crop"])
    talk.add("user", ["And now?"])
    policy.submit(asked(talk))
    assert policy.poll() == [(asked(talk).key, Reply("", finish="length", error=CONTEXT_FULL))]


def test_what_goes_wrong_is_an_error_of_its_request_alone(policy: Vllm) -> None:
    four = reply(policy, asked(opened_with(*map(picture, range(4)))))
    assert (four.finish, four.error) == ("error", "ValueError: the dialogue has 4 pictures; max_images is 3")
    assert "would make it 64×96" in reply(policy, asked(opened_with(picture(0, 70, 90)))).error
    policy._engine.image = -1
    assert "another prompt" in reply(policy, asked(opened_with(picture(0)))).error
    policy._engine.reason = "abort"
    assert reply(policy, asked(opened_with())).error == "vLLM ended the request: abort"
    policy._engine.reason = "stop"
    assert reply(policy, asked(opened_with())).finish == "stop"


def test_a_lost_engine_ends_what_is_open_with_errors(policy: Vllm) -> None:
    policy._engine.say = [65] * 9
    for name in ("one", "two"):
        policy.submit(asked(opened_with(), name))
    policy._engine.broken = True
    ended = policy.poll()
    assert {(key[1], said.error) for key, said in ended} == {
        (name, "RuntimeError: the engine is dead") for name in ("one", "two")
    }
    assert policy.poll() == []


def test_release_drops_what_is_open_and_close_may_come_twice(policy: Vllm) -> None:
    policy._engine.say = [65] * 9
    policy.submit(asked(opened_with()))
    policy.submit(asked(opened_with()))
    assert "already being answered" in policy.poll()[0][1].error
    policy.release(asked(opened_with()).key)
    assert not policy._engine.open
    assert policy.poll() == []
    policy.close()
    policy.close()


def test_views_are_shown_at_a_size_that_the_processor_keeps(policy: Vllm, encoder: Encoder) -> None:
    assert policy.vision_size(70, 90) == encoder.vision_size(70, 90) == (64, 96)


@pytest.mark.parametrize("version", ["0.21.3", "0.34.0", "1.0", "dev"])
def test_another_version_is_refused_with_the_pip_line(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", stand_in(version))
    with pytest.raises(ValueError, match=rf'{version} is installed; expected 0\.22 to 0\.33: run pip install "o3gym'):
        make_policy("vllm:somewhere")


def test_the_supported_versions_are_those_of_the_extra() -> None:
    (bounds,) = re.findall(r'"vllm(>=.*?)"', (Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8"))
    major, minor = NEWEST
    assert bounds == f">={OLDEST[0]}.{OLDEST[1]},<{major}.{minor + 1}"


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(MissingPackage, match=r"o3gym\[vllm\]"):
        make_policy("vllm:somewhere")


def test_a_wrong_place_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", stand_in())
    with pytest.raises(ValueError, match="name the model"):
        make_policy("vllm")
    with pytest.raises(ValueError, match="expected a model folder"):
        make_policy(f"vllm:{tmp_path}/none")
    with pytest.raises(ValueError, match=r"config\.json"):
        make_policy(f"vllm:{tmp_path}")
    with pytest.raises(ValueError, match="not of the Qwen-VL family"):
        make_policy(f"vllm:{idefics(tmp_path / 'other')}")
