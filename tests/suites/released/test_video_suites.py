"""Suites about videos: the rows of each, where videos are found, subtitles, pairs, and rows that are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from o3gym.judges.rules import auto
from o3gym.media import video_files
from o3gym.registry import SUITES
from o3gym.suites.base import BadRow, BadTask, SuiteError, make_suite
from o3gym.suites.released.csv_table import CsvTable
from o3gym.suites.released.subtitles import Subtitle, read_srt, with_subtitles
from o3gym.suites.released.videos import video_stem
from o3gym.types import FULL, Task
from tests.suites.released import video_rows as files
from tests.suites.released.released_files import opened
from tests.suites.released.video_rows import COLOURS, SECONDS

VIDEOS = [name for name in files.FILES if name != "vl-rewardbench"]


def times(task: Task) -> list[Any]:
    return [target.time for target in task.targets]


def videos(task: Task) -> list[str]:
    return ["/".join(Path(source.ref).parts[-2:]) for source in task.sources]


# ── intervals ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_charades_sta_asks_for_intervals_and_cuts_them_at_the_end(tmp_path: Path) -> None:
    first, second, third = suite = opened("charades-sta", tmp_path)
    assert suite.kinds == {"span"}
    assert {task.kind for task in suite} == {"span"}
    assert [times(task) for task in suite] == [[(1.0, 2.5)], [(0.0, 0.9)], [(3.0, SECONDS)]]
    assert first.question == "When does this happen in the video: person turn a light on."
    assert (first.targets[0].box, first.targets[0].source) == (FULL, 0)
    assert (videos(first), first.sources[0].duration) == (["Charades_v1_480/3MSZA.mp4"], pytest.approx(SECONDS))
    assert first.origin["cluster"] == second.origin["cluster"] != third.origin["cluster"]
    assert auto(first, "[1.0, 2.0]").score == pytest.approx(2 / 3)
    as_text = opened("charades-sta", tmp_path, {"timestamp": "[1, 2]"})
    assert times(as_text[0]) == [(1.0, 2.0)]


def test_charades_sta_reads_the_lines_of_the_authors(tmp_path: Path) -> None:
    files.put(tmp_path, "3MSZA.mp4")
    path = tmp_path / "charades_sta_test.txt"
    path.write_text("3MSZA 1.0 2.5##person turn a light on.\r\n\n3MSZA 0 3##a ## b\nno line\n")
    first, second, broken = range(3)
    suite = make_suite("charades-sta", data=str(tmp_path))
    assert [times(suite[i]) for i in (first, second)] == [[(1.0, 2.5)], [(0.0, 3.0)]]
    assert suite[second].question.endswith(": a ## b")
    with pytest.raises(
        BadTask, match=r"charades_sta_test\.txt, line 4, .*expected VIDEO START END##EVENT, got 'no line'"
    ):
        suite[broken]


def test_activitynet_mr_has_a_task_for_each_sentence(tmp_path: Path) -> None:
    suite = opened("activitynet-mr", tmp_path)
    assert [times(task) for task in suite] == [[(0.0, 1.5)], [(1.5, 3.99)], [(2.0, 3.0)]]
    assert [task.question.partition(": ")[2] for task in suite] == ["A man runs.", "He falls.", "A dog barks."]
    assert [videos(task) for task in suite][1:] == [["videos/v_abc.mkv"], ["videos/v_-x_y.mp4"]]
    assert len(make_suite("activitynet-mr", "val", data=str(tmp_path))) == 2
    files.written_json(tmp_path / "val_2.json", {"v_abc": {"sentences": ["x"]}, "v_-x_y": 5})
    broken = make_suite("activitynet-mr", data=str(tmp_path))
    for index, row, field in ((0, "row 1", "v_abc"), (1, "row 2", "v_-x_y")):
        with pytest.raises(BadTask, match=f'val_2.json, {row}, field "{field}": expected lists of sentences and times'):
            broken[index]


def test_rextime_is_answered_with_an_option_and_its_interval(tmp_path: Path) -> None:
    first, second = suite = opened("rextime", tmp_path)
    assert (suite.grounded, suite.kinds) == (True, {"choice"})
    assert (first.answer, first.choices, times(first)) == ("B", tuple(COLOURS), [(0.0, 2.0)])
    assert videos(first) == ["qvh/2I9-kvemtSU_510.0_660.0.mp4"]  # ".0" is no suffix
    assert (second.id, second.answer, times(second)) == ("rextime/test/anet_val92", "D", [(3.0, SECONDS)])
    assert len(make_suite("rextime", data=str(tmp_path), category="means_to_an_end")) == 1


def test_next_gqa_takes_the_intervals_from_the_file_beside_the_table(tmp_path: Path) -> None:
    first, second = suite = opened("next-gqa", tmp_path)
    assert (first.id, first.answer, first.choices[2]) == ("next-gqa/test/2574374895/8", "C", "lay on floor")
    assert first.question == "what did the baby do after throwing the cup, at the end?"
    assert (times(first), times(second)) == ([(0.5, 1.5), (2.9, SECONDS)], [(0.5, 1.5)])
    assert (first.tags, second.tags["category"]) == ({"category": "temporal", "type": "TN"}, "causal")
    assert suite.grounded
    assert len(make_suite("next-gqa", "val", data=str(tmp_path), category="causal")) == 1
    (tmp_path / "gsub_test.json").write_text("{}")
    with pytest.raises(
        BadTask, match=r'test\.csv, row 1, field "qid": expected a question with intervals in gsub_test'
    ):
        make_suite("next-gqa", data=str(tmp_path), n=2)[0]
    (tmp_path / "gsub_test.json").unlink()
    with pytest.raises(BadTask, match=r"expected the true intervals in .*gsub_test.json, beside the table"):
        make_suite("next-gqa", data=str(tmp_path), n=1)[0]


# ── options, numbers and free answers ───────────────────────────────────────────────────────────────────────────────


def test_video_mme_groups_by_length_and_writes_subtitles_into_the_question(tmp_path: Path) -> None:
    first, second = opened("video-mme", tmp_path)
    assert (first.question, first.answer, first.choices) == ("Which colour, 0?", "B", tuple(COLOURS))
    assert (first.tags, videos(second)) == ({"category": "short", "domain": "Knowledge"}, ["data/-abc.MP4"])
    assert len(make_suite("video-mme", data=str(tmp_path), category="long")) == 1
    spoken, silent = make_suite("video-mme?subtitles=true", data=str(tmp_path))
    assert spoken.question.splitlines() == [
        *("Subtitles of the video:", "0.5 to 2.0 s: Hello, world.", "3.0 to 3.9 s: Bye.", "", "Which colour, 0?"),
    ]
    assert silent.question == "The video has no subtitles.\nWhich colour, 1?"
    harness = make_suite("video-mme", data=str(tmp_path), scoring="lmms-eval")
    assert [auto(suite[0], "A man says (B)").verdict for suite in (harness, [first])] == ["wrong", "correct"]
    shutil.rmtree(tmp_path / "subtitle")
    with pytest.raises(SuiteError, match=r"video-mme: expected a folder of subtitles, such as .*subtitle, found none"):
        make_suite("video-mme", data=str(tmp_path), subtitles=True, n=1)
    with pytest.raises(ValueError, match="subtitles: expected true or false, got 'yes'"):
        make_suite("video-mme?subtitles=yes", data=str(tmp_path))


def test_longvideobench_reads_both_forms_of_options_and_of_subtitles(tmp_path: Path) -> None:
    first, second = opened("longvideobench", tmp_path, subtitles=True)
    assert (first.choices, first.answer, second.answer) == (("rain", "snow", "sun"), "A", "B")
    assert first.question.splitlines()[1:3] == ["0.1 to 1.5 s: In the beginning", ""]  # the other one is later
    assert second.question.splitlines()[1:3] == ["1.0 to 2.5 s: it rains", "3.0 to 4.0 s: still"]
    assert [task.tags["category"] for task in (first, second)] == ["15", "60"]
    rows = [{"candidates": ["yes", "no"], **json.loads(json.dumps(first.origin))}]
    rows[0] |= {"id": "x", "video_path": "86CxyhFV9MI.mp4", "subtitle_path": "no.json", "question": "Is it?"}
    rows[0] |= {"correct_choice": 1, "duration_group": 15, "question_category": "TOS"}
    path = files.written_json(tmp_path / "lvb_val.json", [{**rows[0], "starting_timestamp_for_subtitles": 0}])
    (authors,) = make_suite("longvideobench", data=str(path))
    assert (authors.choices, authors.answer) == (("yes", "no"), "B")
    with pytest.raises(BadTask, match=r'lvb_val.json, row 1, field "subtitle_path": expected a file below'):
        make_suite("longvideobench", data=str(path), subtitles=True)[0]


def test_lvbench_has_a_task_for_each_question_of_a_line(tmp_path: Path) -> None:
    suite = opened("lvbench", tmp_path)
    assert [task.id for task in suite] == ["lvbench/test/0", "lvbench/test/1", "lvbench/test/10"]
    assert (suite[0].question, suite[0].choices, suite[0].answer) == ("Which year, 0?", ("1", "2", "3", "4"), "B")
    assert [task.tags["category"] for task in suite] == ["entity recognition", "reasoning", "entity recognition"]
    assert videos(suite[2]) == ["all_videos/TiQBTesZUJQ.mp4"]
    assert suite[0].origin["time_reference"] == "00:15-00:19"


def test_mlvu_and_mvbench_take_the_task_from_the_name_of_the_file(tmp_path: Path) -> None:
    suite = opened("mlvu", tmp_path / "mlvu")
    assert len(suite) == 4  # the file of a task with sentences as answers is left out
    assert [task.tags["category"] for task in suite] == ["1_plotQA", "1_plotQA", "4_count", "4_count"]
    assert [videos(task) for task in suite][1:3] == [["1_plotQA/a_1.mp4"], ["4_count/a_1.mp4"]]
    assert (suite[2].choices, suite[2].answer) == (("1", "2", "3", "4"), "C")
    assert len(make_suite("mlvu", data=str(tmp_path / "mlvu"), category="4_count")) == 2
    suite = opened("mvbench", tmp_path / "mvbench")
    assert [task.tags["category"] for task in suite] == ["action_count"] * 2 + ["action_sequence"] * 2
    assert videos(suite[2]) == ["Charades_segment/ZS9XR_11.1_18.1.mp4"]
    assert (suite[2].answer, suite[3].answer) == ("C", "A")


def test_mvbench_takes_the_branch_with_cut_videos_and_refuses_whole_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.mvbench(tmp_path, video="ZS9XR.mp4")
    files.put(tmp_path, "video/star/Charades_v1_480/ZS9XR.mp4")
    with pytest.raises(BadTask, match=r'action_sequence.json, row 1, field "video": expected a video below'):
        make_suite("mvbench", data=str(tmp_path))[2]
    asked = []
    monkeypatch.setattr(
        "o3gym.suites.released.hub.download_files", lambda name, _, revision: asked.append(revision) or tmp_path
    )
    SUITES["mvbench"]()
    SUITES["mvbench"](revision="main")
    assert asked == ["video", "main"]


def test_mmvu_has_options_or_a_free_answer_by_subject(tmp_path: Path) -> None:
    choice, free = suite = opened("mmvu", tmp_path)
    assert suite.kinds == {"choice", "free"}
    assert (choice.kind, choice.choices, choice.answer) == ("choice", (*COLOURS, "black"), "E")
    assert (free.kind, free.choices, free.answer) == ("free", (), "17 bits")
    assert [videos(task) for task in suite] == [["Literature/4.mp4"], ["Mechanics/4.mp4"]]
    assert len(make_suite("mmvu", data=str(tmp_path), category="Mechanics")) == 1


def test_vsi_bench_grades_numbers_and_reads_letters(tmp_path: Path) -> None:
    count, direction, size = suite = opened("vsi-bench", tmp_path)
    assert count.question == "How many, 0?\nAnswer with a number."
    assert (direction.question, direction.answer, direction.choices) == ("How many, 1?", "B", ("red", "green"))
    assert [videos(task)[0] for task in suite] == ["scannet/scene0011_00.mp4", *["arkitscenes/41069025.mp4"] * 2]
    assert (auto(count, "five").score, auto(size, "about 13.2").score) == (0.6, 0.0)
    assert (auto(size, "13.2 square metres").score, auto(direction, "(B)").score) == (1.0, 1.0)
    authors = make_suite("vsi-bench", data=str(tmp_path), scoring="authors")
    assert (auto(authors[0], "5 chairs").score, auto(authors[0], "five").score) == (0.6, 0.0)
    assert [auto(authors[1], text).verdict for text in ("B.", "b. green", "(B)")] == ["correct", "correct", "wrong"]


def test_video_mmmu_has_three_tracks_that_share_videos(tmp_path: Path) -> None:
    suite = opened("video-mmmu", tmp_path)
    named = {task.tags["category"]: task for task in suite}
    assert list(named) == ["Adaptation", "Comprehension", "Perception"]
    assert {videos(task)[0] for task in suite} == {"Business/dev_Accounting_1.mp4"}
    assert named["Adaptation"].question.endswith(
        "?\nThe picture that the question is about is shown at the end of the video."
    )
    assert (named["Adaptation"].kind, named["Adaptation"].answer) == ("free", "12.5")
    assert {named[track].choices for track in ("Comprehension", "Perception")} == {tuple(COLOURS)}
    assert named["Perception"].id == "video-mmmu/test/Perception/dev_Accounting_1"


# ── preferences ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pairs_are_two_videos_with_a_preference_or_a_tie(tmp_path: Path) -> None:
    suite = opened("videogen-rewardbench", tmp_path)
    assert [task.answer for task in suite] == ["A", "B", "C"]
    assert [task.tags["preference"] for task in suite] == ["first", "second", "same"]
    assert videos(suite[0]) == ["kling1.5/kling1.5_00103.mp4", "minimax/minimax_00103.mp4"]
    assert [
        auto(task, answer).verdict for task, answer in zip(suite, ("A", "the second video", "same"), strict=True)
    ] == [*["correct"] * 3]
    assert suite[0].origin["dimensions"] == {
        **{"temporal alignment": "same", "video quality": "A", "motion quality": "B"},
    }
    assert 'A ball, "red",\nrolls.' in suite[0].question
    tied = make_suite("videogen-rewardbench?dimension=TA", data=str(tmp_path))
    assert {task.answer for task in tied} == {"C"}
    with pytest.raises(ValueError, match=r'dimension: unknown "MC" \(known: Overall, VQ, MQ, TA\)|did you mean'):
        make_suite("videogen-rewardbench?dimension=MC", data=str(tmp_path))


def test_genai_bench_finds_videos_by_the_end_of_their_addresses(tmp_path: Path) -> None:
    suite = opened("genai-bench-video", tmp_path)
    assert [task.answer for task in suite] == ["A", "B", "C", "C"]
    assert videos(suite[0]) == ["LaVie/0001.mp4", "VideoCrafter2/0001.mp4"]
    assert len(make_suite("genai-bench-video", "test_v1", data=str(tmp_path))) == 2
    assert len(make_suite("genai-bench-video", data=str(tmp_path), category="tievote+bothbad_vote")) == 2


def test_mj_bench_video_leaves_out_what_is_hard_to_judge(tmp_path: Path) -> None:
    suite = opened("mj-bench-video", tmp_path)
    assert [task.answer for task in suite] == ["A", "B", "C"]
    assert videos(suite[0]) == ["test/0_0.mp4", "test/0_1.mp4"]
    assert {task.answer for task in make_suite("mj-bench-video?dimension=fineness", data=str(tmp_path))} == {"B"}
    assert {task.answer for task in make_suite("mj-bench-video?dimension=coherence", data=str(tmp_path))} == {"C"}


def test_vl_rewardbench_exchanges_answers_by_their_lengths(tmp_path: Path) -> None:
    first, odd, last = opened("vl-rewardbench", tmp_path)
    assert first.question.endswith("Answer 1: It is a cat.\n\nAnswer 2: It is a dog.")
    assert odd.question.endswith("Answer 1: Eight\n\nAnswer 2: Seven.")  # 6 + 5 letters
    assert [task.answer for task in (first, odd, last)] == ["A", "B", "A"]
    assert [task.tags["category"] for task in (first, odd, last)] == ["hallucination", "reasoning", "general"]


# ── videos and tables ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", VIDEOS)
def test_opening_a_suite_opens_no_video_and_a_missing_one_is_a_bad_row(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.FILES[name](tmp_path)
    for path in tmp_path.rglob("*.*"):
        if path.suffix.lower() in (".mp4", ".mkv", ".webm"):
            path.unlink()
    monkeypatch.setattr(video_files, "_opened", None)
    suite = make_suite(name, data=str(tmp_path))
    assert len(suite) > 1
    assert suite.has_videos
    with pytest.raises(BadTask, match=r"row 1|line 1") as caught:
        suite[0]
    assert "expected a video below" in caught.value.reason
    assert "(videos= names another folder)" in caught.value.reason


def test_videos_may_lie_elsewhere_and_have_any_usual_suffix(tmp_path: Path) -> None:
    files.charades_sta(tmp_path / "data", video="3MSZA.mp4")
    shutil.rmtree(tmp_path / "data" / "Charades_v1_480")
    for suffix in (".mp4", ".MKV", ".webm", ".avi", ".mov"):
        elsewhere = tmp_path / suffix[1:]
        files.put(elsewhere, f"deep/down/3MSZA{suffix}")
        (task, *_) = make_suite("charades-sta", data=str(tmp_path / "data"), videos=str(elsewhere))
        assert videos(task) == [f"down/3MSZA{suffix}"]
    with pytest.raises(SuiteError, match="charades-sta: no such folder of videos: nowhere"):
        make_suite("charades-sta", data=str(tmp_path / "data"), videos="nowhere")
    assert [video_stem(name) for name in ("a.MP4", "a_1.0", "b")] == ["a", "a_1.0", "b"]


def test_of_several_videos_the_named_one_is_taken_or_none(tmp_path: Path) -> None:
    files.charades_sta(tmp_path)
    files.put(tmp_path, "Charades_v1_480/3MSZA.mkv", "Charades_v1_480/00HFP.avi", "other/00HFP.mp4")
    suite = make_suite("charades-sta", data=str(tmp_path))
    assert videos(suite[0]) == ["Charades_v1_480/3MSZA.mp4"]
    with pytest.raises(BadTask, match=r"row 3.*expected the path of one video, because there are several: /"):
        suite[2]


def test_a_table_chooses_no_video_outside_its_folder(tmp_path: Path) -> None:
    files.put(tmp_path, "private/film.mp4")
    for name in ("../private/film.mp4", str(tmp_path / "private" / "film.mp4")):
        files.charades_sta(tmp_path / "data", video=name)
        with pytest.raises(BadTask, match=r'field "video": expected a file below'):
            make_suite("charades-sta", data=str(tmp_path / "data"))[0]
    (task, *_) = make_suite("charades-sta", data=str(tmp_path / "data"), roots=str(tmp_path / "private"))
    assert task.sources[0].ref.endswith("film.mp4")


@pytest.mark.parametrize("name", ["activitynet-mr", "next-gqa"])
def test_annotations_that_are_not_on_the_hub_say_where_they_are(name: str) -> None:
    with pytest.raises(SuiteError, match=f"{name}: the annotations are not on the hub; download them from https://"):
        make_suite(name)
    assert SUITES[name].about(ask=True).endswith("not downloaded)")


def test_csv_rows_with_other_fields_are_bad_and_broken_files_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\n1,"x,\n""y"""\n\n2\n3,\xed\xa0\x80\n')
    table = CsvTable(path)
    assert (table.columns, len(table), table.replaced) == (("a", "b"), 3, 1)
    assert (table[0], table[2]) == ({"a": "1", "b": 'x,\n"y"'}, {"a": "3", "b": "\ufffd"})
    assert table.where(1).endswith("a.csv, row 2")
    with pytest.raises(BadRow, match="expected 2 fields, got 1"):
        table[1]
    for content, words in ((b"", "expected a header"), (b'a\n"open', "expected CSV"), (b"a\n\xff", "expected UTF-8")):
        path.write_bytes(content)
        with pytest.raises(SuiteError, match=words):
            CsvTable(path)


def test_subtitles_are_read_with_times_and_without_markup() -> None:
    text = "1\r\n00:59:59,5 --> 01:00:00.250\r\n<i>So</i>\r\nlong\r\n\r\n2\r\n00:00:01,000 --> x\r\nno\r\n"
    assert read_srt(text) == [Subtitle(3599.5, 3600.25, "So long")]
    assert with_subtitles([], "Why?") == "The video has no subtitles.\nWhy?"


@pytest.mark.parametrize(
    ("name", "changes", "expected"),
    [
        (
            "charades-sta",
            {"timestamp": [2.0, 1.0]},
            r"row 1, field \"timestamp\": expected \[start, end\] with 0 <= start",
        ),
        ("charades-sta", {"timestamp": [4.5, 5.0]}, r"within the 4\.00 seconds of the video, got \[4\.5, 5\.0\]"),
        ("charades-sta", {"timestamp": "soon"}, r"expected \[start, end\] in seconds, got 'soon'"),
        ("charades-sta", {"caption": " "}, 'field "caption": expected a text'),
        ("activitynet-mr", {"timestamps": [[0, 1]]}, "expected lists of sentences and timestamps of the same length"),
        ("rextime", {"ans": "E"}, 'rextime_val.json, row 1, field "ans": expected one of the letters ABCD'),
        ("rextime", {"span": [0]}, 'field "span": expected'),
        ("rextime", {"options": ["one"]}, 'field "options": expected 2 to 26 options'),
        ("next-gqa", {"answer": "fly"}, r"field \"answer\": expected one of the options \['clap'"),
        ("next-gqa", {"qid": "77"}, 'field "qid": expected a question with intervals'),
        ("video-mme", {"duration": "endless"}, 'field "duration": expected "short", "medium" or "long"'),
        ("video-mme", {"options": COLOURS}, 'field "options": expected options that begin with their letters'),
        ("video-mmmu", {"answer": "K", "options": COLOURS}, 'field "answer": expected one of the letters ABCD'),
        ("longvideobench", {"correct_choice": 3}, 'field "correct_choice": expected the number of an option, 0 to 2'),
        ("lvbench", {"question": "Which?"}, 'meta.jsonl, line 1, field "qa": expected'),
        ("lvbench", {"question_type": []}, 'field "qa": expected a question with a list question_type'),
        ("mlvu", {"answer": "pink"}, '1_plotQA.json, row 1, field "answer": expected one of the options'),
        ("mmvu", {"question_type": "essay"}, 'field "question_type": expected "multiple-choice" or "open-ended"'),
        ("mmvu", {"metadata": None}, 'field "metadata": expected an object'),
        ("mvbench", {"candidates": "red"}, 'action_count.json, row 1, field "candidates": expected 2 to 26 options'),
        ("vsi-bench", {"question_type": "taste"}, 'field "question_type": expected one of object_abs_distance'),
        ("vsi-bench", {"ground_truth": "many"}, 'field "ground_truth": expected a number from 0 up'),
        ("videogen-rewardbench", {"Overall": "both"}, "field \"Overall\": expected one of A, B, same, got 'both'"),
        ("genai-bench-video", {"vote_type": "x"}, 'field "vote_type": expected one of leftvote, rightvote'),
        ("mj-bench-video", {"overall_preference": 1}, 'field "overall_preference": expected one of Video 1 better'),
        ("vl-rewardbench", {"human_ranking": [0, 0]}, r"field \"human_ranking\": expected \[0, 1\] or \[1, 0\]"),
        ("vl-rewardbench", {"response": ["one"]}, 'field "response": expected two answers'),
    ],
)
def test_bad_rows_of_video_suites_are_named(name: str, changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    with pytest.raises(BadTask, match=expected):
        opened(name, tmp_path, changes)[0]


def test_a_file_that_is_no_video_is_a_bad_row(tmp_path: Path) -> None:
    files.charades_sta(tmp_path)
    (tmp_path / "Charades_v1_480" / "3MSZA.mp4").write_bytes(b"no video")
    with pytest.raises(BadTask, match=r'row 1, field "video": expected a readable video \(broken.*got .3MSZA.mp4'):
        make_suite("charades-sta", data=str(tmp_path))[0]
