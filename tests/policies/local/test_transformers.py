"""The transformers policy as a user meets it: what it loads, what it refuses, and whole episodes."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import CONTEXT_FULL, Dialogue, Message, Request
from o3gym.policies.local import loading
from o3gym.policies.local.decoding import Decoder
from o3gym.policies.local.generate import WholeHistory
from o3gym.policies.local.transformers import Transformers
from o3gym.registry import MissingPackage
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.sampling import Sampling
from o3gym.train.batches import batch_of
from o3gym.train.loss_mask import TrainingRow
from o3gym.types import Reply, Trajectory
from tests.policies.local.talk import flat, key, opened, play, reference

SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"suite": "synthetic", "suite_args": SMALL, "min_pixels": 1000, "max_pixels": 40_000, "max_turns": 4}
Vlm = Callable[[str], str]


@pytest.fixture
def copied(vlm: Vlm, tmp_path: Path) -> Path:
    """A folder of its own, to spoil."""
    return Path(shutil.copytree(vlm("qwen3_vl"), tmp_path / "copy"))


def episodes(policy: Any, dialect: str = "qwen3_vl", count: int = 3, **sampling: Any) -> list[Trajectory]:
    jobs = [Job(index, f"g{index}", seed=index) for index in range(count)]
    arm = Arm("arm", ENV, "transformers", dialect, Sampling(**{"max_tokens": 12, **sampling}))
    return sorted(rollout(jobs, policy, make_dialect(dialect), arm), key=lambda t: t.group)


# whole episodes


@pytest.mark.parametrize(
    ("family", "dialect"),
    [("qwen2_5_vl", "mini_o3"), ("qwen3_vl", "qwen3_vl"), ("qwen3_5", "qwen3_vl"), ("idefics3", "mini_o3")],
)
def test_episodes_of_a_random_model_end_in_order(vlm: Vlm, family: str, dialect: str) -> None:
    policy = make_policy(f"transformers:{vlm(family)}")
    for trajectory in episodes(policy, dialect, temperature=1.5):
        assert trajectory.stop not in ("", "error")
        for turn in trajectory.turns:
            assert len(turn.reply.token_ids or ()) == len(turn.reply.logprobs or ()) > 0
            assert turn.reply.new_prompt_ids
    assert policy._engine._sequences == {}  # released
    policy.close()


CROP = '<tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [100, 100, 611, 433]}}\n</tool_call>'


class Cropping(Transformers):
    """Says one thing only."""

    def submit(self, request: Request) -> None:
        sampling = replace(request.sampling, choices=(CROP,), max_tokens=200)
        super().submit(replace(request, sampling=sampling))


def test_a_looking_model_sees_every_view_at_the_size_it_takes(vlm: Vlm) -> None:
    policy = Cropping(vlm("qwen3_vl"))
    (trajectory,) = episodes(policy, count=1)
    assert [turn.reply.text for turn in trajectory.turns] == [CROP] * 4
    assert trajectory.stop == "over_turn"
    for view in trajectory.views:
        assert policy.vision_size(*view.shown) == view.shown
        assert all(side % 32 == 0 for side in view.shown)


def test_a_full_context_ends_the_episode_as_such(vlm: Vlm) -> None:
    policy = Transformers(vlm("qwen3_vl"), max_context=200)
    (trajectory,) = episodes(policy, count=1)
    assert trajectory.stop == "over_context"


# other families


@pytest.mark.parametrize("family", ["idefics3", "qwen3_5", "qwen3_5_moe"])
def test_other_families_read_everything_again_and_say_so(
    vlm: Vlm, family: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        policy = Transformers(vlm(family))
    assert isinstance(policy._engine, WholeHistory)
    (record,) = [record for record in caplog.records if record.name.startswith("o3gym")]
    assert f"{family} read the whole dialogue again in every turn" in record.getMessage()


@pytest.mark.parametrize(
    ("family", "temperature"), [("idefics3", 0.0), ("idefics3", 0.8), ("qwen3_5", 0.8), ("qwen3_5_moe", 0.8)]
)
def test_their_ids_and_logprobs_are_exact_too(vlm: Vlm, family: str, temperature: float) -> None:
    policy = Transformers(vlm(family))
    count, turns = (3, 3) if family == "idefics3" else (2, 2)
    dialogues, replies = play(policy, count=count, turns=turns, temperature=temperature)
    for dialogue, said in zip(dialogues, replies, strict=True):
        expected = reference(policy.model, policy.encoder, dialogue, said, temperature or 1.0)
        for reply, logprobs in zip(said, expected, strict=True):
            assert reply.logprobs == pytest.approx(logprobs, abs=1e-4)


def test_training_rows_of_qwen3_5_are_independent_of_the_padding_of_their_batch(vlm: Vlm) -> None:
    """Its linear attention reads padding, unlike attention with a causal mask, but only behind the row's own tokens."""
    policy = Transformers(vlm("qwen3_5"))
    talks = [[*opened(policy.encoder, number).messages, Message("assistant", ("It is B.",))] for number in (0, 2)]
    encoded = [policy.encoder.row(talk) for talk in talks]
    rows = [TrainingRow(np.asarray(ids), np.asarray(mask), images) for ids, mask, images in encoded]
    assert len(rows[0].ids) < len(rows[1].ids)

    def logits(*chosen: TrainingRow) -> torch.Tensor:
        batch = {name: value for name, value in batch_of(chosen, policy.encoder).items() if value.ndim}
        with torch.no_grad():
            made: torch.Tensor = policy.model(**batch).logits
        return made

    together, alone = logits(*rows), [logits(row)[0] for row in rows]
    for row, expected in zip(together, alone, strict=True):
        assert torch.allclose(row[: len(expected)], expected, atol=1e-4)


def test_the_two_engines_agree(vlm: Vlm) -> None:
    policy = Transformers(vlm("qwen2_5_vl"))
    whole = WholeHistory(policy.model, policy.encoder, 4, 4096, policy._engine.eos)
    ours, theirs = (play(engine, temperature=1.0)[1] for engine in (policy._engine, whole))
    for one, other in zip(flat(ours), flat(theirs), strict=True):
        assert (one.text, one.token_ids, one.new_prompt_ids) == (other.text, other.token_ids, other.new_prompt_ids)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_their_limits_choices_and_faults_are_the_same(vlm: Vlm) -> None:
    policy = Transformers(vlm("idefics3"), max_context=400)
    text_only, full, broken = Dialogue(), Dialogue(), Dialogue()
    text_only.add("user", ["?"])
    full.add("user", ["x" * 5000])
    broken.messages.append(None)  # type: ignore[arg-type]
    asked = {"text": text_only, "full": full, "broken": broken, "seen": opened(policy.encoder)}
    for name, dialogue in asked.items():
        policy.submit(Request(key(name), dialogue, Sampling(choices=("<answer>B</answer>",), max_tokens=50)))
    replies = {name[1]: reply for name, reply in policy.poll()}
    assert replies["text"].text == replies["seen"].text == "<answer>B</answer>"
    assert replies["full"] == Reply("", finish="length", error=CONTEXT_FULL)
    assert replies["broken"].finish == "error"


# options


def test_options_come_with_the_spec(vlm: Vlm) -> None:
    policy = make_policy(f"transformers:{vlm('qwen3_vl')}?dtype=bfloat16&slots=2&max_context=500&max_pixels=4096")
    assert isinstance(policy, Transformers)
    assert policy.model.dtype == torch.bfloat16
    assert isinstance(policy._engine, Decoder)
    assert (policy._engine.slots, policy._engine.max_context) == (2, 500)
    assert policy.vision_size(500, 500) == (64, 64)
    assert all(reply.finish != "error" for reply in flat(play(policy, count=3, turns=2)[1]))


def test_a_device_map_spreads_the_model(vlm: Vlm) -> None:
    mapped, plain = Transformers(vlm("qwen3_vl"), dtype="float32", device_map="auto"), Transformers(vlm("qwen3_vl"))
    assert plain.model.dtype == torch.float32
    one, other = (play(policy, count=2, turns=2)[1] for policy in (mapped, plain))
    assert [r.token_ids for r in flat(one)] == [r.token_ids for r in flat(other)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dtype": "float8"}, r'dtype: unknown "float8" \(known: auto, float32, bfloat16\)'),
        ({"device": "toaster"}, 'got "toaster"'),
        ({"device": "cuda:7"}, "there is no cuda:7; torch sees 0 GPUs"),
        ({"slots": 0}, "slots: expected a whole number of at least 1, got 0"),
        ({"max_context": 1.5}, "max_context: expected a whole number of at least 0, got 1.5"),
        ({"max_context": 10_000}, "10000 is more than the 8192 tokens"),
        ({"min_pixels": 9000, "max_pixels": 5000}, "no picture of 32×32 tokens fits"),
    ],
)
def test_wrong_options_are_refused(vlm: Vlm, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Transformers(vlm("qwen3_vl"), **options)


# what cannot be loaded


@pytest.mark.parametrize("argument", ["./nowhere", "/no/such/folder", "a/b/c", "~/no such model"])
def test_a_path_that_is_not_there_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match="expected a model folder or a hub id"):
        make_policy(f"transformers:{argument}")


def test_the_model_must_be_named() -> None:
    with pytest.raises(ValueError, match="name the model"):
        Transformers("")


def spoiled(folder: Path, name: str, change: Callable[[dict[str, Any]], Any] | None = None) -> str:
    """The folder with one file changed, or without it."""
    if change is None:
        (folder / name).unlink()
    else:
        content = json.loads((folder / name).read_text())
        change(content)
        (folder / name).write_text(json.dumps(content))
    return str(folder)


def test_a_folder_without_a_model_is_refused(copied: Path) -> None:
    with pytest.raises(ValueError, match=r"no config\.json, so it is not a model folder"):
        Transformers(spoiled(copied, "config.json"))


def test_a_folder_without_a_processor_is_refused(copied: Path) -> None:
    with pytest.raises(ValueError, match="cannot load a processor"):
        Transformers(spoiled(copied, "processor_config.json"))


def test_a_folder_without_a_chat_template_is_refused(copied: Path) -> None:
    with pytest.raises(ValueError, match="no chat template"):
        Transformers(spoiled(copied, "chat_template.jinja"))


def test_a_folder_without_weights_is_refused(copied: Path) -> None:
    with pytest.raises(ValueError, match="cannot load the weights"):
        Transformers(spoiled(copied, "model.safetensors"))


def test_a_model_that_reads_no_pictures_is_refused(copied: Path) -> None:
    text = spoiled(copied, "config.json", lambda config: config.update(model_type="qwen3"))
    with pytest.raises(ValueError, match='"qwen3" do not read pictures and write text'):
        Transformers(text)


def test_an_unknown_architecture_is_refused(copied: Path) -> None:
    unknown = spoiled(copied, "config.json", lambda config: config.update(model_type="hal9000"))
    with pytest.raises(ValueError, match="hal9000"):
        Transformers(unknown)


def test_a_model_that_does_not_fit_is_refused(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    params = sum(p.numel() for p in loading.load_model(vlm("qwen3_vl")).parameters())
    assert loading.weight_bytes(vlm("qwen3_vl"), 2) == pytest.approx(
        2 * params, rel=0.2
    )  # tied weights are stored once
    assert loading.weight_bytes(vlm("qwen3_vl"), 0) == loading.weight_bytes(vlm("qwen3_vl"), 4)
    assert loading.free_bytes(torch, torch.device("cpu")) > 2**20
    monkeypatch.setattr(loading, "free_bytes", lambda *given: 2**20)
    with pytest.raises(MemoryError, match=r"needs about 0\.0 GiB, but cpu has 0\.0 GiB free; try .*bfloat16"):
        Transformers(vlm("qwen3_vl"))


def test_a_missing_package_is_named_with_its_pip_line(vlm: Vlm, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    real = importlib.import_module

    def without(name: str, *args: Any) -> Any:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return real(name, *args)

    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(MissingPackage, match=r'torch is not installed; run pip install "o3gym\[transformers\]"'):
        Transformers(vlm("qwen3_vl"))
