"""Inserts mistakes and their corrections into right episodes, as demonstrations of self-correction.

Pixel Reasoner's warm start has such traces: a look at a wrong place or time, words that say so, then the right look.
Its loss is on the last two turns alone, so that the mistake is seen and not learnt (`last_turns = 2` of the recipes
`pixel_reasoner` and `pixel_reasoner_video`). A teacher wrote the traces there; its prompts were not released, so the
rules, words and prompts here are ours.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from o3gym.append_log import write_whole
from o3gym.dialects.base import make_dialect
from o3gym.rewards.settle import settle
from o3gym.rollout.performing import Script, arm_of, perform
from o3gym.runs.store import Run, open_run
from o3gym.synthesis.asking import AskedPolicy, Inquiry, Name, ReplyLedger, Shown, answered
from o3gym.synthesis.journal import Journal
from o3gym.synthesis.traces.asking_price import asking_price
from o3gym.synthesis.traces.editing import EditError, off_course
from o3gym.synthesis.traces.mistake_drafts import MistakeDraft, MistakeRecipe, plan_mistakes
from o3gym.synthesis.traces.pricing import Price
from o3gym.synthesis.traces.sieve import Sieve, sift
from o3gym.synthesis.traces.teacher_words import MISTAKE_WORDS, UnusableWordsError, correction_inquiry, read_words
from o3gym.synthesis.traces.writing import REPORT, DataSet, check_folders
from o3gym.synthesis.traces.wrong_looks import was_wrong
from o3gym.types import EpisodeKey, Trajectory

CORRECTIONS = "corrections.jsonl"
"""File of the teacher's replies."""
WORDS_TOKENS = 120
"""Expected number of tokens of a teacher's reply (ours): two texts of one or two sentences, and their braces."""
Progress = Callable[[int, int], None]
"""Called with the numbers of finished and of all requests."""


@dataclass
class MistakeTally:
    """Counts of what became of the episodes and of the teacher's replies.

    Attributes:
        played: number of episodes of the run.
        kept: number of episodes that are kept.
        rejected: numbers of episodes that are not, by reason.
        mistakes: numbers of mistakes in the kept episodes, by kind.
        asked: number of requests to the teacher, answered ones of an earlier start included.
        unusable: numbers of its replies that are not used, by reason.
    """

    played: int = 0
    kept: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    mistakes: Counter[str] = field(default_factory=Counter)
    asked: int = 0
    unusable: Counter[str] = field(default_factory=Counter)

    def report(self) -> dict[str, Any]:
        """Returns the counts as JSON values."""
        teacher = {"asked": self.asked, "unusable": dict(self.unusable)}
        counts = {"rejected": dict(self.rejected), "mistakes": dict(self.mistakes), "teacher": teacher}
        return {"command": "mistakes", "played": self.played, "kept": self.kept, **counts}


def make_mistakes(folder: Path, recipe: MistakeRecipe, out: Path, progress: Progress | None = None) -> MistakeTally:
    """Inserts mistakes into the right episodes of a run and writes the data set. Resumable.

    The teacher's replies are kept in `CORRECTIONS`, and asked again only if they failed; everything else follows from
    the run and the seed, and is made anew.

    Args:
        folder: the run.
        recipe: what is inserted.
        out: folder of the data set.
        progress: see `Progress`.
    """
    check_folders(folder, out)
    run, tally = open_run(folder), MistakeTally()
    drafts = drafts_of(run, recipe, tally)
    performed = performed_drafts(drafts, run, tally)
    if recipe.teacher is not None and any(draft.turns for draft in drafts):
        worded = _worded(performed, recipe, recipe.teacher, out, tally, progress or (lambda done, total: None))
        performed = performed_drafts(worded, run, tally)
    judged = _judged(performed, recipe.sieve, tally)
    kept = [trajectory for _, trajectory in judged]
    tally.kept = DataSet(out).write(kept, run.protocol, recipe.made())
    tally.mistakes.update(look.kind for draft, _ in judged for look in draft.looks)
    write_whole(out / REPORT, (json.dumps(tally.report(), indent=2) + "\n").encode())
    return tally


def price_mistakes(folder: Path, recipe: MistakeRecipe, out: Path) -> tuple[MistakeTally, Price, Price]:
    """Counts what `make_mistakes` would keep if all words were usable, and estimates what the teacher costs.

    Returns:
        The counts, and the expected and the greatest price of the replies that are not stored in `out` yet.
    """
    run, tally = open_run(folder), MistakeTally()
    judged = _judged(performed_drafts(drafts_of(run, recipe, tally), run, tally), recipe.sieve, tally)
    tally.kept = len(judged)
    tally.mistakes.update(look.kind for draft, _ in judged for look in draft.looks)
    if recipe.teacher is None:
        return tally, Price(), Price()
    inquiries = list(inquiries_of(judged, recipe))
    tally.asked = len(inquiries)
    missing = _missing(inquiries, recipe.teacher, out / CORRECTIONS)
    return tally, *asking_price(missing, recipe.teacher, WORDS_TOKENS)


def _missing(inquiries: Sequence[Inquiry], teacher: AskedPolicy, path: Path) -> list[Inquiry]:
    """Returns the inquiries without a stored reply, each key once."""
    by_key = {teacher.key(inquiry): inquiry for inquiry in inquiries}
    if not path.exists():
        return list(by_key.values())
    with Journal(path) as journal:
        ledger = ReplyLedger(journal, retry=True)
        return [inquiry for key, inquiry in by_key.items() if ledger.get(key) is None]


def drafts_of(run: Run, recipe: MistakeRecipe, tally: MistakeTally) -> list[MistakeDraft]:
    """Returns a draft for each selected episode, and counts all others."""
    episodes = list(run)
    tally.played = len(episodes)
    selected, rejected = sift(episodes, recipe.sieve)
    tally.rejected.update(rejected)
    drafts: list[MistakeDraft] = []
    for trajectory in selected:
        try:
            drafts.append(plan_mistakes(trajectory, recipe))
        except EditError as error:
            tally.rejected[str(error)] += 1
        except (ValueError, TypeError, LookupError, ArithmeticError):  # a stored call without its box, a lost view, …
            tally.rejected["a damaged episode"] += 1
    return drafts


def inquiries_of(performed: Iterable[tuple[MistakeDraft, Trajectory]], recipe: MistakeRecipe) -> Iterator[Inquiry]:
    """Yields an inquiry about each mistake, which shows its view; of several frames, the middle one."""
    for draft, trajectory in performed:
        for number, (turn, look) in enumerate(zip(draft.inserted(), draft.looks, strict=True)):
            views = trajectory.turns[turn].views
            view = trajectory.views[views[len(views) // 2]]
            values = {
                "question": draft.original.task.text,
                "kind": MISTAKE_WORDS[look.kind],
                "what": look.what,
                "where": look.where,
                "next": draft.next[number],
            }
            shown = Shown(trajectory.sources[view.source], view.box)
            yield correction_inquiry(_name(draft, number), shown, values, recipe.prompt)


def performed_drafts(
    drafts: Sequence[MistakeDraft], run: Run, tally: MistakeTally
) -> list[tuple[MistakeDraft, Trajectory]]:
    """Performs drafts, in their order; once more where a mistake shows another number of views than was assumed.

    Drafts without a mistake keep their episode. What does not go as planned is counted and left out.
    """
    made = _performed(drafts, run, tally)
    counted = {draft.key: _counted(draft, made[draft.key]) for draft in drafts if draft.key in made}
    changed = [counted[draft.key] for draft in drafts if draft.key in made and counted[draft.key].views != draft.views]
    for draft in changed:
        del made[draft.key]
    made |= _performed(changed, run, tally)
    kept: list[tuple[MistakeDraft, Trajectory]] = []
    for key, draft in counted.items():
        if key not in made:
            continue
        if flaw := _flaw(draft, made[key]):
            tally.rejected[flaw] += 1
        else:
            kept.append((draft, made[key]))
    return kept


def _performed(drafts: Sequence[MistakeDraft], run: Run, tally: MistakeTally) -> dict[EpisodeKey, Trajectory]:
    made = {draft.key: draft.original for draft in drafts if not draft.turns}
    edited = sorted((draft for draft in drafts if draft.turns), key=_setting)
    for _, group in itertools.groupby(edited, key=_setting):
        made |= {trajectory.key: trajectory for trajectory in _performed_alike(list(group), run, tally)}
    return made


def _performed_alike(drafts: Sequence[MistakeDraft], run: Run, tally: MistakeTally) -> list[Trajectory]:
    """Performs drafts of one arm."""
    arm, prompt = arm_of(drafts[0].original), run.protocol.get("prompt_file")
    dialect = make_dialect(arm.dialect, **({"prompt_file": prompt} if prompt else {}))
    scripts: list[Script] = []
    for draft in drafts:
        try:
            scripts.append(draft.course().script(draft.original))
        except EditError as error:
            tally.rejected[str(error)] += 1
    return list(perform(scripts, arm, dialect))


def _setting(draft: MistakeDraft) -> tuple[str, str, str]:
    original = draft.original
    return original.arm, original.dialect, repr(sorted(original.env.items()))


def _counted(draft: MistakeDraft, trajectory: Trajectory) -> MistakeDraft:
    """Returns a draft with the numbers of views that its mistakes really show."""
    if len(trajectory.turns) <= max(draft.inserted(), default=-1):
        return draft
    return replace(draft, views=tuple(len(trajectory.turns[turn].views) for turn in draft.inserted()))


def _flaw(draft: MistakeDraft, trajectory: Trajectory) -> str:
    """Returns why an edited episode is not kept, or ""."""
    if not draft.turns:
        return ""
    if flaw := off_course(draft.course(), trajectory):
        return flaw
    for number, turn in enumerate(draft.inserted()):
        if trajectory.turns[turn].error:
            return "the wrong look was refused"
        if not was_wrong(trajectory, turn, draft.looks[number].kind):
            return "the wrong look shows what it should not"
        if _plain(draft.corrected[number]) not in _plain(trajectory.turns[turn + 1].reply.text):
            return "the dialect has no place for the correction"
    return ""


def _plain(text: str) -> str:
    return " ".join(text.split())


def _worded(
    performed: Sequence[tuple[MistakeDraft, Trajectory]],
    recipe: MistakeRecipe,
    teacher: AskedPolicy,
    out: Path,
    tally: MistakeTally,
    progress: Progress,
) -> list[MistakeDraft]:
    """Returns drafts with the teacher's words; those with an unusable reply are counted and left out."""
    inquiries = list(inquiries_of(performed, recipe))
    tally.asked = len(inquiries)
    with Journal(out / CORRECTIONS) as journal:
        ledger = ReplyLedger(journal, retry=True)
        replies = answered(teacher, inquiries, ledger, lambda done: progress(done, len(inquiries)))
    drafts: list[MistakeDraft] = []
    for draft, _ in performed:
        words: list[str] = []
        for number in range(len(draft.turns)):
            try:
                words.append(read_words(replies[_name(draft, number)]))
            except UnusableWordsError as error:
                tally.unusable[str(error)] += 1
        if len(words) == len(draft.turns):
            drafts.append(replace(draft, corrected=tuple(words)))
        else:
            tally.rejected["no usable words of the teacher"] += 1
    return drafts


def _name(draft: MistakeDraft, number: int) -> Name:
    arm, group, sample, _ = draft.key
    return (arm, group, str(sample), str(number))


def _judged(
    performed: Sequence[tuple[MistakeDraft, Trajectory]], sieve: Sieve, tally: MistakeTally
) -> list[tuple[MistakeDraft, Trajectory]]:
    """Settles edited episodes, and keeps those that end as the episode that they were made of and pass the sieve.

    The same answer has the same verdict, so that no judge is asked again.
    """
    kept: list[tuple[MistakeDraft, Trajectory]] = []
    for draft, made in performed:
        original = draft.original
        judged = replace(made, verdict=original.verdict, score=original.score)
        flaw = sieve.flaw(judged) if _end(made) == _end(original) else "not right"
        if flaw:
            tally.rejected[f"{flaw} after the edit"] += 1
        else:
            kept.append((draft, settle([[judged]], str(made.env.get("reward") or "outcome"))[0][0]))
    return kept


def _end(trajectory: Trajectory) -> tuple[object, ...]:
    return trajectory.stop, trajectory.answer, trajectory.located, trajectory.span
