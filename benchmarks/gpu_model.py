"""The model of `benchmarks/gpu.py`: the shape of Qwen2.5-VL-3B, or a toy, with random weights."""

from __future__ import annotations

from typing import Any

import torch
import transformers

from o3gym.policies.local.processors import image_only
from o3gym.train.models import part_of
from tests.policies.local import vlm_folders
from tests.train import tiny_folder


def qwen_3b(words: Any) -> Any:
    """Returns the configuration of Qwen2.5-VL-3B-Instruct, with the special tokens of another tokenizer."""
    ids = {token.strip("<|>"): words.convert_tokens_to_ids(token) for token in tiny_folder.SPECIAL}
    text = {
        **{"vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36},
        **{"num_attention_heads": 16, "num_key_value_heads": 2, "max_position_embeddings": 32768},
        **{"rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}},
        **{"eos_token_id": ids["im_end"], "pad_token_id": ids["endoftext"], "tie_word_embeddings": True},
    }
    vision = {
        **{"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048},
        **{"patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31]},
    }
    return transformers.Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["image_pad"],
        video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        tie_word_embeddings=True,
    )


def random_model(texts: list[str], side: int, device: str, dtype: torch.dtype, *, toy: bool) -> tuple[Any, Any]:
    """Returns a model with random weights on the device, and its processor.

    Args:
        texts: texts that the tokenizer is trained on. It makes about as many tokens of them as Qwen's own does.
        side: longest side of a square picture in pixels.
        device: where the model is.
        dtype: dtype of its weights.
        toy: whether the model has 100,000 parameters instead of Qwen2.5-VL-3B's shape.
    """
    words = tiny_folder.tokenizer(texts, 700)
    images = transformers.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 28 * 28, "longest_edge": side**2},
        **{"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2},
    )
    name = image_only(transformers.Qwen2_5_VLProcessor)
    processor = name(images, words, chat_template=vlm_folders.QWEN_TEMPLATE)
    torch.manual_seed(0)
    if toy:
        return vlm_folders.qwen_model("qwen2_5_vl", words, 64, 2).to(device, dtype), processor
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):  # 3.8 billion random numbers take minutes on a CPU
            model = transformers.Qwen2_5_VLForConditionalGeneration(qwen_3b(words))
    finally:
        torch.set_default_dtype(before)
    return model, processor


def learnt_from(model: Any) -> int:
    """Returns the number of parameters that a token passes: those of the language model, its output layer included."""
    return sum(p.numel() for name, p in model.named_parameters() if part_of(name) == "language")
