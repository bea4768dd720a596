"""Stored runs as the result files of other harnesses: lmms-eval, VLMEvalKit, Inspect.

Nothing is judged or rounded anew: accuracies are those of the run's own report, and an episode without a verdict
(failed judge, outage, never settled) is null in every format, never wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from o3gym.registry import EXPORTS
from o3gym.runs.exports.arms import ArmRun, read_arms
from o3gym.runs.store import open_run


def export_run(run: str | Path, to: str, out: str | Path, arm: str = "") -> list[Path]:
    """Write a stored run in another harness's format, one folder per arm below `out`.

    The run is read once as a whole and once per arm, and never held in memory, so it may be of any length.

    Args:
        run: run folder.
        to: name in `registry.EXPORTS`: "lmms-eval", "vlmevalkit" or "inspect".
        out: folder to write into; it must be new or empty, and is removed again where writing fails.
        arm: label of the arm to write; all of them by default.

    Returns:
        The files that were written.

    Raises:
        UnknownName: no such format.
        RunError: `run` is no run folder, or is damaged.
        ValueError: the run has no episodes, or no such arm.
        FileExistsError: `out` is a file, or a folder with something in it.
    """
    write = EXPORTS[to]
    arms = read_arms(open_run(run), arm)
    folder = _empty(Path(out))
    try:
        return [path for name, one in _named(arms) for path in write(_made(folder / name), one)]
    except BaseException:
        shutil.rmtree(folder)
        raise


def _empty(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file: choose a folder that is new or empty")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} has other files in it: choose a folder that is new or empty")
    return _made(folder)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _named(arms: Sequence[ArmRun]) -> list[tuple[str, ArmRun]]:
    """A folder name for each arm; labels that differ only in what a file name cannot hold are numbered."""
    named: dict[str, ArmRun] = {}
    for arm in arms:
        name, number = arm.slug, 2
        while name.casefold() in map(str.casefold, named):  # some file systems do not tell A from a
            name, number = f"{arm.slug}_{number}", number + 1
        named[name] = arm
    return list(named.items())


__all__ = ["export"]
