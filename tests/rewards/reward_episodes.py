"""Small trajectories for reward tests: a task, calls, and how it ended."""

from __future__ import annotations

from dataclasses import replace

from o3gym.calls import answer, crop, locate, noop
from o3gym.types import FULL, Parsed, Reply, Source, Target, Task, Trajectory, Turn, View

PICTURE = Source.generated("synthetic", seed=7)
CHOICES = ("red", "blue")


def task(kind="choice", truth="B", targets=(), **fields):
    choices = CHOICES if kind == "choice" else ()
    boxes = tuple(Target(box) for box in targets)
    return Task("t", (PICTURE,), "Which colour?", "" if kind == "box" else truth, choices, boxes, kind, **fields)


def look(box, well_formed=True):
    """A turn with a valid crop; `episode` numbers its view."""
    return Turn(Reply("crop"), Parsed(crop(box), well_formed, "let me look"))


def mistake(error="bad_box"):
    """A turn whose call was not carried out."""
    call = noop(error, "?") if error in ("parse", "void") else crop(FULL)
    return Turn(Reply("oops"), Parsed(call, error not in ("parse", "void")), error)


def episode(asked, *turns, said=None, located=None, thought="so it is B", well_formed=True, **fields):
    """An episode of `turns` that ends with the answer `said`, or with a box; unfinished if neither is given."""
    views = [View(i, i, FULL, (100, 100), (100, 100)) for i in range(len(asked.sources))]
    numbered = []
    for turn in turns:
        if not turn.error and turn.parsed.call.tool == "crop":
            box = tuple(turn.parsed.call.args["box"])
            turn = replace(turn, views=(len(views),))
            views.append(View(len(views), 0, box, (50, 50), (50, 50), parent=0))
        numbered.append(turn)
    ending = {"stop": "over_turn", "truncated": True}
    if said is not None:
        call = locate(located) if asked.kind == "box" else answer(said)
        numbered.append(Turn(Reply("final"), Parsed(call, well_formed, thought)))
        stop = "located" if asked.kind == "box" else "answered"
        ending = {"stop": stop, "terminated": True, "answer": said, "located": located}
    return Trajectory(asked, asked.sources, tuple(views), tuple(numbered), **{**ending, **fields})


def replying(trajectory, *texts):
    """The episode with these texts as the replies of its turns."""
    turns = zip(trajectory.turns, texts, strict=True)
    return replace(trajectory, turns=tuple(replace(turn, reply=Reply(text)) for turn, text in turns))


def search(box, *turns, targets=(), **fields):
    """A region search that ends with `box`, or with "not in the picture" for None."""
    said = "null" if box is None else str(list(box))
    return episode(task("box", targets=targets), *turns, said=said, located=box, **fields)


EMPTY = Trajectory(Task("empty", (), "?"), (), (), ())
