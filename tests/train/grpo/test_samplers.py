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
from o3gym.train.grpo.recipe import load_grpo, read_grpo
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
        ({"kl": math.nan}, "kl: expected at least 0, got nan"),
    ],
)
def test_what_a_recipe_may_not_say(more: Any, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        read_grpo({"model": "m", "steps": 500, **more})


@pytest.mark.parametrize("sampler", ["vllm", "vllm_server?url=http://localhost:8000"])
def test_a_sampler_that_cannot_report_log_probabilities_is_refused(sampler: str) -> None:
    """vLLM's are normalised over what top_p keeps; the model's own are over all tokens, like the trainer's."""
    settings = [f'sampler="{sampler}"', 'old_logprobs="rollout"']
    with pytest.raises(RecipeError, match=r"sampler, top_p, old_logprobs: .*does not say how much"):
        load_grpo("thyme", settings)
    for change in ("top_p=1.0", 'old_logprobs="compute"', 'sampler=""'):
        load_grpo("thyme", [*settings, change])
