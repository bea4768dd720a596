"""Checks that the installed transformers and TRL have the internals that o3gym calls.

The decoding loop of the Qwen families calls the parts of a model one by one, processors are built without their video
part, and trainers override private methods. None of that is a promise of these packages. Their versions are therefore
bounded in pyproject.toml, and each module checks its own names when it is imported or first uses them. A version that
differs then fails before any episode starts, with a message that says what differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from o3gym.registry import import_attribute, require

KNOWN_VERSIONS = {"transformers": ("transformers", ">=5.19,<5.25"), "trl": ("train", ">=1.16,<1.17")}
"""The extra of each package, and the versions that the tests have passed with: the bounds in pyproject.toml."""


def check_internals(package: str, expected: Mapping[str, tuple[str, ...]]) -> None:
    """Compares names of an installed package with what is expected of them.

    Args:
        package: a package of `KNOWN_VERSIONS`.
        expected: "module:attribute" (the module relative to the package) to the parameters that it must take; "a|b"
            stands for a parameter that may have either name. If "self" is one of them, they must be the first
            parameters, in this order.

    Raises:
        ImportError: a name is missing, or does not take a parameter; the message gives the versions that are known.
    """
    for path, parameters in expected.items():
        if difference := _difference(package, path, parameters):
            extra, bounds = KNOWN_VERSIONS[package]
            version = require(package, extra).__version__
            raise ImportError(
                f"{package} {version}: {difference}; install a version that is known to work: "
                f'pip install "{package}{bounds}"'
            )


def _difference(package: str, path: str, parameters: tuple[str, ...]) -> str:
    """Returns how a name differs from what is expected, "" if it does not."""
    module, _, attribute = path.partition(":")
    full = f"{package}.{module}" if module else package
    try:
        found = import_attribute(f"{full}:{attribute}")
    except (ImportError, AttributeError):
        return f"{full} has no {attribute}"
    if not parameters:
        return ""
    taken = list(inspect.signature(found).parameters)
    if "self" in parameters and tuple(taken[: len(parameters)]) != parameters:
        return f"{attribute} takes ({', '.join(taken)}), expected ({', '.join(parameters)}, …)"
    missing = [names for names in parameters if not set(names.split("|")) & set(taken)]
    return f"{attribute} takes ({', '.join(taken)}), expected also {', '.join(missing)}" if missing else ""
