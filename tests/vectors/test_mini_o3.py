"""Mini-o3: episodes, rewards and advantages, as the released code plays and computes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from o3gym.calls import noop
from o3gym.dialects.base import make_dialect
from o3gym.rewards.recipes import MINI_O3_CODE
from o3gym.rewards.settle import settle
from o3gym.tools.base import ViewRequest
from o3gym.train.grpo.advantages import advantages, kept, masking_stop, uniform
from o3gym.types import Trajectory
from tests.vectors.loading import Compared, Vector, agree, vectors
from tests.vectors.replay import Replay, play, rules_of

RULES = {
    "tools": ("crop", "answer"),
    "size_rule": "mini_o3",
    "max_turns": 6,
    "max_views": 12,
    "min_pixels": 40_000,
    "max_pixels": 2_000_000,
}


class FollowedReplay(Replay):
    """A replay that, where its result is not theirs, goes on from theirs, so that later observations are the same."""

    def result(self, text: str, finish: str) -> list[Any]:
        """Takes a reply and returns its result as the vectors write it."""
        self.before = list(self.episode.views)
        turn = self.take(text, finish)
        if turn is None or self.episode.stop:
            return ["end"]
        view = self.episode.views[-1]
        return ["error"] if turn.error else ["crop", self.pixels(view), list(view.shown)]

    def follow(self, theirs: list[Any]) -> None:
        """Takes back the last result and puts theirs in its place."""
        if self.cut:
            self.cut = False
            self.episode.step(noop("parse", "cut"), None)  # type: ignore[arg-type]
        self.episode.views = self.before
        if theirs[0] == "crop":
            w, h = self.episode.views[0].native
            x0, y0, x1, y1 = theirs[1]
            self.episode._show(ViewRequest(0, (x0 / w, y0 / h, x1 / w, y1 / h), 0))


def turns_of(number: int, vector: Vector, replay: FollowedReplay) -> Iterator[Compared]:
    kinds = [*vector["kinds"], *["end"] * len(vector["replies"])]
    for text, finish, theirs, kind in zip(vector["replies"], vector["finish"], vector["turns"], kinds, strict=False):
        assert not replay.ended
        ours = replay.result(text, finish)
        yield Compared(number, "cut" if replay.cut and theirs != ["end"] else kind, ours, theirs)
        if ours != theirs:
            replay.follow(theirs)


def ending(trajectory: Trajectory) -> str:
    """How an episode ended, in the words of their flags; call attempts count as over-turn, as there."""
    stop = masking_stop(trajectory, "attempted")
    if not kept([stop], True)[0]:
        return "exceed"
    return "void" if stop in ("void", "length") else stop or "running"


def their_ending(vector: Vector) -> str:
    return "exceed" if vector["exceed"] else "void" if vector["void"] else "answered"


def endings_of(number: int, vector: Vector, replay: FollowedReplay) -> Compared:
    kind = f"ended by {'cut' if replay.cut else [*vector['kinds'], 'end'][len(vector['replies']) - 1]}"
    return Compared(number, kind, ending(replay.trajectory()), their_ending(vector))


def test_episodes() -> None:
    rules, dialect = rules_of(**RULES), make_dialect("mini_o3")
    played = [(i, v, FollowedReplay(dialect, v["size"], rules)) for i, v in enumerate(vectors("mini_o3_episodes"))]
    turns = [turn for one in played for turn in turns_of(*one)]
    agree("mini_o3_episodes", [*turns, *(endings_of(*one) for one in played)])


def test_rewards_and_over_turns() -> None:
    compared = []
    for number, vector in enumerate(vectors("mini_o3_rewards")):
        trajectory = play(Replay(make_dialect("mini_o3"), [1000, 750], rules_of(**RULES)), vector["replies"])
        ((settled,),) = settle([[trajectory]], MINI_O3_CODE)
        compared.append(Compared(number, "", settled.reward, vector["total"]))
        compared.append(Compared(number, "", ending(settled), their_ending(vector)))
    assert {"exceed", "void", "answered"} <= {result.ours for result in compared}
    agree("mini_o3_rewards", compared)


def test_attempted_calls_are_masked_in_all_episodes_as_there() -> None:
    for vector in vectors("mini_o3_episodes"):
        if all(kind.startswith("canon") for kind in vector["kinds"]) and set(vector["finish"]) == {"stop"}:
            replay = Replay(make_dialect("mini_o3"), vector["size"], rules_of(**RULES))
            trajectory = play(replay, vector["replies"])
            ours = not kept([masking_stop(trajectory, "attempted")], True)[0]
            assert ours == vector["exceed"]


def test_advantages() -> None:
    compared = []
    for number, vector in enumerate(vectors("mini_o3_advantages")):
        rewards, groups = np.array(vector["rewards"]), vector["groups"]
        values, useful = advantages(rewards, groups), ~uniform(rewards, groups)
        sizes = Counter(groups)
        for i, group in enumerate(groups):
            theirs = vector["advantages"][i]
            if sizes[group] == 1:
                ours = "nothing" if values[i] == 0 else "something"
                reward = "its reward" if np.isclose(theirs, rewards[i], atol=2e-6) else "something"
                compared.append(Compared(number, "lone", ours, reward))
                names = ["dropped", "kept"]
                compared.append(Compared(number, "lone filter", names[int(useful[i])], names[int(vector["valid"][i])]))
                continue
            siblings = rewards[[other == group for other in groups]]
            # Theirs are float32 and rewards are written with six decimals; both roundings are divided by the deviation.
            deviation = siblings.std(ddof=1)
            rounding = 2 * np.finfo(np.float32).eps * siblings.max() + (1e-6 if deviation > 1e-7 else 0.0)
            assert abs(values[i] - theirs) <= rounding / (deviation + 1e-6) + 2e-6
            assert bool(useful[i]) == vector["valid"][i]
    agree("mini_o3_advantages", compared)
