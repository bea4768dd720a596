from __future__ import annotations

from typing import Any

import pytest
import torch

from o3gym.policies.local.processors import load_processor
from o3gym.train.models import freeze, open_model, part_of, save_model, with_adapters
from o3gym.train.recipe import Lora, RecipeError, read_recipe
from tests.train.tiny_folder import fresh, write_folder


def recipe(**more: Any) -> Any:
    return read_recipe({"model": "tiny_folder:fresh", "data": "policy", "steps": 1, **more})


def sums(model: Any) -> list[float]:
    return [float(p.detach().double().sum()) for p in model.parameters()]


def test_a_function_makes_the_same_weights_from_the_same_seed() -> None:
    (first, _), (second, _), (third, _) = (open_model(recipe(seed=seed)) for seed in (1, 1, 2))
    assert sums(first) == sums(second) != sums(third)


def test_a_folder_is_opened_in_float32(tmp_path: Any) -> None:
    model, processor = open_model(recipe(model=str(write_folder(tmp_path))))
    assert model.dtype == torch.float32
    assert processor.tokenizer.eos_token == "<|im_end|>"


def test_a_function_that_is_missing_or_returns_something_else_is_named() -> None:
    with pytest.raises(RecipeError, match='"tiny_folder:frsh" names no function'):
        open_model(recipe(model="tiny_folder:frsh"))
    with pytest.raises(RecipeError, match=r"must return \(model, processor\), got"):
        open_model(recipe(model="tiny_folder:tokenizer"))
    with pytest.raises(TypeError, match='"tiny_folder:fresh" has no option "hiden"; did you mean "hidden"'):
        open_model(recipe(model="tiny_folder:fresh?hiden=3"))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("model.visual.blocks.0.attn.qkv.weight", "vision"),
        ("model.visual.merger.linear_fc1.weight", "projector"),
        ("model.visual.deepstack_merger_list.0.norm.weight", "projector"),
        ("model.language_model.layers.0.mlp.up_proj.weight", "language"),
        ("lm_head.weight", "language"),
        ("model.vision_tower.encoder.weight", "vision"),
        ("model.multi_modal_projector.linear_1.weight", "projector"),
        ("model.connector.modality_projection.proj.weight", "projector"),
    ],
)
def test_parameters_are_told_apart_by_name(name: str, part: str) -> None:
    assert part_of(name) == part


def test_freezing_covers_the_named_parts_and_nothing_else() -> None:
    model, _ = fresh()
    frozen = freeze(model, ["vision"])
    assert frozen == sum(p.numel() for p in model.parameters() if not p.requires_grad) > 0
    learning = {part_of(name) for name, p in model.named_parameters() if p.requires_grad}
    assert learning == {"projector", "language"}
    with pytest.raises(RecipeError, match="Linear has no parameters that look like its vision"):
        freeze(torch.nn.Linear(1, 1), ["vision"])


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")  # peft's own
def test_adapters_are_on_the_language_model_alone() -> None:
    model = with_adapters(fresh()[0], Lora(r=2, alpha=4))
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning
    assert all("lora" in name and "language_model" in name for name in learning)
    with pytest.raises(RecipeError, match="no linear layers named w"):
        with_adapters(fresh()[0], Lora(targets=("w",)))


def test_the_saved_processor_has_the_pixel_limits_of_the_recipe(tmp_path: Any) -> None:
    model, processor = fresh()
    save_model(model, processor, tmp_path, recipe(max_pixels=64 * 64))
    again = load_processor(str(tmp_path)).image_processor.size
    assert (dict(again)["shortest_edge"], dict(again)["longest_edge"]) == (32 * 32, 64 * 64)
