"""Delegation in two-agent arms: which policy carries out delegated calls, in which environment and dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from o3gym.codec import encode
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.policies.base import Policy
from o3gym.policies.two_agent import TwoAgent, agents, searcher_calls, searcher_control, searcher_dialect, searcher_env
from o3gym.registry import POLICIES, TOOLS
from o3gym.rollout.records import Agent, Arm
from o3gym.specs import parse_spec

SHARED = ("suite", "split", "suite_args", "min_pixels", "max_pixels")
"""Arguments that a searcher's environment inherits from the reasoner's."""
REWARD = "insight_o3_in_loop"
"""Reward recipe of searcher episodes: with the correct box unknown, the reasoner's feedback and success score them."""
ANSWERED = ("caption_clip", "ask_clip")
"""Delegated tools that the searcher answers in words."""
SEARCHING = ("crop", "zoom", "reuse", "locate")
"""Tools that a searcher may use."""


def is_pair(policy: str) -> bool:
    """Whether a policy spec (without a control) is a `two_agent` pair."""
    return parse_spec(policy)[0] == "two_agent"


def check_reasoner(policy: str, spoken: str) -> None:
    """Raises ValueError if the reasoner of a pair is fixed to a dialect other than `spoken`."""
    reasoner = agents(policy)[0]
    fixed = POLICIES[parse_spec(reasoner)[0]].dialect
    if fixed and parse_spec(fixed)[0] != parse_spec(spoken)[0]:
        raise ValueError(f"{reasoner} speaks the dialect {fixed} only, but the reasoner must speak {spoken}")


def reasoning_tools(default: Sequence[str]) -> list[str]:
    """Returns a reasoner's default tools: search, and those of the suite's `default` tools that end an episode."""
    return ["search", *(name for name in default if TOOLS[name].ends)]


def delegates(arm: Arm) -> dict[str, Arm]:
    """Maps each delegated tool to the arm of its delegate; empty for an arm with a single agent.

    Raises:
        ValueError: the searcher's dialect cannot express the tool that ends its episodes: `locate` for a search,
            `answer` for a question about a clip.
    """
    delegated = [tool for tool in ("search", *ANSWERED) if tool in arm.env["tools"]] if is_pair(arm.policy) else []
    if not delegated:
        return {}
    spoken, spec = searcher_dialect(arm.policy), agents(arm.policy)[1]
    dialect = make_dialect(spoken)
    shared: dict[str, Any] = {
        **POLICIES[parse_spec(spec)[0]].env,
        **{key: arm.env[key] for key in SHARED if key in arm.env},
        "size_rule": dialect.size_rule,
        "control": searcher_control(arm.policy),
    }
    own: dict[str, dict[str, Any]] = {
        tool: {"max_turns": 2, "tools": _ending_with("answer", ["answer"], spec, dialect), "reward": "outcome"}
        if tool in ANSWERED
        else {
            **searcher_env(searcher_calls(arm.policy)),
            "tools": _ending_with("locate", searching_tools(dialect), spec, dialect),
            "reward": REWARD,
        }
        for tool in delegated
    }
    # A reasoner's code may have a temperature of its own although its searcher writes no code.
    sampling = arm.sampling if dialect.code_tags else replace(arm.sampling, code_temperature=None)
    return {
        tool: Arm(arm.label, {**shared, **env}, spec, spoken, sampling, window=arm.window) for tool, env in own.items()
    }


def delegates_by_arm(arm: Arm, policy: Policy) -> tuple[Policy, dict[str, Agent]]:
    """Returns the policy that plays an arm's episodes, and the delegate for each delegated tool."""
    if not isinstance(policy, TwoAgent):
        return policy, {}
    arms = delegates(arm).items()
    return policy.reasoner, {tool: Agent(policy.searcher, make_dialect(other.dialect), other) for tool, other in arms}


def delegates_protocol(others: Mapping[str, Mapping[str, Arm]]) -> dict[str, Any]:
    """Returns the protocol's JSON for the delegates, given as arm label → delegated tool → the delegate's arm."""
    return {
        label: {tool: {"policy": a.policy, "dialect": a.dialect, "env": encode(a.env)} for tool, a in arms.items()}
        for label, arms in others.items()
    }


def _ending_with(tool: str, tools: list[str], spec: str, dialect: Dialect) -> list[str]:
    if tool not in dialect.tools:
        raise ValueError(
            f"{spec} cannot be a searcher in dialect {dialect.name}, which has no {tool} tool; "
            "choose another dialect with two_agent(…, searcher_dialect=D)"
        )
    return tools


def searching_tools(dialect: Dialect) -> list[str]:
    """Returns the tools of a searcher that its dialect can express."""
    return [name for name in SEARCHING if name in dialect.tools]
