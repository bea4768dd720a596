"""Writes episodes as a data set: a run that can be looked at and trained on, and the released formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from o3gym.runs.store import EPISODES, PROTOCOL, RunStore
from o3gym.train.data.cold_start import export_cold_start
from o3gym.train.data.sharegpt import export_sharegpt
from o3gym.train.data.sources import RunSource
from o3gym.types import Trajectory

KEPT_RUN, COLD_START, SHARE_GPT = "kept", "demonstrations.parquet", "demonstrations.json"
"""The folder of the run, and the files, of a data set."""
REPORT = "report.json"
"""The file with the counts of a command that makes data."""


def check_folders(run: Path, out: Path) -> None:
    """Raises ValueError if the results in a folder would overwrite the run that they are made of."""
    if run.resolve() in (out.resolve(), (out / KEPT_RUN).resolve()):
        raise ValueError(f"out: expected another folder than that of the run, got {out}")


@dataclass(frozen=True)
class DataSet:
    """A folder of demonstrations.

    Attributes:
        folder: the folder.
    """

    folder: Path

    @property
    def run(self) -> Path:
        """The run folder, for `run:FOLDER` in a recipe and for `o3gym view`."""
        return self.folder / KEPT_RUN

    def write(self, trajectories: Iterable[Trajectory], protocol: Mapping[str, Any], made: Mapping[str, Any]) -> int:
        """Writes the run and both files anew. Returns the number of episodes; without any, there are no files.

        Args:
            trajectories: the episodes, with the bytes of their pictures.
            protocol: the protocol of the run that they come from.
            made: how they were made of it; the new run's protocol holds it under "synthesis".
        """
        self._clear()
        with RunStore(self.run, {**protocol, "synthesis": dict(made)}) as store:
            for trajectory in trajectories:
                store.append(trajectory)
            count = len(store.stored())
        if count:
            source = RunSource(str(self.run))
            export_cold_start(source, self.folder / COLD_START)
            export_sharegpt(source, self.folder / SHARE_GPT)
        return count

    def _clear(self) -> None:
        for path in (self.run / EPISODES, self.run / PROTOCOL, self.folder / COLD_START, self.folder / SHARE_GPT):
            path.unlink(missing_ok=True)
        for picture in (self.folder / f"{SHARE_GPT}.images").glob("*.png"):
            picture.unlink()
