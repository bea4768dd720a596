"""Rules of lmms-eval for RealWorldQA and HallusionBench, flaws included; suites use them with `scoring=lmms-eval`.

As in `o3gym.judges.released`, each judge gets the answer that the dialect extracted.
"""

from __future__ import annotations

from o3gym.judges.base import Judgement, decided, failed, has_truth, references
from o3gym.judges.released import ranked_letter
from o3gym.types import Box, Task


def ranked_or_bare(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads an option as `ranked_letter` does; any other answer must be the bare right one, up to case and a full stop.

    "three", "It is 3" and "Yes, it is" are wrong for "3" and "Yes". Source: EvolvingLMMs-Lab/lmms-eval 0.7.3,
    lmms_eval/tasks/realworldqa/utils.py, `realworldqa_process_results`.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    if task.kind == "choice":
        return ranked_letter(task, answer)
    return decided(answer.lower().strip().rstrip(".") == task.answer.lower().strip())


def yes_anywhere(task: Task, answer: str, located: Box | None = None) -> Judgement:
    """Reads "yes" if these letters are anywhere in the answer, and no otherwise: "" is no, and "eyes" is yes.

    Source: EvolvingLMMs-Lab/lmms-eval 0.7.3, lmms_eval/tasks/hallusion_bench/evaluate_hb.py,
    `hb_aggregation_result_intern`: the rule without a model, which the task's configuration names as an alternative.
    """
    if not references(task) or not has_truth(task):
        return failed(f"task {task.id} has no accepted answer")
    read = "yes" if "yes" in answer.lower() else "no"
    return decided(read == task.answer.lower(), read)
