"""Performs exemplars in the real environment, in the arm and dialect of the episodes that they precede."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from o3gym.bench.exemplars.reading import Exemplar, ExemplarError
from o3gym.dialects.base import Dialect
from o3gym.geometry import compose, iou
from o3gym.policies.dialogue import Message
from o3gym.rewards.settle import settle
from o3gym.rollout.performing import Act, Script, perform
from o3gym.rollout.records import Arm
from o3gym.types import FULL, Call, Size, Trajectory

_REWARD = "outcome"
"""The reward by which exemplars are settled; only their verdict counts."""
SAME_BOX = 0.8
"""Smallest IoU of an exemplar's box with the box that the dialect reads from its reply. A dialect that rounds more, as
a coarse grid does, would show something else than the thoughts speak of."""


def stage_exemplars(
    exemplars: Sequence[Exemplar],
    arm: Arm,
    dialect: Dialect,
    vision_size: Callable[[int, int], Size] | None = None,
) -> tuple[Message, ...]:
    """Performs exemplars and returns their dialogues one after the other, without system prompts.

    In a dialect whose calls work on the first picture only, a crop of an earlier view becomes the crop of the same
    region of the first picture.

    Args:
        exemplars: the exemplars.
        arm: the arm of the episodes that follow: environment and sampling.
        dialect: their dialect.
        vision_size: `Policy.vision_size` of their policy.

    Raises:
        ExemplarError: an exemplar cannot be performed in this arm and dialect, does not end right, or a call of it is
            refused that the exemplar does not mark as refused. A control, which changes what calls show, is an error
            as well: the thoughts would speak of something else.
    """
    if exemplars and (control := arm.env.get("control")):
        raise ExemplarError(
            f"exemplars: {arm.label} runs under the control {control}, for which no exemplar is written"
        )
    return tuple(message for exemplar in exemplars for message in _dialogue(exemplar, arm, dialect, vision_size)[1:])


def _dialogue(
    exemplar: Exemplar, arm: Arm, dialect: Dialect, vision_size: Callable[[int, int], Size] | None
) -> tuple[Message, ...]:
    problems = []
    for acts in filter(None, (exemplar.acts, _on_first_view(exemplar))):
        dialogues: dict[tuple[str, int], tuple[Message, ...]] = {}
        script = Script(exemplar.task, acts, exemplar.where)
        performed = perform([script], _own_arm(exemplar, arm), dialect, 1, vision_size, dialogues)
        (trajectory,) = settle([list(performed)], _REWARD)[0]
        problem = _problem(exemplar, acts, trajectory)
        if not problem:
            return dialogues[script.group, script.sample]
        problems.append(problem)
    raise ExemplarError(f"{problems[0]} (dialect {dialect.name})")


def _own_arm(exemplar: Exemplar, arm: Arm) -> Arm:
    """The arm with the exemplar's own pixel budget. Nothing leaves an exemplar's dialogue, and no answer is forced."""
    low, high = exemplar.pixels or (None, None)
    budget = {} if exemplar.pixels is None else {"min_pixels": low, "max_pixels": high}
    return replace(arm, env={**arm.env, **budget, "reward": _REWARD}, window=None, force_answer=False)


def _on_first_view(exemplar: Exemplar) -> tuple[Act, ...]:
    """The acts with every crop as a crop of the first picture; empty if some act is no crop of a single picture."""
    regions, acts = [FULL], list[Act]()
    for at, act in enumerate(exemplar.acts):
        call = act.call
        if call.tool == "crop" and call.args["view"] < len(regions) and at not in exemplar.refused:
            region = compose(regions[call.args["view"]], call.args["box"])
            call = Call("crop", {"view": 0, "box": list(region)})
            regions.append(region)
        elif call.tool != "answer":
            return ()
        acts.append(act._replace(call=call))
    return tuple(acts) if len(exemplar.task.sources) == 1 else ()


def _problem(exemplar: Exemplar, acts: Sequence[Act], trajectory: Trajectory) -> str:
    """What is wrong with a performance, or ""."""
    played = [turn for turn in trajectory.turns if turn.reply.finish != "error"]
    for at, (act, turn) in enumerate(zip(acts, played, strict=False)):
        where = f"{exemplar.where}, act {at + 1}"
        if turn.error and at not in exemplar.refused:
            return f"{where}: the call is refused ({turn.error}: {turn.feedback:.200})"
        if not turn.error and at in exemplar.refused:
            return f"{where}: the call is carried out, although the act is marked as refused"
        if not _alike(act.call, turn.parsed.call):
            return f"{where}: the dialect writes {act.call} as {turn.parsed.call}"
    if trajectory.stop == "error":
        return f"{exemplar.where}, act {len(trajectory.turns)}: {trajectory.turns[-1].reply.error}"
    if len(trajectory.turns) < len(acts):
        left = len(acts) - len(trajectory.turns)
        return f"{exemplar.where}: the episode ends ({trajectory.stop}) before the last {left} of {len(acts)} acts"
    if trajectory.verdict != "correct":
        return f'{exemplar.where}: it does not end right (stop "{trajectory.stop}", answer "{trajectory.answer:.80}")'
    return ""


def _alike(meant: Call, read: Call) -> bool:
    if "box" not in meant.args or meant.args["box"] is None:
        return meant.tool == read.tool
    box = read.args.get("box")
    return meant.tool == read.tool and box is not None and iou(meant.args["box"], box) >= SAME_BOX
