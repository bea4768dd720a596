"""Reads exemplars from a TOML or JSON file. `docs/synthesis.md` describes the format.

    [[exemplar]]
    name = "the red kite"                     # optional, for messages
    picture = "park.jpg"                      # below the folder of this file; `pictures` for several
    question = "What is written on the kite?"
    choices = ["ZEPHYR", "BREEZE"]            # optional: without them, the answer is free text
    answer = "A"

    [[exemplar.act]]
    thought = "The kite is a speck in the upper left. I will go closer."
    crop = { box = [0.05, 0.1, 0.25, 0.3] }   # a tool of o3gym and its arguments; boxes are fractions of a view

    [[exemplar.act]]
    thought = "The letters are clear now: it says ZEPHYR."
    answer = { text = "A" }

In place of picture, question, choices and answer, `suite` (with `split`, "train" by default, and `suite_args`) and
`index` or `id` name a task of a suite. `refused = true` marks an act whose call the environment refuses. In JSON, the
same keys form {"exemplar": [{…, "act": [{…}, …]}, …]}.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from o3gym.registry import SUITES, TOOLS, closest
from o3gym.rollout.performing import Act
from o3gym.specs import parse_spec
from o3gym.suites.base import BadRow, Suite, make_suite
from o3gym.suites.local_answers import read_answer, read_options
from o3gym.suites.released.fields import picture, picture_size, text
from o3gym.types import Call, Source, Task

OUR_EXEMPLARS: Mapping[str, Path] = {"trial_and_error": Path(__file__).with_name("trial_and_error.toml")}
"""The exemplars that come with o3gym, by name."""
SUITE_KEYS = ("suite", "split", "suite_args", "index", "id")
TASK_KEYS = ("picture", "pictures", "question", "choices", "answer")
EXEMPLAR_KEYS = ("name", *SUITE_KEYS, *TASK_KEYS, "act")
ACT_KEYS = ("thought", "refused")
"""Keys of an act besides the name of its tool."""


class ExemplarError(ValueError):
    """An exemplar that cannot be used; the message names the file, the exemplar, the act and the field."""


@dataclass(frozen=True)
class Exemplar:
    """One exemplar.

    Attributes:
        where: file, number and name of the exemplar, for messages.
        task: the task.
        acts: the acts, one per turn.
        refused: indices of the acts whose calls the environment refuses.
        pixels: least and greatest number of pixels of each view; None for those of the episode that it precedes. A task
            of a suite keeps the budget of its suite, because what the thoughts say of a view depends on its size.
    """

    where: str
    task: Task
    acts: tuple[Act, ...]
    refused: frozenset[int] = frozenset()
    pixels: tuple[int, int] | None = None


def exemplar_file(spec: str) -> Path:
    """Returns the file of exemplars that a spec names: one of ours by its name, or a path.

    Raises:
        ExemplarError: there is no such file.
    """
    path = OUR_EXEMPLARS.get(spec) or Path(spec)
    if not path.is_file():
        known = ", ".join(OUR_EXEMPLARS)
        raise ExemplarError(f'exemplars: no file at "{spec}"{closest(spec, OUR_EXEMPLARS)} (ours: {known})')
    return path


def exemplar_digest(spec: str) -> str:
    """Returns the SHA-256 of a file of exemplars and of the picture files that it names."""
    digest = hashlib.sha256(exemplar_file(spec).read_bytes())
    for exemplar in read_exemplars(spec):
        for source in exemplar.task.sources:
            if source.kind == "file":
                digest.update(Path(source.ref).read_bytes())
    return digest.hexdigest()


def read_exemplars(spec: str) -> tuple[Exemplar, ...]:
    """Reads the exemplars that a spec names, in the order of the file.

    Raises:
        ExemplarError: the file is not as described above.
    """
    path = exemplar_file(spec)
    data = _parsed(path)
    rows = data.get("exemplar") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ExemplarError(f'{path}: expected at least one entry "exemplar", got {rows!r:.60}')
    for key in data:
        if key != "exemplar":
            raise ExemplarError(f'{path}: unknown field "{key}"{closest(key, ("exemplar",))} (known: exemplar)')
    return tuple(_exemplar(row, path, number) for number, row in enumerate(rows, 1))


def _parsed(path: Path) -> Any:
    try:
        content = path.read_text("utf-8")
        return json.loads(content) if path.suffix == ".json" else tomllib.loads(content)
    except OSError as error:
        raise ExemplarError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise ExemplarError(f"{path}: not {kind} ({error})") from error


def _exemplar(row: Any, path: Path, number: int) -> Exemplar:
    where = f"{path}, exemplar {number}"
    if not isinstance(row, dict):
        raise ExemplarError(f"{where}: expected a table, got {row!r:.60}")
    if isinstance(row.get("name"), str):
        where = f'{where} ("{row["name"]:.40}")'
    for key in row:
        if key not in EXEMPLAR_KEYS:
            _wrong(where, key, f"one of {', '.join(EXEMPLAR_KEYS)}{closest(key, EXEMPLAR_KEYS)}", key)
    task, pixels = _suite_task(row, where) if "suite" in row else (_picture_task(row, path, where), None)
    acts = row.get("act")
    if not isinstance(acts, list) or not acts:
        _wrong(where, "act", "at least one act", acts)
    read = [_act(act, f"{where}, act {at}") for at, act in enumerate(acts, 1)]
    refused = frozenset(at for at, act in enumerate(acts) if act.get("refused"))
    return Exemplar(where, task, tuple(read), refused, pixels)


def _suite_task(row: Mapping[str, Any], where: str) -> tuple[Task, tuple[int, int]]:
    """Returns the task of a suite that a row names, and the suite's pixel budget."""
    for key in TASK_KEYS:
        if key in row:
            _wrong(where, key, "no such field beside a suite, whose task has it", row[key])
    suite = _suite(row, where)
    if ("index" in row) == ("id" in row):
        _wrong(where, "index", 'either "index" or "id"', [key for key in ("index", "id") if key in row])
    try:
        if "id" in row:
            found = next((task for task in suite if task.id == row["id"]), None)
            if found is None:
                _wrong(where, "id", f"the id of a task of {suite.name} ({suite.split})", row["id"])
        else:
            index = row["index"]
            if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(suite):
                _wrong(where, "index", f"a whole number from 0 to {len(suite) - 1}", index)
            found = suite[index]
    except ExemplarError:
        raise
    except ValueError as error:
        raise ExemplarError(f'{where}, field "index": {error}') from error
    return found, (suite.min_pixels, suite.max_pixels)


def _suite(row: Mapping[str, Any], where: str) -> Suite:
    spec, split, args = row["suite"], row.get("split", "train"), row.get("suite_args", {})
    if not isinstance(spec, str):
        _wrong(where, "suite", "the spec of a suite", spec)
    if not isinstance(split, str):
        _wrong(where, "split", "the name of a split", split)
    if not isinstance(args, dict):
        _wrong(where, "suite_args", "a table", args)
    if (name := parse_spec(spec)[0]) not in SUITES:
        _wrong(where, "suite", f"the name of a suite{closest(name, SUITES)}", spec)
    try:
        return make_suite(spec, split, **args)
    except (ValueError, TypeError, OSError) as error:
        raise ExemplarError(f'{where}, field "suite": {error}') from error


def _picture_task(row: Mapping[str, Any], path: Path, where: str) -> Task:
    for key in SUITE_KEYS:
        if key in row:
            _wrong(where, key, 'no such field without "suite"', row[key])
    try:
        sources = _pictures(row, path.parent)
        choices = read_options(row.get("choices"))
        return Task(
            id=where,
            sources=sources,
            question=text(row, "question"),
            answer=read_answer(text(row, "answer"), choices),
            choices=choices,
            kind="choice" if choices else "free",
        )
    except BadRow as problem:
        field = {"options": "choices"}.get(problem.field, problem.field)
        raise ExemplarError(f'{where}, field "{field}": {problem.reason}') from problem


def _pictures(row: Mapping[str, Any], folder: Path) -> tuple[Source, ...]:
    field = "pictures" if "pictures" in row else "picture"
    names = row.get(field)
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BadRow(field, 'a path, or a suite in the field "suite"', names)
    sources = tuple(picture(folder, name, field) for name in names)
    for source in sources:
        picture_size(source, field)
    return sources


def _act(row: Any, where: str) -> Act:
    if not isinstance(row, dict):
        raise ExemplarError(f"{where}: expected a table, got {row!r:.60}")
    tools = [key for key in row if key not in ACT_KEYS]
    known = sorted(name for name in TOOLS if name != "noop")
    for name in tools:
        if name not in known:
            hint = closest(name, (*known, *ACT_KEYS))
            _wrong(where, name, f"thought, refused or the name of a tool{hint}", name)
    if len(tools) != 1:
        _wrong(where, "act", "the name of exactly one tool", tools)
    thought = row.get("thought", "")
    if not isinstance(thought, str) or not thought.strip():
        _wrong(where, "thought", "a text", thought)
    if not isinstance(row.get("refused", False), bool):
        _wrong(where, "refused", "true or false", row["refused"])
    return Act(_call(tools[0], row[tools[0]], where), thought.strip())


def _call(name: str, args: Any, where: str) -> Call:
    tool = TOOLS[name]()
    if not isinstance(args, dict):
        _wrong(where, name, "a table with the arguments of the tool", args)
    for key in args:
        if key not in tool.args:
            _wrong(where, f"{name}.{key}", f"one of {', '.join(tool.args) or 'none'}{closest(key, tool.args)}", key)
    if wrong := tool.accepts(args):
        raise ExemplarError(f'{where}, field "{name}": {wrong}')
    return Call(name, {key: _plain(value, tool.args[key].kind) for key, value in tool.complete(args).items()})


def _plain(value: Any, kind: str) -> Any:
    """Coordinates as floats, as dialects return them; any other value as it is."""
    if kind in ("box", "box?", "point", "span") and value is not None:
        return [float(each) for each in value]
    return [_plain(each, "box") for each in value] if kind == "boxes" else value


def _wrong(where: str, field: str, expected: str, got: object) -> NoReturn:
    raise ExemplarError(f'{where}, field "{field}": expected {expected}, got {got!r:.80}')
