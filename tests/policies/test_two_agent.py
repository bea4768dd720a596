"""`two_agent(reasoner=P, searcher=Q)`: how the spec is read, whom it opens, and what scripted pairs do."""

from __future__ import annotations

import pytest

from o3gym.bench.definition import Bench
from o3gym.dialects.grid import Grid
from o3gym.policies.base import make_policy, split_control
from o3gym.policies.dialogue import Dialogue, Request
from o3gym.policies.scripted import Oracle, called
from o3gym.policies.two_agent import TwoAgent, agents, searcher_control, searcher_dialect
from o3gym.rollout.delegation import delegates
from o3gym.sampling import Sampling
from o3gym.types import Source, Target, Task

REMOTE = "openai:org/gpt-5?base_url=http://127.0.0.1:8000/v1&key_env=K&price_in=0.4"


@pytest.mark.parametrize(
    ("spec", "pair"),
    [
        ("oracle", ("oracle",)),
        ("two_agent(reasoner=oracle, searcher=oracle)", ("oracle", "oracle")),
        (f"two_agent(searcher=sweep?cells=3,reasoner={REMOTE})", (REMOTE, "sweep?cells=3")),
        ("two_agent(reasoner=oracle, searcher=sweep+random_crop)", ("oracle", "sweep")),
        ("two_agent( reasoner = a:/x(1)/y , searcher = b?list=[1, k=2] )", ("a:/x(1)/y", "b?list=[1, k=2]")),
    ],
)
def test_both_specs_are_read_whole(spec: str, pair: tuple[str, ...]) -> None:
    assert agents(spec) == pair


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("two_agent", "needs a reasoner"),
        ("two_agent(reasoner=oracle)", "needs a searcher"),
        ("two_agent(reasoner=oracle, searcher=)", "needs a searcher"),
        ("two_agent(reasoner=oracle, searcher=oracle", "closing bracket"),
        ("two_agent(reasoner=oracle, searcher=oracle))", "nothing after the last"),
        ("two_agent(oracle, oracle)", "expected key=value"),
        ("two_agent(reasoner=oracle, reasoner=oracle)", "each key once"),
        ("two_agent(reasoner=oracle+no_tool, searcher=oracle)", "after the parentheses"),
        (
            "two_agent(reasoner=oracle, searcher=two_agent(reasoner=oracle, searcher=oracle))",
            "cannot itself be a two_agent",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(spec: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        agents(spec)


def test_controls_of_either_agent() -> None:
    spec, control = split_control("two_agent(reasoner=oracle, searcher=oracle+random_crop)+blank_crop")
    assert (control, searcher_control(spec)) == ("blank_crop", "random_crop")
    assert split_control(spec) == (spec, None)


def test_equal_specs_are_one_policy_closed_once() -> None:
    same = make_policy("two_agent(reasoner=oracle, searcher=oracle)")
    assert isinstance(same, TwoAgent)
    assert same.searcher is same.reasoner
    other = make_policy("two_agent(reasoner=oracle, searcher=sweep?cells=2)")
    assert (type(other.reasoner).__name__, other.searcher.cells) == ("Oracle", 2)
    closed: list[str] = []
    for pair, name in ((same, "same"), (other, "other")):
        for policy in {pair.reasoner, pair.searcher}:
            policy.close = lambda name=name: closed.append(name)  # type: ignore[method-assign]
        pair.close()
    assert closed == ["same", "other", "other"]


def test_a_pair_itself_replies_to_nobody() -> None:
    pair = make_policy("two_agent(reasoner=oracle, searcher=oracle)")
    pair.submit(Request(("a", "g", 0, "main"), Dialogue(), Sampling()))
    ((_, reply),) = pair.poll()
    assert reply.finish == "error"
    assert "two policies" in reply.error


def test_searchers_speak_their_own_dialect_or_that_of_insight_o3() -> None:
    assert searcher_dialect("two_agent(reasoner=oracle, searcher=oracle)") == "insight_o3"
    assert searcher_dialect("two_agent(reasoner=oracle, searcher=tiny)") == "grid"
    spec = "two_agent(reasoner=oracle, searcher=tiny, searcher_dialect=insight_o3?frame=grid1000)"
    assert searcher_dialect(spec) == "insight_o3?frame=grid1000"


def arm(spec: str, **options):
    return Bench(policies=(spec,), **options).arms()[0]


def test_the_arms_of_both_agents() -> None:
    reasoner = arm("two_agent(reasoner=oracle, searcher=oracle+blank_crop)+random_crop", env={"max_pixels": 90_000})
    assert (reasoner.dialect, reasoner.env["tools"]) == ("insight_o3_reasoner", ["search", "answer", "locate"])
    assert (reasoner.env["max_calls"], reasoner.env["max_turns"], reasoner.env["control"]) == (6, 12, "random_crop")
    searcher = delegates(reasoner)["search"]
    assert (searcher.policy, searcher.dialect, searcher.label) == ("oracle", "insight_o3", reasoner.label)
    assert (searcher.env["max_calls"], searcher.env["max_turns"], searcher.env["control"]) == (6, 7, "blank_crop")
    assert (searcher.env["tools"], searcher.env["max_pixels"]) == (["crop", "locate"], 90_000)
    assert delegates(arm("oracle")) == {}


def test_the_protocol_names_both() -> None:
    spec = "two_agent(reasoner=oracle, searcher=random)"
    protocol = Bench(policies=(spec,)).protocol()
    assert set(protocol["prompt_sha256"]) == {"insight_o3_reasoner", "insight_o3 (delegate)"}
    assert protocol["delegates"][spec]["search"]["policy"] == "random"
    assert "delegates" not in Bench(policies=("oracle",)).protocol()


@pytest.mark.parametrize(
    ("spec", "options", "words"),
    [
        ("two_agent(reasoner=tiny, searcher=oracle)", {}, "tiny speaks the dialect grid only"),
        ("two_agent(reasoner=oracle, searcher=oracle)", {"dialect": "qwen3_vl"}, 'cannot express the tool "search"'),
    ],
)
def test_agents_that_cannot_do_their_part_are_refused(spec: str, options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        arm(spec, **options)


def test_the_model_on_board_searches_in_its_own_words() -> None:
    searcher = delegates(arm("two_agent(reasoner=oracle, searcher=tiny)"))["search"]
    assert (searcher.dialect, searcher.env["tools"]) == ("grid", ["crop", "locate"])
    assert (searcher.env["max_calls"], searcher.env["max_turns"]) == (6, 7)


def test_a_searcher_may_look_more_often() -> None:
    searcher = delegates(arm("two_agent(reasoner=oracle, searcher=oracle, searcher_calls=16)"))["search"]
    assert (searcher.env["max_calls"], searcher.env["max_turns"]) == (16, 17)
    with pytest.raises(ValueError, match="searcher_calls: expected a whole number of at least 1, got 0"):
        delegates(arm("two_agent(reasoner=oracle, searcher=oracle, searcher_calls=0)"))


def test_a_searcher_that_cannot_locate_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Grid, "tools", ("crop", "answer"))
    with pytest.raises(ValueError, match="cannot be a searcher in dialect grid"):
        delegates(arm("two_agent(reasoner=oracle, searcher=tiny)"))


@pytest.mark.parametrize(
    ("labels", "names"),
    [(("key", "mug"), ["key", "mug"]), (("key", "key", ""), ["key 1", "key 2", "region 3"]), ((), [])],
)
def test_the_oracle_gives_every_target_a_name_of_its_own(labels: tuple[str, ...], names: list[str]) -> None:
    targets = tuple(Target((0, 0, 1, 1), label=label) for label in labels)
    assert called(Task("t", (Source.file("a.png"),), "?", targets=targets)) == names


def test_the_oracle_is_a_policy_like_any_other() -> None:
    assert isinstance(make_policy("two_agent(reasoner=oracle, searcher=detour)").reasoner, Oracle)
