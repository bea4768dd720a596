"""Small pictures of random structure, a jsonl suite made of them, environments on it, and a scripted server."""

from __future__ import annotations

import gc
import io
import json
import ssl
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
from PIL import Image

from o3gym.envs import VisualSearchEnv
from o3gym.media.images import ImageStore
from o3gym.media.pixels import Pixels
from o3gym.registry import Registry
from o3gym.types import Source

if TYPE_CHECKING:
    from tests.policies.openai.openai_stub import Stub

hypothesis.settings.register_profile("o3gym", deadline=None, database=None, derandomize=True, max_examples=150)
hypothesis.settings.load_profile("o3gym")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Hides the imported modules from the garbage collector.

    torch and transformers make a million objects, which live until the end. Each collection would visit them all, which
    takes half a second; importing them would trigger many, and 200 tests collect garbage to find open connections.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


NOT_RUN = {
    "browser": "of the viewer in a browser. They need Chromium, which pip cannot install: .ci/run installs it.",
    "ray": "on a Ray cluster, which download 80 MB: make test-ray.",
    "harness": "with the harnesses that read exported runs, which install 600 MB: make test-harness.",
    "layout": "with the layout detector RapidLayout, which install 280 MB: make test-layout.",
    "vllm": "of the vllm policies with vLLM itself, which install 3.5 GB: make test-vllm.",
}
"""The marks of the tests that `make test` does not run, and what is printed about them."""
LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Counts the tests by mark in a worker of xdist; the numbers go to the main process."""
    if items and hasattr(config := items[0].config, "workeroutput"):
        marks = Counter(mark for item in items for mark in NOT_RUN if item.get_closest_marker(mark))
        config.workeroutput["left_out"] = dict(marks)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Receives the numbers; each worker collects all tests and sends the same."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", {})


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for mark, number in config.stash.get(LEFT_OUT, {}).items():
        terminalreporter.write_line(f"Not run ({number}): tests {NOT_RUN[mark]}")


PHOTOS = {"street.png": (240, 160), "shelf.png": (150, 300), "map.png": (200, 200)}
ROWS: list[dict[str, Any]] = [
    {"image": "street.png", "question": "Which colour?", "options": "A. red\nB. blue", "answer": "B",
     "boxes": [[24, 16, 48, 32], {"box": [120, 80, 144, 120], "label": "door"}], "subset": "colour"},
    {"image": "shelf.png", "question": "What does the label say?", "answer": "flour", "boxes": [[30, 200, 60, 215]]},
    {"image": "map.png", "question": "Where is the well?", "boxes": [[50, 100, 100, 150]]},
    {"images": ["street.png", "shelf.png"], "question": "Which is wider?", "options": ["first", "second"],
     "answer": "A", "boxes": [{"box": [0, 0, 75, 30], "image": 1}], "question_id": "pair"},
]  # fmt: skip
CHOICE, FREE, BOX, PAIR = range(4)
KEY = "sk-test-5Jd8wQ2xVbK1"
"""The key that clients of `stub` send."""


def noise(width: int, height: int, seed: int = 0) -> Pixels:
    """Coarse and fine noise: no two regions look alike, and every pixel differs from its neighbours."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height))
    fine = rng.integers(0, 64, (height, width, 3), dtype=np.uint8)
    return np.array(coarse) // 4 * 3 + fine


@pytest.fixture(scope="session")
def make_pixels() -> Callable[..., Pixels]:
    return noise


@pytest.fixture(scope="session")
def make_source() -> Callable[..., Source]:
    """A losslessly stored picture in memory."""

    def make(width: int, height: int, seed: int = 0) -> Source:
        file = io.BytesIO()
        Image.fromarray(noise(width, height, seed)).save(file, "PNG")
        return Source.of_bytes(file.getvalue())

    return make


@pytest.fixture
def store() -> ImageStore:
    return ImageStore()


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three pictures and `index.jsonl`: a choice, a free, a box and a two-picture row."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, (name, size) in enumerate(PHOTOS.items()):
        Image.fromarray(noise(*size, seed)).save(folder / name)
    (folder / "index.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS), "utf-8")
    return folder


@pytest.fixture(scope="session")
def local(photos: Path) -> str:
    """The spec of that suite."""
    return f"local:{photos / 'index.jsonl'}"


@pytest.fixture
def make_env(local: str) -> Iterator[Callable[..., VisualSearchEnv]]:
    """Environments on that suite with a budget that shrinks its pictures; closed after the test."""
    envs = []

    def make(**arguments: Any) -> VisualSearchEnv:
        env = VisualSearchEnv(**{"suite": local, "min_pixels": 100, "max_pixels": 10_000, **arguments})
        envs.append(env)
        return env

    yield make
    for env in envs:
        env.close()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A file with one of the certificates that the machine trusts; None if it reads them one by one when needed.

    Each of the hundreds of clients would read all of them otherwise, which takes longer than most tests. The stub is
    served without TLS.
    """
    known = ssl.create_default_context().get_ca_certs(binary_form=True)
    if not known:
        return None
    file = tmp_path_factory.mktemp("authority") / "one.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(known[0]))
    return file


@pytest.fixture(scope="module")
def server(authority: Path | None) -> Iterator[Stub]:
    """A process that serves the chat completions API and answers by a script."""
    from tests.policies.openai.openai_stub import Stub

    with pytest.MonkeyPatch.context() as patch, Stub() as stub:
        if authority is not None:
            patch.setenv("SSL_CERT_FILE", str(authority))
        yield stub


@pytest.fixture
def stub(server: Stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stub:
    """That server, which answers "correct", a key, an empty cache of verdicts, and hardly a wait between tries."""
    from tests.policies.openai.openai_stub import completion

    server.script({"body": completion("correct")})
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("O3GYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("o3gym.policies.openai.policy.FIRST_WAIT", 0.002)
    return server


@pytest.fixture
def register() -> Iterator[Callable[[Registry, str, Any], str]]:
    """Registers something for the time of a test."""
    added: list[tuple[Registry, str]] = []

    def add(registry: Registry, name: str, target: Any) -> str:
        registry.register(name, target)
        added.append((registry, name))
        return name

    yield add
    for registry, name in added:
        registry._paths.pop(name)
        registry._loaded.pop(name, None)
