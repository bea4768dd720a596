"""`insight_o3_reasoner`: the wire format of InSight-o3's vReasoner, the agent that has regions found for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from o3gym.dialects.base import MAX_REPLY, unreadable
from o3gym.dialects.boxed import BOXED, first_boxed, guarded
from o3gym.dialects.functions import dump
from o3gym.dialects.lenient_json import read_json, whole_number
from o3gym.dialects.tagged import Tagged, Unreadable, on_lines
from o3gym.dialects.tags import TagBlock, disarm, first_block, thought_before
from o3gym.dialects.wording import compose_prompt
from o3gym.tools.base import MAX_TEXT, Tool
from o3gym.types import Call, Parsed, Task, View, search

RATINGS = ("NA", "helpful", "unhelpful")
RATING_KEY = "region_description"
KEY_VALUE = re.compile(rf"{RATING_KEY}\s*=")
THOUGHT_END = "</think>"
RATED = "tool_feedback"


@dataclass(frozen=True)
class InsightO3Reasoner(Tagged):
    r"""`<think>…</think>`, then `<tool_call>region_description={…}</tool_call>` or `Answer: \boxed{…}`.

    A region is asked for in words; what is between the first "{" and the last "}" of the call is the description. With
    several pictures the call is JSON, `{"region_description": "…", "img_idx": 1}`, and they are numbered from 0. What
    follows the reasoning counts, and only where there is nothing, what stands in it. A call wins over an answer, and of
    several the first counts. One call that asks for two regions is refused, and so is an empty description.

    A reply without a readable call or answer is answered with the forms again (in environments with
    `on_void="continue"`), a search that found nothing with the advice to describe the region otherwise.

    `<tool_feedback>NA|helpful|unhelpful</tool_feedback>` after the reasoning rates what the last call brought. It is
    read into `Parsed.extras["feedback"]`, which the rewards of the searcher look at.

    Attributes:
        feedback: ask for that rating, and refuse replies without one, as InSight-o3 does in training.

    Source: arXiv 2512.18745, appendix F.1; github.com/m-Just/verl-public (verl/utils/vsearch_gpt_async.py). There
    answers end at the next "}"; here at the brace that closes them. Boxes as answers are ours, as in `Tagged`.
    """

    feedback: bool = False
    name: ClassVar[str] = "insight_o3_reasoner"
    tools: ClassVar[tuple[str, ...]] = ("search", "answer", "locate")
    size_rule: ClassVar[str] = "insight_o3"
    wins: ClassVar[str] = "tool_call"
    reminder: ClassVar[str] = "Think on: is it what you asked for? Then call the tool again or answer."
    at_limit: ClassVar[str] = f"The tool cannot be called again. Think, then answer in {BOXED}…}}."
    elsewise: ClassVar[str] = (
        "Describe it differently, for example a larger area that is easy to see, or answer if you know enough."
    )

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """As in other dialects, and the rating of what the last call brought."""
        text = text[-MAX_REPLY:]
        parsed, said = super().parse(text, views), _rating(text)
        if self.feedback and not said and parsed.call.tool != "noop":
            reason = f"the reply has no <{RATED}>…</{RATED}> with one of {', '.join(RATINGS)}"
            parsed = unreadable("parse", reason, parsed.thought)
        thought = thought_before(text, text.find(THOUGHT_END)) if THOUGHT_END in text else parsed.thought
        return replace(parsed, thought=thought, extras={"feedback": said} if said else {})

    def choose(self, text: str) -> TagBlock | None:
        """The first call, or the first box, after the reasoning; else anywhere."""
        for start in (text.rfind(THOUGHT_END) + 1, 0):
            call = first_block(text[start:], self.call_tag)
            call = call and call._replace(start=call.start + start)
            found = [block for block in (call, first_boxed(text, start)) if block]
            if found:
                return next((block for block in found if block.closed), found[0])
        return None

    def missing(self, text: str) -> str:
        r"""What a reply without a call and without `\boxed` lacks."""
        return f"the reply has neither <tool_call>…</tool_call> nor {BOXED}…}}"

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """A search for the description."""
        value, is_json = read_json(body)
        asked = KEY_VALUE.search(body)
        if is_json or asked is None:
            return _in_json(value, is_json)
        rest = body[asked.end() :]
        if KEY_VALUE.search(rest):
            raise Unreadable("one call asks for one region; this one asks for several")
        start, end = rest.find("{"), rest.rfind("}")
        braces = 0 <= start < end
        described = (rest[start + 1 : end] if braces else rest).strip()
        strict = braces and not (body[: asked.start()] + rest[:start] + rest[end + 1 :]).strip()
        return _search(described, 0), strict

    def well_formed(self, text: str, block: TagBlock) -> bool:
        """One think block, the rating where it is asked for, then one call and nothing else, or one box and no call."""
        head, end, tail = text.strip().partition(THOUGHT_END)
        if not (end and head.startswith("<think>") and head.count("<think>") == 1 and THOUGHT_END not in tail):
            return False
        rest = tail.strip().removeprefix(_tagged(_rating(text))).strip()
        if f"<{RATED}>" in rest or (self.feedback and rest == tail.strip()):
            return False
        if block.tag == "answer":
            return block.closed and rest.count(BOXED) == 1 and "<tool_call>" not in rest
        alone = rest.startswith("<tool_call>") and rest.endswith("</tool_call>")
        return alone and rest.count("<tool_call>") == rest.count("</tool_call>") == 1

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """The description, with the number of the picture where there are several."""
        view = call.args.get("view", 0)
        if view or sum(one.parent < 0 for one in views) > 1:
            return dump({RATING_KEY: call.args["description"], "img_idx": view})
        described = disarm(call.args["description"], (*self.tags, "think", RATED))
        return f"{RATING_KEY}={{{KEY_VALUE.sub(f'{RATING_KEY}:', described)}}}"

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """The text, its braces escaped if they are not balanced."""
        return guarded(disarm(super().write_answer(call, views), (RATED,)))

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        r"""As in other dialects, without ratings and `\boxed` in the thought; a rating says that all went well."""
        plain = disarm(thought.replace(BOXED, "boxed{"), (RATED,))
        text = super().format(call, views, plain)
        if not self.feedback or call.tool == "noop":
            return text
        rating = "helpful" if any(view.parent >= 0 for view in views) else "NA"
        return text.replace(THOUGHT_END, f"{THOUGHT_END}\n{_tagged(rating)}", 1)

    def rated(self, reply: str, rating: str) -> str:
        """With another rating than that all went well: one of `RATINGS`."""
        if rating not in RATINGS:
            raise ValueError(f"rating: expected one of {', '.join(RATINGS)}, got {rating!r}")
        return reply.replace(_tagged(_rating(reply)), _tagged(rating), 1) if self.feedback else reply

    def close(self, text: str) -> str:
        r"""An answer in `\boxed{…}`."""
        return f"Answer: {BOXED}{text}}}"

    def lead_form(self) -> str:
        """The reasoning, and the rating where it is asked for."""
        return super().lead_form() + (f"<{RATED}>rating</{RATED}>" if self.feedback else "")

    def call_form(self) -> str:
        """A call as it looks inside its tags, for the prompt."""
        return f"{RATING_KEY}={{…}}"

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """What the tool is for and how to describe a region, and the form of a reply."""
        several = len(task.sources) > 1
        numbered = (
            f' Write the call as {{"{RATING_KEY}": "…", "img_idx": 0}}; pictures are numbered from 0.'
            if several
            else ""
        )
        section = (
            "There is a tool that finds a region from its description and shows it to you in full resolution. "
            "Think about which visual facts you need, and have the regions found that hold them. Describe one region "
            "per call, in few words, by what is seen there (a sign, a chart, a block of text), with its rough place if "
            'you know it ("at the top left"); do not count things off ("the third bar"). The tool makes mistakes: '
            f"judge what it shows you, and ask again in other words if that is something else.{numbered}"
        )
        rated = (
            f"\n\nThe rating in <{RATED}> is about what your last call brought: helpful or unhelpful for the question, "
            "NA where there was no call before."
        )
        enabled = bool(self.usable(tools, task))
        return compose_prompt(self, task, section + rated * self.feedback if enabled else "")

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The question; then what was found, that nothing was, or what was wrong with the reply."""
        if info.get("turn", 0) == 0:
            pictures = [part for view in views for part in ((f"Image {view.index}:", view) if views[1:] else (view,))]
            return on_lines([*pictures, text])
        if info.get("error"):
            return [self._repair(self.rename(text), info)]
        left = info.get("calls_left") != 0
        found = ["This was found for your description:", *views] if views else [text]
        after = (self.reminder if views else self.elsewise) if left else self.at_limit
        return on_lines([*found, after])

    def called(self, index: int) -> str:
        """The number of the picture."""
        return f"image {index}"

    def _repair(self, reason: str, info: Mapping[str, Any]) -> str:
        if info.get("error") not in ("parse", "void"):
            return f"Error: {reason}"
        call = f"or call the tool: <tool_call>{self.call_form()}</tool_call>"
        again = f"Write {self.lead_form()} and then answer: {self.close('…')}"
        return f"Error: {reason}. {again}{'' if info.get('calls_left') == 0 else f', {call}'}."


def _in_json(value: Any, strict: bool) -> tuple[Call, bool]:
    """The call of the variant for several pictures."""
    described = value.get(RATING_KEY) if isinstance(value, dict) else None
    index = whole_number(value.get("img_idx", 0)) if isinstance(value, dict) else None
    if not isinstance(described, str) or index is None:
        raise Unreadable(f"the call must be {RATING_KEY}={{a description of the region}}")
    return _search(described.strip(), index), strict and set(value) == {RATING_KEY, "img_idx"}


def _search(described: str, view: int) -> Call:
    if not described:
        raise Unreadable("the description of the region is empty")
    return search(described[:MAX_TEXT], view)


def _rating(text: str) -> str:
    """What the first rating after the reasoning says, "" without a readable one."""
    tail = text[text.rfind(THOUGHT_END) + 1 :]
    block = first_block(tail, RATED)
    said = block.body.strip() if block and block.closed else ""
    return said if said in RATINGS else ""


def _tagged(rating: str) -> str:
    return f"<{RATED}>{rating}</{RATED}>"
