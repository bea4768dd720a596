"""The adapter for TRL's own trainer: its methods are tools, its reward is ours, and a stock training runs on it."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
import trl
from PIL import Image

from o3gym.train.grpo.trl_environment import SearchTools
from o3gym.train.sft.trainer import CHECKPOINTING
from tests.train.tiny_folder import fresh

ENV = {"suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 60_000}, "split": "train", "max_turns": 2}


def opened(**more: Any) -> SearchTools:
    tools = SearchTools(ENV, **more)
    tools.reset(task=3)
    return tools


def right(tools: SearchTools) -> str:
    return str(tools._env.unwrapped.episode.task.answer)  # type: ignore[attr-defined]


def test_only_tools_are_public() -> None:
    public = {name for name, _ in inspect.getmembers(SearchTools, inspect.isfunction) if not name.startswith("_")}
    assert public == {"reset", "crop", "zoom", "reuse", "answer", "get_reward"}


def test_an_episode_by_its_methods() -> None:
    tools = SearchTools(ENV)
    shown = tools.reset(task=3, prompt="unused")
    assert [block["type"] for block in shown] == ["image", "text"]
    assert isinstance(shown[0]["image"], Image.Image)
    assert tools.crop(0.0, 0.0, 0.5, 0.5)[0]["type"] == "image"
    assert tools.answer(right(tools)) == [{"type": "text", "text": "The episode is over."}]
    assert tools.get_reward() == 1.0
    assert "no further call" in tools.crop(0.0, 0.0, 1.0, 1.0)[0]["text"]
    assert tools.get_reward() == 1.0


@pytest.mark.parametrize(("masking", "reward"), [(True, None), (False, 0.0)])
def test_who_still_wanted_to_look_has_no_reward(masking: bool, reward: float | None) -> None:
    tools = opened(over_turn_masking=masking)
    tools.zoom(0.5, 0.5, 2.0)
    tools.reuse(0)
    assert tools.get_reward() == reward


def test_wrong_and_missing_answers_are_worth_nothing_but_are_not_masked() -> None:
    tools = opened()
    tools.crop(0.9, 0.9, 0.1, 0.1)
    assert tools.get_reward() == 0.0
    tools = opened()
    tools.answer("Z")
    assert tools.get_reward() == 0.0


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TRL asks transformers by names that are going to change
def test_a_stock_training_learns_from_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    torch.manual_seed(0)
    model, processor = fresh()
    processor.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3_vl.jinja").read_text("utf-8")
    processor.tokenizer.padding_side = "left"
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    rewards, call = iter(range(100)), '<tool_call>\n{"name": "reuse", "arguments": {"view": 0}}\n</tool_call><|im_end|>'

    class Tools(SearchTools):
        def get_reward(self) -> float:
            assert self._env.unwrapped.trajectory.turns[0].parsed.call.tool == "reuse"  # type: ignore[attr-defined]
            return float(next(rewards) % 2)

    class Calling(trl.GRPOTrainer):  # type: ignore[misc]
        """A random model never calls a tool: its first turn is replaced by a call."""

        def _generate_single_turn(self, prompt_ids: Any, images: Any, *args: Any, **kwargs: Any) -> Any:
            ids, logprobs = super()._generate_single_turn(prompt_ids, images, *args, **kwargs)
            if max(map(len, images)) == 1:
                ids = [self._tokenizer(call)["input_ids"] for _ in ids]
            return ids, logprobs

    trainer = Calling(
        model=model,
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            per_device_train_batch_size=2,
            num_generations=2,
            max_completion_length=400,
            generation_kwargs={"max_new_tokens": 8},
            max_steps=1,
            report_to="none",
            use_cpu=True,
            bf16=False,
            save_strategy="no",
            disable_tqdm=True,
            **{CHECKPOINTING: False},
        ),
        train_dataset=datasets.Dataset.from_list([{"prompt": [{"role": "user", "content": ""}], "task": 3}]),
        processing_class=processor,
        environment_factory=partial(Tools, env={**ENV, "min_pixels": 1024, "max_pixels": 4096}),
    )
    trainer.train()
    assert next(rewards) == 2
    assert any(not parameter.equal(before[name]) for name, parameter in model.named_parameters())
