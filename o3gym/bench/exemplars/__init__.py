"""Exemplars: episodes that are written in a file, and shown to a policy as earlier dialogue before its own task."""
