"""`mixed`: tasks of several suites as one, a given number of each, such as Mini-o3's mix of hard and easier tasks."""

from __future__ import annotations

import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, ClassVar

from o3gym.codec import DecodeError, decode
from o3gym.registry import SUITES, closest
from o3gym.specs import parse_spec
from o3gym.suites.base import BadTask, SelectedTasks, Suite, SuiteError, make_suite
from o3gym.types import Task


@dataclass(frozen=True)
class SuitePart:
    """A part of a mixed suite.

    Attributes:
        suite: spec of the suite.
        split: its split; "" for that of the whole if the suite has it, otherwise its first one.
        suite_args: further options of the suite.
        tasks: number of tasks, drawn by the seed of the whole; 0 for all.
    """

    suite: str
    split: str = ""
    suite_args: Mapping[str, Any] = field(default_factory=dict)
    tasks: int = 0


PART_KEYS = tuple(f.name for f in fields(SuitePart))


class MixedSuite(Suite):
    """Tasks of several suites, a given number of each.

    Mini-o3 (arXiv 2509.07969) learns from the 4,000 tasks of VisualProbe and from 8,000 tasks of DeepEyes, which
    preserve its performance on simpler tasks. As a setting of a recipe:

        [env]
        suite = "mixed"
        split = "train"
        [[env.suite_args.parts]]
        suite = "visualprobe-train"
        [[env.suite_args.parts]]
        suite = "deepeyes-47k?only=hard.jsonl"
        tasks = 8000

    On the command line, the parts are in a TOML file: `mixed:FILE.toml` has them as `[[parts]]`. Tasks are those of
    their suites, unchanged. Tools and the limits of pixels suit all parts.

    Args:
        argument: a TOML file with the parts; "" if `parts` is given.
        split: the split of all parts that have it and name no other.
        parts: the parts as plain values, see `SuitePart`.
        seed: seed of the choice of tasks.

    Raises:
        SuiteError: the parts are invalid, have too few tasks, share tasks, or cannot be played in one environment.
    """

    name: ClassVar[str] = "mixed"
    version: ClassVar[str] = "0"
    splits: ClassVar[tuple[str, ...]] = ("test", "train", "val")
    licence: ClassVar[str] = "those of its parts"

    def __init__(
        self,
        argument: str = "",
        split: str = "test",
        *,
        parts: Sequence[Mapping[str, Any]] = (),
        seed: int = 0,
    ) -> None:
        super().__init__(argument, split)
        file = Path(argument) if argument else None
        if (file is None) == (not parts):
            raise SuiteError("mixed: expected either a file, mixed:FILE.toml, or the option parts")
        where = f"mixed: {file}" if file else "mixed"
        asked = _parts_of(parts if file is None else _read_parts(file), where)
        try:
            self.parts = [_open(part, split, f"{where}: parts.{number}") for number, part in enumerate(asked)]
        except RecursionError as error:
            raise SuiteError(f"{where}: a part of the mix is the mix itself") from error
        self.chosen = [
            _choose(suite, part.tasks, seed, f"{where}: parts.{number}")
            for number, (suite, part) in enumerate(zip(self.parts, asked, strict=True))
        ]
        self._ends = list(accumulate(map(len, self.chosen)))
        self._check_parts()
        self._set_attributes(file)

    def __len__(self) -> int:
        return self._ends[-1]

    def task(self, index: int) -> Task:
        """The task at `index`; the parts follow each other. Raises `BadTask` if the row of its part is bad."""
        part = bisect_right(self._ends, index)
        before = self._ends[part - 1] if part else 0
        task: Task = self.parts[part][self.chosen[part][index - before]]
        return task

    @property
    def kinds(self) -> frozenset[str]:
        """The task kinds of all parts."""
        return frozenset().union(*(part.kinds for part in self.parts))

    @property
    def has_videos(self) -> bool:
        """Whether any part has videos."""
        return any(part.has_videos for part in self.parts)

    @property
    def shortest_video(self) -> float:
        """Length in seconds of the shortest video of any part; 1 if there is none."""
        return min((part.shortest_video for part in self.parts if part.has_videos), default=1.0)

    def fingerprint(self) -> dict[str, str]:
        """For each part its suite, split and number of tasks, and the digests of its files."""
        found: dict[str, str] = {}
        for number, (part, chosen) in enumerate(zip(self.parts, self.chosen, strict=True)):
            found[f"{number}"] = f"{part.name} {part.version} ({part.split}), {len(chosen)} of {len(part)}"
            found |= {f"{number}.{key}": digest for key, digest in part.fingerprint().items()}
        return found

    def _check_parts(self) -> None:
        """Raises `SuiteError` if the parts do not fit into one environment, or have tasks in common."""
        for name in ("own_tools", "grounded"):
            values = [getattr(part, name) for part in self.parts]
            if any(value != values[0] for value in values):
                found = ", ".join(f"{part.name}: {value}" for part, value in zip(self.parts, values, strict=True))
                raise SuiteError(f"mixed: parts cannot be played in one environment, because {name} differs ({found})")
        seen: dict[str, int] = {}
        for number, identity in self._comparable_ids():
            if seen.setdefault(identity, number) != number:
                both = f"parts.{number} and parts.{seen[identity]}"
                raise SuiteError(f"mixed: {both} both have a task with the id {identity}")

    def _comparable_ids(self) -> Iterator[tuple[int, str]]:
        """Number of the part and id of each task that another part may have as well: parts of the same suite."""
        suites = [_suites_in(part) for part in self.parts]
        counts = Counter(chain(*suites))
        for number, (part, chosen) in enumerate(zip(self.parts, self.chosen, strict=True)):
            for index in chosen if any(counts[suite] > 1 for suite in suites[number]) else ():
                try:
                    yield number, part[index].id
                except BadTask:
                    continue

    def _set_attributes(self, file: Path | None) -> None:
        """Sets what suits all parts."""
        parts = self.parts
        self.min_pixels = min(part.min_pixels for part in parts)
        self.max_pixels = max(part.max_pixels for part in parts)
        self.grounded = parts[0].grounded
        self.opened_files = tuple(chain(*(part.opened_files for part in parts), [file] if file else []))
        self.warnings = tuple(dict.fromkeys(chain(*(part.warnings for part in parts))))
        judged = dict.fromkeys(f"{part.name}: {part.wants_judge}" for part in parts if part.wants_judge)
        measures = {part.measure for part in parts}
        common = {
            "own_tools": parts[0].own_tools,
            "turns": max(part.turns for part in parts),
            "licence": "; ".join(dict.fromkeys(f"{part.name}: {part.licence}" for part in parts)),
            "wants_judge": "; ".join(judged),
            "measure": measures.pop() if len(measures) == 1 else "",
        }
        vars(self).update(common)


def _read_parts(file: Path) -> Any:
    """The parts in a TOML file, still unchecked."""
    try:
        data = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SuiteError(f"mixed: {file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"mixed: {file}: not TOML ({error})") from error
    if list(data) != ["parts"]:
        raise SuiteError(f"mixed: {file}: expected [[parts]] and nothing else, got {', '.join(data) or 'nothing'}")
    return data["parts"]


def _suites_in(suite: Suite) -> set[tuple[str, str]]:
    """Names and splits of the suites that the tasks of a part come from."""
    whole = suite.suite if isinstance(suite, SelectedTasks) else suite
    if isinstance(whole, MixedSuite):
        return set(chain(*map(_suites_in, whole.parts)))
    return {(whole.name, whole.split)}


def _parts_of(tables: Any, where: str) -> list[SuitePart]:
    """The parts from plain values. Raises `SuiteError` if they are invalid."""
    if not isinstance(tables, list | tuple) or not tables:
        raise SuiteError(f"{where}: parts: expected a list of tables, got {tables!r:.80}")
    return [_part_of(table, where, f"parts.{number}") for number, table in enumerate(tables)]


def _part_of(table: Any, where: str, name: str) -> SuitePart:
    for key in table if isinstance(table, Mapping) else ():
        if key not in PART_KEYS:
            known = ", ".join(PART_KEYS)
            raise SuiteError(f'{where}: {name}: unknown key "{key}"{closest(str(key), PART_KEYS)} (known: {known})')
    try:
        part = decode(SuitePart, table, name)
    except DecodeError as error:
        raise SuiteError(f"{where}: {error}") from error
    if part.tasks < 0:
        raise SuiteError(f"{where}: {name}.tasks: expected a whole number from 0 up, got {part.tasks}")
    return part


def _open(part: SuitePart, split: str, where: str) -> Suite:
    """The suite of a part. Raises `SuiteError` if it cannot be opened."""
    try:
        splits: tuple[str, ...] = SUITES[parse_spec(part.suite)[0]].splits
        return make_suite(part.suite, part.split or (split if split in splits else splits[0]), **part.suite_args)
    except (ValueError, TypeError) as error:
        if str(error).startswith("mixed: "):  # a mix within the mix, which names its own part
            raise
        raise SuiteError(f"{where}: {error}") from error


def _choose(suite: Suite, tasks: int, seed: int, where: str) -> Sequence[int]:
    """The indices of the tasks of a part."""
    if tasks > len(suite):
        raise SuiteError(
            f"{where}.tasks: expected at most {len(suite)}, the number of tasks of {suite.name} "
            f"({suite.split}), got {tasks}"
        )
    return suite.pick(tasks, seed) if tasks else range(len(suite))
