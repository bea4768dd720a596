"""Arms of two agents: who carries out delegated calls, in which environment and words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from o3gym.codec import encode
from o3gym.dialects.base import Dialect, make_dialect
from o3gym.policies.base import Policy
from o3gym.policies.two_agent import TwoAgent, agents, searcher_calls, searcher_control, searcher_dialect, searcher_env
from o3gym.registry import POLICIES, TOOLS, parse_spec
from o3gym.rollout.records import Agent, Arm

SHARED = ("suite", "split", "suite_args", "min_pixels", "max_pixels")
"""Arguments that a searcher's environment takes from the reasoner's."""
REWARD = "insight_o3_in_loop"
"""Recipe of a searcher's episodes: nobody knows the right box, the reasoner's feedback and success rate them."""
SEARCHING = ("crop", "zoom", "reuse", "locate")


def is_pair(policy: str) -> bool:
    """Whether a spec (without control) names two agents."""
    return parse_spec(policy)[0] == "two_agent"


def check_reasoner(policy: str, spoken: str) -> None:
    """Raise ValueError if the reasoner of a pair speaks only one dialect, and another than `spoken`."""
    reasoner = agents(policy)[0]
    only = POLICIES[parse_spec(reasoner)[0]].dialect
    if only and parse_spec(only)[0] != parse_spec(spoken)[0]:
        raise ValueError(f"{reasoner} speaks the dialect {only} only, and a reasoner has to speak {spoken}")


def reasoning_tools(default: Sequence[str]) -> list[str]:
    """The tools of a reasoner where the user names none: search, and those that end a suite's tasks."""
    return ["search", *(name for name in default if TOOLS[name].ends)]


def delegates(arm: Arm) -> dict[str, Arm]:
    """Delegated tool to the arm of who carries its calls out; empty for an arm of one agent.

    Raises:
        ValueError: the searcher's dialect cannot say where something is.
    """
    if not is_pair(arm.policy) or "search" not in arm.env["tools"]:
        return {}
    spoken, spec = searcher_dialect(arm.policy), agents(arm.policy)[1]
    dialect = make_dialect(spoken)
    env: dict[str, Any] = {
        **POLICIES[parse_spec(spec)[0]].env,
        **searcher_env(searcher_calls(arm.policy)),
        **{key: arm.env[key] for key in SHARED if key in arm.env},
        "tools": _locating_tools(spec, dialect),
        "reward": REWARD,
        "size_rule": dialect.size_rule,
        "control": searcher_control(arm.policy),
    }
    return {"search": Arm(arm.label, env, spec, spoken, arm.sampling)}


def delegates_by_arm(arm: Arm, policy: Policy) -> tuple[Policy, dict[str, Agent]]:
    """Who plays an arm's episodes, and who carries out the calls that are delegated in them."""
    if not isinstance(policy, TwoAgent):
        return policy, {}
    others = delegates(arm).items()
    return policy.reasoner, {tool: Agent(policy.searcher, make_dialect(other.dialect), other) for tool, other in others}


def delegates_protocol(others: Mapping[str, Mapping[str, Arm]]) -> dict[str, Any]:
    """Who carries out what in each arm (label to delegated tool to arm), as JSON for the protocol."""
    return {
        label: {tool: {"policy": a.policy, "dialect": a.dialect, "env": encode(a.env)} for tool, a in given.items()}
        for label, given in others.items()
    }


def _locating_tools(spec: str, dialect: Dialect) -> list[str]:
    if "locate" not in dialect.tools:
        raise ValueError(
            f"{spec} cannot be a searcher in dialect {dialect.name}, which has no locate; name another: "
            "two_agent(…, searcher_dialect=D)"
        )
    return searching_tools(dialect)


def searching_tools(dialect: Dialect) -> list[str]:
    """The tools of a searcher, as far as its dialect has them."""
    return [name for name in SEARCHING if name in dialect.tools]
