"""Checks of what provides tasks and pictures: suites, generators, operations, detectors and demonstrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PIL import Image

from o3gym.codec import encode
from o3gym.media.images import shared_store
from o3gym.media.pixels import pixels_of, to_rgb
from o3gym.policies.dialogue import Message, Picture
from o3gym.suites.base import Suite
from o3gym.synthesis.detectors.base import Detector, LayoutBlock, Page
from o3gym.testing.episodes import SCENE, expect, expect_type
from o3gym.train.data.sources import Demonstrations, size_of
from o3gym.types import Box, Size, Source, Target, Task

Drawing = Callable[..., Image.Image]

PAGES = (
    Page("chart", Source.generated("synthetic", family="chart", difficulty="easy", seed=0, pixels=160_000)),
    Page("annotated", SCENE, (Target((0.1, 0.1, 0.5, 0.4), label="table"),)),
)
"""Pictures that a detector is tried on."""


def check_suite(suite: Suite, count: int = 20) -> None:
    """The first tasks are well-formed, repeatable and unique, and their pictures can be read."""
    expect_type(suite, Suite, "suite")
    expect(len(suite) > 0, f"{suite.name} has no tasks")
    tasks = [suite[i] for i in range(min(count, len(suite)))]
    expect(len({task.id for task in tasks}) == len(tasks), f"{suite.name}: task ids are not unique")
    for index, task in enumerate(tasks):
        expect(encode(suite.task(index)) == encode(task), f"{task.id} differs when it is made a second time")
        _check_task(task)
        for source in task.sources:
            shared_store().size(source)


def _check_task(task: Task) -> None:
    expect(bool(task.sources and task.question), f"{task.id}: needs a picture and a question")
    if task.kind == "choice":
        known = task.letters
        expect(len(task.choices) >= 2 and task.answer in tuple(known), f"{task.id}: answer {task.answer!r} of {known}")
    for target in task.targets:
        inside = _is_region(target.box) and 0 <= target.source < len(task.sources)
        expect(inside, f"{task.id}: target {target.box} is not inside picture {target.source}")


def _is_region(box: Box) -> bool:
    """Whether a box has an area and lies inside its picture."""
    x0, y0, x1, y1 = box
    return 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1


def check_generator(generator: Drawing, **arguments: Any) -> None:
    """A generator draws a picture, and the same pixels from the same arguments, in every process."""
    _check_drawing(lambda: generator(**arguments), "generator")


def check_operation(operation: Drawing, **arguments: Any) -> None:
    """An operation makes a picture from a picture, and the same pixels from the same arguments."""
    picture = Image.fromarray(shared_store().region(SCENE))
    _check_drawing(lambda: operation(picture.copy(), **arguments), "operation")


def _check_drawing(draw: Callable[[], Image.Image], what: str) -> None:
    first, second = draw(), draw()
    expect_type(first, Image.Image, what)
    same = pixels_of(to_rgb(first)).tobytes() == pixels_of(to_rgb(second)).tobytes()
    expect(same, f"{what}: the same arguments give different pixels")


def check_generated_size(size_from: Callable[..., Size], generator: Drawing, **arguments: Any) -> None:
    """The size that is computed from a generator's arguments is the size of its picture."""
    told, drawn = tuple(size_from(**arguments)), generator(**arguments).size
    expect(told == drawn, f"generated_size: expected {drawn}, the size of the picture, got {told}")


def check_detector(detector: Detector) -> None:
    """A detector returns blocks inside the picture, each with a label and a score in 0..1."""
    expect_type(detector, Detector, "detector")
    for page in PAGES:
        for block in detector.detect(page):
            expect_type(block, LayoutBlock, f"page {page.name}")
            expect(_is_region(block.box), f"page {page.name}: {block.box} is empty or not inside the picture")
            expect(bool(block.label), f"page {page.name}: the block {block.box} has no label")
            expect(0 <= block.score <= 1, f"page {page.name}: expected a score in 0..1, got {block.score}")


def check_demonstrations(source: Demonstrations, count: int = 2) -> None:
    """A source gives repeatable dialogues whose pictures can be loaded and whose last message is the assistant's."""
    expect_type(source, Demonstrations, "demonstration")
    size = size_of(source)
    expect(size >= 0, f"size: expected 0 (endless) or more, got {size}")
    for index in range(min(count, size or count)):
        messages = list(source.example(index, 0))
        expect(
            messages == list(source.example(index, 0)), f"demonstration {index} differs when it is made a second time"
        )
        expect(bool(messages) and messages[-1].role == "assistant", f"demonstration {index} does not end with a reply")
        for message in messages:
            _check_message(message, index)


def _check_message(message: Message, index: int) -> None:
    expect_type(message, Message, f"demonstration {index}")
    for part in message.parts:
        if isinstance(part, Picture):
            width, height = part.view.shown
            shape = part.load().shape
            expect(shape == (height, width, 3), f"demonstration {index}: expected {(height, width, 3)}, got {shape}")
        else:
            expect_type(part, str, f"demonstration {index}")
