"""The suites of released benchmarks and training sets by name, as the registry reads them."""

from __future__ import annotations

from collections.abc import Mapping


def _released(suites: Mapping[str, str]) -> dict[str, str]:
    """Entries of suites, whose paths are given without "o3gym.suites.released."."""
    return {name: f"o3gym.suites.released.{path}" for name, path in suites.items()}


RELEASED_SUITES: Mapping[str, str] = {
    **_released({"vstar": "vstar:VStar"}),
    **{f"hrbench-{size}k": f"o3gym.suites.released.hrbench:HRBench{size}K" for size in (4, 8)},
    **_released({"infovqa": "infovqa:InfoVQA", "chartqa": "chartqa:ChartQA"}),
    **{
        f"visualprobe-{level.lower()}": f"o3gym.suites.released.visualprobe:VisualProbe{level}"
        for level in ("Easy", "Medium", "Hard", "Train")
    },
    **_released({"treebench": "treebench:TreeBench", "mme-realworld": "mme_realworld:MMERealWorld"}),
    **_released({"mme-realworld-lite": "mme_realworld:MMERealWorldLite", "o3-bench": "o3bench:O3Bench"}),
    **_released({"charxiv-reasoning": "charxiv:CharXivReasoning", "mme-reasoning": "mme:MMEReasoning"}),
    **_released({"pope": "pope:POPE", "mmstar": "mmstar:MMStar", "zoombench": "zoombench:ZoomBench"}),
    **_released({"realworldqa": "realworldqa:RealWorldQA", "hallusionbench": "hallusionbench:HallusionBench"}),
    **_released({"mathvista-testmini": "mathvista:MathVistaTestmini", "chartqapro": "chartqapro:ChartQAPro"}),
    **_released({"tallyqa-complex": "tallyqa:TallyQAComplex"}),
    **_released({"visualtoolbench": "visualtoolbench:VisualToolBench", "refcoco": "refcoco:RefCOCO"}),
    **_released({"refcoco+": "refcoco:RefCOCOPlus", "refcocog": "refcoco:RefCOCOg"}),
    **_released({"charades-sta": "charades_sta:CharadesSTA", "activitynet-mr": "activitynet_mr:ActivityNetMR"}),
    **_released({"rextime": "rextime:ReXTime", "next-gqa": "next_gqa:NExTGQA"}),
    **_released({"video-mme": "video_mme:VideoMME", "video-mmmu": "video_mmmu:VideoMMMU"}),
    **_released({"longvideobench": "longvideobench:LongVideoBench", "lvbench": "lvbench:LVBench"}),
    **_released({"mlvu": "mlvu:MLVU", "mmvu": "mmvu:MMVU", "mvbench": "mvbench:MVBench"}),
    **_released({"vsi-bench": "vsi_bench:VSIBench"}),
    **_released({"videogen-rewardbench": "videogen_rewardbench:VideoGenRewardBench"}),
    **_released({"genai-bench-video": "genai_bench_video:GenAIBenchVideo"}),
    **_released({"mj-bench-video": "mj_bench_video:MJBenchVideo"}),
    **_released({"vl-rewardbench": "vl_rewardbench:VLRewardBench", "visual-cot": "visual_cot:VisualCoT"}),
    **_released({"vstar-train": "vstar_train:VStarTrain", "deepeyes-47k": "deepeyes_47k:DeepEyes47k"}),
    **_released({"thyme-rl": "thyme_rl:ThymeRL", "infovqa-regions": "infovqa_regions:InfoVQARegions"}),
}
"""For each name, the "module:attribute" path of the suite's class."""
