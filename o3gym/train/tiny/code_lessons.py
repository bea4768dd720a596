"""Training dialogues of the built-in coder, about easy tasks of the families "turned" and "dim" (train split).

The model says what is wrong with the picture, writes a program, is shown what the program makes, and answers with the
code that it reads there: one message of the assistant, as in the dialect `thyme`. No sandbox is needed: the lessons
make the pictures and the outputs that the sandbox would return.
"""

from __future__ import annotations

import re
from random import Random
from typing import ClassVar

import numpy as np
from PIL import Image

from o3gym.calls import answer, code
from o3gym.dialects.thyme import Thyme
from o3gym.media.images import shared_store
from o3gym.media.pixels import resample
from o3gym.policies.dialogue import Message, Picture
from o3gym.policies.tiny.code_size import code_size
from o3gym.suites.scenes.turned import TURNS
from o3gym.train.tiny.dialogue_builder import StagedScene, optioned, stage_scene
from o3gym.train.tiny.programs import Remedy, slip, write_program
from o3gym.types import FULL, View

CODED_FAMILIES = ("turned", "dim")
_THYME = Thyme()


def remedy_of(at: StagedScene) -> Remedy:
    """Returns what makes the picture of a scene legible, as the scene's own program does it."""
    assert at.scene.program is not None
    found = re.search(r"rotate\((-?\d+)\)", at.scene.program(shared_store().size(at.source)))
    return Remedy(-int(found[1])) if found else Remedy()


class CodeBuilder:
    """Builds one dialogue: what the environment and the dialect would show, and what the model should write.

    Args:
        at: the scene.
        question: the question, with its options if it has some.

    Attributes:
        views: the views so far.
        messages: the messages so far.
        picture: the newest picture at its native size.
    """

    def __init__(self, at: StagedScene, question: str) -> None:
        self.at = at
        self.views: list[View] = []
        self.messages: list[Message] = []
        self.picture = Image.fromarray(shared_store().region(at.source))
        self._show(self.picture, question)

    @property
    def path(self) -> str:
        """The variable with the path of the newest picture."""
        return _THYME.called(len(self.views) - 1)

    def run(self, remedy: Remedy, rng: Random, thought: str = "", fails: bool = False) -> None:
        """Writes a program, and shows the picture that it makes or, if it `fails`, an error."""
        source, printed = write_program(remedy, self.path, rng)
        slipped = slip(source, rng) if fails else None
        self._say(_THYME.format(code(slipped.source if slipped else source), self.views, thought or remedy.words))
        if slipped:
            self._add(_THYME.show([], slipped.error, {"turn": 1, "error": "code"}), "inline")
        else:
            self._show(remedy.apply(self.picture), printed)

    def answer(self, thought: str, words: str) -> None:
        """Writes the end of the thought, and the answer."""
        self._say(_THYME.format(answer(words), self.views, thought))

    def _say(self, reply: str) -> None:
        begun = bool(self.messages) and self.messages[-1].role == "inline"
        self.messages.append(Message("assistant", (_THYME.continued(reply) if begun else reply,)))

    def _show(self, picture: Image.Image, words: str) -> None:
        size, number = picture.size, len(self.views)
        self.picture = picture
        self.views.append(View(number, number, FULL, size, code_size(*size), number - 1))
        self._add(_THYME.show(self.views[-1:], words, {"turn": number}), "inline" if number else "user")

    def _add(self, parts: list[str | View], role: str) -> None:
        shown = tuple(self._picture(part) if isinstance(part, View) else part for part in parts)
        self.messages.append(Message("inline" if role == "inline" else "user", shown))

    def _picture(self, view: View) -> Picture:
        picture = self.picture
        return Picture(view, lambda: resample(np.asarray(picture), view.shown, "bicubic"))


class CodedSource:
    """An endless source of dialogues with some for each scene; the same index and seed give the same dialogue.

    Args:
        families: families of scenes, joined by "+", which alternate.
        views: number of dialogues per scene.
        start: number of the first scene in the train split.
    """

    salt: ClassVar[str]

    def __init__(self, families: str = "+".join(CODED_FAMILIES), *, views: int = 1, start: int = 0) -> None:
        self.families, self.views, self.start = tuple(families.split("+")), views, start
        if wrong := set(self.families) - set(CODED_FAMILIES):
            raise ValueError(f"families: expected some of {'+'.join(CODED_FAMILIES)}, got {'+'.join(sorted(wrong))}")

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the dialogue at `index`."""
        rng = Random(f"{self.salt}/{index}/{seed}")
        number = index // self.views
        return self.build(stage_scene(self.families[number % len(self.families)], self.start + number), rng)

    def build(self, at: StagedScene, rng: Random) -> list[Message]:
        """Builds a dialogue about a scene."""
        raise NotImplementedError


class CodeLesson(CodedSource):
    """Whole episodes: what is wrong, a program, its picture, and the answer.

    Args:
        families, views, start: see `CodedSource`.
        options: share of questions with options.
        astray: share of scenes whose first program turns by a wrong angle; a second one turns the rest.
        failed: share of dialogues whose first program fails; a second one follows.
    """

    salt = "Code"

    def __init__(
        self,
        families: str = "+".join(CODED_FAMILIES),
        *,
        options: float = 0.5,
        astray: float = 0.0,
        failed: float = 0.0,
        views: int = 1,
        start: int = 0,
    ) -> None:
        super().__init__(families, views=views, start=start)
        self.options, self.astray, self.failed = options, astray, failed

    def build(self, at: StagedScene, rng: Random) -> list[Message]:
        """Writes an episode."""
        scene, remedy = at.scene, remedy_of(at)
        optional = rng.random() < self.options
        builder = CodeBuilder(
            at, optioned(rng, scene.question, scene.answer, scene.wrong) if optional else scene.question
        )
        if rng.random() < self.failed:
            builder.run(remedy, rng, fails=True)
            builder.run(remedy, rng, "failed")
        elif remedy.angle and rng.random() < self.astray:
            wrong = Remedy(rng.choice([angle for angle in TURNS["easy"] if angle != remedy.angle]))
            builder.run(wrong, rng)
            builder.run(Remedy(_rest(remedy.angle, wrong.angle)), rng)
        else:
            builder.run(remedy, rng)
        builder.answer(f"reads {scene.answer}", scene.answer)
        return builder.messages


def _rest(angle: int, turned_back: int) -> int:
    """The angle at which a picture is left after it was turned back by a wrong angle; −179 to 180."""
    return (angle - turned_back + 179) % 360 - 179


class ProgramLesson:
    """Programs without pictures. They teach to use the names that a program has defined, at next to no cost."""

    def example(self, index: int, seed: int) -> list[Message]:
        """Returns the program at `index`, for what the message before it says."""
        rng = Random(f"Program/{index}/{seed}")
        remedy = Remedy(rng.choice([*TURNS["easy"], 0, 0]))
        source, _ = write_program(remedy, _THYME.called(rng.choice((0, 0, 0, 1))), rng)
        said = _THYME.format(code(source), [], remedy.words)
        return [Message("user", (remedy.words,)), Message("assistant", (said,))]


class GlanceLesson(CodedSource):
    """One picture and a few words, at a small part of the cost of an episode: what is wrong with it, or what it reads.

    Args:
        families, views, start: see `CodedSource`.
        legible: share of pictures that are legible already, so that the code on them is read.
    """

    salt = "Glance"

    def __init__(
        self, families: str = "+".join(CODED_FAMILIES), *, legible: float = 0.5, views: int = 1, start: int = 0
    ) -> None:
        super().__init__(families, views=views, start=start)
        self.legible = legible

    def build(self, at: StagedScene, rng: Random) -> list[Message]:
        """Shows one picture and says one thing."""
        remedy = remedy_of(at)
        legible = rng.random() < self.legible
        builder = CodeBuilder(at, "look")
        if legible:
            builder.picture = remedy.apply(builder.picture)
        shown = ("image_path", builder._picture(builder.views[0]), "\nlook")
        return [
            Message("user", shown),
            Message("assistant", (f"reads {at.scene.answer}" if legible else remedy.words,)),
        ]
