"""The entry points, exit codes, usage errors and error messages of the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.table import Table

import o3gym
from o3gym.cli import console
from o3gym.cli.main import build_parser, main
from o3gym.runs.store import RunError


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert not stopped.value.code
    assert capsys.readouterr().out == f"o3gym {o3gym.__version__}\n"


def test_the_package_is_a_program() -> None:
    done = subprocess.run([sys.executable, "-m", "o3gym", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"o3gym {o3gym.__version__}\n"
    assert done.stderr == ""


def test_the_exit_code_of_the_program_is_that_of_main() -> None:
    done = subprocess.run([sys.executable, "-m", "o3gym", "view", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "no run at nowhere" in done.stderr


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "trl", "datasets", "PIL", "pyarrow", "aiohttp", "ray", "vllm", "o3gym.bench")
    code = f"import sys, o3gym.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    ["list", "bench", "compare", "export", "view", "check", "train sft", "train grpo", "train export"]
    + [f"synth {kind}" for kind in ("collage", "select", "regions", "questions")],
)
def test_every_command_has_a_help_page(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), "--help"])
    assert not stopped.value.code
    assert f"usage: o3gym {command} " in capsys.readouterr().out


@pytest.mark.parametrize("command", ["bench", "synth select", "synth questions"])
def test_commands_that_judge_answers_take_a_server_and_a_judge(command: str) -> None:
    needed = {"synth select": ["--out", "f"], "synth questions": ["--out", "f"]}.get(command, [])
    given = ["--base-url", "http://127.0.0.1:8000/v1", "--judge", "openai:m"]
    args = build_parser().parse_args([*command.split(), *needed, *given])
    assert (args.base_url, args.judge) == ("http://127.0.0.1:8000/v1", "openai:m")


def test_ctrl_c_tells_how_to_resume(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("o3gym.bench.run.page", interrupt)
    assert main(["view", "anywhere"]) == 130
    assert "run the same command with the same --out" in capsys.readouterr().err


def test_a_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("O3GYM_TRACEBACK", "1")
    with pytest.raises(RunError, match="no run at nowhere"):
        main(["view", "nowhere"])


def test_text_is_printed_literally(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = f"{'long ' * 40}[red]not markup[/red] :smile: {tmp_path}"
    console.say(text)
    console.say(text, console.err)
    assert capsys.readouterr() == (f"{text}\n", f"{text}\n")


def test_names_are_drawn_literally() -> None:
    name = "local:flags:q.jsonl [red]x[/red]"
    with console.err.capture() as drawn, console.named_progress() as update:
        update(name, 1, 2)
    assert name in drawn.get()
    table = Table(title="of :flags:", title_justify="left")
    table.add_column("[red]arm[/red]")
    table.add_row("local:flags:q")
    with console.out.capture() as capture:
        console.out.print(table, "a :smile:")
    assert all(text in capture.get() for text in ("of :flags:", "[red]arm[/red]", "local:flags:q", "a :smile:"))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["bench", "--suite", "synthetics"], ['unknown suite "synthetics"', 'did you mean "synthetic"']),
        (["bench", "--policy", "orcale"], ['did you mean "oracle"']),
        (["bench", "--policy", "oracle", "--policy", "swep"], ['did you mean "sweep"']),
        (["bench", "--policy", "two_agent(reasoner=orcale, searcher=oracle)"], ['did you mean "oracle"']),
        (["bench", "--policy", "two_agent(reasoner=oracle, searcher=swep)"], ['did you mean "sweep"']),
        (["bench", "--policy", "two_agent(reasoner=oracle, searcher=oracle"], ["closing bracket"]),
        (["bench", "--policy", "two_agent(reasoner=oracle, sercher=oracle)"], ["needs a searcher"]),
        (["bench", "--policy", "two_agent(reasoner=oracle, searcher=oracle+blank)"], ['unknown control "blank"']),
        (["bench", "--policy", "two_agnet(reasoner=oracle, searcher=oracle)"], ['did you mean "two_agent"']),
        (["bench", "--policy", "oracle+blank"], ['unknown control "blank"', "blank_crop"]),
        (["bench", "--dialect", "mini-o3"], ['did you mean "mini_o3"']),
        (["bench", "--reward", "minio3"], ['did you mean "mini_o3"']),
        (["bench", "--judge", "numerical"], ['did you mean "numeric"']),
        (["bench", "--split", "tests"], ['no split "tests"', 'did you mean "test"']),
        (["bench", "--suite", "synthetic?famly=hidden"], ['no option "famly"', 'did you mean "family"']),
        (["bench", "--suite", "synthetic?family=hiden"], ['did you mean "hidden"']),
        (["bench", "--env", "max_pixel=3"], ['did you mean "max_pixels"']),
        (["bench", "--env", "size_rule=deep_eyes"], ['did you mean "deepeyes"']),
        (["bench", "--env", "focus=crops"], ['did you mean "crop"']),
        (["bench", "--env", "max_pixels=big"], ["max_pixels", "whole number", "'big'"]),
        (["bench", "--sweep", "focuss=crop,draw"], ['did you mean "focus"']),
        (["bench", "--suite", "local:nowhere.jsonl"], ["nowhere.jsonl"]),
        (["bench", "--prompt", "nowhere.txt"], ["nowhere.txt"]),
        (["bench", "--dialect", "insight_o3", "--suite", "synthetic?family=text"], ["cannot express answer"]),
        (["view", "nowhere"], ["no run at nowhere", "run.json"]),
        (["check", "tols:crop"], ['unknown kind "tols"', 'did you mean "tool"']),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(command, words, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert "Traceback" not in said
    assert not list(tmp_path.rglob("episodes.jsonl")), "a run folder was begun for a run that cannot be"


NUMBERS = {
    "bench": {
        **{"--turns": "0 1 x -3", "-k": "0 -1 x", "--episodes": "-1 x 1.5", "--seed": "-1 x"},
        **{"--in-flight": "0 -1", "--temperature": "-1 x nan", "--max-tokens": "0 -1", "--workers": "0"},
        **{"--worker-gpus": "-1 nan", "--shard": "1 a/b"},
    },
    "synth collage": {"--count": "0 -1 x"},
    "synth select": {
        **{"--k": "0", "--episodes": "-1", "--in-flight": "0", "--temperature": "-1", "--seed": "-1"},
        **{"--min-side": "-1", "--max-side": "x", "--passes": "oracle oracle=x =1 oracle=1..x"},
    },
    "synth regions": {
        **{"--count": "-1", "--max-pixels": "0", "--temperature": "-1", "--max-tokens": "0"},
        **{"--seed": "-1", "--in-flight": "0"},
    },
    "synth questions": {
        **{"--solved": "-1", "--count": "0", "--min-layouts": "0", "--max-pixels": "0", "--temperature": "-1"},
        **{"--max-tokens": "0", "--seed": "-1", "--in-flight": "0"},
    },
}


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [(c, option, v) for c, options in NUMBERS.items() for option, vs in options.items() for v in vs.split()],
)
def test_bad_numbers_are_usage_errors(
    command: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*command.split(), option, value])
    assert stopped.value.code == 2
    assert re.search(rf"argument {option}: expected .*{re.escape(value)}", capsys.readouterr().err)


@pytest.mark.parametrize(
    "command",
    [
        *("bench --episode 3", "bench --pol oracle", "view r --emb", "list --env", "check --he"),
        *("train grpo tiny --dry", "synth collage --cou 3", "compare a b --forc", "export r --to x --ou y"),
    ],
)
def test_options_are_not_abbreviated(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(command.split())
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert "unrecognized arguments" in said or "required" in said
