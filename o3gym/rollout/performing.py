"""Performs given acts as real episodes, so that every view is what a call really shows.

Exemplars, planted errors and inserted mistakes are all written down as acts, and become trajectories here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from o3gym.dialects.base import Dialect
from o3gym.policies.base import Policy
from o3gym.policies.dialogue import Message, Request
from o3gym.policies.scripted import written
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.types import Call, Reply, Size, Task, Trajectory


class Act(NamedTuple):
    """What an agent does in one turn.

    Attributes:
        call: the call, as the tools take it: boxes as fractions of the view that it names.
        thought: the words before the call.
        text: the whole reply, word for word; "" writes thought and call in the dialect of the episode.
    """

    call: Call
    thought: str = ""
    text: str = ""


@dataclass(frozen=True)
class Script:
    """The acts of one episode.

    Attributes:
        task: the task.
        acts: one act per turn. An episode that ends earlier leaves the rest out; one that does not end with the last
            act stops with an error.
        group, sample, seed: as in `o3gym.rollout.Job`. Group and sample together are different for all scripts that are
            performed together.
    """

    task: Task
    acts: tuple[Act, ...]
    group: str
    sample: int = 0
    seed: int = 0


def script_of(trajectory: Trajectory) -> Script:
    """Returns the script of an episode: performing it in the episode's own arm and dialect repeats the episode.

    Turns without a parsed call, such as a reply that was cut, are kept word for word.
    """
    acts = (Act(turn.parsed.call, turn.parsed.thought, turn.reply.text) for turn in trajectory.turns)
    return Script(trajectory.task, tuple(acts), trajectory.group, trajectory.sample, trajectory.seed)


def arm_of(trajectory: Trajectory) -> Arm:
    """Returns the arm of an episode, as far as the episode records it: everything but a window memory."""
    return Arm(trajectory.arm, trajectory.env, trajectory.policy, trajectory.dialect, trajectory.sampling)


def perform(
    scripts: Iterable[Script],
    arm: Arm,
    dialect: Dialect,
    in_flight: int = 16,
    vision_size: Callable[[int, int], Size] | None = None,
    dialogues: dict[tuple[str, int], tuple[Message, ...]] | None = None,
) -> Iterator[Trajectory]:
    """Performs scripts and yields their trajectories as they end, in no particular order.

    A call that the environment refuses is an observation, as in any other episode. `o3gym.rewards.settle` adds
    verdicts.

    Args:
        scripts: what to perform; consumed lazily.
        arm: the environment's arguments and the recorded labels.
        dialect: the dialect in which acts without a text are written, and all are read.
        in_flight: number of episodes that run at the same time.
        vision_size: `Policy.vision_size` of the policy whose views are to be shown; by default, nothing is resized.
        dialogues: if given, receives the whole dialogue of each episode, from the system prompt through the last reply,
            by group and sample. An episode that stops with an error has none.
    """
    reciter = _Reciter(vision_size, dialogues)
    jobs = (reciter.job(script) for script in scripts)
    for trajectory in rollout(jobs, reciter, dialect, arm, in_flight=in_flight):
        reciter.forget(trajectory)
        yield trajectory


class _Reciter(Policy):
    """Plays the acts of scripts, each of which it finds by the key of the request."""

    privileged: ClassVar[bool] = True

    def __init__(
        self,
        vision_size: Callable[[int, int], Size] | None,
        dialogues: dict[tuple[str, int], tuple[Message, ...]] | None,
    ) -> None:
        super().__init__()
        self._vision_size, self._dialogues = vision_size, dialogues
        self._scripts: dict[tuple[str, int], Script] = {}

    def vision_size(self, width: int, height: int) -> Size:
        """The size that the policy whose views are shown would make of a picture."""
        return self._vision_size(width, height) if self._vision_size else (width, height)

    def job(self, script: Script) -> Job:
        """Remembers a script and returns its job."""
        self._scripts[script.group, script.sample] = script
        return Job(script.task, script.group, script.sample, script.seed)

    def forget(self, trajectory: Trajectory) -> None:
        """Drops the script of an episode that has ended."""
        key = (trajectory.group, trajectory.sample)
        del self._scripts[key]
        if self._dialogues is not None and trajectory.stop == "error":
            self._dialogues.pop(key, None)

    def act(self, requests: Sequence[Request]) -> list[Reply]:
        """Returns the next act of each request's script."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        assert request.privileged is not None
        script, turn = self._scripts[request.key[1], request.key[2]], request.privileged.turn
        if turn >= len(script.acts):
            raise ValueError(f"the script has {len(script.acts)} acts, after which the episode has not ended")
        act = script.acts[turn]
        reply = Reply(act.text) if act.text else written(request, act.call, act.thought)
        if self._dialogues is not None:
            messages = request.dialogue.messages
            self._dialogues[script.group, script.sample] = (*messages, Message("assistant", (reply.text,)))
        return reply
