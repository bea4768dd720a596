"""`synthetic`: the built-in suite of seeded scenes with exact ground truth, rendered on demand without any download."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar, Literal, TypeAlias

from PIL import Image

from o3gym.arguments import check_whole
from o3gym.suites.scenes import attribute, chart, dim, hidden, measure, region, relation, tally, text, town, turned
from o3gym.suites.scenes.base import Family, Scene
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.seeded import SeededSuite, drawn_options, known_name
from o3gym.types import Box, Size, Source, Target, Task, TaskKind

Answers: TypeAlias = Literal["choice", "free", "box"]

SCENES: Mapping[str, Family] = {
    "attribute": attribute.ATTRIBUTE_FAMILY,
    "text": text.TEXT_FAMILY,
    "relation": relation.RELATION_FAMILY,
    "hidden": hidden.HIDDEN_FAMILY,
    "chart": chart.CHART_FAMILY,
    "map": town.MAP_FAMILY,
    "region": region.REGION_FAMILY,
    "turned": turned.TURNED_FAMILY,
    "dim": dim.DIM_FAMILY,
    "tally": tally.TALLY_FAMILY,
    "measure": measure.MEASURE_FAMILY,
}
CODE_FAMILIES: tuple[str, ...] = ("turned", "dim", "tally", "measure")
"""Families that looking does not solve, but a few lines of code do. They must be named; "all" leaves them out."""
FAMILIES: tuple[str, ...] = tuple(family for family in SCENES if family not in CODE_FAMILIES)
"""Families of visual search, which "all" stands for."""
DIFFICULTIES: tuple[str, ...] = ("easy", "medium", "hard")
OVERVIEW_PIXELS = 512 * 512
"""Pixels of the overview that the suite is designed for: too few to read codes, letters or figures."""
HIDDEN_OVERVIEW_PIXELS = 128 * 128
"""The same for suites with only hidden tasks, where even the star of the easy ones is a two-pixel blot."""


def render_scene(*, family: str, difficulty: str, seed: int, pixels: int = 0) -> Image.Image:
    """Draw one scene, bit for bit the same in every process with the same Pillow and NumPy versions.

    Args:
        family: one of `FAMILIES` or `CODE_FAMILIES`.
        difficulty: one of `DIFFICULTIES`.
        seed: seed of the scene.
        pixels: approximate number of pixels; 0 for the default of the difficulty.
    """
    painter = Painter(scene_size(family=family, difficulty=difficulty, pixels=pixels), SCENES[family].aspect)
    lay_out_scene(family, difficulty, seed).paint(painter)
    return painter.image


def scene_size(*, family: str, difficulty: str, seed: int = 0, pixels: int = 0) -> Size:
    """Width and height of the picture that `render_scene` draws with the same arguments."""
    kind = SCENES[known_name("family", family, tuple(SCENES))]
    return kind.size(known_name("difficulty", difficulty, DIFFICULTIES), pixels)


def lay_out_scene(family: str, difficulty: str, seed: int) -> Scene:
    """The scene that `render_scene` draws with the same arguments, with its boxes in board units."""
    return SCENES[family].build(Random(f"{family}/{difficulty}/{seed}"), difficulty)


def true_layouts(source: Source) -> list[tuple[str, Box]]:
    """Kind and box (unit xyxy) of the layouts of a picture from this suite, in reading order; empty if it has none."""
    args = source.args
    scene = lay_out_scene(args["family"], args["difficulty"], args["seed"])
    return [(kind, _unit(box, SCENES[args["family"]].aspect)) for kind, box in scene.layouts]


def true_blocks(source: Source) -> list[tuple[str, Box]]:
    """Class and box (unit xyxy) of the blocks that a layout detector should find in a picture from this suite.

    Most families have none. The classes are those of PP-DocLayout: "chart", "figure_title".
    """
    args = source.args
    scene = lay_out_scene(args["family"], args["difficulty"], args["seed"])
    return [(label, _unit(box, SCENES[args["family"]].aspect)) for label, box in scene.blocks]


class Synthetic(SeededSuite):
    """Seeded visual-search tasks. Families and difficulties alternate, so any range of consecutive indices is mixed.

    Args:
        argument: must be empty; families are chosen by option.
        split: "test" or "train"; they never share a seed.
        family: one of `FAMILIES` or `CODE_FAMILIES`, several joined by "+", or "all" for `FAMILIES`.
        difficulty: one of `DIFFICULTIES`, or "all".
        answers: "choice" for four to six options, "free" for text, or "box" for region search as a reasoner delegates
            it: the question is the name of the first target, and the answer is its box. Region tasks are answered with
            a box in any case.
        pixels: approximate number of pixels per picture, at the family's aspect ratio; 0 for the default of the
            difficulty. If that is too few for the finest details to be legible, `warnings` says so.
        n: number of tasks.
    """

    name: ClassVar[str] = "synthetic"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("test", "train")
    licence: ClassVar[str] = "Apache-2.0"
    min_pixels: int = 10_000
    max_pixels: int = OVERVIEW_PIXELS

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        family: str = "all",
        difficulty: str = "all",
        answers: Answers = "choice",
        pixels: int = 0,
        n: int = 1000,
    ) -> None:
        super().__init__(argument, split)
        if argument:
            raise ValueError(f'suite synthetic takes no argument, got "{argument}"; write "synthetic?family=hidden"')
        families, levels = ("all", *SCENES), ("all", *DIFFICULTIES)
        chosen = dict.fromkeys(known_name("family", name, families) for name in str(family).split("+"))
        self.families = FAMILIES if "all" in chosen else tuple(chosen)
        self.difficulties = DIFFICULTIES if known_name("difficulty", difficulty, levels) == "all" else (difficulty,)
        known_name("kind of answers", answers, ("choice", "free", "box"))
        self.answers: Answers = answers
        check_whole("pixels", pixels, 0)
        check_whole("n", n, 0)
        if answers == "box" and "tally" in self.families:
            raise ValueError('answers: the family "tally" has no regions to search for, expected "choice" or "free"')
        self.pixels, self.size = pixels, n
        self.warnings = self._illegible()
        if self.families == ("hidden",):
            self.min_pixels, self.max_pixels = HIDDEN_OVERVIEW_PIXELS // 4, HIDDEN_OVERVIEW_PIXELS

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds in the suite: "box" for region tasks, `answers` for all others."""
        return frozenset("box" if family == "region" else self.answers for family in self.families)

    def task(self, index: int) -> Task:
        """Lay out the scene at `index` and ask about it, without drawing it."""
        family, difficulty, ordinal, seed = self.place(index)
        scene = lay_out_scene(family, difficulty, seed)
        kind: TaskKind = "box" if family == "region" else self.answers
        letter, options = drawn_options(scene.answer, scene.wrong, f"{family}/{difficulty}/{seed}/options")
        targets = tuple(Target(_unit(box, SCENES[family].aspect), label=label) for label, box in scene.targets)
        sought = kind == "box" and family != "region"
        return Task(
            id=f"{self.name}/{self.split}/{self._variant(family, difficulty)}/{ordinal}",
            sources=(Source.generated(self.name, family=family, difficulty=difficulty, seed=seed, pixels=self.pixels),),
            question=targets[0].label if sought else scene.question,
            answer=letter if kind == "choice" else "" if sought else scene.answer,
            choices=options if kind == "choice" else (),
            targets=targets[:1] if sought else targets,
            kind=kind,
            tags={"family": family, "difficulty": difficulty},
            origin=self._origin(index, seed) | self._program(scene, family, difficulty),
        )

    def _variant(self, family: str, difficulty: str) -> str:
        """The part of a task's id that names its settings: "hidden-easy", "hidden-easy-free-262144px"."""
        answers = f"-{self.answers}" if self.answers != "choice" and family != "region" else ""
        return f"{family}-{difficulty}{answers}" + (f"-{self.pixels}px" if self.pixels else "")

    def _origin(self, index: int, seed: int) -> dict[str, Any]:
        return {"suite": self.name, "version": self.version, "split": self.split, "index": index, "seed": seed}

    def _program(self, scene: Scene, family: str, difficulty: str) -> dict[str, str]:
        """The program that solves the task of a scene; empty for scenes that need none."""
        size = scene_size(family=family, difficulty=difficulty, pixels=self.pixels)
        return {"program": scene.program(size)} if scene.program else {}

    def _illegible(self) -> tuple[str, ...]:
        pairs = [(f, d) for f in self.families for d in self.difficulties]
        small = [f"{f}-{d}" for f, d in pairs if not SCENES[f].legible(d, self.pixels)]
        return (f"pixels={self.pixels}: details are too small to be legible in {', '.join(small)}",) if small else ()


def _unit(box: Box, aspect: float) -> Box:
    """A box in board units as unit xyxy of the picture."""
    return (box[0] / aspect, box[1], box[2] / aspect, box[3])
