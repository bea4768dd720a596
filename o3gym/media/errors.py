"""The errors of pictures and videos that cannot be read."""

from __future__ import annotations


class PictureError(ValueError):
    """A picture cannot be read; the message names the picture and the reason."""


class VideoError(PictureError):
    """A video, and so its frames, cannot be read; the message names the video and the reason."""
