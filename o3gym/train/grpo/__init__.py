"""Reinforcement learning with GRPO: rollouts by the current weights, advantages from rewards, TRL's GRPOTrainer.

One rollout passes through `rollout_worker` (plays episodes), `experience` (picks samples), `advantages` (normalises
rewards), `o3gym.train.loss_mask` (makes token rows and their loss masks) and `trainer` (takes the steps).
"""
