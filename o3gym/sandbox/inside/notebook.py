"""A notebook without a screen: it runs pieces of source in one set of variables and says what became of each.

Nothing here protects anybody. The code can reach and change all of it; what it cannot leave is the jail, and the host
believes nothing that it is told.
"""

from __future__ import annotations

import ast
import importlib
import io
import linecache
import signal
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from PIL import Image

from o3gym.sandbox.inside.pictures import Gallery, Stamps, is_picture, new_files, picture_files

_LAST_LINES, _LONGEST_LINE, _LONGEST_VALUE = 12, 400, 4096


class TimeLimit(BaseException):
    """The wall limit of the call is reached. `except Exception` does not catch it."""


class PrintedText(io.TextIOBase):
    """Collects printed text up to a number of characters."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.clear()

    def clear(self) -> None:
        """Begins a new call."""
        self._pieces: list[str] = []
        self._length = self._cut = 0

    def writable(self) -> bool:
        """Whether one can write: always."""
        return True

    def write(self, text: str) -> int:
        """Keeps what fits and counts the rest."""
        if not isinstance(text, str):
            raise TypeError(f"write: expected text, got {type(text).__name__}")
        piece = text[: self.most - self._length]
        if piece:
            self._pieces.append(piece)
            self._length += len(piece)
        self._cut += len(text) - len(piece)
        return len(text)

    def text(self) -> str:
        """The text, with a note if it was cut."""
        note = f"\n[{self._cut} more characters were cut]" if self._cut else ""
        return "".join(self._pieces) + note


class Notebook:
    """The variables of an episode, and what the code finds in them.

    Args:
        folder: the working folder.
        settings: the workplace and the limits, see `o3gym.sandbox.limits`.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder, self.settings = folder, settings
        size = settings["picture"] * 2**20
        self.gallery = Gallery(settings["pictures"], settings["picture_pixels"], size, settings["answer"])
        self.output = PrintedText(settings["output"])
        # Classes look up the module that they are defined in, so the variables have to be those of a real module.
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        self.names = module.__dict__
        self.names.update(show=self.gallery.show, display=self._display)
        self._calls, self._running = 0, False
        self._files: Stamps = {}
        self._stored: list[tuple[str, bytes]] = []
        self._notes: list[str] = []
        self._patch()
        self._preset(settings["modules"])

    def _patch(self) -> None:
        """Replaces what would open a window."""
        gallery = self.gallery

        def show_image(image: Image.Image, *_: Any, **__: Any) -> None:
            """Shows the picture."""
            gallery.show(image)

        def show_figures(*_: Any, **__: Any) -> None:  # a function: pyplot sets attributes of it
            """Shows the open figures."""
            gallery.show_figures()

        Image.Image.show = show_image  # type: ignore[method-assign, assignment]
        if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
            pyplot.show = show_figures  # type: ignore[attr-defined]

    def _preset(self, modules: dict[str, str]) -> None:
        for name, module in modules.items():
            try:
                self.names[name] = importlib.import_module(module)
            except Exception:
                continue  # not installed, or not to be used here

    def put(self, name: str, width: int, height: int, pixels: bytes | bytearray) -> None:
        """Hands a picture in, as the value of a variable or as a file whose path is the value."""
        try:
            image = Image.frombytes("RGB", (width, height), pixels)
            if self.settings["variables"] == "files":
                path = self.folder / f"{name}.png"
                image.save(path, compress_level=1)
                self._files = picture_files(self.folder)
                self.names[name] = str(path)
            else:
                self.names[name] = image
        except (MemoryError, OSError) as error:
            self._notes.append(f"[The picture {name} could not be handed in: {type(error).__name__}: {error}]\n")

    def run(self, source: str, seconds: float) -> tuple[dict[str, Any], list[bytes]]:
        """Runs a piece of source.

        Returns:
            A description with "text", "error", "ended", "values", "shown" (a number) and "stored" (paths), and the
            pictures shown and stored.
        """
        self.gallery.clear()
        self.output.clear()
        self._files, self._stored = picture_files(self.folder), []
        sys.stdout = sys.stderr = self.output
        for note in self._notes:
            self.output.write(note)
        self._notes.clear()
        error, ended = self._attempt(source, seconds)
        sys.settrace(None)
        return self._report(error, ended)

    def _attempt(self, source: str, seconds: float) -> tuple[str, str]:
        """Runs the source under an alarm. Returns what went wrong in words, and its kind."""
        signal.signal(signal.SIGALRM, self._alarm)
        self._running = True
        signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)  # again and again, for code that catches everything
        error, ended = "", ""
        try:
            try:
                self._execute(source)
            except BaseException as raised:
                error, ended = self._explain(raised, seconds)
            written = new_files(self._files, picture_files(self.folder))
            self._stored = self.gallery.store(written)
        except BaseException as raised:  # the alarm came just then, or the error cannot be printed
            if not ended:
                error, ended = self._short(raised, seconds)
        finally:
            self._running = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        return error, ended

    def _alarm(self, *_: object) -> None:
        if self._running:
            raise TimeLimit

    def _execute(self, source: str) -> None:
        self._calls += 1
        name = f"<code {self._calls}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        tree = ast.parse(source, name)
        last = None
        if self.settings["last_expression"] and tree.body and isinstance(tree.body[-1], ast.Expr):
            last = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        exec(compile(tree, name, "exec"), self.names)
        if last is not None:
            self._display(eval(compile(last, name, "eval"), self.names))

    def _display(self, *values: Any) -> None:
        """Shows pictures, and prints other values as a notebook does."""
        for value in values:
            if is_picture(value):
                self.gallery.show(value)
            elif value is not None:
                self.output.write(f"{value!r}\n")

    def _explain(self, error: BaseException, seconds: float) -> tuple[str, str]:
        if isinstance(error, TimeLimit):
            return self._short(error, seconds)
        if isinstance(error, SystemExit) and error.code in (None, 0):
            return "", ""
        report = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        report.stack = traceback.StackSummary.from_list(
            [frame for frame in report.stack if frame.filename.startswith("<code ")]
        )
        text = "".join(report.format(chain=False)).replace(f"<code {self._calls}>", "<code>")
        lines = [line[:_LONGEST_LINE] for line in text.splitlines()][-_LAST_LINES:]
        return "\n".join(lines), "memory" if isinstance(error, MemoryError) else "error"

    def _short(self, error: BaseException, seconds: float) -> tuple[str, str]:
        if isinstance(error, TimeLimit):
            return f"The code was stopped after {seconds:g} s. Its variables are kept.", "timeout"
        return f"{type(error).__name__} (its traceback cannot be printed)", "error"

    def _report(self, error: str, ended: str) -> tuple[dict[str, Any], list[bytes]]:
        text = self.output.text()
        for name in self.gallery.refused[:1]:
            text += f"\n[{name} cannot be shown: it is no picture, or too large]"
        if self.gallery.surplus:
            text += (
                f"\n[{self.gallery.surplus} more pictures were left out: at most {self.gallery.most} are handed back]"
            )
        values = {name: self.names.get(name) for name in self.settings["values"]}
        header = {
            "text": text,
            "error": error,
            "ended": ended,
            "values": {name: value[:_LONGEST_VALUE] for name, value in values.items() if type(value) is str},
            "shown": len(self.gallery.shown),
            "stored": [path for path, _ in self._stored],
        }
        return header, [*self.gallery.shown, *(data for _, data in self._stored)]
