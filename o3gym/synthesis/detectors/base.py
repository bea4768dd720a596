"""What a layout detector is: something that names the blocks of a picture."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from o3gym.registry import DETECTORS, UnknownName, build_plugin, closest, parse_spec
from o3gym.types import Box, Source, Target


@dataclass(frozen=True)
class LayoutBlock:
    """One box of a layout.

    Attributes:
        box: unit xyxy of the picture.
        label: its class, by PP-DocLayout's names: "text", "image", "table", "chart", "figure_title",
            "paragraph_title", "header", …
        score: how sure the detector is, 0..1.
    """

    box: Box
    label: str
    score: float = 1.0


@dataclass(frozen=True)
class Page:
    """A picture to find blocks in.

    Attributes:
        name: what it is called in files and errors, unique within a run.
        source: the picture.
        targets: boxes in it that the tasks of its suite have; `Target.source` is of no meaning here.
    """

    name: str
    source: Source
    targets: tuple[Target, ...] = ()


class Detector:
    """Base of all detectors. Subclass and implement `detect`; plug-ins are named "package.module:Class"."""

    def detect(self, page: Page) -> Sequence[LayoutBlock]:
        """The blocks of a picture, in any order; none is an answer.

        Raises:
            PictureError: the picture cannot be read. Whatever is raised, the picture is skipped and counted.
        """
        raise NotImplementedError


def make_detector(spec: str) -> Detector:
    """A detector by its spec: "truth", "rapid_layout?threshold=0.3", "package.module:Class?option=value".

    Raises:
        UnknownName: neither a registered name nor a class that can be imported; gives the closest name.
        TypeError: naming an option that it does not have.
    """
    name, argument, options = parse_spec(spec)
    factory, argument = _factory(name, argument)
    detector: Detector = build_plugin("detector", name, factory, argument, **options)
    return detector


def _factory(name: str, argument: str) -> tuple[Any, str]:
    """What makes the detector, and the argument that is left for it."""
    try:
        return DETECTORS[name], argument
    except UnknownName as unknown:
        module = _imported(name) if argument else None
        if module is None:
            raise UnknownName(f'{unknown}; one of your own is "package.module:Class"') from None
    if not hasattr(module, argument):
        raise UnknownName(f'module {name} has no "{argument}"{closest(argument, vars(module))}')
    return getattr(module, argument), ""


def _imported(name: str) -> Any:
    """The module, or None if there is none; what fails inside of it is raised."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not f"{name}.".startswith(f"{error.name}."):
            raise
        return None
