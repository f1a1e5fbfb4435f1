"""The command line: `groundup COMMAND`.

    list | run | verify | sweep | report | compare | export | dashboard | animate | bench
    chat | embed | onnx | train-lm | sample

`groundup COMMAND --help` explains each with examples, `groundup --install-completion` teaches them
to the shell, and `messages` has the exit codes.
"""

# ruff: noqa: I001 - the order of imports is that of the commands in the help
from . import run, verify, sweep, show, animate, bench, public, onnx, train_lm
from .app import app

__all__ = [
    "animate",
    "app",
    "bench",
    "onnx",
    "public",
    "run",
    "show",
    "sweep",
    "train_lm",
    "verify",
]
