"""Processors of vision-language models: loading with or without torchvision, and the rule by which they resize."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from o3gym.policies.local.internals import check_internals
from o3gym.registry import MissingPackage, require
from o3gym.types import Size

IMAGE_ONLY: Mapping[str, str] = {
    "qwen2_vl": "Qwen2VLProcessor",
    "qwen2_5_vl": "Qwen2_5_VLProcessor",
    "qwen3_vl": "Qwen3VLProcessor",
    "qwen3_vl_moe": "Qwen3VLProcessor",
    "qwen3_5": "Qwen3VLProcessor",
    "qwen3_5_moe": "Qwen3VLProcessor",
}
"""Model types whose processor class requires a video processor and thus torchvision, although pictures do not."""
MOST_NARROW = 200
"""Maximum ratio of long side to short side of a picture that the Qwen processors accept."""


def load_processor(path: str) -> Any:
    """Loads the processor of a model folder or hub id: tokenizer, image processor and chat template.

    Without torchvision, the Qwen families get their own processor without its video part. Pillow then resizes pictures,
    with values that differ from torchvision's by at most 0.03 after normalisation.

    Raises:
        ValueError: the model has no processor, or no chat template.
        MissingPackage: transformers is missing, or the processor needs a package such as torchvision.
    """
    transformers = require("transformers", "transformers")
    try:
        processor = _loader(transformers, path).from_pretrained(path)
    except ImportError as error:
        raise MissingPackage(f"the processor of {path} needs a package: {_first_line(error)}") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: cannot load a processor: {_first_line(error)}") from error
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ValueError(f"{path}: the processor is a {type(processor).__name__}, which accepts no pictures")
    if not (processor.chat_template or processor.tokenizer.chat_template):
        raise ValueError(f"{path}: there is no chat template (chat_template.jinja), so the model cannot hold dialogues")
    return processor


def save_processor(processor: Any, folder: Path) -> None:
    """Saves a processor so that it loads everywhere, even with torchvision, where a video part is expected."""
    processor.save_pretrained(folder)
    file = folder / "processor_config.json"
    name = type(processor).__name__
    if name not in IMAGE_ONLY.values() or not file.exists():
        return
    config = json.loads(file.read_text("utf-8"))
    config["processor_class"] = name
    images = processor.image_processor
    kind = "Qwen3VLVideoProcessor" if name == "Qwen3VLProcessor" else "Qwen2VLVideoProcessor"
    sizes = {key: getattr(images, key) for key in ("patch_size", "merge_size", "temporal_patch_size")}
    config.setdefault("video_processor", {"video_processor_type": kind, **sizes})
    file.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _loader(transformers: Any, path: str) -> Any:
    if transformers.utils.is_torchvision_available():
        return transformers.AutoProcessor
    kind = transformers.AutoConfig.from_pretrained(path).model_type
    if kind not in IMAGE_ONLY:
        return transformers.AutoProcessor
    return image_only(getattr(transformers, IMAGE_ONLY[kind]))


def image_only(base: Any) -> Any:
    """Derives a Qwen processor class that has no video part.

    transformers reads the parts of a processor from the signature of `__init__`, so leaving one out there is enough.
    The class keeps its name, because `save_pretrained` records it.
    """
    check_internals("transformers", {"processing_utils:ProcessorMixin.get_attributes": ()})  # what reads that signature

    def __init__(self: Any, image_processor: Any = None, tokenizer: Any = None, chat_template: Any = None) -> None:  # noqa: N807
        for name in ("image", "video", "vision_start", "vision_end"):
            token = f"<|{name}_pad|>" if name in ("image", "video") else f"<|{name}|>"
            setattr(self, f"{name}_token", token)
            setattr(self, f"{name}_token_id", tokenizer.convert_tokens_to_ids(token))
        mixin = require("transformers.processing_utils", "transformers").ProcessorMixin
        mixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    return type(base.__name__, (base,), {"__init__": __init__})


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def patch_size(image_processor: Any) -> int:
    """Returns the side in pixels of the square that becomes one token of a Qwen model; 0 for other families."""
    if not type(image_processor).__name__.startswith(("Qwen2VL", "Qwen3VL")):
        return 0
    return int(image_processor.patch_size * image_processor.merge_size)


def pixel_limits(image_processor: Any, min_pixels: int = 0, max_pixels: int = 0) -> tuple[int, int]:
    """Returns the minimum and maximum pixels of a picture for a Qwen model: as given, else the checkpoint's own.

    Raises:
        ValueError: no picture of whole tokens fits the limits.
    """
    size = image_processor.size
    own = size if isinstance(size, Mapping) else vars(size)
    factor = patch_size(image_processor)
    # newer checkpoints store areas under the names of edges; the defaults are those of Qwen2-VL
    least = min_pixels or int(own.get("shortest_edge") or own.get("min_pixels") or 56 * 56)
    most = max_pixels or int(own.get("longest_edge") or own.get("max_pixels") or 28 * 28 * 1280)
    if most // factor**2 < max(1, -(-least // factor**2)):
        raise ValueError(f"min_pixels={least} and max_pixels={most}: no picture of {factor}×{factor} tokens fits")
    return least, most


def smart_size(size: Size, factor: int, least: int, most: int) -> Size:
    """Applies the Qwen processors' resizing rule once: sides in multiples of `factor`, area within the limits.

    Source: `smart_resize` of transformers, models/qwen2_vl; a test compares the two.
    """
    width, height = size
    wide, high = (round(side / factor) * factor for side in size)
    if wide * high > most:
        scale = math.sqrt(width * height / most)
        wide, high = (max(factor, math.floor(side / scale / factor) * factor) for side in size)
    elif wide * high < least:
        scale = math.sqrt(least / (width * height))
        wide, high = (math.ceil(side * scale / factor) * factor for side in size)
    return wide, high


def settled_size(size: Size, factor: int, least: int, most: int) -> Size:
    """Returns a size that the resizing rule does not change.

    This is the rule's result for `size` if the rule leaves that result alone, otherwise a valid size of similar shape.
    The rule is not idempotent: a narrow strip that it shrinks to the width of one token may still exceed the limit. It
    also refuses pictures more than 200 times as long as wide; those are shown less narrow.

    Views must have such a size, because they are resized by o3gym first. If the processor resized them again, pixels
    would be resampled twice, and boxes on the shown picture would no longer refer to the pixels that the model sees.
    """
    floor = math.ceil(max(size) / MOST_NARROW)  # the shortest side that is accepted with such a long one
    wide, high = max(size[0], floor), max(size[1], floor)
    shown = smart_size((wide, high), factor, least, most)
    if max(shown) <= MOST_NARROW * min(shown) and smart_size(shown, factor, least, most) == shown:
        return shown
    return _nearest(wide / high, factor, -(-least // factor**2), most // factor**2)


def _nearest(shape: float, factor: int, least: int, most: int) -> Size:
    """Finds the size of `least` to `most` tokens whose width / height is nearest to `shape`, on a logarithmic scale."""
    smallest, best = math.inf, (factor, factor)
    for high in range(1, most + 1):
        wide = min(max(round(high * shape), -(-least // high)), most // high)
        if least <= wide * high and max(wide, high) <= MOST_NARROW * min(wide, high):
            distance = abs(math.log(wide / high / shape))
            if distance < smallest:
                smallest, best = distance, (wide * factor, high * factor)
    return best
