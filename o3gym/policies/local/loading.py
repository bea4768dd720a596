"""Loading models with transformers, after checking everything that can be checked before the weights are read."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from o3gym.policies.local.internals import check_internals
from o3gym.registry import require

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""Pattern of a hub id: NAME or OWNER/NAME."""
DTYPES = ("auto", "float32", "bfloat16")
"""Accepted values of the option `dtype`."""
OVERHEAD = 1.1
"""Required memory / memory of the weights: covers buffers and activations of short turns, but not the KV cache."""
GIB = 2.0**30
"""Bytes in a gibibyte."""


def located(argument: str) -> str:
    """Returns the path of a model folder with "~" expanded, or a hub id unchanged.

    Raises:
        ValueError: the argument is empty, is neither a folder nor a hub id, or names a folder without a model.
    """
    if not argument:
        raise ValueError('name the model: "transformers:FOLDER" or "transformers:HUB_ID"')
    path = Path(argument).expanduser()
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ValueError(f"{argument}: the folder has no config.json, so it is not a model folder")
        return str(path)
    if path.exists() or not HUB_ID.fullmatch(argument) or argument.startswith("."):
        raise ValueError(f"{argument}: expected a model folder or a hub id (OWNER/NAME), and this is neither")
    return argument


def load_config(path: str) -> Any:
    """Loads the configuration of an image-text-to-text model.

    Raises:
        ValueError: there is no configuration, or it belongs to another kind of model.
    """
    transformers = require("transformers", "transformers")
    try:
        config = transformers.AutoConfig.from_pretrained(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:300]
        raise ValueError(f"{path}: cannot load a model: {reason}") from error
    check_internals("transformers", {"models.auto.modeling_auto:MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES": ()})
    known = require("transformers.models.auto.modeling_auto", "transformers")
    if config.model_type not in known.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        raise ValueError(f'{path}: models of type "{config.model_type}" do not read pictures and write text')
    return config


def load_model(path: str, dtype: str = "auto", device: str = "auto", device_map: str = "") -> Any:
    """Loads a model in eval mode onto the device where it will run.

    Args:
        path: a folder or hub id, from `located`.
        dtype: "float32", "bfloat16", or "auto" for the checkpoint's own dtype on a GPU and float32 on a CPU.
        device: "cpu", "cuda", "cuda:1", …, or "auto" for the GPU if there is one.
        device_map: accelerate's device map, for example "auto" to spread a model over several GPUs; it overrides
            `device`.

    Raises:
        ValueError: the dtype or device is unknown, the architecture is not supported, or there are no weights.
        MemoryError: the weights do not fit into memory.
    """
    torch, transformers = require("torch", "transformers"), require("transformers", "transformers")
    if dtype not in DTYPES:
        raise ValueError(f'dtype: unknown "{dtype}" (known: {", ".join(DTYPES)})')
    place = _device(torch, device)
    config = load_config(path)
    wanted = "float32" if dtype == "auto" and place.type == "cpu" and not device_map else dtype
    _check_memory(torch, path, wanted, place, device_map)
    if device_map:
        require("accelerate", "transformers")
    try:
        model = transformers.AutoModelForImageTextToText.from_pretrained(
            path, config=config, dtype=wanted, **({"device_map": device_map} if device_map else {})
        )
    except OSError as error:
        raise ValueError(f"{path}: cannot load the weights: {str(error).splitlines()[0][:300]}") from error
    return model.eval() if device_map else model.to(place).eval()


def _device(torch: Any, name: str) -> Any:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:  # not a device name
        raise ValueError(f'device: expected auto, cpu, cuda, cuda:1 or the like, got "{name}"') from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device: there is no {name}; torch sees {torch.cuda.device_count()} GPUs")
    return device


def _check_memory(torch: Any, path: str, dtype: str, device: Any, device_map: str) -> None:
    """Raises MemoryError now instead of after minutes of loading. Weights that are not in a local folder count as 0."""
    need = OVERHEAD * weight_bytes(path, {"float32": 4, "bfloat16": 2}.get(dtype, 0))
    free = free_bytes(torch, device, bool(device_map))
    if need > free:
        where = "all devices together" if device_map else str(device)
        raise MemoryError(
            f"{path} needs about {need / GIB:.1f} GiB, but {where} has {free / GIB:.1f} GiB free; "
            'try "?dtype=bfloat16", "?device_map=auto" or a smaller model'
        )


def free_bytes(torch: Any, device: Any, everywhere: bool = False) -> int:
    """Returns the free bytes of a device, or with `everywhere` those of all GPUs and the main memory together."""
    gpus = [int(torch.cuda.mem_get_info(number)[0]) for number in range(torch.cuda.device_count())]
    main = int(require("psutil", "transformers").virtual_memory().available)
    if everywhere:
        return main + sum(gpus)
    if device.type == "cuda":
        return gpus[device.index or 0]
    return main


def weight_bytes(path: str, itemsize: int) -> int:
    """Returns the size of a folder's safetensors weights in bytes; 0 if there are none.

    Args:
        path: the folder.
        itemsize: bytes per number; 0 for the stored size.
    """
    total = 0
    for file in sorted(Path(path).glob("*.safetensors")):
        for count, stored in _tensors(file):
            total += count * itemsize if itemsize else stored
    return total


def _tensors(file: Path) -> Iterator[tuple[int, int]]:
    """Yields (count of numbers, bytes) per tensor, read from the header.

    Format: https://github.com/huggingface/safetensors#format.
    """
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    for name, entry in header.items():
        if name != "__metadata__":
            count = 1
            for side in entry["shape"]:
                count *= side
            yield count, entry["data_offsets"][1] - entry["data_offsets"][0]
