"""The records that everything in o3gym passes around: one episode from its task to its loss.

All are frozen dataclasses (or named tuples) of plain values, so that they are hashable by content where it matters,
cross process borders, and round-trip through JSON with `encode` and `decode`. Pixels are never stored here: a `Source`
says where a picture comes from, a `View` which part of it was looked at and at what size; `o3gym.media.images`
makes pixels.

Coordinates are unit xyxy: `(x0, y0, x1, y1)`, each in 0..1, x to the right, y down, relative to the picture or view
that the docstring names. Sizes are `(width, height)` in pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeAlias

from o3gym.codec import decode, encode

Box: TypeAlias = tuple[float, float, float, float]
Size: TypeAlias = tuple[int, int]
Affine: TypeAlias = tuple[float, float, float, float, float, float]
EpisodeKey: TypeAlias = tuple[str, str, int, str]
"""(arm, group, sample, agent): what tells the episodes of a run apart."""

TaskKind: TypeAlias = Literal["choice", "free", "box"]
Error: TypeAlias = Literal[
    "", "parse", "void", "unknown_tool", "bad_args", "bad_view", "bad_box", "too_small", "aspect", "budget"
]
Stop: TypeAlias = Literal[
    "", "answered", "located", "void", "over_turn", "over_views", "over_context", "malformed", "length", "error"
]
Finish: TypeAlias = Literal["stop", "length", "error"]
Verdict: TypeAlias = Literal["", "correct", "wrong", "failed"]

OVER_TURN: frozenset[str] = frozenset({"over_turn", "over_views", "over_context"})
"""The stops that over-turn masking masks: the last reply was a valid call, so the agent still wanted to look."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Of options, in order."""
FULL: Box = (0.0, 0.0, 1.0, 1.0)
SCHEMA = 1
"""Version of the stored `Trajectory`; raised when a field changes its meaning."""


@dataclass(frozen=True)
class Source:
    """A lazy reference to a picture (or video): enough to make its pixels again, anywhere.

    Build one with `Source.file`, `Source.of_bytes`, `Source.generated` or `Source.derived`.

    Attributes:
        kind: "file", "bytes", "generated" (by a seeded renderer) or "derived" (by a tool, from `parent`).
        ref: the path, the SHA-256 of the bytes, the generator's name or the operation's name.
        args: JSON arguments of the generator or the operation.
        parent: the source that a derived one was made from.
        affine: for a derived source, `(a, b, c, d, e, f)` with `x' = a·x + b·y + c`, `y' = d·x + e·y + f`, which maps
            unit coordinates of this source to unit coordinates of `parent`; None where no such map exists.
        duration: seconds, for video; None for a picture.
        data: the encoded bytes of a "bytes" source. Not part of the JSON form: a run folder stores them as files.
    """

    kind: Literal["file", "bytes", "generated", "derived"]
    ref: str
    args: Mapping[str, Any] = field(default_factory=dict)
    parent: Source | None = None
    affine: Affine | None = None
    duration: float | None = None
    data: bytes | None = field(default=None, repr=False, compare=False, metadata={"json": False})

    @classmethod
    def file(cls, path: str) -> Source:
        """A picture file at `path`."""
        return cls("file", str(path))

    @classmethod
    def of_bytes(cls, data: bytes) -> Source:
        """An encoded picture (JPEG, PNG, …) held in memory."""
        return cls("bytes", hashlib.sha256(data).hexdigest(), data=data)

    @classmethod
    def generated(cls, generator: str, **args: Any) -> Source:
        """A picture that the registered `generator` renders from JSON `args` (a seed among them)."""
        return cls("generated", generator, args)

    @classmethod
    def derived(cls, parent: Source, operation: str, affine: Affine | None, **args: Any) -> Source:
        """The picture that the registered `operation` makes from `parent`."""
        return cls("derived", operation, args, parent, affine)

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that identify the pixels: sources are equal exactly if their keys are."""
        text = json.dumps(_canonical(encode(self)), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _canonical(value: Any) -> Any:
    """JSON values with whole floats as integers: 90 and 90.0 are one number, and JSON may turn one into the other."""
    if isinstance(value, dict):
        return {k: _canonical(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_canonical(v) for v in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@dataclass(frozen=True)
class Target:
    """A region that holds (part of) the answer: `box` in unit xyxy of `Task.sources[source]`."""

    box: Box
    source: int = 0
    label: str = ""
    time: tuple[float, float] | None = None


@dataclass(frozen=True)
class Task:
    """One question about one or more pictures.

    Attributes:
        id: unique within its suite and split, stable over versions of the package.
        sources: the pictures shown at reset, in order; they become views 0, 1, ….
        question: the question in words, without the options.
        answer: the letter for `kind="choice"`, the expected text for "free", "" for "box".
        choices: option texts in letter order A, B, …; empty unless `kind="choice"`.
        targets: ground-truth regions; for `kind="box"` none means "not in the picture".
        kind: how the episode is answered: a letter, free text, or a box (region search).
        tags: what reports group by, for example `{"family": "hidden", "difficulty": "easy"}`.
        origin: where the task comes from (suite, version, split, index, licence, revision).
    """

    id: str
    sources: tuple[Source, ...]
    question: str
    answer: str = ""
    choices: tuple[str, ...] = ()
    targets: tuple[Target, ...] = ()
    kind: TaskKind = "free"
    tags: Mapping[str, str] = field(default_factory=dict)
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def letters(self) -> str:
        """The option letters: "ABCD" for four choices."""
        return LETTERS[: len(self.choices)]

    @property
    def text(self) -> str:
        """The question as shown to an agent: with one "A. …" line per option."""
        options = [f"{letter}. {choice}" for letter, choice in zip(self.letters, self.choices, strict=False)]
        return "\n".join([self.question, *options])


@dataclass(frozen=True)
class View:
    """Something that was looked at. Views are numbered by success, so the index names what a model was shown.

    Attributes:
        index: position in the episode; 0 is the first source.
        source: index into the episode's sources (the task's, then those that tools derived).
        box: region of that source, unit xyxy, exactly the pixels shown (snapped outwards to whole pixels).
        native: size of that region in pixels of the source.
        shown: size of the picture that was handed to the agent, after the pixel budget.
        parent: index of the view that the call named, −1 for the pictures shown at reset.
        time: `(t0, t1)` in seconds for a frame or clip, None for a picture.
    """

    index: int
    source: int
    box: Box
    native: Size
    shown: Size
    parent: int = -1
    time: tuple[float, float] | None = None


class Call(NamedTuple):
    """An action: a tool's name and its arguments as JSON values (a box is a list of four floats)."""

    tool: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Parsed:
    """What a dialect understood of a reply.

    Attributes:
        call: the one call taken from the reply; `noop(kind, reason)` where there is none.
        well_formed: whether the whole reply keeps the dialect's format (what format rewards look at).
        thought: the reasoning text before the call, without its tags.
        extras: further signals of the format, for example a reasoner's feedback bit.
    """

    call: Call
    well_formed: bool = False
    thought: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """What a reply cost: token counts of the request and the reply, and US dollars where the price is known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


@dataclass(frozen=True)
class Reply:
    """What a policy wrote in one turn.

    Attributes:
        text: the reply, special tokens removed.
        token_ids: exact ids that were sampled, where the backend knows them.
        logprobs: per id, under the distribution that was sampled from (after temperature and the suppression of
            image-pad ids, before top-p).
        new_prompt_ids: ids added to the context since the previous reply (templates, image pads included).
        finish: "stop" (the policy ended), "length" (cut by a token limit) or "error" (no usable reply).
        error: the reason, for `finish="error"`.
        usage: token counts and cost, where known.
    """

    text: str
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    new_prompt_ids: tuple[int, ...] | None = None
    finish: Finish = "stop"
    error: str = ""
    usage: Usage | None = None


@dataclass(frozen=True)
class Turn:
    """One reply and what came of it.

    Attributes:
        reply: what the policy wrote.
        parsed: what the dialect read in it.
        error: why the call was not carried out, "" if it was.
        views: indices of the views that the call made.
        feedback: the text the environment answered with.
        terms: reward terms with scope "step" (all turns) and "end" (last turn).
        segment: index of the token sequence that holds this turn.
        children: indices into the trajectory's children of episodes that this turn delegated.
    """

    reply: Reply
    parsed: Parsed
    error: Error = ""
    views: tuple[int, ...] = ()
    feedback: str = ""
    terms: Mapping[str, float] = field(default_factory=dict)
    segment: int = 0
    children: tuple[int, ...] = ()


@dataclass(frozen=True)
class Segment:
    """One append-only token sequence of an episode: what the trainer consumes.

    `ids`, `mask` (1 on what the policy wrote) and `logprobs` (0.0 where the mask is 0) have equal lengths; `images`
    lists view indices in the order of their pads. Ordinary dialects make one segment per trajectory; a window memory or
    a dropped retry starts a new one, and each inherits the trajectory's advantage.
    """

    ids: tuple[int, ...] = ()
    mask: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    images: tuple[int, ...] = ()


@dataclass(frozen=True)
class Sampling:
    """How a reply is sampled; `seed` makes it repeatable where the backend can.

    `choices`, where there are any, are the only replies allowed (constrained decoding): how rollout forces an answer in
    the last turn. Log-probabilities are then those of the constrained distribution.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    max_tokens: int = 1024
    stop: tuple[str, ...] = ()
    seed: int = 0
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trajectory:
    """One episode, whole: the record that reports, viewers, datasets and trainers share.

    Attributes:
        task: the task itself, so that a stored run stands alone.
        sources: the task's sources, then those that tools derived.
        views: all views, by index.
        turns: replies in order.
        arm: label of the compared condition (policy and settings) within a run.
        group: siblings share it: rollouts of one task under one arm.
        sample: number within the group, 0 ≤ sample < k.
        agent: which agent of a multi-agent episode this is.
        stop: why it ended, see `Stop`; over-turn masking looks at this and never at bare `truncated`.
        answer: the answer text; for region search the located box as JSON, "" if none.
        located: the located box (unit xyxy of source 0), None if none was given or the agent said it is absent.
        verdict: correct, wrong, failed (the judge could not say), or "" while pending.
        score: the judge's graded score in 0..1 (ANLS, IoU); None while pending or failed.
        terms: reward terms over the whole episode (step terms summed).
        reward: the recipe's total, None while pending or when a judge failed.
    """

    task: Task
    sources: tuple[Source, ...]
    views: tuple[View, ...]
    turns: tuple[Turn, ...]
    arm: str = ""
    group: str = ""
    sample: int = 0
    agent: str = "main"
    env: Mapping[str, Any] = field(default_factory=dict)
    policy: str = ""
    dialect: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    seed: int = 0
    terminated: bool = False
    truncated: bool = False
    stop: Stop = ""
    answer: str = ""
    located: Box | None = None
    verdict: Verdict = ""
    score: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    reward: float | None = None
    segments: tuple[Segment, ...] = ()
    children: tuple[Trajectory, ...] = ()
    schema: int = SCHEMA

    @property
    def key(self) -> tuple[str, str, int, str]:
        """What makes an episode unique within a run: (arm, group, sample, agent)."""
        return (self.arm, self.group, self.sample, self.agent)

    @property
    def right(self) -> bool | None:
        """Whether it is correct; None where there is no verdict, or the judge failed."""
        return self.verdict == "correct" if self.verdict in ("correct", "wrong") else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `Trajectory.from_json` reads them back equal."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trajectory:
        """Read a stored trajectory. Raises `DecodeError` naming the first field that does not fit."""
        if data.get("schema", SCHEMA) > SCHEMA:
            raise ValueError(f"trajectory has schema {data['schema']}, this o3gym reads up to {SCHEMA}: upgrade o3gym")
        return decode(cls, data)


def crop(box: Box | list[float], view: int = 0) -> Call:
    """Look at `box` (unit xyxy of view `view`) at native resolution."""
    return Call("crop", {"view": view, "box": [float(v) for v in box]})


def zoom(center: tuple[float, float] | list[float], factor: float = 2.0, view: int = 0) -> Call:
    """Magnify view `view` by `factor` around `center` (unit x, y of that view)."""
    return Call("zoom", {"view": view, "center": [float(v) for v in center], "factor": float(factor)})


def reuse(view: int = 0) -> Call:
    """Look at an earlier view again; 0 is the original picture."""
    return Call("reuse", {"view": view})


def search(description: str, view: int = 0) -> Call:
    """Have the described region of picture `view` found by another agent, and look at it."""
    return Call("search", {"view": view, "description": description})


def answer(text: str) -> Call:
    """End the episode with an answer: a letter for multiple choice, otherwise text."""
    return Call("answer", {"text": text})


def locate(box: Box | list[float] | None, view: int = 0) -> Call:
    """End a region search with `box` (unit xyxy of view `view`), or None for "not in the picture"."""
    return Call("locate", {"view": view, "box": None if box is None else [float(v) for v in box]})


def noop(kind: Error, reason: str) -> Call:
    """What a dialect returns for a reply that holds no usable call; `kind` is "parse" or "void"."""
    return Call("noop", {"kind": kind, "reason": reason})
