"""Keys that a server echoes, in whatever form: none reaches a reply, an error, a run folder, a page or a cache."""

from __future__ import annotations

import base64
import html
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import page, run
from o3gym.judges.base import make_judge
from o3gym.policies.openai import policy as module
from o3gym.policies.openai.redaction import Redaction
from o3gym.sampling import Sampling
from o3gym.synthesis.asking import AskedPolicy, Inquiry, ReplyLedger, answered
from o3gym.synthesis.journal import Journal
from o3gym.types import Source, Task
from tests.policies.openai.openai_stub import Stub, completion

KEY = "sk-te/st+7Qw3rT9zLmN4"
UNICODE = "".join(f"\\u{ord(c):04x}" for c in KEY)
FORMS: dict[str, str] = {
    "plain": KEY,
    "slash": KEY.replace("/", "\\/"),
    "unicode": UNICODE,
    "upper": UNICODE.upper().replace("\\U", "\\u"),
    "mixed": KEY.replace("-", "\\u002d").replace("/", "\\/"),
    "nested": json.dumps(UNICODE)[1:-1],
    "percent": quote(KEY, safe=""),
    "percent all": "".join(f"%{ord(c):02X}" for c in KEY),
    "percent twice": quote(quote(KEY, safe=""), safe=""),
    "HTML": "".join(f"&#{ord(c)};" for c in KEY),
    "HTML in hexadecimal": "".join(f"&#X{ord(c):04x};" for c in KEY),
    "HTML twice": "".join(f"&amp;#{ord(c)};" for c in KEY),
    "HTML in JSON": "".join(f"\\u0026#{ord(c)};" for c in KEY),
    "Python": "".join(f"\\U{ord(c):08x}" for c in KEY),
    "JavaScript": "".join(f"\\u{{{ord(c):x}}}" for c in KEY),
    "C": "".join(f"\\x{ord(c):02X}" for c in KEY),
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 of a pair": base64.b64encode(f"me:{KEY}!".encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(f"u:{KEY}".encode()).decode(),
}


def shown(text: str) -> str:
    """The text with everything decoded that a reader, a browser or a dialect might decode."""
    for _ in range(3):
        text = re.sub(r"\\+u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text).replace("\\/", "/")
        text = re.sub(r"%([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
        text = re.sub(
            r"\\(?:x|U000000|u\{)([0-9a-fA-F]{2})\}?", lambda found: chr(int(found[1], 16)), html.unescape(text)
        )
    words = re.findall(r"[A-Za-z0-9+/]{12,}", text + "\n" + text.replace("-", "+").replace("_", "/"))
    return text + "".join(base64.b64decode(word + "A" * (-len(word) % 4)).decode("latin-1") for word in words)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_key_is_removed(form: str) -> None:
    redaction = Redaction(KEY)
    for text in (FORMS[form], f"say {FORMS[form]} twice: {FORMS[form]}!"):
        assert KEY in shown(text), "the test knows the form"
        assert KEY not in shown(redaction.text(text))
        assert "[key]" in redaction.text(text)
    value = {"a": [FORMS[form], {FORMS[form]: 1.5}], "b": None}
    assert KEY not in shown(json.dumps(redaction.value(value)))


def test_what_is_no_key_stays() -> None:
    redaction = Redaction(KEY)
    for text in (KEY[:-1], KEY.upper(), "100% of \\ and \\u0041", "\\n" * 9):
        assert redaction.text(text) == text
    for word in ("", "none", "EMPTY"):
        assert Redaction(word).text("none EMPTY \\ %") == "none EMPTY \\ %"


@pytest.mark.parametrize("form", FORMS)
def test_an_excerpt_ends_with_no_part_of_a_key(form: str) -> None:
    redaction = Redaction(KEY)
    for before in range(0, 700, 7):
        said = redaction.excerpt("." * before + FORMS[form] * 40, 200)
        assert len(said) <= 200
        assert set(said) <= {*".[key]", *(FORMS[form] if "base64" in form else "")}


def test_the_characters_that_html_names_are_recognised() -> None:
    key = "a<b>c&d\"e'f-12"
    for text in (html.escape(key), html.escape(html.escape(key)), key.replace("'", "&apos;").replace("<", "&LT;")):
        assert Redaction(key).text(f"no {text}.") == "no [key]."


def test_a_hostile_text_takes_no_time() -> None:
    start = time.process_time()
    for form in FORMS.values():
        Redaction(KEY).text(form[:-1] + "!")
    Redaction("/" * 20).text("\\" * 200_000 + "%25" * 100_000)
    Redaction("&" * 20).text("&amp;" * 100_000 + "&#" + "0" * 200_000)
    assert time.process_time() - start < 3.0


@pytest.fixture
def stub(server: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("O3GYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "FIRST_WAIT", 0.002)
    return server


def body(content: str) -> str:
    """A completion as JSON, with a content that is JSON text already."""
    return json.dumps(completion("CONTENT")).replace("CONTENT", content)


ECHOES: dict[str, Callable[[str], dict[str, object]]] = {
    "content": lambda form: {"body": body(f"<answer>{form}</answer>")},
    "answer of a call": lambda form: {"body": body(json.dumps(call(form))[1:-1])},
    "error": lambda form: {"status": 400, "body": f'{{"error": {{"message": "no {form}"}}}}'},
    "error in a 200": lambda form: {"body": f'{{"error": {{"{form}": "{form}"}}}}'},
    "half JSON": lambda form: {"body": f'{{"error": "{form}'},
    "place": lambda form: {"status": 308, "headers": {"location": f"http://x/{form}"}, "body": ""},
}


def call(form: str) -> str:
    return f'<tool_call>{{"name": "answer", "arguments": {{"text": "{form}"}}}}</tool_call>'


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("form", ["unicode", "base64"])
def test_no_echoed_key_is_in_a_run_or_its_page(stub: Stub, tmp_path: Path, echo: str, form: str) -> None:
    stub.script(ECHOES[echo](FORMS[form]))
    suite = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
    policy = f"openai:m?base_url={stub.url}&retries=0"
    report = run(Bench(policies=(policy,), suite_args=suite, episodes=1), tmp_path / "run", thumbnails=False)
    page(tmp_path / "run")
    texts = [path.read_text("utf-8", "replace") for path in (tmp_path / "run").glob("*.*")]
    assert len(texts) >= 5
    for text in (*texts, str(report)):
        assert KEY not in shown(text)


def test_no_echoed_key_is_in_a_journal_or_in_a_verdict(
    stub: Stub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    stub.script(*[{"body": body(FORMS[form])} for form in ("unicode", "slash")])
    task = Task("t", (Source.generated("synthetic", seed=1),), "What is it?", "red car")
    judge = make_judge(f"openai:m?base_url={stub.url}&retries=0")
    reason = judge(task, "a lorry", None).reason
    judge.close()  # type: ignore[attr-defined]
    asker = AskedPolicy(f"openai:m?base_url={stub.url}&retries=0", Sampling(), 1000, 1)
    with Journal(tmp_path / "replies.jsonl") as journal:
        replies = answered(asker, [Inquiry(("one",), "Who?")], ReplyLedger(journal))
    written = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    for text in (reason, caplog.text, str(replies), *written):
        assert KEY not in shown(text)
    assert "[key]" in reason
    assert "[key]" in str(replies)
