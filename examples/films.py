"""What the experiments with the built-in watcher share: its short trainings, films of several lengths, and IoU.

Both experiments teach and test the same models. Run with the same folder, the second one finds those of the first.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.dialects.reel import seen_span
from o3gym.geometry import span_iou
from o3gym.policies.tiny.film import WEIGHTS_FILM
from o3gym.runs.intervals import bootstrap_interval
from o3gym.runs.store import open_run
from o3gym.sampling import Sampling
from o3gym.train.recipe import SftRecipe, read_recipe
from o3gym.train.sft.run import train_sft
from o3gym.train.tiny.film_builder import FilmBuilder, staged
from o3gym.train.tiny.film_lessons import FilmLesson
from o3gym.types import Task, Trajectory

LENGTHS = (30, 60, 120, 300, 600)
"""Lengths of the films in seconds."""
FRAMES: Mapping[int, int] = {30: 30, 60: 34, 120: 38, 300: 47, 600: 49}
"""Frames that a faultless search with clips sees on average, by length of the film."""
TAUGHT_STEPS = 20
TURNS = 6
"""Turns of an episode: at most five clips, and the answer."""
MAX_TOKENS = 224
"""Tokens of a reply, enough for notes on every frame of an overview of 49 frames."""
MISTAKES = {"other": 0.1, "astray": 0.1, "lost": 0.1}
"""Shares of lessons about a lamp that is never on, and of clips at another time than the one asked for."""
LESSONS: Mapping[str, Mapping[str, Any]] = {
    "clips": {},
    "window": {},
    "one_clip": {"clips": 1},
    "overview": {"clips": 0},
}
"""What differs between the lessons of the models, beside the window and the frames of the overview."""
WINDOWS = {"window": 1}
"""Number of rounds whose frames stay in the dialogue, for the models with a window memory."""


def film_suite(length: int) -> dict[str, Any]:
    """Returns the arguments of the suite: when is the lamp on, in films of one length."""
    return {"family": "event", "difficulty": "easy", "seconds": length}


def film_lessons(kind: str) -> list[dict[str, Any]]:
    """Returns the options of the lessons of a model, one for each length of the films."""
    frames = {length: {"overview": FRAMES[length]} if kind == "overview" else {} for length in LENGTHS}
    return [{"seconds": str(length), **frames[length], **LESSONS[kind]} for length in LENGTHS]


def add_start(parser: argparse.ArgumentParser) -> None:
    """Adds the option for the model from which all models are taught."""
    parser.add_argument("--start", type=Path, default=WEIGHTS_FILM, help="folder of the model to start from")


def film_recipe(kind: str, seed: int, start: Path, threads: int) -> SftRecipe:
    """Returns the recipe of a short training of the watcher in `start`, whose vision tower stays as it is."""
    source = {"source": "o3gym.train.tiny.film_lessons:FilmLesson", "views": 4, "start": 1000 * (seed + 1), **MISTAKES}
    data = [{**source, **options} for options in film_lessons(kind)]
    stage = {"steps": TAUGHT_STEPS, "batch": 8, "parts": 4, "warmup": 5, "context": 2048, "data": data}
    return read_recipe(
        {
            **{"name": f"{kind}-{seed}", "model": str(start), "seed": seed, "threads": threads},
            **{"freeze": ["vision"], "learning_rate": 5e-4, "schedule": "cosine", "betas": [0.9, 0.98]},
            **{"weight_decay": 0.01, "log_steps": 10, "save_steps": 50, "stages": [stage]},
            **({"window": WINDOWS[kind]} if kind in WINDOWS else {}),
        }
    )


def teach(kind: str, seed: int, args: argparse.Namespace) -> Path:
    """Teaches a model, unless that is done already. Returns its folder."""
    return train_sft(film_recipe(kind, seed, args.start, args.threads), args.out / f"taught-{kind}-{seed}")


def film_bench(policy: str, length: int, episodes: int, window: int | None = None, **env: Any) -> Bench:
    """Returns the benchmark of a policy: held-out films of one length, the same ones for all, played greedily."""
    return Bench(
        suite="synthetic_video",
        suite_args=film_suite(length),
        policies=(policy,),
        episodes=episodes,
        turns=(TURNS,),
        env=env,
        window=window,
        sampling=Sampling(max_tokens=MAX_TOKENS),
    )


def watch_films(
    kind: str, model: Path, length: int, episodes: int, frames: int = 0, limit: int = 0
) -> list[Trajectory]:
    """Plays the held-out films of one length, unless that is done already. The run lies beside the model.

    Args:
        kind: key of `LESSONS`, according to which the model was taught.
        model: folder of the model.
        length: length of the films in seconds.
        episodes: number of films.
        frames: frames of the overview; 0 for as many as in the lessons.
        limit: tokens of the context; 0 for no limit.
    """
    frames = frames or (FRAMES[length] if kind == "overview" else 16)
    policy = f"tiny_film:{model}" + (f"?max_context={limit}" if limit else "")
    control = "+no_tool" if kind == "overview" else ""
    bench = film_bench(policy + control, length, episodes, WINDOWS.get(kind), overview_frames=frames)
    folder = model.with_name(f"{model.name}-bench") / f"{length}-{frames}-{limit}-{episodes}"
    run(bench, folder)
    return sorted(open_run(folder), key=lambda trajectory: trajectory.group)


def answer_iou(trajectory: Trajectory) -> float:
    """Returns the temporal IoU of the answer with the truth; 0 without an answer."""
    return span_iou([trajectory.span], _truths(trajectory.task)) if trajectory.span is not None else 0.0


def _truths(task: Task) -> list[tuple[float, float]]:
    return [target.time for target in task.targets if target.time is not None]


def faultless_searches(kind: str, length: int, episodes: int, frames: int = 0) -> list[FilmBuilder]:
    """Returns what a watcher that makes no mistake would do in the held-out films, in the order of `watch_films`."""
    (options,) = (options for options in film_lessons(kind) if options["seconds"] == str(length))
    lesson = FilmLesson(**{**options, **({"overview": frames} if frames else {})})
    bench = film_bench("oracle", length, episodes)
    suite = bench.open_suite()
    tasks = [suite[job.task] for job in sorted(bench.jobs(), key=lambda job: job.group) if isinstance(job.task, int)]
    return [lesson.build(staged(task), Random(task.id)) for task in tasks]


def search_iou(search: FilmBuilder) -> float:
    """Returns the temporal IoU of the answer at the end of a demonstration."""
    first, last = (search.views[int(number)] for number in search.messages[-1].text.split()[-2:])
    return span_iou([seen_span(first, last)], _truths(search.film.task))


def over_seeds(cells: Sequence[Sequence[float] | np.ndarray]) -> np.ndarray:
    """Returns the mean over the cells for each film; float (films,)."""
    return np.mean(np.array(cells, float), axis=0)


def written_gain(first: np.ndarray, second: np.ndarray) -> str:
    """Writes the mean difference over paired films with its 95% bootstrap interval."""
    difference = first - second
    low, high = bootstrap_interval(difference.tolist())
    return f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def draw_lengths(axes: Any, name: str, films: Mapping[int, np.ndarray], **style: Any) -> None:
    """Draws the mean over films by their length, with its interval, into the axes."""
    axes.plot(list(films), [several.mean() for several in films.values()], marker="o", label=name, **style)
    low, high = zip(*(bootstrap_interval(several.tolist()) for several in films.values()), strict=True)
    axes.fill_between(list(films), low, high, color=style.get("color"), alpha=0.12)


def iou_axes(title: str, panels: int) -> tuple[Figure, list[Any]]:
    """Returns a figure with axes side by side for temporal IoU over the length of films."""
    figure = Figure(figsize=(9.6, 4.2), dpi=150, layout="constrained")
    figure.suptitle(title, fontsize=11)
    several = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    for axes in several:
        axes.set(xscale="log", xlabel="length of the film, s", ylim=(0, 1))
        axes.set_xticks(LENGTHS, [str(length) for length in LENGTHS])
        axes.minorticks_off()
        axes.spines[["top", "right"]].set_visible(False)
    several[0].set_ylabel("temporal IoU")
    return figure, several
