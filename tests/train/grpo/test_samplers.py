"""Weights that are handed over: with adapters added in; and to vLLM, on vLLM itself (`make test-vllm`)."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from o3gym.policies.local.encoding import Encoder
from o3gym.policies.local.processors import load_processor
from o3gym.train.grpo.recipe import read_grpo
from o3gym.train.grpo.samplers import on_card, write_weights
from o3gym.train.models import save_model, with_adapters
from o3gym.train.recipe import Lora, RecipeError
from tests.train.tiny_folder import fresh, same, write_folder

CLOSE = 1e-3


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # asked by peft
def test_adapters_are_added_in_and_stay_as_they_are(tmp_path: Path) -> None:
    made = read_grpo({"model": "m", "save_dtype": "float32", "lora": {"r": 4, "alpha": 8}, "steps": 500})
    torch.manual_seed(0)
    model, processor = fresh()
    adapted = with_adapters(model, made.lora or Lora())
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    before = {name: parameter.clone() for name, parameter in adapted.named_parameters()}
    write_weights(adapted, processor, tmp_path / "written", made)
    assert all(torch.equal(before[name], parameter) for name, parameter in adapted.named_parameters())
    save_model(adapted, processor, tmp_path / "merged", made)
    assert same(tmp_path / "written", tmp_path / "merged")
    torch.manual_seed(0)
    assert not same(tmp_path / "written", write_folder(tmp_path / "start"))


def test_an_engine_is_given_the_pixel_limits_of_the_recipe(tmp_path: Path) -> None:
    made = read_grpo({"model": "m", "steps": 500, "min_pixels": 32 * 32, "max_pixels": 64 * 64})
    model, processor = fresh()
    write_weights(model, processor, tmp_path, made)
    encoder = Encoder(load_processor(str(tmp_path)))
    assert encoder.vision_size(640, 640) == (64, 64)


def test_an_engine_sees_the_card_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    with on_card(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "6"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,6"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with on_card(3):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"sampler": "sglang"}, 'got "sglang"'),
        ({"sampler": "vllm", "sight": "a:b"}, "sampler, sight"),
        ({"temperature": 0}, "temperature: expected a number above 0, got 0"),
        ({"temperature": math.nan}, "temperature: expected a number above 0, got nan"),
        ({"top_p": 0.0}, "top_p: expected a number above 0 and up to 1"),
        ({"top_p": 1.5}, "top_p: expected a number above 0 and up to 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty: expected a number above 0, got 0.0"),
        ({"code_temperature": -1.0}, "code_temperature: expected at least 0, got -1.0"),
        ({"code_temperature": math.inf}, "code_temperature: expected at least 0, got inf"),
        ({"kl": math.nan}, "kl: expected at least 0, got nan"),
        (
            {"kl": 0.01, "model": "a.module:name?size=1"},
            r'kl, model: expected kl = 0, .*function "a.module:name\?size=1"',
        ),
    ],
)
def test_what_a_recipe_may_not_say(more: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        read_grpo({"model": "m", "steps": 500, **more})


@pytest.mark.parametrize("sampler", ["vllm", "vllm_server?url=http://localhost:8000"])
@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ({"top_p": 0.9}, r"sampler, top_p, old_logprobs: .*does not say how much"),
        ({"repetition_penalty": 1.05}, r"sampler, repetition_penalty, old_logprobs: .*after the repetition penalty"),
        ({"code_temperature": 0.5}, r"sampler, code_temperature, old_logprobs: .*at the temperature of code"),
        ({"top_p": 0.9, "code_temperature": 2.0}, r"sampler, top_p, code_temperature, old_logprobs: .*, and reports"),
    ],
)
def test_a_sampler_that_cannot_report_log_probabilities_is_refused(sampler: str, lost: Any, said: str) -> None:
    """vLLM's are normalised over what it samples from; the model's own are over all tokens, like the trainer's."""
    settings = {"model": "m", "steps": 500, "sampler": sampler, "old_logprobs": "rollout"}
    with pytest.raises(RecipeError, match=said):
        read_grpo({**settings, **lost})
    raw = f"{sampler}{'&' if '?' in sampler else '?'}logprobs=raw"
    for change in ({"old_logprobs": "compute"}, {"sampler": ""}, {"sampler": raw}):
        read_grpo({**settings, **lost, **change})
    with pytest.raises(RecipeError, match="at temperature 1"):
        read_grpo({**settings, **lost, "sampler": raw, "temperature": 0.9})
    read_grpo(settings)


def test_greedy_code_has_the_log_probabilities_of_temperature_one() -> None:
    settings = {"model": "m", "steps": 500, "sampler": "vllm", "old_logprobs": "rollout", "code_temperature": 0.0}
    read_grpo(settings)
    with pytest.raises(RecipeError, match="sampler, code_temperature, old_logprobs"):
        read_grpo({**settings, "temperature": 0.9})
    with pytest.raises(RecipeError, match=r"sampler, temperature, old_logprobs: .*at temperature 1, not at 0\.9"):
        read_grpo({**settings, "code_temperature": 0.9, "temperature": 0.9, "sampler": "vllm?logprobs=raw"})
