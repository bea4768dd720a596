"""PPO (Stable-Baselines3) learns that looking pays, and to read what a look shows, in minutes on two CPU cores.

The task is to name the colour of the one star among sixteen cards; in the overview it is a few blurred pixels. The
agent may look at sixteen cells, and the options come in a new order each time. It has to find out by itself that
guessing at once pays less than looking first, which colours there are, and which option names the colour that it sees.

It does not learn where to look: `control="oracle_crop"` sends every look to the star, so that the example runs in
minutes. The script also prints the accuracy of the trained policy without that help, and with all views blanked.

On 2 CPU cores three seeds rose from 2%, 4% and 8% to 97%, 98% and 100% of 300 test tasks, in 113 to 137 s each (19% to
28% without the help, 0% with blank views, 21% for a random agent). With an entropy bonus of 0.01 instead of 0.04, one
of the three seeds kept guessing at once and stayed at 20%.
`docs/sb3_ppo.svg` shows the curves of this command:

    pip install "o3gym[sb3]"
    python examples/sb3_ppo.py --seeds 2 0 1
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

import o3gym  # noqa: F401 - registers the environments
from o3gym.envs import FixedCanvas, GridActions
from o3gym.runs.chart import CurvePoint, line_chart
from o3gym.runs.intervals import wilson

SIDE, WORDS, OPTIONS = 48, 32, 6
TASKS = {"family": "hidden", "difficulty": "easy", "pixels": 288 * 288}


def make(split: str = "train", control: str | None = "oracle_crop") -> gym.Env:
    budget = {"min_pixels": SIDE * SIDE // 4, "max_pixels": SIDE * SIDE, "max_turns": 12}
    env = gym.make("o3gym/VisualSearch-v0", suite_args=TASKS, split=split, control=control, **budget)
    return GridActions(FixedCanvas(env, (SIDE, SIDE), WORDS, OPTIONS), grid=4, max_options=OPTIONS)


class Matcher(BaseFeaturesExtractor):
    """Detects features anywhere in the view (a maximum over places), and scores each option against them."""

    def __init__(self, space: gym.spaces.Dict, width: int = 64) -> None:
        super().__init__(space, OPTIONS + width + 5)
        near = [nn.Conv2d(3, 16, 5, 2, 2), nn.ReLU(), nn.Conv2d(16, 48, 3, 1, 1), nn.ReLU()]
        self.eye = nn.Sequential(*near, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(48, width), nn.ReLU())
        self.wanted = nn.Linear(width, WORDS)

    def forward(self, seen: dict[str, torch.Tensor]) -> torch.Tensor:
        """Returns features: a score per option, the view's features, the view's box, and the turns left."""
        view = self.eye(seen["view"])
        scores = seen["options"].unflatten(1, (OPTIONS, WORDS)) @ self.wanted(view).unsqueeze(2)
        return torch.cat([scores.squeeze(2), view, seen["box"], seen["turns_left"]], dim=1)


def success(env: gym.Env, model: PPO | None, episodes: int) -> CurvePoint:
    """Returns the share of right answers on the first test tasks, with its 95% interval. No model: random actions."""
    right = 0.0
    env.action_space.seed(0)
    for task in range(episodes):
        observation, _ = env.reset(seed=task, options={"task": task})
        done = False
        while not done:
            action = env.action_space.sample() if model is None else model.predict(observation, deterministic=True)[0]
            observation, _, terminated, truncated, info = env.step(action)
            done = terminated or truncated
        right += info["reward_terms"]["outcome"]
    steps = 0 if model is None else model.num_timesteps
    return CurvePoint(steps, right / episodes, *wilson(right, episodes))


def train(seed: int, steps: int, episodes: int, every: int = 8192) -> tuple[PPO, list[CurvePoint]]:
    """Trains a policy. Returns it with its learning curve on the test split."""
    environments = make_vec_env(make, n_envs=16, seed=seed)
    layers = {"features_extractor_class": Matcher, "net_arch": []}
    rates = {"learning_rate": 1.5e-3, "ent_coef": 0.04, "n_steps": 128, "batch_size": 256, "n_epochs": 4}
    model = PPO("MultiInputPolicy", environments, policy_kwargs=layers, seed=seed, **rates)
    curve = [success(make("test"), model, episodes)]
    while model.num_timesteps < steps:
        model.learn(min(every, steps - model.num_timesteps), reset_num_timesteps=False)
        curve.append(success(make("test"), model, episodes))
        print(f"seed {seed}  {curve[-1].x:6.0f} steps  {curve[-1].y:.3f} of the test tasks", flush=True)
    return model, curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--episodes", type=int, default=300, help="test tasks per evaluation")
    parser.add_argument("--out", type=Path, default=Path("docs/sb3_ppo.svg"))
    args = parser.parse_args()
    torch.set_num_threads(1)  # the network is too small for more threads, which would only wait for each other
    evaluate = partial(success, episodes=args.episodes)
    random = evaluate(make("test"), None)
    print(f"random agent  {random.y:.3f}")
    curves = {}
    for seed in args.seeds:
        started = time.perf_counter()
        model, curves[f"PPO, seed {seed}"] = train(seed, args.steps, args.episodes)
        before, after = curves[f"PPO, seed {seed}"][0], curves[f"PPO, seed {seed}"][-1]
        print(f"seed {seed}  before {before.y:.3f}  after {after.y:.3f}  {time.perf_counter() - started:.0f} s")
        for label, control in (("without the control", None), ("with blank views", "blank_crop")):
            print(f"seed {seed}  the same policy {label}  {evaluate(make('test', control), model).y:.3f}")
    ends = [curve[-1].x for curve in curves.values()]
    curves["random agent"] = [CurvePoint(0, random.y, random.low, random.high), CurvePoint(max(ends), random.y)]
    title = "PPO learns to look first and to read the answer (test split)"
    args.out.write_text(line_chart(curves, title, "environment steps", "right answers", percent=True), "utf-8")


if __name__ == "__main__":
    main()
