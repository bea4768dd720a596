from __future__ import annotations

import io
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile, features

from o3gym.media.errors import PictureError
from o3gym.media.images import FORMATS, ImageStore, shared_store
from o3gym.media.pixels import Pixels, resample
from o3gym.registry import GENERATORS
from o3gym.types import FULL, Source

Make = Callable[..., Any]


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def generator(register: Make) -> Callable[[Callable[..., Image.Image]], str]:
    """Registers a generator of pictures for the time of a test."""
    return lambda function: register(GENERATORS, "test", function)


# ── Regions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_region_is_the_slice_of_the_decoded_picture(store: ImageStore, make_pixels: Make, make_source: Make) -> None:
    pixels, source = make_pixels(97, 61), make_source(97, 61)
    assert store.size(source) == (97, 61)
    assert np.array_equal(store.region(source), pixels)
    assert np.array_equal(store.region(source, (0.1, 0.25, 0.5, 0.9)), pixels[15:55, 9:49])  # outwards to whole pixels
    exact = (10 / 97, 20 / 61, 30 / 97, 40 / 61)
    assert np.array_equal(store.region(source, exact), pixels[20:40, 10:30])
    assert np.array_equal(store.region(source, exact, (20, 20)), pixels[20:40, 10:30])  # fits, so not resampled


def test_other_sizes_are_resampled_once_from_native_pixels(
    store: ImageStore, make_pixels: Make, make_source: Make
) -> None:
    pixels, source = make_pixels(90, 60), make_source(90, 60)
    for size in [(45, 30), (180, 120), (20, 13), (7, 100)]:
        image = Image.fromarray(pixels)
        wanted = np.array(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2 if size == (20, 13) else None))
        assert np.array_equal(store.region(source, FULL, size), wanted)
        assert np.array_equal(store.region(source, FULL, size), wanted)  # the overview that was kept
    part = Image.fromarray(pixels[:30]).resize((30, 10), Image.Resampling.BICUBIC)
    assert np.array_equal(store.region(source, (0, 0, 1, 0.5), (30, 10)), np.array(part))


@pytest.mark.parametrize("box", [FULL, (0.0, 0.0, 0.5, 0.5)])
@pytest.mark.parametrize("size", [None, (16, 12)])
def test_every_array_is_fresh_and_writable(store: ImageStore, make_source: Make, box: Any, size: Any) -> None:
    source = make_source(64, 48)
    first = store.region(source, box, size)
    untouched = first.copy()
    second = store.region(source, box, size)
    assert not np.shares_memory(first, second)
    first[:] = 0
    assert np.array_equal(store.region(source, box, size), untouched)
    assert first.flags.c_contiguous


def test_shrinking_a_lot_reads_every_pixel(make_pixels: Make) -> None:
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(resample(stripes, (9, 9)).astype(int) - 127).max() <= 8


# ── What is kept ────────────────────────────────────────────────────────────────────────────────────────────────────


class Preempted(ImageStore):
    """The scheduler takes its time between the end of a decode and its result being kept."""

    def _keep(self, *args: Any) -> None:
        time.sleep(0.002)
        super()._keep(*args)


@pytest.mark.parametrize("store_class", [ImageStore, Preempted])
def test_a_picture_is_decoded_once_however_many_threads_ask(store_class: type[ImageStore], generator: Make) -> None:
    made: Counter[int] = Counter()
    here, store = threading.Barrier(8), store_class()

    def make(seed: int) -> Image.Image:
        made[seed] += 1
        return Image.new("RGB", (16, 16), (seed % 256, 0, 0))

    name = generator(make)
    sources = [Source.generated(name, seed=seed) for seed in range(50)]

    def ask(worker: int) -> None:
        for source in sources:
            here.wait(30)
            if worker % 2:
                assert store.region(source).shape == (16, 16, 3)
            else:
                assert store.size(source) == (16, 16)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert made == dict.fromkeys(range(50), 1)


def test_an_encoded_picture_is_decoded_once_for_its_size_its_overview_and_its_crops(
    store: ImageStore, make_source: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    prepare = ImageFile.ImageFile.load_prepare
    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", lambda self: (loads.append(self.format), prepare(self)))
    for source in (make_source(80, 60), Source.of_bytes(saved(Image.new("RGB", (80, 60)), "JPEG"))):
        loads.clear()
        store.size(source)
        store.region(source, FULL, (40, 30))
        store.region(source, (0.0, 0.0, 0.5, 0.5))
        assert len(loads) == 1


def test_the_budget_holds_while_threads_decode(make_source: Make) -> None:
    store = ImageStore(budget=250_000)
    sources = [make_source(120, 90, seed) for seed in range(12)]  # 32 kB each, about 90 kB while it is decoded
    seen, running = [0], True

    def watch() -> None:
        while running:
            seen.append(store.used)

    def ask(worker: int) -> None:
        for i in range(60):
            source = sources[(worker * 5 + i * 7) % len(sources)]
            assert store.region(source, FULL, (60, 45) if i % 3 else None).shape[2] == 3
            seen.append(store.used)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(8)))
    finally:
        running = False
        watcher.join()
    assert 0 < max(seen) <= store.budget
    assert store.used == store._bytes == sum(pixels.nbytes for pixels in store._kept.values())


def test_an_array_is_not_kept_where_a_decode_in_progress_needs_the_room(make_source: Make, generator: Make) -> None:
    store = ImageStore(budget=100_000)
    store._decoding["another thread's"] = 90_000
    name = generator(lambda: Image.new("RGB", (100, 60)))  # 18 kB
    assert store.region(Source.generated(name)).shape == (60, 100, 3)
    assert store.used <= store.budget


def test_a_picture_over_the_budget_is_served_and_not_kept(make_pixels: Make, make_source: Make) -> None:
    store = ImageStore(budget=1000)
    assert np.array_equal(store.region(make_source(60, 40)), make_pixels(60, 40))
    assert store.used == 0


def test_the_least_recently_used_is_forgotten_first(generator: Make) -> None:
    made: list[int] = []

    def make(seed: int) -> Image.Image:
        made.append(seed)
        return Image.new("RGB", (10, 10))

    name = generator(make)
    store = ImageStore(budget=3 * 300)
    for seed in (0, 1, 2, 0, 3, 0, 1):
        store.region(Source.generated(name, seed=seed))
    assert made == [0, 1, 2, 3, 1]
    store.forget()
    assert store.used == 0
    store.region(Source.generated(name, seed=0))
    assert made[-1] == 0


def test_the_overview_is_kept_when_the_picture_had_to_go(generator: Make, make_pixels: Make) -> None:
    made: list[int] = []

    def make(seed: int) -> Image.Image:
        made.append(seed)
        return Image.fromarray(make_pixels(40, 40, seed))

    name = generator(make)
    store = ImageStore(budget=4800 + 300)  # one picture and one overview
    first = store.region(Source.generated(name, seed=0), FULL, (10, 10))
    assert np.array_equal(store.region(Source.generated(name, seed=0), FULL, (10, 10)), first)
    store.region(Source.generated(name, seed=1))
    assert np.array_equal(store.region(Source.generated(name, seed=0), FULL, (10, 10)), first)
    assert made == [0, 1]


def test_a_failed_decode_leaves_nothing_behind(store: ImageStore, generator: Make, make_source: Make) -> None:
    def fail() -> Image.Image:
        raise RuntimeError("no ink")

    source = Source.generated(generator(fail))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no ink"):
            store.region(source)
    assert store.used == 0
    assert store.region(make_source(8, 8)).shape == (8, 8, 3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_generators_may_return_any_mode(store: ImageStore, generator: Make, mode: str) -> None:
    name = generator(lambda: Image.new("RGB", (6, 4), "white").convert(mode))
    assert np.array_equal(store.region(Source.generated(name)), np.full((4, 6, 3), 255, np.uint8))


FORK = """
import os, signal, sys, threading
from PIL import Image
from o3gym.media.images import shared_store
from o3gym.registry import GENERATORS
from o3gym.types import Source
inside, parent = threading.Event(), os.getpid()
def slow():
    if os.getpid() == parent:
        inside.set()
        threading.Event().wait(20)
    return Image.new("RGB", (4, 4))
GENERATORS.register("slow", slow)
store, photo, slow_one = shared_store(), Source.file(sys.argv[1]), Source.generated("slow")
store.region(photo)
threading.Thread(target=store.region, args=(slow_one,), daemon=True).start()
inside.wait(20)
holding = threading.Event()
def hold():
    with store._room:
        holding.set()
        threading.Event().wait(20)
threading.Thread(target=hold, daemon=True).start()
holding.wait(20)
child = os.fork()
if child == 0:
    signal.alarm(20)
    assert store.used == store._bytes > 0
    assert store.region(photo).shape == store.region(photo).shape
    assert store.region(slow_one).shape == (4, 4, 3)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="needs os.fork")
def test_a_forked_child_is_not_blocked_by_what_its_parents_threads_held(photos: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, str(photos / "map.png")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "7", done.stderr


def test_a_fresh_process_makes_the_same_pixels(photos: Path) -> None:
    code = (
        "import sys, hashlib\nfrom o3gym.media.images import shared_store\nfrom o3gym.types import Source\n"
        "r = shared_store().region(Source.file(sys.argv[1]), (0.1, 0.2, 0.7, 0.9), (33, 44))\n"
        "sys.stdout.write(r.tobytes().hex())"
    )
    path = str(photos / "street.png")
    printed = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout
    here = shared_store().region(Source.file(path), (0.1, 0.2, 0.7, 0.9), (33, 44))
    assert bytes.fromhex(printed) == here.tobytes()


# ── Odd files ───────────────────────────────────────────────────────────────────────────────────────────────────────

RED, BLUE = (255, 0, 0), (0, 0, 255)


def cmyk() -> bytes:
    return saved(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)


def sixteen_bits() -> bytes:
    return saved(Image.fromarray(np.array([[0, 257, 32768, 65535]], np.uint16)))


def palette_with_transparency() -> bytes:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, *RED, *BLUE])
    image.putdata([0, 1, 2])
    return saved(image, transparency=0)


def grey_alpha() -> bytes:
    return saved(Image.merge("LA", [Image.new("L", (2, 1), 100), Image.fromarray(np.array([[255, 0]], np.uint8))]))


def rgba() -> bytes:
    return saved(Image.fromarray(np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [255, 0, 0, 128]]], np.uint8)))


def animated_gif() -> bytes:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    return saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=50)


def float_tiff() -> bytes:
    return saved(Image.fromarray(np.array([[0.0, 0.5, 1.0, np.nan]], np.float32)), "TIFF")


def loud_float_tiff() -> bytes:
    return saved(Image.fromarray(np.array([[-3.0, 100.0, 255.0, 300.0]], np.float32)), "TIFF")


def thirty_two_bits() -> bytes:
    return saved(Image.fromarray(np.array([[0, 7, 255]], np.int32)), "TIFF")


@pytest.mark.parametrize(
    ("make", "rows", "slack"),
    [
        (cmyk, [[RED] * 16] * 16, 3),
        (sixteen_bits, [[(0,) * 3, (1,) * 3, (128,) * 3, (255,) * 3]], 0),
        (palette_with_transparency, [[(255, 255, 255), RED, BLUE]], 0),
        (grey_alpha, [[(100, 100, 100), (255, 255, 255)]], 0),
        (rgba, [[RED, (255, 255, 255), (255, 127, 127)]], 1),
        (lambda: saved(Image.fromarray(np.array([[True, False]]))), [[(255,) * 3, (0,) * 3]], 0),
        (animated_gif, [[RED] * 4] * 4, 0),
        (float_tiff, [[(0,) * 3, (128,) * 3, (255,) * 3, (0,) * 3]], 0),
        (loud_float_tiff, [[(0,) * 3, (100,) * 3, (255,) * 3, (255,) * 3]], 0),
        (thirty_two_bits, [[(0,) * 3, (7,) * 3, (255,) * 3]], 0),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_odd_modes_give_the_picture_that_a_viewer_shows(store: ImageStore, make: Make, rows: Any, slack: int) -> None:
    got, wanted = store.region(Source.of_bytes(make())).astype(int), np.array(rows)
    assert got.shape == wanted.shape
    assert abs(got - wanted).max() <= slack


def oriented(pixels: Pixels, orientation: int, kind: str, late: bool = False) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = saved(Image.fromarray(pixels), kind, exif=exif, **options)
    if late:  # eXIf after the pixels is legal too
        start = data.index(b"eXIf") - 4
        stop = start + 12 + int.from_bytes(data[start : start + 4], "big")
        data = data[:start] + data[stop:-12] + data[start:stop] + data[-12:]
    return data


@pytest.mark.parametrize(("kind", "late"), [("PNG", False), ("PNG", True), ("JPEG", False), ("TIFF", False)])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (3, lambda p: np.rot90(p, 2)),
        (6, lambda p: np.rot90(p, -1)),
        (8, lambda p: np.rot90(p, 1)),
        (5, lambda p: np.swapaxes(p, 0, 1)),
    ],
)
def test_pictures_are_turned_as_their_exif_data_say(
    store: ImageStore, make_pixels: Make, orientation: int, upright: Make, kind: str, late: bool
) -> None:
    stored = make_pixels(300, 200) // 64 * 0 + np.linspace(0, 255, 300).astype(np.uint8)[None, :, None]
    stored[:100, :, 0] = 0
    source, wanted = Source.of_bytes(oriented(stored, orientation, kind, late)), upright(stored)
    assert store.size(source) == wanted.shape[1::-1]
    got = store.region(source).astype(int)
    assert got.shape == wanted.shape
    assert abs(got - wanted).mean() <= (2 if kind == "JPEG" else 0)
    part = store.region(source, (0.0, 0.0, 1.0, 0.25), None)
    assert np.array_equal(part, got[: part.shape[0]])


def png(size: tuple[int, int], depth: int, colour: int, row: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG whose pixels are `row`; `more` are the chunks between its header and its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), *more, (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bomb(width: int = 60_000, height: int = 60_000) -> bytes:
    return png((width, height), 8, 2, b"\0" * 99)


GREY, RGB, PALETTE = 0, 2, 3
PLTE = (b"PLTE", bytes([255, 0, 0, 0, 255, 0]))


@pytest.mark.parametrize(
    ("depth", "colour", "row", "transparent", "expected"),
    [
        (1, GREY, bytes([0b01000000]), struct.pack(">H", 1), [0, 255]),
        (2, GREY, bytes([0b00011011]), struct.pack(">H", 1), [0, 255, 170, 255]),
        (4, GREY, bytes([0x1F]), struct.pack(">H", 1), [255, 255]),
        (8, GREY, bytes([7, 9]), struct.pack(">H", 9), [7, 255]),
        (16, GREY, struct.pack(">HHH", 0, 1000, 40000), struct.pack(">H", 1000), [0, 255, 156]),
        (16, GREY, struct.pack(">HHH", 0, 1000, 40000), struct.pack(">H", 0), [255, 4, 156]),
        (8, RGB, bytes([7, 7, 7, 9, 9, 9]), struct.pack(">HHH", 9, 9, 9), [7, 255]),
        (16, RGB, struct.pack(">HHHHHH", *(1000,) * 3, *(300,) * 3), struct.pack(">HHH", 300, 300, 300), [3, 255]),
        (16, 4, struct.pack(">HHHH", 1000, 0, 40000, 65535), b"", [255, 156]),
    ],
    ids=["grey 1", "grey 2", "grey 4", "grey 8", "grey 16", "black of grey 16", "rgb 8", "rgb 16", "grey and alpha 16"],
)
def test_the_transparent_colour_of_a_png_is_white(
    store: ImageStore, depth: int, colour: int, row: bytes, transparent: bytes, expected: list[int]
) -> None:
    more = ((b"tRNS", transparent),) if transparent else ()
    pixels = store.region(Source.of_bytes(png((len(expected), 1), depth, colour, row, *more)))
    assert pixels.tolist() == [[[value] * 3 for value in expected]]


@pytest.mark.parametrize("form", ["file", "bytes"])
def test_the_transparent_colour_of_16_bits_is_compared_in_full(store: ImageStore, form: str, tmp_path: Path) -> None:
    row = struct.pack(">9H", *(1000,) * 3, *(1001,) * 3, 1001, 1001, 1000)  # all have the high byte 3
    data = png((3, 1), 16, RGB, row, (b"tRNS", struct.pack(">HHH", 1001, 1001, 1001)))
    (tmp_path / "a.png").write_bytes(data)
    source = Source.of_bytes(data) if form == "bytes" else Source.file(str(tmp_path / "a.png"))
    assert store.region(source)[0, :, 0].tolist() == [3, 255, 3]
    assert store.size(source) == (3, 1)


def test_a_palette_may_be_transparent_in_part(store: ImageStore) -> None:
    pixels = store.region(Source.of_bytes(png((2, 1), 8, PALETTE, bytes([0, 1]), PLTE, (b"tRNS", bytes([0, 128])))))
    assert pixels.tolist() == [[[255, 255, 255], [127, 255, 127]]]


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "DDS", "SGI", "QOI", "DIB"])
def test_other_formats_are_no_pictures(store: ImageStore, kind: str) -> None:
    source = Source.of_bytes(saved(Image.new("RGB", (16, 16)), kind))
    for ask in (store.region, store.size):
        with pytest.raises(PictureError, match="not a picture in one of the formats JPEG, PNG, WEBP, GIF"):
            ask(source)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "AVIF" or features.check("avif")])
def test_the_documented_formats_are_read(store: ImageStore, kind: str) -> None:
    assert store.region(Source.of_bytes(saved(Image.new("RGB", (16, 16), "white"), kind))).min() > 250
    page = (Path(__file__).parents[2] / "docs" / "suites.md").read_text("utf-8")
    assert {"JPEG2000": "JPEG 2000", "WEBP": "WebP"}.get(kind, kind) in page


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            saved(Image.fromarray(np.arange(60_000, dtype=np.uint8).reshape(100, 200, 3)), "JPEG")[:2000],
            "broken|truncated",
        ),
        (b"<html>not a picture</html>", "not a picture in one of the formats JPEG, PNG, WEBP, GIF, BMP, TIFF"),
        (b"", "not a picture in one of the formats"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "not a picture in one of the formats"),
        (b"GRIB\0\0\0\1" + bytes(100), "not a picture in one of the formats"),
        (b"BUFR" + bytes(100), "not a picture in one of the formats"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n%%EOF\n", "not a picture in one of the"),
        (b"GIF89a\0\0\0\0\0\0\0;", "not a picture in one of the formats"),
        (bomb(), "too many pixels for PIL.Image.MAX_IMAGE_PIXELS"),
        (bomb(100, 100), "broken|truncated"),
        (saved(Image.new("RGB", (9, 9)))[:40], "broken|truncated|not a picture"),
    ],
    ids=["truncated", "text", "empty", "hdf5", "grib", "bufr", "eps", "no pixels", "bomb", "short", "header"],
)
def test_hopeless_files_are_reported_by_name(store: ImageStore, tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(data)
    for source, name in (
        (Source.file(str(path)), "holiday.jpg"),
        (Source.of_bytes(data), Source.of_bytes(data).ref[:12]),
    ):
        with pytest.raises(PictureError, match=message) as caught:
            store.region(source)
        assert name in str(caught.value)
    assert store.used == 0


def test_what_is_not_there_is_reported_by_name(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"no picture at .*gone.png"):
        store.size(Source.file(str(tmp_path / "gone.png")))
    with pytest.raises(PictureError, match=tmp_path.name):
        store.region(Source.file(str(tmp_path)))
    with pytest.raises(PictureError, match="not loaded: open the run folder"):
        store.region(Source("bytes", Source.of_bytes(b"x").ref))
    with pytest.raises(PictureError, match='derived picture "draw" has no parent'):
        store.region(Source("derived", "draw"))


KINDS = ["PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP" if features.check("webp") else "PPM"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_give_pixels_or_a_picture_error(
    make_pixels: Make, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    options = {} if kind in ("GIF", "BMP", "PPM") else {"exif": exif_with_orientation()}
    whole = saved(Image.fromarray(make_pixels(48, 32)), kind, **options)
    rng = np.random.default_rng(KINDS.index(kind))
    outcomes: Counter[str] = Counter()
    store = ImageStore(0)
    for number in range(150):
        data = np.frombuffer(whole, np.uint8).copy()
        reach = len(data) if number % 2 else min(len(data), 300)
        data[rng.integers(0, reach, rng.integers(1, 6))] = rng.integers(0, 256)
        source = Source.of_bytes(
            data[: rng.integers(1, len(data) + 1)].tobytes() if number % 5 == 0 else data.tobytes()
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                width, height = store.size(source)
                assert store.region(source).shape == (height, width, 3)
                outcomes["picture"] += 1
            except PictureError:
                outcomes["error"] += 1
    assert min(outcomes["picture"], outcomes["error"]) > 0


def exif_with_orientation() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "camera"
    exif[ExifTags.Base.XResolution] = 72.0
    return exif


def test_a_file_that_was_replaced_by_one_of_another_size_is_an_error_until_the_store_forgets(tmp_path: Path) -> None:
    store, path = ImageStore(budget=0), tmp_path / "a.png"
    Image.new("RGB", (30, 20)).save(path)
    assert store.size(Source.file(str(path))) == (30, 20)
    Image.new("RGB", (20, 30)).save(path)
    with pytest.raises(PictureError, match=r"a.png: expected 30×20 pixels, got 20×30"):
        store.region(Source.file(str(path)))
    store.forget()
    assert store.region(Source.file(str(path))).shape == (30, 20, 3)
