"""Benchmark runs of arms × tasks × samples, in this process or on a Ray cluster."""
