"""Exemplars: episodes that a person wrote down, shown to a policy as earlier dialogue before its own task."""
