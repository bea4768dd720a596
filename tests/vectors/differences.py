"""The deliberate differences between o3gym and the released code of other systems. Nothing else may differ."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """One deliberate difference.

    Attributes:
        vectors: name of the file of vectors.
        only: the kinds of input it covers, or the numbers of single vectors (lines, counted from 0).
        ours, theirs: the two results, as `tests.vectors.loading.shape` names them.
        reason: why ours differs.
    """

    vectors: str
    only: tuple[str | int, ...]
    ours: str
    theirs: str
    reason: str


LENIENT = (
    "the reader accepts JSON that is not quite right, other forms of a call and missing closing tags, so that other "
    "models can be measured; such a reply is not well-formed and earns no format reward"
)
NUMBERS = "a coordinate is a finite number; Python's clamping and its numeric booleans are accidents of the code"
IN_THOUGHT = (
    "an answer inside a thought is no answer; the option thought_answers=true reads it as the released code does"
)
UNTIDY_ANSWER = (
    "their flag asks whether the reply ends with </answer> and was not cut; here, an episode with an answer that is "
    "read (and that they judge as well) is not void"
)
CUT = "a reply that its token limit cut without a readable call ends the episode with stop length"
NO_AREA = "a box without an area is refused, although the padding would give it one"

INSIGHT_O3 = (
    Difference("insight_o3_calls", ("odd:args_str", "odd:bbox_key", "odd:nested"), "crop", "error", LENIENT),
    Difference(
        "insight_o3_calls",
        ("odd:fence", "odd:flat", "odd:list", "odd:missing_brace", "odd:no_close", "odd:single_quotes"),
        "crop",
        "void",
        LENIENT,
    ),
    Difference("insight_o3_calls", (28, 122), "error", "void", f"{LENIENT}; here, the size rule refuses the box"),
    Difference(
        "insight_o3_calls",
        (
            *("odd:ans_bare", "odd:ans_float", "odd:ans_frac", "odd:ans_neg", "odd:ans_nested"),
            *("odd:ans_obj", "odd:ans_prose", "odd:ans_strings", "odd:ans_tuple"),
        ),
        "end",
        "void",
        LENIENT,
    ),
    Difference("insight_o3_calls", ("odd:inf", "odd:nan"), "error", "crop", NUMBERS),
    Difference("insight_o3_calls", ("odd:ans_bool",), "void", "end", NUMBERS),
    Difference("insight_o3_rewards", (0, 78), "1 0", "0 0", 'turns are kept apart, not cut at lines like "user"'),
    Difference("insight_o3_rewards", (1,), "1 0.2", "0 0", 'turns are kept apart, not cut at lines like "user"'),
)
PIXEL_REASONER = (
    Difference(
        "pixel_reasoner_calls",
        (
            *("odd:bbox_key", "odd:fence", "odd:flat", "odd:list", "odd:missing_brace", "odd:nested"),
            *("odd:single_quotes", "odd:strings", "odd:target_float", "odd:trailing_comma"),
        ),
        "crop",
        "error",
        LENIENT,
    ),
    Difference(
        "pixel_reasoner_calls",
        ("odd:no_target", "odd:target_null"),
        "crop",
        "error",
        "a call that names no picture means the first one, as in all dialects",
    ),
    Difference(
        "pixel_reasoner_calls", ("odd:own",), "crop", "error", "a tool's own name is accepted too, as in all dialects"
    ),
    Difference("pixel_reasoner_calls", ("odd:inf", "odd:nan"), "error", "crop", NUMBERS),
    Difference("pixel_reasoner_calls", ("odd:five",), "error", "crop", "a box has four numbers"),
    Difference("pixel_reasoner_calls", ("canon2:zero",), "error", "crop", NO_AREA),
    Difference(
        "pixel_reasoner_calls",
        ("odd:zoom_in",),
        "error",
        "crop",
        "the code can run `zoom_in` but offers it to no model",
    ),
)
DEEPEYES = (
    Difference(
        "deepeyes_calls",
        (
            *("odd:args_string", "odd:bbox_key", "odd:fence", "odd:flat", "odd:function_key", "odd:list_of_calls"),
            *("odd:missing_brace", "odd:nested", "odd:parameters", "odd:rot_str", "odd:tag_in_label"),
            *("odd:trailing_comma",),
        ),
        "image",
        "error",
        LENIENT,
    ),
    Difference(
        "deepeyes_calls",
        ("odd:own_tool_name",),
        "image",
        "error",
        "a tool's own name is accepted too, as in all dialects",
    ),
    Difference("deepeyes_calls", ("odd:no_close",), "image", "void", LENIENT),
    Difference("deepeyes_calls", ("odd:no_close",), "error", "void", f"{LENIENT}; here, the size rule refuses the box"),
    Difference("deepeyes_calls", ("odd:ans_no_close",), "answer", "void", LENIENT),
    Difference("deepeyes_calls", ("odd:answer_in_think_call",), "image", "answer", IN_THOUGHT),
    Difference("deepeyes_calls", ("odd:inf", "odd:nan", "odd:neginf"), "error", "image", NUMBERS),
    Difference(
        "deepeyes_rewards",
        (10, 11, 14),
        "0",
        "-0.2",
        "without an answer, the code also counts the words of its own observations towards the 1000 characters",
    ),
)
MINI_O3 = (
    Difference(
        "mini_o3_episodes",
        (
            *("odd:code_fence", "odd:extra_key", "odd:label_between", "odd:leading_space", "odd:missing_brace"),
            *("odd:nested_list", "odd:no_source", "odd:no_space_after_colon", "odd:pretty", "odd:single_quotes"),
            *("odd:source_first", "odd:src_2", "odd:src_caps", "odd:src_space", "odd:strings", "odd:trailing_comma"),
            *("odd:tuple",),
        ),
        "crop",
        "error",
        LENIENT,
    ),
    Difference("mini_o3_episodes", ("odd:no_close",), "crop", "end", LENIENT),
    Difference("mini_o3_episodes", ("odd:fractions",), "error", "crop", "no reply is evaluated as Python code"),
    Difference("mini_o3_episodes", ("cut",), "end", "error", CUT),
    Difference("mini_o3_episodes", ("ended by cut",), "void", "exceed", CUT),
    Difference("mini_o3_episodes", ("ended by odd:no_close",), "running", "void", LENIENT),
    Difference(
        "mini_o3_episodes",
        (
            *("ended by odd:ans_nl2", "ended by odd:ans_no_close", "ended by odd:ans_only_in_think"),
            *("ended by odd:ans_space", "ended by odd:ans_text_after", "ended by odd:ans_two"),
        ),
        "answered",
        "void",
        UNTIDY_ANSWER,
    ),
    Difference("mini_o3_rewards", (12, 15, 30, 31, 32, 37, 38, 47, 50, 53), "answered", "void", UNTIDY_ANSWER),
    Difference(
        "mini_o3_advantages",
        ("lone",),
        "nothing",
        "its reward",
        "a rollout without siblings cannot be compared, so it has no advantage and its group is uniform",
    ),
    Difference(
        "mini_o3_advantages", ("lone filter",), "dropped", "kept", "a group of one rollout gives nothing to learn"
    ),
)
DIFFERENCES: tuple[Difference, ...] = (*INSIGHT_O3, *PIXEL_REASONER, *DEEPEYES, *MINI_O3)
