"""Hidden scenes: one target among many alike, small as stated, and told by native pixels only."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from o3gym import geometry
from o3gym.suites.scenes import hidden
from o3gym.suites.scenes.outlines import SHAPES
from o3gym.suites.scenes.painter import Painter
from o3gym.suites.synthetic import DIFFICULTIES, Synthetic, render_scene
from o3gym.types import Box, Task


def tasks(difficulty: str, n: int, pixels: int = 0) -> list[Task]:
    return list(Synthetic(family="hidden", difficulty=difficulty, n=n, pixels=pixels))


def test_hidden_targets_shrink_to_a_five_thousandth() -> None:
    easy, medium, hard = ([geometry.area(t.targets[0].box) for t in tasks(d, 20)] for d in DIFFICULTIES)
    assert max(hard) <= 2.0e-4 * 1.001
    assert min(hard) >= 1.9e-4
    assert max(hard) < min(medium) < max(medium) < min(easy) <= 0.0101


@pytest.mark.parametrize(("difficulty", "places"), [("easy", 16), ("medium", 64), ("hard", 225)])
def test_exactly_one_place_has_the_mark(difficulty: str, places: int) -> None:
    for seed in range(8):
        laid, target = hidden.lay_places(Random(seed), difficulty)
        assert len(laid) == places
        assert [p for p in laid if p.mark == target.mark] == [target]
        assert not any(
            not geometry.is_empty(geometry.intersection(a.box, b.box)) for a in laid for b in laid if a is not b
        )


@pytest.mark.parametrize(
    ("difficulty", "pixels", "shown", "scenes"), [("easy", 512 * 512, 96, 48), ("medium", 2_000_000, 500, 10)]
)
def test_the_overview_does_not_tell_the_target(difficulty: str, pixels: int, shown: int, scenes: int) -> None:
    """The target is as far from the other places as they are from one another: its mean rank is in the middle."""
    ranks = []
    for task in tasks(difficulty, scenes, pixels=pixels):
        picture = render_scene(**task.sources[0].args).resize((shown, shown), Image.Resampling.BOX).convert("L")
        seed = task.sources[0].args["seed"]
        places, target = hidden.lay_places(Random(f"hidden/{difficulty}/{seed}"), difficulty)
        looks = np.stack([_texture(picture, place.box) for place in places])
        far = np.linalg.norm(looks[:, None] - looks[None], axis=2).mean(axis=1)
        ranks.append(float((far < far[places.index(target)]).mean()))
    assert 0.3 < np.mean(ranks) < 0.7, np.mean(ranks)


def _texture(picture: Image.Image, box: Box) -> Any:
    """The brightness pattern of a place, whatever its colour."""
    seen = picture.resize((26, 26), Image.Resampling.BILINEAR, box=geometry.to_pixels(box, picture.size))
    pattern = np.asarray(seen, float)[3:-3, 3:-3].ravel()
    return (pattern - pattern.mean()) / (pattern.std() + 1e-6)


@pytest.mark.parametrize(("shown", "low", "high"), [(512, 0.97, 1.0), (48, 0.0, 0.4)])
def test_shapes_are_told_by_native_pixels_and_not_by_a_small_overview(shown: int, low: float, high: float) -> None:
    """A reader that knows where every mark is, and how each shape looks, names the shapes at 512 pixels only."""
    right = []
    for task in tasks("easy", 6, pixels=512 * 512):
        seed = task.sources[0].args["seed"]
        places, _ = hidden.lay_places(Random(f"hidden/easy/{seed}"), "easy")
        looks = {shape: _texture_of_all(shape, places, shown) for shape in SHAPES}
        picture = render_scene(**task.sources[0].args).resize((shown, shown), Image.Resampling.BOX).convert("L")
        for i, place in enumerate(places):
            seen = _texture(picture, place.box)
            best = min(SHAPES, key=lambda shape: float(np.linalg.norm(looks[shape][i] - seen)))
            right.append(best == place.mark)
    assert low <= np.mean(right) <= high, np.mean(right)


def _texture_of_all(shape: str, places: list[hidden.Place], shown: int) -> list[Any]:
    """How each place would look with `shape`, without specks and at its middle size."""
    painter = Painter((512, 512), 1.0)
    for place in places:
        hidden.paint_card(painter, replace(place, mark=shape, scale=1.0, specks=()), hidden.GLYPH["easy"])
    picture = painter.image.resize((shown, shown), Image.Resampling.BOX).convert("L")
    return [_texture(picture, place.box) for place in places]
