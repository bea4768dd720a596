"""Small, consistent, fake episodes: pictures drawn here, calls and views that belong together, seeded outcomes."""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw

from o3gym import geometry
from o3gym.calls import answer, crop, locate, noop
from o3gym.runs.store import RunStore
from o3gym.sampling import Sampling
from o3gym.types import Box, Call, Parsed, Reply, Source, Target, Task, Trajectory, Turn, Usage, View

SIZE = (960, 640)
COLOURS = ("#c8553d", "#588b8b", "#f28f3b", "#2d3047", "#8a6fb0")
HOSTILE_TEXT = (
    "<img src=x onerror=\"document.title='owned'\"></script><script>document.title='owned'</script><!-- \ud800 \u2028"
)


@cache
def picture(seed: int) -> Source:
    rng = random.Random(seed)
    image = Image.new("RGB", SIZE, "#e9e4d8")
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, r = rng.randrange(SIZE[0]), rng.randrange(SIZE[1]), rng.randrange(8, 46)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=rng.choice(COLOURS))
    file = io.BytesIO()
    image.save(file, "PNG")
    return Source.of_bytes(file.getvalue())


def task(number: int, kind: str = "choice") -> Task:
    rng = random.Random(number)
    target = geometry.around((rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)), 0.08, 0.1)
    family = ("hidden", "relation", "count")[number % 3]
    shared = {
        "id": f"{kind}-{number:04d}",
        "sources": (picture(number % 7),),
        "targets": (Target(target, label="dot"),),
        "tags": {"family": family, "difficulty": "easy"},
        "origin": {"suite": "sample", "index": number},
    }
    if kind == "box":
        return Task(question="Find the small red dot at the edge of the group.", kind="box", **shared)
    choices = ("red", "green", "orange", "blue")
    question = f"What colour is the smallest dot near number {number}?"
    return Task(question=question, answer="ABCD"[number % 4], choices=choices, kind="choice", **shared)


def look(index: int, box: Box, parent: int = 0, source: int = 0) -> View:
    x0, y0, x1, y1 = geometry.snap(box, SIZE)
    native = (x1 - x0, y1 - y0)
    return View(index, source, box, native, geometry.fit(native, 28 * 28, 512 * 512), parent)


def turn(call: Call, thought: str, views: tuple[int, ...] = (), **fields: object) -> Turn:
    text = f"<think>{thought}</think><call>{call.tool} {call.args}</call>"
    usage = Usage(prompt_tokens=900, completion_tokens=40 + len(thought) // 4, cost=0.002)
    parsed = Parsed(call, well_formed=not fields.get("error"), thought=thought)
    return Turn(Reply(text, usage=usage), parsed, views=views, **fields)  # type: ignore[arg-type]


def episode(
    number: int = 0,
    *,
    arm: str = "oracle",
    sample: int = 0,
    kind: str = "choice",
    verdict: str = "correct",
    turns: int = 3,
    stop: str = "answered",
    thought: str = "",
    child: bool = False,
) -> Trajectory:
    """One episode of `turns` turns: crops around the target, one bad box when there is room for it, then the end."""
    this = task(number, kind)
    right = verdict == "correct"
    views, steps = [View(0, 0, (0.0, 0.0, 1.0, 1.0), SIZE, SIZE)], []
    box = geometry.pad(this.targets[0].box, 6)
    for at in range(turns - (stop == "answered")):
        if at == 1 and turns > 3:
            bad = crop((0.6, 0.6, 0.2, 0.9))
            steps.append(turn(bad, "A look to the left.", error="bad_box", feedback="The box is empty: x0 >= x1."))
            continue
        index = len(views)
        views.append(look(index, box if right else (0.0, 0.0, 0.2, 0.2)))
        words = thought or f"The dot is somewhere near the middle; closer look number {at + 1} will tell me more."
        feedback = f"View {index} is {views[-1].shown[0]} by {views[-1].shown[1]} pixels."
        call = crop(views[-1].box, view=0)
        steps.append(turn(call, words, (index,), feedback=feedback, terms={"step": -0.01}, children=(0,) * child))
        box = geometry.pad(box, 0.5)
    located = None
    if stop == "answered":
        located = (this.targets[0].box if right else (0.0, 0.0, 0.1, 0.1)) if kind == "box" else None
        text = this.answer if right else "ABCD"[(number + 1) % 4]
        steps.append(turn(locate(located) if kind == "box" else answer(text), "Now I am sure.", terms={"outcome": 1.0}))
    elif stop == "void":
        steps[-1] = turn(noop("void", "neither call nor answer"), "Hm.", error="void")
    score = 1.0 if right else 0.0
    return Trajectory(
        task=this,
        sources=this.sources,
        views=tuple(views),
        turns=tuple(steps),
        arm=arm,
        group=this.id,
        sample=sample,
        env={"suite": "sample", "max_turns": 6},
        policy=arm.split(" · ")[0],
        dialect="mini_o3",
        sampling=Sampling(temperature=0.7),
        seed=number,
        terminated=stop == "answered",
        truncated=stop != "answered",
        stop="located" if stop == "answered" and kind == "box" else stop,  # type: ignore[arg-type]
        answer=("" if stop != "answered" else str(list(located)) if located else text),
        located=located,
        verdict=verdict,  # type: ignore[arg-type]
        score=None if verdict == "failed" else score,
        terms={"outcome": score},
        reward=None if verdict == "failed" else score,
        children=(episode(number, arm=arm, verdict=verdict, turns=2),) if child else (),
    )


ARMS = ("oracle", "random · max_turns=2", "random · max_turns=6")


def run(tasks: int = 12, arms: Sequence[str] = ARMS, k: int = 1) -> list[Trajectory]:
    """A run: the first arm is mostly right, the others less and less; every fifth task is a region search."""
    rng = random.Random(0)
    out = []
    for place, arm in enumerate(arms):
        for number in range(tasks):
            for sample in range(k):
                right = rng.random() < 0.9 - 0.25 * place
                stop = "answered" if right else rng.choice(("answered", "over_turn", "void"))
                verdict = "correct" if right else "failed" if rng.random() < 0.1 else "wrong"
                kind = "box" if number % 5 == 4 else "choice"
                shape = {"kind": kind, "verdict": verdict, "turns": 2 + (number + place) % 4, "stop": stop}
                out.append(episode(number, arm=arm, sample=sample, child=number == 3, **shape))  # type: ignore[arg-type]
    return out


PROTOCOL = {
    "suite": "sample",
    "split": "test",
    "seed": 0,
    "k": 1,
    "arms": {arm: {"policy": arm.split(" · ")[0], "dialect": "mini_o3"} for arm in ARMS},
    "sampling": {"temperature": 0.7, "top_p": 1.0, "max_tokens": 1024},
    "packages": {"o3gym": "0.1.0", "numpy": "2.3.0", "pillow": "12.0.0"},
}


HOSTILE = episode(3, arm="</script><b>arm", turns=5, thought=HOSTILE_TEXT, child=True)


def stored(folder: Path, episodes: Iterable[Trajectory]) -> Path:
    """The run's folder, with these episodes added."""
    with RunStore(folder, PROTOCOL) as store:
        for one in episodes:
            store.append(one)
    return folder


def block(page: Path, name: str) -> str:
    """The text of one of a viewer page's data blocks."""
    found = re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1]
