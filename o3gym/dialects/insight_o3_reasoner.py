"""`insight_o3_reasoner`: the wire format of InSight-o3's vReasoner, the agent that delegates visual search."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from o3gym.calls import search
from o3gym.dialects.base import MAX_REPLY, unreadable
from o3gym.dialects.functions import dump
from o3gym.dialects.lenient_json import read_json, whole_number
from o3gym.dialects.tagged import Tagged, Unreadable, on_lines
from o3gym.dialects.tags import TagBlock, boxed_block, disarm, first_block, thought_before
from o3gym.dialects.wording import compose_prompt, in_own_numbers, numbering, refused_box
from o3gym.latex import BOXED, escape_boxed, first_boxed
from o3gym.tools.base import MAX_TEXT, Tool
from o3gym.types import Call, Parsed, Task, View

RATINGS = ("NA", "helpful", "unhelpful")
RATING_KEY = "region_description"
KEY_VALUE = re.compile(rf"{RATING_KEY}\s*=")
THOUGHT_END = "</think>"
RATED = "tool_feedback"


@dataclass(frozen=True)
class InsightO3Reasoner(Tagged):
    r"""`<think>…</think>`, then `<tool_call>region_description={…}</tool_call>` or `Answer: \boxed{…}`.

    A call asks for a region in words: the description is the text between the first "{" and the last "}" of the call.
    With several pictures, which are numbered from 0, the call is JSON: `{"region_description": "…", "img_idx": 1}`.
    Actions after the reasoning count; if there are none, actions inside the reasoning count. Of several actions, a
    call takes precedence over an answer and an earlier one over a later one. A call that asks for two regions is
    refused, and so is an empty description.

    After a reply without a readable call or answer, the next message repeats the reply forms (in environments with
    `on_void="continue"`). After a search that found nothing, it advises to describe the region differently.

    `<tool_feedback>NA|helpful|unhelpful</tool_feedback>` after the reasoning rates the result of the last call. The
    rating is stored in `Parsed.extras["feedback"]`, which the searcher's reward terms use.

    Attributes:
        feedback: whether to ask for that rating and refuse replies without one, as InSight-o3 does in training.

    Source: arXiv 2512.18745, appendix F.1; github.com/m-Just/verl-public (verl/utils/vsearch_gpt_async.py). That code
    ends an answer at the next "}"; this dialect ends it at the matching brace. Boxes as answers are ours, as in
    `Tagged`.
    """

    feedback: bool = False
    name: ClassVar[str] = "insight_o3_reasoner"
    tools: ClassVar[tuple[str, ...]] = ("search", "answer", "locate", "locate_span", "answer_with_span")
    size_rule: ClassVar[str] = "insight_o3"
    wins: ClassVar[str] = "tool_call"
    reminder: ClassVar[str] = "Think on: is it what you asked for? Then call the tool again or answer."
    at_limit: ClassVar[str] = f"The tool cannot be called again. Think, then answer in {BOXED}…}}."
    elsewise: ClassVar[str] = (
        "Describe it differently, for example a larger area that is easy to see, or answer if you know enough."
    )

    def parse(self, text: str, views: Sequence[View]) -> Parsed:
        """Parses a reply as other dialects do, and reads its rating of the last call."""
        text = text[-MAX_REPLY:]
        parsed, rating = super().parse(text, views), _rating(text)
        if self.feedback and not rating and parsed.call.tool != "noop":
            reason = f"the reply has no <{RATED}>…</{RATED}> with one of {', '.join(RATINGS)}"
            parsed = unreadable("parse", reason, parsed.thought)
        thought = thought_before(text, text.find(THOUGHT_END)) if THOUGHT_END in text else parsed.thought
        return replace(parsed, thought=thought, extras={"feedback": rating} if rating else {})

    def choose(self, text: str) -> TagBlock | None:
        """Chooses the first call, or else the first boxed answer, after the reasoning; if there is none, anywhere."""
        for start in (text.rfind(THOUGHT_END) + 1, 0):
            call = first_block(text[start:], self.call_tag)
            call = call and call._replace(start=call.start + start)
            found = [block for block in (call, boxed_block(first_boxed(text, start))) if block]
            if found:
                return next((block for block in found if block.closed), found[0])
        return None

    def missing(self, text: str) -> str:
        r"""The feedback on a reply without a call and without `\boxed`."""
        return f"the reply has neither <tool_call>…</tool_call> nor {BOXED}…}}"

    def read_call(self, body: str, views: Sequence[View]) -> tuple[Call, bool]:
        """Reads a search for the described region."""
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
        """Whether the reply is a think block, the rating if it is required, then one call alone or one boxed answer."""
        head, end, tail = text.strip().partition(THOUGHT_END)
        # the opening tag may be missing, because some chat templates write it in the generation prompt
        if not end or THOUGHT_END in tail or head.count("<think>") != head.startswith("<think>"):
            return False
        rest = tail.strip().removeprefix(_tagged(_rating(text))).strip()
        if f"<{RATED}>" in rest or (self.feedback and rest == tail.strip()):
            return False
        if block.tag == "answer":
            return block.closed and rest.count(BOXED) == 1 and "<tool_call>" not in rest
        alone = rest.startswith("<tool_call>") and rest.endswith("</tool_call>")
        return alone and rest.count("<tool_call>") == rest.count("</tool_call>") == 1

    def write_call(self, call: Call, views: Sequence[View]) -> str:
        """Writes the description, with the picture's number if there are several."""
        view = call.args.get("view", 0)
        if view or sum(one.parent < 0 for one in views) > 1:
            return dump({RATING_KEY: call.args["description"], "img_idx": view})
        described = disarm(call.args["description"], (*self.tags, "think", RATED))
        return f"{RATING_KEY}={{{KEY_VALUE.sub(f'{RATING_KEY}:', described)}}}"

    def write_answer(self, call: Call, views: Sequence[View]) -> str:
        """Writes the answer, with its braces escaped if they are unbalanced."""
        return escape_boxed(disarm(super().write_answer(call, views), (RATED,)))

    def format(self, call: Call, views: Sequence[View], thought: str = "") -> str:
        r"""Writes a call as other dialects do, with ratings and `\boxed` in the thought disarmed.

        The rating is "helpful" if there was a call before and "NA" if not; `rated` replaces it.
        """
        plain = disarm(thought.replace(BOXED, "boxed{"), (RATED,))
        text = super().format(call, views, plain)
        if not self.feedback or call.tool == "noop":
            return text
        rating = "helpful" if any(view.parent >= 0 for view in views) else "NA"
        return text.replace(THOUGHT_END, f"{THOUGHT_END}\n{_tagged(rating)}", 1)

    def rated(self, reply: str, rating: str) -> str:
        """Replaces the rating that `format` wrote. Raises ValueError if `rating` is not one of `RATINGS`."""
        if rating not in RATINGS:
            raise ValueError(f"rating: expected one of {', '.join(RATINGS)}, got {rating!r}")
        return reply.replace(_tagged(_rating(reply)), _tagged(rating), 1) if self.feedback else reply

    def close(self, text: str) -> str:
        r"""Wraps an answer in `\boxed{…}`."""
        return f"Answer: {BOXED}{text}}}"

    def lead_form(self) -> str:
        """The reasoning, and the rating if it is required."""
        return super().lead_form() + (f"<{RATED}>rating</{RATED}>" if self.feedback else "")

    def call_form(self) -> str:
        """The body of a call as the prompt shows it."""
        return f"{RATING_KEY}={{…}}"

    def prompt(self, tools: Mapping[str, Tool], task: Task) -> str:
        """Explains the purpose of the tool, how to describe a region, and the form of a reply."""
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
        return compose_prompt(self, task, section + rated * self.feedback if enabled else "", tools)

    def show(self, views: Sequence[View], text: str, info: Mapping[str, Any]) -> list[str | View]:
        """The question at reset; later the region found, the report that none was found, or a repair request."""
        if info.get("turn", 0) == 0:
            pictures = [
                part for view in views for part in ((self.headline(view, views), view) if views[1:] else (view,))
            ]
            return on_lines([*pictures, text])
        if info.get("error"):
            known = info.get("views", views)
            return [self._repair(self.rename(in_own_numbers(self, text, known), known), info)]
        if (box := refused_box(text)) is not None:  # a box of the searcher, whose numbers mean nothing to the reasoner
            text = f"{text[: box.start]}the box that was found cannot be shown."
        left = info.get("calls_left") != 0
        found = ["This was found for your description:", *views] if views else [text]
        after = (self.reminder if views else self.elsewise) if left else self.at_limit
        return on_lines([*found, after])

    def label(self, view: View) -> str:
        """The picture's number, as `img_idx` takes it."""
        return f"Image {view.index}:"

    def called(self, index: int) -> str:
        """The picture's number."""
        return f"image {index}"

    def missing_view(self, index: int, last: int, views: Sequence[View]) -> str:
        """The refusal of a picture that does not exist, with the numbers of those given at the start.

        Later pictures have a number in the environment, too, but a search of one of them is refused.
        """
        given = sum(view.parent < 0 for view in views) or last + 1
        return f"there is no {self.called(index)}; {numbering('image', 0, given - 1)}"

    def _repair(self, reason: str, info: Mapping[str, Any]) -> str:
        if info.get("error") not in ("parse", "void"):
            return f"Error: {reason}"
        call = f"or call the tool: <tool_call>{self.call_form()}</tool_call>"
        again = f"Write {self.lead_form()} and then answer: {self.close('…')}"
        return f"Error: {reason}. {again}{'' if info.get('calls_left') == 0 else f', {call}'}."


def _in_json(value: Any, strict: bool) -> tuple[Call, bool]:
    """Reads the JSON call of the variant for several pictures."""
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
    """The first rating after the reasoning, "" if there is none or it is unreadable."""
    tail = text[text.rfind(THOUGHT_END) + 1 :]
    block = first_block(tail, RATED)
    rating = block.body.strip() if block and block.closed else ""
    return rating if rating in RATINGS else ""


def _tagged(rating: str) -> str:
    return f"<{RATED}>{rating}</{RATED}>"
