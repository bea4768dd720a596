"""Exports stored runs as the result files of other harnesses: lmms-eval, VLMEvalKit and Inspect.

Exports neither judge nor round again: accuracies are those of the run's own report, and an episode without a verdict
(failed judge, outage, never settled) is null in every format and never wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from o3gym.registry import EXPORTS
from o3gym.runs.exports.arms import ArmRun, read_arms
from o3gym.runs.store import open_run


def export_run(run: str | Path, to: str, out: str | Path, arm: str = "") -> list[Path]:
    """Writes a stored run in another harness's format, one folder per arm in `out`.

    The run is read once as a whole and once per arm, and never held in memory, so it may be of any length.

    Args:
        run: the run folder.
        to: a name in `registry.EXPORTS`: "lmms-eval", "vlmevalkit" or "inspect".
        out: the folder to write to. It must be new or empty, and it is removed if writing fails.
        arm: label of the arm to export; "" for all arms.

    Returns:
        The files written.

    Raises:
        UnknownName: no such format.
        RunError: `run` is not a run folder, or is damaged.
        ValueError: the run has no episodes, or no such arm.
        FileExistsError: `out` is a file, or a folder that is not empty.
    """
    write = EXPORTS[to]
    arms = read_arms(open_run(run), arm)
    folder = _empty_folder(Path(out))
    try:
        return [path for name, one in _folder_names(arms) for path in write(_make_folder(folder / name), one)]
    except BaseException:
        shutil.rmtree(folder)
        raise


def _empty_folder(folder: Path) -> Path:
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder}: expected a new or empty folder, got a file")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder}: expected a new or empty folder, got one with files in it")
    return _make_folder(folder)


def _make_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _folder_names(arms: Sequence[ArmRun]) -> list[tuple[str, ArmRun]]:
    """A distinct folder name for each arm: the label's slug, numbered if another arm has the same slug."""
    named: dict[str, ArmRun] = {}
    for arm in arms:
        name, number = arm.slug, 2
        while name.casefold() in map(str.casefold, named):  # some file systems are not case-sensitive
            name, number = f"{arm.slug}_{number}", number + 1
        named[name] = arm
    return list(named.items())


__all__ = ["export_run"]
