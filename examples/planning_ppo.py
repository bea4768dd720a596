"""PPO of Stable-Baselines3 learns to plan on frozen lakes that it has not seen, in minutes on one CPU core.

The agent sees the symbols of a 4 × 4 lake, not its picture, and makes one move at a time. It learns on 1,000 layouts of
the training split. The script prints exact match, which is the share of test layouts that are solved in the optimal
number of moves without an invalid one, and progress, beside a random policy and the optimal one.

    pip install "o3gym[sb3]"
    python examples/planning_ppo.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

import o3gym  # noqa: F401 - registers the environments
from o3gym.runs.intervals import wilson

FLAGS = 4
"""Bits of a cell that a frozen lake has: ice, hole, goal and agent."""
Policy = Callable[[Any, gym.Env], int]
"""Chooses a move for an observation; the environment is for policies that may look behind it."""


def make(split: str, layouts: int | None = None, level: int = 4) -> gym.Env:
    return gym.make("o3gym/Planning-FrozenLake-v0", level=level, split=split, layouts=layouts, observation="symbols")


class Planes(BaseFeaturesExtractor):
    """Splits the flags of the cells into planes of zeros and ones. Convolutions then spread the goal over the ice."""

    def __init__(self, space: gym.spaces.Box, width: int = 32, depth: int = 4) -> None:
        super().__init__(space, width * space.shape[0] * space.shape[1])
        layers: list[nn.Module] = []
        for i in range(depth):
            layers += [nn.Conv2d(width if i else FLAGS, width, 3, padding=1), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Flatten())

    def forward(self, symbols: torch.Tensor) -> torch.Tensor:
        """Returns features of shape (batch, width * side²)."""
        bits = torch.arange(FLAGS, device=symbols.device).view(1, FLAGS, 1, 1)
        return self.layers(((symbols.long().unsqueeze(1) >> bits) & 1).float())


def evaluate(name: str, policy: Policy, layouts: int, level: int) -> float:
    """Plays the first layouts of the test split. Prints and returns exact match."""
    env = make("test", level=level)
    exact = progress = invalid = 0
    env.action_space.seed(0)
    for layout in range(layouts):
        observation, info = env.reset(seed=layout, options={"layout": layout})
        done = False
        while not done:
            observation, _, terminated, truncated, info = env.step(policy(observation, env))
            invalid += info["move"] < 0
            done = terminated or truncated
        exact += info["exact"]
        progress += info["progress"]
    low, high = wilson(exact, layouts)
    print(
        f"{name:12s} exact match {exact / layouts:6.1%} [{low:.1%}, {high:.1%}]  progress {progress / layouts:6.1%}  "
        f"{invalid / layouts:.2f} invalid moves an episode",
        flush=True,
    )
    return exact / layouts


def train(seed: int, args: argparse.Namespace) -> None:
    """Trains a policy and prints its score before and after."""
    environments = make_vec_env(lambda: make("train", args.layouts, args.level), n_envs=16, seed=seed)
    layers = {"features_extractor_class": Planes, "net_arch": [64], "normalize_images": False}
    # The reward of a move already says whether it comes closer to the goal, so nothing has to be discounted from later.
    rates = {"learning_rate": 1e-3, "n_steps": 64, "batch_size": 256, "n_epochs": 4, "gamma": 0.0, "ent_coef": 0.01}
    model = PPO("MlpPolicy", environments, policy_kwargs=layers, seed=seed, device="cpu", **rates)

    def learned(observation: Any, env: gym.Env) -> int:
        return int(model.predict(observation, deterministic=True)[0])

    evaluate("before", learned, args.episodes, args.level)
    started = time.perf_counter()
    model.learn(args.steps)
    evaluate("PPO", learned, args.episodes, args.level)
    print(f"seed {seed}: {model.num_timesteps:,} steps in {time.perf_counter() - started:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=80_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--level", type=int, default=4, help="cells per side")
    parser.add_argument("--layouts", type=int, default=1000, help="layouts to train on")
    parser.add_argument("--episodes", type=int, default=300, help="test layouts")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the network is too small for more threads, which would only wait for each other
    evaluate("random", lambda _, env: int(env.action_space.sample()), args.episodes, args.level)
    evaluate(
        "optimal", lambda _, env: env.unwrapped.world.optimal_moves(env.unwrapped.state)[0], args.episodes, args.level
    )
    for seed in args.seeds:
        train(seed, args)


if __name__ == "__main__":
    main()
