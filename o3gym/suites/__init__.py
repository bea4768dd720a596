"""Suites: where tasks come from. One file per benchmark or generator."""
