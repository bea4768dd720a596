"""Scripts that are performed as real episodes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from o3gym.calls import answer, crop
from o3gym.dialects.base import make_dialect
from o3gym.policies.base import make_policy
from o3gym.policies.dialogue import Message, Picture
from o3gym.rollout.loop import rollout
from o3gym.rollout.performing import Act, Script, arm_of, perform, script_of
from o3gym.rollout.records import Arm, Job
from o3gym.suites.base import make_suite
from o3gym.types import Reply, Trajectory

SUITE: dict[str, Any] = {"family": "attribute", "difficulty": "easy", "pixels": 60_000}
ENV: dict[str, Any] = {
    "suite_args": SUITE,
    "min_pixels": 1024,
    "max_pixels": 4096,
    "max_turns": 6,
    "tools": ["crop", "answer"],
}
TASK = make_suite("synthetic", **SUITE)[0]
LEFT, RIGHT = crop((0.0, 0.0, 0.5, 1.0)), crop((0.5, 0.0, 1.0, 1.0))


def arm(dialect: str = "mini_o3", **env: Any) -> Arm:
    return Arm("arm", {**ENV, **env}, "detour", dialect)


def played(dialect: str, jobs: int = 4) -> list[Trajectory]:
    """Episodes of `detour`, which differ in their detours."""
    wanted = [Job(number, f"g{number}", sample=number, seed=number) for number in range(jobs)]
    return list(rollout(wanted, make_policy("detour?p=0.8"), make_dialect(dialect), arm(dialect)))


def performed(*acts: Act, dialect: str = "mini_o3", **env: Any) -> Trajectory:
    (trajectory,) = perform([Script(TASK, acts, "g", 0)], arm(dialect, **env), make_dialect(dialect))
    return trajectory


@pytest.mark.parametrize("dialect", ["mini_o3", "deepeyes", "simple_o3", "openai"])
def test_performing_the_script_of_an_episode_repeats_it_exactly(dialect: str) -> None:
    episodes = played(dialect)
    assert len({len(episode.turns) for episode in episodes}) > 1
    again = list(perform(map(script_of, episodes), arm_of(episodes[0]), make_dialect(dialect)))
    assert {t.key: t for t in again} == {t.key: t for t in episodes}


@pytest.mark.parametrize("dialect", ["mini_o3", "qwen3_vl"])
def test_without_their_texts_the_acts_are_written_again(dialect: str) -> None:
    (episode,) = played(dialect, 1)
    script = script_of(episode)
    bare = replace(script, acts=tuple(act._replace(text="") for act in script.acts))
    (again,) = perform([bare], arm_of(episode), make_dialect(dialect))
    assert again == episode
    (other,) = perform([bare], arm_of(episode), make_dialect("openai"))
    assert other.views == episode.views
    assert [turn.reply.text for turn in other.turns] != [turn.reply.text for turn in episode.turns]


def test_a_script_that_is_too_short_fails_and_one_that_is_too_long_is_cut() -> None:
    short = performed(Act(LEFT, "left"))
    assert (short.stop, len(short.views)) == ("error", 2)
    assert "the script has 1 acts, after which the episode has not ended" in short.turns[-1].reply.error
    long = performed(Act(LEFT, "left"), Act(answer("A"), "so"), Act(RIGHT, "never"))
    assert (long.stop, len(long.turns)) == ("answered", 2)


def test_a_refused_call_is_an_observation_and_an_inexpressible_one_an_error() -> None:
    refused = performed(Act(crop((0.0, 0.0, 1.0, 1.0), view=9), "where?"), Act(LEFT, "left"), Act(answer("A"), "so"))
    assert [turn.error for turn in refused.turns] == ["bad_view", "", ""]
    assert (refused.stop, len(refused.views)) == ("answered", 2)
    wrong = performed(Act(crop((0.0, 0.0, 1.0, 1.0), view=1), "where?"), dialect="simple_o3")
    assert wrong.stop == "error"
    assert "view 0 only" in wrong.turns[-1].reply.error


def test_a_text_is_replayed_word_for_word_although_it_has_no_call() -> None:
    gibberish = Act(LEFT, "", "no call \udc80 at all")
    episode = performed(gibberish, Act(answer("A"), "so"), on_void="continue")
    assert [turn.parsed.call.tool for turn in episode.turns] == ["noop", "answer"]
    assert episode.turns[0].reply == Reply(gibberish.text)


def test_two_scripts_of_one_task_are_performed_at_the_same_time_and_each_plays_its_own_acts() -> None:
    scripts = [
        Script(TASK, (Act(LEFT, "left"), Act(answer("A"), "so")), "g", 0),
        Script(TASK, (Act(RIGHT, "right"), Act(LEFT, "left"), Act(answer("B"), "so")), "g", 1),
    ]
    both = {t.sample: t for t in perform(scripts, arm(), make_dialect("mini_o3"), in_flight=2)}
    assert [turn.parsed.call for turn in both[0].turns] == [act.call for act in scripts[0].acts]
    assert [turn.parsed.call for turn in both[1].turns] == [act.call for act in scripts[1].acts]
    assert (both[0].answer, both[1].answer) == ("A", "B")


def test_dialogues_are_handed_out_as_they_were_read_at_the_size_that_a_policy_wants() -> None:
    dialogues: dict[tuple[str, int], tuple[Message, ...]] = {}
    scripts = [Script(TASK, (Act(LEFT, "left"), Act(answer("A"), "so")), "good"), Script(TASK, (), "bad")]
    dialect = make_dialect("mini_o3")
    list(perform(scripts, arm(), dialect, 2, lambda width, height: (28, 56), dialogues))
    assert list(dialogues) == [("good", 0)]
    messages = dialogues["good", 0]
    assert [message.role for message in messages] == ["system", "user", "assistant", "user", "assistant"]
    assert messages[-1].text == "<think>so</think><answer>A</answer>"
    pictures = [part for message in messages for part in message.parts if isinstance(part, Picture)]
    assert [picture.load().shape for picture in pictures] == [(56, 28, 3)] * 2


def test_in_a_dialect_with_inline_observations_a_script_continues_the_message() -> None:
    from tests.rollout.test_inline_rollout import Inline

    dialogues: dict[tuple[str, int], tuple[Message, ...]] = {}
    script = Script(TASK, (Act(LEFT, "left"), Act(RIGHT, "right"), Act(answer("A"), "so")), "g")
    (trajectory,) = perform([script], arm("inline"), Inline(), dialogues=dialogues)
    roles = [message.role for message in dialogues["g", 0]]
    assert roles == ["system", "user", "assistant", "inline", "assistant", "inline", "assistant"]
    (again,) = perform([script_of(trajectory)], arm_of(trajectory), Inline())
    assert again == trajectory
