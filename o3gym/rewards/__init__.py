"""Rewards: terms, named recipes and `settle`."""
