"""Plug-ins as another package would have them: one of each kind that is well made, and ones that break a rule."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from o3gym.dialects.grid import Grid
from o3gym.envs.controls import Control, NoTool
from o3gym.judges.base import Judgement, decided
from o3gym.judges.rules import exact
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message
from o3gym.policies.scripted import Sweep
from o3gym.registry import REWARDS
from o3gym.runs.exports.inspect_log import write_inspect
from o3gym.runs.suite_metrics import Measure
from o3gym.suites.synthetic import Synthetic
from o3gym.synthesis.detectors.base import Detector, LayoutBlock
from o3gym.tools.base import Arg, Invalid, Tool, ToolResult, ViewRequest
from o3gym.tools.crop import Crop
from o3gym.tools.size_rules import o3gym_size
from o3gym.train.data.sources import PolicySource
from o3gym.types import FULL, Call, Reply, Task

COUNTER = itertools.count()


# ── well made ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Look(Crop):
    name = "look"


class Letters(Grid):
    pass


class Signs(Synthetic):
    splits = ("train",)  # a suite without a test split


class Browse(Sweep):
    pass


class Blind(NoTool):
    pass


class Whole(Detector):
    def __init__(self, argument: str = "", score: float = 1.0) -> None:
        self.block = LayoutBlock(FULL, argument or "figure", score)

    def detect(self, page: Any) -> list[LayoutBlock]:
        return [self.block]


class Strict:
    """A judge that has to be built."""

    def __init__(self, argument: str) -> None:
        self.argument = argument

    def __call__(self, task: Task, answer: str, located: Any) -> Judgement:
        return exact(task, answer, located)


class Lessons(PolicySource):
    def __init__(self) -> None:
        super().__init__("oracle", suite_args={"family": "attribute", "difficulty": "easy", "pixels": 160_000})


OUTCOME = replace(REWARDS["outcome"], name="mine")
TURNS = Measure(
    lambda trajectory: len(trajectory.turns), lambda read: {"turns": sum(read) / len(read) if read else None}
)
touching = o3gym_size
write_log = write_inspect


def draw_square(side: int) -> Image.Image:
    return Image.new("RGB", (side, side), "navy")


def darken(image: Image.Image) -> Image.Image:
    return image.point(lambda value: value // 2)


# ── with a fault each ───────────────────────────────────────────────────────────────────────────────────────────────


class Outside(Tool):
    name, doc, args = "outside", "Looks beside the picture.", {"view": Arg("view", "a view")}

    def apply(self, scene: Any, **args: Any) -> ToolResult:
        return ToolResult((ViewRequest(0, (0.5, 0.5, 1.5, 1.5), 0),))


class Wordless(Tool):
    name, doc, args = "wordless", "Refuses without a word.", {"view": Arg("view", "a view")}

    def apply(self, scene: Any, **args: Any) -> ToolResult:
        raise Invalid("bad_args", "")


class Deaf(Grid):
    def parse(self, text: str, views: Any) -> Any:
        return super().parse("", views)


class Fragile(Grid):
    def parse(self, text: str, views: Any) -> Any:
        text.encode()  # fails on a lone surrogate
        return super().parse(text, views)


class Changing(Signs):
    def task(self, index: int) -> Task:
        return replace(super().task(index), question=f"Question {next(COUNTER)}?")


class Failing(Policy):
    def act(self, requests: Any) -> list[Reply]:
        raise RuntimeError("out of memory")


class Endless(Control):
    def tools(self, names: Any) -> tuple[str, ...]:
        return tuple(name for name in names if name == "crop")


class Erratic(Control):
    def call(self, call: Call, scene: Any, rng: Any) -> Call:
        return Call("rotate", {"view": 0, "angle": next(COUNTER) % 360})


class Half(Detector):
    def detect(self, page: Any) -> list[LayoutBlock]:
        return [LayoutBlock((0.5, 0.0, 0.5, 1.0), "figure")]


def agreeable(task: Task, answer: str, located: Any) -> Judgement:
    return decided(True)


def shy_judge(task: Task, answer: str, located: Any) -> Judgement | None:
    return exact(task, answer, located) if answer else None


class Forgetful(Lessons):
    def example(self, index: int, seed: int) -> list[Message]:
        return super().example(next(COUNTER), seed)[:2]


ENDLESS_REWARD = replace(REWARDS["outcome"], name="endless", combine=lambda terms: float("inf"))
TWICE = replace(REWARDS["outcome"], name="twice", terms=REWARDS["outcome"].terms * 2)
UNSOURCED = replace(REWARDS["outcome"], terms=(replace(REWARDS["outcome"].terms[0], source=""),))
EMPTY_FAILS = Measure(lambda trajectory: len(trajectory.turns), lambda read: {"turns": sum(read) / len(read)})


def too_wide(box: Any, size: tuple[int, int]) -> tuple[int, int, int, int]:
    return (0, 0, size[0] + 1, size[1])


def refusing(box: Any, size: Any) -> tuple[int, int, int, int]:
    raise Invalid("too_small", "no box is good enough")


def draw_noise(side: int = 8) -> Image.Image:
    return Image.new("RGB", (side, side), (next(COUNTER) % 256, 0, 0))


def brighten(image: Image.Image) -> Image.Image:
    more = next(COUNTER) % 2
    return image.point(lambda value: value + more)


def describe(image: Image.Image) -> str:
    return "a picture"


def write_nothing(folder: Path, arm: Any) -> list[Path]:
    return []


def write_elsewhere(folder: Path, arm: Any) -> list[Path]:
    return [Path(__file__)]


def write_torn(folder: Path, arm: Any) -> list[Path]:
    (folder / "run.json").write_text("{")
    return [folder / "run.json"]
