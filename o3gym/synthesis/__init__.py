"""Data made of other data: collages, region searches, and which tasks are hard enough to train search on."""
