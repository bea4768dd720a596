"""Runs code that a model wrote, in isolation. The interface is `open_sandbox`.

    sandbox = open_sandbox("auto?packages=scikit-image")
    with sandbox.worker(Workplace(modules={"np": "numpy"})) as worker:
        worker.put("image", pixels)
        outcome = worker.run("show(image.rotate(90))")

A zygote, an interpreter with the libraries loaded, forks a worker for each episode. `inside/` is the code that runs
there; it cannot see the rest of o3gym. See `docs/sandbox.md` for what is kept out, and what is not.
"""

from o3gym.sandbox.limits import Limits, Outcome, Workplace
from o3gym.sandbox.sandbox import Sandbox, SandboxUnavailable, open_sandbox
from o3gym.sandbox.worker import SandboxWorker

__all__ = ["Limits", "Outcome", "Sandbox", "SandboxUnavailable", "SandboxWorker", "Workplace", "open_sandbox"]
