"""Synthesis of training data: collages, region searches, questions, and the selection of tasks that need a search."""
