"""Traces to learn from: made with a teacher or by rules, verified, sifted, and written as data sets."""
