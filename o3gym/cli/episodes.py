"""The options of commands that play episodes on a suite, such as `o3gym bench` and `o3gym synth select`."""

from __future__ import annotations

import argparse

from o3gym.cli.values import positive_number_argument, real_number_argument, seed_argument


def add_episode_options(parser: argparse.ArgumentParser, temperature: float) -> None:
    """Adds how policies are asked, how their answers are judged, and how many episodes run at the same time.

    Args:
        parser: the parser of the command.
        temperature: default of `--temperature`.
    """
    add = parser.add_argument
    add("--base-url", default="", metavar="URL", help="server of openai:MODEL policies, like http://127.0.0.1:8000/v1")
    add("--dialect", default="", help="wire format (by default the policy's own, else qwen3_vl)")
    add("--temperature", type=real_number_argument, default=temperature, help="sampling temperature (%(default)s)")
    add("--max-tokens", type=positive_number_argument, default=1024, help="tokens per reply (%(default)s)")
    add(
        "--judge", default="", metavar="SPEC", help="judge, like openai:MODEL (by default the rules that fit each task)"
    )
    add(
        "--seed",
        type=seed_argument,
        default=0,
        help="seed of the choice of tasks and of all sampling (%(default)s)",
    )
    add(
        "--in-flight",
        type=positive_number_argument,
        default=16,
        help="episodes that run at the same time (%(default)s)",
    )
