"""What decoders say about odd pictures: one line per kind of message, however many pictures cause it.

A picture that cannot be decoded raises an exception. Besides, Pillow warns of odd metadata, and libtiff writes what it
stumbles over to standard error, a line or more for each picture; a data set of satellite pictures gives thousands of
them. Both are reduced to the first message of each kind. Kinds are texts without their numbers.
"""

from __future__ import annotations

import ctypes
import logging
import re
import warnings
from functools import cache
from pathlib import Path

import PIL
from PIL import features

MOST = 500
"""Maximum length in bytes of a message of libtiff."""
_logger = logging.getLogger(__name__)


class MessageKinds:
    """The kinds of messages so far. In `warnings.filters` it takes the place of a pattern, of repetitions only."""

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def match(self, text: str) -> bool:
        """Whether a message is a repetition: one of its kind has been matched before."""
        kind = re.sub(r"\d+", "#", text)
        repeated = kind in self._seen
        self._seen.add(kind)
        return repeated


@cache
def watch_decoders() -> None:
    """Reduces the messages of Pillow and libtiff, from now on. Other filters of warnings may still override this."""
    # A filter may hold anything that has `match`. The filter says "ignore" to repetitions; the first message of a kind
    # goes on to the filters behind it.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    action, _, *rest = warnings.filters[0]
    warnings.filters[0] = (action, MessageKinds(), *rest)  # type: ignore[index]
    _watch_libtiff()


def _watch_libtiff() -> None:
    """Replaces the function that prints libtiff's errors. Without access to the library, nothing changes."""
    library = _libtiff()
    if library is not None:
        library.TIFFSetErrorHandler.restype = ctypes.c_void_p
        library.TIFFSetErrorHandler(_handler)


def _libtiff() -> ctypes.CDLL | None:
    """The libtiff that comes with Pillow's wheel and is loaded already; None if Pillow was built in another way."""
    if not features.check_codec("libtiff"):
        return None
    root = Path(PIL.__file__).parent
    folders = (root.parent / "pillow.libs", root / ".dylibs")  # Linux, macOS
    for path in (path for folder in folders for path in folder.glob("libtiff*")):
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            continue
    return None


_libtiff_kinds = MessageKinds()


def _report_libtiff(module: bytes | None, form: bytes | None, arguments: int | None) -> None:
    """The error handler of libtiff: (module, printf format, va_list).

    A va_list is passed as an address on x86-64 and ARM64 alike, so it can be handed on to `vsnprintf` as one.
    """
    buffer = ctypes.create_string_buffer(MOST)
    ctypes.CDLL(None).vsnprintf(buffer, MOST, form, ctypes.c_void_p(arguments))
    text = buffer.value.decode(errors="replace")
    if not _libtiff_kinds.match(text):
        _logger.warning("libtiff: %s (said once; a picture that cannot be read has an error of its own)", text)


_handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_report_libtiff)
# libtiff keeps the handler's address, so the handler must live as long as the process.
