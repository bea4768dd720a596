"""The table of `benchmarks/gpu.py`: a line for each figure of each section, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any


def rows(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Returns the table: what was measured, and the value or why there is none."""
    table = []
    for name in LINES:
        result = results.get(name, {"skipped": "not run yet"})
        if reason := result.get("skipped") or result.get("error"):
            table.append((name, str(reason)))
        else:
            table += [(label, text) for label, text in LINES[name](result) if text]
    return table


def number(value: float | None, unit: str, scale: float = 1.0) -> str:
    return "" if value is None else f"{value * scale:,.3g} {unit}".rstrip()


LINES: dict[str, Callable[[Mapping[str, Any]], list[tuple[str, str]]]] = {
    "matrix": lambda r: [("matrix multiplication", number(r["tflops"], "TFLOP/s"))],
    "rollout": lambda r: [
        ("rollout, own decoder: sampled tokens a second", number(r["tokens_per_second"], "")),
        ("rollout, own decoder: share of the matrix rate", number(r["share"], "%", 100)),
        ("rollout, own decoder: peak memory", number(r["memory_gib"], "GiB")),
    ],
    "step": lambda r: [
        *((f"step: seconds of {name}", number(r[name], "s")) for name in ("rollout", "logprobs", "update")),
        ("step: tokens read and written", f"{r['tokens']:,}"),
        ("step: share of the matrix rate, log-probabilities", number(r["share_logprobs"], "%", 100)),
        ("step: share of the matrix rate, updates", number(r["share_update"], "%", 100)),
        ("step: peak memory" + (", adapters only" if r["adapters"] else ""), number(r["memory_gib"], "GiB")),
    ],
    "vllm": lambda r: [
        (f"rollout, vLLM {r['version']}: sampled tokens a second", number(r["tokens_per_second"], "")),
        ("rollout, own decoder / vLLM", number(r["own_over_vllm"], "×")),
    ],
    "parity": lambda r: [
        *((f"gradients, {case}: largest relative gap", f"{gap:.1e}") for case, gap in r["gaps"].items()),
        ("gradients within 1e-3 of the formula's", "yes" if r["met"] else "NO"),
    ],
}
