"""`insight_o3_reasoner`, reply by reply: what the released loop reads, and what it asks again for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from o3gym.calls import answer, locate, search
from o3gym.dialects.base import make_dialect
from o3gym.types import Call
from tests.dialects.dialect_samples import CHOICE, FREE, TOOLSET, VIEWS

ONE = VIEWS[:1]
TOOLS = {name: TOOLSET[name] for name in ("search", "answer", "locate")}
THINK = "<think>The legend must be small.</think>"
RATED = THINK + "\n<tool_feedback>helpful</tool_feedback>"


@pytest.mark.parametrize(
    ("reply", "call", "well_formed"),
    [
        (
            f"{THINK}\n<tool_call>region_description={{the legend, top left}}</tool_call>",
            search("the legend, top left"),
            1,
        ),
        (f"{THINK}\n<tool_call> region_description={{the legend}} </tool_call>", search("the legend"), 1),
        (f"{THINK}<tool_call>region_description={{f({{x}}) = 0}}</tool_call>", search("f({x}) = 0"), 1),
        (f"{THINK}<tool_call>region_description=the legend</tool_call>", search("the legend"), 0),
        (f"{THINK}<tool_call>region_description = {{the legend}}</tool_call> ok?", search("the legend"), 0),
        (f"{THINK}<tool_call>region_description={{the legend}}", search("the legend"), 0),
        (
            f'{THINK}<tool_call>{{"region_description": "the legend", "img_idx": 1}}</tool_call>',
            search("the legend", 1),
            1,
        ),
        (f"{THINK}<tool_call>{{'region_description': 'the legend'}}</tool_call>", search("the legend"), 0),
        (f"{THINK}\nAnswer: \\boxed{{B}}", answer("B"), 1),
        (f"{THINK}\nIt is \\boxed{{\\text{{B}}}}.", answer("\\text{B}"), 1),
        ("The legend must be small.</think>\nAnswer: \\boxed{B}", answer("B"), 1),  # the template opened the thought
        ("It <think>must</think>\nAnswer: \\boxed{B}", answer("B"), 0),
        ("Answer: \\boxed{B}", answer("B"), 0),
        ("<think>Is it \\boxed{A} or <tool_call>?</think>Answer: \\boxed{B}", answer("B"), 1),
        (f"{THINK}<tool_call>region_description={{a}}</tool_call>\\boxed{{B}}", search("a"), 0),
        (f"{THINK}\\boxed{{B}}<tool_call>region_description={{a}}</tool_call>", search("a"), 0),
        (f'{THINK}\n\\boxed{{{{"bbox_2d": null}}}}', locate(None), 1),
    ],
)
def test_what_a_reply_means(reply: str, call: Call, well_formed: int) -> None:
    parsed = make_dialect("insight_o3_reasoner").parse(reply, ONE)
    assert (parsed.call, parsed.well_formed) == (call, bool(well_formed))
    assert parsed.extras == {}


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ("Let me see.", "void", "neither <tool_call>"),
        ("", "void", "neither <tool_call>"),
        (f"{THINK}<tool_call>the legend</tool_call>", "parse", "region_description="),
        (f"{THINK}<tool_call>region_description={{ }}</tool_call>", "parse", "is empty"),
        (f'{THINK}<tool_call>{{"region_description": 3}}</tool_call>', "parse", "region_description="),
        (
            f"{THINK}<tool_call>region_description={{a}}\nregion_description={{b}}</tool_call>",
            "parse",
            "one call asks for one region",
        ),
    ],
)
def test_what_cannot_be_read_is_said(reply: str, kind: str, words: str) -> None:
    call = make_dialect("insight_o3_reasoner").parse(reply, ONE).call
    assert (call.tool, call.args["kind"]) == ("noop", kind)
    assert words in call.args["reason"]


@pytest.mark.parametrize("said", ["NA", "helpful", "unhelpful"])
@pytest.mark.parametrize("spec", ["insight_o3_reasoner", "insight_o3_reasoner?feedback=true"])
def test_the_rating_is_read_where_it_is_written(said: str, spec: str) -> None:
    reply = f"{THINK}\n<tool_feedback>{said}</tool_feedback>\n<tool_call>region_description={{a}}</tool_call>"
    parsed = make_dialect(spec).parse(reply, ONE)
    assert (parsed.call, parsed.well_formed) == (search("a"), True)
    assert (parsed.extras, parsed.thought) == ({"feedback": said}, "The legend must be small.")


@pytest.mark.parametrize("said", ["", "<tool_feedback>great</tool_feedback>", "<tool_feedback>helpful"])
def test_in_training_a_reply_without_a_rating_is_refused(said: str) -> None:
    reply = f"{THINK}{said}<tool_call>region_description={{a}}</tool_call>"
    parsed = make_dialect("insight_o3_reasoner?feedback=true").parse(reply, ONE)
    assert (parsed.call.args["kind"], parsed.extras) == ("parse", {})
    assert "tool_feedback" in parsed.call.args["reason"]
    assert make_dialect("insight_o3_reasoner").parse(reply, ONE).call == search("a")


def test_ratings_in_the_thought_do_not_count() -> None:
    reply = "<think><tool_feedback>helpful</tool_feedback></think>Answer: \\boxed{A}"
    parsed = make_dialect("insight_o3_reasoner").parse(reply, ONE)
    assert (parsed.call, parsed.extras) == (answer("A"), {})


hard = st.text(alphabet="ab{}<>/\\\"'=\n ", max_size=30) | st.sampled_from(
    ["</tool_call>", "region_description={b}", "\\boxed{x}", "</think>", "<tool_feedback>NA</tool_feedback>"]
)


@pytest.mark.parametrize("spec", ["insight_o3_reasoner", "insight_o3_reasoner?feedback=true"])
@given(described=hard.filter(lambda text: text.strip()), thought=hard)
def test_hard_descriptions_come_back_as_one_search(spec: str, described: str, thought: str) -> None:
    dialect = make_dialect(spec)
    for views, view in ((ONE, 0), (VIEWS, 1)):
        parsed = dialect.parse(dialect.format(search(described, view), views, thought), views)
        assert parsed.call.tool == "search"
        assert parsed.well_formed
        harmless = str.maketrans("", "", "<>()=:")
        assert parsed.call.args["description"].translate(harmless) == described.strip().translate(harmless)


def test_prompts_describe_the_tool_only_where_it_is_enabled() -> None:
    dialect = make_dialect("insight_o3_reasoner")
    assert "region_description={…}" in dialect.prompt(TOOLS, CHOICE)
    assert "img_idx" not in dialect.prompt(TOOLS, CHOICE)
    assert '"img_idx": 0' in dialect.prompt(TOOLS, FREE)
    assert "tool" not in dialect.prompt({"answer": TOOLS["answer"]}, CHOICE)
    assert "tool_feedback" not in dialect.prompt(TOOLS, CHOICE)
    assert "<tool_feedback>rating</tool_feedback>" in make_dialect("insight_o3_reasoner?feedback=true").prompt(
        TOOLS, CHOICE
    )


def shown(views, text: str, spec: str = "insight_o3_reasoner", **info) -> str:
    parts = make_dialect(spec).show(views, text, {"turn": 1, "error": "", **info})
    return "".join(part if isinstance(part, str) else "<image>" for part in parts)


def test_what_comes_after_a_search() -> None:
    assert shown(VIEWS[1:], "").startswith("This was found for your description:<image>\nThink on")
    assert "cannot be called again" in shown(VIEWS[1:], "", calls_left=0)
    assert "cannot be called again" not in shown(VIEWS[1:], "", calls_left=1)
    nothing = shown((), "The region could not be located.", calls_left=2)
    assert nothing.startswith("The region could not be located.\nDescribe it differently")
    assert "Describe it differently" not in shown((), "The region could not be located.", calls_left=0)


def test_a_broken_reply_is_answered_with_the_forms() -> None:
    again = shown((), "the reply has neither", error="void", calls_left=2)
    assert "region_description={…}" in again
    assert "\\boxed{…}" in again
    assert "region_description" not in shown((), "the reply has neither", error="void", calls_left=0)
    assert "tool_feedback" in shown((), "…", "insight_o3_reasoner?feedback=true", error="parse")
    assert shown((), "there is no view 4", error="bad_view") == "Error: there is no image 4"


def test_several_pictures_have_numbers() -> None:
    assert shown(VIEWS, "Which?", turn=0) == "Image 0:<image>\nImage 1:<image>\nWhich?"
    assert shown(ONE, "Which?", turn=0) == "<image>\nWhich?"
