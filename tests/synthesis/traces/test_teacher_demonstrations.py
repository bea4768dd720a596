"""`make_demonstrations`: what a teacher's episodes become, however its run was interrupted or its server replied."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from o3gym.policies.detour import Detour
from o3gym.policies.dialogue import Request
from o3gym.registry import POLICIES, Registry
from o3gym.runs.store import open_run
from o3gym.suites.base import make_suite
from o3gym.synthesis.traces.demonstrations import OWN_TASK, make_demonstrations
from o3gym.synthesis.traces.sieve import Sieve
from o3gym.train.data.sources import open_source
from o3gym.types import Reply
from tests.bench.exemplar_rows import CHOICE, PHOTO, SCENES, bench, written
from tests.policies.openai.openai_stub import Stub, completion, failure

ROOT = "tests.synthesis.traces.test_teacher_demonstrations"
LOOK = '<grounding>{"bbox_2d": [0.1, 0.1, 0.6, 0.6], "source": "original_image"}</grounding>'
MADE = ("report.json", "kept/episodes.jsonl", "kept/run.json", "demonstrations.json")
"""The files of a data set that must not depend on interruptions; the parquet holds the same dialogues."""


class WithIds(Detour):
    """`detour` as a local model that reports its ids."""

    def _reply(self, request: Request) -> Reply:
        return Reply(super()._reply(request).text, token_ids=(1, 2), logprobs=(0.0, 0.0), new_prompt_ids=(3,))


def made(out: Path, exemplars: str = "", policy: str = "detour?p=0.7", **more: Any) -> dict[str, Any]:
    sieve = more.pop("sieve", Sieve(per_task=0))
    make_demonstrations(bench(exemplars, policy, **{"k": 2, **more}), sieve, out)
    report: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    return report


def test_right_episodes_become_a_data_set_and_every_other_one_is_counted(tmp_path: Path, photos: Path) -> None:
    report = made(tmp_path, written(tmp_path, PHOTO, photos=photos), episodes=4, k=3)
    assert (report["tasks"], report["played"]) == (4, 12)
    assert report["kept"] + sum(report["rejected"].values()) == 12
    assert report["kept"] >= 4
    assert report["diversity"]["episodes"] == report["kept"]
    kept = list(open_run(tmp_path / "kept"))
    assert len(kept) == report["kept"]
    assert [(t.task.origin["index"], t.sample) for t in kept] == sorted(
        (t.task.origin["index"], t.sample) for t in kept
    )
    protocol = open_run(tmp_path / "kept").protocol
    assert protocol["synthesis"]["command"] == "demonstrations"
    assert len(protocol["exemplars_sha256"]) == 64


def test_all_three_forms_can_be_trained_on_and_hold_no_exemplar(tmp_path: Path, photos: Path) -> None:
    report = made(tmp_path, written(tmp_path, PHOTO, photos=photos))
    run, parquet, sharegpt = (
        open_source(f"run:{tmp_path / 'kept'}"),
        open_source(f"mini_o3:{tmp_path / 'demonstrations.parquet'}"),
        open_source(f"sharegpt:{tmp_path / 'demonstrations.json'}"),
    )
    for index in range(report["kept"]):
        one, other, third = (source.example(index, 0) for source in (run, parquet, sharegpt))
        assert [m.role for m in one] == ["system", *["user", "assistant"] * (len(one) // 2)]
        assert [m.role for m in other] == [m.role for m in third] == [m.role for m in one]
        replies = [[m.text for m in each if m.role == "assistant"] for each in (one, other, third)]
        assert replies[0] == replies[1] == replies[2]
        assert not any("flour" in m.text for m in (*one, *other, *third))
        pixels = [[part.load() for m in each for part in m.parts if not isinstance(part, str)] for each in (one, other)]
        assert all((a == b).all() for a, b in zip(*pixels, strict=True))


@pytest.mark.parametrize("after", [1, 4])
def test_a_run_that_was_interrupted_ends_in_the_same_data_set(after: int, tmp_path: Path) -> None:
    def interrupt(arm: str, done: int, total: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    teacher, sieve = bench("", "detour?p=0.7", k=2), Sieve(per_task=0)
    with pytest.raises(KeyboardInterrupt):
        make_demonstrations(teacher, sieve, tmp_path / "twice", interrupt, in_flight=2)
    assert 0 < len(open_run(tmp_path / "twice" / "run").stored()) < 6
    assert not (tmp_path / "twice" / "report.json").exists()
    make_demonstrations(teacher, sieve, tmp_path / "twice", in_flight=3)
    make_demonstrations(teacher, sieve, tmp_path / "once")
    for name in MADE:
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "once" / name).read_bytes(), name
    parquets = [open_source(f"mini_o3:{tmp_path / which / 'demonstrations.parquet'}") for which in ("twice", "once")]
    assert parquets[0].fingerprint == parquets[1].fingerprint  # type: ignore[attr-defined]


def test_another_sieve_makes_another_data_set_of_the_same_run(tmp_path: Path) -> None:
    all_of_them = made(tmp_path)
    strict = made(tmp_path, sieve=Sieve(min_looks=2, per_task=1))
    assert strict["played"] == all_of_them["played"]
    assert strict["kept"] < all_of_them["kept"]
    assert len(list(open_run(tmp_path / "kept"))) == strict["kept"]
    nothing = made(tmp_path, sieve=Sieve(min_looks=9))
    assert nothing["kept"] == 0
    assert nothing["rejected"] == {"fewer than 9 looks": 6}
    assert not (tmp_path / "demonstrations.json").exists()


def test_turns_without_a_thought_are_kept_only_if_they_may_be(stub: Stub, tmp_path: Path) -> None:
    suite = make_suite(SCENES, "train")
    right = suite[suite.pick(1, 0)[0]].answer
    stub.script({"body": completion(LOOK)}, {"body": completion(f"<think>I see.</think><answer>{right}</answer>")})
    teacher: dict[str, Any] = {"policy": f"openai:m?base_url={stub.url}", "episodes": 1, "k": 1}
    assert made(tmp_path, **teacher)["rejected"] == {"a turn without a thought": 1}
    assert made(tmp_path, **teacher, sieve=Sieve(thoughts=False))["kept"] == 1


def test_the_solution_of_an_exemplar_is_no_demonstration(tmp_path: Path) -> None:
    index = make_suite(SCENES, "train").pick(3, 0)[1]
    row = {**CHOICE, "index": index, "act": [dict(each) for each in CHOICE["act"]]}
    row["act"][-1]["answer"] = {"text": make_suite(SCENES, "train")[index].answer}
    report = made(tmp_path, written(tmp_path, row))
    assert report["rejected"][OWN_TASK] == 2
    assert {t.task.origin["index"] for t in open_run(tmp_path / "kept")}.isdisjoint({index})


def test_ids_of_prompts_that_held_the_exemplars_are_left_out(
    tmp_path: Path, register: Callable[[Registry, str, Any], str]
) -> None:
    made(tmp_path, policy=register(POLICIES, "with_ids", f"{ROOT}:WithIds"))
    stored, kept = (list(open_run(tmp_path / name)) for name in ("run", "kept"))
    assert all(turn.reply.new_prompt_ids for t in stored for turn in t.turns)
    assert not any(turn.reply.new_prompt_ids or turn.reply.token_ids for t in kept for turn in t.turns)
    assert not any(turn.reply.logprobs for t in kept for turn in t.turns)


WRONG = completion("<think>so</think><answer>Z</answer>")
HOSTILE: Sequence[tuple[Any, str, bool]] = [
    ({"body": completion("")}, "no answer (void)", False),
    ({"body": completion(None, finish="content_filter")}, "failed", False),
    ({"body": completion("\ud800 <think>\x00</think>" + LOOK)}, "wrong", True),
    ({"body": completion("<think>" + "again and again " * 2000 + "</think><answer>Z</answer>")}, "wrong", False),
    ({"body": completion("<answer>" + "A" * 50_000 + "</answer>")}, "wrong", False),
    ({"body": completion(LOOK.replace("0.6, 0.6", "1e999, NaN"))}, "wrong", True),
    ({"body": completion('<grounding>{"bbox_2d": ' + "[" * 20_000 + "</grounding>")}, "wrong", True),
    ({"body": {"choices": [{"message": {"role": "assistant", "content": 7}}]}}, "failed", False),
    ({"body": {"choices": "none"}}, "failed", False),
    ({"body": "<html>gateway</html>"}, "failed", False),
    (failure(400, "no"), "failed", False),
    ({"body": completion("<think>I look.</think>" + LOOK, finish="length")}, "wrong", True),
    ({"body": completion("<|im_end|><image><answer>Z</answer>")}, "wrong", False),
]
"""Replies, why their episodes are rejected, and whether these go on after them."""


def test_hostile_replies_cost_their_own_episode_and_nothing_else(stub: Stub, tmp_path: Path) -> None:
    suite = make_suite(SCENES, "train")
    tasks = len(HOSTILE) + 1
    steps = [step for reply, _, goes_on in HOSTILE for step in (reply, *([{"body": WRONG}] if goes_on else []))]
    # The last task gets good replies: a thought with a lone surrogate, a look, and the right answer.
    right = suite[suite.pick(tasks, 0)[-1]].answer
    last = [completion("<think>left \ud800</think>" + LOOK), completion(f"<think>b</think><answer>{right}</answer>")]
    stub.script(*steps, *({"body": body} for body in last))
    teacher = bench("", f"openai:m?base_url={stub.url}&retries=0", episodes=tasks)
    make_demonstrations(teacher, Sieve(), tmp_path, in_flight=1)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert (report["played"], report["kept"]) == (tasks, 1)
    assert report["rejected"] == Counter(reason for _, reason, _ in HOSTILE)
    specs = ("run:{}/kept", "mini_o3:{}/demonstrations.parquet", "sharegpt:{}/demonstrations.json")
    for source in (open_source(spec.format(tmp_path)) for spec in specs):
        messages = source.example(0, 0)
        assert [m.role for m in messages] == ["system", *["user", "assistant"] * 2]
        assert messages[2].text == "<think>left \ufffd</think>" + LOOK


def test_a_teacher_with_nothing_but_failures_leaves_a_report(stub: Stub, tmp_path: Path) -> None:
    stub.script(failure(400, "no"))
    report = made(tmp_path, policy=f"openai:m?base_url={stub.url}&retries=0")
    assert (report["kept"], report["rejected"]) == (0, {"failed": 6})
    stub.script({"body": WRONG})
    assert made(tmp_path, policy=f"openai:m?base_url={stub.url}&retries=0")["rejected"] == {"wrong": 6}
