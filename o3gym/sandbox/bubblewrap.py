"""The command line of bubblewrap: the zygote gets namespaces of its own, and a file system with only the libraries."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

FOLDER = "/sandbox"
"""The private folder of every worker, each in a mount namespace of its own."""
INSTALL = "apt-get install bubblewrap"


def find_bubblewrap() -> str:
    """Returns the path of the program.

    Raises:
        OSError: it is not installed.
    """
    if (path := shutil.which("bwrap")) is None:
        raise OSError(f'bubblewrap is not installed; run "{INSTALL}", or the like of your distribution')
    return path


def bubblewrap_version(path: str) -> str:
    """Returns the version, such as "0.8.0"."""
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]


def bubblewrap_command(
    path: str, readable: Collection[str], hidden: Iterable[str], environment: Mapping[str, str], command: list[str]
) -> list[str]:
    """Returns the command that runs `command` with files and folders readable, except for the hidden ones in them.

    The zygote is process 1 of its namespace, so nothing in it outlives the zygote. It keeps the right to mount, inside
    of its own namespaces, and gives each worker a folder that only this worker sees; workers give the right up. There
    is no /proc and no /sys. `--die-with-parent` is left out because it would end the zygote with the *thread* that
    started it. The zygote ends when its socket closes.
    """
    apart = [f"--unshare-{what}" for what in ("user", "ipc", "pid", "net", "uts", "cgroup-try")]
    session = ["--as-pid-1", "--new-session", "--hostname", "sandbox", "--uid", "1000", "--gid", "1000"]
    for name, value in environment.items():
        session += ["--setenv", name, value]
    rights = ["--clearenv", "--cap-drop", "ALL", "--cap-add", "CAP_SYS_ADMIN"]
    tops = {Path("/", *Path(file).parts[1:2]) for file in readable}
    links = [["--symlink", str(top.readlink()), str(top)] for top in sorted(tops) if top.is_symlink()]
    mounts = {str(Path(file).resolve()): "--ro-bind" for file in readable} | dict.fromkeys(hidden, "--tmpfs")
    files = ["--tmpfs", FOLDER, "--dev-bind", "/dev/null", "/dev/null", *(word for link in links for word in link)]
    for file, how in sorted(mounts.items()):  # a folder comes before what is in it
        files += [how, file, file][: 2 if how == "--tmpfs" else 3]
    return [path, *apart, *rights, *session, *files, "--remount-ro", "/", "--", *command]
