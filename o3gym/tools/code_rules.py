"""Code rules say what model-written code finds in the sandbox, and which of its pictures are shown.

Each rule is named after the system whose behaviour it reproduces: the names of the pictures, the modules that need no
import, the time limit of a call, and how code hands a picture back. The default, "o3gym", gives pictures as variables
and shows what the code shows or stores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import ClassVar

from o3gym.sandbox import Outcome, Workplace
from o3gym.tools.code_repairs import repaired
from o3gym.types import Size

PLAIN_MODULES: Mapping[str, str] = {
    **{name: name for name in ("math", "json", "re", "random", "string", "os")},
    **{"np": "numpy", "numpy": "numpy", "Image": "PIL.Image"},
}
"""Modules that code can use without an import, by the names under which it finds them."""
MAX_ASPECT = 200
"""Exclusive bound of the aspect ratio of a picture that is shown, as in PyVision and in Qwen's image processors."""
_SUFFIX = re.compile(r"\.(?:jpg|jpeg|png|bmp|gif|tiff|webp)", re.IGNORECASE)


@dataclass(frozen=True)
class CodeRule:
    """How a system hands pictures to code, and takes pictures from it.

    Attributes:
        first: the name of the first view in the code.
        later: the pattern of the names of the other views.
        start: the number of the first view in that pattern.
        workplace: what the code finds, except for the pictures.
        most: the maximum number of pictures of one call that are shown.
        source: where the system's numbers are from, for lists of rules.
    """

    first: str = "view_0"
    later: str = "view_{}"
    start: int = 0
    workplace: Workplace = field(default_factory=lambda: Workplace(modules=PLAIN_MODULES))
    most: int = 8
    source: str = ""

    def name(self, view: int) -> str:
        """The name of the variable through which code finds the view with that index."""
        return self.later.format(view + self.start) if view else self.first

    def prepared(self, source: str, size: Size) -> str:
        """The code that is run instead of `source`, given the size of the first view in pixels."""
        return source

    def pictures(self, outcome: Outcome) -> tuple[bytes, ...]:
        """The encoded pictures that a call hands back, in order: those that it showed, then those that it stored."""
        return tuple(dict.fromkeys([*outcome.shown, *(data for _, data in outcome.stored)]))


@dataclass(frozen=True)
class ShownRule(CodeRule):
    """A rule of systems that take back only what the code shows, for example with `plt.show()`."""

    def pictures(self, outcome: Outcome) -> tuple[bytes, ...]:
        """The pictures that the code showed, in order."""
        return tuple(dict.fromkeys(outcome.shown))


@dataclass(frozen=True)
class ThymeRule(CodeRule):
    """Thyme's rule: the code reads the file `image_path`, stores pictures and prints their paths.

    Thyme's prompt asks for pictures in `FOLDER`, which its sandbox replaces by a folder of the episode; so does this
    rule. A call hands back the file that `processed_path` names, and the files whose paths or names it prints. If no
    such file exists, but the code printed as many names of pictures as it stored, it hands back all of them.

    Attributes:
        repairs: whether code is repaired before it runs, see `o3gym.tools.code_repairs`.
    """

    FOLDER: ClassVar[str] = "/mnt/data/temp_processed_images"

    repairs: bool = False

    def prepared(self, source: str, size: Size) -> str:
        """The code with the folder of the prompt replaced by the working folder, and repaired if the rule says so."""
        source = source.replace(self.FOLDER, ".")
        return repaired(source, size, f"{self.first}.png") if self.repairs else source

    def pictures(self, outcome: Outcome) -> tuple[bytes, ...]:
        """The stored pictures that `processed_path` or the printed text names."""
        printed = _named_files(outcome.text)
        names = [PurePosixPath(path).name for path in (outcome.values.get("processed_path", ""), *printed)]
        stored = {PurePosixPath(path).name: data for path, data in outcome.stored}
        named = [stored[name] for name in names if name in stored]
        if not named and len(printed) == len(stored):
            named = list(stored.values())
        return tuple(dict.fromkeys(named))


def _named_files(text: str) -> list[str]:
    """The words of a text that are names of pictures, without what follows the suffix."""
    ends = [(word, [found.end() for found in _SUFFIX.finditer(word)]) for word in re.split(r"[\s'\"]+", text)]
    return [word[: places[-1]] for word, places in ends if places]


O3GYM_CODE_RULE = CodeRule(source="ours: views are variables, and what the code shows or stores is shown")
THYME_CODE_RULE = ThymeRule(
    first="image_path",
    later="image_path_{}",
    workplace=Workplace(
        variables="files",
        modules={**PLAIN_MODULES, "cv2": "cv2"},
        values=("processed_path",),
        seconds=10.0,
        last_expression=False,
    ),
    source="yfzhang114/Thyme at b9285b7, swift/trainers/sandbox.py",
)
"""Thyme's rule without its repairs."""
THYME_REPAIRED_CODE_RULE = replace(THYME_CODE_RULE, repairs=True)
PYVISION_CODE_RULE = ShownRule(
    first="image_clue_0",
    later="image_clue_{}",
    workplace=Workplace(seconds=30.0, last_expression=False),
    source="PyVision-RL at 62ca599: a persistent process, pictures through plt.show()",
)
DEEPEYES_V2_CODE_RULE = ShownRule(
    first="image_1",
    later="image_{}",
    start=1,
    workplace=Workplace(seconds=30.0),
    most=10,
    source="DeepEyesV2 at 0373e6e: a notebook kernel; the time limit is ours",
)
