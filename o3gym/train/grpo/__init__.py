"""Reinforcement learning: rollouts by the weights of now, rewards to advantages, and TRL's GRPOTrainer on our rows."""
