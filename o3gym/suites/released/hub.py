"""Data sets on the Hugging Face hub: downloaded, looked for in the cache, weighed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from o3gym.registry import MissingPackage, require
from o3gym.suites.base import SuiteError

HUB_TIMEOUT = 10.0
"""Seconds to wait for the hub's word about a data set."""


def download_files(repository: str, patterns: Sequence[str], revision: str = "") -> Path:
    """Files of a hub data set, downloaded unless they are there already; the folder is named by its commit.

    Raises:
        SuiteError: they cannot be had; the message says how else to get them.
    """
    hub = require("huggingface_hub", "suites")
    try:
        return Path(
            hub.snapshot_download(
                repository, repo_type="dataset", revision=revision or None, allow_patterns=list(patterns)
            )
        )
    except Exception as error:  # network, authentication, a name that is gone, a full disk: each with its own class
        raise SuiteError(
            f"cannot download {repository} ({_why(error)}); "
            f"where there is a network: hf download {repository} --repo-type dataset --local-dir FOLDER, "
            f"then name the folder in the suite: ?data=FOLDER"
        ) from error


def cached_folder(repository: str, patterns: Sequence[str]) -> Path | None:
    """The folder of these files of a data set, if they have been downloaded."""
    try:
        hub = require("huggingface_hub", "suites")
        return Path(
            hub.snapshot_download(repository, repo_type="dataset", local_files_only=True, allow_patterns=list(patterns))
        )
    except Exception:  # no package, nothing in the cache, a cache that cannot be read: it is not here
        return None


def download_size(repository: str, patterns: Sequence[str]) -> str:
    """How large a download is, as the hub says, for example "3.1 GB"; or why that is not known."""
    try:
        hub = require("huggingface_hub", "suites")
        said = hub.HfApi().dataset_info(repository, files_metadata=True, timeout=HUB_TIMEOUT)
        files = hub.utils.filter_repo_objects(said.siblings, allow_patterns=list(patterns), key=lambda f: f.rfilename)
        return _readable(sum(file.size for file in files))
    except MissingPackage:
        raise
    except Exception as error:
        return f"size not known ({_why(error)})"


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _readable(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} GB" if count < 1000 else f"{count:,.0f} GB"
