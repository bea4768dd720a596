"""`genai-bench-video`: the videos of GenAI-Bench (Jiang et al. 2024; TIGER-Lab/GenAI-Bench)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar
from urllib.parse import unquote, urlsplit

from o3gym.suites.released.fields import text
from o3gym.suites.released.table import TableRow
from o3gym.suites.released.video_pairs import VideoPairs, preference_of
from o3gym.types import Source, Task

VOTES: Mapping[str, str] = {"leftvote": "first", "rightvote": "second", "tievote": "same", "bothbad_vote": "same"}
"""Votes of visitors of GenAI-Arena. Both bad is a tie, too."""


class GenAIBenchVideo(VideoPairs):
    """GenAI-Bench, video generation: pairs of generated videos with the vote of a visitor of GenAI-Arena.

    The split `test` is the current file, which UnifiedReward and VR-Thinker use, and `test_v1` has the 1,069 votes of
    the paper. A vote that both are bad counts as a tie; the authors' prompt tells it from a tie of good videos, but
    accepts "equal" for either. Videos are named by addresses on the web: their files are found by the end of the path.
    Columns are those of the loaders of UnifiedReward and MJ-Video; no rows were seen.
    """

    name: ClassVar[str] = "genai-bench-video"
    version: ClassVar[str] = "1"
    splits: ClassVar[tuple[str, ...]] = ("test", "test_v1")
    licence: ClassVar[str] = "CC BY 4.0"
    repository: ClassVar[str] = "TIGER-Lab/GenAI-Bench"
    files: ClassVar[Mapping[str, Sequence[str]]] = {
        split: (f"video_generation/{split}-*.parquet",) for split in ("test", "test_v1")
    }
    counts: ClassVar[Mapping[str, int]] = {"test_v1": 1069}
    columns: ClassVar[tuple[str, ...]] = ("prompt", "left_video", "right_video", "vote_type")

    def category_of(self, row: TableRow) -> str:
        """The vote."""
        return text(row, "vote_type")

    def convert(self, row: TableRow) -> Task:
        """A pair of videos. Rows have no id."""
        prompt, preference = text(row, "prompt"), preference_of(row, "vote_type", VOTES)
        videos = (self._video(row, "left_video"), self._video(row, "right_video"))
        tags, origin = {"vote": text(row, "vote_type")}, {"cluster": prompt}
        return self.pair(prompt, "Which video is better?", videos, preference, id="", tags=tags, origin=origin)

    def _video(self, row: TableRow, field: str) -> Source:
        """The file with the path of an address, with the last two parts of it, or with the last one."""
        parts = unquote(urlsplit(text(row, field)).path).strip("/").split("/")
        return self.video(*("/".join(parts[-count:]) for count in (len(parts), 2, 1)), field=field)
