"""Pages in headless Chromium, without a driver: dump what a page became, or run a script beside it in a frame."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

Test = TypeVar("Test", bound=Callable[..., None])

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--allow-file-access-from-files",  # so that a driver page may look into its frame
    "--enable-logging=stderr",
    "--virtual-time-budget=6000",
    "--window-size=1280,900",
)


def in_browser(test: Test) -> Test:
    """Mark a test that needs Chromium."""
    skip = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH (apt-get install chromium)")
    marked: Test = pytest.mark.browser(skip(test))
    return marked


def dump(address: str) -> str:
    """The page's DOM after its scripts ran. A message on the console fails the test."""
    with tempfile.TemporaryDirectory() as profile:
        command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "--dump-dom", address]
        done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    assert said == []
    return done.stdout.decode(errors="replace")


DRIVER = """<!doctype html><body><iframe width="WIDTH" height="800" src="ADDRESS"></iframe><pre id="result"></pre>
<script>
const frame = document.querySelector("iframe");
const pause = (ms) => new Promise((done) => setTimeout(done, ms || 60));
frame.addEventListener("load", async () => {
  const w = frame.contentWindow, d = w.document;
  const $ = (css) => d.querySelector(css), all = (css) => [...d.querySelectorAll(css)];
  const shown = (element) => !!element && element.getClientRects().length > 0;
  const go = async (hash) => { w.location.hash = hash; await pause(120); };
  const press = async (key) => {
    d.body.dispatchEvent(new w.KeyboardEvent("keydown", { key, bubbles: true }));
    await pause();
  };
  await pause(120);
  document.getElementById("result").textContent = JSON.stringify(await (async () => { SCRIPT })());
}, { once: true });
</script>"""


def drive(page: Path, script: str, *, width: int = 1280, hash: str = "") -> Any:
    """What `script`, the body of an async function run beside the page in a frame of `width` pixels, returns."""
    driver = page.with_name("driver.html")
    text = DRIVER.replace("WIDTH", str(width)).replace("ADDRESS", page.name + hash).replace("SCRIPT", script)
    driver.write_text(text, encoding="utf-8")
    dom = dump(driver.as_uri())
    found = re.search(r'<pre id="result">(.+?)</pre>', dom, re.DOTALL)
    assert found is not None, "the script did not end"
    return json.loads(html.unescape(found[1]))
