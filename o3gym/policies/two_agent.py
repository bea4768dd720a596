"""`two_agent`: a reasoner and a searcher, InSight-o3's division of labour, for any two policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from o3gym.policies.base import Policy, make_policy, split_control
from o3gym.policies.dialogue import Request
from o3gym.registry import POLICIES
from o3gym.specs import parse_spec

CALLS = 6
"""Tool calls that each agent may make in an episode, as in InSight-o3 (arXiv 2512.18745, appendix D.1)."""
REPAIRS = 5
"""Additional replies that the reasoner may lose to a broken format. InSight-o3's evaluation allows this many in each
round; here they cover the whole episode."""
SEARCHER_DIALECT = "insight_o3"
"""Default dialect for searchers without a fixed one."""


class TwoAgent(Policy):
    """A reasoner that describes regions in words and a searcher that finds them: `two_agent(reasoner=P, searcher=Q)`.

    P and Q are specs of any two policies, with their options. `Q+CONTROL` runs the searcher's episodes under a control;
    a control after the closing parenthesis applies to the reasoner's episodes. If both specs are equal apart from the
    searcher's control, the policy is loaded once and plays both roles.

    This class holds a pair of policies and never replies itself: `o3gym bench` passes `reasoner` to rollout as the
    policy, and `searcher` as the delegate for `search`.

    Args:
        reasoner: spec of the reasoner's policy.
        searcher: spec of the searcher's policy.
        searcher_dialect: spec of the searcher's dialect; by default the one its policy is fixed to, else `insight_o3`.
        base_url: server of `openai` policies whose spec does not set `base_url`.
        searcher_calls: number of looks that the searcher may take in each search.

    Raises:
        ValueError: the reasoner has a control of its own, an agent is itself a `two_agent` spec, or `searcher_calls` is
            not a positive whole number.
    """

    dialect: ClassVar[str] = "insight_o3_reasoner"
    env: ClassVar[Mapping[str, Any]] = {"max_calls": CALLS, "max_turns": CALLS + 1 + REPAIRS, "on_void": "continue"}

    def __init__(
        self,
        reasoner: str,
        searcher: str,
        searcher_dialect: str = "",
        base_url: str = "",
        searcher_calls: int | str = CALLS,
    ) -> None:
        super().__init__()
        _positive_int(searcher_calls)
        first, second = _agent_specs(reasoner, searcher)
        self.reasoner = _make_agent(first, base_url)
        self.searcher = self.reasoner if first == second else _make_agent(second, base_url)

    def act(self, requests: Sequence[Request]) -> NoReturn:
        """Raises ValueError, because a request does not say which of the two policies should reply."""
        raise ValueError("two_agent is two policies: pass its reasoner to rollout, and its searcher as a delegate")

    def refusal(self) -> str:
        """Why the server of either policy takes no requests from us, or ""."""
        return self.reasoner.refusal() or self.searcher.refusal()

    def close(self) -> None:
        """Closes both policies."""
        self.reasoner.close()
        if self.searcher is not self.reasoner:
            self.searcher.close()


def agents(spec: str) -> tuple[str, ...]:
    """Returns the specs of the policies in a spec, without controls: the spec itself, or reasoner and searcher.

    Raises:
        ValueError: a `two_agent` spec lacks an agent, gives its reasoner a control, or nests another `two_agent`.
    """
    name, _, options = parse_spec(spec)
    if name != "two_agent":
        return (spec,)
    for role in ("reasoner", "searcher"):
        if not options.get(role):
            raise ValueError(f"{spec}: two_agent needs a {role}: two_agent(reasoner=P, searcher=Q)")
    return _agent_specs(options["reasoner"], options["searcher"])


def searcher_dialect(spec: str) -> str:
    """Returns the spec of the dialect that the searcher of a `two_agent` spec speaks."""
    requested: str = parse_spec(spec)[2].get("searcher_dialect", "")
    return requested or _policy_class(agents(spec)[1]).dialect or SEARCHER_DIALECT


def searcher_env(calls: int = CALLS) -> dict[str, Any]:
    """Returns the budgets of a searcher's environment: `calls` looks, and one more turn for the box."""
    return {"max_calls": calls, "max_turns": calls + 1}


def searcher_calls(spec: str) -> int:
    """Returns the number of looks that the searcher of a `two_agent` spec may take in each search."""
    return _positive_int(parse_spec(spec)[2].get("searcher_calls", CALLS))


def _positive_int(calls: int | str) -> int:
    # options inside the parentheses of a composed spec stay text
    if not str(calls).isdecimal() or int(calls) < 1:
        raise ValueError(f"searcher_calls: expected a whole number of at least 1, got {calls}")
    return int(calls)


def searcher_control(spec: str) -> str | None:
    """Returns the control of the searcher in a `two_agent` spec; None if it has none."""
    return split_control(parse_spec(spec)[2]["searcher"])[1]


def _agent_specs(reasoner: str, searcher: str) -> tuple[str, str]:
    if split_control(reasoner)[1]:
        raise ValueError(f'"{reasoner}": write the control of a reasoner after the parentheses: two_agent(…)+CONTROL')
    pair = (reasoner, split_control(searcher)[0])
    for spec in pair:
        if parse_spec(spec)[0] == "two_agent":
            raise ValueError(f'"{spec}": an agent of two_agent cannot itself be a two_agent')
    return pair


def _make_agent(spec: str, base_url: str) -> Policy:
    remote = base_url and parse_spec(spec)[0] == "openai"
    return make_policy(spec, **({"base_url": base_url} if remote else {}))


def _policy_class(spec: str) -> type[Policy]:
    policy: type[Policy] = POLICIES[parse_spec(spec)[0]]
    return policy
