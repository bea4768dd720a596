"""The tiny model before training: a small Qwen3-VL with a word-level tokenizer.

Patches of 8 pixels and an initializer range of 0.08, because small models of this kind do not learn to see with
16-pixel patches or the usual 0.02. No DeepStack, because it doubles the projector.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from o3gym.policies.local.processors import image_only, load_processor
from o3gym.policies.tiny import WEIGHTS
from o3gym.policies.tiny.coder import WEIGHTS_CODER
from o3gym.registry import require
from o3gym.train.tiny.code_vocabulary import code_tokenizer
from o3gym.train.tiny.film_vocabulary import film_tokenizer
from o3gym.train.tiny.vocabulary import TEMPLATE, make_tokenizer

PATCH, MERGE = 8, 2
INITIAL = 0.08
"""Standard deviation of the initial weights."""
LIMITS = {"shortest_edge": 256, "longest_edge": 65_536}
"""Pixel limits of the processor, so wide that it leaves every size of `o3gym.policies.tiny.view_size` unchanged."""


def fresh(hidden: int = 128, layers: int = 4, vision_hidden: int = 96, vision_layers: int = 3) -> tuple[Any, Any]:
    """Returns a model with random weights (float32, from torch's current seed), and its processor."""
    return _with_words(make_tokenizer(), hidden, layers, vision_hidden, vision_layers)


def fresh_watcher(
    hidden: int = 128, layers: int = 4, vision_hidden: int = 96, vision_layers: int = 3
) -> tuple[Any, Any]:
    """The same architecture with the words of films (`o3gym.train.tiny.film_vocabulary`)."""
    return _with_words(film_tokenizer(), hidden, layers, vision_hidden, vision_layers)


def fresh_coder(hidden: int = 128, layers: int = 4, vision_hidden: int = 96, vision_layers: int = 3) -> tuple[Any, Any]:
    """The same architecture with the words of short programs (`o3gym.train.tiny.code_vocabulary`)."""
    return _with_words(code_tokenizer(), hidden, layers, vision_hidden, vision_layers)


def watcher_from_tiny() -> tuple[Any, Any]:
    """`fresh_watcher` with the weights of the model that comes with o3gym, which sees small things already."""
    return _with_weights_of_tiny(*fresh_watcher())


def coder_from_tiny() -> tuple[Any, Any]:
    """`fresh_coder` with the weights of the model that comes with o3gym, which reads codes already."""
    return _with_weights_of_tiny(*fresh_coder())


def _with_weights_of_tiny(model: Any, processor: Any) -> tuple[Any, Any]:
    """Takes over the weights of `tiny`, with the embeddings of words that both models know; others stay random."""
    torch = require("torch", "train")
    tiny, words = on_board()
    mine, known = processor.tokenizer.get_vocab(), words.tokenizer.get_vocab()
    state = {name: tensor for name, tensor in tiny.state_dict().items() if "embed_tokens" not in name}
    state.pop("lm_head.weight", None)
    model.load_state_dict(state, strict=False)
    with torch.no_grad():
        own, other = model.get_input_embeddings().weight, tiny.get_input_embeddings().weight
        for word in mine.keys() & known.keys():
            own[mine[word]] = other[known[word]]
    return model, processor


def _with_words(tokenizer: Any, hidden: int, layers: int, vision_hidden: int, vision_layers: int) -> tuple[Any, Any]:
    transformers = require("transformers", "train")
    images = transformers.Qwen2VLImageProcessorPil(
        size=LIMITS,
        patch_size=PATCH,
        temporal_patch_size=2,
        merge_size=MERGE,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    processor = image_only(transformers.Qwen3VLProcessor)(
        image_processor=images, tokenizer=tokenizer, chat_template=TEMPLATE
    )
    marks = ("image_pad", "video_pad", "vision_start", "vision_end")
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{mark}|>") for name, mark in zip(names, marks, strict=True)}
    config = transformers.Qwen3VLConfig(
        text_config=_text(len(tokenizer), hidden, layers, tokenizer),
        vision_config=_vision(vision_hidden, vision_layers, hidden),
        initializer_range=INITIAL,
        tie_word_embeddings=True,
        **ids,
    )
    model = transformers.Qwen3VLForConditionalGeneration(config)
    _initialise(model)
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    return model, processor


def on_board() -> tuple[Any, Any]:
    """Returns the model that comes with o3gym (float32) and its processor, for further training."""
    return _opened_weights(WEIGHTS)


def coder_on_board() -> tuple[Any, Any]:
    """Returns the small coder that comes with o3gym (float32) and its processor, for further training."""
    return _opened_weights(WEIGHTS_CODER)


def _opened_weights(folder: Path) -> tuple[Any, Any]:
    torch, transformers = require("torch", "train"), require("transformers", "train")
    model = transformers.AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model, load_processor(str(folder))


def _text(words: int, hidden: int, layers: int, tokenizer: Any) -> dict[str, Any]:
    heads = hidden // 32
    return {
        "vocab_size": -(-words // 64) * 64,
        "hidden_size": hidden,
        "intermediate_size": 3 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // 2,
        "head_dim": 32,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        # A small theta, because dialogues are short: at slower rotations neighbouring positions would hardly differ.
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 1e4,
            "mrope_section": [4, 6, 6],
            "mrope_interleaved": True,
        },
        "initializer_range": INITIAL,
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _vision(hidden: int, layers: int, out: int) -> dict[str, Any]:
    return {
        "depth": layers,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_heads": hidden // 48,
        "patch_size": PATCH,
        "spatial_merge_size": MERGE,
        "out_hidden_size": out,
        "num_position_embeddings": 24 * 24,
        "deepstack_visual_indexes": [],
        "initializer_range": INITIAL,
    }


def _initialise(model: Any) -> None:
    """Initialises all matrices alike; the model classes leave some at 0.02, whatever the configuration says."""
    torch = require("torch", "train")
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding | torch.nn.Conv3d):
            torch.nn.init.normal_(module.weight, std=INITIAL)
