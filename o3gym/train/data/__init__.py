"""Demonstrations for supervised training: where they come from, how they are stored, and how sources are mixed."""
