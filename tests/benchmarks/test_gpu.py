"""The benchmark for a GPU, on the CPU at toy size: the same code from start to end, section by section."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_model
from o3gym.registry import REWARDS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu() -> Iterator[Any]:
    spec = importlib.util.spec_from_file_location("benchmark_of_a_gpu", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["benchmark_of_a_gpu"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["benchmark_of_a_gpu"]


def toy(gpu: Any, out: Path, *more: str) -> int:
    return int(gpu.main(["--device", "cpu", "--toy", "--out", str(out), *more]))


def test_all_sections_run_and_are_not_run_again(
    gpu: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gpu.json"
    assert toy(gpu, out) == 0
    table = capsys.readouterr().out
    for line in ("TFLOP/s", "own decoder: sampled tokens a second", "seconds of update", "of the matrix rate, updates"):
        assert line in table
    assert "gradients within 1e-3 of the formula's | yes" in table
    assert (tmp_path / "gpu.md").read_text() == table
    assert gpu.REWARD not in REWARDS._loaded
    sections = json.loads(out.read_text())["sections"]
    assert set(sections) == set(gpu.SECTIONS)
    assert sections["step"]["tokens"] > sections["rollout"]["written"] > 100
    assert sections["vllm"] == {"skipped": "vLLM is not installed"}
    for name in set(gpu.SECTIONS) - {"vllm"}:
        monkeypatch.setitem(gpu.SECTIONS, name, lambda setting: pytest.fail("measured twice"))
    assert toy(gpu, out) == 0
    assert capsys.readouterr().out == table


def test_a_section_that_fails_is_named_and_tried_again(
    gpu: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "gpu.json"

    def broken(setting: Any) -> Any:
        raise MemoryError("the card is too small")

    for name in gpu.SECTIONS:
        monkeypatch.setitem(gpu.SECTIONS, name, broken)
    monkeypatch.setitem(gpu.SECTIONS, "matrix", lambda setting: {"tflops": 1.0})
    assert toy(gpu, out) == 1
    assert "| step | MemoryError: the card is too small |" in capsys.readouterr().out
    monkeypatch.setitem(gpu.SECTIONS, "parity", lambda setting: {"gaps": {"plain": 0.5}, "met": False})
    assert toy(gpu, out) == 1
    assert "gradients within 1e-3 of the formula's | NO" in capsys.readouterr().out
    assert toy(gpu, tmp_path / "late.json", "--limit", "0") == 1
    assert "| step | not run yet |" in capsys.readouterr().out
    out.write_text(out.read_text().replace("no card", "another card"))
    with pytest.raises(SystemExit, match="another machine"):
        toy(gpu, out)


def test_without_a_card_it_says_how_to_test_it(gpu: Any, capsys: pytest.CaptureFixture[str]) -> None:
    if not gpu.torch.cuda.is_available():
        assert gpu.main([]) == 2
        assert "--device cpu --toy" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        gpu.main(["--device", "cpu"])


def test_the_model_has_the_shape_of_qwen_3b() -> None:
    """3,754,622,976 parameters, of which 3,085,938,688 are the language model's: as in the released checkpoint."""
    with gpu_model.torch.device("meta"):
        words = gpu_model.tiny_folder.tokenizer()
        model = gpu_model.transformers.Qwen2_5_VLForConditionalGeneration(gpu_model.qwen_3b(words))
    assert sum(p.numel() for p in model.parameters()) == 3_754_622_976
    assert gpu_model.learnt_from(model) == 3_085_938_688
