"""Models of transformers, loaded after everything that could be wrong has been looked at."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from o3gym.registry import require

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
DTYPES = ("auto", "float32", "bfloat16")
OVERHEAD = 1.1
"""Memory that is needed / that of the weights: buffers, activations of short turns. Keys and values come on top."""
GIB = 2.0**30


def located(argument: str) -> str:
    """A model folder, or the hub id as it is. Raises ValueError for a path that does not exist or holds no model."""
    if not argument:
        raise ValueError('name the model: "transformers:FOLDER" or "transformers:HUB_ID"')
    path = Path(argument).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ValueError(f"{argument}: there is no config.json, so this is no model folder")
        return str(path)
    if path.exists() or not HUB_ID.fullmatch(argument) or argument.startswith("."):
        raise ValueError(f"{argument}: no such folder, and not a hub id (OWNER/NAME) either")
    return argument


def load_config(path: str) -> Any:
    """The configuration of an image-text-to-text model. Raises ValueError for any other."""
    transformers = require("transformers", "transformers")
    try:
        config = transformers.AutoConfig.from_pretrained(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise ValueError(f"{path}: no model can be loaded from there: {reason}") from error
    known = require("transformers.models.auto.modeling_auto", "transformers")
    if config.model_type not in known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise ValueError(f'{path}: a model of type "{config.model_type}" does not read pictures and write text')
    return config


def load_model(path: str, dtype: str = "auto", device: str = "auto", device_map: str = "") -> Any:
    """The model in eval mode, where it will run.

    Args:
        path: from `located`.
        dtype: "float32", "bfloat16", or "auto": the checkpoint's own on a GPU, float32 on a CPU.
        device: "cpu", "cuda", "cuda:1", …, or "auto": the GPU if there is one.
        device_map: of accelerate, for example "auto" to spread a model over several GPUs; `device` is then not used.

    Raises:
        ValueError: an unknown dtype or device, an unsupported architecture, no weights.
        MemoryError: the weights do not fit.
    """
    torch, transformers = require("torch", "transformers"), require("transformers", "transformers")
    if dtype not in DTYPES:
        raise ValueError(f'dtype: unknown "{dtype}" (known: {", ".join(DTYPES)})')
    place = _device(torch, device)
    config = load_config(path)
    wanted = "float32" if dtype == "auto" and place.type == "cpu" and not device_map else dtype
    _fits(torch, path, wanted, place, device_map)
    if device_map:
        require("accelerate", "transformers")
    try:
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            path, config=config, dtype=wanted, **({"device_map": device_map} if device_map else {})
        )
    except OSError as error:
        raise ValueError(f"{path}: no weights can be loaded from there: {str(error).splitlines()[0][:300]}") from error
    return model.eval() if device_map else model.to(place).eval()


def _device(torch: Any, name: str) -> Any:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f'device: "{name}" is none (try auto, cpu, cuda, cuda:1)') from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device: there is no {name}; torch sees {torch.cuda.device_count()} GPUs")
    return device


def _fits(torch: Any, path: str, dtype: str, device: Any, device_map: str) -> None:
    need = OVERHEAD * weight_bytes(path, {"float32": 4, "bfloat16": 2}.get(dtype, 0))
    free = free_bytes(torch, device, bool(device_map))
    if need > free:
        where = "all devices together" if device_map else str(device)
        raise MemoryError(
            f"{path} needs about {need / GIB:.1f} GiB and {where} has {free / GIB:.1f} GiB free; "
            'try "?dtype=bfloat16", "?device_map=auto" or a smaller model'
        )


def free_bytes(torch: Any, device: Any, everywhere: bool = False) -> int:
    """Free memory of a device, or of all GPUs and the main memory together."""
    gpus = [int(torch.cuda.mem_get_info(number)[0]) for number in range(torch.cuda.device_count())]
    main = int(require("psutil", "transformers").virtual_memory().available)
    if everywhere:
        return main + sum(gpus)
    if device.type == "cuda":
        return gpus[device.index or 0]
    return main


def weight_bytes(path: str, itemsize: int) -> int:
    """Bytes of a folder's safetensors weights at `itemsize` bytes a number (0: as stored); 0 if there are none."""
    total = 0
    for file in sorted(Path(path).glob("*.safetensors")):
        for count, stored in _tensors(file):
            total += count * itemsize if itemsize else stored
    return total


def _tensors(file: Path) -> Iterator[tuple[int, int]]:
    """(numbers, bytes) per tensor, from the header: https://github.com/huggingface/safetensors#format."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for side in entry["shape"]:
                count *= side
            yield count, entry["data_offsets"][1] - entry["data_offsets"][0]
