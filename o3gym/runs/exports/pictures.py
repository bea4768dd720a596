"""The pictures of a stored run's views, as data URIs of bounded size for export formats that hold pictures."""

from __future__ import annotations

import base64
import hashlib
import io
import json

from PIL import Image

from o3gym.codec import encode
from o3gym.media.errors import PictureError
from o3gym.media.images import shared_store
from o3gym.runs.store import Run, RunError
from o3gym.types import Size, Trajectory, View

LONGER_SIDE = 768
"""Maximum length of the longer side of an exported picture, in pixels."""
JPEG_QUALITY = 80
EXPORTED_BYTES = 256 * 2**20
"""Maximum size of all pictures of one exported file, because other programs read such a file as a whole."""


class PictureLeftOut(Exception):  # noqa: N818 - nothing has failed
    """A view whose picture is not exported; the message says why."""


class ViewPictures:
    """Encodes the views of a run's episodes until a byte budget is used up.

    Args:
        run: the stored run, which holds the bytes of pictures that exist nowhere else.
        budget: maximum number of bytes of all data URIs together.
    """

    def __init__(self, run: Run, budget: int = EXPORTED_BYTES) -> None:
        self._run, self._left = run, budget

    def data_uri(self, trajectory: Trajectory, view: View) -> str:
        """The view as the agent saw it, as a JPEG whose longer side has at most 768 pixels.

        Raises:
            PictureLeftOut: the picture cannot be read, or the budget is used up.
        """
        if self._left <= 0:
            raise PictureLeftOut("the pictures before it fill the log")
        try:
            source = self._run.with_data(trajectory.sources[view.source])
            pixels = shared_store().region(source, view.box, bounded(view.shown), view.resampling)
        except (PictureError, RunError, OSError) as error:
            raise PictureLeftOut(str(error)) from error
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=JPEG_QUALITY)
        uri = "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
        self._left -= len(uri)
        return uri


def bounded(size: Size) -> Size:
    """`size`, scaled down so that its longer side is at most `LONGER_SIDE`."""
    scale = min(1.0, LONGER_SIDE / max(size))
    return (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))


def view_key(trajectory: Trajectory, view: View) -> str:
    """A name for the pixels of a view, which does not depend on how they are encoded."""
    source = trajectory.sources[view.source]
    place = json.dumps([encode(source), list(view.box), list(view.shown)], sort_keys=True)
    return hashlib.sha256(place.encode()).hexdigest()[:32]
