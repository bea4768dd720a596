"""Data made of other data: collages, and which of them are hard enough to train search on."""
