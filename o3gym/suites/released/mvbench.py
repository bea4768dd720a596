"""`mvbench`: MVBench (Li et al. 2024; OpenGVLab/MVBench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from o3gym.suites.base import BadRow
from o3gym.suites.released.fields import text
from o3gym.suites.released.file_names import FILE_COLUMN, FileNames
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.videos import VideoSuite, letter_of, listed_options
from o3gym.types import Task

BRANCH = "video"
"""The branch of the hub repository whose videos are cut to the parts that questions are about."""
MVBENCH_FOLDERS: Mapping[str, str] = {
    "action_antonym": "ssv2_video_mp4",
    "action_count": "perception/videos",
    "action_localization": "sta/sta_video_segment",
    "action_prediction": "star/Charades_segment",
    "action_sequence": "star/Charades_segment",
    "character_order": "perception/videos",
    "counterfactual_inference": "clevrer/video_validation",
    "egocentric_navigation": "vlnqa",
    "episodic_reasoning": "tvqa/video_fps3_hq_segment",
    "fine_grained_action": "Moments_in_Time_Raw/videos",
    "fine_grained_pose": "nturgbd_convert",
    "moving_attribute": "clevrer/video_validation",
    "moving_count": "clevrer/video_validation",
    "moving_direction": "clevrer/video_validation",
    "object_existence": "clevrer/video_validation",
    "object_interaction": "star/Charades_segment",
    "object_shuffle": "perception/videos",
    "scene_transition": "scene_qa/video",
    "state_change": "perception/videos",
    "unexpected_action": "FunQA_test/test",
}
"""Tasks, which are the names of their files, and the folders of their videos on the branch."""


class MVBench(FileNames, VideoSuite):
    """MVBench: 4,000 questions with options, 200 for each of 20 tasks, about short videos.

    There is a file for each task (`json/action_sequence.json`, …), and `category` is the task. Published numbers are
    the mean over tasks. Some questions are about a part of a video: the branch `video` of the repository, which is
    downloaded by default, has these parts as files of their own, as lmms-eval uses them. A question whose part is
    missing there is a bad row; whole videos are not cut. The form of the files is that of VLMEvalKit's and lmms-eval's
    code; no rows were seen.
    """

    name: ClassVar[str] = "mvbench"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "MIT (videos of third parties)"
    repository: ClassVar[str] = "OpenGVLab/MVBench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {"test": ("json/*.json",)}
    counts: ClassVar[Mapping[str, int]] = {"test": 4000}
    columns: ClassVar[tuple[str, ...]] = ("video", "question", "candidates", "answer")
    grouped_by: ClassVar[str] = FILE_COLUMN
    measure: ClassVar[str] = "category_mean"

    @property
    def kinds(self) -> frozenset[str]:
        """Options."""
        return frozenset({"choice"})

    def _locate(self, data: str, revision: str) -> tuple[Path, str]:
        return super()._locate(data, revision or ("" if data else BRANCH))

    def convert(self, row: TableRow) -> Task:
        """A question with options, of which the answer is one. Rows have no id."""
        name, task = text(row, "video"), text(row, FILE_COLUMN)
        if task not in MVBENCH_FOLDERS:
            raise BadRow(FILE_COLUMN, f"one of {', '.join(MVBENCH_FOLDERS)}", task)
        choices, path = listed_options(row["candidates"], "candidates"), f"{MVBENCH_FOLDERS[task]}/{name}"
        return Task(
            id="",
            sources=(self.video(path),),
            question=text(row, "question"),
            answer=letter_of(row, "answer", choices),
            choices=choices,
            kind="choice",
            tags={"category": task},
            origin={"cluster": path},
        )
