"""A reasoner has regions found by a searcher: episodes within episodes, and nobody waits for others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.judges.base import has_truth
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import Request
from o3gym.policies.two_agent import TwoAgent, searcher_env
from o3gym.rewards.insight import rating
from o3gym.rewards.recipes import make_recipe
from o3gym.rewards.settle import parents_of, settle
from o3gym.rollout import delegation
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Agent, Arm, Job
from o3gym.sampling import Sampling
from o3gym.types import Reply, Source, Task, Trajectory

SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"suite": "synthetic", "suite_args": SMALL, "min_pixels": 1000, "max_pixels": 40_000}
REASONER = {**ENV, "tools": ["search", "answer"], "size_rule": "insight_o3", **TwoAgent.env}
SEARCHER = {
    **{**ENV, "tools": ["crop", "locate"], "size_rule": "insight_o3", "reward": "insight_o3_in_loop"},
    **searcher_env(),
}
ASK = "<think>Where?</think>\n<tool_call>region_description={the sign}</tool_call>"
TELL = "<think>There.</think>\nAnswer: \\boxed{A}"
LOOK = (
    '<think>?</think>\n<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [9, 9, 80, 80]}}</tool_call>'
)
FOUND = "<think>!</think>\n<answer>[20, 20, 90, 80]</answer>"


class Writer(Policy):
    """Replies with what a function of the request says, and counts the requests of each batch."""

    def __init__(self, write: Callable[[Request], str | Reply]) -> None:
        super().__init__()
        self.write, self.batches, self.released = write, list[int](), list[object]()

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        self.batches.append(len(requests))
        said = [self.write(request) for request in requests]
        return [reply if isinstance(reply, Reply) else Reply(reply) for reply in said]

    def release(self, key) -> None:
        self.released.append(key)


def turn(request: Request) -> int:
    return sum(message.role == "assistant" for message in request.dialogue.messages)


def script(*replies: str | Reply) -> Writer:
    """The replies in order, then the last one again and again."""
    return Writer(lambda request: replies[min(turn(request), len(replies) - 1)])


def jobs(count: int) -> list[Job]:
    return [Job(index, f"g{index}", seed=index) for index in range(count)]


def run(reasoner: Policy, searcher: Policy, many: Sequence[Job], in_flight: int = 16, **env) -> list[Trajectory]:
    arm = Arm("arm", {**REASONER, **env}, "reasoner", "insight_o3_reasoner")
    who = Agent(searcher, make_dialect("insight_o3"), Arm("", SEARCHER, "searcher", "insight_o3"))
    ended = rollout(
        many, reasoner, make_dialect("insight_o3_reasoner"), arm, in_flight=in_flight, delegates={"search": who}
    )
    return sorted(ended, key=lambda t: t.group)


def texts(request: Request) -> str:
    return request.dialogue.messages[-1].text


# ── What is recorded ────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_search_is_an_episode_within_the_episode_and_its_region_a_view() -> None:
    (parent,) = run(script(ASK, TELL), script(LOOK, FOUND), jobs(1))
    assert (parent.agent, parent.stop, len(parent.turns)) == ("main", "answered", 2)
    assert parent.turns[0].parsed.call.args == {"view": 0, "description": "the sign"}  # as written: without results
    assert (parent.turns[0].children, parent.turns[0].views, parent.turns[0].error) == ((0,), (1,), "")
    (child,) = parent.children
    assert child.key == ("arm", "g0", 0, "searcher-1")
    assert (child.policy, child.dialect, child.stop, len(child.turns)) == ("searcher", "insight_o3", "located", 2)
    assert (child.task.question, child.task.kind, child.task.sources) == ("the sign", "box", parent.task.sources)
    assert not has_truth(child.task)
    assert parent.views[1].box == pytest.approx(child.located, abs=2 / 400)
    assert parent.views[1].parent == 0
    assert child.terms == {"used_tool": 1.0}
    assert parent == Trajectory.from_json(parent.to_json())


def test_many_reasoners_ask_at_once_and_the_searcher_gets_one_batch() -> None:
    reasoner, searcher = script(ASK, ASK, TELL), script(LOOK, FOUND)
    assert len(run(reasoner, searcher, jobs(8))) == 8
    assert reasoner.batches == [8, 8, 8]
    assert searcher.batches == [8, 8, 8, 8]
    keys = {("arm", f"g{job}", 0, name) for job in range(8) for name in ("searcher-1", "searcher-2")}
    assert set(searcher.released) == keys
    assert len(reasoner.released) == 8


def test_one_policy_for_both_gets_all_requests_together() -> None:
    def write(request: Request) -> str:
        reasons = request.key[3] == "main"
        return (ASK, TELL)[min(turn(request), 1)] if reasons else FOUND

    # of four jobs two run at a time: one batch holds requests of both agents as soon as they are out of step
    policy = Writer(
        lambda request: ASK if request.key[1:] == ("g0", 0, "main") and turn(request) < 2 else write(request)
    )
    ended = run(policy, policy, jobs(4), in_flight=2)
    assert [len(t.children) for t in ended] == [2, 1, 1, 1]
    assert max(policy.batches) == 2
    assert sum(policy.batches) == sum(len(t.turns) + sum(len(c.turns) for c in t.children) for t in ended)


@pytest.mark.parametrize("pair", [("random", "random"), ("oracle", "sweep"), ("oracle", "oracle")])
def test_same_jobs_give_the_same_trajectories_whatever_the_concurrency(pair: tuple[str, str]) -> None:
    one, many = (run(*map(make_policy, pair), jobs(6), in_flight=n) for n in (1, 6))
    assert one == many


def test_seeds_of_searches_differ_and_follow_from_the_parents() -> None:
    seeds = [c.seed for t in run(script(ASK, ASK, TELL), script(FOUND), jobs(2)) for c in t.children]
    assert len(set(seeds)) == 4
    assert seeds == [c.seed for t in run(script(ASK, ASK, TELL), script(LOOK, FOUND), jobs(2)) for c in t.children]


def test_children_are_rated_by_their_parents_feedback() -> None:
    helpful = TELL.replace("</think>", "</think><tool_feedback>helpful</tool_feedback>")
    broken = "<think>Hm.</think>"
    right = Writer(lambda request: (ASK, ASK, broken, helpful)[turn(request)])
    (parent,) = run(right, script(LOOK, FOUND), jobs(1))
    parent = replace(parent, verdict="correct")
    recipe = make_recipe("insight_o3_in_loop")
    (children,) = settle([list(parent.children)], recipe, parents=parents_of([parent]))
    assert [child.terms["pseudo_iou"] for child in children] == [0.0, 1.0]
    assert [child.verdict for child in children] == ["failed", "failed"]  # nobody judges what nobody knows


def test_collect_keeps_one_entry_per_job() -> None:
    groups = collect(run(script(ASK, TELL), script(FOUND), jobs(3)))
    assert [len(group) for group in groups] == [1, 1, 1]


# ── Budgets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_reasoner_that_loops_on_one_description_has_six_searches() -> None:
    (parent,) = run(script(ASK), script(FOUND), jobs(1))
    assert (len(parent.children), parent.stop, len(parent.turns)) == (6, "over_turn", 12)
    assert [t.error for t in parent.turns] == [""] * 6 + ["budget"] * 6


def test_at_the_limit_the_reasoner_is_told_and_can_answer() -> None:
    seen: list[str] = []

    def write(request: Request) -> str:
        seen.append(texts(request))
        return ASK if turn(request) < 7 else TELL

    (parent,) = run(Writer(write), script(FOUND), jobs(1))
    assert (len(parent.children), parent.stop) == (6, "answered")
    assert "cannot be called again" in seen[6]
    assert not any("cannot be called again" in text for text in seen[:6])
    assert "All 6 tool calls are used" in seen[7]


def test_the_searcher_has_six_calls_and_is_told_when_they_are_used() -> None:
    seen: list[str] = []

    def write(request: Request) -> str:
        seen.append(texts(request))
        return LOOK

    (parent,) = run(script(ASK, TELL), Writer(write), jobs(1))
    (child,) = parent.children
    assert [t.error for t in child.turns] == [""] * 6 + ["budget"]
    assert child.stop == "over_turn"
    assert ["No call is left" in text for text in seen] == [False] * 6 + [True]
    assert parent.turns[0].feedback == "The region could not be located: the searcher gave no box (over_turn)."


def test_no_search_is_begun_that_could_not_be_shown() -> None:
    searcher = script(FOUND)
    (last,) = run(script(ASK), searcher, jobs(1), max_turns=2, max_calls=None)
    assert (last.stop, len(last.children), len(searcher.batches)) == ("over_turn", 1, 1)
    (full,) = run(script(ASK), script(FOUND), jobs(1), max_views=2)
    assert (full.stop, len(full.children)) == ("over_views", 1)


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


def feedback_of(*searcher: str | Reply) -> tuple[str, Trajectory]:
    """What a reasoner reads after its search, and the episode."""
    seen: list[str] = []

    def write(request: Request) -> str:
        seen.append(texts(request))
        return (ASK, TELL)[turn(request)]

    (parent,) = run(Writer(write), script(*searcher), jobs(1))
    assert parent.stop == "answered"
    assert len(parent.children) == 1
    assert (parent.turns[0].error, parent.turns[0].views) == ("", ())
    return seen[1], parent


def test_not_found_is_an_observation_with_advice() -> None:
    said, parent = feedback_of("<think>No.</think>\n<answer>[0, 0, 0, 0]</answer>")
    assert said.startswith("The region could not be located.\nDescribe it differently")
    assert (parent.children[0].stop, parent.children[0].located) == ("located", None)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("", finish="error", error="the server is down"), "the searcher failed (the server is down)"),
        ("nothing of use", "the searcher gave no box (void)"),
        ("<think>!</think>\n<answer>[20, 20, 20, 80]</answer>", "the searcher gave no box (void)"),
        (
            '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [20, 20]}}</tool_call>',
            "the searcher gave no box (malformed)",
        ),
        (Reply("<tool_call>{", finish="length"), "the searcher gave no box (length)"),
    ],
)
def test_a_searcher_that_fails_is_an_observation_with_its_reason(reply: str | Reply, reason: str) -> None:
    said, parent = feedback_of(reply)
    assert reason in said
    assert parent.children[0].stop != "located"


def test_a_searcher_that_raises_takes_nobody_with_it() -> None:
    def write(request: Request) -> str:
        if request.key[1] == "g1":
            raise RuntimeError("out of luck")
        return FOUND

    stops = [(t.stop, t.children[0].stop) for t in run(script(ASK, TELL), Writer(write), jobs(3))]
    assert stops == [("answered", "located"), ("answered", "error"), ("answered", "located")]


def test_a_box_that_the_size_rule_refuses_counts_as_nothing_found() -> None:
    arm = {"size_rule": "deepeyes"}  # refuses sides of up to 30 pixels
    thin = script("<think>!</think>\n<answer>[20, 20, 21, 21]</answer>")
    (parent,) = run(script(ASK, TELL), thin, jobs(1), **arm)
    assert (parent.turns[0].error, parent.turns[0].views) == ("", ())
    assert parent.turns[0].feedback.startswith("The region could not be located: ")
    assert parent.children[0].located is not None


@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        ("<think>?</think>\n<tool_call>region_description={}</tool_call>", "parse", "the description of the region is"),
        ("I wonder.", "void", "neither <tool_call>"),
        (
            "<think>?</think>\n<tool_call>region_description={a} region_description={b}</tool_call>",
            "parse",
            "one call asks for one region",
        ),
        (
            '<think>?</think>\n<tool_call>{"region_description": "a", "img_idx": 4}</tool_call>',
            "bad_view",
            "there is no image 4",
        ),
    ],
)
def test_a_reasoner_that_asks_for_nothing_readable_is_asked_again(reply: str, error: str, words: str) -> None:
    seen: list[str] = []

    def write(request: Request) -> str:
        seen.append(texts(request))
        return (reply, TELL)[turn(request)]

    (parent,) = run(Writer(write), script(FOUND), jobs(1))
    assert (parent.turns[0].error, parent.stop, parent.children) == (error, "answered", ())
    assert words in seen[1]
    assert (error not in ("parse", "void")) or "region_description={…}" in seen[1]


def test_a_reasoner_that_never_says_anything_useful_ends_as_malformed() -> None:
    (parent,) = run(script("I wonder."), script(FOUND), jobs(1))
    assert (parent.stop, len(parent.turns)) == ("malformed", 12)


def test_of_two_calls_in_one_reply_the_first_is_carried_out() -> None:
    two = "<think>?</think>" + "".join(f"<tool_call>region_description={{{x}}}</tool_call>" for x in ("a", "b"))
    (parent,) = run(script(two, TELL), script(FOUND), jobs(1))
    assert [child.task.question for child in parent.children] == ["a"]
    assert not parent.turns[0].parsed.well_formed


def test_without_a_searcher_a_search_is_refused() -> None:
    arm = Arm("arm", REASONER, "reasoner", "insight_o3_reasoner")
    (lonely,) = rollout(jobs(1), script(ASK, TELL), make_dialect("insight_o3_reasoner"), arm)
    assert (lonely.turns[0].error, lonely.stop) == ("bad_args", "answered")
    assert "another agent" in lonely.turns[0].feedback


def test_environments_are_closed_however_the_run_ends() -> None:
    closed: list[str] = []

    def make_env(**arguments):
        import gymnasium as gym

        env = gym.make("o3gym/VisualSearch-v0", **arguments)
        close = env.close
        env.close = lambda: (closed.append(arguments["tools"][0]), close())  # type: ignore[method-assign]
        return env

    who = Agent(script(FOUND), make_dialect("insight_o3"), Arm("", SEARCHER))
    reasoner, dialect = script(ASK, ASK, TELL), make_dialect("insight_o3_reasoner")
    ended = rollout(
        jobs(4), reasoner, dialect, Arm("a", REASONER), in_flight=2, make_env=make_env, delegates={"search": who}
    )
    next(ended)
    ended.close()
    assert sorted(closed) == ["crop", "crop", "search", "search"]


# ── A reasoner that is as good as its searcher ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("noise", "right", "wrong"), [(0.0, "helpful", "unhelpful"), (1.0, "unhelpful", "helpful")])
def test_an_asker_rates_what_came_and_knows_only_what_it_was_shown(noise: float, right: str, wrong: str) -> None:
    speaks, asker = make_dialect("insight_o3_reasoner?feedback=true"), make_policy(f"asker?tries=3&noise={noise}")
    oracle = make_policy("oracle")

    def late(request: Request) -> Reply:
        """The first search finds nothing."""
        absent = Reply("<think>?</think>\n<answer>[0, 0, 0, 0]</answer>")
        return absent if request.key[3] == "searcher-1" else oracle.act([request])[0]  # type: ignore[attr-defined]

    searcher = Writer(late)
    searcher.privileged = True  # type: ignore[misc]
    who = {"search": Agent(searcher, make_dialect("insight_o3"), Arm("", SEARCHER))}
    done = list(rollout(jobs(6), asker, speaks, Arm("a", REASONER), delegates=who))
    (settled,) = settle([done], make_recipe("outcome"))
    assert [t.verdict for t in settled] == ["correct"] * 6
    assert [[rating(child, t) for child in t.children] for t in settled] == [[wrong, right]] * 6
    assert all(t.turns[0].parsed.extras["feedback"] == "NA" and t.turns[0].parsed.well_formed for t in settled)
    corner = replace(who["search"], policy=script("<think>!</think>\n<answer>[0, 0, 60, 60]</answer>"))
    blind = list(rollout(jobs(6), asker, speaks, Arm("a", REASONER), delegates={"search": corner}))
    assert {len(t.children) for t in blind} == {3}
    assert {rating(child, t) for t in blind for child in t.children} == {wrong}
    assert {t.stop for t in blind} == {"answered"}


STARS = {"suite_args": {"family": "hidden", "difficulty": "easy", "pixels": 360_000}, "max_pixels": 16_384}
"""Pictures 600 pixels wide, views at most 128."""


def asked(searcher: Policy, count: int, **env) -> list[Trajectory]:
    """Episodes of an asker on hidden tasks, settled."""
    who = {"search": Agent(searcher, make_dialect("insight_o3"), Arm("", {**SEARCHER, **STARS}))}
    speaks, arm = make_dialect("insight_o3_reasoner?feedback=true"), Arm("a", {**REASONER, **STARS, **env})
    done = list(rollout(jobs(count), make_policy("asker"), speaks, arm, delegates=who))
    (settled,) = settle([done], make_recipe("outcome"))
    return settled


def test_an_asker_is_as_good_as_its_searcher() -> None:
    right = [sum(t.verdict == "correct" for t in asked(make_policy(name), 16)) for name in ("oracle", "random")]
    assert right[0] == 16
    assert right[1] <= 7  # guesses are right in a fifth


def test_most_of_the_picture_is_no_find() -> None:
    ended = asked(script("<think>!</think>\n<answer>[1, 1, 127, 127]</answer>"), 6)
    assert {len(t.children) for t in ended} == {2}
    assert {rating(child, t) for t in ended for child in t.children} == {"unhelpful"}


def test_an_asker_has_its_tries_for_each_target_and_rates_each_search_by_its_own() -> None:
    oracle = make_policy("oracle")

    def write(request: Request) -> Reply:
        """Finds something at every second search."""
        lost = Reply("<think>?</think>\n<answer>[0, 0, 0, 0]</answer>")
        return lost if int(request.key[3][-1]) % 2 else oracle.act([request])[0]  # type: ignore[attr-defined]

    searcher = Writer(write)
    searcher.privileged = True  # type: ignore[misc]
    ended = asked(searcher, 4, suite_args={"family": "relation", "difficulty": "easy", "pixels": 160_000})
    assert {len(t.task.targets) for t in ended} == {2}
    assert [t.verdict for t in ended] == ["correct"] * 4
    assert [[rating(child, t) for child in t.children] for t in ended] == [["unhelpful", "helpful"] * 2] * 4


def test_an_asker_without_targets_has_nothing_to_know() -> None:
    source = Source.generated("synthetic", family="hidden", difficulty="easy", seed=0, pixels=40_000)
    task = Task("t", (source,), "Which?", "B", ("red", "blue"), kind="choice")
    speaks, arm = make_dialect("insight_o3_reasoner"), Arm("a", {**REASONER, "max_pixels": 16_384})
    ended = rollout([Job(task, "g", i, i) for i in range(16)], make_policy("asker"), speaks, arm)
    assert {t.answer for t in ended} == {"A", "B"}


@pytest.mark.parametrize(("searcher_dialect", "kept"), [("insight_o3", None), ("tagged_searcher", 0.0)])
def test_a_searcher_without_code_ignores_the_temperature_of_code(
    searcher_dialect: str, kept: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Tagged(type(make_dialect("insight_o3"))):  # type: ignore[misc]
        code_tags = ("<code>", "</code>")

    monkeypatch.setattr(delegation, "make_dialect", lambda spec: Tagged() if "tagged" in spec else make_dialect(spec))
    pair = f"two_agent(reasoner=oracle, searcher=oracle, searcher_dialect={searcher_dialect})"
    arm = Arm("pair", {"tools": ["search", "answer"]}, pair, sampling=Sampling(0.5, code_temperature=0.0))
    (searcher,) = delegation.delegates(arm).values()
    assert searcher.sampling == Sampling(0.5, code_temperature=kept)
