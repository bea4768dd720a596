"""The ids of the registered environments, and the environment arguments that each stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ENVS: Mapping[str, Mapping[str, Any]] = {
    "o3gym/VisualSearch-v0": {},
    **{
        f"o3gym/Synthetic-{family}-{difficulty}-v0": {
            "suite": "synthetic",
            "suite_args": {"family": family, "difficulty": difficulty},
        }
        for family in (
            *("attribute", "text", "relation", "hidden", "chart", "map", "region"),
            *("turned", "dim", "tally", "measure"),
        )
        for difficulty in ("easy", "medium", "hard")
    },
    **{
        f"o3gym/SyntheticVideo-{family}-{difficulty}-v0": {
            "suite": "synthetic_video",
            "suite_args": {"family": family, "difficulty": difficulty},
        }
        for family in ("event", "glimpse", "order", "count", "track", "pair")
        for difficulty in ("easy", "medium", "hard")
    },
    "o3gym/Collage-v0": {"suite": "collage"},
}
"""Environment ids that need no data, each with the environment arguments that it stands for."""

RELEASED_ENVS: Mapping[str, Mapping[str, Any]] = {
    f"o3gym/{name}-v0": {"suite": suite, "split": split}
    for split, suites in {
        "test": {
            "VStar": "vstar",
            "HRBench-4K": "hrbench-4k",
            "HRBench-8K": "hrbench-8k",
            "VisualProbe-Easy": "visualprobe-easy",
            "VisualProbe-Medium": "visualprobe-medium",
            "VisualProbe-Hard": "visualprobe-hard",
            "TreeBench": "treebench",
            "MME-RealWorld": "mme-realworld",
            "MME-RealWorld-Lite": "mme-realworld-lite",
            "O3-Bench": "o3-bench",
            "CharXiv-Reasoning": "charxiv-reasoning",
            "MME-Reasoning": "mme-reasoning",
            "MMStar": "mmstar",
            "POPE": "pope",
            "InfoVQA": "infovqa",
            "ChartQA": "chartqa",
            "ZoomBench": "zoombench",
            "RealWorldQA": "realworldqa",
            "HallusionBench": "hallusionbench",
            "MathVista-Testmini": "mathvista-testmini",
            "ChartQAPro": "chartqapro",
            "TallyQA-Complex": "tallyqa-complex",
            "VisualToolBench": "visualtoolbench",
            "Charades-STA": "charades-sta",
            "ActivityNet-MR": "activitynet-mr",
            "ReXTime": "rextime",
            "NExT-GQA": "next-gqa",
            "Video-MME": "video-mme",
            "Video-MMMU": "video-mmmu",
            "LongVideoBench": "longvideobench",
            "LVBench": "lvbench",
            "MLVU": "mlvu",
            "MMVU": "mmvu",
            "MVBench": "mvbench",
            "VSI-Bench": "vsi-bench",
            "VideoGen-RewardBench": "videogen-rewardbench",
            "GenAI-Bench-Video": "genai-bench-video",
            "MJ-Bench-Video": "mj-bench-video",
            "VL-RewardBench": "vl-rewardbench",
        },
        "val": {
            "RefCOCO": "refcoco",
            "RefCOCO-Plus": "refcoco+",
            "RefCOCOg": "refcocog",
        },
        "train": {
            "VisualProbe-Train": "visualprobe-train",
            "Visual-CoT": "visual-cot",
            "VStar-Train": "vstar-train",
            "DeepEyes-47k": "deepeyes-47k",
            "Thyme-RL": "thyme-rl",
            "InfoVQA-Regions": "infovqa-regions",
        },
    }.items()
    for name, suite in suites.items()
}
"""Environment ids of released data sets, which are downloaded or read from `suite_args={"data": FOLDER}`."""

PLANNING_ENVS: Mapping[str, Mapping[str, Any]] = {
    "o3gym/Planning-FrozenLake-v0": {"world": "frozenlake"},
    "o3gym/Planning-Maze-v0": {"world": "maze"},
    "o3gym/Planning-MiniBehaviour-v0": {"world": "minibehaviour"},
}
"""Environment ids of `PlanningEnv`, each with the world that it stands for."""
