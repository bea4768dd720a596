"""Checks a built wheel: `make wheel` runs it with a Python that has nothing but the wheel and what that needs."""

from __future__ import annotations

import re
import tempfile
from contextlib import chdir
from pathlib import Path

import o3gym
from o3gym.train.recipe import names

ROOT = Path(o3gym.__file__).parent
README = Path(__file__).parents[1] / "README.md"

assert "site-packages" in ROOT.parts, f"not the wheel: {ROOT}"
for name in (
    "py.typed",
    "runs/viewer/viewer.html",
    "policies/tiny/weights/model.safetensors",
    "policies/tiny/weights_film/model.safetensors",
    "policies/tiny/weights_coder/model.safetensors",
):
    assert (ROOT / name).is_file(), f"the wheel lacks {name}"
assert "mini_o3" in names(), "the wheel lacks the recipes"
found = re.search(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
assert found, "README has no Python block"
with tempfile.TemporaryDirectory() as folder, chdir(folder):
    exec(compile(found[1], "README.md", "exec"), {})
    assert Path("search.png").is_file(), "README's first lines saved no picture"
print("the wheel is complete")
