"""Benchmark runs: arms × tasks × samples, in this process or on a Ray cluster."""
