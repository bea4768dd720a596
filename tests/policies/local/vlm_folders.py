"""Small random vision-language models, saved as the folders that a hub checkpoint is: config, weights, processor."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from o3gym.policies.local.processors import image_only, save_processor

QWEN = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad")
QWEN_SPECIAL = [f"<|{name}|>" for name in QWEN]
IDEFICS_SPECIAL = ["<s>", "</s>", "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
IDEFICS_SPECIAL += [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
CORPUS = (
    "system user assistant You are a helpful assistant. Find the red square in the picture. "
    '<answer>A</answer> {"name": "crop", "arguments": {"box": [0.1, 0.25, 0.5, 0.75]}} ' + string.printable
)
QWEN_CLASSES = {
    "qwen2_vl": "Qwen2VL",
    "qwen2_5_vl": "Qwen2_5_VL",
    "qwen3_vl": "Qwen3VL",
    "qwen3_vl_moe": "Qwen3VLMoe",
    "qwen3_5": "Qwen3_5",
    "qwen3_5_moe": "Qwen3_5Moe",
}
QWEN_TEMPLATE = """\
{% for message in messages %}
{%- if loop.first and message.role != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message.role }}
{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content -%}
{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif -%}
{%- endfor %}{% endif %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
IDEFICS_TEMPLATE = """\
<s>{% for message in messages %}{{ message.role | capitalize }}:{% for part in message.content %}
{%- if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""


def tokenizer(special: list[str], eos: str, pad: str) -> Any:
    """Byte-level BPE of about 600 tokens, trained on one sentence."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=500, initial_alphabet=alphabet, special_tokens=[], show_progress=False)
    made.train_from_iterator([CORPUS] * 20, trainer)
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    made.add_tokens([AddedToken(token, normalized=False) for token in ("<tool_call>", "</tool_call>")])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=eos, pad_token=pad)


def qwen(
    folder: Path,
    family: str = "qwen2_5_vl",
    hidden: int = 64,
    layers: int = 2,
    most: int = 256 * 256,
    tied: bool = True,
    tower: int | None = None,
) -> str:
    """A folder with a model of one of the families in `QWEN_CLASSES`.

    `tower` is the width of the vision tower of a Qwen3-VL, which then has one layer instead of two.
    """
    words = tokenizer(QWEN_SPECIAL, "<|im_end|>", "<|endoftext|>")
    model = qwen_model(family, words, hidden, layers, tied, tower)
    patch = 16 if "qwen3" in family else 14
    images = transformers.Qwen2VLImageProcessorPil(
        size={"shortest_edge": 28 * 28, "longest_edge": most}, patch_size=patch, merge_size=2, temporal_patch_size=2
    )
    name = {"qwen2_vl": "Qwen2VLProcessor", "qwen2_5_vl": "Qwen2_5_VLProcessor"}.get(family, "Qwen3VLProcessor")
    processor = image_only(getattr(transformers, name))(images, words, chat_template=QWEN_TEMPLATE)
    model.save_pretrained(folder)
    save_processor(processor, folder)
    return str(folder)


def qwen_model(family: str, words: Any, hidden: int, layers: int, tied: bool = True, tower: int | None = None) -> Any:
    ids = dict(zip(QWEN, words.convert_tokens_to_ids(QWEN_SPECIAL), strict=True))
    half = hidden // 8
    sections = [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8]
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections}
    text: dict[str, Any] = {
        "vocab_size": (len(words) + 63) // 64 * 64, "hidden_size": hidden, "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2,
        "max_position_embeddings": 8192, "rope_parameters": rope, "tie_word_embeddings": tied,
        "bos_token_id": ids["endoftext"], "eos_token_id": ids["im_end"], "pad_token_id": ids["endoftext"],
    }  # fmt: skip
    vision: dict[str, Any] = {"depth": 2, "num_heads": 4, "initializer_range": 0.1}
    if "qwen3" in family:
        rope["mrope_interleaved"] = True
        text["head_dim"] = hidden // 4
        width = tower or hidden
        vision |= {"hidden_size": width, "intermediate_size": 2 * width, "patch_size": 16}
        vision["depth"] = 1 if tower else 2
        vision |= {"num_position_embeddings": 256, "out_hidden_size": hidden}
    else:
        vision |= {"patch_size": 14}
    if family in ("qwen3_vl", "qwen3_vl_moe"):
        vision["deepstack_visual_indexes"] = [0]
    if family.startswith("qwen3_5"):  # one layer of linear attention, one of full attention, half of each head rotated
        rope |= {"partial_rotary_factor": 1.0}
        heads = {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
        sizes = {"linear_key_head_dim": hidden // 4, "linear_value_head_dim": hidden // 4}
        text |= {"layer_types": ["linear_attention", "full_attention"] * (layers // 2), **heads, **sizes}
    if family.endswith("_moe"):
        text |= {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": hidden}
    if family == "qwen3_5_moe":
        text["shared_expert_intermediate_size"] = hidden
    if family == "qwen2_vl":
        vision |= {"embed_dim": hidden, "hidden_size": hidden, "mlp_ratio": 2}
    if family == "qwen2_5_vl":
        vision |= {"hidden_size": hidden, "intermediate_size": 2 * hidden, "out_hidden_size": hidden}
        vision |= {"window_size": 56, "fullatt_block_indexes": [1]}
    prefix = QWEN_CLASSES[family]
    config = getattr(transformers, f"{prefix}Config")(
        text_config=text, vision_config=vision, image_token_id=ids["image_pad"], video_token_id=ids["video_pad"],
        vision_start_token_id=ids["vision_start"], vision_end_token_id=ids["vision_end"], tie_word_embeddings=tied,
    )  # fmt: skip
    torch.manual_seed(0)
    model = getattr(transformers, f"{prefix}ForConditionalGeneration")(config)
    model.generation_config.eos_token_id = [ids["im_end"], ids["endoftext"]]
    model.generation_config.pad_token_id = ids["endoftext"]
    return model


def idefics(folder: Path) -> str:
    """A folder with a model of another family, whose processor splits pictures and needs no torchvision."""
    words = tokenizer(IDEFICS_SPECIAL, "<end_of_utterance>", "</s>")
    words.bos_token = "<s>"
    config = transformers.Idefics3Config(
        image_token_id=words.convert_tokens_to_ids("<image>"), scale_factor=2,
        text_config={"model_type": "llama", "vocab_size": (len(words) + 63) // 64 * 64, "hidden_size": 64,
                     "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
                     "num_key_value_heads": 2, "max_position_embeddings": 4096, "initializer_range": 0.2,
                     "pad_token_id": words.pad_token_id},
        vision_config={"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
                       "image_size": 56, "patch_size": 14, "initializer_range": 0.1},
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.Idefics3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = words.eos_token_id
    model.generation_config.pad_token_id = words.pad_token_id
    images = transformers.Idefics3ImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 56})
    processor = transformers.Idefics3Processor(images, words, image_seq_len=4, chat_template=IDEFICS_TEMPLATE)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
