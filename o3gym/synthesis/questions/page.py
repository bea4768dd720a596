"""The HTML page for reviewers: each question with its answer, its explanation and its picture with layouts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from o3gym.append_log import write_whole
from o3gym.synthesis.questions.proposals import OPTION_LETTERS
from o3gym.synthesis.questions.rows import QuestionRow, proposal_of

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<title>Questions to review</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 0 auto; padding: 1rem }}
section {{ border-top: 1px solid; padding: 1rem 0 }}
svg {{ width: 100%; height: auto; max-height: 90vh; background: #8884 }}
rect {{ fill: none; stroke: #1667c7; vector-effect: non-scaling-stroke; stroke-width: 2 }}
rect.cited {{ stroke: #c2410c; stroke-width: 5 }}
text {{ fill: #1667c7; font-weight: bold; paint-order: stroke; stroke: #fff; stroke-width: .2em }}
text.cited {{ fill: #c2410c }}
.right {{ font-weight: bold }}
pre {{ white-space: pre-wrap; font: inherit }}
</style>
</head>
<body>
<h1>{count} questions to review</h1>
<p>Fill in the column <code>mark</code> of <code>{table}</code>: <b>keep</b> a question that is right, <b>drop</b> one
that is not worth keeping, <b>edit</b> one that you changed in its row. Exactly one option must be right, the
explanation must lead to it step by step, and the thick orange layouts must be exactly the layouts that are needed.
Click a picture to open it at full size.</p>
{sections}
</body>
</html>
"""


def write_page(path: Path, rows: Sequence[QuestionRow], table: str) -> None:
    """Writes the page. It has no scripts, and belongs into the folder of the rows, whose picture paths it uses.

    Args:
        path: the HTML file.
        rows: the questions.
        table: name of the review table, for the instructions on the page.
    """
    sections = "\n".join(_section(number, row) for number, row in enumerate(rows, 1))
    write_whole(path, _PAGE.format(count=len(rows), table=escape(table), sections=sections).encode())


def _section(number: int, row: QuestionRow) -> str:
    proposal = proposal_of(row)
    options = "".join(
        f"<li{' class=right' if letter == proposal.answer else ''}>{letter}. {escape(option)}</li>"
        for letter, option in zip(OPTION_LETTERS, proposal.options, strict=True)
    )
    return (
        f'<section id="{escape(row["question_id"])}"><h2>{number}. {escape(row["question_id"])}</h2>'
        f'<a href="{quote(row["file_name"])}">{_picture(row)}</a><p>{escape(proposal.question)}</p>'
        f'<ul style="list-style: none">{options}</ul><p>Answer: {proposal.answer}. '
        f"Layouts: {escape(', '.join(proposal.layouts))}</p><pre>{escape(proposal.explanation)}</pre></section>"
    )


def _picture(row: QuestionRow) -> str:
    width, height = row["img_width"], row["img_height"]
    boxes = "".join(
        _box(info, height / 60, cited=name in row["target_layouts"]) for name, info in row["layout_infos"].items()
    )
    image = f'<image href="{quote(row["file_name"])}" width="{width}" height="{height}"/>'
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="the picture with layouts">{image}{boxes}</svg>'


def _box(info: dict[str, Any], em: float, *, cited: bool) -> str:
    x0, y0, x1, y1 = info["bbox"]
    base = y0 - em / 4 if y0 > 1.2 * em else y1 - em / 3  # above the box if there is room, so that it hides no title
    marked = ' class="cited"' if cited else ""
    name = escape(" ".join(filter(None, (info["layout_id"], info["label"]))))
    return (
        f'<rect x="{x0:.1f}" y="{y0:.1f}" width="{x1 - x0:.1f}" height="{y1 - y0:.1f}"{marked}/>'
        f'<text x="{x0 + em / 4:.1f}" y="{base:.1f}" font-size="{em:.1f}"{marked}>{name}</text>'
    )
