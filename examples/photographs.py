"""Your own photographs as an environment, shown with six questions about pictures that scikit-image ships.

    pip install "o3gym[dev]"
    python examples/photographs.py --out runs/photographs

Writes `questions.jsonl` (`o3gym/suites/local.py` describes the whole format), lets the oracle search, prints its
answers and saves one picture strip per question. The overview is reduced to 40,000 pixels, so that crops show more.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import skimage

from o3gym.dialects.base import make_dialect
from o3gym.media.rendering import strip
from o3gym.policies.base import make_policy
from o3gym.registry import REWARDS
from o3gym.rewards import settle
from o3gym.rollout.loop import rollout
from o3gym.rollout.records import Arm, Job
from o3gym.suites.base import make_suite

PICTURES = Path(skimage.__file__).parent / "data"
QUESTIONS = [  # boxes are xyxy pixels
    {
        "question_id": "brand",
        "image": "motorcycle_left.png",
        "question": "Which brand name stands on the fuel tank?",
        "options": ["Honda", "Kawasaki", "Yamaha", "Suzuki"],
        "answer": "C",
        "boxes": [{"box": [400, 195, 448, 218], "label": "lettering on the tank"}],
        "category": "text",
    },
    {
        "question_id": "bottle",
        "image": "motorcycle_left.png",
        "question": "What colour is the bottle with the dark cap on the shelf?",
        "answer": "yellow",
        "boxes": [{"box": [405, 50, 422, 93], "label": "bottle"}],
        "category": "colour",
    },
    {
        "question_id": "patch",
        "image": "astronaut.png",
        "question": "Which name is NOT written on the rim of the round patch?",
        "options": ["Collins", "Armstrong", "Hawley", "Coleman"],
        "answer": "B",
        "boxes": [{"box": [132, 346, 209, 426], "label": "round patch"}],
        "category": "text",
    },
    {
        "question_id": "tank",
        "image": "astronaut.png",
        "question": "Which is darker, the winged craft in the background or the tank behind it?",
        "options": ["the craft", "the tank"],
        "answer": "B",
        "boxes": [{"box": [352, 70, 412, 285], "label": "craft"}, {"box": [394, 0, 430, 180], "label": "tank"}],
        "category": "relation",
    },
    {
        "question_id": "galaxy",
        "image": "hubble_deep_field.jpg",
        "question": "Find the large, pale spiral galaxy near the left edge.",
        "boxes": [[105, 378, 145, 424]],
        "category": "region",
    },
    {
        "question_id": "comet",
        "image": "hubble_deep_field.jpg",
        "question": "Find the comet with the long white tail.",
        "boxes": [],
        "category": "region",
    },
]


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    index = out / "questions.jsonl"
    index.write_text("\n".join(json.dumps(row) for row in QUESTIONS) + "\n")

    suite = f"local:{index}?images={PICTURES}"
    arm = Arm("oracle", {"suite": suite, "min_pixels": 10_000, "max_pixels": 40_000})
    jobs = [Job(i, str(i)) for i in range(len(make_suite(suite)))]
    for trajectory in rollout(jobs, make_policy("oracle"), make_dialect("qwen3_vl"), arm):
        ((trajectory,),) = settle([[trajectory]], REWARDS["outcome"])
        name = trajectory.task.id.rpartition("/")[2]
        print(f"{name}: {trajectory.answer} ({trajectory.verdict}) after {len(trajectory.views) - 1} looks")
        strip(trajectory).save(out / f"{name}.png")
    print(f"picture strips: {out}")
    print(
        f"the same as a benchmark: o3gym bench --suite '{suite}' --policy oracle --policy sweep --env max_pixels=200000"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, default=Path("runs/photographs"))
    main(parser.parse_args().out)
