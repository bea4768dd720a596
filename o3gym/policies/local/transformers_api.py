"""Checks that the installed transformers has the internals that o3gym calls.

The decoding loop of the Qwen families calls the parts of a model one by one, processors are built without their video
part, and training stages read checkpoints. None of that is a promise of transformers. Its version is therefore bounded
in pyproject.toml, and each module checks its own names when it is imported or first uses them. A version that differs
then fails before any episode starts, with a message that says what differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping

from o3gym.registry import import_attribute, require

KNOWN_TRANSFORMERS = "transformers>=5.19,<5.25"
"""The versions that the tests have passed with; the bounds of the extra `transformers` in pyproject.toml."""


def check_transformers(expected: Mapping[str, tuple[str, ...]]) -> None:
    """Compares names of transformers with what is expected of them.

    Args:
        expected: "module:attribute" (the module relative to the package transformers) to the parameters that it must
            take; "a|b" stands for a parameter that may have either name.

    Raises:
        ImportError: a name is missing, or does not take a parameter; the message gives the versions that are known.
    """
    for path, parameters in expected.items():
        if difference := _difference(path, parameters):
            version = require("transformers", "transformers").__version__
            raise ImportError(
                f"transformers {version}: {difference}; install a version that is known to work: "
                f'pip install "{KNOWN_TRANSFORMERS}"'
            )


def _difference(path: str, parameters: tuple[str, ...]) -> str:
    """Returns how a name differs from what is expected, "" if it does not."""
    module, _, attribute = path.partition(":")
    full = f"transformers.{module}" if module else "transformers"
    try:
        found = import_attribute(f"{full}:{attribute}")
    except (ImportError, AttributeError):
        return f"{full} has no {attribute}"
    if not parameters:
        return ""
    taken = list(inspect.signature(found).parameters)
    missing = [names for names in parameters if not set(names.split("|")) & set(taken)]
    return f"{attribute} takes ({', '.join(taken)}), expected also {', '.join(missing)}" if missing else ""
