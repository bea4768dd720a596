"""A transformers or TRL whose internals differ is refused before anything is computed with it."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import transformers
import trl
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel, Qwen3VLTextModel

from o3gym.policies.local import loading, processors, qwen
from o3gym.policies.local.internals import KNOWN_VERSIONS, check_internals
from o3gym.train.grpo import trainer as grpo_trainer
from o3gym.train.sft import trainer


@pytest.mark.parametrize("package", KNOWN_VERSIONS)
def test_the_bounds_are_those_of_the_package(package: str) -> None:
    extra, bounds = KNOWN_VERSIONS[package]
    text = (Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8")
    (line,) = re.findall(rf"^{extra} = .*$", text, re.MULTILINE)
    assert f'"{package}{bounds}"' in line


def test_what_is_there_is_accepted() -> None:
    expected = {":Trainer.log": ("logs",), "utils:logging": (), ":Trainer.train": ("nonsense|trial",)}
    check_internals("transformers", {**expected, ":Trainer.compute_loss": ("self", "model", "inputs")})


@pytest.mark.parametrize(
    ("path", "parameters", "difference"),
    [
        (":Trainer.lock", (), "transformers has no Trainer.lock"),
        ("modeling_nothing:Model", (), "transformers.modeling_nothing has no Model"),
        (":Trainer.log", ("logs", "epoch|era"), r"Trainer.log takes \(self, logs, .*\), expected also epoch\|era"),
        (":Trainer.compute_loss", ("self", "inputs"), r"Trainer.compute_loss takes .*, expected \(self, inputs, …\)"),
    ],
)
def test_a_difference_is_named(path: str, parameters: tuple[str, ...], difference: str) -> None:
    with pytest.raises(ImportError, match=rf"^transformers {transformers.__version__}: {difference}; install a "):
        check_internals("transformers", {path: parameters})


def shallow(
    self: Any, input_ids: Any, inputs_embeds: Any, position_ids: Any, attention_mask: Any, cache: Any, use_cache: Any
) -> None:
    """A text model without the deepstack features of Qwen3-VL."""


CHANGES = {
    "a text model without deepstack features": (qwen, Qwen3VLTextModel, "forward", shallow),
    "renamed picture features": (qwen, Qwen3VLModel, "get_image_features", None),
    "a trainer that loads checkpoints elsewhere": (trainer, transformers.Trainer, "_load_from_checkpoint", None),
    "a loss of TRL with other arguments": (grpo_trainer, trl.GRPOTrainer, "_compute_loss", shallow),
}


@pytest.mark.parametrize("change", CHANGES)
def test_modules_check_what_they_call_when_they_are_imported(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, owner, name, replacement = CHANGES[change]
    if replacement is None:
        monkeypatch.delattr(owner, name)
    else:
        monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(ImportError, match=f"{name}.*; install a version that is known to work: pip install"):
        runpy.run_path(str(module.__file__))


def test_loading_checks_what_it_reads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    base = transformers.Qwen3VLProcessor
    monkeypatch.delattr("transformers.processing_utils.ProcessorMixin.get_attributes")
    with pytest.raises(ImportError, match=r"has no ProcessorMixin\.get_attributes"):
        processors.image_only(base)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3_vl"}')
    monkeypatch.delattr("transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES")
    with pytest.raises(ImportError, match="MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"):
        loading.load_config(str(tmp_path))
