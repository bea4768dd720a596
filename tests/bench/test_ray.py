"""A run on a local cluster of several processes, against the same run in one: `make test-ray`."""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from o3gym.bench.definition import Bench
from o3gym.bench.run import run
from o3gym.cli.main import main
from o3gym.runs.store import RunError, open_run

SUITE = {"family": "attribute", "difficulty": "easy", "pixels": 160_000}
ENV = {"min_pixels": 1000, "max_pixels": 40_000}
PLUGIN = """
import os, signal
from pathlib import Path
from o3gym.policies.scripted import Oracle

class Mortal(Oracle):
    '''Kills its process where a file is there, and removes it first unless it is to die every time.'''

    def __init__(self, argument: str = "", again: bool = False, raises: bool = False) -> None:
        super().__init__()
        if raises:
            raise OSError("no such model")
        self._file, self._again = Path(argument), again

    def choose(self, privileged, rng):
        if self._file.exists():
            if not self._again:
                self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().choose(privileged, rng)
"""


def test_without_ray_the_error_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["bench", "--ray", "--episodes", "1", "--out", str(tmp_path / "run")]) == 2
    assert 'pip install "o3gym[ray]"' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_options_of_a_cluster_need_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--workers", "3", "--out", str(tmp_path / "run")]) == 2
    assert "add --ray" in capsys.readouterr().err


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Two processors for workers, which find a plug-in by its entry point. The token keeps Ray out of the home."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "mortal.py").write_text(PLUGIN)
    about = folder / "mortal-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mortal\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[o3gym.policies]\nmortal = mortal:Mortal\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(16))
        patch.syspath_prepend(folder)
        ray = pytest.importorskip("ray")
        paths = [str(folder), str(Path(__file__).parents[2])]
        runtime = {"env_vars": {"PYTHONPATH": ":".join(paths)}}
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env=runtime)
        yield ray
        ray.shutdown()


def on_ray(bench: Bench, out: Path, **options: Any) -> None:
    from o3gym.bench.ray import RayWorkers

    run(bench, out, workers=partial(RayWorkers, **options))


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in ("report.json", "report.md"))


def small(*policies: str, **more: Any) -> Bench:
    return Bench(policies=policies, suite_args=SUITE, env=ENV, **{"episodes": 6, "k": 2, **more})


@pytest.mark.ray
def test_the_report_is_that_of_one_process_and_a_partial_run_goes_on(cluster: Any, tmp_path: Path) -> None:
    bench, whole, begun = small("oracle", "random"), tmp_path / "whole", tmp_path / "begun"
    run(bench, whole)
    on_ray(bench, begun)
    assert same(whole, begun)
    lines = (begun / "episodes.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 24
    (begun / "episodes.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:50])
    (begun / "report.json").unlink()
    on_ray(bench, begun, count=3)  # one more than there is room for
    assert same(whole, begun)
    assert (begun / "episodes.jsonl").read_bytes().startswith(b"".join(lines[:7]))


@pytest.mark.ray
def test_the_block_of_a_killed_worker_is_run_again(cluster: Any, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    bench = small(f"mortal:{marker}", "random")
    on_ray(bench, tmp_path / "ray")
    assert not marker.exists()
    run(bench, tmp_path / "here")
    assert same(tmp_path / "here", tmp_path / "ray")


@pytest.mark.ray
def test_a_block_that_kills_every_worker_is_named_and_the_others_are_stored(cluster: Any, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    marker.touch()
    bench = small("random", f"mortal:{marker}?again=true", episodes=1, k=1)
    with pytest.raises(RunError, match=r"the block of mortal:.* from .*: its worker died 3 times \(.*others? .*stored"):
        on_ray(bench, tmp_path / "ray", count=1)
    assert [episode.arm for episode in open_run(tmp_path / "ray")] == ["random"]


@pytest.mark.ray
def test_a_policy_that_cannot_be_opened_is_an_error_before_the_run(cluster: Any, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="the start of a worker failed: OSError: no such model"):
        on_ray(small("mortal?raises=true"), tmp_path / "ray")
    assert not (tmp_path / "ray").exists()


@pytest.mark.ray
def test_a_worker_with_other_data_or_packages_is_refused(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("o3gym.bench.definition.version", lambda name: "0.0.1")
    with pytest.raises(RunError, match=r"(?s)would run a different protocol:.*packages.gymnasium: \"0.0.1\", here"):
        on_ray(small("oracle"), tmp_path / "ray")


@pytest.mark.ray
def test_a_command_that_was_stopped_goes_on_without_a_cluster(cluster: Any, tmp_path: Path) -> None:
    command = ["bench", "--suite", "synthetic?family=attribute&difficulty=easy&pixels=160000", "--episodes", "150"]
    command += ["--env", "min_pixels=1000", "--env", "max_pixels=40000", "--no-view", "--out"]
    stored = tmp_path / "ray" / "episodes.jsonl"
    here = [sys.executable, "-m", "o3gym", *command, str(tmp_path / "ray"), "--ray", "--workers", "1"]
    with subprocess.Popen(here, start_new_session=True, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (stored.exists() and b"\n" in stored.read_bytes()):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        said = process.communicate()[1]
    assert process.returncode == 130, said
    assert "To resume" in said
    assert 0 < len(open_run(tmp_path / "ray").done()) < 150
    assert main([*command, str(tmp_path / "ray")]) == 0
    assert main([*command, str(tmp_path / "here")]) == 0
    assert same(tmp_path / "ray", tmp_path / "here")


def test_a_worker_returns_the_thumbnails_of_its_block() -> None:
    from o3gym.bench.ray import Worker
    from o3gym.bench.workers import JobBlock

    bench = small("oracle", episodes=2, k=1)
    worker = Worker(bench, {}, 4)
    block = JobBlock(bench.arms()[0], bench.jobs(), True)
    episodes, made = worker.run(block, True)
    assert len(made) == len({(t.group, view.index) for t in episodes for view in t.views}) > 2
    assert all(name.endswith(".jpg") and data.startswith(b"\xff\xd8") for name, data in made.items())
    assert worker.run(block, False)[1] == {}
    worker.close()
