"""Data sets on the Hugging Face hub: downloads, cache look-ups and download sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from o3gym.registry import MissingPackage, require
from o3gym.suites.base import SuiteError

HUB_TIMEOUT = 10.0
"""Timeout in seconds of requests for a data set's metadata."""


def download_files(repository: str, patterns: Sequence[str], revision: str = "") -> Path:
    """Download files of a hub data set, unless they are cached. Returns their folder, which is named after the commit.

    Raises:
        SuiteError: if the download fails; the message describes how to download the files by hand.
    """
    hub = require("huggingface_hub", "suites")
    try:
        return Path(
            hub.snapshot_download(
                repository, repo_type="dataset", revision=revision or None, allow_patterns=list(patterns)
            )
        )
    except Exception as error:  # network, authentication, unknown name, full disk: each has its own exception class
        raise SuiteError(
            f"cannot download {repository} ({_summary(error)}). "
            f"On a machine with network access, run: hf download {repository} --repo-type dataset --local-dir FOLDER. "
            f"Then pass the folder to the suite as ?data=FOLDER"
        ) from error


def cached_folder(repository: str, patterns: Sequence[str]) -> Path | None:
    """The folder of these files of a data set if they have been downloaded, otherwise None."""
    try:
        hub = require("huggingface_hub", "suites")
        return Path(
            hub.snapshot_download(repository, repo_type="dataset", local_files_only=True, allow_patterns=list(patterns))
        )
    except Exception:  # package not installed, files not cached, or cache unreadable: all mean "not downloaded"
        return None


def download_size(repository: str, patterns: Sequence[str]) -> str:
    """The size of a download as the hub reports it, such as "3.1 GB", or the reason why it is unknown."""
    try:
        hub = require("huggingface_hub", "suites")
        info = hub.HfApi().dataset_info(repository, files_metadata=True, timeout=HUB_TIMEOUT)
        files = hub.utils.filter_repo_objects(info.siblings, allow_patterns=list(patterns), key=lambda f: f.rfilename)
        return _format_bytes(sum(file.size for file in files))
    except MissingPackage:
        raise
    except Exception as error:
        return f"size unknown ({_summary(error)})"


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _format_bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB" if count < 1000 else f"{count:,.0f} GB"
