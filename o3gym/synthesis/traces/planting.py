"""Plants known errors into right chains, so that verifiers can be measured by how many of them they find.

Each kind of error is a function from a chain to the script of the chain with the error. Performing the script gives
every call its real picture. The words stay as they were unless a kind says otherwise: whoever makes such a mistake does
not know it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias, TypeVar

import numpy as np

from o3gym.calls import answer, crop, locate, reuse
from o3gym.geometry import area, around, compose, coverage, iou
from o3gym.registry import DIALECTS
from o3gym.rollout.performing import Act, Script, script_of
from o3gym.specs import parse_spec
from o3gym.synthesis.traces.editing import EditError, course_of
from o3gym.synthesis.traces.seeing import Look, first_look, looks_of
from o3gym.synthesis.traces.words import announces, concludes, placed, sentences, sightings
from o3gym.types import FULL, Box, Call, Target, Task, Trajectory

_T = TypeVar("_T")

Planter: TypeAlias = Callable[[Trajectory, np.random.Generator], Script | None]
"""Returns the script of a right chain with an error, or None if the chain has no place for the error."""

MISSES = 0.1
"""Largest share of a target that a region may cover and still count as missing it (ours)."""
HOLDS = 0.5
"""Smallest share of a target that a look must cover to count as a look at it (ours)."""
SMALL = 0.5
"""Largest area of a look that can be enlarged, as a share of the picture (ours)."""
DRAWN_BOXES = 50
"""Number of boxes drawn to find one that misses every target."""
MADE_UP = ("It says {value}.", "I read {value} here.", "It is {value}.", "I can see that it is {value}.")
"""Sentences of made-up readings (ours)."""
MADE_UP_SUMS = ("That makes {value}.", "The sum is {value}.", "Together they are {value}.")
"""The same for numbers, which are results in our tasks."""


def move_box(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Moves the box of one look at a target to a place without a target, at the same size."""
    for look in _shuffled(_target_looks(trajectory), rng):
        if (moved := _moved(trajectory, look, rng)) is not None:
            return _with_acts(trajectory, {look.turn: _act(trajectory, look.turn, moved)})
    return None


def enlarge_box(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Enlarges the box of one look at a target to the whole picture."""
    small = [look for look in _target_looks(trajectory) if area(look.box) <= SMALL]
    for look in _shuffled(small, rng):
        return _with_acts(trajectory, {look.turn: _act(trajectory, look.turn, crop(FULL, look.source))})
    return None


def swap_axes(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Swaps x and y in the box of one look at a target, where the result misses every target."""
    for look in _shuffled(_target_looks(trajectory), rng):
        x0, y0, x1, y1 = look.relative
        box = (y0, x0, y1, x1)
        if _misses(trajectory.task, look.source, compose(look.outer, box)):
            return _with_acts(trajectory, {look.turn: _act(trajectory, look.turn, _crop(trajectory, look, box))})
    return None


def swap_tool(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Makes another call than the words announce.

    Instead of a closer look, the whole picture is shown again, or where the format has no such call, the chain answers.
    Instead of showing the whole picture again, it looks at a place without a target.
    """
    announced = [look for look in looks_of(trajectory).values() if _announces(trajectory, look.turn)]
    for look in _shuffled(announced, rng):
        tool = trajectory.turns[look.turn].parsed.call.tool
        if tool == "reuse" and (moved := _anywhere(trajectory, look, rng)) is not None:
            return _with_acts(trajectory, {look.turn: _act(trajectory, look.turn, moved)})
        if tool in ("crop", "zoom") and not look.whole:
            if _has_reuse(trajectory):
                return _with_acts(trajectory, {look.turn: _act(trajectory, look.turn, reuse(look.source))})
            return _cut_short(trajectory, look.turn)
    return None


def make_up_reading(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Adds a wrong reading of the answer to the last thought; in a region search, changes a number in what is seen.

    The answer stays right.
    """
    last = len(trajectory.turns) - 1
    thought = trajectory.turns[last].parsed.thought
    wrong = _misspelt(trajectory, thought, rng) if trajectory.task.kind == "box" else _misread(trajectory, thought, rng)
    return _with_acts(trajectory, {last: Act(trajectory.turns[last].parsed.call, wrong)}) if wrong else None


def replace_evidence(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Moves all looks at one target to places without a target; words that name the old places name the new ones."""
    for target in _shuffled(trajectory.task.targets, rng):
        if (acts := _elsewhere(trajectory, target, rng)) is not None:
            return _with_acts(trajectory, acts)
    return None


def wrong_answer(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Replaces the answer by a wrong one."""
    last = len(trajectory.turns) - 1
    call = _wrong_call(trajectory.task, trajectory.turns[last].parsed.call, rng)
    return _with_acts(trajectory, {last: _act(trajectory, last, call)}) if call is not None else None


def leave_out_step(trajectory: Trajectory, rng: np.random.Generator) -> Script | None:
    """Leaves out the only look at a target, together with its words."""
    course, looks = course_of(trajectory), _partial_looks(trajectory)
    only = [look for target in trajectory.task.targets if (look := _only_look(looks, target)) is not None]
    for look in _shuffled(only, rng):
        try:
            return course.spliced(look.turn, 1).script(trajectory)
        except EditError:  # a later call needs its view
            continue
    return None


PLANTED: Mapping[str, Planter] = {
    "box moved off": move_box,
    "box enlarged to everything": enlarge_box,
    "swapped axes": swap_axes,
    "wrong tool for the words": swap_tool,
    "reading made up": make_up_reading,
    "right answer from wrong evidence": replace_evidence,
    "wrong answer": wrong_answer,
    "step left out": leave_out_step,
}
"""The kinds of errors, by name."""
WRONG = "wrong answer"
"""The only kind whose answer is wrong."""


def astray(kind: str, script: Script, performed: Trajectory) -> str:
    """Returns why a performed and settled chain is not the planned error, in a few words, or ""."""
    if performed.stop == "error":
        return "the script failed"
    if len(performed.turns) != len(script.acts):
        return "the script ended early"
    for act, turn in zip(script.acts, performed.turns, strict=True):
        if turn.error and not act.text:
            return f"the changed call was refused ({turn.error})"
        if turn.parsed.call.tool != act.call.tool:
            return "a reply means another call than before"
    if performed.right is None:
        return "no verdict"
    return "" if performed.right is (kind != WRONG) else "the verdict is not the planned one"


def _shuffled(items: Sequence[_T], rng: np.random.Generator) -> Iterator[_T]:
    return (items[int(index)] for index in rng.permutation(len(items)))


def _act(trajectory: Trajectory, turn: int, call: Call) -> Act:
    """The act of a turn with another call and the same words."""
    return Act(call, trajectory.turns[turn].parsed.thought)


def _with_acts(trajectory: Trajectory, changed: Mapping[int, Act]) -> Script:
    script = script_of(trajectory)
    return replace(script, acts=tuple(changed.get(turn, act) for turn, act in enumerate(script.acts)))


def _cut_short(trajectory: Trajectory, turn: int) -> Script:
    """The answer in place of a call: the words announce a look, and no look follows."""
    script, final = script_of(trajectory), trajectory.turns[-1].parsed.call
    return replace(script, acts=(*script.acts[:turn], _act(trajectory, turn, final)))


def _announces(trajectory: Trajectory, turn: int) -> bool:
    """Whether the words of a turn announce a look."""
    thought = trajectory.turns[turn].parsed.thought
    return any(map(announces, sentences(thought))) and not concludes(thought)


def _has_reuse(trajectory: Trajectory) -> bool:
    known = DIALECTS[parse_spec(trajectory.dialect)[0]].tools
    return "reuse" in known and "reuse" in trajectory.env.get("tools", ())


def _partial_looks(trajectory: Trajectory) -> list[Look]:
    """The looks at parts of a picture."""
    return [look for look in looks_of(trajectory).values() if not look.whole]


def _target_looks(trajectory: Trajectory) -> list[Look]:
    """The crops that look at a target."""
    return [
        look
        for look in _partial_looks(trajectory)
        if trajectory.turns[look.turn].parsed.call.tool == "crop"
        and any(look.covers(target, HOLDS) for target in trajectory.task.targets)
    ]


def _only_look(looks: Sequence[Look], target: Target) -> Look | None:
    """The look at a target, if no other look has any of it."""
    some = [look for look in looks if look.source == target.source and coverage(look.box, target.box) > MISSES]
    return some[0] if len(some) == 1 and some[0].covers(target, HOLDS) else None


def _misses(task: Task, source: int, box: Box) -> bool:
    """Whether a region misses all targets of a picture."""
    return all(coverage(box, target.box) <= MISSES for target in task.targets if target.source == source)


def _crop(trajectory: Trajectory, look: Look, box: Box) -> Call:
    """A crop of the view that a look refers to."""
    return crop(box, int(trajectory.turns[look.turn].parsed.call.args.get("view", 0)))


def _moved(trajectory: Trajectory, look: Look, rng: np.random.Generator) -> Call | None:
    """A crop of the same view and size that misses all targets."""
    x0, y0, x1, y1 = look.relative
    for x, y in rng.random((DRAWN_BOXES, 2)):
        box = around((float(x), float(y)), x1 - x0, y1 - y0)
        if _misses(trajectory.task, look.source, compose(look.outer, box)):
            return _crop(trajectory, look, box)
    return None


def _anywhere(trajectory: Trajectory, look: Look, rng: np.random.Generator) -> Call | None:
    """A crop of a quarter of the picture that misses all targets."""
    for x, y in rng.random((DRAWN_BOXES, 2)):
        box = around((float(x), float(y)), 0.5, 0.5)
        if _misses(trajectory.task, look.source, box):
            return crop(box, look.source)
    return None


def _elsewhere(trajectory: Trajectory, target: Target, rng: np.random.Generator) -> dict[int, Act] | None:
    """Acts that move all looks at a target, or None if one of them cannot be moved, or the overview shows it.

    A look within a view that is moved itself moves along.
    """
    looks = [look for look in _partial_looks(trajectory) if look.covers(target, MISSES)]
    first = first_look(trajectory)
    if first is None or first.shows(target) or not any(look.covers(target, HOLDS) for look in looks):
        return None
    acts: dict[int, Act] = {}
    moved_views: set[int] = set()
    for look in looks:
        call = trajectory.turns[look.turn].parsed.call
        view = call.args.get("view", 0)
        if view not in moved_views:
            moved = _moved(trajectory, look, rng) if call.tool == "crop" else None
            if moved is None:
                return None
            words = placed(trajectory.turns[look.turn].parsed.thought, compose(look.outer, moved.args["box"]))
            acts[look.turn] = Act(moved, words)
        moved_views |= set(trajectory.turns[look.turn].views)
    return acts


def _misread(trajectory: Trajectory, thought: str, rng: np.random.Generator) -> str:
    """A thought with a wrong reading after its first sentence, or "" if there is nothing to misread."""
    task = trajectory.task
    wrong = [choice for letter, choice in zip(task.letters, task.choices, strict=True) if letter != task.answer]
    if not task.choices:
        wrong = [altered(task.answer, rng)] if re.search("[0-9]", task.answer) else []
    if not wrong:
        return ""
    value = wrong[int(rng.integers(len(wrong)))]
    forms = MADE_UP_SUMS if value.isdigit() else MADE_UP
    first, *others = sentences(thought) or [""]
    return " ".join(filter(None, [first, forms[int(rng.integers(len(forms)))].format(value=value), *others]))


def _misspelt(trajectory: Trajectory, thought: str, rng: np.random.Generator) -> str:
    """A thought in which a label with a number, which is said to be seen, has another one; or "" if there is none."""
    seen = [sight for sight in sightings(thought, trajectory.task.targets) if not sight.denied]
    labels = [label for sight in seen for label in sight.names if re.search("[0-9]", label)]
    if not labels:
        return ""
    return re.sub(re.escape(labels[0]), lambda found: altered(found[0], rng), thought, flags=re.IGNORECASE)


def altered(text: str, rng: np.random.Generator) -> str:
    """Returns a text with one digit changed, or without digits, one letter; a text without both gets "not" in front."""
    places = [at for at, sign in enumerate(text) if sign.isdigit()] or [
        at for at, sign in enumerate(text) if sign.isalpha()
    ]
    if not places:
        return f"not {text}"
    at = places[int(rng.integers(len(places)))]
    signs = "0123456789" if text[at].isdigit() else "bcdfghjklmnprstvwz"
    others = [sign for sign in signs if sign != text[at].lower()]
    return text[:at] + others[int(rng.integers(len(others)))] + text[at + 1 :]


def _wrong_call(task: Task, final: Call, rng: np.random.Generator) -> Call | None:
    """A final call with a wrong answer, or None if the kind of task has none that is certainly wrong."""
    if final.tool == "answer" and task.choices:
        wrong = [letter for letter in task.letters if letter != task.answer]
        return answer(wrong[int(rng.integers(len(wrong)))])
    if final.tool == "answer":
        return answer(altered(task.answer, rng))
    box = final.args.get("box")
    if final.tool != "locate" or box is None:
        return None
    for x, y in rng.random((DRAWN_BOXES, 2)):
        moved = around((float(x), float(y)), box[2] - box[0], box[3] - box[1])
        if all(iou(moved, target.box) <= MISSES for target in task.targets):
            return locate(moved, int(final.args.get("view", 0)))
    return None
