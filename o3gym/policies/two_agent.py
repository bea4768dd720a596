"""`two_agent`: a reasoner and a searcher, InSight-o3's division of labour, for any two policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NoReturn

from o3gym.policies.base import Policy, make_policy, split_control
from o3gym.policies.dialogue import Request
from o3gym.registry import POLICIES, parse_spec

CALLS = 6
"""Tool calls of either agent in an episode, as in InSight-o3 (arXiv 2512.18745, appendix D.1)."""
REPAIRS = 5
"""Replies beyond the calls and the answer that the reasoner may lose to a broken format. InSight-o3 allows as many in
each round when it evaluates; here they are for the whole episode."""
SEARCHER_DIALECT = "insight_o3"
"""Of searchers that speak any dialect."""


class TwoAgent(Policy):
    """A reasoner that asks for regions in words, and a searcher that finds them: `two_agent(reasoner=P, searcher=Q)`.

    P and Q are specs of any policies with their options. `Q+control` runs the searcher's episodes under a control; one
    behind the whole applies to what the reasoner is shown. Two equal specs are one policy, loaded once.

    It is a pair and not a policy that replies: `o3gym bench` gives `reasoner` to rollout as the policy and `searcher`
    as the one to whom `search` is delegated.

    Args:
        reasoner, searcher: specs.
        searcher_dialect: spec of the searcher's wire format; by default what it speaks, else `insight_o3`.
        searcher_calls: looks of the searcher in each search.
        base_url: the server of policies named openai whose spec names none.

    Raises:
        ValueError: the reasoner has a control of its own, one of them is two agents itself, or a number does not fit.
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
        _checked(searcher_calls)
        first, second = _apart(reasoner, searcher)
        self.reasoner = _made(first, base_url)
        self.searcher = self.reasoner if first == second else _made(second, base_url)

    def act(self, requests: Sequence[Request]) -> NoReturn:
        """Refuse: which of the two is meant is not known here."""
        raise ValueError("two_agent is two policies: hand rollout its reasoner, and its searcher as who does `search`")

    def close(self) -> None:
        """Close both."""
        self.reasoner.close()
        if self.searcher is not self.reasoner:
            self.searcher.close()


def agents(spec: str) -> tuple[str, ...]:
    """The specs of the policies that a spec names, without controls: itself, or the reasoner and the searcher."""
    name, _, options = parse_spec(spec)
    if name != "two_agent":
        return (spec,)
    for role in ("reasoner", "searcher"):
        if not options.get(role):
            raise ValueError(f"{spec}: two_agent needs a {role}: two_agent(reasoner=P, searcher=Q)")
    return _apart(options["reasoner"], options["searcher"])


def searcher_dialect(spec: str) -> str:
    """The spec of the dialect that the searcher of a two_agent spec speaks."""
    asked: str = parse_spec(spec)[2].get("searcher_dialect", "")
    return asked or _class(agents(spec)[1]).dialect or SEARCHER_DIALECT


def searcher_env(calls: int = CALLS) -> dict[str, Any]:
    """Budgets of a searcher's environment: so many looks, and a turn for the box."""
    return {"max_calls": calls, "max_turns": calls + 1}


def searcher_calls(spec: str) -> int:
    """The looks of a two_agent spec's searcher."""
    return _checked(parse_spec(spec)[2].get("searcher_calls", CALLS))


def _checked(calls: int | str) -> int:
    """Options of a composed spec are text."""
    if not str(calls).isdecimal() or int(calls) < 1:
        raise ValueError(f"searcher_calls: expected a whole number from 1 up, got {calls}")
    return int(calls)


def searcher_control(spec: str) -> str | None:
    """The control of a two_agent spec's searcher."""
    return split_control(parse_spec(spec)[2]["searcher"])[1]


def _apart(reasoner: str, searcher: str) -> tuple[str, str]:
    if split_control(reasoner)[1]:
        raise ValueError(f'"{reasoner}": the control of a reasoner stands behind the whole: two_agent(…)+CONTROL')
    pair = (reasoner, split_control(searcher)[0])
    for spec in pair:
        if parse_spec(spec)[0] == "two_agent":
            raise ValueError(f'"{spec}": an agent of two_agent cannot be two agents itself')
    return pair


def _made(spec: str, base_url: str) -> Policy:
    remote = base_url and parse_spec(spec)[0] == "openai"
    return make_policy(spec, **({"base_url": base_url} if remote else {}))


def _class(spec: str) -> type[Policy]:
    found: type[Policy] = POLICIES[parse_spec(spec)[0]]
    return found
