"""The episode loop: who is asked when, how episodes end, and that nothing a policy does stops the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from o3gym.calls import crop
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import Policy, make_policy
from o3gym.policies.dialogue import CONTEXT_FULL, Picture, Request
from o3gym.rollout.loop import collect, rollout
from o3gym.rollout.records import Arm, Job, derive_seed
from o3gym.types import FULL, OVER_TURN, Call, Reply, Source, Task, Trajectory, View

SMALL = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"suite": "synthetic", "suite_args": SMALL, "min_pixels": 1000, "max_pixels": 40_000, "max_turns": 4}


FIRST = View(0, 0, FULL, (400, 400), (200, 200))


class Writer(Policy):
    """Replies with what a function of the request says."""

    def __init__(self, write, batches: list[int] | None = None) -> None:
        super().__init__()
        self.write, self.batches, self.released = write, batches if batches is not None else [], []

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        self.batches.append(len(requests))
        return [self.write(request) for request in requests]

    def release(self, key) -> None:
        self.released.append(key)


def run(policy: Policy, jobs: Sequence[Job], dialect: str = "qwen3_vl", **options) -> list[Trajectory]:
    in_flight = options.pop("in_flight", 16)
    arm = Arm("arm", {**ENV, **options}, "policy", dialect)
    return sorted(
        rollout(jobs, policy, make_dialect(dialect), arm, in_flight=in_flight), key=lambda t: (t.group, t.sample)
    )


def jobs(count: int) -> list[Job]:
    return [Job(index, f"g{index}", seed=index) for index in range(count)]


def replying(text: str, **fields):
    return Writer(lambda request: Reply(text, **fields))


def test_oracle_answers_everything_and_its_record_is_complete() -> None:
    for trajectory in run(make_policy("oracle"), jobs(5)):
        assert trajectory.stop == "answered"
        assert trajectory.answer == trajectory.task.answer
        assert [turn.parsed.call.tool for turn in trajectory.turns][-1] == "answer"
        assert all(turn.reply.text for turn in trajectory.turns)
        assert trajectory.views[1].parent == 0
        assert trajectory == Trajectory.from_json(trajectory.to_json())


@pytest.mark.parametrize(("dialect", "named"), [("qwen3_vl", "letters"), ("grid", "choices")])
def test_a_forced_answer_allows_the_options_in_the_last_turn_alone(dialect: str, named: str) -> None:
    allowed: list[tuple[str, ...]] = []

    def write(request: Request) -> Reply:
        allowed.append(request.sampling.choices)
        look = make_dialect(dialect).format(crop((0.0, 0.0, 0.3, 0.3)), (FIRST,))
        return Reply((*request.sampling.choices, look)[0])

    arm = Arm("arm", ENV, "policy", dialect, force_answer=True)
    (trajectory,) = rollout(jobs(1), Writer(write), make_dialect(dialect), arm)
    assert allowed[:-1] == [()] * (ENV["max_turns"] - 1)
    assert [make_dialect(dialect).parse(reply, ()).call.args["text"] for reply in allowed[-1]] == list(
        getattr(trajectory.task, named)
    )
    assert trajectory.stop == "answered"


def test_dialogue_grows_by_what_is_new_and_pictures_load_as_shown() -> None:
    seen: list[list[str]] = []

    def write(request: Request) -> Reply:
        seen.append([message.role for message in request.dialogue.messages])
        for message in request.dialogue.messages:
            for part in message.parts:
                if isinstance(part, Picture):
                    pixels = part.load()
                    assert (pixels.shape[1], pixels.shape[0]) == part.view.shown
                    assert not np.shares_memory(pixels, part.load())
        turn = sum(message.role == "assistant" for message in request.dialogue.messages)
        call = crop((0.0, 0.0, 0.5, 0.5)) if turn == 0 else Call("answer", {"text": "A"})
        return Reply(make_dialect("qwen3_vl").format(call, (view(request),)))

    def view(request: Request):
        return next(p.view for m in request.dialogue.messages for p in m.parts if isinstance(p, Picture))

    run(Writer(write), jobs(1))
    assert seen == [["system", "user"], ["system", "user", "assistant", "user"]]


def test_a_full_batch_is_kept_full_and_everyone_is_released() -> None:
    batches: list[int] = []
    policy = Writer(lambda request: Reply("<answer>A</answer>"), batches)
    assert len(run(policy, jobs(10), in_flight=4)) == 10
    assert batches == [4, 4, 2]
    assert sorted(policy.released) == sorted(("arm", f"g{i}", 0, "main") for i in range(10))


def test_one_failing_dialogue_does_not_take_its_batch_with_it() -> None:
    def write(request: Request) -> Reply:
        if request.key[1] == "g1":
            raise RuntimeError("out of luck")
        return Reply("<answer>A</answer>")

    stops = {t.group: (t.stop, t.turns[-1].reply.error) for t in run(Writer(write), jobs(3))}
    assert stops["g1"] == ("error", "RuntimeError: out of luck")
    assert stops["g0"][0] == stops["g2"][0] == "answered"


def test_a_task_without_its_picture_is_an_error_episode_and_the_run_goes_on(tmp_path) -> None:
    missing = Task("gone", (Source.file(str(tmp_path / "gone.png")),), "What?", "x")
    ended = run(replying("<answer>A</answer>"), [Job(missing, "a-missing"), *jobs(1)])
    assert ended[0].stop == "error"
    assert "gone.png" in ended[0].turns[-1].reply.error
    assert ended[1].stop == "answered"


@pytest.mark.parametrize(
    ("reply", "stop"),
    [
        (Reply("nothing of use"), "void"),
        (Reply("<tool_call>{broken", finish="length"), "length"),
        (Reply("", finish="length", error=CONTEXT_FULL), "over_context"),
        (Reply("", finish="error", error="the server is down"), "error"),
    ],
)
def test_stops_that_only_rollout_can_see(reply: Reply, stop: str) -> None:
    (trajectory,) = run(Writer(lambda request: reply), jobs(1))
    assert trajectory.stop == stop
    assert trajectory.truncated == (stop != "void")


def test_gibberish_to_the_limit_is_malformed_and_never_masked() -> None:
    (trajectory,) = run(replying("<tool_call>{broken</tool_call>"), jobs(1))
    assert (trajectory.stop, len(trajectory.turns)) == ("malformed", 4)
    assert {turn.error for turn in trajectory.turns} == {"parse"}
    assert trajectory.stop not in OVER_TURN


def test_looking_to_the_limit_is_over_turn() -> None:
    text = make_dialect("openai").format(crop((0.1, 0.1, 0.4, 0.4)), ())
    (trajectory,) = run(replying(text), jobs(1), dialect="openai")
    assert (trajectory.stop, len(trajectory.views)) == ("over_turn", 4)
    assert trajectory.stop in OVER_TURN


def test_context_full_after_a_broken_call_is_not_excused() -> None:
    def write(request: Request) -> Reply:
        first = len(request.dialogue.messages) == 2
        return Reply("<tool_call>{broken</tool_call>") if first else Reply("", finish="length", error=CONTEXT_FULL)

    (trajectory,) = run(Writer(write), jobs(1))
    assert trajectory.stop == "malformed"


def test_same_jobs_give_the_same_trajectories_whatever_the_concurrency() -> None:
    one, many = (run(make_policy("random"), jobs(12), in_flight=n) for n in (1, 8))
    assert one == many
    assert len({t.turns[0].reply.text for t in one}) > 3


def test_collect_sorts_groups_and_samples() -> None:
    mixed = [Job(0, "b", 1), Job(0, "b", 0), Job(0, "a", 0)]
    groups = collect(run(make_policy("oracle"), mixed)[::-1])
    assert [[t.group + str(t.sample) for t in group] for group in groups] == [["a0"], ["b0", "b1"]]


def test_seeds_do_not_depend_on_the_process() -> None:
    assert derive_seed(0, "synthetic/test/hidden-easy/17", 3) == 54993753380326
