"""The two consoles of the command line, and what is printed or drawn on them.

Results go to standard output. Progress bars, warnings and errors go to standard error, so that results can be piped.
Both consoles print text literally, because names, paths and replies may look like markup ("[red]") or like an emoji
(":flags:").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn

out = Console(markup=False, emoji=False)
err = Console(markup=False, emoji=False, stderr=True)


def say(text: str, console: Console = out, style: str | None = None) -> None:
    """Prints text literally and without wrapping."""
    console.print(text, style=style, highlight=False, soft_wrap=True)


def progress_bar(*columns: ProgressColumn) -> Progress:
    """Builds a progress display on standard error.

    Args:
        columns: columns to show after the description, the bar, the count and the elapsed time.
    """
    standard = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*standard, *columns, console=err)


@contextmanager
def named_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Shows one progress bar per name.

    Yields:
        A function of (name, done, total) that updates the bar of that name and adds it first if necessary.
    """
    tasks: dict[str, TaskID] = {}
    with progress_bar() as bars:

        def update(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=total)
            bars.update(tasks[name], completed=done, total=total)

        yield update
