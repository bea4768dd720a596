"""Small files in the schemas of released benchmarks about videos. The content is invented; one film serves for all."""

from __future__ import annotations

import atexit
import csv
import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.media.video_files import Clip, write_clip
from tests.suites.released.writing import embedded, parquet

_KEPT = tempfile.TemporaryDirectory(prefix="film-")
atexit.register(_KEPT.cleanup)
SECONDS = 4.0
"""Length of every video."""
COLOURS = ["red", "green", "blue", "white"]
LETTERED = [f"{letter}. {colour}" for letter, colour in zip("ABCD", COLOURS, strict=True)]


@functools.cache
def film() -> Path:
    """The video of all tests: nine frames in four seconds."""
    return write_clip(Path(_KEPT.name), Clip("film.mp4", times=[*range(0, 4000, 500), 3900]))


def put(folder: Path, *names: str) -> None:
    """Puts the video in a folder under these names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(film(), folder / name)


def written_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def written_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """As pandas writes it: fields with commas, quotes or line breaks are quoted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def charades_sta(folder: Path, **changes: Any) -> Path:
    """Intervals in seconds, of which the last ends after the video; videos in the folder of Charades."""
    put(folder, "Charades_v1_480/3MSZA.mp4", "Charades_v1_480/00HFP.mp4")
    rows = [
        {"video": "3MSZA.mp4", "caption": "person turn a light on.", "timestamp": [1.0, 2.5]},
        {"video": "3MSZA.mp4", "caption": "person sits down.", "timestamp": [0.0, 0.9]},
        {"video": "00HFP.mp4", "caption": "a person closes a door.", "timestamp": [3.0, 4.8]},
    ]
    return parquet(folder / "data" / "test-00000-of-00001.parquet", [{**row, **changes} for row in rows])


def activitynet_mr(folder: Path, **changes: Any) -> Path:
    """An object of videos, each with sentences and intervals; videos are named by their ids."""
    put(folder, "videos/v_abc.mkv", "videos/v_-x_y.mp4")
    entries = {
        "v_abc": {"duration": 4.0, "timestamps": [[0, 1.5], [1.5, 3.99]], "sentences": ["A man runs.", " He falls."]},
        "v_-x_y": {"duration": 4.0, "timestamps": [[2.0, 3.0]], "sentences": ["A dog barks."]},
    }
    for entry in entries.values():
        entry.update(changes)
    written_json(folder / "val_1.json", {"v_abc": entries["v_abc"]})
    return written_json(folder / "val_2.json", entries)


def rextime(folder: Path, **changes: Any) -> Path:
    """Ids with dots, which are no suffixes; whole seconds; an answer with gaps beside the letter."""
    put(folder, "qvh/2I9-kvemtSU_510.0_660.0.mp4", "anet/v_ZMTi498qnPc.webm")
    rows = [
        {
            **{"qid": "qvh_val241", "source": "qvhighlights_val", "category": "sequential", "duration": 4},
            **{"vid": "2I9-kvemtSU_510.0_660.0", "question": "What did they do before?", "span": [0, 2]},
        },
        {
            **{"qid": "anet_val92", "source": "activitynet_val", "category": "means_to_an_end", "duration": 4.0},
            **{"vid": "v_ZMTi498qnPc", "question": "How did she reach it?", "span": [3, 5]},
        },
    ]
    for row, right in zip(rows, "BD", strict=True):
        row |= {"options": COLOURS, "ans": right, "answer": "From <s0> to <e0>, <option>.", **changes}
    return written_json(folder / "rextime_val.json", rows)


def next_gqa(folder: Path, **changes: Any) -> Path:
    """A table of questions, and beside it the intervals by video and question, one of them with two."""
    put(folder, "NExTVideo/1164/2574374895.mp4")
    row = {"video_id": "2574374895", "frame_count": 40, "width": 64, "height": 48, "qid": "8", "type": "TN"}
    row |= {"question": "what did the baby do after throwing the cup, at the end", "answer": "lay on floor"}
    row |= {"a0": "clap", "a1": "sit down", "a2": "lay on floor", "a3": "pick it up", "a4": "crawl"}
    rows = [row, {**row, "qid": "3", "type": "CW", "question": "why did the baby lie down", "answer": "crawl"}]
    spans = {str(number): [[0.5, 1.5]] for number in range(40)} | {"8": [[0.5, 1.5], [2.9, 4]]}
    entry = {"2574374895": {"duration": 4, "location": spans, "fps": 10}}
    for split in ("test", "val"):
        written_json(folder / f"gsub_{split}.json", entry)
        path = written_csv(folder / f"{split}.csv", [{**row, **changes} for row in rows])
    return path


def video_mme(folder: Path, **changes: Any) -> Path:
    """Options with their letters; one video has subtitles with markup."""
    put(folder, "data/fFjv93ACGo8.mp4", "data/-abc.MP4")
    (folder / "subtitle").mkdir(exist_ok=True)
    (folder / "subtitle" / "fFjv93ACGo8.srt").write_text(
        '1\n00:00:00,500 --> 00:00:02,000\n<font color="white" size=".72c">Hello,</font>\nworld.\n\n'
        "2\n00:00:03,000 --> 00:00:03,900\n{\\an8}Bye.\n\n3\nno times\n\n4\n00:00:03,950 --> 00:00:04,000\n<b></b>\n"
    )
    rows = []
    for number, (name, length) in enumerate((("fFjv93ACGo8", "short"), ("-abc", "long"))):
        row = {"video_id": f"{number:03d}", "duration": length, "domain": "Knowledge", "sub_category": "Geography"}
        row |= {"url": f"https://www.youtube.com/watch?v={name}", "videoID": name, "question_id": f"{number:03d}-1"}
        row |= {"task_type": "Counting Problem", "question": f"Which colour, {number}?", "options": LETTERED}
        rows.append({**row, "answer": "BC"[number], **changes})
    return parquet(folder / "videomme" / "test-00000-of-00001.parquet", rows)


def video_mmmu(folder: Path, **changes: Any) -> Path:
    """A file for each track, one of which has a further column; ids are shared."""
    put(folder, "Business/dev_Accounting_1.mp4", *(f"Business/{number}.mp4" for number in range(40)))
    asked: tuple[tuple[str, str, list[str], str], ...] = (
        ("Perception", "perception", COLOURS, "C"),
        ("Comprehension", "multiple-choice", LETTERED, "A"),
        ("Adaptation", "open", [], "12.5"),
    )
    for track, kind, options, answer in asked:
        row = {"id": "dev_Accounting_1", "question": f"Which one, {track}?", "options": options, "answer": answer}
        row |= {"question_type": kind, **({"link_selected": "x"} if track == "Adaptation" else {})}
        path = parquet(folder / track / "test-00000-of-00001.parquet", [{**row, **changes}])
    return path


def longvideobench(folder: Path, **changes: Any) -> Path:
    """Options in five columns; subtitles in both released forms, one of them of a part of a longer video."""
    put(folder, "videos/86CxyhFV9MI.mp4", "videos/7F9IrtSHmc0.mp4")
    written_json(
        folder / "subtitles" / "86CxyhFV9MI_en.json",
        [
            {"start": "00:00:00.100", "end": "00:00:01.500", "line": "In the beginning"},
            {"start": "00:01:00.000", "end": "00:01:02.000", "line": "later"},
        ],
    )
    written_json(
        folder / "subtitles" / "7F9IrtSHmc0.json",
        [{"timestamp": [101.0, 102.5], "text": "it\nrains"}, {"timestamp": [103.0, None], "text": "still"}],
    )
    rows = []
    for number, name in enumerate(("86CxyhFV9MI", "7F9IrtSHmc0")):
        row = {"video_id": name, "id": f"{name}_{number}", "video_path": f"{name}.mp4", "correct_choice": number}
        row |= {"subtitle_path": f"{name}{'_en' if number == 0 else ''}.json", "question": f"What is said, {number}?"}
        row |= {"option0": "rain", "option1": "snow", "option2": "sun", "option3": "N/A", "option4": "N/A"}
        row |= {"duration": 4.0, "duration_group": (15, 60)[number], "question_category": "T2E"}
        row |= {"topic_category": "NP-News", "starting_timestamp_for_subtitles": (0.0, 100.0)[number]}
        rows.append({**row, **changes})
    return parquet(folder / "validation-00000-of-00001.parquet", rows)


def lvbench(folder: Path, **changes: Any) -> Path:
    """A line for each video with all questions; `changes` are of every question."""
    put(folder, "all_videos/Cm73ma6Ibcs.mp4", "all_videos/TiQBTesZUJQ.mp4")
    lines = []
    for number, (key, count) in enumerate((("Cm73ma6Ibcs", 2), ("TiQBTesZUJQ", 1))):
        asked = [
            {
                **{"uid": str(10 * number + i), "question": f"Which year, {i}?\n(A) 1\n(B) 2\n(C) 3\n(D) 4"},
                **{"answer": "BD"[i], "question_type": ["entity recognition", "reasoning"][i:]},
                **{"time_reference": "00:15-00:19", **changes},
            }
            for i in range(count)
        ]
        lines.append({"key": key, "type": "cartoon", "video_info": {"duration_minutes": 40}, "qa": asked})
    path = folder / "video_info.meta.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def mlvu(folder: Path, **changes: Any) -> Path:
    """A file and a folder of videos for each task; two videos share a name."""
    put(folder, "MLVU/video/1_plotQA/a_1.mp4", "MLVU/video/4_count/a_1.mp4")
    for task, options in (("1_plotQA", COLOURS), ("4_count", ["1", "2", "3", "4"])):
        row = {"video": "a_1.mp4", "duration": 4.0, "question": f"Which one, {task}?", "candidates": options}
        row |= {"answer": options[2], "question_type": task[2:], **changes}
        path = written_json(folder / "MLVU" / "json" / f"{task}.json", [row, {**row, "question": "And then?"}])
    written_json(
        folder / "MLVU" / "json" / "8_sub_scene.json", [{"video": "x.mp4", "question": "What?", "answer": "y"}]
    )
    return path


def mmvu(folder: Path, **changes: Any) -> Path:
    """Addresses of videos; five options, or five empty ones and a free answer."""
    put(folder, "videos/Literature/4.mp4", "videos/Mechanics/4.mp4")
    rows = []
    for number, (subject, kind, options, answer) in enumerate(
        (
            ("Literature", "multiple-choice", [*COLOURS, "black"], "E"),
            ("Mechanics", "open-ended", [""] * 5, "17 bits"),
        )
    ):
        row = {"id": f"validation_{number}", "question_type": kind, "question": f"Which one, {number}?"}
        row |= {"video": f"https://huggingface.co/datasets/yale-nlp/MMVU/resolve/main/videos/{subject}/4.mp4"}
        row |= {"youtube_url": "https://www.youtube.com/watch?v=x", "metadata": {"subject": subject, "knowledge": []}}
        rows.append({**row, "choices": dict(zip("ABCDE", options, strict=True)), "answer": answer, **changes})
    return written_json(folder / "validation.json", rows)


def mvbench(folder: Path, **changes: Any) -> Path:
    """A file for each task; some tasks ask about parts of videos, which are files of their own."""
    put(folder, "video/star/Charades_segment/ZS9XR_11.1_18.1.mp4", "video/perception/videos/video_1.mp4")
    for task, name in (("action_sequence", "ZS9XR_11.1_18.1.mp4"), ("action_count", "video_1.mp4")):
        row = {"video": name, "question": f"Which one, {task}?", "candidates": COLOURS, "answer": "blue"}
        row |= {"start": 11.1, "end": 18.1} if task == "action_sequence" else {}
        path = written_json(folder / "json" / f"{task}.json", [{**row, **changes}, {**row, "answer": "red", **changes}])
    return path


def vsi_bench(folder: Path, **changes: Any) -> Path:
    """Numbers without options, and options with their letters."""
    put(folder, "scannet/scene0011_00.mp4", "arkitscenes/41069025.mp4")
    asked: tuple[tuple[str, str, list[str] | None, str], ...] = (
        ("scannet", "object_counting", None, "4"),
        ("arkitscenes", "object_rel_direction_easy", LETTERED[:2], "B"),
        ("arkitscenes", "room_size_estimation", None, "13.2"),
    )
    rows = []
    for number, (dataset, kind, options, answer) in enumerate(asked):
        row = {"id": number, "dataset": dataset, "scene_name": ("scene0011_00", "41069025")[dataset != "scannet"]}
        row |= {"question_type": kind, "question": f"How many, {number}?", "options": options, "ground_truth": answer}
        rows.append({**row, **changes})
    return parquet(folder / "test-00000-of-00001.parquet", rows)


def videogen_rewardbench(folder: Path, **changes: Any) -> Path:
    """A prompt with a line break; a preference or a tie in each dimension."""
    put(folder, "videos/kling1.5/kling1.5_00103.mp4", "videos/minimax/minimax_00103.mp4")
    row = {"path_A": "videos/kling1.5/kling1.5_00103.mp4", "path_B": "videos/minimax/minimax_00103.mp4"}
    row |= {"A_model": "kling1.5", "B_model": "minimax", "prompt": 'A ball, "red",\nrolls.', "fps_A": "30.0"}
    row |= {"VQ": "A", "MQ": "B", "TA": "same", "Overall": "A"}
    rows = [row, {**row, "Overall": "B"}, {**row, "Overall": "same"}]
    return written_csv(folder / "videogen-rewardbench.csv", [{**row, **changes} for row in rows])


def genai_bench_video(folder: Path, **changes: Any) -> Path:
    """Addresses of videos, which share their last part; four kinds of votes."""
    put(folder, "LaVie/0001.mp4", "VideoCrafter2/0001.mp4")
    address = "https://example.org/resolve/main/{}/0001.mp4"
    rows = [
        {
            **{"prompt": "A panda eats.", "left_model": "LaVie", "left_video": address.format("LaVie")},
            **{"right_model": "VideoCrafter2", "right_video": address.format("VideoCrafter2"), "vote_type": vote},
            **changes,
        }
        for vote in ("leftvote", "rightvote", "tievote", "bothbad_vote")
    ]
    parquet(folder / "video_generation" / "test_v1-00000-of-00001.parquet", rows[:2])
    return parquet(folder / "video_generation" / "test-00000-of-00001.parquet", rows)


def mj_bench_video(folder: Path, **changes: Any) -> Path:
    """Labels in words, overall and in five aspects; one pair is hard to judge."""
    put(folder, "videos/test/0_0.mp4", "videos/test/0_1.mp4")
    aspects = dict.fromkeys(("Alignment", "Safety", "Fineness", "Coherence & Consistency", "Bias"), "Same")
    rows = []
    for label in ("Video 1 better", "Video 2 better", "Same", "Hard to judge"):
        row = {"caption": "A beaver swims.", "video_0_path": "test/0_0.mp4", "video_1_path": "test/0_1.mp4"}
        row |= {"video_0_label": {"object": 1}, "category_preference": {**aspects, "Fineness": "Video 2 better"}}
        rows.append({**row, "overall_preference": label, "discard": False, **changes})
    return written_json(folder / "test.json", rows)


def vl_rewardbench(folder: Path, **changes: Any) -> Path:
    """Two answers and their ranks; the lengths of the first pair are odd together, so that it is exchanged."""
    asked = (
        ("RLAIF-V-12", ["It is a cat.", "It is a dog."], [0, 1]),
        ("mathverse_7", ["Seven.", "Eight"], [0, 1]),
        ("wildvision-3", ["Yes.", "No, it is not"], [1, 0]),
    )
    rows = [
        {**embedded(i), "id": name, "query": f"What, {i}?", "response": answers, "human_ranking": ranks, **changes}
        for i, (name, answers, ranks) in enumerate(asked)
    ]
    return parquet(folder / "data" / "test-00000-of-00001.parquet", rows)


FILES: Mapping[str, Callable[..., Path]] = {
    "charades-sta": charades_sta,
    "activitynet-mr": activitynet_mr,
    "rextime": rextime,
    "next-gqa": next_gqa,
    "video-mme": video_mme,
    "video-mmmu": video_mmmu,
    "longvideobench": longvideobench,
    "lvbench": lvbench,
    "mlvu": mlvu,
    "mmvu": mmvu,
    "mvbench": mvbench,
    "vsi-bench": vsi_bench,
    "videogen-rewardbench": videogen_rewardbench,
    "genai-bench-video": genai_bench_video,
    "mj-bench-video": mj_bench_video,
    "vl-rewardbench": vl_rewardbench,
}
"""Suite to what writes its files; `changes` are of every row."""
