"""Thyme from its released rows to a step of its reinforcement, with code that runs in the sandbox."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from o3gym.runs.store import open_run
from o3gym.sandbox import SandboxUnavailable, open_sandbox
from o3gym.train.grpo.recipe import load_grpo
from o3gym.train.grpo.run import train_grpo
from o3gym.train.recipe import load_recipe
from o3gym.train.sft.run import train_sft
from tests.train.thyme_rows import png, row, write
from tests.train.tiny_folder import same, write_folder

QUESTION = "How many?"
CODE = "<code>\n```python\nprint(6 * 7)\n```\n</code>"
RIGHT = f"<think>Count. {CODE}<sandbox_output>42</sandbox_output>\nSo 42.</think> <answer>42</answer>"
OTHER = f"<think>Count. {CODE}<sandbox_output>42</sandbox_output>\nNo, 7.</think> <answer>7</answer>"
SMALL = ("max_pixels=0", "precision=float32", "gradient_checkpointing=false", "save_dtype=float32", "threads=1")


@pytest.fixture(scope="module", autouse=True)
def isolated() -> None:
    try:
        open_sandbox("auto").close()
    except SandboxUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows two responses to one question by heart: one heeds the output of the code, one does not."""
    folder = tmp_path_factory.mktemp("thyme")
    rows = [row(response, 1, question=QUESTION) for response in (RIGHT, OTHER)]
    (folder / "prompt.txt").write_text("Count.")  # the dialect's own prompt would make rows five times as long
    data = {"source": f"thyme:{write(folder / 'rows.parquet', *rows)}", "dialect": dialect(folder)}
    start = write_folder(folder / "start", [RIGHT, OTHER] * 3)
    settings = [f"model={start}", *SMALL, "workers=0", "freeze=[]", "batch=2", "schedule=constant", "save_steps=1000"]
    stages = [f"stages.{number}.data={json.dumps([data])}" for number in range(2)]
    stages += ["stages.0.learning_rate=1e-2", "steps=1", "stages.0.steps=18"]
    train_sft(load_recipe("thyme", [*settings, *stages]), folder / "cold")
    return folder / "cold"


def dialect(folder: Path) -> str:
    return f"thyme?prompt_file={folder / 'prompt.txt'}"


def test_a_step_of_the_recipe_runs_code_in_the_sandbox(cold: Path, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(base64.b64decode(png(32)))
    (tmp_path / "tasks.jsonl").write_text(json.dumps({"image": "a.png", "question": QUESTION, "answer": "42"}) + "\n")
    env = [f"env.suite=local:{tmp_path / 'tasks.jsonl'}", "env.split=test", "env.suite_args={}", "env.min_pixels=1024"]
    sizes = ["prompts=1", "samples=6", "steps=1", "save_steps=1", "watch=1", "max_tokens=48", "context=1000"]
    recipe = load_grpo(
        "thyme", [f"model={cold}", f"dialect={dialect(cold.parent)}", *SMALL, *env, *sizes, "learning_rate=1e-3"]
    )
    train_grpo(recipe, tmp_path / "rl")
    episodes = list(open_run(tmp_path / "rl" / "rollouts" / "000000-0"))
    assert {episode.stop for episode in episodes} == {"answered"}
    spoken = {"".join(turn.reply.text for turn in episode.turns) for episode in episodes}
    assert spoken == {text.replace("<sandbox_output>42</sandbox_output>", "") for text in (RIGHT, OTHER)}
    assert {episode.turns[0].feedback for episode in episodes} == {"42"}  # which the model did not write
    rewards = {episode.answer: episode.reward for episode in episodes}
    assert rewards == {"42": 2.0, "7": 0.5}  # right, in the format and consistent; wrong, in the format
    code = [turn.reply for episode in episodes for turn in episode.turns if turn.parsed.call.tool == "code"]
    assert len(code) == 6
    assert all(reply.code for reply in code)  # sampled at the temperature of code
    assert not same(cold, tmp_path / "rl")
