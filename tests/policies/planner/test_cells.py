"""Our own picture tokenizer: it keeps all that the interpreter reads."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from o3gym.policies.planner.cells import GRIDS, MAX_PICTURE_TOKENS, CellTokenizer
from o3gym.policies.planner.tokenizer import PictureTokenizer
from o3gym.worlds import WORLDS, draw_world, read_move
from o3gym.worlds.tiles import StatePicture
from tests.policies.planner.planner_toys import full_tokenizer


def one(tokenizer: CellTokenizer, picture: StatePicture) -> list[int]:
    return tokenizer.encode(picture[None])[0]


@pytest.fixture(scope="module")
def fitted() -> CellTokenizer:
    return CellTokenizer.fit(1, layouts=4)


@pytest.mark.parametrize(("name", "level"), [(name, level) for name in WORLDS for level in WORLDS[name].levels])
def test_every_move_is_read_from_the_decoded_picture(name: str, level: int) -> None:
    tokenizer = full_tokenizer()
    world = draw_world(name, 5, level, "test")
    drawn = {}
    for state in world.graph:
        ids = one(tokenizer, world.render(state))
        assert len(ids) == 1 + world.rows**2 <= MAX_PICTURE_TOKENS
        picture = tokenizer.decode(ids)
        assert picture is not None
        assert one(tokenizer, picture) == ids
        drawn[state] = picture
    for state, following in world.graph.items():
        for move, to in enumerate(following):
            assert to < 0 or read_move(world, state, drawn[to]).move == move


def test_a_trained_codebook_keeps_states_that_it_has_not_seen(fitted: CellTokenizer) -> None:
    for seed in range(20):
        world = draw_world("frozenlake", seed, None, "test")
        for move in world.optimal_moves(world.start):
            drawn = fitted.decode(one(fitted, world.render(world.graph[world.start][move])))
            assert read_move(world, world.start, drawn).move == move


def test_training_is_deterministic_and_finds_about_one_tile_for_each_kind(fitted: CellTokenizer) -> None:
    again = CellTokenizer.fit(1, layouts=4)
    assert all((fitted.codebook[rows] == again.codebook[rows]).all() for rows in GRIDS)
    assert 40 <= fitted.tiles <= 78
    assert CellTokenizer.fit(1, layouts=1, most=9).tiles <= 9


def test_noise_and_jpeg_change_no_id() -> None:
    tokenizer, world = full_tokenizer(), draw_world("minibehaviour", 3, 6)
    picture = world.render(world.start)
    noise = np.random.default_rng(0).normal(0, 12, picture.shape)
    noised = np.clip(picture + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=60)
    for other in (noised, np.asarray(Image.open(file))):
        assert one(tokenizer, other) == one(tokenizer, picture)


def test_many_pictures_are_encoded_like_single_ones() -> None:
    tokenizer = full_tokenizer()
    worlds = [draw_world(name, seed) for name in WORLDS for seed in range(3)]
    pictures = np.stack([world.render(world.start) for world in worlds])
    assert tokenizer.encode(pictures) == [one(tokenizer, picture) for picture in pictures]


def test_ids_that_are_no_picture_decode_to_none() -> None:
    tokenizer = full_tokenizer()
    assert isinstance(tokenizer, PictureTokenizer)
    good = [tokenizer.tiles, *range(9)]
    assert tokenizer.decode(good) is not None
    wrong = [[], [0], good[:-1], [*good, 0], good[1:], [*good[:-1], tokenizer.tiles], [*good[:-1], -1]]
    for ids in [*wrong, [tokenizer.codes, *range(9)], [10**9], [tokenizer.tiles + 1, *range(9)]]:
        assert tokenizer.decode(ids) is None


def test_a_codebook_is_saved_and_loaded(tmp_path: Path, fitted: CellTokenizer) -> None:
    path = tmp_path / "tokenizer.npz"
    fitted.save(path)
    loaded = CellTokenizer.load(path)
    assert loaded.codes == fitted.codes
    assert all((loaded.codebook[rows] == fitted.codebook[rows]).all() for rows in GRIDS)


@pytest.mark.parametrize("content", ["missing", "text", "empty", "pickle", "one array", "wrong keys", "wrong shape"])
def test_a_malformed_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.npz"
    if content in ("text", "empty"):
        path.write_text("no codebook" if content == "text" else "")
    elif content != "missing":
        with path.open("wb") as file:
            if content == "pickle":
                np.savez(file, tiles_3=np.array([{}], dtype=object))
            elif content == "one array":
                np.save(file, np.zeros(3))
            else:
                np.savez(file, **{"tiles_3" if content == "wrong shape" else "tiles": np.zeros((1, 2, 2, 3), np.uint8)})
    with pytest.raises(ValueError, match=r"tokenizer\.npz: expected a codebook"):
        CellTokenizer.load(path)


def test_a_codebook_must_have_equally_many_tiles_for_each_grid() -> None:
    codebook = dict(full_tokenizer().codebook)
    with pytest.raises(ValueError, match="equally many tiles"):
        CellTokenizer(codebook | {3: codebook[3][:2]})
    with pytest.raises(ValueError, match=r"codebook\[8\]: expected uint8"):
        CellTokenizer({rows: tiles for rows, tiles in codebook.items() if rows != 8})
