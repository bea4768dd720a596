"""VR-Thinker's window memory in miniature: does it help to forget frames if the context is limited?

VR-Thinker (arXiv 2510.10518, section 3.2) keeps only the frames of the last rounds in its context, and what was written
about older ones, so that it can look more often within the same context.

Here a lamp is on for a moment of a film, and the question asks when. The built-in watcher is shown 16 frames of the
film, watches the chapter that the question names more closely, and then the moment itself, which takes two or three
clips in long films. Its context is limited. In the arm `window`, only the frames of the last clip stay, besides those
of the overview. In `clips`, everything stays, and an episode whose next reply does not fit ends without an answer. In
`one_clip`, everything stays, and the model is taught to answer after its first clip, because a second one does not fit.
In `overview`, it answers from as many frames of the film as fit. Each arm is taught as it is tested, with the same
number of steps from the same weights. The cell `faultless` calculates what watchers that make no mistake reach on the
same films.

Decoding is greedy and each film is played once without a limit. An episode is as it would be under a limit up to the
reply that does not fit, so the results under every limit follow from the number of tokens at the end of each reply.
Separate runs with a limit check that.

    pip install "o3gym[train,figures]"
    python examples/vr_thinker_in_miniature.py --cells all --out runs/films --results runs/films/window.json

A stopped cell resumes where it was, and a finished cell is not run again. `docs/window.json` holds everything that the
figure needs.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from cells import run_cells
from films import (
    LENGTHS,
    WINDOWS,
    add_start,
    answer_iou,
    draw_lengths,
    faultless_searches,
    iou_axes,
    over_seeds,
    search_iou,
    teach,
    watch_films,
    written_gain,
)
from rich.console import Console
from rich.table import Table

from o3gym.policies.dialogue import Part, Picture
from o3gym.policies.local.encoding import Encoder
from o3gym.policies.window import segmented
from o3gym.train.tiny.film_builder import FilmBuilder
from o3gym.train.tiny.model import fresh_watcher
from o3gym.types import Trajectory

LIMIT = 600
"""Tokens of the context, replies included, for the comparison by length: one clip fits beside the overview, two do not
unless the second one is short or the first one is forgotten."""
FITTING = 40
"""Frames of an overview that fit in the limit together with notes on all of them."""
SMALLER = 500
"""A smaller limit, for a second comparison."""
LIMITS = range(400, 901, 20)
"""Limits of the curve."""
NAMES = {"window": "window of one clip", "clips": "all kept", "one_clip": "all kept, one clip", "overview": "no tool"}
COLOURS = {"window": "tab:blue", "clips": "tab:orange", "one_clip": "tab:green", "overview": "tab:gray"}
CHECKED = ("window", "clips")
"""The arms whose first model is also run with the limit."""
RIGHT = 0.5
"""The IoU from which an answer counts as right."""
out = Console(markup=False, emoji=False, width=160)


@dataclass(frozen=True)
class Cell:
    """A training of an arm and its evaluation; or the calculation."""

    arm: str
    seed: int = 0

    @property
    def name(self) -> str:
        """The name of the cell, for example "window-0"."""
        return self.arm if self.arm == "faultless" else f"{self.arm}-{self.seed}"


CELLS = (
    Cell("faultless"),
    *(Cell(arm, seed) for seed in range(3) for arm in COLOURS if arm != "overview"),
    *(Cell("overview", seed) for seed in range(3)),
)


def result(cell: Cell, args: argparse.Namespace) -> dict[str, Any]:
    """Returns the result of a cell: by length the IoU of every film and the tokens that it takes."""
    if cell.arm == "faultless":
        return faultless(args.episodes)
    model, frames = teach(cell.arm, cell.seed, args), FITTING if cell.arm == "overview" else 0
    films = {str(n): measured(watch_films(cell.arm, model, n, args.episodes, frames)) for n in LENGTHS}
    found: dict[str, Any] = {"cell": cell.name, "episodes": args.episodes, "films": films}
    if cell.seed == 0 and cell.arm in CHECKED:
        found["separate"] = [
            {"iou": float(np.mean([answer_iou(t) for t in played])), "stops": dict(Counter(t.stop for t in played))}
            for played in (watch_films(cell.arm, model, n, args.episodes, limit=LIMIT) for n in LENGTHS)
        ]
    return found


def measured(played: Sequence[Trajectory]) -> dict[str, Any]:
    """Returns the IoU of every film, the tokens of its fullest context, and the mean number of clips and frames."""
    return {
        "iou": [round(answer_iou(trajectory), 4) for trajectory in played],
        "tokens": [most_tokens(trajectory) for trajectory in played],
        "clips": sum(bool(t.views) for one in played for t in one.turns) / len(played),
        "frames": sum(len(trajectory.views) for trajectory in played) / len(played),
    }


def most_tokens(trajectory: Trajectory) -> int:
    """Returns the largest number of tokens in the context at the end of a reply."""
    context, most, segment = 0, 0, 0
    for turn in trajectory.turns:
        assert turn.reply.new_prompt_ids is not None
        assert turn.reply.token_ids is not None
        if turn.segment != segment:  # the first reply of a segment counts all ids before it
            context, segment = 0, turn.segment
        context += len(turn.reply.new_prompt_ids) + len(turn.reply.token_ids)
        most = max(most, context)
    return most


def faultless(episodes: int) -> dict[str, Any]:
    """Returns IoU and tokens of watchers that make no mistake, in the form of the other results, by arm."""
    encoder = Encoder(fresh_watcher()[1])
    found: dict[str, Any] = {"cell": "faultless", "episodes": episodes}
    for arm in COLOURS:
        frames = FITTING if arm == "overview" else 0
        searches = {str(n): faultless_searches(arm, n, episodes, frames) for n in LENGTHS}
        films = {
            length: {
                "iou": [round(search_iou(search), 4) for search in several],
                "tokens": [search_tokens(search, WINDOWS.get(arm), encoder) for search in several],
            }
            for length, several in searches.items()
        }
        found[arm] = {"films": films}
    return found


def search_tokens(search: FilmBuilder, window: int | None, encoder: Encoder) -> int:
    """Returns the largest number of tokens in the context of a demonstration."""
    messages = [replace(message, parts=tuple(map(_blank, message.parts))) for message in search.messages]
    return max(len(encoder.row(dialogue)[0]) for dialogue, _ in segmented(messages, window))


def _blank(part: Part) -> Part:
    """Replaces a picture by a black one, which has as many tokens and need not be drawn."""
    if isinstance(part, str):
        return part
    width, height = part.view.shown
    return Picture(part.view, lambda: np.zeros((height, width, 3), np.uint8))


def limited(cells: Sequence[Mapping[str, Any]], length: int, limit: int) -> np.ndarray:
    """Returns the IoU of every film, 0 where a reply does not fit in the limit, as mean over cells; float (films,)."""
    films = [cell["films"][str(length)] for cell in cells]
    return over_seeds([np.where(np.array(one["tokens"]) <= limit, one["iou"], 0.0) for one in films])


def everywhere(cells: Sequence[Mapping[str, Any]], limit: int) -> np.ndarray:
    """Returns the same for the films of all lengths; float (films,)."""
    return np.concatenate([limited(cells, length, limit) for length in LENGTHS])


def chosen(results: Mapping[str, Any], arm: str) -> list[Mapping[str, Any]]:
    """Returns the results of an arm's seeds."""
    return [results[cell.name] for cell in CELLS if cell.arm == arm and cell.name in results]


def show(results: Mapping[str, Any], target: Path) -> None:
    """Prints the tables and the comparisons, and draws the figure."""
    arms = {arm: cells for arm in COLOURS if (cells := chosen(results, arm))}
    for limit in (LIMIT, SMALLER):
        fitting = [arm for arm in COLOURS if arm != "overview" or limit == LIMIT]
        table = Table(f"{limit} tokens", *(f"{n} s" for n in LENGTHS), "all", f"IoU ≥ {RIGHT}", box=None)
        for arm in fitting if "faultless" in results else ():
            table.add_row(f"{arm}, faultless", *_row([results["faultless"][arm]], limit))
        for arm in fitting:
            if arm in arms:
                table.add_row(f"{arm}, mean of {len(arms[arm])}", *_row(arms[arm], limit))
            for cell in arms.get(arm, ()):
                table.add_row(f"  {cell['cell']}", *_row([cell], limit))
        out.print(table)
        for other in fitting[1:]:
            if {"window", other} <= arms.keys():
                compare(arms, other, limit)
    if "window" in arms and "faultless" in results:
        gain = written_gain(everywhere(arms["window"], LIMIT), everywhere([results["faultless"]["overview"]], LIMIT))
        out.print(f"window − overview, faultless, {LIMIT} tokens, all lengths: {gain}", highlight=False)
    for arm, cells in arms.items():
        describe(arm, cells)
    draw(arms, results.get("faultless", {}).get("overview"), target.with_suffix(".png"))


def _row(cells: Sequence[Mapping[str, Any]], limit: int) -> list[str]:
    right = np.mean([everywhere([cell], limit) >= RIGHT for cell in cells])
    films = [*(limited(cells, length, limit) for length in LENGTHS), everywhere(cells, limit)]
    return [*(f"{several.mean():.3f}" for several in films), f"{right:.3f}"]


def describe(arm: str, cells: Sequence[Mapping[str, Any]]) -> None:
    """Prints by length the share of episodes that do not fit, the mean numbers of clips and frames, and the check."""
    for limit in (LIMIT, SMALLER):
        full = [np.mean([np.array(cell["films"][str(n)]["tokens"]) > limit for cell in cells]) for n in LENGTHS]
        out.print(f"{arm}, full at {limit} tokens: " + " ".join(f"{share:.2f}" for share in full), highlight=False)
    for key in ("clips", "frames"):
        means = [np.mean([cell["films"][str(n)][key] for cell in cells]) for n in LENGTHS]
        out.print(f"{arm}, {key}: " + " ".join(f"{mean:.2f}" for mean in means), highlight=False)
    for cell in cells:
        if "separate" in cell:
            out.print(f"{cell['cell']}, separate runs with {LIMIT} tokens: {cell['separate']}", highlight=False)


def compare(arms: Mapping[str, Sequence[Mapping[str, Any]]], other: str, limit: int) -> None:
    """Prints how much higher the IoU is with the window than in another arm."""
    for length in LENGTHS:
        gain = written_gain(*(limited(arms[arm], length, limit) for arm in ("window", other)))
        out.print(f"window − {other}, {limit} tokens, {length} s: {gain}", highlight=False)
    gain = written_gain(*(everywhere(arms[arm], limit) for arm in ("window", other)))
    seeds = f"{len(arms['window'])} and {len(arms[other])} seeds"
    out.print(f"window − {other}, {limit} tokens, all lengths: {gain}, {seeds}", highlight=False)


def draw(arms: Mapping[str, Sequence[Mapping[str, Any]]], no_tool: Mapping[str, Any] | None, path: Path) -> None:
    """Draws IoU over length under one limit, and over the limit for all lengths; a faultless watcher is dotted."""
    figure, (by_length, by_limit) = iou_axes("A limited context: a window memory, everything kept, and no tool", 2)
    by_length.set_title(f"{LIMIT} tokens", fontsize=10)
    by_limit.set_title("films of all lengths", fontsize=10)
    by_limit.set(xscale="linear", xlabel="tokens of the context")
    by_limit.set_xticks(LIMITS[::5], [str(limit) for limit in LIMITS[::5]])
    for arm, cells in arms.items():
        films = {length: limited(cells, length, LIMIT) for length in LENGTHS}
        draw_lengths(by_length, NAMES[arm], films, color=COLOURS[arm])
        limits = [LIMIT] if arm == "overview" else LIMITS
        means = [everywhere(cells, limit).mean() for limit in limits]
        by_limit.plot(limits, means, "o" if arm == "overview" else "-", color=COLOURS[arm])
    if no_tool:
        means = [limited([no_tool], length, LIMIT).mean() for length in LENGTHS]
        by_length.plot(LENGTHS, means, ":", color=COLOURS["overview"], label="no tool, faultless")
    by_length.legend(frameon=False, fontsize=8)
    figure.savefig(path)


if __name__ == "__main__":
    run_cells(__doc__, CELLS, CELLS[:4], result, show, steps=0, episodes=20, folder="window", options=add_start)
