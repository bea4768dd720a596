"""No reply whatsoever makes a dialect raise, or lets anything but a well-shaped call through.

`O3GYM_FUZZ` sets the number of replies per dialect; `make fuzz` tries a million.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable

import pytest

from o3gym.calls import answer, answer_with_span, clip, code, crop, frames, locate, locate_span, reuse, search, zoom
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.registry import DIALECTS, TOOLS
from o3gym.types import Call, Parsed
from tests.dialects.dialect_samples import FILM_VIEWS, SPECS, VIEWS

N = int(os.environ.get("O3GYM_FUZZ", "5000"))
CALLS = (
    crop([0.1, 0.2, 0.3, 0.4]),
    crop([0.0, 0.0, 1.0, 1.0], 1),
    zoom((0.5, 0.25), 3.5),
    reuse(0),
    search("the sign {left} of the door"),
    search("the sign", 1),
    answer("B"),
    answer("a {nested} 'quoted' \"text\""),
    locate([0.1, 0.1, 0.9, 0.9]),
    locate(None),
    Call("rotate", {"view": 0, "angle": 45.0}),
    Call("sampled_frames", {"numbers": [3, 50]}),
    Call("frame_at", {"time": 75.0, "video": 0}),
    frames([0, 1]),
    frames([7, 159], 0),
    clip(0.0, 12.5),
    locate_span(3.25, 7.5),
    answer_with_span("the lamp", 1.0, 2.0),
    Call("caption_clip", {"span": [1.0, 2.5], "video": 0}),
    Call("ask_clip", {"span": [1.0, 2.5], "video": 0, "question": "What {lights} up?"}),
    code("x = 1\nprint(x)"),
    code("print('<answer>A</answer>', '```')"),
    Call("web_search", {"query": "who {built} it?"}),
    Call("image_search", {"view": 0}),
    answer("right right up pick"),
    Call("move", {"moves": "left down"}),
    Call("draw_state", {"picture": "data:image/png;base64,iVBORw0KGgo="}),
    Call("draw", {"view": 0, "boxes": [[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9]]}),
)
TAGS = (
    *("snapshot", "recommend answer", "action", "think", "tool_feedback", "answer", "tool_call", "grounding"),
    *("function", "observation", "tool_response", "code", "sandbox_output", "state"),
)
FRAGMENTS = (
    *(f"<{tag}>" for tag in TAGS),
    *(f"</{tag}>" for tag in TAGS),
    *(
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ",",
        ":",
        "=",
        '"',
        "'",
        "\\",
        "\\boxed{",
        "region_description=",
        '"region_description"',
        "helpful",
        "```json\n",
        "```python\n",
        "\n```",
        "\n",
        " ",
        "\x00",
    ),
    *("LLRUD", "L,L,PICK", "Right,Down,", "![", "](data:image/png;base64,", "iVBORw0KGgo=)", "data:image/gif;base64,"),
    *("look 4x4 b3", "answer @b3 in 1", "@nothing", "watch 3 5", "when 1 2", "look 2x2 a1 in 3"),
    *("choose frames between ", "get frame number at time ", "output answer:", " and ", "OA = 1", "CF = 9", "TA=2"),
    *("NaN", "-Infinity", "1e999", "1e-999", "9" * 400, "-0", "0x10", "1_0", "٣", "true", "null", "None", "½"),
    *(
        '"bbox_2d"',
        '"bbox"',
        '"source"',
        '"name"',
        '"arguments"',
        '"function"',
        '"view"',
        '"img_idx"',
        '"target_image"',
    ),
    *(
        '"span"',
        '"numbers"',
        '"video"',
        '"start_time"',
        '"end_time"',
        '"target_frames"',
        '"video_path"',
        '"video_0.mp4"',
    ),
    *(
        '"select_frames"',
        '"crop_video"',
        '"get_video_clip_frame"',
        "[1, 5]",
        "[-1, 1e999]",
        '["1", "two"]',
        "12:34",
        "99:99",
    ),
    *("[" + "1, " * 2000 + "1]", '{"span": [1, 2]}', '{"answer": "x", "span": [2, 1]}', "-1:00", "1:2:3"),
    *('"original_image_0"', '"observation_999999"', '"image_zoom_in_tool"', '"noop"', '"crop"', '"draw"', '"boxes"'),
    *(
        "[0, 0, 1, 1]",
        "[[1, 2], [3, 4]]",
        '{"bbox_2d": null}',
        "\ud800",
        "\u202e",
        "漢字",
        "𝟙",
        "é",
        "[" * 50,
        "{" * 50,
    ),
)


def seeds(dialect: Dialect) -> list[str]:
    """Valid replies: everything that the dialect can express."""
    replies = []
    for call in CALLS:
        try:
            replies.append(dialect.format(call, VIEWS, "The sign is far away."))
        except ValueError:
            continue
    return replies


def fragments(rng: random.Random, texts: list[str]) -> str:
    return "".join(rng.choices(FRAGMENTS, k=rng.randrange(1, 16)))


def unicode_text(rng: random.Random, texts: list[str]) -> str:
    return "".join(map(chr, (rng.randrange(0x110000) for _ in range(rng.randrange(12))))) + fragments(rng, texts)


def mutated(rng: random.Random, texts: list[str]) -> str:
    """One to four cuts, copies, insertions and swaps in a valid reply."""
    text = rng.choice(texts)
    for _ in range(rng.randrange(1, 5)):
        i, kind = rng.randrange(len(text) + 1), rng.random()
        j = min(len(text), i + rng.randrange(1, 12))
        if kind < 0.3:
            text = text[:i] + text[j:]
        elif kind < 0.7:
            text = text[:i] + rng.choice(FRAGMENTS) + text[j if kind < 0.5 else i :]
        elif kind < 0.8:
            text = text[:i]
        elif kind < 0.9:
            text = text[:j] + text[i:]
        else:
            text += rng.choice(texts)
    return text


MAKERS: tuple[Callable[[random.Random, list[str]], str], ...] = (mutated, mutated, mutated, fragments, unicode_text)


def check(parsed: Parsed) -> None:
    """The call is a tool's name and finite JSON; what is unreadable is not well-formed."""
    call = parsed.call
    assert type(call) is Call
    assert isinstance(call.tool, str)
    assert call.tool
    assert isinstance(call.args, dict)
    json.dumps(call.args, allow_nan=False)
    if call.tool in TOOLS:
        problem = TOOLS[call.tool]().accepts(call.args)
        assert not problem or "must be a number from" in problem
    if call.tool == "noop":
        assert call.args["kind"] in ("parse", "void")
        assert not parsed.well_formed


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_no_reply_breaks_a_dialect(name: str) -> None:
    rng = random.Random(f"{name} 1")
    variants = [make_dialect(spec) for spec in SPECS if spec.partition("?")[0] == name]
    texts = seeds(variants[0])
    usable = 0
    for i in range(N):
        text = MAKERS[i % len(MAKERS)](rng, texts)
        try:
            parsed = variants[i % len(variants)].parse(text, FILM_VIEWS if i % 4 == 3 else VIEWS[: i % 4])
            check(parsed)
        except Exception as problem:
            raise AssertionError(f"{name} failed on {text!r}") from problem
        usable += parsed.call.tool != "noop"
    assert 0.1 * N < usable < 0.9 * N  # the mutations neither miss the grammar nor leave it intact
