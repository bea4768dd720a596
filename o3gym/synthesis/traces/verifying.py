"""Verifies traces by rule: each verifier says of every trajectory whether it is sound, and if not, why.

The rules read English thoughts with `o3gym.synthesis.traces.words` and compare them with what the calls really showed.
They say nothing about what they do not understand: a trajectory passes unless a rule finds a flaw. `untold` tells which
trajectories had steps that the rules about words could not judge; a model can be asked about those
(`o3gym.synthesis.traces.judging`).
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from o3gym.synthesis.traces.seeing import Look, all_told, first_look, look_of, looks_of
from o3gym.synthesis.traces.words import (
    Intent,
    Sighting,
    announces,
    concludes,
    labels_in,
    negates,
    plans,
    sentences,
    sightings,
    supposes,
)
from o3gym.types import ENDING_TOOLS, Target, Task, Trajectory

PRESENT = 0.9
"""Share of a target that a view must contain before words that deny its presence are wrong (ours)."""
RESULT = re.compile(r"\b(?:makes|total|sum|equals|result|answer|altogether|together)\b|=", re.IGNORECASE)
"""Words beside which a number is a result, and not a reading on the way to one."""


class Finding(NamedTuple):
    """What a verifier says of one trajectory: it passes if both fields are empty.

    Attributes:
        flaw: why the trajectory is flawed, in a few words; "" if no flaw was found.
        failed: why nothing could be told, for example a server's error; "" if the verifier could tell.
    """

    flaw: str = ""
    failed: str = ""

    @property
    def passed(self) -> bool:
        """Whether the verifier could tell and found no flaw."""
        return not self.flaw and not self.failed


class Verifier(Protocol):
    """Says of settled trajectories whether they are sound."""

    name: str

    def verify(self, trajectories: Sequence[Trajectory]) -> list[Finding]:
        """Returns one finding per trajectory, in order; a verifier that asks a model asks about all of them at once."""
        ...


class Rule:
    """Base of the verifiers that look at one trajectory at a time and never fail."""

    name: str = ""

    def verify(self, trajectories: Sequence[Trajectory]) -> list[Finding]:
        """Returns one finding per trajectory, in order."""
        return [Finding(self.flaw(trajectory)) for trajectory in trajectories]

    @abstractmethod
    def flaw(self, trajectory: Trajectory) -> str:
        """Returns the first flaw of a trajectory in a few words, or ""."""


class ToolAgainstWords(Rule):
    """The call of a turn must do what the words before it announce.

    A place that is named ("upper left") must fit the middle of the region, in the whole picture or in the view that the
    call refers to. A target that is named must be covered, one at least if there are several, unless the words only
    suppose that it is there. "The whole picture again" must show the whole picture; a closer look must be smaller than
    what it is a part of; a look "within this view" must lie in the last view. Words that announce a look must not come
    with an answer, and words that announce the answer not with a look.

    What it cannot see: anything that thoughts say in other words than the rules know, places relative to things ("left
    of the hat"), things without a known box, and a wrong region in the half of the picture that the words name.
    """

    name: str = "tool against words"

    def flaw(self, trajectory: Trajectory) -> str:
        """Returns the first flaw of a trajectory in a few words, or ""."""
        return next(filter(None, (self._turn(trajectory, turn) for turn in range(len(trajectory.turns)))), "")

    def _turn(self, trajectory: Trajectory, turn: int) -> str:
        thought, tool = trajectory.turns[turn].parsed.thought, trajectory.turns[turn].parsed.call.tool
        meant = plans(thought, trajectory.task.targets)
        if tool in ENDING_TOOLS:
            return "the words announce a look, but the call answers" if meant and not concludes(thought) else ""
        look = look_of(trajectory, turn)
        if look is None:
            return ""
        if concludes(thought) and not meant:
            return "the words announce the answer, but the call looks"
        before = look_of(trajectory, turn - 1) if turn else first_look(trajectory)
        return next(filter(None, (_mismatch(plan, look, before, trajectory) for plan in meant)), "")


class SightAgainstView(Rule):
    """What a thought says about earlier looks must be so.

    Targets that a thought claims to see must lie in the view that it speaks of (the last one for "here", "this" and
    "now", otherwise any so far), and sharply if they are seen "clearly". Targets that it denies must not be in the last
    view. "Back at the whole picture" must follow a view of the whole picture, and "that call was refused" a refused
    call. Before the first look, a thought must not speak of one.

    What it cannot see: claims about things that are no targets, about their properties (see `ReadingAgainstTruth`) and
    relations, and all claims in words that the rules do not know. Episodes with views of unknown regions, such as
    frames of videos and pictures that code makes, pass.
    """

    name: str = "sight against view"

    def flaw(self, trajectory: Trajectory) -> str:
        """Returns the first flaw of a trajectory in a few words, or ""."""
        first, looks = first_look(trajectory), looks_of(trajectory)
        if first is None or not all_told(trajectory):
            return ""
        past = [first]
        for turn, done in enumerate(trajectory.turns):
            refused = turn > 0 and bool(trajectory.turns[turn - 1].error)
            last = None if refused else past[-1] if turn == 0 else looks.get(turn - 1)
            for sight in sightings(done.parsed.thought, trajectory.task.targets):
                flaw = _false_state(sight, turn, refused, last)
                if flaw := flaw or _false_sight(sight, past, last, trajectory.task.targets):
                    return flaw
            past += [looks[turn]] if turn in looks else []
        return ""


class ReadingAgainstTruth(Rule):
    """The last thought must not state a wrong option as what it sees.

    In tasks with options, a sentence of it is flawed that names a wrong option and not the right one. In tasks with a
    free answer, a sentence is flawed that names something of the same form, such as another code. Numbers count only
    beside words for a result ("the sum is 76"), because they may also be readings on the way to it. Sentences that
    suppose, ask, deny or announce a look are exempt, and so are options whose words the question contains.

    What it cannot see: readings on the way to the answer (the addends of a sum, a colour named earlier), things made up
    beside the question, options that the question lists itself, and in region searches anything at all.
    """

    name: str = "reading against truth"

    def flaw(self, trajectory: Trajectory) -> str:
        """Returns the first flaw of a trajectory in a few words, or ""."""
        wrong = _wrong_reading(trajectory)
        return f'it reads "{wrong}", which is wrong' if wrong else ""


class AnswerAgainstEvidence(Rule):
    """Before the answer, looks must have shown every target: covered, and sharp (`Look.shows`).

    What it cannot see: whether the agent took in what the views showed, whether the targets' boxes hold all that the
    answer needs. Tasks without targets pass, and so do episodes with views of unknown regions, such as frames of videos
    and pictures that code makes.
    """

    name: str = "answer against evidence"

    def flaw(self, trajectory: Trajectory) -> str:
        """Returns which target no view showed, or ""."""
        first = first_look(trajectory)
        if first is None or not all_told(trajectory):
            return ""
        looks = [first, *looks_of(trajectory).values()]
        unseen = [target for target in trajectory.task.targets if not any(look.shows(target) for look in looks)]
        return f"no view shows {unseen[0].label or 'a target'}" if unseen else ""


class AnswerAgainstTruth(Rule):
    """The verdict must be "correct"; without a verdict, the finding is failed.

    What it cannot see: right answers for wrong reasons.
    """

    name: str = "answer against truth"

    def verify(self, trajectories: Sequence[Trajectory]) -> list[Finding]:
        """Returns one finding per trajectory, in order."""
        return [Finding(self.flaw(each), "" if each.right is not None else "no verdict") for each in trajectories]

    def flaw(self, trajectory: Trajectory) -> str:
        """Returns that the answer is wrong, or ""."""
        return "the answer is wrong" if trajectory.right is False else ""


RULES: Mapping[str, Callable[[], Verifier]] = {
    rule.name: rule
    for rule in (ToolAgainstWords, SightAgainstView, ReadingAgainstTruth, AnswerAgainstEvidence, AnswerAgainstTruth)
}
"""The verifiers by rule, by name."""


def untold(trajectory: Trajectory) -> list[int]:
    """Returns the turns whose words say nothing about the look that the rules could compare it with."""
    targets = trajectory.task.targets
    return [
        turn
        for turn in looks_of(trajectory)
        if all(plan.vague for plan in plans(trajectory.turns[turn].parsed.thought, targets))
    ]


def _mismatch(plan: Intent, look: Look, before: Look | None, trajectory: Trajectory) -> str:
    """Returns how a look differs from what a sentence announces, or ""."""
    if plan.whole:
        return "" if look.whole else "the words announce the whole picture, but the call shows a part"
    if plan.closer and not look.narrows:
        return "the words announce a closer look, but the call shows all of the view"
    if plan.inside and before is not None and not look.inside(before):
        return "the words announce a part of the last view, but the call looks elsewhere"
    if plan.places and look.whole:
        return f"the words announce the {plan.places[0].words}, but the call shows the whole picture"
    for place in plan.places:
        if not place.fits(look.box) and not place.fits(look.relative):
            return f"the words announce the {place.words}, but the call looks elsewhere"
    wanted = [target for target in trajectory.task.targets if target.label in plan.names]
    if wanted and not plan.doubtful and not any(look.covers(target) for target in wanted):
        return f"the words name {wanted[0].label}, but the region does not contain it"
    return ""


def _false_state(sight: Sighting, turn: int, refused: bool, last: Look | None) -> str:
    """Returns how the last call differs from what a sentence says about it, or ""."""
    if sight.refused:
        return "" if refused else "it speaks of a refusal, but the last call was not refused"
    if turn == 0 and sight.looked:
        return "it speaks of a look that never happened"
    if refused and sight.last and (sight.names or sight.denied):
        return "it speaks of a view, but the last call was refused"
    if sight.whole and last is not None and not last.whole:
        return "it speaks of the whole picture, but the last view is a part"
    return ""


def _false_sight(sight: Sighting, past: Sequence[Look], last: Look | None, targets: Sequence[Target]) -> str:
    """Returns which sight of a target is claimed or denied wrongly, or ""."""
    if sight.denied:
        if last is None:
            return ""
        new = [target for target in targets if not any(look.shows(target) for look in past if look is not last)]
        wanted = [target for target in targets if target.label in sight.names] if sight.names else new
        found = [target for target in wanted if last.shows(target, PRESENT)]
        return f"it denies {found[0].label or 'what is sought'}, which the last view shows" if found else ""
    looks = ([last] if last else []) if sight.last else past
    for label in sight.names if looks else ():
        those = [target for target in targets if target.label == label]
        if not any(look.shows(one) if sight.clear else look.covers(one) for look in looks for one in those):
            return f"it claims to see {label}, which the view does not show"
    return ""


def _wrong_reading(trajectory: Trajectory) -> str:
    """Returns the first wrong reading of the answer that the last thought states, or ""."""
    task, thought = trajectory.task, trajectory.turns[-1].parsed.thought if trajectory.turns else ""
    named_right = dict(zip(task.letters, task.choices, strict=False)).get(task.answer, task.answer)
    if not named_right or task.kind not in ("choice", "free"):
        return ""
    told = [one for one in sentences(thought) if not (announces(one) or supposes(one) or negates(one))]
    return next((reading for one in told for reading in _readings(one, named_right, task)), "")


def _readings(sentence: str, right: str, task: Task) -> Sequence[str]:
    """Returns what a sentence states in place of the right answer."""
    number = right.replace(".", "").isdigit()
    if labels_in(sentence, [right]) or (number and not RESULT.search(sentence)):
        return ()
    known = {label.casefold() for label in labels_in(task.question, task.choices)}
    known |= {target.label.casefold() for target in task.targets}
    found = labels_in(sentence, task.choices) if task.choices else _alike(right).findall(sentence)
    return [one for one in found if one != right and one.casefold() not in known]


def _alike(answer: str) -> re.Pattern[str]:
    """Returns a pattern of what has the form of an answer with digits in it: another code or number."""
    form = re.sub("[A-Z]", "[A-Z]", re.sub("[0-9]", "[0-9]", re.escape(answer)))
    return re.compile(rf"(?<![\w-]){form}(?![\w-])" if re.search("[0-9]", answer) else r"(?!)")
