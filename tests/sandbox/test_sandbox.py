"""What code finds in a worker, and what comes back: state, pictures, files, printed text and tracebacks."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from o3gym.sandbox import Sandbox, SandboxWorker, open_sandbox

Open = Callable[..., SandboxWorker]
PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_variables_are_kept_from_call_to_call(worker: SandboxWorker) -> None:
    assert worker.run("a = 20").text == ""
    outcome = worker.run("def f(x):\n    return a + x\nprint(f(1))")
    assert (outcome.text, outcome.error, outcome.ended, outcome.lost) == ("21\n", "", "", False)
    assert 0 < outcome.seconds < 5


def test_a_last_expression_is_printed_as_in_a_notebook(worker: SandboxWorker, open_worker: Open) -> None:
    assert worker.run("x = 'é'\nx").text == "'é'\n"
    assert worker.run("None").text == ""
    assert open_worker(last_expression=False).run("1 + 1").text == ""


def test_printed_text_and_warnings_keep_their_order(worker: SandboxWorker) -> None:
    outcome = worker.run("import sys\nprint('a')\nprint('b', file=sys.stderr)\nsys.stdout.write('c')")
    assert outcome.text == "a\nb\nc1\n"


def test_pictures_are_variables(worker: SandboxWorker) -> None:
    worker.put("image", PIXELS)
    worker.put("second", PIXELS[:10, :20])
    outcome = worker.run("print(image.size, image.mode, second.size)\nshow(image.rotate(180))")
    assert outcome.text == "(40, 30) RGB (20, 10)\n"
    assert (decoded(outcome.shown[0]) == PIXELS[::-1, ::-1]).all()


def test_pictures_that_come_later_are_there_in_the_next_call(worker: SandboxWorker) -> None:
    assert worker.run("'image' in globals()").text == "False\n"
    worker.put("image", PIXELS)
    assert worker.run("image.size").text == "" or worker.run("print(image.size)").text == "(40, 30)\n"


def test_pictures_can_be_files(open_worker: Open) -> None:
    worker = open_worker(variables="files", modules={"Image": "PIL.Image"}, values=("image_path", "missing"))
    worker.put("image_path", PIXELS)
    outcome = worker.run("show(Image.open(image_path))")
    assert (decoded(outcome.shown[0]) == PIXELS).all()
    assert outcome.values == {"image_path": f"{outcome.folder}/image_path.png"}
    assert outcome.stored == ()  # it was handed in, not written by the call


@pytest.mark.parametrize(
    "code",
    ["image.show()", "show(image)", "display(image)", "image", "import numpy as np\nnp.asarray(image)"],
)
def test_ways_to_show_a_picture(worker: SandboxWorker, code: str) -> None:
    worker.put("image", PIXELS)
    outcome = worker.run(code)
    assert (decoded(outcome.shown[0]) == PIXELS).all()
    assert (outcome.text, outcome.error) == ("", "")


def test_arrays_of_truth_values_and_of_fractions_are_scaled(worker: SandboxWorker) -> None:
    outcome = worker.run("import numpy as np\nshow(np.eye(9) > 0.5)\nshow(np.eye(9)[:, :, None])")
    assert [decoded(data)[0, 0].tolist() for data in outcome.shown] == [[255] * 3] * 2


def test_small_arrays_are_printed(worker: SandboxWorker) -> None:
    assert worker.run("import numpy as np\nnp.uint8([[1, 2], [3, 4]])").text.startswith("array([[1, 2]")


def test_something_else_cannot_be_shown(worker: SandboxWorker) -> None:
    outcome = worker.run("show('picture.png')")
    assert outcome.error.endswith("TypeError: show: expected a picture, an array or a figure, got str")


def test_stored_pictures_come_back_with_their_paths(worker: SandboxWorker) -> None:
    worker.put("image", PIXELS)
    outcome = worker.run("import os\nos.mkdir('out')\nimage.save('out/a.png')\nopen('b.txt', 'w').write('no picture')")
    ((path, data),) = outcome.stored
    assert path == f"{outcome.folder}/out/a.png"
    assert (decoded(data) == PIXELS).all()
    assert worker.run("1").stored == ()
    assert len(worker.run("image.rotate(90).save('out/a.png')").stored) == 1


def test_stored_pictures_of_any_format_come_back_as_plain_png_files(worker: SandboxWorker) -> None:
    worker.put("image", PIXELS)
    worker.run("def store():\n    image.save('a.bmp')\n    image.save('b.webp', lossless=True)")
    outcome = worker.run("open('0.png', 'w').write('no')\nstore()")
    assert [path.rpartition("/")[2] for path, _ in outcome.stored] == ["a.bmp", "b.webp"]
    assert len({data for _, data in outcome.stored}) == 1
    assert outcome.text.endswith("[0.png cannot be shown: it is no picture, or too large]")


def test_modules_are_preset_and_those_that_are_missing_are_left_out(open_worker: Open) -> None:
    worker = open_worker(modules={"np": "numpy", "Draw": "PIL.ImageDraw", "cv2": "no_such_module"})
    assert worker.run("print(np.__name__, Draw.__name__, 'cv2' in globals())").text == "numpy PIL.ImageDraw False\n"


def test_tracebacks_have_the_line_numbers_of_the_code(worker: SandboxWorker) -> None:
    worker.run("def broken():\n    return 1 / 0")
    outcome = worker.run("a = 1\n\nbroken()")
    assert outcome.ended == "error"
    assert not outcome.lost
    lines = outcome.error.splitlines()
    assert lines[:3] == ["Traceback (most recent call last):", '  File "<code>", line 3, in <module>', "    broken()"]
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert '  File "<code 1>", line 2, in broken' in lines
    assert "notebook.py" not in outcome.error


def test_errors_of_syntax_have_them_too(worker: SandboxWorker) -> None:
    outcome = worker.run("a = 1\nb = (")
    assert outcome.error.startswith('  File "<code>", line 2\n')
    assert outcome.error.endswith("SyntaxError: '(' was never closed")


def test_only_the_last_lines_of_a_traceback_come_back(worker: SandboxWorker) -> None:
    code = "def f(n):\n    return f(n - 1) if n else 1 / 0\nf(40)"
    assert len(worker.run(code).error.splitlines()) == 12


@pytest.mark.parametrize(("code", "error"), [("import sys; sys.exit()", ""), ("exit('no')", "SystemExit: no")])
def test_leaving_ends_the_call_and_not_the_worker(worker: SandboxWorker, code: str, error: str) -> None:
    worker.run("a = 1\nimport sys\nexit = sys.exit")
    assert worker.run(code).error.endswith(error)
    assert worker.run("a").text == "1\n"


def test_there_is_no_input(worker: SandboxWorker) -> None:
    assert worker.run("input()").error.endswith("EOFError: EOF when reading a line")


def test_classes_find_their_module(worker: SandboxWorker) -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass Point:\n    x: int\nprint(Point(3))"
    assert worker.run(code).text == "Point(x=3)\n"


def test_every_worker_has_the_same_random_numbers(open_worker: Open) -> None:
    code = "import random, numpy\nprint(random.random(), numpy.random.rand())"
    assert open_worker().run(code).text == open_worker().run(code).text


def test_hashes_are_the_same_in_every_run(worker: SandboxWorker) -> None:
    assert worker.run("import sys\nprint(sys.flags.hash_randomization)").text == "0\n"


def test_the_environment_is_empty(worker: SandboxWorker) -> None:
    names = worker.run("import os\nprint(*sorted(os.environ))").text.split()
    assert names == ["HOME", "MPLBACKEND", "MPLCONFIGDIR", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TMPDIR"]


def test_o3gym_cannot_be_imported_inside(worker: SandboxWorker) -> None:
    assert "ModuleNotFoundError" in worker.run("import o3gym").error


def test_copies_of_files_can_be_made(worker: SandboxWorker) -> None:
    code = "import shutil\nopen('a', 'w').write('x')\nshutil.copy2('a', 'b')\nshutil.move('b', 'c')\nopen('c').read()"
    assert worker.run(code).text == "'x'\n"


def test_text_that_is_no_text_comes_back_as_text(worker: SandboxWorker) -> None:
    assert worker.run("print(chr(0xD800))").text == "?\n"
    assert worker.run("print('\\ud800 in the source')").ended == ""


@pytest.mark.parametrize(
    ("name", "shape", "kind"), [("a b", (2, 2, 3), "u1"), ("a", (2, 2), "u1"), ("a", (2, 2, 3), "f4")]
)
def test_what_cannot_be_handed_in(worker: SandboxWorker, name: str, shape: tuple[int, ...], kind: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        worker.put(name, np.zeros(shape, kind))


def test_a_closed_worker_runs_nothing(worker: SandboxWorker) -> None:
    worker.close()
    worker.close()
    with pytest.raises(ValueError, match="closed"):
        worker.run("1")


def test_the_protocol_names_rung_versions_and_limits(sandbox: Sandbox) -> None:
    described = sandbox.describe()
    assert described["rung"] == sandbox.rung
    assert set(described["versions"]) == {"python", "numpy", "pillow"}
    assert described["limits"]["memory"] == 256


def test_a_sandbox_is_shared_and_pickled_as_its_spec(sandbox: Sandbox) -> None:
    assert open_sandbox(sandbox.spec) is sandbox
    assert pickle.loads(pickle.dumps(sandbox)) is sandbox
