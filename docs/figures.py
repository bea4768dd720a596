"""Make the pictures of the documents: `python docs/figures.py`.

`docs/search.png` comes from the first lines of README, `docs/synthetic.jpg` from `contact_sheet.py`, and
`docs/synthetic_video.jpg` from `film_sheet.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

import contact_sheet
import film_sheet

HERE = Path(__file__).parent


def main() -> None:
    """Run README's first block where its picture belongs, then draw the contact sheets."""
    code = (HERE.parent / "README.md").read_text("utf-8").split("```python\n")[1].split("```")[0]
    os.chdir(HERE)
    exec(compile(code, "README.md", "exec"), {})
    contact_sheet.main(HERE / "synthetic.jpg")
    film_sheet.main(HERE / "synthetic_video.jpg")


if __name__ == "__main__":
    main()
