"""The records that o3gym's parts exchange: one episode, from its task to the token sequences of its loss.

All records are frozen dataclasses or named tuples of plain values. They are hashable by content where it matters, can
be sent to other processes, and round-trip through JSON with `encode` and `decode`. They never contain pixels: a
`Source` refers to a picture, a `View` to a region of it at some size, and `o3gym.media.images` produces the pixels.

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

from o3gym.codec import canonical, decode, encode
from o3gym.sampling import Sampling

Box: TypeAlias = tuple[float, float, float, float]
Size: TypeAlias = tuple[int, int]
Affine: TypeAlias = tuple[float, float, float, float, float, float]
Span: TypeAlias = tuple[float, float]
"""An interval [t0, t1) of a video, in seconds from its first frame."""
EpisodeKey: TypeAlias = tuple[str, str, int, str]
"""(arm, group, sample, agent): the key of an episode within a run."""
TaskKind: TypeAlias = Literal["choice", "free", "box", "span"]
Error: TypeAlias = Literal[
    "", "parse", "void", "unknown_tool", "bad_args", "bad_view", "bad_box", "bad_time", "too_small", "aspect", "budget",
    "code", "bad_move"
]  # fmt: skip
Stop: TypeAlias = Literal[
    "", "answered", "located", "void", "over_turn", "over_views", "over_context", "malformed", "length", "error"
]
Resampling: TypeAlias = Literal["bicubic", "nearest", "lanczos"]
Finish: TypeAlias = Literal["stop", "length", "error"]
Verdict: TypeAlias = Literal["", "correct", "wrong", "failed"]

OVER_TURN: frozenset[str] = frozenset({"over_turn", "over_views", "over_context"})
"""The stops that over-turn masking masks: the last reply was a valid call, so the agent was still searching."""
ENDING_TOOLS: frozenset[str] = frozenset({"answer", "locate", "locate_span", "answer_with_span"})
"""Our own tools that end an episode, by name, for code that reads trajectories and builds no tools."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Option letters, in order."""
FULL: Box = (0.0, 0.0, 1.0, 1.0)
SCHEMA = 1
"""Version of stored trajectories; incremented when a field changes its meaning."""


@dataclass(frozen=True)
class Source:
    """A lazy reference to a picture or video, with everything that is needed to reproduce its pixels.

    Build one with `Source.file`, `Source.of_bytes`, `Source.generated` or `Source.derived`.

    Attributes:
        kind: "file", "bytes", "generated" (by a seeded renderer) or "derived" (by a tool, from `parent`).
        ref: the path, the SHA-256 of the bytes, the generator's name or the operation's name.
        args: JSON arguments of the generator or operation, or the place of a picture that is embedded in a file.
        parent: the source that a derived source was made from.
        affine: for a derived source, `(a, b, c, d, e, f)` with `x' = a·x + b·y + c`, `y' = d·x + e·y + f`, which maps
            unit coordinates of this source to unit coordinates of `parent`; None if no such map exists.
        duration: length of a video in seconds; None for a picture.
        data: the encoded bytes of a "bytes" source. Not part of the JSON form; run folders store them as files.
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
        """The picture file at `path`."""
        return cls("file", str(path))

    @classmethod
    def of_bytes(cls, data: bytes) -> Source:
        """An encoded picture (JPEG, PNG, …) held in memory."""
        return cls("bytes", hashlib.sha256(data).hexdigest(), data=data)

    @classmethod
    def generated(cls, generator: str, **args: Any) -> Source:
        """A picture that the registered `generator` renders from JSON `args`, which include any seed."""
        return cls("generated", generator, args)

    @classmethod
    def derived(cls, parent: Source, operation: str, affine: Affine | None, **args: Any) -> Source:
        """The picture that the registered `operation` makes from `parent`."""
        return cls("derived", operation, args, parent, affine)

    @classmethod
    def made(cls, data: bytes, parent: Source | None, by: Literal["code", "model"] = "code") -> Source:
        """An encoded picture by a model's code, or by the model itself. It cannot be made again: its bytes are kept.

        `parent` is the task's first source. There is no affine map, because the pixels may be any.
        """
        return cls("bytes", hashlib.sha256(data).hexdigest(), {"made_by": by}, parent, data=data)

    @cached_property
    def key(self) -> str:
        """Sixteen hex digits that identify the pixels. Sources are equal if and only if their keys are."""
        text = json.dumps(canonical(encode(self)), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Target:
    """A region that holds (part of) the answer: `box` in unit xyxy of `Task.sources[source]`.

    If that source is a video, `time` is the interval in which the region holds it; None means all the time.
    """

    box: Box
    source: int = 0
    label: str = ""
    time: Span | None = None


@dataclass(frozen=True)
class Task:
    """One question about one or more pictures or videos.

    Attributes:
        id: unique within its suite and split, stable over versions of the package.
        sources: the pictures and videos shown at reset, in order. A picture becomes one view, and a video becomes one
            view for each frame of its overview.
        question: the question in words, without the options.
        answer: the letter for `kind="choice"`, the expected text for "free", "" for "box" and "span".
        choices: option texts in letter order A, B, …; empty unless `kind="choice"`.
        targets: ground-truth regions; for `kind="box"`, no targets means "not in the picture". For "span", the times of
            the targets are the intervals that are asked for.
        kind: form of the answer: a letter ("choice"), text ("free"), a box ("box", region search) or an interval of the
            first video ("span", temporal grounding).
        tags: categories that reports group by, for example `{"family": "hidden", "difficulty": "easy"}`.
        origin: provenance of the task (suite, version, split, index, licence, revision).
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
        """The question as shown to an agent, with one line "A. …" per option."""
        options = [f"{letter}. {choice}" for letter, choice in zip(self.letters, self.choices, strict=False)]
        return "\n".join([self.question, *options])


@dataclass(frozen=True)
class View:
    """A picture or region that was shown to the agent. Only successful calls add views, so indices have no gaps.

    Attributes:
        index: position among the episode's views; 0 is the first source.
        source: index into the episode's sources: the task's sources, followed by the frames that were shown and the
            pictures that tools derived.
        box: region of that source, unit xyxy, exactly the pixels shown (snapped outwards to whole pixels).
        native: size of that region in pixels of the source.
        shown: size at which it was shown to the agent, after applying the pixel budget.
        parent: index of the view that the call referred to, −1 for the pictures shown at reset.
        time: the interval in seconds in which a frame of a video is shown; None for a picture.
        video: for a frame, the index of its video among the task's sources.
        frame: for a frame, its number in the video, counted from 0.
        resampling: how the region is resized to `shown`.
    """

    index: int
    source: int
    box: Box
    native: Size
    shown: Size
    parent: int = -1
    time: Span | None = None
    resampling: Resampling = field(default="bicubic", metadata={"json": "if set"})
    video: int | None = field(default=None, metadata={"json": "if set"})
    frame: int | None = field(default=None, metadata={"json": "if set"})


class Call(NamedTuple):
    """An action: a tool's name and its arguments as JSON values (a box is a list of four floats)."""

    tool: str
    args: dict[str, Any]


@dataclass(frozen=True)
class Parsed:
    """A reply as parsed by a dialect.

    Attributes:
        call: the call in the reply; `noop(kind, reason)` if there is none.
        well_formed: whether the whole reply follows the dialect's format; the basis of format rewards.
        thought: the reasoning text before the call, without its tags.
        extras: further signals in the reply, for example a reasoner's feedback bit.
    """

    call: Call
    well_formed: bool = False
    thought: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Usage:
    """Cost of a reply: token counts of the request and the reply, and US dollars if the price is known."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None


@dataclass(frozen=True)
class Reply:
    """The output of a policy in one turn.

    Attributes:
        text: the reply without special tokens.
        token_ids: the ids that were sampled, if the backend reports them.
        logprobs: log-probability of each id under the sampling distribution (after temperature and the suppression of
            image-pad ids, before the repetition penalty and top-p). Those of code tokens are taken at the temperature
            of the text, too.
        new_prompt_ids: ids added to the context since the previous reply, including templates and image pads. For the
            first reply of a segment: all ids of the dialogue so far, earlier replies included.
        finish: "stop" (the policy ended its reply), "length" (cut off by a token limit) or "error" (no usable reply).
        error: the reason if `finish="error"`.
        usage: token counts and cost, if known.
        code: [start, end) spans of `token_ids` that were sampled at `Sampling.code_temperature`.
    """

    text: str
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    new_prompt_ids: tuple[int, ...] | None = None
    finish: Finish = "stop"
    error: str = ""
    usage: Usage | None = None
    code: tuple[tuple[int, int], ...] = field(default=(), metadata={"json": "if set"})


@dataclass(frozen=True)
class Turn:
    """One reply and its outcome.

    Attributes:
        reply: the policy's output.
        parsed: the reply as parsed by the dialect.
        error: the kind of error if the call was rejected, otherwise "".
        views: indices of the views that the call added.
        feedback: the text that the environment returned.
        terms: reward terms with scope "step" (in every turn) and "end" (in the last turn).
        segment: index of the segment that contains this turn.
        children: indices, into the trajectory's children, of the episodes that this turn delegated.
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
    """A part of an episode in which the dialogue only grew: one token sequence to train on.

    A window memory removes old pictures from the dialogue, and each time a new segment starts (`Arm.window`). A
    segment's sequence is `Reply.new_prompt_ids` and `Reply.token_ids` of its own turns, joined. Every segment has the
    trajectory's advantage.

    Attributes:
        turns: indices of its turns, whose replies have a loss in its sequence; earlier replies in it have none.
        views: indices of the views in the dialogue before its last reply, in the order of their image pads.
        dropped: indices of the views whose pictures were removed when it started.
    """

    turns: tuple[int, ...] = ()
    views: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True)
class Trajectory:
    """A complete episode: the record that reports, viewers, data sets and trainers share.

    Attributes:
        task: the task itself, so that a stored run is self-contained.
        sources: the task's sources, followed by the frames that were shown and the pictures that tools derived.
        views: all views, by index.
        turns: all turns, in order.
        arm: label of the compared condition (policy and settings) within a run.
        group: label that sibling rollouts share: those of one task under one arm.
        sample: number within the group, 0 ≤ sample < k.
        agent: name of the agent in a multi-agent episode.
        stop: reason why the episode ended, see `Stop`. Over-turn masking depends on this, never on `truncated` alone.
        answer: the answer text; for region search the located box as JSON, or "" if there is none.
        located: the located box (unit xyxy of source 0), or None if there is none or the agent reported it as absent.
        span: the answered interval of the first video, in seconds, or None if the agent gave none.
        verdict: "correct", "wrong", "failed" (the judge reached no verdict), or "" while pending.
        score: the judge's graded score in 0..1 (ANLS, IoU); None while pending or failed.
        terms: reward terms of the whole episode (step terms summed).
        reward: the recipe's total; None while pending or if a judge failed.
        segments: the segments, if there are several or the dialect left views out of the dialogue; empty for an episode
            whose dialogue only grew and holds all views.
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
    span: Span | None = field(default=None, metadata={"json": "if set"})

    @property
    def key(self) -> EpisodeKey:
        """The episode's key within its run."""
        return (self.arm, self.group, self.sample, self.agent)

    @property
    def right(self) -> bool | None:
        """Whether the answer is correct; None if there is no verdict or the judge failed."""
        return self.verdict == "correct" if self.verdict in ("correct", "wrong") else None

    def to_json(self) -> dict[str, Any]:
        """The trajectory as plain JSON values; `Trajectory.from_json` reads it back unchanged."""
        data: dict[str, Any] = encode(self)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Trajectory:
        """Read a stored trajectory.

        Raises:
            DecodeError: a field does not match; it is named.
            ValueError: the trajectory was stored by a newer version, or a view is of a source that is not there.
        """
        schema = data.get("schema", SCHEMA)
        if isinstance(schema, int | float) and schema > SCHEMA:  # anything else is refused by its type
            raise ValueError(f"trajectory has schema {data['schema']}, newest known is {SCHEMA}; upgrade o3gym")
        trajectory = decode(cls, data)
        for view in trajectory.views:
            if not 0 <= view.source < len(trajectory.sources):
                raise ValueError(f"view {view.index} is of source {view.source} of {len(trajectory.sources)}")
        return trajectory
