"""The examples of docs/dialects.md are true, one for each dialect."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from o3gym.dialects.base import make_dialect
from o3gym.registry import DIALECTS
from tests.dialects.dialect_samples import VIEWS

PAGE = Path(__file__).parents[2] / "docs" / "dialects.md"
EXAMPLES = re.findall(r"`{3,}text (\w+)\n(.*?)\n`{3,}\n\nis `(.*?)`\n", PAGE.read_text("utf-8"), re.DOTALL)


def test_there_is_one_example_for_each_dialect() -> None:
    assert [name for name, _, _ in EXAMPLES] == list(DIALECTS)


@pytest.mark.parametrize(("name", "reply", "meaning"), EXAMPLES)
def test_the_example_means_what_the_page_says(name: str, reply: str, meaning: str) -> None:
    parsed = make_dialect(name).parse(reply, VIEWS)
    assert parsed.well_formed
    expected = json.loads(meaning)
    assert parsed.call.tool == expected["tool"]
    assert parsed.call.args == {
        key: pytest.approx(value) if isinstance(value, list) else value for key, value in expected["args"].items()
    }


@pytest.mark.parametrize("name", list(DIALECTS))
def test_the_table_gives_the_time_rule_and_the_size_rule(name: str) -> None:
    row = next(line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}`"))
    dialect = make_dialect(name)
    assert row.endswith(f"| `{dialect.time_rule}` | `{dialect.size_rule}` |")
