"""Code that runs inside of the sandbox: the zygote, and what a worker does with the code that it is sent.

`zygote.py` is started as a script by an isolated interpreter that cannot see the rest of o3gym. These modules therefore
import the standard library, NumPy, Pillow, each other, and `o3gym.sandbox.frames`.
"""
