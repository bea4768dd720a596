"""What thoughts say: places, plans, sights; and that they cannot hold anybody up."""

from __future__ import annotations

import time

import pytest

from o3gym.policies.detour import MEANT, SEEN_WORDS
from o3gym.synthesis.traces.words import (
    announces,
    concludes,
    labels_in,
    place_of,
    placed,
    places,
    plans,
    sentences,
    sightings,
)
from o3gym.types import Box, Target

KITE = [Target((0.0, 0.0, 0.1, 0.1), label="kite")]
SENTENCES = [(kind, text.format(where="top left")) for kind, texts in MEANT.items() for text in texts]
SIGHTS = [(kind, text.format(what="kite", What="Kite")) for kind, texts in SEEN_WORDS.items() for text in texts]


@pytest.mark.parametrize(("kind", "sentence"), SENTENCES)
def test_what_the_scripted_teacher_announces(kind: str, sentence: str) -> None:
    if kind == "answer":
        assert concludes(sentence)
        assert plans(sentence, KITE) == []
        return
    (plan,) = plans(sentence, KITE)
    assert plan.whole == (kind == "back")
    assert plan.inside == (kind == "refine")
    assert [place.words for place in plan.places] == (["top left"] if kind in ("elsewhere", "broad", "close") else [])
    assert not plan.vague
    assert plan.closer or kind not in ("refine", "close")


@pytest.mark.parametrize(("kind", "sentence"), SIGHTS)
def test_what_the_scripted_teacher_claims_to_see(kind: str, sentence: str) -> None:
    assert plans(sentence, KITE) == []
    found = sightings(sentence, KITE)
    if kind == "start" or "right area" in sentence:
        assert found == []
        return
    (sight,) = found
    assert sight.denied == (kind == "wrong")
    assert sight.clear == (kind == "close")
    assert sight.whole == (kind == "overview")
    assert sight.refused == (kind == "refused")
    assert (sight.names == ("kite",)) == (kind in ("wrong", "broad", "close") and "kite" in sentence.lower())


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Let me check the upper-left corner.", ["upper-left"]),
        ("I will look at the right half of the picture.", ["right"]),
        ("Let me zoom into the centre.", ["centre"]),
        ("I'll crop the lower right of the image.", ["lower right"]),
        ("I will look at the third row from the top.", []),
        ("Let me look to the left of the hat.", []),
        ("I need to find the right answer.", []),
        ("Let me check the right area.", []),
        ("Look at the leftmost one.", []),
    ],
)
def test_places_are_found_and_directions_from_things_are_not(sentence: str, words: list[str]) -> None:
    assert [place.words for place in places(sentence)] == words


@pytest.mark.parametrize(
    ("words", "box", "fits"),
    [
        ("upper left", (0.1, 0.1, 0.3, 0.3), True),
        ("upper left", (0.6, 0.1, 0.8, 0.3), False),
        ("left", (0.0, 0.8, 0.2, 1.0), True),
        ("left", (0.6, 0.4, 0.8, 0.6), False),
        ("middle", (0.4, 0.4, 0.6, 0.6), True),
        ("middle", (0.0, 0.0, 0.2, 0.2), False),
        ("bottom", (0.4, 0.0, 0.6, 0.2), False),
        ("bottom right", (0.7, 0.7, 1.0, 1.0), True),
    ],
)
def test_a_place_fits_regions_whose_middle_lies_there(words: str, box: Box, fits: bool) -> None:
    (place,) = places(f"Let me look at the {words}.")
    assert place.fits(box) is fits


@pytest.mark.parametrize("x", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("y", [0.1, 0.5, 0.9])
def test_every_ninth_has_a_name_that_fits_it(x: float, y: float) -> None:
    box = (x - 0.05, y - 0.05, x + 0.05, y + 0.05)
    thought = placed("The kite is at the top. Let me zoom in on the middle.", box)
    assert thought == f"The kite is at the top. Let me zoom in on the {place_of(box)}."
    assert all(place.fits(box) for place in places(sentences(thought)[1]))


def test_labels_are_whole_words_and_the_longest_counts() -> None:
    assert labels_in("The legend: museum is here", ["museum", "legend: museum"]) == ("legend: museum",)
    assert labels_in("two kites and a keyhole", ["kite", "key"]) == ("kite",)
    assert labels_in("A kite, and K", ["A", "K", "Q"]) == ("K",)
    assert labels_in("a k", ["K"]) == ()
    assert labels_in("PC-7T3 (not PC-7T7)", ["PC-7T3", "C-7T3"]) == ("PC-7T3",)


def test_a_supposed_target_is_not_a_promise() -> None:
    (plan,) = plans("Maybe the kite is there; let me look.", KITE)
    assert plan.doubtful
    assert plan.vague
    assert not announces("The kite may be there.")


@pytest.mark.parametrize("unit", ["but ", "the left ", "I see not ", "no kite, though ", "a\n", ". ", "let me "])
def test_no_text_takes_long(unit: str) -> None:
    thought, start = unit * 20_000, time.perf_counter()
    plans(thought[:100_000], KITE)
    sightings(thought[:100_000], KITE)
    placed(thought[:100_000], (0.0, 0.0, 0.1, 0.1))
    placed(f"Let me look at {thought[:200_000]}", (0.0, 0.0, 0.1, 0.1))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("sentence", "denied"),
    [
        ("I see a kite without doubt: a tail and no wings.", False),
        ("There is no kite here.", True),
        ("I expected the kite here, but I see something else.", True),
        ("This is the kite, not a bird.", False),
    ],
)
def test_what_is_denied_is_told_by_the_clause_that_names_it(sentence: str, denied: bool) -> None:
    (sight,) = sightings(sentence, KITE)
    assert (sight.names, sight.denied) == (("kite",), denied)


@pytest.mark.parametrize(
    "sentence",
    [
        "For the second number I need the kite.",
        "I will begin with the upper part of the picture, left of the middle.",
        "Back to the whole picture, then: I will try a part at the right.",
        "Back in the overview, there is a tiny white square with some green in it further to the right.",
    ],
)
def test_prose_is_not_taken_for_more_than_it_says(sentence: str) -> None:
    """Sentences of exemplars that earlier rules misread."""
    assert not any(plan.whole or plan.names for plan in plans(sentence, KITE))
    assert [place.words for plan in plans(sentence, KITE) for place in plan.places] in ([], ["upper"], ["right"])
    assert not any(sight.whole for sight in sightings(sentence, KITE))
