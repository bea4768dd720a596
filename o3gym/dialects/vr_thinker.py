"""`vr_thinker`: the wire format of VR-Thinker, which compares two videos in several dimensions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from o3gym.calls import answer
from o3gym.dialects.base import MAX_REPLY
from o3gym.dialects.functions import Functions
from o3gym.dialects.tagged import Unreadable, on_lines
from o3gym.dialects.tags import TagBlock, disarm, first_block
from o3gym.dialects.times import begins, durations, opening_frames, several_videos
from o3gym.dialects.wording import numbering
from o3gym.tools.base import Tool
from o3gym.tools.sampled_frames import SHOWN
from o3gym.tools.time_rules import SAMPLED, VR_THINKER_TIMES
from o3gym.types import Call, Parsed, Task, View

DIMENSIONS: Mapping[str, str] = {"TA": "temporal alignment", "MQ": "motion quality", "VQ": "video quality"}
"""The abbreviations of the dimensions in which two videos are compared, in the order of the system."""
BEST: Mapping[str, str] = {"0": "same", "1": "A", "2": "B"}
"""The written numbers of the better video, and what they mean in `Task.answer` and `Task.origin["dimensions"]`."""
JUDGEMENT = re.compile(r"\b([A-Z]{2}) ?= ?([0-9])(?![0-9])")
TAG = re.compile(r"<(/?) ?(snapshot|think|recommend(?:ed)? answer|tool_call|answer) ?>", re.IGNORECASE)
RECOMMENDED, SNAPSHOT = "recommend answer", "snapshot"
SELECTED = re.compile(rf"{SHOWN} ([0-9, ]+)")


@dataclass(frozen=True)
class VRThinker(Functions):
    """A snapshot, a think block, and then either a recommended answer with a call, or the answer.

    ```text
    <snapshot>…</snapshot><think>…</think><recommend answer>TA = 2, MQ = 1, VQ = 0, OA = 0, CF = 2</recommend answer>
    <tool_call>{"name": "select_frames", "arguments": {"target_frames": [12, 16, 76, 80]}}</tool_call>

    <snapshot>…</snapshot><think>…</think><answer>TA = 2, MQ = 0, VQ = 2, OA = 2, CF = 2</answer>
    ```

    Frames are numbered from 1 among 48 evenly spaced ones of each video, so 1 to 48 are of the first and 49 to 96 of
    the second. For each dimension and overall (OA), 1 and 2 name the better video, 0 means that they are alike; the
    confidence CF runs from 1 (high) to 3. In o3gym, OA is the answer "A", "B" or "same". The other judgements are in
    `Parsed.extras["dimensions"]`, in the form of `Task.origin["dimensions"]`, and `extras` also holds "snapshot",
    "confidence" and, of a reply with a call, "recommended". Other answers than judgements are taken as they are. Tags
    may be written with capitals, as in the system's prompt.

    A snapshot says in words what the frames show, because a window memory removes their pictures later; that is
    `window` of an arm (`o3gym.policies.window`). The system's dimensions vary with the data set; these three are those
    of its model card. The numbers and times before frames are ours.

    Source: arXiv 2510.10518 (section 3.1, figure 2); github.com/qunzhongwang/VideoSearch-Reasoner
    (grpo_train/openrlhf/trainer/ppo_utils/experience_maker.py); the model card of qunwang13/vr-thinker.
    """

    name: ClassVar[str] = "vr_thinker"
    tools: ClassVar[tuple[str, ...]] = ("sampled_frames", "answer", "locate_span", "answer_with_span")
    time_rule: ClassVar[str] = "vr_thinker"
    names: ClassVar[Mapping[str, str]] = {"sampled_frames": "select_frames"}
    keys: ClassVar[Mapping[str, str]] = {"numbers": "target_frames"}
    most_frames: ClassVar[int] = VR_THINKER_TIMES.most

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply as other dialects do, and reads its snapshot and its judgements."""
        text = TAG.sub(lambda match: f"<{match[1]}{_tag(match[2])}>", text[-MAX_REPLY:])
        parsed = super().parse(text, views)
        parts = {
            tag: block.body.strip() for tag in (SNAPSHOT, "think", RECOMMENDED) if (block := first_block(text, tag))
        }
        extras: dict[str, Any] = {SNAPSHOT: parts[SNAPSHOT]} if SNAPSHOT in parts else {}
        if parsed.call.tool == "answer" and (block := self.choose(self.actionable(text))):
            found = dict(JUDGEMENT.findall(block.body))
            extras |= {"dimensions": judged} if (judged := _dimensions(found)) else {}
        else:
            found = dict(JUDGEMENT.findall(parts.get(RECOMMENDED, "")))
            overall = {"overall": BEST[found["OA"]]} if found.get("OA") in BEST else {}
            extras |= {"recommended": {**_dimensions(found), **overall}} if found else {}
        extras |= {"confidence": int(found["CF"])} if "CF" in found else {}
        return replace(parsed, thought=parts.get("think", parsed.thought), extras=extras)

    def parse_cut(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a cut reply with its tags in small letters."""
        return super().parse_cut(TAG.sub(lambda match: f"<{match[1]}{_tag(match[2])}>", text[-MAX_REPLY:]), views)

    def read_answer(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads judgements as the answer "A", "B" or "same", and other answers as other dialects do."""
        found = dict(JUDGEMENT.findall(body))
        if "OA" not in found or body.lstrip().startswith("{"):
            return super().read_answer(body, views)
        if found["OA"] not in BEST:
            raise Unreadable('"OA" must be 0, 1 or 2')
        strict = all(value in (("1", "2", "3") if key == "CF" else BEST) for key, value in found.items())
        return answer(BEST[found["OA"]]), strict

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """The body of an answer: a judgement if there are several videos, as far as the call holds it."""
        numbers = {best: number for number, best in BEST.items()}
        if call.tool == "answer" and call.args["text"] in numbers and several_videos(views):
            return f"OA = {numbers[call.args['text']]}, CF = 1"
        return disarm(super().write_answer(call, views), (SNAPSHOT, RECOMMENDED))

    def compared(self, reply: str, dimensions: Mapping[str, str]) -> str:
        """Adds the judgements in each dimension before the overall one."""
        numbers = {best: number for number, best in BEST.items()}
        codes = {name: code for code, name in DIMENSIONS.items()}
        named = {codes[_plain(name)]: numbers[best] for name, best in dimensions.items() if _plain(name) in codes}
        written = "".join(f"{code} = {named[code]}, " for code in DIMENSIONS if code in named)
        return reply.replace("<answer>OA = ", f"<answer>{written}OA = ", 1)

    def well_formed(self, text: str, block: TagBlock) -> bool:
        """Whether the reply is exactly the blocks of a call or of an answer, in their order."""
        last = (RECOMMENDED, self.call_tag) if block.tag == self.call_tag else ("answer",)
        return _consists_of(text.strip(), (SNAPSHOT, "think", *last))

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        """Writes a call with a snapshot of what has been seen and, before a look, an undecided recommended answer."""
        plain = disarm(thought, (SNAPSHOT, RECOMMENDED))
        text = super().format(call, views, plain).replace(f"<{SNAPSHOT}>", f"<{SNAPSHOT}>{_seen(self, views)}", 1)
        if call.tool == "noop" or self.spoken(call.tool):
            return text
        undecided = "".join(f"{code} = 0, " for code in (*DIMENSIONS, "OA")) if several_videos(views) else ""
        return text.replace(
            f"<{self.call_tag}>", f"<{RECOMMENDED}>{undecided}CF = 3</{RECOMMENDED}>\n<{self.call_tag}>", 1
        )

    def lead(self, thought: str) -> str:
        """The reasoning as written before an action, with an empty snapshot, which `format` fills."""
        return f"<{SNAPSHOT}></{SNAPSHOT}>\n<think>{thought}</think>\n"

    def lead_form(self) -> str:
        """The reasoning before an action as the prompt shows it."""
        return f"<{SNAPSHOT}>what matters in the new frames</{SNAPSHOT}><think>your reasoning</think>"

    def to_frames(self, written: Sequence[int], views: Sequence[View]) -> list[int]:
        """The numbers of frames, which are written from 1."""
        return [number - 1 for number in written]

    def from_frames(self, frames: Sequence[int], views: Sequence[View]) -> list[int]:
        """The numbers of frames as they are written, from 1."""
        return [int(number) + 1 for number in frames]

    def missing_frame(self, refused: int, known: tuple[int, int] | None, views: Sequence[View]) -> str:
        """The refusal of a frame, with the numbers that `target_frames` takes."""
        last = known[1] + 1 if known else SAMPLED
        return f"there is no frame {refused + 1}; {numbering('frame', 1, last)}"

    def video_name(self, index: int) -> str:
        """The number of the video, from 1."""
        return f"video {index + 1}"

    def coordinates(self) -> str:
        """Nothing: there are no boxes."""
        return ""

    def timing(self, tools: Sequence[Tool], task: Task) -> str:
        """Explains the numbers of frames, snapshots and recommended answers, if frames can be selected."""
        if not any(tool.name == "sampled_frames" for tool in tools):
            return ""
        ranges = [
            f"{SAMPLED * rank + 1} to {SAMPLED * (rank + 1)} are of {self.video_name(video)}"
            for rank, (video, _) in enumerate(durations(task))
        ]
        return (
            f"target_frames counts evenly spaced frames: {', '.join(ranges)}. Pictures may be removed after some "
            f"rounds, but what you write as <{SNAPSHOT}> stays. As <{RECOMMENDED}>, write the answer that you would "
            "give so far, in the form of an answer."
        )

    def before_call(self) -> str:
        """The recommended answer."""
        return f"<{RECOMMENDED}>…</{RECOMMENDED}>"

    def answer_form(self, task: Task) -> str:
        """Describes judgements for two videos, and other answers as other dialects do."""
        if task.kind != "choice" or len(durations(task)) != 2:
            return super().answer_form(task)
        form = "".join(f"{code} = …, " for code in DIMENSIONS)
        named = ", ".join(f"{code} is {name}" for code, name in DIMENSIONS.items())
        return (
            f"`{form}OA = …, CF = …`: {named}, OA is overall; 1 and 2 name the better video, 0 means that they are "
            "alike; CF is your confidence from 1 (high) to 3 (low)"
        )

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """Each frame after its number, video and time; the system's line stands above selected frames."""
        known = info.get("views", views)
        if info.get("error"):
            return super().show(views, text, info)
        listed = SELECTED.fullmatch(text) if views else None
        numbers = [int(number) + 1 for number in listed[1].split(",")] if listed else []
        labels = numbers if len(numbers) == len(views) else [_opening_number(view, known) for view in views]
        parts: list[str | View] = []
        for view, number in zip(views, labels, strict=True):
            parts += [self._label(view, number), view]
        if listed:
            return on_lines(["After selecting frames: Here are the selected frames", *parts])
        return on_lines([*parts, text] if text else parts)

    def _label(self, view: View, number: int | None) -> str:
        if view.video is None:
            return f"Picture {view.index + 1}:"
        named = "Frame" if number is None else f"Frame {number}"
        return f"{named} ({self.video_name(view.video)}, {begins(view):.2f} s):"

    def called(self, index: int) -> str:
        """A description, because this format does not name pictures."""
        return f"picture {index + 1}"

    def trouble(self, reason: str) -> str:
        """The message after a call that was refused."""
        return f"Execution error: {reason}"


def _opening_number(view: View, views: Sequence[View]) -> int | None:
    """The number, from 1, of a frame that was shown at the start; None for any other view."""
    if view.video is None or view.parent >= 0:
        return None
    shown = [one.index for one in opening_frames(views, view.video)]
    videos = _videos(views)
    return SAMPLED * videos.index(view.video) + round(SAMPLED * shown.index(view.index) / len(shown)) + 1


def _videos(views: Sequence[View]) -> list[int]:
    return sorted({view.video for view in views if view.video is not None})


def _seen(dialect: VRThinker, views: Sequence[View]) -> str:
    """A snapshot that says at which times frames of each video have been shown, for replies that no model writes."""
    times = {
        video: sorted({f"{begins(view):.2f} s" for view in views if view.video == video}, key=lambda t: float(t[:-2]))
        for video in _videos(views)
    }
    seen = [f"{dialect.video_name(video)} at {', '.join(shown)}" for video, shown in times.items()]
    return f"I have seen {'; '.join(seen)}." if seen else "I have seen the pictures."


def _dimensions(found: Mapping[str, str]) -> dict[str, str]:
    """The judgements in each dimension, by its name; an unknown dimension keeps its abbreviation."""
    judged = {key: BEST[value] for key, value in found.items() if key not in ("OA", "CF") and value in BEST}
    return {DIMENSIONS.get(key, key): best for key, best in judged.items()}


def _plain(name: str) -> str:
    return name.replace("_", " ").strip().lower()


def _tag(name: str) -> str:
    return RECOMMENDED if name.lower().startswith("recommend") else name.lower()


def _consists_of(text: str, tags: Sequence[str]) -> bool:
    """Whether a text is one closed block of each tag, in order, with nothing but white space between them."""
    at = 0
    for tag in tags:
        opening, closing = f"<{tag}>", f"</{tag}>"
        end = text.find(closing, at)
        if not text.startswith(opening, at) or end < 0 or text.count(opening) != 1 or text.count(closing) != 1:
            return False
        at = end + len(closing)
        at += len(text[at:]) - len(text[at:].lstrip())
    others = {"answer", RECOMMENDED, "tool_call"} - set(tags)
    return at == len(text) and not any(f"<{tag}>" in text or f"</{tag}>" in text for tag in others)
