"""Dialects: the wire formats of released systems, one file each."""
