"""`PlanningVectorEnv`: many planning environments, shared out among a few processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
from gymnasium.error import ClosedEnvironmentError
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from o3gym.arguments import check_whole
from o3gym.envs.planning import PlanningEnv

_Infos = dict[str, list[Any]]
_Stepped = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]


class PlanningVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` environments in `workers` processes, each of which steps its share one after the other.

    It gives the same episodes as Gymnasium's `SyncVectorEnv` in its default mode, `AutoresetMode.NEXT_STEP`. One
    process for each environment, as `AsyncVectorEnv` has it, spends more time on messages than a step takes; here a
    step needs one message for each process. Pictures, observations as well as actions, are passed in shared memory.

    Args:
        world: "frozenlake", "maze" or "minibehaviour"
        num_envs: number of environments
        workers: number of processes; None takes one for each core, and at most `num_envs`
        options: further arguments of `PlanningEnv`
    """

    def __init__(
        self, world: str = "frozenlake", num_envs: int = 1, workers: int | None = None, **options: Any
    ) -> None:
        check_whole("num_envs", num_envs, 1)
        if workers is not None:
            check_whole("workers", workers, 1)
        make = partial(PlanningEnv, world, **options)
        sample = make()
        self.num_envs, self.render_mode = num_envs, sample.render_mode
        self.metadata = {**sample.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.single_action_space, self.single_observation_space = sample.action_space, sample.observation_space
        self.action_space = batch_space(sample.action_space, num_envs)
        self.observation_space = batch_space(sample.observation_space, num_envs)
        self._seen, self._actions = _Shared(self.observation_space), _Shared(self.action_space)
        count = min(workers or _cores(), num_envs)
        edges = [i * num_envs // count for i in range(count + 1)]
        self._shares = [slice(first, last) for first, last in pairwise(edges)]
        self._pipes: list[Connection] = []
        self._processes: list[BaseProcess] = []
        for share in self._shares:
            pipe, far_end = multiprocessing.Pipe()
            # A forked process has copies of the ends in this process. It closes them, or would never see them closed.
            ends = (far_end, (*self._pipes, pipe))
            arguments = (*ends, [make] * (share.stop - share.start), self._seen, self._actions, share)
            process = multiprocessing.Process(target=_work, args=arguments, daemon=True)
            process.start()
            far_end.close()
            self._pipes.append(pipe)
            self._processes.append(process)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Starts an episode in each environment; `seed` as for `SyncVectorEnv`, `options` as for `PlanningEnv`."""
        numbered = range(self.num_envs)
        seeds = [None] * self.num_envs if seed is None else [seed + i for i in numbered] if type(seed) is int else seed
        if not isinstance(seeds, Sequence) or len(seeds) != self.num_envs:
            raise ValueError(f"seed: expected a whole number or {self.num_envs} of them, got {seed!r:.60}")
        infos = self._ask("reset", [(list(seeds[share]), options) for share in self._shares])
        return self._seen.array.copy(), _joined(infos)

    def step(self, actions: np.ndarray) -> _Stepped:
        """Makes a move in each environment, or starts its next episode after an end.

        Raises:
            ValueError: as `PlanningEnv.step`, or the actions are no whole numbers or pictures of the space's shape. A
                picture of another dtype is an error here, because the shared memory could not hold it.
            ClosedEnvironmentError: the vector is closed.
            RuntimeError: a process has ended, for example for want of memory. The vector is closed then.
        """
        actions, wanted = np.asarray(actions), self._actions.array
        fits = actions.dtype == wanted.dtype if wanted.dtype == np.uint8 else actions.dtype.kind in "iu"
        if not fits or actions.shape != wanted.shape:
            expected = f"{'uint8' if wanted.dtype == np.uint8 else 'whole numbers'} of shape {wanted.shape}"
            raise ValueError(f"actions: expected {expected}, got {actions.dtype!s:.40} of shape {actions.shape!s:.40}")
        wanted[:] = actions
        rewards, terminated, truncated, infos = zip(*self._ask("step", [()] * len(self._shares)), strict=True)
        joined = (np.concatenate(rewards), np.concatenate(terminated), np.concatenate(truncated))
        return self._seen.array.copy(), *joined, _joined(infos)

    def render(self) -> tuple[Any, ...] | None:
        """The pictures of the current states, or None without a render mode."""
        if self.render_mode is None:
            return None
        return tuple(frame for frames in self._ask("render", [()] * len(self._shares)) for frame in frames)

    def _ask(self, command: str, arguments: Sequence[Any]) -> list[Any]:
        """Sends a command to all processes, and raises the first error once all have answered."""
        if self.closed:
            raise ClosedEnvironmentError("the vector of environments is closed")
        asked = 0
        replies: list[Any] = []
        try:
            for pipe, argument in zip(self._pipes, arguments, strict=True):
                pipe.send((command, argument))
                asked += 1
            for pipe in self._pipes:
                replies.append(pipe.recv())
        except (EOFError, OSError):
            # The other processes may have replied already. Nobody could tell these replies from those to a new command.
            self.close()
            dead = asked if asked < len(self._pipes) else len(replies)
            numbers = f"{self._shares[dead].start} to {self._shares[dead].stop - 1}"
            code = self._processes[dead].exitcode
            raise RuntimeError(f"the process of environments {numbers} has ended with exit code {code}") from None
        except KeyboardInterrupt:
            self.close()  # for the same reason
            raise
        for error, _ in replies:
            if error is not None:
                raise error
        return [reply for _, reply in replies]

    def close_extras(self, **_: Any) -> None:
        """Ends the processes."""
        for pipe in self._pipes:
            pipe.close()  # a worker ends when its pipe does
        for process in self._processes:
            process.join()


class _Shared:
    """An array for the values of a space in memory that processes share."""

    def __init__(self, space: Any) -> None:
        self._shape, self._dtype = space.shape, space.dtype
        self._memory = multiprocessing.RawArray("b", int(np.prod(space.shape)) * space.dtype.itemsize)

    @property
    def array(self) -> np.ndarray:
        return np.frombuffer(self._memory, self._dtype).reshape(self._shape)


class _Share:
    """Some of the environments in a process of their own. They write observations where all processes see them."""

    def __init__(self, envs: Sequence[PlanningEnv], seen: np.ndarray, actions: np.ndarray) -> None:
        self._envs, self._seen, self._actions = envs, seen, actions
        self._ended = [False] * len(envs)

    def reset(self, seeds: Sequence[int | None], options: dict[str, Any] | None) -> _Infos:
        infos = []
        for i, env in enumerate(self._envs):
            self._seen[i], info = env.reset(seed=seeds[i], options=options)
            infos.append(info)
        self._ended = [False] * len(self._envs)
        return _by_key(infos)

    def step(self) -> tuple[list[float], list[bool], list[bool], _Infos]:
        rewards, terminations, truncations, infos = [], [], [], []
        for i, env in enumerate(self._envs):
            reward, terminated, truncated = 0.0, False, False
            if self._ended[i]:
                self._seen[i], info = env.reset()
            else:
                self._seen[i], reward, terminated, truncated, info = env.step(self._actions[i])
            self._ended[i] = terminated or truncated
            rewards.append(reward)
            terminations.append(terminated)
            truncations.append(truncated)
            infos.append(info)
        return rewards, terminations, truncations, _by_key(infos)

    def render(self) -> list[Any]:
        return [env.render() for env in self._envs]


def _work(
    pipe: Connection, others: Sequence[Connection], makers: Sequence[Any], seen: _Shared, actions: _Shared, share: slice
) -> None:
    """Does what the other process asks of a share of the environments, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process gets it, too, and closes the pipe
    for other in others:
        other.close()
    envs = _Share([make() for make in makers], seen.array[share], actions.array[share])
    while True:
        try:
            command, arguments = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            reply: tuple[Exception | None, Any] = (None, getattr(envs, command)(*arguments))
        except Exception as error:
            reply = (error, None)
        try:
            pipe.send(reply)
        except OSError:
            return  # the other process has closed the pipe, because a further process has died


def _by_key(infos: Sequence[dict[str, Any]]) -> _Infos:
    """Every environment gives all keys in every step."""
    return {key: [info[key] for info in infos] for key in infos[0]}


def _joined(parts: Sequence[_Infos]) -> dict[str, Any]:
    """The infos of all environments as Gymnasium's vectors give them: an array and a mask for each key."""
    joined: dict[str, Any] = {}
    for key, values in parts[0].items():
        every = [value for part in parts for value in part[key]]
        joined[key] = np.array(every, dtype=object if isinstance(values[0], str) else None)
        joined[f"_{key}"] = np.ones(len(every), bool)
    return joined


def _cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
