"""Dialects: wire formats of the released systems. One file per format."""
