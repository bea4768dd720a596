r"""Finding and writing `\boxed{…}`, the one reader that dialects and judges share."""

from __future__ import annotations

import pytest

from o3gym.latex import BOXED, BoxedText, escape_boxed, first_boxed, last_boxed, unescape_braces


def test_first_and_last() -> None:
    text = r"\boxed{A} or \boxed{\text{B}}"
    assert first_boxed(text) == BoxedText(0, "A", True)
    assert first_boxed(text, 1) == last_boxed(text) == BoxedText(13, r"\text{B}", True)
    assert first_boxed("boxed{A}") is last_boxed("") is None


@pytest.mark.parametrize(
    ("text", "body", "closed"),
    [
        (r"\boxed{a{b}c} d}", "a{b}c", True),
        (r"\boxed{a\}b} c", r"a\}b", True),  # an escaped brace closes nothing
        (r"\boxed{a\\} b}", r"a\\", True),  # an escaped backslash escapes nothing
        (r"\boxed{a{b}", "a{b}", False),
        (r"\boxed{", "", False),
        ("\\boxed{a\\", "a\\", False),
    ],
)
def test_a_body_ends_at_its_own_brace(text: str, body: str, closed: bool) -> None:
    assert last_boxed(text) == BoxedText(0, body, closed)


@pytest.mark.parametrize("text", ["a", "a{b}c", "}{", "{", "a}", "\\", "{\\", r"\boxed{x}", r"a\{b", ""])
def test_escaped_text_stays_inside_its_box(text: str) -> None:
    found = last_boxed(f"{BOXED}{escape_boxed(text)}}} and more")
    assert found is not None
    assert found.closed
    plain = text.replace(BOXED, "boxed{")
    assert unescape_braces(found.body) in (plain, plain.rstrip("\\"), unescape_braces(plain))
