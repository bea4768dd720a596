"""The files that code may read: the standard library, NumPy, Pillow, and the packages that the user adds."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

ALWAYS = ("numpy", "pillow")
"""The distributions that every worker has."""
_SYSTEM = (
    *("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu"),
    *("/lib64", "/usr/lib64", "/usr/local/lib64", "/etc/ld.so.cache"),
)
"""Where the shared libraries of the system lie."""


@dataclass(frozen=True)
class Library:
    """What code can read and import.

    Attributes:
        standard: the folder of the standard library.
        hidden: folders inside of it where other packages are installed, which are not to be read.
        others: other files and folders that may be read: shared libraries and packages.
        path: `sys.path` of the interpreter inside.
        versions: of Python and of the packages, by name.
        modules: top-level modules of the named packages, to be loaded before workers are forked.
    """

    standard: str
    hidden: tuple[str, ...]
    others: tuple[str, ...]
    path: tuple[str, ...]
    versions: dict[str, str]
    modules: tuple[str, ...]

    @property
    def readable(self) -> tuple[str, ...]:
        """All files and folders that may be read, one by one, without those that are hidden."""
        inner = (str(path) for path in sorted(Path(self.standard).iterdir()))
        return (*(path for path in inner if path not in self.hidden), *self.others)


def find_library(packages: Iterable[str]) -> Library:
    """Finds the files of the standard library and of packages with all that they require.

    Raises:
        ValueError: a package is not installed; the message gives the pip command.
    """
    packages = list(packages)
    found = _closure([*ALWAYS, *packages])
    names = {name: _top_level(one) for name, one in found.items()}
    roots = {name: Path(str(one.locate_file(""))).resolve() for name, one in found.items()}
    files = [str((roots[name] / top).resolve()) for name, tops in names.items() for top in tops]
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    modules = [_module(top) for name in map(_key, packages) for top in names[name]]
    if "matplotlib" in found:
        modules += ["matplotlib.pyplot", "matplotlib.backends.backend_agg"]
    return Library(
        str(standard),
        tuple(str(standard / name) for name in ("site-packages", "dist-packages") if (standard / name).exists()),
        tuple(dict.fromkeys([*filter(_exists, _SYSTEM), *_shared_libraries(), *files])),
        tuple(dict.fromkeys([str(standard), str(standard / "lib-dynload"), *map(str, roots.values())])),
        {"python": sys.version.split()[0], **{name: one.version for name, one in sorted(found.items())}},
        tuple(dict.fromkeys(module for module in modules if module)),
    )


def _exists(path: str) -> bool:
    return Path(path).exists()


def _shared_libraries() -> list[str]:
    """Shared libraries that lie beside the standard library: Python itself, and with conda all that it brings along."""
    return [str(path.resolve()) for path in sorted((Path(sys.base_prefix) / "lib").glob("*.so*"))]


def _key(name: str) -> str:
    """The normal form of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _closure(names: list[str]) -> dict[str, Distribution]:
    """Returns the distributions with all that they require, by name.

    A requirement that is not installed is passed over if it has conditions, since then they are not met here.
    """
    found: dict[str, Distribution] = {}
    queue = [(name, True) for name in names]
    while queue:
        name, is_needed = queue.pop()
        if _key(name) in found:
            continue
        try:
            one = distribution(name)
        except (PackageNotFoundError, ValueError):
            if is_needed:
                raise ValueError(f'packages: "{name}" is not installed; run pip install {name}') from None
            continue
        found[_key(name)] = one
        for line in one.requires or ():
            required, _, condition = line.partition(";")
            if "extra" not in condition and (match := re.match(r"[\w.-]+", required)):
                queue.append((match[0], not condition))
    return found


def _top_level(one: Distribution) -> list[str]:
    """The files and folders of a distribution, such as "numpy" and "numpy.libs".

    Of folders that several distributions may share, which have no `__init__.py`, what is in them is listed.
    """
    files = {str(path) for path in one.files or ()}
    tops = {_own_part(path.parts, files) for path in one.files or ()}
    if not tops:  # packages of Linux distributions have no list of files
        tops = set((one.read_text("top_level.txt") or one.metadata["Name"]).split())
        tops |= {f"{top}.py" for top in tops}
    root = Path(str(one.locate_file("")))
    return sorted(top for top in tops if not {"..", "__pycache__"} & set(Path(top).parts) and (root / top).exists())


def _own_part(parts: tuple[str, ...], files: set[str]) -> str:
    """The first folder on the way to a file that belongs to one distribution alone, or else the file."""
    for end in range(1, len(parts)):
        folder = "/".join(parts[:end])
        if folder.endswith((".dist-info", ".libs")) or f"{folder}/__init__.py" in files:
            return folder
    return "/".join(parts)


def _module(top: str) -> str:
    """The module that a file or folder is, or "" if it is none."""
    name = top.split(".")[0] if top.endswith((".py", ".so")) else top
    names = name.split("/")
    return ".".join(names) if all(part.isidentifier() and part[0] != "_" for part in names) else ""
