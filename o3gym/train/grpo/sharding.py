"""Weights that FSDP or DeepSpeed's ZeRO-3 shards over several processes, and how a process sees all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from o3gym.registry import require


def sharded() -> bool:
    """Returns whether `accelerate` was started so that each process keeps only a part of the weights."""
    return any(os.environ.get(f"ACCELERATE_USE_{way}", "").lower() == "true" for way in ("FSDP", "DEEPSPEED"))


@contextmanager
def gathered(parameter: Any) -> Iterator[Any]:
    """Yields the whole of a parameter that may be sharded. A collective call: every process has to make it."""
    if hasattr(parameter, "full_tensor"):  # FSDP 2
        yield parameter.full_tensor()
    elif hasattr(parameter, "ds_id"):  # ZeRO-3
        with require("deepspeed", "deepspeed").zero.GatheredParameters([parameter]):
            yield parameter
    else:
        yield parameter
